//! Trees that somebody else filled: names of any bytes, links that lead anywhere, mounts where none should be.
//!
//! A [`Directory`] is open. What lies deeper is opened beneath it (`openat2`), over real directories of the same mount
//! alone: no link is followed, and none can be planted in the way. Nothing that is found is opened but files and directories.

mod copy;
mod node;
mod place;
mod remove;
mod stack;
mod view;
mod way;
mod xattr;

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{self as sys, AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

pub use copy::copy_stack;
pub(crate) use node::is_whiteout;
pub use node::{Kind, Node, Time, read_content};
pub(crate) use place::{Meta, NewFile};
pub use stack::Stack;
pub use view::{Level, Resolved, View};
pub(crate) use way::{Here, close_above};
pub use xattr::{OPAQUE, Xattrs, is_kept};
pub(crate) use xattr::{kept as xattrs_of, set as set_xattr};

use crate::error::{Error, Result};
use crate::fs::Dir;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS)
    .union(ResolveFlags::NO_XDEV);
const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// An open directory of a tree.
#[derive(Debug)]
pub struct Directory {
    pub(crate) fd: OwnedFd,
    path: PathBuf,
    /// How what is below is opened.
    beneath: ResolveFlags,
}

impl Directory {
    /// A directory of the store as the root of a tree.
    pub fn of(dir: &Dir) -> Result<Directory> {
        let fd = dir.fd().try_clone().map_err(Error::io("open", dir.path()))?;
        Ok(Directory { fd, path: dir.path().to_path_buf(), beneath: BENEATH })
    }

    /// Opens the root of a tree by the user's own path, links followed.
    pub fn open(path: &Path) -> Result<Directory> {
        Directory::of(&Dir::open(path)?)
    }

    /// The same for a tree that is only read, and in which the user may have mounted something: that belongs to it.
    pub fn open_with_mounts(path: &Path) -> Result<Directory> {
        let root = Directory::open(path)?;
        Ok(Directory { beneath: BENEATH.difference(ResolveFlags::NO_XDEV), ..root })
    }

    /// The same directory, opened once more.
    pub fn again(&self) -> Result<Directory> {
        let fd = self.fd.try_clone().map_err(Error::io("open", &self.path))?;
        Ok(Directory { fd, path: self.path.clone(), beneath: self.beneath })
    }

    /// The path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of what is below, for messages.
    pub fn at(&self, path: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(path))
    }

    /// Opens a directory below, by components with `/` between; the empty path is this one. `None` where there is none:
    /// also where a link, or anything else, stands in the way.
    pub fn below(&self, path: &[u8]) -> Result<Option<Directory>> {
        let relative = if path.is_empty() { b".".as_slice() } else { path };
        match sys::openat2(&self.fd, relative, DIRECTORY, Mode::empty(), self.beneath) {
            Ok(fd) => Ok(Some(Directory { fd, path: self.at(path), beneath: self.beneath })),
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(e) => Err(self.error("open", path)(e)),
        }
    }

    /// Opens a regular file in this directory for reading.
    pub fn file(&self, name: &[u8]) -> Result<File> {
        // Whatever took its place meanwhile must not make anybody wait.
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let fd = sys::openat2(&self.fd, name, flags, Mode::empty(), self.beneath)
            .map_err(self.error("open", name))?;
        let file = File::from(fd);
        let is_file = file.metadata().map_err(Error::io("stat", self.at(name)))?.is_file();
        if is_file { Ok(file) } else { Err(Error::damaged(self.shown(name), "is not a regular file")) }
    }

    /// What a name in this directory stands for; `None` where it is free.
    pub fn stat(&self, name: &[u8]) -> Result<Option<Node>> {
        match sys::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Node::of(&stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.error("stat", name)(e)),
        }
    }

    /// What this directory itself is.
    pub fn node(&self) -> Result<Node> {
        Ok(Node::of(&sys::fstat(&self.fd).map_err(self.error("stat", b""))?))
    }

    /// Where a symbolic link leads.
    pub fn link(&self, name: &[u8]) -> Result<Vec<u8>> {
        let target =
            sys::readlinkat(&self.fd, name, Vec::new()).map_err(self.error("read the link", name))?;
        Ok(target.into_bytes())
    }

    /// The names in it, sorted by their bytes.
    pub fn names(&self) -> Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        for entry in sys::Dir::read_from(&self.fd).map_err(self.error("list", b""))? {
            let entry = entry.map_err(self.error("list", b""))?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                names.push(name.to_vec());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// What is below, for people: control characters are escaped.
    pub(crate) fn shown(&self, name: &[u8]) -> String {
        format!("{:?}", self.at(name))
    }

    pub(crate) fn error(&self, action: &'static str, name: &[u8]) -> impl FnOnce(Errno) -> Error {
        let path = self.at(name);
        move |errno| Error::io(action, path)(errno.into())
    }
}

/// Appends a name to a path.
pub fn join(path: &[u8], name: &[u8]) -> Vec<u8> {
    let mut joined = path.to_vec();
    if !joined.is_empty() {
        joined.push(b'/');
    }
    joined.extend_from_slice(name);
    joined
}

/// A path's directory (empty at the top) and its last name.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}
