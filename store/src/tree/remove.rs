//! Removing a tree: follows no link, crosses no mount, and minds neither depth nor odd names.
//!
//! A mount, or a name that the kernel does not let go, ends it by name; what was removed before is gone.

use std::os::fd::OwnedFd;

use rustix::fs::{self as sys, AtFlags, IFlags};
use rustix::io::Errno;

use super::{BENEATH, DIRECTORY, Directory, Kind};
use crate::error::{Error, Result};
use crate::fs::unique;

/// Directories that are open at once. What lies deeper is moved to the top first.
const DEPTH: usize = 64;

impl Directory {
    /// Removes a name and all that is below; whether it was there.
    pub fn remove(&self, name: &[u8]) -> Result<bool> {
        match self.stat(name)? {
            None => Ok(false),
            Some(node) if node.kind != Kind::Directory => self.unlink(name, AtFlags::empty()),
            Some(_) => {
                let Some(top) = self.child(name)? else { return Ok(false) };
                // Until nothing was moved up any more.
                while top.empty(&top, DEPTH)? {}
                self.unlink(name, AtFlags::REMOVEDIR)
            }
        }
    }

    /// Removes what is in this directory; whether something deep was moved to the top.
    fn empty(&self, top: &Directory, depth: usize) -> Result<bool> {
        let mut has_moved = false;
        for name in self.names()? {
            if self.stat(&name)?.is_none_or(|node| node.kind != Kind::Directory) {
                self.unlink(&name, AtFlags::empty())?;
                continue;
            }
            if depth == 0 {
                let moved = format!(".deep.{}", unique());
                sys::renameat(&self.fd, name.as_slice(), &top.fd, moved)
                    .map_err(self.error("move", &name))?;
                has_moved = true;
                continue;
            }
            if let Some(inner) = self.child(&name)? {
                has_moved |= inner.empty(top, depth - 1)?;
                drop(inner);
                self.unlink(&name, AtFlags::REMOVEDIR)?;
            }
        }
        Ok(has_moved)
    }

    fn child(&self, name: &[u8]) -> Result<Option<Directory>> {
        match self.open_child(name) {
            Ok(fd) => Ok(Some(Directory { fd, path: self.at(name), beneath: BENEATH })),
            Err(Errno::NOENT) => Ok(None),
            Err(Errno::XDEV) => {
                let why = "something is mounted there, and nothing of it is removed; unmount it first";
                Err(Error::invalid(self.shown(name), why))
            }
            Err(e) => Err(self.error("open", name)(e)),
        }
    }

    /// Opens a directory in this one, of the same mount. Where the call for that is unknown (before Linux 5.6) or forbidden (seccomp
    /// profiles of that time) another disk is told all the same.
    fn open_child(&self, name: &[u8]) -> rustix::io::Result<OwnedFd> {
        match sys::openat2(&self.fd, name, DIRECTORY, sys::Mode::empty(), BENEATH) {
            Err(Errno::NOSYS | Errno::PERM) => {
                let flags = DIRECTORY | sys::OFlags::NOFOLLOW;
                let fd = sys::openat(&self.fd, name, flags, sys::Mode::empty())?;
                let is_same = sys::fstat(&fd)?.st_dev == sys::fstat(&self.fd)?.st_dev;
                if is_same { Ok(fd) } else { Err(Errno::XDEV) }
            }
            opened => opened,
        }
    }

    fn unlink(&self, name: &[u8], flags: AtFlags) -> Result<bool> {
        let unlink = || sys::unlinkat(&self.fd, name, flags);
        match unlink() {
            // Immutable or append-only, itself or the directory.
            Err(Errno::PERM) if self.loosen(name) => unlink(),
            done => done,
        }
        .map(|()| true)
        .or_else(|e| if e == Errno::NOENT { Ok(false) } else { Err(self.error("remove", name)(e)) })
    }

    /// Takes away the bits that forbid to remove a name; whether anything was tried.
    fn loosen(&self, name: &[u8]) -> bool {
        let bits = IFlags::IMMUTABLE | IFlags::APPEND;
        let clear = |fd: &dyn std::os::fd::AsFd| {
            let flags = sys::ioctl_getflags(fd.as_fd());
            flags.is_ok_and(|flags| {
                flags.intersects(bits) && sys::ioctl_setflags(fd.as_fd(), flags - bits).is_ok()
            })
        };
        let own = clear(&self.fd);
        let is_open =
            matches!(self.stat(name), Ok(Some(node)) if matches!(node.kind, Kind::File | Kind::Directory));
        let flags =
            sys::OFlags::RDONLY | sys::OFlags::NOFOLLOW | sys::OFlags::NONBLOCK | sys::OFlags::CLOEXEC;
        let opened = is_open.then(|| sys::openat2(&self.fd, name, flags, sys::Mode::empty(), BENEATH));
        matches!(opened, Some(Ok(fd)) if clear(&fd)) || own
    }
}
