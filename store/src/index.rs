//! The index: names and metadata of images, as values.
//!
//! Pure: no clock, no file. Names live in two annotations of an entry, `org.opencontainers.image.ref.name` (as
//! people type it) and `io.containerd.image.name` (the full form); ours are `dev.larder.*`. An entry without
//! `ref.name` is nameless. Entries and fields that this program does not know are kept.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::descriptor::{Annotations, Descriptor};
use crate::digest::Digest;
use crate::reference::Reference;

/// The name as people type it (OCI image spec, annotations.md).
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The full name, as containerd reads it.
pub const FULL_NAME: &str = "io.containerd.image.name";
/// Our namespace; what an archive brings in it is dropped.
pub const OURS: &str = "dev.larder.";
/// When the entry's content came in (RFC 3339, UTC).
pub const IMPORTED: &str = "dev.larder.imported";
/// Where it came from: `docker-archive`, `oci-archive`.
pub const ORIGIN: &str = "dev.larder.origin";
/// The [`ORIGIN`] of what a bundle brought.
pub const BUNDLE: &str = "bundle";
/// The digest of the manifest that stood in the source, where we made another.
pub const SOURCE_DIGEST: &str = "dev.larder.source-digest";
/// Present on a pinned name.
pub const PINNED: &str = "dev.larder.pinned";
/// On a nameless entry: the name it lost.
pub const WAS: &str = "dev.larder.was";
/// On a nameless entry: when it lost its name (RFC 3339, UTC).
pub const DISPLACED: &str = "dev.larder.displaced";
/// What an image is for, as somebody declared it; images of one project, os and variant are versions of each other.
pub const PROJECT: &str = "dev.larder.project";
/// See [`PROJECT`]: `ubuntu:25.04`.
pub const OS: &str = "dev.larder.os";
/// See [`PROJECT`]: `gcc15-asan`.
pub const VARIANT: &str = "dev.larder.variant";
/// Compilers with their versions, separated by commas: `gcc-15,clang-20`.
pub const COMPILERS: &str = "dev.larder.compilers";
/// Packages that somebody asked for, separated by commas.
pub const PACKAGES: &str = "dev.larder.packages";
/// Tools that somebody asked for, separated by commas.
pub const TOOLS: &str = "dev.larder.tools";
/// On what was made for a job: the digest of the project's own Dockerfile, or `generated`.
pub const DOCKERFILE: &str = "dev.larder.dockerfile";
/// Beside [`DOCKERFILE`], where that is the project's own: the digest of what it was built with and of the files that it copies.
pub const MADE_OF: &str = "dev.larder.made-of";
/// Of an image from a definition: the digest of all that it was made of, its bases included.
pub const DEFINITION: &str = "dev.larder.definition";
/// What somebody may declare of an image: these keys below [`OURS`].
pub const DECLARED: [&str; 7] = ["project", "os", "arch", "variant", "compilers", "tools", "packages"];
/// On an entry, what a registry of a folder had of it, as it was there; on the index itself, such a registry's other keys. One line of
/// YAML.
pub const REGISTRY: &str = "dev.larder.registry";
/// On an entry of an index: the children that were stored with it, separated by commas.
pub const CHILDREN: &str = "dev.larder.children";
/// The config's digest, so that a list of images need not open every manifest.
pub const IMAGE_ID: &str = "dev.larder.image-id";
/// Bytes of all blobs of the image as they are stored.
pub const SIZE: &str = "dev.larder.size";
/// Seconds since 1970 of the last use, folded in from `usage/`.
pub const LAST_USED: &str = "dev.larder.last-used";
/// How often it was used, folded in from `usage/`.
pub const USE_COUNT: &str = "dev.larder.use-count";

/// The store's table of contents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Index {
    #[serde(rename = "schemaVersion")]
    schema_version: u64,
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    media_type: Option<String>,
    // Go writes an empty list as null; one that is missing is damage.
    #[serde(deserialize_with = "nullable")]
    manifests: Vec<Descriptor>,
    #[serde(flatten)]
    extra: Map<String, Value>,
}

/// An `index.json` of somebody else's, for [`Index::plain`].
#[derive(Deserialize)]
pub(crate) struct Listing {
    #[serde(rename = "schemaVersion")]
    schema_version: u64,
    manifests: Option<PlainList>,
}

#[derive(Default, Deserialize)]
struct PlainList(#[serde(deserialize_with = "crate::descriptor::plain_list")] Vec<Descriptor>);

/// What [`Index::tag`] found under the name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tagged {
    /// Nothing: the name is new.
    New,
    /// The same content: only its metadata was brought up to date.
    Same,
    /// Other content, which is nameless now.
    Displaced(Digest),
}

/// Why a query names no entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotOne {
    /// Nothing matches.
    None,
    /// Several entries of different content match; their names or digests.
    Many(Vec<String>),
}

impl Default for Index {
    fn default() -> Index {
        Index {
            schema_version: 2,
            media_type: Some(crate::media_type::OCI_INDEX.to_owned()),
            manifests: Vec::new(),
            extra: Map::new(),
        }
    }
}

impl Index {
    /// Parses an `index.json`; the error is a phrase without the file's name.
    pub fn parse(bytes: &[u8]) -> Result<Index, String> {
        let index: Index = serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
        index.check().map(|()| index)
    }

    /// The index of an archive: what larder does not know of it is not kept, so that it stays small.
    pub(crate) fn plain(listing: Listing) -> Result<Index, String> {
        let index = Index {
            schema_version: listing.schema_version,
            manifests: listing.manifests.unwrap_or_default().0,
            ..Index::default()
        };
        index.check().map(|()| index)
    }

    /// What a parsed index must say of itself; the error is a phrase without the file's name.
    fn check(&self) -> Result<(), String> {
        match self.schema_version {
            2 => Ok(()),
            other => Err(format!("schemaVersion is {other}, not 2")),
        }
    }

    /// The bytes of an `index.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("an index of strings and numbers serialises")
    }

    /// An annotation of the index itself.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.extra.get("annotations")?.get(key)?.as_str()
    }

    /// Annotates the index itself; whatever else is there stays.
    pub fn annotate(&mut self, key: &str, value: String) {
        let annotations = self.extra.entry("annotations").or_insert_with(|| Value::Object(Map::new()));
        if !annotations.is_object() {
            *annotations = Value::Object(Map::new());
        }
        annotations[key] = Value::String(value);
    }

    /// All entries, in order.
    pub fn entries(&self) -> &[Descriptor] {
        &self.manifests
    }

    /// All entries, to change their annotations.
    pub fn entries_mut(&mut self) -> &mut Vec<Descriptor> {
        &mut self.manifests
    }

    /// Finds the entry that a text names: an exact `ref.name`; else a reference in any of its forms; else a
    /// digest of a manifest or an image ID, whole or its first 12 or more hex digits.
    pub fn resolve(&self, query: &str) -> Result<&Descriptor, NotOne> {
        let exact = self.entries().iter().filter(|entry| entry.annotation(REF_NAME) == Some(query));
        match one_of(exact) {
            Err(NotOne::None) => {}
            answer => return answer,
        }
        if let Ok(reference) = query.parse::<Reference>() {
            match one_of(self.named(&reference)) {
                Err(NotOne::None) => {}
                answer => return answer,
            }
        }
        let Some(hex) = hex_query(query) else { return Err(NotOne::None) };
        match one_of(self.entries().iter().filter(|entry| entry.digest.hex().starts_with(hex))) {
            Err(NotOne::None) => {
                let id = format!("sha256:{hex}");
                one_of(
                    self.entries()
                        .iter()
                        .filter(|entry| entry.annotation(IMAGE_ID).is_some_and(|have| have.starts_with(&id))),
                )
            }
            answer => answer,
        }
    }

    /// The entries that bear a name, in whatever form they write it.
    pub fn named<'a, 'r>(
        &'a self,
        reference: &'r Reference,
    ) -> impl Iterator<Item = &'a Descriptor> + use<'a, 'r> {
        self.entries().iter().filter(move |entry| bears(entry, reference))
    }

    /// Gives a name to a descriptor, whose annotations say all else that the entry shall say.
    ///
    /// What had the name keeps its place as a nameless entry that remembers it ([`WAS`]), since `now` (seconds since 1970).
    /// A pin stays with the name.
    pub fn tag(&mut self, reference: &Reference, mut entry: Descriptor, now: i64) -> Tagged {
        let mut tagged = Tagged::New;
        let was = reference.familiar();
        for old in self.manifests.iter_mut().filter(|old| bears(old, reference)) {
            if let Some(pin) = old.annotations.remove(PINNED) {
                entry.annotations.insert(PINNED.into(), pin);
            }
            if old.digest == entry.digest {
                unite_children(&old.annotations, &mut entry.annotations);
                carry(&old.annotations, &mut entry.annotations);
                tagged = if tagged == Tagged::New { Tagged::Same } else { tagged };
            } else {
                tagged = Tagged::Displaced(old.digest);
            }
            old.annotations.remove(REF_NAME);
            old.annotations.remove(FULL_NAME);
            old.annotations.insert(WAS.into(), was.clone());
            old.annotations.insert(DISPLACED.into(), timestamp(now));
        }
        self.tag_new(reference, entry);
        tagged
    }

    /// Like [`Index::tag`], for a name that no entry bears.
    pub fn tag_new(&mut self, reference: &Reference, mut entry: Descriptor) {
        let name = reference.familiar();
        // The content is back under its name: its nameless entry has nothing left to remember.
        self.manifests.retain(|old| {
            old.digest != entry.digest
                || old.annotation(WAS) != Some(&name)
                || old.annotations.contains_key(REF_NAME)
        });
        entry.annotations.insert(REF_NAME.into(), name);
        entry.annotations.insert(FULL_NAME.into(), reference.full());
        self.manifests.push(entry);
    }

    /// Removes every entry that bears the name; they are returned.
    pub fn untag(&mut self, reference: &Reference) -> Vec<Descriptor> {
        self.take(|entry| bears(entry, reference))
    }

    /// Removes the nameless entries of a digest; they are returned.
    pub fn forget(&mut self, digest: Digest) -> Vec<Descriptor> {
        self.take(|entry| entry.digest == digest && !entry.annotations.contains_key(REF_NAME))
    }

    /// Removes the entries that match; they are returned.
    pub fn take(&mut self, matches: impl Fn(&Descriptor) -> bool) -> Vec<Descriptor> {
        let entries = self.entries_mut();
        let (gone, kept) = std::mem::take(entries).into_iter().partition(|entry| matches(entry));
        *entries = kept;
        gone
    }
}

/// Whether an entry bears a name, in whichever form.
pub fn bears(entry: &Descriptor, reference: &Reference) -> bool {
    // Beside a full name `ref.name` may be a bare tag, which is no name.
    entry.annotations.contains_key(REF_NAME)
        && may_mean(entry, reference)
        && self::reference(entry).as_ref() == Some(reference)
}

/// Whether some text of the entry has in it what no form of the name leaves out: taking ten thousand texts apart costs
/// much more.
fn may_mean(entry: &Descriptor, reference: &Reference) -> bool {
    let last = reference.path().rsplit('/').next().unwrap_or_default();
    let tag = reference.tag().filter(|tag| *tag != "latest").unwrap_or_default();
    [FULL_NAME, REF_NAME]
        .into_iter()
        .filter_map(|key| entry.annotation(key))
        .any(|text| text.contains(last) && text.contains(tag))
}

/// The reference of an entry: the full name where it agrees with `ref.name` (which may be its bare tag), else `ref.name`.
/// Other tools give an entry another `ref.name` and leave the full name of the old one beside it.
pub fn reference(entry: &Descriptor) -> Option<Reference> {
    let name = entry.annotation(REF_NAME);
    let named = name.and_then(|text| text.parse::<Reference>().ok());
    let full = entry.annotation(FULL_NAME).and_then(|text| text.parse::<Reference>().ok());
    match (name, full) {
        (Some(name), Some(full)) if full.tag() == Some(name) || named.as_ref() == Some(&full) => Some(full),
        (None, full) => full,
        (Some(_), _) => named,
    }
}

/// The hex digits of a query that may be a digest: 12 at least, `sha256:` before them or not.
pub fn hex_query(query: &str) -> Option<&str> {
    let hex = query.strip_prefix("sha256:").unwrap_or(query);
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    ((12..=64).contains(&hex.len()) && hex.bytes().all(is_hex)).then_some(hex)
}

/// The name of an entry as people see it: short where its full name is known, else `ref.name` as it stands.
pub fn shown_name(entry: &Descriptor) -> Option<String> {
    let name = entry.annotation(REF_NAME)?;
    // As larder writes them: taking both apart would say the same, and takes as long as all else that a list needs.
    let is_short = |full: &str| match full.strip_prefix("docker.io/library/") {
        Some(short) => short == name && !short.contains('/'),
        None => full == name && !full.starts_with("docker.io/"),
    };
    if entry.annotation(FULL_NAME).is_some_and(is_short) {
        return Some(name.to_owned());
    }
    let full = reference(entry).filter(|full| entry.annotation(FULL_NAME) == Some(full.full().as_str()));
    Some(full.map_or_else(|| name.to_owned(), |full| full.familiar()))
}

/// Seconds since 1970 as annotations have them (RFC 3339, UTC).
pub fn timestamp(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::UNIX_EPOCH).to_string()
}

/// The time that an annotation has, seconds since 1970.
pub fn time(entry: &Descriptor, key: &str) -> Option<i64> {
    let text = entry.annotation(key)?;
    text.parse().map(jiff::Timestamp::as_second).ok()
}

/// The children that were stored with an entry of an index, as we noted them.
pub fn stored_children(entry: &Descriptor) -> Vec<Digest> {
    let listed = entry.annotation(CHILDREN).unwrap_or_default();
    listed.split(',').filter_map(|digest| digest.parse().ok()).collect()
}

/// Copies from old to new what belongs to the content and was not said anew: import time, uses, declared facts.
fn carry(old: &Annotations, new: &mut Annotations) {
    for (key, value) in old {
        if ![REF_NAME, FULL_NAME, WAS, DISPLACED].contains(&key.as_str()) {
            new.entry(key.clone()).or_insert_with(|| value.clone());
        }
    }
}

/// A sparse index that comes again has the children of both.
fn unite_children(old: &Annotations, new: &mut Annotations) {
    let (Some(before), Some(now)) = (old.get(CHILDREN), new.get_mut(CHILDREN)) else { return };
    for child in before.split(',').filter(|child| !child.is_empty()) {
        if !now.split(',').any(|other| other == child) {
            if !now.is_empty() {
                now.push(',');
            }
            now.push_str(child);
        }
    }
}

fn nullable<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Descriptor>, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

fn one_of<'a>(mut matching: impl Iterator<Item = &'a Descriptor>) -> Result<&'a Descriptor, NotOne> {
    let first = matching.next().ok_or(NotOne::None)?;
    let others: Vec<_> = matching.collect();
    if others.iter().all(|other| other.digest == first.digest) {
        // Aliases: prefer the one with a name.
        return Ok(std::iter::once(first)
            .chain(others)
            .find(|entry| entry.annotations.contains_key(REF_NAME))
            .unwrap_or(first));
    }
    let shown = |entry: &Descriptor| {
        let name = entry.annotation(REF_NAME).or(entry.annotation(WAS)).unwrap_or("(nameless)");
        format!("{name} ({})", entry.digest)
    };
    Err(NotOne::Many(std::iter::once(first).chain(others).map(shown).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type::OCI_MANIFEST;
    use proptest::prelude::*;

    fn entry(content: &str) -> Descriptor {
        Descriptor::new(OCI_MANIFEST, Digest::of(content.as_bytes()), content.len() as u64)
    }

    fn name(text: &str) -> Reference {
        text.parse().expect("a reference")
    }

    #[test]
    fn the_short_way_to_a_shown_name_says_what_the_long_one_says() {
        for (name, full) in [
            ("x:1", "docker.io/library/x:1"),
            ("library/x:1", "docker.io/library/x:1"),
            ("a/x:1", "docker.io/library/a/x:1"),
            ("me/x:1", "docker.io/me/x:1"),
            ("docker.io/x:1", "docker.io/x:1"),
            ("docker.io/library/x:1", "docker.io/library/x:1"),
            ("index.docker.io/x:1", "index.docker.io/x:1"),
            ("ghcr.io/me/x:1", "ghcr.io/me/x:1"),
            ("x", "docker.io/library/x"),
            ("1", "docker.io/library/x:1"),
            ("x:1", "docker.io/library/y:1"),
            ("No Name", "No Name"),
        ] {
            let mut entry = entry("m");
            entry.annotations.insert(REF_NAME.into(), name.into());
            entry.annotations.insert(FULL_NAME.into(), full.into());
            let known = reference(&entry).filter(|known| known.full() == full);
            let long = known.map_or_else(|| name.to_owned(), |known| known.familiar());
            assert_eq!(shown_name(&entry), Some(long), "{name} {full}");
        }
    }

    #[test]
    fn keeps_what_it_does_not_know() {
        let digest = Digest::of(b"x");
        let text = format!(
            r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"m","digest":"{digest}","size":1,"new":true}}],"annotations":{{"a":"b"}}}}"#
        );
        let index = Index::parse(text.as_bytes()).expect("an index");
        assert_eq!(String::from_utf8(index.to_bytes()).expect("text"), text);
        assert!(Index::parse(br#"{"schemaVersion":1,"manifests":[]}"#).is_err());
        assert!(Index::parse(br#"{"schemaVersion":2}"#).is_err());
        assert!(
            Index::parse(br#"{"schemaVersion":2,"manifests":null}"#).expect("an index").entries().is_empty()
        );
    }

    #[test]
    fn resolves_names_and_digests() {
        let mut index = Index::default();
        index.tag(&name("gcc15"), entry("a"), 0);
        index.tag(&name("127.0.0.1:5000/me/gcc15:v1"), entry("b"), 0);
        let (a, b) = (Digest::of(b"a"), Digest::of(b"b"));
        for (query, digest) in [
            ("gcc15", a),
            ("gcc15:latest", a),
            ("docker.io/library/gcc15:latest", a),
            ("127.0.0.1:5000/me/gcc15:v1", b),
            (a.to_string().as_str(), a),
            (&a.to_string()[..19], a),
            (&b.hex()[..12], b),
        ] {
            assert_eq!(index.resolve(query).map(|found| found.digest), Ok(digest), "{query}");
        }
        for query in ["gcc16", "gcc15:v1", "", &a.hex()[..11], "sha256:", "me/gcc15:v1"] {
            assert_eq!(index.resolve(query).map(|found| found.digest), Err(NotOne::None), "{query}");
        }
    }

    #[test]
    fn an_exact_name_wins_and_a_tie_names_both() {
        let mut index = Index::default();
        let mut foreign = entry("a");
        foreign.annotations.insert(REF_NAME.into(), "latest".into());
        foreign.annotations.insert(FULL_NAME.into(), "docker.io/library/tool:latest".into());
        index.entries_mut().push(foreign);
        assert_eq!(index.resolve("latest").map(|found| found.digest), Ok(Digest::of(b"a")));
        assert_eq!(index.resolve("tool").map(|found| found.digest), Ok(Digest::of(b"a")));
        let mut other = entry("b");
        other.annotations.insert(REF_NAME.into(), "docker.io/library/tool:latest".into());
        index.entries_mut().push(other);
        let Err(NotOne::Many(both)) = index.resolve("tool") else { panic!("a tie") };
        assert_eq!(both.len(), 2);
        assert_eq!(
            index.resolve("docker.io/library/tool:latest").map(|found| found.digest),
            Ok(Digest::of(b"b"))
        );
    }

    #[test]
    fn a_displaced_image_remembers_its_name_and_the_pin_moves() {
        let mut index = Index::default();
        let app = name("app:v1");
        assert_eq!(index.tag(&app, entry("old"), 0), Tagged::New);
        index.entries_mut()[0].annotations.insert(PINNED.into(), "true".into());
        assert_eq!(index.tag(&app, entry("new"), 0), Tagged::Displaced(Digest::of(b"old")));
        let old = &index.entries()[0];
        assert_eq!(
            (old.annotation(WAS), old.annotation(REF_NAME), old.annotation(PINNED)),
            (Some("app:v1"), None, None)
        );
        assert_eq!(index.resolve("app:v1").map(|found| found.annotation(PINNED)), Ok(Some("true")));
        assert_eq!(index.tag(&app, entry("new"), 0), Tagged::Same);
        assert_eq!(index.entries().len(), 2);
        assert_eq!(index.tag(&app, entry("old"), 0), Tagged::Displaced(Digest::of(b"new")));
        assert_eq!(index.entries().len(), 2, "the nameless entry of `old` went when it got its name back");
    }

    proptest! {
        /// Whatever is tagged and untagged: a name is one entry, and the last content tagged is what it means.
        #[test]
        fn a_name_means_the_last_content(steps in proptest::collection::vec((0u8..4, 0u8..4, any::<bool>()), 0..30)) {
            let mut index = Index::default();
            let mut model = std::collections::BTreeMap::new();
            for (who, what, removes) in steps {
                let (who, what) = (format!("n{who}:latest"), format!("c{what}"));
                if removes {
                    index.untag(&name(&who));
                    model.remove(&who);
                } else {
                    index.tag(&name(&who), entry(&what), 0);
                    model.insert(who, Digest::of(what.as_bytes()));
                }
            }
            let index = Index::parse(&index.to_bytes()).expect("what was written");
            let named: Vec<_> = index.entries().iter().filter_map(|e| Some((e.annotation(REF_NAME)?.to_owned(), e.digest))).collect();
            prop_assert_eq!(named.len(), model.len());
            prop_assert_eq!(named.into_iter().collect::<std::collections::BTreeMap<_, _>>(), model);
        }
    }
}
