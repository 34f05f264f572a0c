//! The file system that the layers of an image make together, as far as it was listed.
//!
//! Paths are taken as they stand in each layer, as an overlay does it: a member below what was a link in a lower layer
//! makes a directory of it, and one below a link of its own layer is written through that (OCI image spec, layer.md, "Applying Changesets").

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::listing::{Interest, Kind, Listing, Place, name, parent};

/// Steps from one path component or link to the next, of one path: a kernel follows 40 links.
const MAX_STEPS: usize = 256;

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    Directory,
    /// A file, and the number of its layer.
    File(usize, Place),
    /// A symbolic link, with its target as it stands there.
    Link(String),
    /// Something else, or a hard link to what was not listed.
    Other,
}

/// All that was listed, by path.
#[derive(Debug, Default)]
pub(super) struct View {
    nodes: BTreeMap<String, Node>,
    /// Whether something of the layers is missing, so that what is not here may be there all the same.
    pub(super) is_partial: bool,
}

impl View {
    /// Puts a layer upon those that are there.
    pub(super) fn apply(&mut self, layer: usize, listing: &Listing) {
        // Whiteouts hide what lower layers have, wherever in the layer they stand.
        for entry in &listing.entries {
            match entry.kind {
                Kind::Whiteout => self.remove(&entry.path),
                Kind::Opaque => self.remove_below(&entry.path),
                _ => {}
            }
        }
        // Links of this layer: what it has below them is written through them.
        let mut own = BTreeSet::new();
        for entry in &listing.entries {
            let Some(path) = self.through(&entry.path, &own) else { continue };
            let node = match &entry.kind {
                Kind::Whiteout | Kind::Opaque => continue,
                Kind::Directory if own.contains(&path) => continue,
                Kind::Directory => Node::Directory,
                Kind::File(place) => Node::File(layer, *place),
                Kind::Link(target) => Node::Link(target.clone()),
                Kind::HardLink(target) => self.nodes.get(target).cloned().unwrap_or(Node::Other),
                Kind::Other => Node::Other,
            };
            self.make_way(&path);
            if node != Node::Directory {
                self.remove_below(&path);
            }
            match node {
                Node::Link(_) => own.insert(path.clone()),
                _ => own.remove(&path),
            };
            self.nodes.insert(path, node);
        }
    }

    /// Where a member goes that may be below one of these links; `None` where that leads nowhere.
    fn through(&self, path: &str, links: &BTreeSet<String>) -> Option<String> {
        let mut above = parent(path);
        while !above.is_empty() && !links.contains(above) {
            above = parent(above);
        }
        if above.is_empty() {
            return Some(path.to_owned());
        }
        let (directory, _) = self.resolve(parent(path))?;
        Some(format!("{directory}/{}", name(path)))
    }

    /// Makes directories of all that is above a path.
    fn make_way(&mut self, path: &str) {
        let mut above = parent(path);
        while !above.is_empty() {
            match self.nodes.get_mut(above) {
                Some(Node::Directory) => return,
                Some(node) => *node = Node::Directory,
                None => drop(self.nodes.insert(above.to_owned(), Node::Directory)),
            }
            above = parent(above);
        }
    }

    fn remove(&mut self, path: &str) {
        self.remove_below(path);
        self.nodes.remove(path);
    }

    fn remove_below(&mut self, path: &str) {
        if path.is_empty() {
            return self.nodes.clear();
        }
        let inside: Vec<_> = self.below(path).map(|(path, _)| path.clone()).collect();
        for path in inside {
            self.nodes.remove(&path);
        }
    }

    /// Whether nothing is at a path, links on the way to it followed, for all that its directory's members were listed.
    pub(super) fn is_empty_at(&self, path: &str) -> bool {
        let is_listed = Interest::default().covers(parent(path));
        !self.is_partial
            && is_listed
            && self.nodes.get(parent(path)) == Some(&Node::Directory)
            && !self.nodes.contains_key(path)
    }

    fn below(&self, path: &str) -> impl Iterator<Item = (&String, &Node)> {
        // `0` is what comes behind `/`.
        self.nodes.range(format!("{path}/")..format!("{path}0"))
    }

    /// What is directly in a directory: names and nodes, sorted.
    pub(super) fn children(&self, path: &str) -> impl Iterator<Item = (&str, &Node)> {
        let length = path.len() + 1;
        let inside = self.below(path).map(move |(path, node)| (&path[length..], node));
        inside.filter(|(name, _)| !name.contains('/'))
    }

    /// Where a path leads, with every link on the way, and what is there, if that was listed. `None` where links go in a circle.
    pub(super) fn resolve(&self, path: &str) -> Option<(String, Option<&Node>)> {
        self.follow(path, &mut |_| {})
    }

    /// The same; `seen` is told of every path that turned out to be a link.
    pub(super) fn follow(&self, path: &str, seen: &mut dyn FnMut(&str)) -> Option<(String, Option<&Node>)> {
        let mut waiting: VecDeque<&str> = path.split('/').collect();
        let mut here = String::new();
        for _ in 0..MAX_STEPS {
            let Some(part) = waiting.pop_front() else {
                let node = self.nodes.get(&here);
                return Some((here, node));
            };
            match part {
                "" | "." => continue,
                ".." => {
                    here.truncate(parent(&here).len());
                    continue;
                }
                part => {
                    if !here.is_empty() {
                        here.push('/');
                    }
                    here.push_str(part);
                }
            }
            if let Some(Node::Link(target)) = self.nodes.get(&here) {
                seen(&here);
                here.truncate(if target.starts_with('/') { 0 } else { parent(&here).len() });
                for part in target.split('/').rev().take(MAX_STEPS) {
                    waiting.push_front(part);
                }
            }
        }
        None
    }
}
