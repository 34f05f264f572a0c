//! Making one thing in an open directory, with all that belongs to it. A name must be free.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::os::fd::AsFd;

use rustix::fs::{self as sys, AtFlags, FileType, Gid, Mode, OFlags, Timespec, Timestamps, Uid};
use rustix::io::Errno;

use super::node::{STAND_IN, WHITEOUT};
use super::{Directory, Node, Time, Xattrs};
use crate::error::{Error, Result};

/// Zeros that become a hole, bytes.
const HOLE: usize = 64 << 10;

/// Owner, permissions, time and attributes.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Time,
    pub(crate) xattrs: Xattrs,
}

impl Meta {
    pub(crate) fn of(node: &Node, xattrs: Xattrs) -> Meta {
        Meta { mode: node.mode, uid: node.uid, gid: node.gid, modified: node.modified, xattrs }
    }

    /// A directory that nobody describes.
    pub(crate) fn implied() -> Meta {
        Meta { mode: 0o755, uid: 0, gid: 0, modified: Time::default(), xattrs: Vec::new() }
    }

    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }
}

pub(crate) fn times(modified: Time) -> Timestamps {
    let time = Timespec { tv_sec: modified.seconds, tv_nsec: modified.nanos.into() };
    Timestamps { last_access: time, last_modification: time }
}

/// A regular file that is being written.
pub(crate) struct NewFile {
    file: File,
    length: u64,
    is_hole_at_end: bool,
}

impl NewFile {
    pub(crate) fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        for piece in bytes.chunks(HOLE) {
            self.is_hole_at_end = piece.len() == HOLE && piece.iter().all(|byte| *byte == 0);
            match self.is_hole_at_end {
                true => drop(self.file.seek(SeekFrom::Current(piece.len() as i64))?),
                false => self.file.write_all(piece)?,
            }
            self.length += piece.len() as u64;
        }
        Ok(())
    }

    /// Fills it with another file's content.
    pub(crate) fn copy(&mut self, mut source: File) -> std::io::Result<()> {
        if sys::ioctl_ficlone(&self.file, &source).is_err() {
            // Inside of the kernel, where that can be.
            std::io::copy(&mut source, &mut self.file)?;
        }
        Ok(())
    }

    /// Gives it what belongs to it. The order matters: a new owner and every write take setuid bits and capabilities away.
    pub(crate) fn finish(self, meta: &Meta) -> std::io::Result<()> {
        if self.is_hole_at_end {
            self.file.set_len(self.length)?;
        }
        describe(&self.file, meta)?;
        Ok(sys::futimens(&self.file, &times(meta.modified))?)
    }
}

/// All but the times.
fn describe(fd: impl AsFd, meta: &Meta) -> Result<(), Errno> {
    let (uid, gid) = meta.owner();
    sys::fchown(&fd, uid, gid)?;
    sys::fchmod(&fd, Mode::from_raw_mode(meta.mode))?;
    meta.xattrs.iter().try_for_each(|(name, value)| super::set_xattr(&fd, name, value))
}

impl Directory {
    /// Starts a file; `None` where the name is taken.
    pub(crate) fn new_file(&self, name: &[u8]) -> Result<Option<NewFile>> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = sys::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR);
        let new = |fd| NewFile { file: File::from(fd), length: 0, is_hole_at_end: false };
        Ok(self.unless_taken("create", name, fd)?.map(new))
    }

    /// Makes a directory; `None` where the name is taken. Its time is for later, when it is filled.
    pub(crate) fn new_directory(&self, name: &[u8], meta: &Meta) -> Result<Option<Directory>> {
        let made = sys::mkdirat(&self.fd, name, Mode::RWXU);
        if self.unless_taken("create", name, made)?.is_none() {
            return Ok(None);
        }
        let made = self.below(name)?;
        let made = made.ok_or_else(|| Error::damaged(self.shown(name), "was replaced while it was made"))?;
        made.describe(meta)?;
        Ok(Some(made))
    }

    /// Gives this directory what belongs to it, but for its time. Attributes that it had go.
    pub(crate) fn describe(&self, meta: &Meta) -> Result<()> {
        for (name, _) in
            self.xattrs()?.iter().filter(|(name, _)| !meta.xattrs.iter().any(|(new, _)| new == name))
        {
            sys::fremovexattr(&self.fd, name.as_slice())
                .map_err(self.error("remove an attribute of", b""))?;
        }
        describe(&self.fd, meta).map_err(self.error("set the owner and attributes of", b""))
    }

    /// Gives this directory what belongs to another one: owner, permissions, attributes and time.
    pub fn describe_as(&self, other: &Directory) -> Result<()> {
        let meta = Meta::of(&other.node()?, other.xattrs()?);
        self.describe(&meta)?;
        self.set_time(meta.modified)
    }

    /// Sets this directory's time.
    pub(crate) fn set_time(&self, modified: Time) -> Result<()> {
        sys::futimens(&self.fd, &times(modified)).map_err(self.error("set the time of", b""))
    }

    /// Makes a symbolic link; whether the name was free.
    pub(crate) fn new_symlink(&self, name: &[u8], target: &[u8], meta: &Meta) -> Result<bool> {
        let made = sys::symlinkat(target, &self.fd, name);
        if self.unless_taken("create", name, made)?.is_none() {
            return Ok(false);
        }
        self.describe_name(name, meta)?;
        Ok(true)
    }

    /// Makes a device or a pipe, which is never opened; whether the name was free.
    pub(crate) fn new_node(
        &self,
        name: &[u8],
        kind: FileType,
        device: (u32, u32),
        meta: &Meta,
    ) -> Result<bool> {
        let made = sys::mknodat(&self.fd, name, kind, Mode::empty(), sys::makedev(device.0, device.1));
        if self.unless_taken("create", name, made)?.is_none() {
            return Ok(false);
        }
        let mode = Mode::from_raw_mode(meta.mode);
        let (uid, gid) = meta.owner();
        sys::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("chown", name))?;
        // It is what was just made, and nobody else may write here: there is no link to follow.
        sys::chmodat(&self.fd, name, mode, AtFlags::empty()).map_err(self.error("chmod", name))?;
        self.set_time_of(name, meta.modified)?;
        Ok(true)
    }

    /// Hides a name of the layers below; whether the name was free.
    pub(crate) fn new_whiteout(&self, name: &[u8]) -> Result<bool> {
        let make = |(major, minor)| {
            sys::mknodat(&self.fd, name, FileType::CharacterDevice, Mode::empty(), sys::makedev(major, minor))
        };
        let made = match make(WHITEOUT) {
            Err(Errno::PERM) => make(STAND_IN),
            made => made,
        };
        Ok(self.unless_taken("create", name, made)?.is_some())
    }

    /// Gives a file another name, in another directory perhaps; whether that name was free.
    pub(crate) fn link_as(&self, name: &[u8], to: &Directory, new: &[u8]) -> Result<bool> {
        let linked = sys::linkat(&self.fd, name, &to.fd, new, AtFlags::empty());
        Ok(to.unless_taken("link", new, linked)?.is_some())
    }

    fn describe_name(&self, name: &[u8], meta: &Meta) -> Result<()> {
        let (uid, gid) = meta.owner();
        sys::chownat(&self.fd, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("chown", name))?;
        self.set_time_of(name, meta.modified)
    }

    /// Sets the time of a name in this directory, of a link itself.
    pub(crate) fn set_time_of(&self, name: &[u8], modified: Time) -> Result<()> {
        sys::utimensat(&self.fd, name, &times(modified), AtFlags::SYMLINK_NOFOLLOW)
            .map_err(self.error("set the time of", name))
    }

    fn unless_taken<T>(
        &self,
        action: &'static str,
        name: &[u8],
        made: Result<T, Errno>,
    ) -> Result<Option<T>> {
        match made {
            Ok(made) => Ok(Some(made)),
            Err(Errno::EXIST) => Ok(None),
            Err(e) => Err(self.error(action, name)(e)),
        }
    }
}
