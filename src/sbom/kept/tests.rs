use larder_store::digest::Digest;
use proptest::prelude::*;

use super::*;
use crate::sbom::inventory::Found;
use crate::sbom::kind::Kind;
use crate::sbom::mutations::is_sound;
use crate::sbom::package::{Package, is_word};

fn inventory(names: &[String]) -> Inventory {
    let mut found: Vec<_> = names
        .iter()
        .enumerate()
        .filter_map(|(layer, name)| {
            let kind = if layer % 3 == 0 { Kind::Pypi } else { Kind::Deb };
            let mut package = Package::new(kind, name, "1.0-1")?;
            package.add_licences(["MIT"]);
            package.source =
                (layer % 2 == 0).then(|| ("source".to_owned(), (layer % 4 == 0).then(|| "2".to_owned())));
            package.size = (layer % 5 == 0).then_some(7);
            Some(Found { package, path: "var/lib/dpkg/status".into(), layer })
        })
        .collect();
    found.sort();
    let layers = vec![DiffId(Digest::of(b"layer"))];
    Inventory { os: Some(("debian".into(), None)), layers, found, problems: vec!["a\nb".into()] }
}

proptest! {
    #[test]
    fn what_is_kept_is_what_was_found(names in proptest::collection::vec("[a-cC_+.-]{1,4}", 0..40), asked in "[a-c+.-]{1,3}") {
        let inventory = inventory(&names);
        let kept = Kept::of(Origin::Layers, &inventory);
        let again = Kept::parse(kept.text.clone().into_bytes()).unwrap();
        let is_asked = |found: &&Found| found.package.kind.key(&found.package.name) == asked;
        let mut named: Vec<_> = inventory.found.iter().filter(is_asked).cloned().collect();
        named.sort();
        let mut lines: Vec<_> = again.named(&asked).map(|line| found(&line).unwrap()).collect();
        lines.sort();
        prop_assert_eq!(lines, named);
        prop_assert_eq!(again.all().count(), inventory.found.len());
        prop_assert_eq!(again.inventory(), Some(inventory));
    }

    /// Whatever stands there, also by the hand of who has this account: no panic, and no word that is none.
    #[test]
    fn nothing_that_is_kept_is_taken_on_trust(
        names in proptest::collection::vec("[a-c]{1,4}", 1..9), at in any::<prop::sample::Index>(), byte in any::<u8>()
    ) {
        let mut bytes = Kept::of(Origin::Layers, &inventory(&names)).text.into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = byte;
        for bytes in [bytes[..at].to_vec(), bytes] {
            let Some(kept) = Kept::parse(bytes) else { continue };
            let mut lines: Vec<_> = kept.all().collect();
            lines.extend(kept.named("a"));
            let sources = lines.iter().flat_map(|line| line.source);
            let sources = sources.flat_map(|(name, version)| [Some(name), version]).flatten();
            let words = lines.iter().flat_map(|line| [line.key, line.name, line.version]);
            prop_assert!(words.chain(sources).all(is_word));
            let count = kept.all().count();
            if let Some(whole) = kept.inventory() {
                prop_assert_eq!(whole.found.len(), count);
                prop_assert!(whole.found.iter().all(|found| is_sound(&found.package)));
            }
        }
    }
}

/// A line that is none hid those behind it, and one that is not in its place is not found.
#[test]
fn a_bad_line_spoils_all() {
    let whole = Kept::of(Origin::Layers, &inventory(&["a".to_owned(), "b".to_owned()])).text;
    let [head, first, second] = whole.split_inclusive('\n').collect::<Vec<_>>()[..] else {
        panic!("{whole}")
    };
    for more in ["zz-1-1\n", "z\tdeb\t\t9 9\t\t\t\t{}\n", "z\tdeb\t\t9\tx\u{202e}\t\t\t{}\n"] {
        assert!(Kept::parse(format!("{whole}{more}").into_bytes()).is_none(), "{more:?}");
    }
    assert!(Kept::parse(format!("{head}{second}{first}").into_bytes()).is_none());
    assert!(Kept::parse(format!("{head}{first}{second}").into_bytes()).is_some());
}

#[test]
fn another_version_is_nothing() {
    let whole = Kept::of(Origin::Layers, &inventory(&["bash".to_owned()])).text;
    let other = whole.replacen("\"format\":3", "\"format\":4", 1);
    assert!(other != whole && Kept::parse(other.into_bytes()).is_none());
    assert!(Kept::parse(whole.into_bytes()).is_some());
}

/// PEP 503.
#[test]
fn a_python_name_is_found_however_it_is_written() {
    let package = Package::new(Kind::Pypi, "Ruamel.YAML", "1").unwrap();
    let found = vec![Found { package, path: String::new(), layer: 0 }];
    let inventory = Inventory { os: None, layers: Vec::new(), found, problems: Vec::new() };
    let kept = Kept::of(Origin::Layers, &inventory);
    assert_eq!(kept.named("ruamel-yaml").map(|line| line.name).collect::<Vec<_>>(), ["Ruamel.YAML"]);
    assert_eq!(kept.inventory(), Some(inventory));
}
