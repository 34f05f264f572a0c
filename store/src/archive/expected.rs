//! Whether an archive holds just what somebody else said that it would: names and digests. Pure.

use std::collections::BTreeMap;

use super::plan::PlannedImage;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::reference::Reference;

/// Refuses an archive that lacks one of these, has another image under its name, or has more names than these.
pub(super) fn check(images: &[PlannedImage], expected: &[(Reference, Digest)]) -> Result<()> {
    let named = |image: &PlannedImage| {
        let kept = image.kept_root();
        image.names.iter().map(|name| (name.clone(), kept)).collect::<Vec<_>>()
    };
    let found: BTreeMap<_, _> = images.iter().flat_map(named).collect();
    let differences = differences(&found, expected);
    match differences.is_empty() {
        true => Ok(()),
        false => Err(Error::NotExpected { differences }),
    }
}

/// What differs, a phrase each. An image whose manifest is made here has no digest that anybody could have known.
fn differences(found: &BTreeMap<Reference, Option<Digest>>, expected: &[(Reference, Digest)]) -> Vec<String> {
    let one = |(name, digest): &(Reference, Digest)| match found.get(name) {
        Some(Some(other)) if other == digest => None,
        Some(Some(other)) => Some(format!("{name} is {other}, and {digest} was expected")),
        Some(None) => Some(format!("{name} comes without a digest, and {digest} was expected")),
        None => Some(format!("{name} is not in it")),
    };
    let more = found.keys().filter(|name| !expected.iter().any(|(known, _)| known == *name));
    let more = more.map(|name| format!("{name} was not expected"));
    expected.iter().filter_map(one).chain(more).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_differs_is_told() {
        let digest = |byte: &str| format!("sha256:{}", byte.repeat(64)).parse::<Digest>().expect("a digest");
        let name = |text: &str| text.parse::<Reference>().expect("a name");
        let (one, two) = (digest("1"), digest("2"));
        let found = BTreeMap::from([(name("a:1"), Some(one)), (name("b:1"), Some(two)), (name("c:1"), None)]);
        let told = |expected: &[(&str, Digest)]| {
            let expected: Vec<_> = expected.iter().map(|(text, digest)| (name(text), *digest)).collect();
            differences(&found, &expected).join("; ")
        };
        let without = format!("c:1 comes without a digest, and {one} was expected");
        for (expected, said) in [
            (vec![("a:1", one), ("docker.io/library/b:1", two), ("c:1", one)], without.clone()),
            (
                vec![("a:1", two), ("b:1", two), ("c:1", one)],
                format!("a:1 is {one}, and {two} was expected; {without}"),
            ),
            (
                vec![("b:1", two), ("c:1", one), ("d:1", one)],
                format!("{without}; d:1 is not in it; a:1 was not expected"),
            ),
            (vec![], "a:1 was not expected; b:1 was not expected; c:1 was not expected".to_owned()),
        ] {
            assert_eq!(told(&expected), said);
        }
        let fits = BTreeMap::from([(name("a:1"), Some(one))]);
        assert!(differences(&fits, &[(name("a"), one)]).len() == 2);
        assert!(differences(&fits, &[(name("a:1"), one)]).is_empty());
    }
}
