//! The text of a registry, which is read whole and written whole.

use std::fs::File;

use larder_store::error::{Error, Result};
use larder_store::fs::{Dir, temporary_of};
use larder_store::store::Store;

use super::entry::Entry;
use crate::catalog::yaml::{self, Node, What};

/// Some 40,000 images with a hundred packages each.
const MAX_BYTES: u64 = 64 << 20;
/// Bytes that an entry, or the keys beside `images`, may have to be kept in a store: its index is read whole each time.
pub(crate) const KEPT: usize = 64 << 10;

/// A registry as it was read.
#[derive(Debug)]
pub(crate) struct Registry {
    text: String,
    root: Node,
}

/// What stayed of a text that was edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    All,
    /// Some comments could not stay where they were.
    NotComments,
}

/// Reads the one of a name in a folder, or an empty text where there is none; errors name the file.
pub(crate) fn reads<T>(dir: &Dir, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Result<T> {
    let shown = dir.at(name);
    let bytes = dir.read(name, MAX_BYTES)?.unwrap_or_default();
    let text = String::from_utf8(bytes).map_err(|_| Error::invalid(shown.display(), "is not text"))?;
    parse(&text).map_err(|why| Error::invalid(shown.display(), why))
}

impl Registry {
    /// As it was read.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Reads its text; the error says the line.
    pub(crate) fn parse(text: &str) -> Result<Registry, String> {
        let root = yaml::parse(text)?;
        if root.pairs().is_none() && !root.is_null() {
            return Err(root.refuse("is no mapping with `images`"));
        }
        if let Some(images) = root.get("images").filter(|images| !images.is_null()) {
            let items = images.items().ok_or_else(|| images.refuse("images is no list"))?;
            if let Some(item) = items.iter().find(|item| item.pairs().is_none()) {
                return Err(item.refuse("is no mapping of an image"));
            }
        }
        Ok(Registry { text: text.to_owned(), root })
    }

    /// What it lists.
    pub(crate) fn entries(&self) -> impl Iterator<Item = Entry<'_>> {
        self.root.get("images").and_then(Node::items).unwrap_or_default().iter().map(Entry)
    }

    /// Its keys beside `images` in one line, if there are any.
    pub(crate) fn keys(&self) -> Option<String> {
        let others = self.root.pairs()?.iter().filter(|(key, _)| key.scalar() != Some("images"));
        let others = Node::map(others.cloned().collect());
        others.pairs().is_some_and(|pairs| !pairs.is_empty()).then(|| yaml::flow(&others))
    }

    /// Its text with these entries: each in the place of the one of that number, or at the end. A new one begins with the keys
    /// that are kept, `version: 1` without any.
    pub(crate) fn with(&self, changed: Vec<(Option<usize>, Node)>, keys: Option<&str>) -> String {
        let mut wanted = self.root.clone();
        if wanted.pairs().is_none() {
            let kept = keys.and_then(|keys| yaml::parse(keys).ok()).filter(|kept| kept.pairs().is_some());
            let kept = kept.unwrap_or_else(|| Node::map(vec![(Node::text("version"), Node::plain(1))]));
            wanted = Node { is_flow: false, ..kept };
        }
        let list = wanted.get("images").filter(|images| images.items().is_some());
        let mut images = list.cloned().unwrap_or_else(|| Node { is_flow: false, ..Node::list(Vec::new()) });
        if let What::List(items) = &mut images.what {
            // An empty one in brackets grows lines.
            images.is_flow &= !items.is_empty();
            for (at, entry) in changed {
                match at {
                    Some(at) => items[at] = entry,
                    None => items.push(entry),
                }
            }
        }
        wanted.set("images", images);
        yaml::rewrite(&self.text, &self.root, &wanted)
    }

    /// Replaces the registry of this name by what `edit` makes of it, alone among all that do it so. Nothing is written where
    /// nothing changes.
    pub(crate) fn edit(
        store: &Store,
        dir: &Dir,
        name: &str,
        edit: impl FnOnce(&Registry) -> Result<String>,
    ) -> Result<Kept> {
        // The folder itself is locked: no file of ours need lie in it.
        let folder = dir.fd().try_clone().map(File::from).map_err(Error::io("open", dir.path()))?;
        store.locks().wait_exclusive(&folder, "lock of the folder of the registry")?;
        let is_ours = |file: &&String| temporary_of(file).and_then(|of| of.strip_prefix('.')) == Some(name);
        for left in dir.names()?.iter().filter(is_ours) {
            // Its writer was killed: it would have the lock.
            dir.unlink(left)?;
        }
        let edited = reads(dir, name, Registry::parse).and_then(|registry| {
            let text = edit(&registry)?;
            if text.len() as u64 > MAX_BYTES {
                let why = format!("would have {} bytes, more than the {MAX_BYTES} that are read", text.len());
                return Err(Error::invalid(dir.at(name).display(), why));
            }
            if text == registry.text {
                dir.sync()?;
                return Ok(Kept::All);
            }
            dir.replace(name, text.as_bytes(), dir)?;
            Ok(if comments(&text) < comments(&registry.text) { Kept::NotComments } else { Kept::All })
        });
        // By itself it would go with the folder's last descriptor only.
        let _ = folder.unlock();
        edited
    }
}

/// Where comments may begin: those in texts are counted as well, and stay.
fn comments(text: &str) -> usize {
    let begins = |(at, _): &(usize, &str)| text[..*at].chars().next_back().is_none_or(char::is_whitespace);
    text.match_indices('#').filter(begins).count()
}
