//! Durable file steps below one directory, without ever following a link.
//!
//! A [`Dir`] is an open directory. Every name it takes is one path component, opened with `O_NOFOLLOW`, so that
//! a link planted in a store leads nowhere. Renames are durable once [`Dir::sync`] has returned; file content
//! once [`sync_file`] has. An error of either fails the command: after a failed fsync nobody knows what is on disk.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{self as sys, AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

use crate::error::{Error, Result};

/// Modes of what is created: private to the owner's writing, or shared with a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sharing {
    /// Directories 0755, files 0644.
    Owner,
    /// Directories 2775 (set-group-ID, so that the group is inherited), files 0664.
    Group,
}

impl Sharing {
    fn dir_mode(self) -> Mode {
        Mode::from_raw_mode(if self == Sharing::Group { 0o2775 } else { 0o755 })
    }
    fn file_mode(self) -> Mode {
        Mode::from_raw_mode(if self == Sharing::Group { 0o664 } else { 0o644 })
    }
}

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stat {
    /// Whether it is a regular file (a link is none).
    pub is_file: bool,
    /// Whether it is a directory.
    pub is_dir: bool,
    /// Bytes.
    pub size: u64,
    /// The inode's number.
    pub inode: u64,
    /// Owner's user ID.
    pub uid: u32,
    /// Last change of the content, seconds since 1970.
    pub modified: i64,
}

/// An open directory.
#[derive(Debug, Clone)]
pub struct Dir {
    fd: Arc<OwnedFd>,
    path: PathBuf,
    sharing: Sharing,
}

const DIR_FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

impl Dir {
    /// Opens a directory by path (the one place where links are followed: it is the user's own path).
    pub fn open(path: &Path) -> Result<Dir> {
        let fd = sys::open(path, DIR_FLAGS, Mode::empty()).map_err(|e| Error::io("open", path)(e.into()))?;
        Ok(Dir { fd: Arc::new(fd), path: path.to_path_buf(), sharing: Sharing::Owner })
    }

    /// The same directory, creating with other modes.
    pub fn with_sharing(mut self, sharing: Sharing) -> Dir {
        self.sharing = sharing;
        self
    }

    /// How this directory says (by its mode) that things below it are to be made.
    pub fn sharing_on_disk(&self) -> Result<Sharing> {
        let mode = sys::fstat(&self.fd).map_err(|e| Error::io("stat", &self.path)(e.into()))?.st_mode;
        Ok(if mode & 0o2020 == 0o2020 { Sharing::Group } else { Sharing::Owner })
    }

    /// The path it was opened by, for messages.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a name in it, for messages.
    pub fn at(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.path.join(name.as_ref())
    }

    /// The descriptor, for locking.
    pub fn fd(&self) -> &OwnedFd {
        &self.fd
    }

    /// Opens a subdirectory.
    pub fn sub(&self, name: &str) -> Result<Dir> {
        let fd = sys::openat(&self.fd, name, DIR_FLAGS | OFlags::NOFOLLOW, Mode::empty())
            .map_err(|e| self.err("open", name, e))?;
        Ok(Dir { fd: Arc::new(fd), path: self.at(name), sharing: self.sharing })
    }

    /// Creates a subdirectory; it must be new.
    pub fn create_dir(&self, name: &str) -> Result<Dir> {
        sys::mkdirat(&self.fd, name, self.sharing.dir_mode()).map_err(|e| self.err("create", name, e))?;
        let dir = self.sub(name)?;
        if self.sharing == Sharing::Group {
            sys::fchmod(&dir.fd, self.sharing.dir_mode()).map_err(|e| self.err("chmod", name, e))?;
        }
        Ok(dir)
    }

    /// Opens a subdirectory; `None` where the name is free.
    pub fn sub_if_there(&self, name: &str) -> Result<Option<Dir>> {
        match self.sub(name) {
            Err(error) if is_not_found(&error) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// Opens a subdirectory, creating it where it is missing.
    pub fn ensure_dir(&self, name: &str) -> Result<Dir> {
        match self.sub(name) {
            Err(error) if is_not_found(&error) => match self.create_dir(name) {
                Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::AlreadyExists => {
                    self.sub(name)
                }
                made => made,
            },
            opened => opened,
        }
    }

    /// Opens a regular file for reading; `None` where the name is free. A link, a pipe or a directory is an error.
    pub fn open_file(&self, name: &str) -> Result<Option<File>> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let fd = match sys::openat(&self.fd, name, flags, Mode::empty()) {
            Ok(fd) => fd,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP) => {
                return Err(Error::damaged(self.at(name).display(), "is a symbolic link, not a file"));
            }
            Err(e) => return Err(self.err("open", name, e)),
        };
        self.regular(name, fd).map(Some)
    }

    /// Where a symbolic link leads, as it was written; `None` where the name is free or no link.
    pub fn read_link(&self, name: &str) -> Result<Option<Vec<u8>>> {
        match sys::readlinkat(&self.fd, name, Vec::new()) {
            Ok(target) => Ok(Some(target.into_bytes())),
            Err(Errno::NOENT | Errno::INVAL) => Ok(None),
            Err(e) => Err(self.err("read the link", name, e)),
        }
    }

    /// Opens a lock file, creating it where that can be done; a read-only one can be locked as well.
    pub fn open_lock(&self, name: &str) -> Result<File> {
        match self.create(name, OFlags::RDWR) {
            Err(error) if is_read_only(&error) => self.existing(name, OFlags::RDONLY),
            // A full disk cannot give a new file; an old one is there all the same.
            Err(error) if is_full(&error) => self.existing(name, OFlags::RDWR),
            opened => opened,
        }
    }

    /// Creates a file that must be new, for writing and reading.
    pub fn create_new(&self, name: &str) -> Result<File> {
        self.create(name, OFlags::RDWR | OFlags::EXCL)
    }

    /// Opens a file for reading and writing, creating it where it is missing.
    pub fn open_or_create(&self, name: &str) -> Result<File> {
        self.create(name, OFlags::RDWR)
    }

    /// Opens a file for appending, creating it where it is missing.
    pub fn open_append(&self, name: &str) -> Result<File> {
        self.create(name, OFlags::WRONLY | OFlags::APPEND)
    }

    fn create(&self, name: &str, flags: OFlags) -> Result<File> {
        let common = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let mode = self.sharing.file_mode();
        loop {
            if !flags.contains(OFlags::EXCL) {
                match sys::openat(&self.fd, name, flags | common, Mode::empty()) {
                    Ok(fd) => return self.regular(name, fd),
                    Err(Errno::NOENT) => {}
                    Err(e) => return Err(self.err("create", name, e)),
                }
            }
            match sys::openat(&self.fd, name, flags | common | OFlags::CREATE | OFlags::EXCL, mode) {
                Ok(fd) => {
                    if self.sharing == Sharing::Group {
                        // Past this user's umask. A file that was there keeps the mode that somebody gave it.
                        let _ = sys::fchmod(&fd, mode);
                    }
                    return Ok(File::from(fd));
                }
                // Somebody else was faster.
                Err(Errno::EXIST) if !flags.contains(OFlags::EXCL) => {}
                Err(e) => return Err(self.err("create", name, e)),
            }
        }
    }

    fn existing(&self, name: &str, flags: OFlags) -> Result<File> {
        // A pipe, planted where a file should be, must not make anybody wait.
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let fd = sys::openat(&self.fd, name, flags, Mode::empty()).map_err(|e| self.err("open", name, e))?;
        self.regular(name, fd)
    }

    fn regular(&self, name: &str, fd: OwnedFd) -> Result<File> {
        let stat = sys::fstat(&fd).map_err(|e| self.err("stat", name, e))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(Error::damaged(self.at(name).display(), "is not a regular file"));
        }
        Ok(File::from(fd))
    }

    /// Renames a name here to a name in another directory of the same file system, replacing a file there.
    pub fn rename(&self, name: &str, to: &Dir, new: &str) -> Result<()> {
        sys::renameat(&self.fd, name, &to.fd, new).map_err(|e| self.err("rename", name, e))
    }

    /// Lets two names of one file system, which both are taken, change places in one step; whether this file system
    /// can do that.
    pub fn exchange(&self, name: &str, to: &Dir, new: &str) -> Result<bool> {
        match sys::renameat_with(&self.fd, name, &to.fd, new, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => Ok(false),
            Err(e) => Err(self.err("rename", name, e)),
        }
    }

    /// Removes a file; whether there was one.
    pub fn unlink(&self, name: &str) -> Result<bool> {
        match sys::unlinkat(&self.fd, name, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.err("remove", name, e)),
        }
    }

    /// Removes an empty directory; whether there was one.
    pub fn rmdir(&self, name: &str) -> Result<bool> {
        match sys::unlinkat(&self.fd, name, AtFlags::REMOVEDIR) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(self.err("remove", name, e)),
        }
    }

    /// What a name stands for; `None` where it is free.
    pub fn stat(&self, name: &str) -> Result<Option<Stat>> {
        match sys::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => {
                let kind = FileType::from_raw_mode(stat.st_mode);
                Ok(Some(Stat {
                    is_file: kind == FileType::RegularFile,
                    is_dir: kind == FileType::Directory,
                    size: stat.st_size.try_into().unwrap_or(0),
                    inode: stat.st_ino,
                    uid: stat.st_uid,
                    modified: stat.st_mtime,
                }))
            }
            Err(Errno::NOENT) => Ok(None),
            Err(e) => Err(self.err("stat", name, e)),
        }
    }

    /// What this directory itself is.
    pub fn inode(&self) -> Result<u64> {
        Ok(sys::fstat(&self.fd).map_err(|e| Error::io("stat", &self.path)(e.into()))?.st_ino)
    }

    /// The names in it that are text, sorted; others are not ours and are left out.
    pub fn names(&self) -> Result<Vec<String>> {
        let error = |e: Errno| Error::io("list", &self.path)(e.into());
        let mut names = Vec::new();
        for entry in sys::Dir::read_from(&self.fd).map_err(error)? {
            let entry = entry.map_err(error)?;
            if let Ok(name) = entry.file_name().to_str()
                && name != "."
                && name != ".."
            {
                names.push(name.to_owned());
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    /// Makes the directory's entries durable.
    pub fn sync(&self) -> Result<()> {
        sys::fsync(&self.fd).map_err(|e| Error::io("fsync", &self.path)(e.into()))
    }

    /// Reads a small file whole; `None` where it is missing, an error where it is larger than `cap` bytes.
    pub fn read(&self, name: &str, cap: u64) -> Result<Option<Vec<u8>>> {
        let Some(file) = self.open_file(name)? else { return Ok(None) };
        let size = file.metadata().map_err(Error::io("stat", self.at(name)))?.len();
        if size > cap {
            return Err(Error::damaged(
                self.at(name).display(),
                format!("has {size} bytes, more than the {cap} that are read"),
            ));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        file.take(cap + 1).read_to_end(&mut bytes).map_err(Error::io("read", self.at(name)))?;
        Ok(Some(bytes))
    }

    /// Writes a small file under a temporary name and renames it into place, durably.
    ///
    /// Another user's group and mode survive as far as this user may set them.
    pub fn replace(&self, name: &str, bytes: &[u8], by_way_of: &Dir) -> Result<()> {
        // In a directory of other people's files it is hidden.
        let dot = if Arc::ptr_eq(&self.fd, &by_way_of.fd) { "." } else { "" };
        let temporary = format!("{dot}{name}.{}", unique());
        let written = (|| {
            let mut file = by_way_of.create_new(&temporary)?;
            file.write_all(bytes).map_err(Error::io("write", by_way_of.at(&temporary)))?;
            self.copy_owner(name, &file);
            sync_file(&file, &by_way_of.at(&temporary))?;
            by_way_of.rename(&temporary, self, name)
        })();
        if written.is_err() {
            let _ = by_way_of.unlink(&temporary);
        }
        written?;
        self.sync()
    }

    /// Writes a small file that may be lost or stale after a crash, but is never seen half written.
    pub fn replace_lossy(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let temporary = format!(".{name}.{}", unique());
        let mut file = self.create_new(&temporary)?;
        let written = file.write_all(bytes).map_err(Error::io("write", self.at(&temporary)));
        let renamed = written.and_then(|()| self.rename(&temporary, self, name));
        if renamed.is_err() {
            let _ = self.unlink(&temporary);
        }
        renamed
    }

    fn copy_owner(&self, name: &str, file: &File) {
        let Ok(old) = sys::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        let (uid, gid) = (rustix::fs::Uid::from_raw(old.st_uid), rustix::fs::Gid::from_raw(old.st_gid));
        // Only root may give a file away; a member of the group may still set the group.
        if sys::fchown(file, Some(uid), Some(gid)).is_err() {
            let _ = sys::fchown(file, None, Some(gid));
        }
        // What another tool has closed to the group is open to it again in a store that the group shares.
        let shared = if self.sharing == Sharing::Group { 0o664 } else { 0 };
        let _ = sys::fchmod(file, Mode::from_raw_mode(old.st_mode & 0o666 | shared));
    }

    /// Closes this directory to everybody but its owner, whoever shares the store.
    pub(crate) fn make_private(&self) -> Result<()> {
        sys::fchmod(&self.fd, Mode::RWXU).map_err(|e| Error::io("chmod", &self.path)(e.into()))
    }

    /// Sets the time of the last change of a file in it, seconds since 1970.
    pub(crate) fn touch(&self, name: &str, now: i64) -> Result<()> {
        let time = sys::Timespec { tv_sec: now, tv_nsec: 0 };
        let times = sys::Timestamps { last_access: time, last_modification: time };
        let set = sys::utimensat(&self.fd, name, &times, AtFlags::SYMLINK_NOFOLLOW);
        set.map_err(|e| self.err("set the time of", name, e))
    }

    /// Gives a new directory to a group.
    pub fn give_to_group(&self, gid: u32) -> Result<()> {
        let error = |e: Errno| Error::io("chown", &self.path)(e.into());
        sys::fchown(&self.fd, None, Some(rustix::fs::Gid::from_raw(gid))).map_err(error)?;
        sys::fchmod(&self.fd, self.sharing.dir_mode()).map_err(error)
    }

    fn err(&self, action: &'static str, name: &str, errno: Errno) -> Error {
        Error::io(action, self.at(name))(errno.into())
    }
}

/// Makes a file's content durable.
pub fn sync_file(file: &File, path: &Path) -> Result<()> {
    file.sync_all().map_err(Error::io("fsync", path))
}

/// Lets its owner write to a file again that [`make_read_only`] was done to.
pub(crate) fn make_writable(file: &File) -> io::Result<()> {
    Ok(sys::fchmod(file, Mode::RUSR | Mode::WUSR)?)
}

/// Makes a file read-only (0444), as stored blobs are.
pub fn make_read_only(file: &File, path: &Path) -> Result<()> {
    sys::fchmod(file, Mode::from_raw_mode(0o444)).map_err(|e| Error::io("chmod", path)(e.into()))
}

/// Bytes that this user can still write on the file system of an open directory, and all that it has.
pub fn disk_space(dir: &Dir) -> Result<(u64, u64)> {
    let stat = sys::fstatvfs(dir.fd.as_fd()).map_err(|e| Error::io("statvfs", &dir.path)(e.into()))?;
    Ok((stat.f_bavail.saturating_mul(stat.f_frsize), stat.f_blocks.saturating_mul(stat.f_frsize)))
}

/// Whether a file has holes before its end. It is read from anywhere afterwards, or by position.
pub fn has_holes(file: &File) -> bool {
    let size = file.metadata().map_or(0, |meta| meta.len());
    sys::seek(file, sys::SeekFrom::Hole(0)).is_ok_and(|at| at < size)
}

/// Makes all of the file system of an open directory durable.
pub fn sync_all(dir: &Dir) -> Result<()> {
    sys::syncfs(dir.fd.as_fd()).map_err(|e| Error::io("sync the disk of", &dir.path)(e.into()))
}

/// Bytes that this user can still write on the file system of an open directory.
pub fn free_space(dir: &Dir) -> Result<u64> {
    Ok(disk_space(dir)?.0)
}

/// Has the kernel begin to write the last `count` bytes to the disk, while the rest is copied and checked. That is
/// what this advice does with dirty pages (it drops only clean ones); it does not wait, and a refusal is no matter.
pub(crate) fn start_writeback(mut file: &File, count: u64) {
    if let Ok(end) = file.stream_position() {
        let _ = rustix::fs::fadvise(
            file,
            end.saturating_sub(count),
            std::num::NonZeroU64::new(count),
            rustix::fs::Advice::DontNeed,
        );
    }
}

/// Whether this is the error of a name that is free.
pub fn is_not_found(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
}

/// Whether this is the error of a full disk.
pub fn is_full(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. }
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
}

/// Whether this is the error of a disk or directory that this user may not write.
pub fn is_read_only(error: &Error) -> bool {
    matches!(error, Error::Io { source, .. }
        if matches!(source.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied))
}

/// What a temporary file of ours is to become, by its name: `<name>.<16 hex digits>`.
pub fn temporary_of(name: &str) -> Option<&str> {
    let is_digit = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    name.rsplit_once('.')
        .filter(|(_, end)| end.len() == 16 && end.bytes().all(is_digit))
        .map(|(name, _)| name)
}

/// A name that nobody else has: 16 random hex digits.
pub fn unique() -> String {
    let mut bytes = [0u8; 8];
    // The kernel's pool does not fail once it is up; if it did, the O_EXCL of whoever uses the name still holds.
    let _ = rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty());
    format!("{:016x}", u64::from_ne_bytes(bytes))
}
