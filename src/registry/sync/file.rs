//! The list that `sync` reads: YAML, or JSON, which is YAML.

use std::collections::BTreeSet;
use std::fmt;
use std::marker::PhantomData;
use std::str::FromStr;

use glob::Pattern;
use larder_store::descriptor::Platform;
use larder_store::reference::Reference;
use semver::VersionReq;
use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};
use serde_saphyr::UserMessageFormatter;

use super::choose::Choice;
use super::place::{Below, destination, is_same_place};

/// A repository, and what is wanted of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// Without tag or digest.
    pub(crate) repository: Reference,
    pub(crate) choice: Choice,
    pub(crate) platforms: Platforms,
    /// The repository of another registry where it goes; else into the store.
    pub(crate) to: Option<Reference>,
}

/// Which images of a multi-platform one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Platforms {
    /// Nobody said it: this machine's in the store, all in another registry.
    Usual,
    All,
    These(Vec<Platform>),
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    registry: Option<Text>,
    repository: Text,
    tags: Option<List>,
    semver: Option<Text>,
    newest: Option<usize>,
    platforms: Option<List>,
    to: Option<Text>,
}

/// A scalar as it stands there: `12` and `25.04` are tags.
struct Text(String);

/// Several, or one.
struct List(Vec<String>);

struct Texts<T>(PhantomData<T>);

impl Visitor<'_> for Texts<Text> {
    type Value = Text;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text")
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Text, E> {
        Ok(Text(text.to_owned()))
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Text, D::Error> {
        deserializer.deserialize_str(Texts::<Text>(PhantomData))
    }
}

impl<'de> Visitor<'de> for Texts<List> {
    type Value = List;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<List, A::Error> {
        let mut list = Vec::new();
        while let Some(Text(item)) = seq.next_element()? {
            list.push(item);
        }
        Ok(List(list))
    }
}

impl<'de> Deserialize<'de> for List {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<List, D::Error> {
        deserializer.deserialize_seq(Texts::<List>(PhantomData))
    }
}

/// Reads the list; the error says where in it, a line or the number of an entry. What does not say itself where it goes goes below `to`.
pub(crate) fn parse(text: &str, to: Option<&Below>) -> Result<Vec<Entry>, String> {
    let options = serde_saphyr::options! { with_snippet: false };
    let written: Vec<Written> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| error.render_with_formatter(&UserMessageFormatter))?;
    let mut entries: Vec<Entry> = Vec::new();
    for (number, written) in written.into_iter().enumerate() {
        let shown = format!("entry {} ({})", number + 1, written.repository.0);
        let entry = entry(written, to).map_err(|why| format!("{shown}: {why}"))?;
        let goes_there = |other: &Entry| match (&other.to, &entry.to) {
            (Some(one), Some(to)) => is_same_place(one, to),
            _ => false,
        };
        if let (Some(to), Some(other)) = (&entry.to, entries.iter().position(goes_there)) {
            let why = "a place of its own for one of them (`to: HOST/REPOSITORY`) keeps them apart";
            return Err(format!(
                "{shown}: goes to {}, as entry {} does: {why}",
                to.familiar_name(),
                other + 1
            ));
        }
        let is_same =
            |other: &Entry| other.repository == entry.repository && other.to.is_none() && entry.to.is_none();
        if let Some(other) = entries.iter().position(is_same) {
            return Err(format!("{shown}: the same repository as entry {}: one of them says all", other + 1));
        }
        entries.push(entry);
    }
    Ok(entries)
}

fn entry(written: Written, below: Option<&Below>) -> Result<Entry, String> {
    let Text(path) = &written.repository;
    let repository = match &written.registry {
        Some(Text(registry)) => of_registry(registry, path)?,
        None => repository(path)?,
    };
    let mut choice = Choice { newest: written.newest, ..Choice::default() };
    (choice.names, choice.patterns) = tags(written.tags)?;
    if let Some(Text(range)) = &written.semver {
        let range = VersionReq::parse(range)
            .map_err(|why| format!("semver: {range:?} is no range of versions: {why}"))?;
        choice.range = Some(range);
    }
    if choice == (Choice { newest: choice.newest, ..Choice::default() }) {
        return Err("nothing says which tags: tags or semver (tags: ['*'] means all)".to_owned());
    }
    if choice.newest.is_some() && !choice.needs_tags() {
        return Err("newest chooses from what patterns or semver mean, and there are neither".to_owned());
    }
    let platforms = match written.platforms {
        None => Platforms::Usual,
        Some(List(list)) if list == ["all"] => Platforms::All,
        Some(List(list)) => {
            let one = |text: &String| {
                let why =
                    || format!("platforms: {text:?} is none: expected OS/ARCH, OS/ARCH/VARIANT, or [all]");
                Platform::parse(text).ok_or_else(why)
            };
            let list = list.iter().map(one).collect::<Result<Vec<_>, _>>()?;
            if list.is_empty() {
                return Err("platforms: none is named".to_owned());
            }
            Platforms::These(list)
        }
    };
    let to = match (&written.to, below) {
        (Some(Text(text)), _) => Some(destination(text)?),
        (None, Some(below)) => Some(below.place(&repository)?),
        (None, None) => None,
    };
    if to.as_ref().is_some_and(|to| is_same_place(to, &repository)) {
        return Err("to: it goes where it comes from".to_owned());
    }
    Ok(Entry { repository, choice, platforms, to })
}

/// Names, and patterns: what has a character that no tag has.
fn tags(list: Option<List>) -> Result<(BTreeSet<String>, Vec<Pattern>), String> {
    let (mut names, mut patterns) = (BTreeSet::new(), Vec::new());
    for text in list.into_iter().flat_map(|List(list)| list) {
        if text.contains(['*', '?', '[']) {
            let pattern =
                Pattern::new(&text).map_err(|why| format!("tags: {text:?} is no pattern: {}", why.msg))?;
            patterns.push(pattern);
        } else if Reference::from_str(&format!("x:{text}")).is_ok_and(|name| name.tag() == Some(&text)) {
            names.insert(text);
        } else {
            return Err(format!("tags: {text:?} is no tag"));
        }
    }
    Ok((names, patterns))
}

fn repository(text: &str) -> Result<Reference, String> {
    let last = text.rsplit('/').next().unwrap_or_default();
    if last.contains([':', '@']) {
        return Err(format!("{text:?} has a tag or a digest: tags has its place for them"));
    }
    text.parse().map_err(|why: larder_store::reference::ParseError| why.to_string())
}

fn of_registry(registry: &str, path: &str) -> Result<Reference, String> {
    if !registry.contains(['.', ':']) && registry != "localhost" {
        return Err(format!(
            "registry: {registry:?} is no host: expected one such as ghcr.io or localhost:5000"
        ));
    }
    repository(&format!("{registry}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_says_what_is_wanted() {
        let text = "
- repository: debian
  tags: [12, '13', 12-slim, testing-*]
- registry: quay.io
  repository: ci/tools
  semver: '>=1.2, <2'
  newest: 3
  platforms: [linux/amd64, linux/arm/v7]
- {repository: alpine, tags: ['3.*'], newest: 2, platforms: [all]}
";
        let list = parse(text, None).expect("a list");
        let [debian, tools, alpine] = &list[..] else { panic!("{list:?}") };
        assert_eq!(debian.repository.full().split(':').next(), Some("docker.io/library/debian"));
        assert_eq!(debian.choice.names.iter().collect::<Vec<_>>(), ["12", "12-slim", "13"]);
        assert_eq!((debian.choice.patterns.len(), &debian.platforms), (1, &Platforms::Usual));
        assert_eq!(tools.repository.familiar_name(), "quay.io/ci/tools");
        assert_eq!(tools.choice.newest, Some(3));
        assert!(matches!(&tools.platforms, Platforms::These(list) if list.len() == 2));
        assert_eq!(alpine.platforms, Platforms::All);
        let json = r#"[{"repository": "debian", "tags": ["12", "13", "12-slim", "testing-*"]}]"#;
        assert_eq!(parse(json, None).expect("a list")[0], *debian);
        assert_eq!(parse("[]", None), Ok(Vec::new()));
    }

    #[test]
    fn what_goes_to_another_registry_goes_there_once() {
        let text = "
- {repository: debian, tags: [12]}
- {repository: debian, tags: [12], to: r.example/other}
- {registry: quay.io, repository: library/debian, tags: [12], to: r.example/quay/debian}
";
        let places = |to: Option<&Below>| {
            let place = |entry: &Entry| entry.to.as_ref().map(Reference::familiar_name);
            parse(text, to).map(|list| list.iter().map(place).collect::<Vec<_>>())
        };
        let [other, quay] = ["r.example/other", "r.example/quay/debian"].map(|place| Some(place.to_owned()));
        assert_eq!(places(None), Ok(vec![None, other.clone(), quay.clone()]));
        let below: Below = "r.example/mirror".parse().expect("a place");
        let first = Some("r.example/mirror/library/debian".to_owned());
        assert_eq!(places(Some(&below)), Ok(vec![first, other, quay]));
        let same =
            "[{repository: debian, tags: [1]}, {registry: quay.io, repository: library/debian, tags: [1]}]";
        let why = parse(same, Some(&below)).expect_err("the same place");
        assert!(why.contains("r.example/mirror/library/debian, as entry 1"), "{why}");
    }

    #[test]
    fn what_is_wrong_is_said_with_its_place() {
        for (text, words) in [
            ("- tags: [1]", ["line 1", "repository"]),
            ("- repository: a\n  tag: 1", ["line 2", "tag"]),
            ("- repository: a\n  tags: 1", ["line 2", "sequence"]),
            ("- repository: a\n  newest: some\n  tags: ['*']", ["line 2", ""]),
            ("- repository: a", ["entry 1", "tags"]),
            ("- repository: a\n  newest: 2", ["entry 1", "nothing says"]),
            ("- repository: a\n  newest: 2\n  tags: [b]", ["entry 1", "newest"]),
            ("- repository: a:1\n  tags: [b]", ["entry 1", "tag"]),
            ("- repository: A\n  tags: [b]", ["entry 1", "lower-case"]),
            ("- repository: a\n  registry: 'x y.z'\n  tags: [b]", ["entry 1", "host"]),
            ("- repository: a\n  tags: [b]\n- repository: docker.io/library/a\n  tags: [c]", ["entry 2", ""]),
            ("- repository: a\n  tags: [b]\n- repository: a\n  tags: [c]", ["entry 2", "entry 1"]),
            ("- repository: a\n  tags: ['b c']", ["entry 1", "no tag"]),
            ("- repository: a\n  tags: ['[b']", ["entry 1", "no pattern"]),
            ("- repository: a\n  semver: new", ["entry 1", "range"]),
            ("- repository: a\n  tags: [b]\n  platforms: [amd64]", ["entry 1", "OS/ARCH"]),
            ("- repository: a\n  tags: [b]\n  platforms: []", ["entry 1", "none"]),
            ("- repository: a\n  registry: mirror\n  tags: [b]", ["entry 1", "no host"]),
            ("- repository: a\n  tags: [b]\n  to: mirror/a", ["entry 1", "HOST/REPOSITORY"]),
            ("- repository: a\n  tags: [b]\n  to: docker.io/a", ["entry 1", "where it comes from"]),
            (
                "- {repository: a, tags: [b], to: r.io/x}\n- {repository: c, tags: [b], to: r.io/x}",
                ["entry 2", "as entry 1"],
            ),
            ("repository: a", ["line 1", ""]),
        ] {
            let why = parse(text, None).expect_err(text);
            assert!(words.iter().all(|word| why.contains(word)), "{text}: {why}");
        }
    }
}
