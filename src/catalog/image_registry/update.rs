//! What a store knows of an image, written into its entry: only what changed since.

use larder_store::index;

use super::entry::Entry;
use super::parts;
use super::stored::Stored;
use super::time::{like, time, time_in_utc};
use crate::catalog::name::Variant;
use crate::catalog::yaml::{Node, What};

/// What is known of an image's archive in the folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Archive {
    /// Nothing: only the registry is written.
    Unknown,
    /// It was there already, with so many bytes.
    There(u64),
    /// It was written, with so many bytes.
    Written(u64),
}

/// Whether there is nothing new to say in an entry.
pub(crate) fn is_current(listed: Entry<'_>, image: &Stored<'_>, file: &str, archive: Archive) -> bool {
    updated(Some(listed), image, file, archive) == *listed.0
}

/// The entry of an image: the one of the registry, else the one that it came with, else a new one, with what is new.
pub(crate) fn updated(listed: Option<Entry<'_>>, image: &Stored<'_>, file: &str, archive: Archive) -> Node {
    let listed = listed.map(|entry| entry.0);
    let base = listed.or(image.kept.as_ref());
    let mut entry = base.cloned().unwrap_or_else(|| new(image, file));
    let said = Entry(&entry).said(&image.reference);
    let came_with = image.kept.as_ref().map(|kept| Entry(kept).said(&image.reference).declared);
    for word in index::DECLARED {
        let key = format!("{}{word}", index::OURS);
        let now = image.entry.annotations.get(&key);
        // So does what was taken away in the store: an empty list, or null.
        let is_gone = now.is_none() && came_with.as_ref().is_some_and(|before| before.contains_key(&key));
        if base.is_some() && is_gone && said.declared.contains_key(&key) {
            if let Some((name, value)) = nothing(word) {
                entry.set(name, value);
            }
            continue;
        }
        // What was changed in the store counts, and not what somebody wrote into the registry since.
        let is_changed = came_with.as_ref().is_none_or(|before| before.get(&key) != now);
        let new = match base {
            Some(_) => now.filter(|now| is_changed && said.declared.get(&key) != Some(now)),
            // Readers of the format know nothing of the convention of names.
            None => now.or(said.declared.get(&key)),
        };
        if let Some((name, value)) = new.and_then(|new| value_of(word, new)) {
            entry.set(name, value);
        }
    }
    if base.is_none() && entry.get("architecture").is_none_or(Node::is_null) {
        let architecture = image.architecture.as_deref().map_or(Node::plain("null"), architecture);
        entry.set("architecture", architecture);
    }
    let is_its = |listed: &str| {
        archive == Archive::Unknown || parts(listed).is_ok_and(|parts| parts.join("/") == file)
    };
    if !Entry(&entry).text("file").is_some_and(is_its) {
        entry.set("file", Node::text(file));
    }
    let size = match archive {
        Archive::Written(size) => Some(size),
        Archive::There(size) => Some(size).filter(|_| listed.is_none()),
        Archive::Unknown => None,
    };
    if let Some(size) = size.map(megabytes).filter(|size| entry.get("size_mb") != Some(size)) {
        entry.set("size_mb", size);
    }
    if let Some(usage) = image.usage {
        let old = entry.get("last_used").cloned();
        let have = |read: fn(&str) -> Option<i64>| old.as_ref().and_then(Node::scalar).and_then(read);
        // One without a zone came in as the latest that it can mean, and was written in UTC: what was used since counts from that on.
        let is_used = usage.count > said.usage_count && Some(usage.last) > have(time_in_utc);
        let (is_time, latest) = (have(time).is_some(), have(time).or(said.last_used));
        if usage.last > 0 && (is_used || Some(usage.last) > latest) {
            let precedent = old.filter(|_| is_time).or_else(|| entry.get("created").cloned());
            entry.set("last_used", like(precedent.as_ref(), usage.last));
        }
        if usage.count > said.usage_count {
            let is_text = matches!(entry.get("usage_count").map(|old| &old.what), Some(What::Text(_)));
            let number = usage.count.to_string();
            entry.set("usage_count", if is_text { Node::quoted(&number) } else { Node::plain(number) });
        }
    }
    entry
}

fn new(image: &Stored<'_>, file: &str) -> Node {
    let null = || Node::plain("null");
    let empty = || Node::list(Vec::new());
    let name = file.rsplit('/').next().unwrap_or_default();
    let pairs = [
        ("name", Node::text(name.strip_suffix(".tar").unwrap_or(name))),
        ("file", Node::text(file)),
        ("docker_tag", Node::text(&image.reference.familiar())),
        ("os", null()),
        ("architecture", null()),
        ("size_mb", megabytes(image.size)),
        ("created", image.imported.map_or_else(null, |imported| like(None, imported))),
        ("last_used", null()),
        ("usage_count", Node::plain(0)),
        ("packages", empty()),
        ("compilers", empty()),
        ("tools", empty()),
        ("variants", empty()),
    ];
    Node::map(pairs.into_iter().map(|(key, value)| (Node::text(key), value)).collect())
}

/// Millions of bytes.
fn megabytes(bytes: u64) -> Node {
    Node::plain(format!("{:.1}", bytes as f64 / 1e6))
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

/// What the format has where nothing is declared.
fn nothing(word: &str) -> Option<(&'static str, Node)> {
    let null = || Node::plain("null");
    let empty = || Node::list(Vec::new());
    Some(match word {
        "os" => ("os", null()),
        "arch" => ("architecture", null()),
        "compilers" => ("compilers", empty()),
        "packages" => ("packages", empty()),
        "tools" => ("tools", empty()),
        "variant" => ("variants", empty()),
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
