//! The nearest name by the convention to a text that is off it.
//!
//! It says the same in the right words and order. Nothing is guessed or left out: a word that has no place in a name leaves no
//! nearest one. What is found is a name, so it parses.

use larder_store::reference::Reference;

use super::compiler::Compiler;
use super::name::{Name, Suffix, Variant};
use super::os::{KNOWN, Os};

/// Other words for known systems.
const SYSTEMS: [(&str, &str); 8] = [
    ("alma", "almalinux"),
    ("amazonlinux", "amzn"),
    ("archlinux", "arch"),
    ("leap", "opensuse-leap"),
    ("oraclelinux", "ol"),
    ("rockylinux", "rocky"),
    ("tumbleweed", "opensuse-tumbleweed"),
    ("voidlinux", "void"),
];

/// Systems without numbers, where saying nothing means the one that there is.
const ROLLING: [&str; 4] = ["arch", "gentoo", "opensuse-tumbleweed", "void"];

/// Code names of releases that images are made of.
const CODE_NAMES: [(&str, &str, &str); 12] = [
    ("debian", "buster", "10"),
    ("debian", "bullseye", "11"),
    ("debian", "bookworm", "12"),
    ("debian", "trixie", "13"),
    ("debian", "forky", "14"),
    ("ubuntu", "bionic", "18.04"),
    ("ubuntu", "focal", "20.04"),
    ("ubuntu", "jammy", "22.04"),
    ("ubuntu", "noble", "24.04"),
    ("ubuntu", "oracular", "24.10"),
    ("ubuntu", "plucky", "25.04"),
    ("ubuntu", "questing", "25.10"),
];

/// Other words for suffixes.
const SUFFIXES: [(&str, Suffix); 6] = [
    ("coverage", Suffix::Cov),
    ("gcov", Suffix::Cov),
    ("i386", Suffix::X86),
    ("i686", Suffix::X86),
    ("m32", Suffix::X86),
    ("32bit", Suffix::X86),
];

/// The reference with the nearest name to what somebody typed: the tag and, in lower case, what is before the name stay.
pub(crate) fn nearest(text: &str) -> Option<Reference> {
    let (before, rest) = text.rsplit_once('/').map_or(("", text), |(before, rest)| (before, rest));
    let (name, tag) = rest.split_once(':').map_or((rest, None), |(name, tag)| (name, Some(tag)));
    let mut text = normalize(name)?.to_string();
    if !before.is_empty() {
        text = format!("{}/{text}", before.to_ascii_lowercase());
    }
    if let Some(tag) = tag {
        text = format!("{text}:{tag}");
    }
    text.parse().ok().filter(|found: &Reference| found.digest().is_none())
}

/// The nearest name to a text; a name is its own.
pub(crate) fn normalize(text: &str) -> Option<Name> {
    if let Ok(name) = text.parse() {
        return Some(name);
    }
    let text = text.to_ascii_lowercase().replace("clang++", "clang").replace("g++", "gcc").replace(' ', "-");
    // An underscore may be the project's own.
    in_order(&text).or_else(|| in_order(&text.replace('_', "-")))
}

/// What a word or some of them mean.
enum Part {
    Os(Os),
    Compiler(Compiler),
    Suffix(Suffix),
    Word,
}

fn in_order(text: &str) -> Option<Name> {
    let words: Vec<_> = text.split('-').filter(|word| !word.is_empty()).collect();
    let mut parts = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let (part, count) = part(&words[at..]);
        parts.push((part, &words[at..at + count]));
        at += count;
    }
    // Words before the last os are the project, but for a variant right before it.
    let here = parts.iter().rposition(|(part, _)| matches!(part, Part::Os(_)))?;
    let misplaced = parts[..here].iter().rev();
    let misplaced = misplaced.take_while(|(part, _)| matches!(part, Part::Compiler(_) | Part::Suffix(_)));
    let end = here - misplaced.count();
    let project = parts[..end].iter().flat_map(|(_, words)| words.iter().copied()).collect::<Vec<_>>();
    let Part::Os(os) = &parts[here].0 else { return None };
    let mut variant = Variant::default();
    for (part, _) in parts[end..here].iter().chain(&parts[here + 1..]) {
        match part {
            Part::Suffix(suffix) => drop(variant.suffixes.insert(*suffix)),
            Part::Compiler(compiler) if variant.compiler.as_ref().is_none_or(|have| have == compiler) => {
                variant.compiler = Some(compiler.clone());
            }
            // A second one, or a word without a place.
            _ => return None,
        }
    }
    Name::new(project.join("-").parse().ok()?, os.clone(), variant).ok()
}

/// What the first words mean, and how many of them.
fn part(words: &[&str]) -> (Part, usize) {
    let joined = |count: usize| words.get(..count).map(|words| words.join("-"));
    for count in [3, 2, 1] {
        let Some(text) = joined(count) else { continue };
        if let Ok(compiler) = text.parse() {
            return (Part::Compiler(compiler), count);
        }
        if let Some(os) = system(&text) {
            return (Part::Os(os), count);
        }
    }
    let first = words[0];
    let known = SUFFIXES.into_iter().find(|(other, _)| *other == first).map(|(_, suffix)| suffix);
    match first.parse().ok().or(known) {
        Some(suffix) => (Part::Suffix(suffix), 1),
        None => (Part::Word, 1),
    }
}

/// An os in any of its spellings: `ubuntu-25.04`, `ubuntu25.04`, `ubuntu-noble`, `archlinux`.
pub(super) fn system(text: &str) -> Option<Os> {
    let names = KNOWN.iter().map(|name| (*name, *name)).chain(SYSTEMS);
    names.filter_map(|(spelt, name)| Some((name, text.strip_prefix(spelt)?))).find_map(|(name, rest)| {
        let version = rest.strip_prefix('-').unwrap_or(rest);
        let number = CODE_NAMES.iter().find(|(os, code, _)| *os == name && *code == version);
        match number {
            Some((_, _, number)) => Os::new(name, number).ok(),
            None if rest.is_empty() && ROLLING.contains(&name) => Os::new(name, "rolling").ok(),
            None => Os::new(name, version).ok(),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::compiler::{self, FAMILIES};
    use crate::catalog::name::Project;
    use crate::catalog::os;
    use proptest::prelude::*;

    #[test]
    fn the_lists_say_what_names_know() {
        assert!(SYSTEMS.iter().all(|(other, name)| KNOWN.contains(name) && !KNOWN.contains(other)));
        assert!(ROLLING.iter().all(|name| KNOWN.contains(name)));
        assert!(CODE_NAMES.iter().all(|(name, _, number)| KNOWN.contains(name) && os::is_version(number)));
    }

    fn name() -> impl Strategy<Value = Name> {
        let project = "[a-z0-9]{1,5}([-._][a-z0-9]{1,4}){0,3}";
        let version = "[1-9][0-9]?(\\.[0-9]{2})?|rolling|sid|edge";
        let compiler =
            proptest::option::of((proptest::sample::select(&FAMILIES[..]), "[1-9][0-9]?(\\.[0-9])?"));
        let suffixes = proptest::sample::subsequence(Suffix::ALL.to_vec(), 0..=5);
        (project, proptest::sample::select(KNOWN), version, compiler, suffixes).prop_filter_map(
            "no project",
            |(project, os, version, compiler, suffixes)| {
                let compiler =
                    compiler.map(|(family, version)| Compiler::new(family, &version).expect("one"));
                let variant = Variant { compiler, suffixes: suffixes.into_iter().collect() };
                Name::new(project.parse().ok()?, Os::new(os, &version).expect("one"), variant).ok()
            },
        )
    }

    /// Words that names are made of, and some that they are not.
    fn soup() -> impl Strategy<Value = String> {
        let word = prop_oneof![
            3 => proptest::sample::select(KNOWN).prop_map(str::to_owned),
            3 => "[1-9][0-9](\\.[0-9]{2})?",
            3 => proptest::sample::select(&FAMILIES[..]).prop_flat_map(|family| "[1-9]?[0-9]?".prop_map(move |v| format!("{family}{v}"))),
            3 => proptest::sample::select(&["cov", "asan", "ubsan", "tsan", "x86", "rolling", "sid", "leap", "opensuse", "apple", "coverage"][..]).prop_map(str::to_owned),
            2 => "[a-z0-9._]{0,4}",
            1 => "\\PC{0,3}",
        ];
        (proptest::collection::vec(word, 1..7), prop_oneof![9 => Just("-"), 1 => Just("_")])
            .prop_map(|(words, by)| words.join(by))
    }

    /// Names of which two words changed places: some are names still, or again.
    fn turned() -> impl Strategy<Value = String> {
        (name(), any::<[proptest::sample::Index; 2]>()).prop_map(|(name, at)| {
            let text = name.to_string();
            let mut words: Vec<_> = text.split('-').collect();
            let count = words.len();
            words.swap(at[0].index(count), at[1].index(count));
            words.join("-")
        })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(name in name()) {
            let text = name.to_string();
            prop_assert_eq!(text.parse::<Name>(), Ok(name.clone()), "{}", text);
            let reference: Reference = text.parse().expect("every name is a reference");
            prop_assert_eq!(Name::of(&reference), Ok(name.clone()));
            prop_assert_eq!(normalize(&text), Some(name.clone()));
            let project = name.project().to_string();
            prop_assert_eq!(&project.parse::<Project>().expect("a project"), name.project());
            prop_assert_eq!(&name.os().to_string().parse::<Os>().expect("an os"), name.os());
            if !name.variant().is_plain() {
                prop_assert_eq!(&name.variant().to_string().parse::<Variant>().expect("a variant"), name.variant());
            }
        }

        #[test]
        fn what_is_read_is_written(text in prop_oneof![soup(), turned()]) {
            if let Ok(name) = text.parse::<Name>() {
                prop_assert_eq!(name.to_string(), text);
            }
        }

        #[test]
        fn whatever_is_proposed_parses_and_is_its_own_nearest(text in prop_oneof![soup(), turned()], tag in "(:[A-Za-z0-9._-]{0,4})?", before in "([A-Za-z.]{1,5}(:[0-9]{1,3})?/)?") {
            if let Some(name) = normalize(&text) {
                prop_assert_eq!(name.to_string().parse::<Name>(), Ok(name.clone()));
                prop_assert_eq!(normalize(&name.to_string()), Some(name));
            }
            if let Some(reference) = nearest(&format!("{before}{text}{tag}")) {
                prop_assert!(Name::of(&reference).is_ok(), "{}", reference);
                prop_assert_eq!(nearest(&reference.to_string()), Some(reference));
            }
        }

        /// Whatever is misspelt in the ways that people have, it is found again.
        #[test]
        fn a_misspelt_name_is_found_again(name in name(), ways in 0u8..32, turn in 0usize..6) {
            let os = if ways & 1 == 1 { name.os().in_name().replacen("-rolling", "--rolling", 1) } else { name.os().in_name() };
            let mut parts = vec![name.project().to_string(), os];
            let compiler = name.variant().compiler.as_ref();
            let compiler = compiler.map(|c| if ways & 2 == 2 { c.to_string() } else { c.in_name() });
            let mut suffixes: Vec<_> = name.variant().suffixes.iter().map(Suffix::to_string).collect();
            if !suffixes.is_empty() {
                let by = turn % suffixes.len();
                suffixes.rotate_left(by);
                suffixes.push(suffixes[0].clone());
            }
            if ways & 4 == 4 { parts.extend(suffixes); parts.extend(compiler) } else { parts.extend(compiler); parts.extend(suffixes) }
            let mut text = parts.join("-");
            if ways & 8 == 8 { text = text.to_ascii_uppercase() }
            if ways & 16 == 16 && !text.contains('_') { text = text.replace('-', "_") }
            prop_assert_eq!(normalize(&text), Some(name), "{}", text);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,60}") {
            let _ = (text.parse::<Name>(), nearest(&text));
            let _ = (text.parse::<Compiler>(), compiler::is_version(&text), os::is_version(&text));
        }
    }
}
