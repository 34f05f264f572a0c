//! A root file system as its layers make it: worked out in memory from the tar streams, by nothing of larder's.
//!
//! The rules are those of the OCI image spec (layer.md): members replace what is below, a directory keeps what is in it,
//! `.wh.NAME` takes away what lower layers have, `.wh..wh..opq` all that they have in a directory.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;

use larder_store::digest::Digest;
use tar::{Archive, EntryType, Header};

/// What a file is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Directory,
    /// Its size in bytes, the digest of its content, and how it begins, for people.
    File(u64, String, Vec<u8>),
    /// Its target.
    Link(Vec<u8>),
    Fifo,
    /// Letter, major, minor.
    Device(char, u32, u32),
}

/// A file with all that is compared; several paths may lead to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    pub(super) kind: Kind,
    /// Permissions with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) owner: (u64, u64),
    /// Seconds since 1970, and whether a part of a second comes on top.
    pub(super) mtime: (i64, bool),
    pub(super) xattrs: BTreeMap<String, Vec<u8>>,
}

/// A path without slashes at its ends; that of the root is empty.
pub(super) type Name = Vec<u8>;

/// A root file system.
#[derive(Debug, Default)]
pub(super) struct Tree {
    nodes: Vec<Node>,
    paths: BTreeMap<Name, usize>,
}

impl Tree {
    /// What these layers make, the lowest first.
    pub(super) fn of<'a>(layers: impl IntoIterator<Item = &'a [u8]>) -> Tree {
        let mut tree = Tree::default();
        tree.directory(Vec::new());
        for layer in layers {
            tree.apply(layer);
        }
        tree
    }

    /// All paths with what they lead to.
    pub(super) fn files(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.paths.iter().map(|(path, node)| (path, &self.nodes[*node]))
    }

    /// What a path leads to.
    pub(super) fn get(&self, path: &[u8]) -> Option<&Node> {
        self.paths.get(path).map(|node| &self.nodes[*node])
    }

    /// The paths of each file that has more than one.
    pub(super) fn hard_links(&self) -> BTreeMap<Name, BTreeSet<Name>> {
        let mut groups: BTreeMap<usize, BTreeSet<Name>> = BTreeMap::new();
        for (path, node) in &self.paths {
            groups.entry(*node).or_default().insert(path.clone());
        }
        groups.retain(|_, paths| paths.len() > 1);
        groups
            .into_values()
            .flat_map(|group| group.clone().into_iter().map(move |path| (path, group.clone())))
            .collect()
    }

    fn apply(&mut self, layer: &[u8]) {
        // What this layer brought: its own whiteouts leave that alone, wherever in the stream they are.
        let mut brought = BTreeSet::new();
        for Member { path, node, hard_link } in members(layer) {
            let (parent, name) = split(&path);
            if name == b".wh..wh..opq" {
                self.remove_below(parent, &brought);
            } else if name.starts_with(b".wh..wh.") {
                // What AUFS kept there: nothing of the image.
            } else if let Some(hidden) = name.strip_prefix(b".wh.") {
                self.remove(&below_of(parent, hidden), &brought);
            } else {
                self.add(&path, node, hard_link);
                brought.insert(path);
            }
        }
    }

    fn add(&mut self, path: &[u8], node: Node, hard_link: Option<Name>) {
        let mut parent = split(path).0.to_vec();
        while !parent.is_empty() {
            match self.get(&parent) {
                None => self.directory(parent.clone()),
                Some(node) => assert_eq!(node.kind, Kind::Directory, "{} is below it", show(path)),
            }
            parent = split(&parent).0.to_vec();
        }
        let is_directory = |node: &Node| node.kind == Kind::Directory;
        let number = hard_link.map(|target| {
            *self
                .paths
                .get(&target)
                .unwrap_or_else(|| panic!("{}: hard link to {}", show(path), show(&target)))
        });
        let keeps = number.is_none() && is_directory(&node) && self.get(path).is_some_and(is_directory);
        if !keeps {
            self.remove(path, &BTreeSet::new());
        }
        let number = number.unwrap_or_else(|| {
            self.nodes.push(node);
            self.nodes.len() - 1
        });
        self.paths.insert(path.to_vec(), number);
    }

    /// As it is made where a layer has no member for it.
    fn directory(&mut self, path: Name) {
        let (kind, xattrs) = (Kind::Directory, BTreeMap::new());
        self.nodes.push(Node { kind, mode: 0o755, owner: (0, 0), mtime: (0, false), xattrs });
        self.paths.insert(path, self.nodes.len() - 1);
    }

    fn remove(&mut self, path: &[u8], but: &BTreeSet<Name>) {
        self.remove_below(path, but);
        let is_needed = but.contains(path) || self.below(path).next().is_some();
        if !is_needed {
            self.paths.remove(path);
        }
    }

    fn remove_below(&mut self, path: &[u8], but: &BTreeSet<Name>) {
        let all: Vec<_> = self.below(path).cloned().collect();
        for path in all.into_iter().rev() {
            // Deepest first: a directory that is not empty now has something of this layer in it.
            if !but.contains(&path) && self.below(&path).next().is_none() {
                self.paths.remove(&path);
            }
        }
    }

    fn below(&self, path: &[u8]) -> impl Iterator<Item = &Name> {
        let begin = below_of(path, b"");
        let from = self.paths.range(begin.clone()..).map(|(name, _)| name);
        from.skip_while(|name| name.is_empty()).take_while(move |name| name.starts_with(&begin))
    }
}

/// A member of a layer. Of a hard link the node means nothing.
struct Member {
    path: Name,
    node: Node,
    hard_link: Option<Name>,
}

/// The members of a tar stream. Extended headers are read here: a value may have a line's end in it.
fn members(layer: &[u8]) -> Vec<Member> {
    let (mut members, mut records) = (Vec::new(), BTreeMap::new());
    for entry in Archive::new(layer).entries().unwrap().raw(true) {
        let mut entry = entry.unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        let long = || content.strip_suffix(b"\0").unwrap_or(&content).to_vec();
        match entry.header().entry_type() {
            EntryType::XHeader => records.extend(pax(&content)),
            EntryType::GNULongName => drop(records.insert("path".to_owned(), long())),
            EntryType::GNULongLink => drop(records.insert("linkpath".to_owned(), long())),
            _ => members.push(member(entry.header(), &content, &std::mem::take(&mut records))),
        }
    }
    members
}

/// Records `LENGTH KEY=VALUE\n` (pax(1)).
fn pax(mut text: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut records = BTreeMap::new();
    while let Some(blank) = text.iter().position(|byte| *byte == b' ') {
        let length: usize = std::str::from_utf8(&text[..blank]).unwrap().parse().unwrap();
        let record = text[blank + 1..length].strip_suffix(b"\n").unwrap();
        let equals = record.iter().position(|byte| *byte == b'=').unwrap();
        let key = String::from_utf8(record[..equals].to_vec()).unwrap();
        records.insert(key, record[equals + 1..].to_vec());
        text = &text[length..];
    }
    records
}

fn member(header: &Header, content: &[u8], records: &BTreeMap<String, Vec<u8>>) -> Member {
    assert!(
        !records.contains_key("size") && !records.keys().any(|key| key.starts_with("GNU.sparse")),
        "{records:?}"
    );
    let name = |key: &str, short: Vec<u8>| records.get(key).cloned().unwrap_or(short);
    let text = |key: &str| records.get(key).map(|value| std::str::from_utf8(value).unwrap());
    let number = |key: &str, short: u64| text(key).map_or(short, |value| value.parse().unwrap());
    let path = name("path", header.path_bytes().into_owned());
    let target = name("linkpath", header.link_name_bytes().unwrap_or_default().into_owned());
    let device = |letter| {
        let part = |part: std::io::Result<Option<u32>>| part.unwrap().unwrap();
        Kind::Device(letter, part(header.device_major()), part(header.device_minor()))
    };
    let kind = match header.entry_type() {
        EntryType::Directory => Kind::Directory,
        EntryType::Regular | EntryType::Link => {
            let begin = content[..content.len().min(60)].to_vec();
            Kind::File(content.len() as u64, Digest::of(content).to_string(), begin)
        }
        EntryType::Symlink => Kind::Link(target.clone()),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char => device('c'),
        EntryType::Block => device('b'),
        other => panic!("{}: {other:?}: this model does not know that", show(&path)),
    };
    // Nobody can set a link's, and nobody heeds it.
    let mode = if let Kind::Link(_) = kind { 0o777 } else { header.mode().unwrap() & 0o7777 };
    let owner = (number("uid", header.uid().unwrap()), number("gid", header.gid().unwrap()));
    let (whole, part) = text("mtime").map_or(("", ""), |time| time.split_once('.').unwrap_or((time, "")));
    let mtime = if whole.is_empty() { header.mtime().unwrap().cast_signed() } else { whole.parse().unwrap() };
    let mtime = (mtime, part.bytes().any(|digit| digit != b'0'));
    let xattr = |(key, value): (&String, &Vec<u8>)| {
        Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value.clone()))
    };
    let xattrs = records.iter().filter_map(xattr).collect();
    let hard_link = (header.entry_type() == EntryType::Link).then(|| cleaned(&target));
    Member { path: cleaned(&path), node: Node { kind, mode, owner, mtime, xattrs }, hard_link }
}

/// `./a//b/` is `a/b`.
fn cleaned(path: &[u8]) -> Name {
    let parts: Vec<_> =
        path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".").collect();
    assert!(!parts.contains(&&b".."[..]), "{} leads out", show(path));
    parts.join(&b'/')
}

fn below_of(path: &[u8], name: &[u8]) -> Name {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// A path for people.
pub(super) fn show(path: &[u8]) -> String {
    format!("/{}", path.escape_ascii())
}
