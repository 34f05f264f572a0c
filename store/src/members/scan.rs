//! Going through one layer: what its members do to what is known.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use super::held::Held;
use super::layer::Layer;
use super::state::{Content, Kind, Node, State};
use crate::cancel::Cancel;
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::tree::{join, split};
use crate::unpack::member::{Member, Members, What};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself.
const OF_AUFS: &[u8] = b".wh..wh.";
/// Nodes that may matter, and symbolic links, of one image.
pub const MAX_KEPT: usize = 1_000_000;
/// Bytes of one file that is read.
pub const MAX_CONTENT: u64 = 64 << 20;

/// What is to be known of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Keep {
    Nothing,
    /// What `lstat` says.
    Node,
    /// Its content too.
    Content,
}

/// One pass over the layers.
pub(super) struct Scan<'a> {
    pub(super) state: State,
    pub(super) keep: &'a dyn Fn(&[u8]) -> Keep,
    /// Targets of hard links that matter and were not kept.
    pub(super) lacking: Vec<Vec<u8>>,
    /// Every file whose content matters, of every layer, lowest first by path, also where a later layer has another one; but of
    /// none that was taken away.
    pub(super) passed: BTreeMap<Vec<u8>, Vec<Content>>,
    /// How many that are.
    count: usize,
    /// The directory of the last member, as it was written, and where that is.
    parent: Option<(Vec<u8>, Vec<u8>)>,
    layer: usize,
    /// Of these, what it takes away.
    gone: BTreeSet<Vec<u8>>,
    /// Content that need not be read again.
    pub(super) held: Held,
}

impl<'a> Scan<'a> {
    pub(super) fn new(keep: &'a dyn Fn(&[u8]) -> Keep) -> Scan<'a> {
        let mut state = State::default();
        if keep(b"") != Keep::Nothing {
            state.nodes.insert(Vec::new(), implied(0));
        }
        Scan {
            state,
            keep,
            lacking: Vec::new(),
            passed: BTreeMap::new(),
            count: 0,
            parent: None,
            layer: 0,
            gone: BTreeSet::new(),
            held: Held::default(),
        }
    }

    /// Takes the next layer, whose bytes must be what its diff ID says.
    pub(super) fn layer(&mut self, layer: &Layer, cancel: &Cancel) -> Result<()> {
        let mut plain = Hashed { inner: layer.plain()?, hasher: Hasher::new() };
        let failed = |error: Error| match error {
            // No answer of the disk: the layer's own bytes are wrong.
            Error::Io { source, .. } if source.raw_os_error().is_none() => layer.failed(source),
            error => error.within(layer.name.clone()),
        };
        let mut members = Members::new(&mut plain);
        while let Some(member) = members.next().map_err(failed)? {
            cancel.check()?;
            let done = self.member(&member, &mut members);
            done.map_err(|e| e.within(format!("member {:?}", String::from_utf8_lossy(&member.path))))
                .map_err(failed)?;
        }
        // What stands behind the end belongs to the diff ID as well.
        std::io::copy(&mut plain, &mut std::io::sink()).map_err(|e| layer.failed(e))?;
        let found = DiffId(plain.hasher.finish());
        if found != layer.diff_id {
            let why = format!("diff ID mismatch: it unpacks to {found}, and {} is announced", layer.diff_id);
            return Err(Error::damaged(&layer.name, why));
        }
        for path in std::mem::take(&mut self.gone) {
            // Unless this layer has another one; what comes again in a later one is new.
            if !matches!(self.state.nodes.get(&path), Some(Node { kind: Kind::File(_), .. })) {
                self.count -= self.passed.remove(&path).map_or(0, |files| files.len());
            }
        }
        self.layer += 1;
        self.parent = None;
        Ok(())
    }

    fn member(&mut self, member: &Member, content: &mut Members<'_>) -> Result<()> {
        let (parent, name) = split(&member.path);
        let node = Node::new(Kind::Directory, member.mode, member.uid, member.gid);
        let mut node = Node { layer: self.layer, ..node };
        if name.is_empty() {
            if member.what != What::Directory {
                return Err(Error::invalid("it", "would take the place of the root directory"));
            }
            if (self.keep)(b"") != Keep::Nothing {
                self.state.nodes.insert(Vec::new(), node);
            }
            return Ok(());
        }
        let is_marker = name.starts_with(OF_AUFS) && name != OPAQUE;
        if is_marker || parent.split(|byte| *byte == b'/').any(|name| name.starts_with(OF_AUFS)) {
            return Ok(());
        }
        let parent = self.directory(parent)?;
        if name == OPAQUE {
            self.parent = None;
            // Overlayfs merges the root directories of all layers, whatever they are marked as.
            if !parent.is_empty() {
                let gone = self.state.remove_below(&parent, self.layer);
                self.forget(gone);
            }
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            if matches!(hidden, b"" | b"." | b"..") {
                return Err(Error::invalid("it", "hides what is no name"));
            }
            self.parent = None;
            let gone = self.state.remove(&join(&parent, hidden), self.layer);
            self.forget(gone);
            return Ok(());
        }
        let path = join(&parent, name);
        let keep = (self.keep)(&path);
        node.kind = match &member.what {
            What::Directory => Kind::Directory,
            What::Char(..) => Kind::Char,
            What::Block(..) => Kind::Block,
            What::Fifo => Kind::Fifo,
            What::Symlink(target) => Kind::Link(target.clone()),
            What::HardLink(target) => return self.hard_link(&path, target, keep),
            What::File => Kind::File(self.content(member, content, keep)?),
        };
        if let Kind::Link(_) = node.kind {
            node.mode = 0o777;
        }
        if let Kind::File(content) = &node.kind
            && keep == Keep::Content
            && self.count < MAX_KEPT
        {
            self.count += 1;
            self.passed.entry(path.clone()).or_default().push(content.clone());
        }
        self.put(&path, node, keep)
    }

    fn put(&mut self, path: &[u8], node: Node, keep: Keep) -> Result<()> {
        let is_link = matches!(node.kind, Kind::Link(_)) || self.state.links.contains_key(path);
        if is_link || self.parent.as_ref().is_some_and(|(_, parent)| parent.starts_with(path)) {
            // Ways that led over it are to be found anew.
            self.parent = None;
        }
        let gone = self.state.put(path, node, keep != Keep::Nothing);
        self.forget(gone);
        if self.state.nodes.len() + self.state.links.len() > MAX_KEPT {
            return Err(Error::invalid(
                "the image",
                "has more links, or files that are asked for, than are looked at",
            ));
        }
        Ok(())
    }

    /// What was at these paths is no earlier state of what may come to them.
    fn forget(&mut self, gone: Vec<Vec<u8>>) {
        self.gone.extend(gone.into_iter().filter(|path| self.passed.contains_key(path)));
    }

    fn content(&mut self, member: &Member, members: &mut Members<'_>, keep: Keep) -> Result<Content> {
        let (size, offset) = (member.size, members.position());
        let mut digest = None;
        if keep == Keep::Content && size <= MAX_CONTENT {
            let mut held = self.held.has_room(size).then(Vec::new);
            let (mut hasher, mut buffer) = (Hasher::new(), vec![0; 64 << 10]);
            loop {
                let count = members.read(&mut buffer)?;
                if count == 0 {
                    break;
                }
                hasher.update(&buffer[..count]);
                held.iter_mut().for_each(|held| held.extend_from_slice(&buffer[..count]));
            }
            digest = Some(hasher.finish());
            if let Some(bytes) = held {
                self.held.put(self.layer, offset, bytes);
            }
        }
        Ok(Content { size, layer: self.layer, offset, digest })
    }

    fn hard_link(&mut self, path: &[u8], target: &[u8], keep: Keep) -> Result<()> {
        let (parent, last) = split(target);
        let target = join(&self.state.resolve(parent, true)?, last);
        if target == path {
            return Ok(());
        }
        let there = self.state.nodes.get(&target).or_else(|| self.state.links.get(&target)).cloned();
        let node = match there {
            Some(Node { kind: Kind::Directory, .. }) => {
                return Err(Error::invalid("it", "is a hard link to a directory"));
            }
            Some(node) => {
                // What is linked to comes into this layer: overlayfs links nothing across layers.
                self.state.claim(&target, self.layer);
                Node { layer: self.layer, ..node }
            }
            // No symbolic link, and nobody asked for it.
            None if keep == Keep::Nothing => {
                self.parent = None;
                let gone = self.state.remove(path, usize::MAX);
                self.forget(gone);
                return Ok(());
            }
            None => {
                // What is lacking may be what it is a link to; the next pass has that.
                if self.lacking.is_empty() && (self.keep)(&target) != Keep::Nothing {
                    let why =
                        format!("is a link to {:?}, which is not there", String::from_utf8_lossy(&target));
                    return Err(Error::invalid("it", why));
                }
                self.lacking.push(target);
                return Ok(());
            }
        };
        if keep == Keep::Content && matches!(&node.kind, Kind::File(content) if content.digest.is_none()) {
            self.lacking.push(target);
        }
        self.put(path, node, keep)
    }

    /// Where a member's directory is; it and those above it are there from now on.
    fn directory(&mut self, raw: &[u8]) -> Result<Vec<u8>> {
        if let Some((last, path)) = &self.parent
            && last == raw
        {
            return Ok(path.clone());
        }
        let path = self.state.resolve(raw, true)?;
        let mut above = path.as_slice();
        while !above.is_empty() {
            if (self.keep)(above) != Keep::Nothing {
                // It is as it is below, and of this layer too from now on.
                let node = self.state.nodes.entry(above.to_vec()).or_insert_with(|| implied(self.layer));
                node.layer = self.layer;
            }
            above = split(above).0;
        }
        self.parent = Some((raw.to_vec(), path.clone()));
        Ok(path)
    }
}

/// What a directory is like that nobody describes.
fn implied(layer: usize) -> Node {
    Node { layer, ..Node::new(Kind::Directory, 0o755, 0, 0) }
}

/// Hashes what passes.
struct Hashed<R> {
    inner: R,
    hasher: Hasher,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

/// Whether content is what was hashed before.
pub(super) fn is_same(content: &Content, bytes: &[u8]) -> bool {
    content.digest == Some(Digest::of(bytes))
}
