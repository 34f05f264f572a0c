//! Files of a root file system that somebody else has filled: links in it lead nowhere outside of it.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Timestamps};
use rustix::io::Errno;

/// The kernel's own limit.
const MOST_LINKS: usize = 40;

/// The root directory of a file system of somebody else's.
#[derive(Debug)]
pub(super) struct Beneath(OwnedFd);

/// What a mount point is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    Directory,
}

impl Beneath {
    pub(super) fn open(root: &Path) -> io::Result<Beneath> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Beneath(rustix::fs::open(root, flags, Mode::empty())?))
    }

    fn at(&self, path: &Path, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.0, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The text of a file of at most `most` bytes; empty where there is none. What is no UTF-8 in it is replaced.
    pub(super) fn text(&self, path: &str, most: u64) -> io::Result<String> {
        // Looked at before it is opened: a pipe would make us wait, and to open a device may do something.
        let there = match self.at(Path::new(path), OFlags::PATH) {
            Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
            found => found?,
        };
        let is_file = FileType::from_raw_mode(rustix::fs::fstat(&there)?.st_mode) == FileType::RegularFile;
        let mut bytes = Vec::new();
        if is_file {
            let handle = format!("/proc/self/fd/{}", there.as_raw_fd());
            std::fs::File::open(handle)?.take(most + 1).read_to_end(&mut bytes)?;
        }
        if !is_file || bytes.len() as u64 > most {
            return Err(io::Error::other(format!("it is no file of at most {most} bytes")));
        }
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Whether a name of the root directory itself is there and stands for something else, be it a link to a directory.
    pub(super) fn is_other_than_directory(&self, name: &str) -> io::Result<bool> {
        match rustix::fs::statat(&self.0, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => Ok(false),
            stat => Ok(FileType::from_raw_mode(stat?.st_mode) != FileType::Directory),
        }
    }

    /// Makes what is missing of a path, with the directories before it, where the links in it lead; that is returned. What was made is added to
    /// `made`, by paths without links; the times of directories stay.
    pub(super) fn ensure(&self, path: &str, kind: Kind, made: &mut Vec<PathBuf>) -> io::Result<PathBuf> {
        let mut todo: VecDeque<OsString> = names(Path::new(path)).collect();
        let mut at = PathBuf::new();
        let mut links = 0;
        while let Some(name) = todo.pop_front() {
            if name == ".." {
                at.pop();
                continue;
            }
            let dir = self.at(&at, OFlags::RDONLY | OFlags::DIRECTORY)?;
            match rustix::fs::readlinkat(&dir, &name, Vec::new()) {
                Ok(target) => {
                    links += 1;
                    if links > MOST_LINKS {
                        return Err(Errno::LOOP.into());
                    }
                    let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
                    if target.is_absolute() {
                        at = PathBuf::new();
                    }
                    names(&target).rev().for_each(|name| todo.push_front(name));
                    continue;
                }
                // It is there, and no link.
                Err(Errno::INVAL) => {}
                Err(Errno::NOENT) => {
                    let kind = if todo.is_empty() { kind } else { Kind::Directory };
                    keeping_times(&dir, || make(&dir, &name, kind))?;
                    made.push(at.join(&name));
                }
                Err(error) => return Err(error.into()),
            }
            at.push(name);
        }
        Ok(at)
    }

    /// Whether there is a directory at a path without links.
    pub(super) fn is_directory(&self, path: &Path) -> io::Result<bool> {
        let there = self.at(path, OFlags::PATH | OFlags::NOFOLLOW)?;
        Ok(FileType::from_raw_mode(rustix::fs::fstat(&there)?.st_mode) == FileType::Directory)
    }

    /// Takes away what [`Beneath::ensure`] has made, where nothing has come into it.
    pub(super) fn remove(&self, made: &[PathBuf]) -> io::Result<()> {
        for path in made.iter().rev() {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { continue };
            // Whatever else is there by now is the step's.
            let Ok(dir) = self.at(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW) else {
                continue;
            };
            let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else { continue };
            let flags = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => AtFlags::REMOVEDIR,
                FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
                _ => continue,
            };
            match keeping_times(&dir, || rustix::fs::unlinkat(&dir, name, flags)) {
                Err(Errno::NOTEMPTY) => {}
                done => done?,
            }
        }
        Ok(())
    }
}

fn names(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    let name = |component: Component<'_>| match component {
        Component::Normal(_) | Component::ParentDir => Some(component.as_os_str().to_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect::<Vec<_>>().into_iter()
}

fn make(dir: &OwnedFd, name: &OsStr, kind: Kind) -> rustix::io::Result<()> {
    match kind {
        Kind::Directory => rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
            rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    }
}

/// Does something in a directory without its times telling so.
fn keeping_times(dir: &OwnedFd, act: impl FnOnce() -> rustix::io::Result<()>) -> rustix::io::Result<()> {
    let stat = rustix::fs::fstat(dir)?;
    act()?;
    let time = |seconds, nanos| rustix::fs::Timespec { tv_sec: seconds, tv_nsec: nanos };
    rustix::fs::futimens(
        dir,
        &Timestamps {
            last_access: time(stat.st_atime, stat.st_atime_nsec as _),
            last_modification: time(stat.st_mtime, stat.st_mtime_nsec as _),
        },
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, symlink};

    use super::*;

    #[test]
    fn links_lead_nowhere_outside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        fs::write(dir.path().join("secret"), "outside").unwrap();
        symlink("../../secret", root.join("etc/passwd")).unwrap();
        symlink(dir.path().join("secret"), root.join("etc/group")).unwrap();
        let beneath = Beneath::open(&root).unwrap();
        assert_eq!(beneath.text("etc/passwd", 10).unwrap(), "");
        assert_eq!(beneath.text("etc/group", 10).unwrap(), "");
        fs::write(root.join("secret"), "inside").unwrap();
        assert_eq!(beneath.text("etc/passwd", 10).unwrap(), "inside");
        assert!(beneath.text("etc/passwd", 5).is_err());
        assert!(beneath.text("etc", 5).is_err());
    }

    #[test]
    fn mount_points_are_made_where_links_lead_and_leave_no_trace() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        fs::create_dir_all(root.join("etc")).unwrap();
        symlink("../../../run/resolve/stub.conf", root.join("etc/resolv.conf")).unwrap();
        symlink("loop", root.join("etc/loop")).unwrap();
        let before = fs::metadata(root.join("etc")).unwrap();
        let beneath = Beneath::open(&root).unwrap();
        let mut made = Vec::new();
        beneath.ensure("etc/resolv.conf", Kind::File, &mut made).unwrap();
        beneath.ensure("etc/hosts", Kind::File, &mut made).unwrap();
        beneath.ensure("dev", Kind::Directory, &mut made).unwrap();
        assert!(beneath.ensure("etc/loop", Kind::File, &mut made).is_err());
        assert_eq!(
            made,
            ["run", "run/resolve", "run/resolve/stub.conf", "etc/hosts", "dev"].map(PathBuf::from)
        );
        assert!(root.join("run/resolve/stub.conf").is_file());
        fs::write(root.join("dev/left"), "by the step").unwrap();
        beneath.remove(&made).unwrap();
        let after = fs::metadata(root.join("etc")).unwrap();
        assert_eq!((before.mtime(), before.mtime_nsec()), (after.mtime(), after.mtime_nsec()));
        assert!(!root.join("run").exists() && !root.join("etc/hosts").exists());
        assert!(root.join("dev/left").exists(), "what the step has made stays");
    }
}
