//! What a store knows of an image, written into its entry: only what changed since.

use larder_store::descriptor::Annotations;
use larder_store::index;
use larder_store::reference::Reference;
use larder_store::usage::Usage;

use super::entry::Entry;
use super::place;
use super::time::{like, time};
use crate::catalog::name::Variant;
use crate::catalog::yaml::{self, Node};

/// What a store knows of an image.
pub(crate) struct Image<'a> {
    pub(crate) reference: &'a Reference,
    /// Of its name.
    pub(crate) annotations: &'a Annotations,
    /// The entry that it came with.
    pub(crate) kept: Option<Node>,
    pub(crate) usage: Option<Usage>,
    /// In Go's words, where nobody declared it.
    pub(crate) architecture: Option<String>,
    /// When it came in (seconds since 1970).
    pub(crate) created: Option<i64>,
    /// Its place in the folder: `<project>/<name>.tar`.
    pub(crate) file: &'a str,
    /// Bytes of the file, where one was written.
    pub(crate) size: Option<u64>,
}

/// The entry of an image: the one of the registry, else the one that it came with, else a new one, with what is new.
pub(crate) fn updated(listed: Option<&Node>, image: &Image<'_>) -> Node {
    let base = listed.or(image.kept.as_ref());
    let mut entry = base.cloned().unwrap_or_else(|| new(image));
    let said = Entry(&entry).said(image.reference);
    let came_with = image.kept.as_ref().map(|kept| Entry(kept).said(image.reference).declared);
    for word in index::DECLARED {
        let key = format!("{}{word}", index::OURS);
        let now = image.annotations.get(&key);
        // What was changed in the store counts, and not what somebody wrote into the registry since.
        let is_changed = came_with.as_ref().is_none_or(|before| before.get(&key) != now);
        if let Some(now) = now.filter(|now| is_changed && said.declared.get(&key) != Some(now))
            && let Some((name, value)) = value_of(word, now)
        {
            entry.set(name, value);
        }
    }
    if base.is_none() && entry.get("architecture").is_none_or(Node::is_null) {
        let architecture = image.architecture.as_deref().map_or(Node::plain("null"), architecture);
        entry.set("architecture", architecture);
    }
    let have = Entry(&entry);
    if have.text("file").is_none_or(|file| is_elsewhere(file, image)) {
        entry.set("file", Node::text(image.file));
    }
    if let Some(size) = image.size {
        let size = format!("{:.1}", size as f64 / 1e6);
        if Entry(&entry).text("size_mb") != Some(&size) {
            entry.set("size_mb", Node::plain(size));
        }
    }
    if let Some(usage) = image.usage {
        let old = entry.get("last_used").cloned();
        let have = old.as_ref().and_then(Node::scalar).and_then(time);
        if usage.last > 0 && Some(usage.last) > have.or(said.last_used) {
            let precedent = old.filter(|_| have.is_some()).or_else(|| entry.get("created").cloned());
            entry.set("last_used", like(precedent.as_ref(), usage.last));
        }
        if usage.count > said.usage_count {
            entry.set("usage_count", Node::plain(usage.count));
        }
    }
    entry
}

/// Whether the entry's path is another one than that of a file that was written, or is none at all.
fn is_elsewhere(file: &str, image: &Image<'_>) -> bool {
    image.size.is_some() && place(file).ok().as_deref() != Some(image.file)
}

fn new(image: &Image<'_>) -> Node {
    let null = || Node::plain("null");
    let empty = || Node::list(Vec::new());
    let created = image.created.map_or_else(null, |created| like(None, created));
    let pairs = [
        ("name", Node::text(&image.name())),
        ("file", Node::text(image.file)),
        ("docker_tag", Node::text(&image.reference.familiar())),
        ("os", null()),
        ("architecture", null()),
        ("size_mb", null()),
        ("created", created),
        ("last_used", null()),
        ("usage_count", Node::plain(0)),
        ("packages", empty()),
        ("compilers", empty()),
        ("tools", empty()),
        ("variants", empty()),
    ];
    Node::map(pairs.into_iter().map(|(key, value)| (Node::text(key), value)).collect())
}

impl Image<'_> {
    /// The last part of its path, with a tag that is not `latest`.
    fn name(&self) -> String {
        let path = self.file.rsplit('/').next().unwrap_or_default();
        path.strip_suffix(".tar").unwrap_or(path).to_owned()
    }
}

/// The words of the annotation as the format has them; nothing of what has no key in it.
fn value_of(word: &str, value: &str) -> Option<(&'static str, Node)> {
    let list = || Node::list(value.split(',').map(Node::text).collect());
    Some(match word {
        "os" => ("os", Node::text(value)),
        "arch" => ("architecture", architecture(value)),
        "compilers" => ("compilers", list()),
        "packages" => ("packages", list()),
        "tools" => ("tools", list()),
        "variant" => {
            let suffixes = value.parse::<Variant>().ok()?.suffixes;
            ("variants", Node::list(suffixes.iter().map(|suffix| Node::text(&suffix.to_string())).collect()))
        }
        // It is the directory.
        _ => return None,
    })
}

fn architecture(go: &str) -> Node {
    Node::text(match go {
        "amd64" => "x86_64",
        "386" => "x86",
        other => other,
    })
}

/// The entry that an image came with, if it is of this name.
pub(crate) fn kept(annotations: &Annotations, reference: &Reference) -> Option<Node> {
    let entry = yaml::parse(annotations.get(index::REGISTRY)?).ok()?;
    let is_its = entry.pairs().is_some() && Entry(&entry).reference().ok().as_ref() == Some(reference);
    is_its.then_some(Node { is_flow: false, ..entry })
}
