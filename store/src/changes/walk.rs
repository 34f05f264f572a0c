//! Going through a tree in the order of its names, member by member.

use std::collections::HashMap;
use std::fs::File;
use std::rc::Rc;
use std::vec;

use super::compare::{Found, is_same};
use super::header::{What, header};
use super::{Form, Options};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Here, Kind, Node, Stack, Time, close_above, join, xattrs_of};

/// Bytes of a path that can still be opened (`PATH_MAX` less the zero at its end).
const MAX_PATH: usize = 4095;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// A member of the layer.
pub(super) struct Member {
    /// The blocks before its content.
    pub(super) header: Vec<u8>,
    pub(super) content: Option<File>,
    pub(super) size: u64,
    /// For messages.
    pub(super) shown: String,
}

pub(super) struct Walk<'a> {
    root: Directory,
    below: Stack,
    options: Options<'a>,
    /// The directories on the way to where we are.
    levels: Vec<Level>,
    /// Members that are known and not given yet.
    ready: vec::IntoIter<Member>,
    /// Files with several names: the first one.
    names: HashMap<(u64, u64), Vec<u8>>,
    last_size: u64,
}

struct Level {
    here: Here,
    left: vec::IntoIter<Vec<u8>>,
    /// The directory's own member, which is given when something in it is.
    pending: Option<Member>,
}

impl<'a> Walk<'a> {
    pub(super) fn new(tree: &Directory, below: Stack, options: Options<'a>) -> Result<Walk<'a>> {
        let (root, names) = (tree.again()?, HashMap::new());
        let mut walk = Walk {
            root,
            below,
            options,
            levels: Vec::new(),
            ready: Vec::new().into_iter(),
            names,
            last_size: 0,
        };
        let mut ready: Vec<Member> = walk.root_member()?.into_iter().collect();
        let dir = Rc::new(walk.root.again()?);
        ready.extend(walk.enter(Vec::new(), dir, None, true)?);
        walk.ready = ready.into_iter();
        Ok(walk)
    }

    /// Bytes of the content of the member that was given last.
    pub(super) fn last_size(&self) -> u64 {
        self.last_size
    }

    pub(super) fn cancel(&self) -> &Cancel {
        self.options.cancel
    }

    pub(super) fn next(&mut self) -> Result<Option<Member>> {
        loop {
            if let Some(member) = self.ready.next() {
                self.last_size = member.size;
                return Ok(Some(member));
            }
            self.options.cancel.check()?;
            let Some(level) = self.levels.last_mut() else { return Ok(None) };
            let Some(name) = level.left.next() else {
                self.levels.pop();
                continue;
            };
            let (path, dir) = (level.here.path.clone(), level.here.dir(&self.root)?);
            let members = self.visit(&path, &dir, &name)?;
            if !members.is_empty() {
                // Each directory on the way comes first.
                let above = self.levels.iter_mut().filter_map(|level| level.pending.take());
                self.ready = above.chain(members).collect::<Vec<_>>().into_iter();
            }
        }
    }

    /// The root has a member only where it is not as it is below; its time changes with every name in it.
    fn root_member(&mut self) -> Result<Option<Member>> {
        let (node, xattrs) = (self.root.node()?, self.root.xattrs()?);
        let is_same = same_root(&self.root, &mut self.below)?.is_some();
        let member = || Member {
            header: header(b".", &node, self.options.seconds(&node), &What::Node(b""), &xattrs),
            content: None,
            size: 0,
            shown: shown(b""),
        };
        Ok((!is_same).then(member))
    }

    /// Goes into a directory; the members that say what it hides.
    fn enter(
        &mut self,
        path: Vec<u8>,
        dir: Rc<Directory>,
        pending: Option<Member>,
        has_below: bool,
    ) -> Result<Vec<Member>> {
        let names = dir.names()?;
        let mut hidden = Vec::new();
        match self.options.form {
            // Overlayfs marks every new directory.
            Form::Upper if has_below && dir.is_opaque()? => hidden.push(self.marker(&join(&path, OPAQUE))),
            Form::Upper => {}
            Form::Whole => {
                for name in self.below.names(&self.root, &path)? {
                    if names.binary_search(&name).is_err() {
                        hidden.push(self.marker(&join(&path, &[WHITEOUT, &name].concat())));
                    }
                }
            }
        }
        self.levels.push(Level { here: Here::of(path, dir), left: names.into_iter(), pending });
        close_above(&mut self.levels, |level| &mut level.here);
        Ok(hidden)
    }

    fn visit(&mut self, path: &[u8], dir: &Rc<Directory>, name: &[u8]) -> Result<Vec<Member>> {
        let Some(node) = dir.stat(name)? else {
            let why = "went away while it was read; something still runs in the tree";
            return Err(Error::damaged(shown(&join(path, name)), why));
        };
        let whole = join(path, name);
        // A socket is left out, and still hides what is below.
        if node.is_whiteout() || node.kind == Kind::Socket {
            let hides = self.below.find(&self.root, path, name)?.is_some();
            return Ok(if hides {
                vec![self.marker(&join(path, &[WHITEOUT, name].concat()))]
            } else {
                Vec::new()
            });
        }
        if name.starts_with(WHITEOUT) {
            let why = "cannot be in a layer: names that begin with .wh. say there what is hidden";
            return Err(Error::invalid(shown(&whole), why));
        }
        if whole.len() >= MAX_PATH {
            return Err(Error::invalid(shown(&whole), "has a longer path than can be opened"));
        }
        let seconds = self.options.seconds(&node);
        let lower = self.below.find(&self.root, path, name)?;
        let upper = Found { dir, node: &node };
        let is_unchanged = match &lower {
            Some((dir, node)) => is_same(&upper, &Found { dir, node }, name, seconds, &self.options)?,
            None => false,
        };
        if node.kind != Kind::Directory {
            return if is_unchanged {
                Ok(Vec::new())
            } else {
                Ok(vec![self.member(&whole, dir, name, &node)?])
            };
        }
        let Some(inner) = dir.below(name)? else {
            return Err(Error::invalid(shown(&whole), "is a mount point, or went away; unmount it first"));
        };
        let header = header(&whole, &node, seconds, &What::Node(b""), &inner.xattrs()?);
        let own = Member { header, content: None, size: 0, shown: shown(&whole) };
        // Where nothing is below, it is new.
        let mut members = Vec::new();
        let pending = if is_unchanged {
            Some(own)
        } else {
            members.push(own);
            None
        };
        let has_below = lower.is_some_and(|(_, node)| node.kind == Kind::Directory);
        let hidden = self.enter(whole, Rc::new(inner), pending, has_below)?;
        members.extend(hidden);
        Ok(members)
    }

    fn member(&mut self, path: &[u8], dir: &Directory, name: &[u8], node: &Node) -> Result<Member> {
        let seconds = self.options.seconds(node);
        let shown = shown(path);
        if node.links > 1 {
            if let Some(first) = self.names.get(&node.identity) {
                let header = header(path, node, seconds, &What::HardLink(first), &[]);
                return Ok(Member { header, content: None, size: 0, shown });
            }
            self.names.insert(node.identity, path.to_vec());
        }
        if node.kind != Kind::File {
            let target = if node.kind == Kind::Symlink { dir.link(name)? } else { Vec::new() };
            let header = header(path, node, seconds, &What::Node(&target), &[]);
            return Ok(Member { header, content: None, size: 0, shown });
        }
        let file = dir.file(name)?;
        let xattrs = xattrs_of(&file).map_err(dir.error("read the attributes of", name))?;
        let header = header(path, node, seconds, &What::Node(b""), &xattrs);
        Ok(Member { header, content: (node.size > 0).then_some(file), size: node.size, shown })
    }

    fn marker(&self, path: &[u8]) -> Member {
        let nobody = Node {
            kind: Kind::File,
            mode: 0,
            uid: 0,
            gid: 0,
            modified: Time::default(),
            size: 0,
            allocated: 0,
            device: (0, 0),
            links: 1,
            identity: (0, 0),
        };
        let header = header(path, &nobody, 0, &What::Marker, &[]);
        Member { header, content: None, size: 0, shown: String::from_utf8_lossy(path).into_owned() }
    }
}

/// A path of the image for people: whoever fails knows that, and not the directory of the store in which it is made.
pub(super) fn shown(path: &[u8]) -> String {
    format!("{:?}", String::from_utf8_lossy(&[b"/", path].concat()))
}

/// The time of the root below, where the layer says nothing of its root; all else of it is the same then. Without anything below, that is what a
/// root is of which nobody says anything.
pub(super) fn same_root(root: &Directory, below: &mut Stack) -> Result<Option<Time>> {
    let (node, xattrs) = (root.node()?, root.xattrs()?);
    let (is_same, time) = match below.showing(root, b"")?.first() {
        Some(lower) => {
            let old = lower.node()?;
            let is_same = (old.mode, old.uid, old.gid) == (node.mode, node.uid, node.gid);
            (is_same && lower.xattrs()? == xattrs, old.modified)
        }
        None => ((node.mode, node.uid, node.gid) == (0o755, 0, 0) && xattrs.is_empty(), Time::default()),
    };
    Ok(is_same.then_some(time))
}
