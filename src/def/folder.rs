//! The folder of definitions: its files are read beneath it, and links lead nowhere outside of it.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use larder_store::Error as StoreError;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::error::{Error, Result};

/// The file of a definition.
pub(super) const DEFINITION: &str = "image.yml";
/// A directory of files for images; no definitions are in it.
pub(super) const ROOTFS: &str = "rootfs";
/// Bytes of a definition, a template or a lock file.
const LONGEST: u64 = 1 << 20;
/// Levels of directories.
const DEEPEST: usize = 16;
/// Names that are looked at on the way.
const MOST_NAMES: usize = 200_000;

/// The folder, open.
#[derive(Debug)]
pub(super) struct Folder {
    root: OwnedFd,
    path: PathBuf,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its permissions, setuid and the like among them.
    File {
        mode: u32,
    },
    Directory {
        mode: u32,
    },
    Link(String),
    Other,
}

impl Kind {
    pub(super) fn is_directory(&self) -> bool {
        matches!(self, Kind::Directory { .. })
    }
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Folder> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty());
        let root = root.map_err(|errno| StoreError::io("open", path)(errno.into()))?;
        Ok(Folder { root, path: path.to_path_buf() })
    }

    /// A path of it for people.
    pub(super) fn shown(&self, path: &str) -> String {
        self.path.join(path).display().to_string()
    }

    /// Opens what lies there; `None` where there is nothing.
    fn at(&self, path: &str, flags: OFlags) -> Result<Option<OwnedFd>> {
        let below = if path.is_empty() { "." } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let flags = flags | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
        match rustix::fs::openat2(&self.root, below, flags, Mode::empty(), resolve) {
            Ok(open) => Ok(Some(open)),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(Errno::XDEV) => {
                Err(Error::Wrong(vec![format!("{}: leads out of the folder", self.shown(path))]))
            }
            Err(Errno::LOOP) => {
                Err(Error::Wrong(vec![format!("{}: is a link that leads back to itself", self.shown(path))]))
            }
            Err(errno) => Err(StoreError::io("open", self.path.join(path))(errno.into()).into()),
        }
    }

    /// Whether there is anything, be it a link that leads nowhere.
    fn has(&self, path: &str) -> bool {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(&self.root, path, flags, Mode::empty(), resolve).is_ok()
    }

    /// A file of any length.
    pub(super) fn file(&self, path: &str) -> Result<Option<File>> {
        let Some(file) = self.at(path, OFlags::RDONLY)?.map(File::from) else { return Ok(None) };
        let meta = file.metadata().map_err(StoreError::io("stat", self.path.join(path)))?;
        match meta.is_file() {
            true => Ok(Some(file)),
            false => Err(Error::Wrong(vec![format!("{}: is no file", self.shown(path))])),
        }
    }

    /// A text.
    pub(super) fn text(&self, path: &str) -> Result<Option<String>> {
        let Some(file) = self.file(path)? else { return Ok(None) };
        let mut bytes = Vec::new();
        file.take(LONGEST + 1)
            .read_to_end(&mut bytes)
            .map_err(StoreError::io("read", self.path.join(path)))?;
        let wrong = |why: String| Error::Wrong(vec![format!("{}: {why}", self.shown(path))]);
        if bytes.len() as u64 > LONGEST {
            return Err(wrong(format!("is too long: {} MiB are read", LONGEST >> 20)));
        }
        String::from_utf8(bytes).map(Some).map_err(|_| wrong("is not UTF-8".to_owned()))
    }

    /// What is in a directory, in the order of names; nothing, where it is not there.
    pub(super) fn list(&self, path: &str) -> Result<Vec<(String, Kind)>> {
        let Some(dir) = self.at(path, OFlags::RDONLY | OFlags::DIRECTORY)? else {
            return match self.has(path) {
                true => Err(Error::Wrong(vec![format!("{}: is no directory", self.shown(path))])),
                false => Ok(Vec::new()),
            };
        };
        let failed = |errno: Errno| StoreError::io("read", self.path.join(path))(errno.into());
        let mut found = Vec::new();
        for entry in rustix::fs::Dir::read_from(&dir).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name().to_owned();
            let Ok(name) = name.into_string() else {
                return Err(Error::Wrong(vec![format!(
                    "{}: has a name that is not UTF-8",
                    self.shown(path)
                )]));
            };
            if name == "." || name == ".." {
                continue;
            }
            let stat = match rustix::fs::statat(&dir, name.as_str(), AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat.map_err(failed)?,
            };
            let mode = stat.st_mode & 0o7777;
            let kind = match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => Kind::File { mode },
                FileType::Directory => Kind::Directory { mode },
                FileType::Symlink => {
                    let target = rustix::fs::readlinkat(&dir, name.as_str(), Vec::new()).map_err(failed)?;
                    Kind::Link(target.to_string_lossy().into_owned())
                }
                _ => Kind::Other,
            };
            found.push((name, kind));
            if found.len() > MOST_NAMES {
                return Err(Error::Wrong(vec![format!(
                    "{}: has more than {MOST_NAMES} names",
                    self.shown(path)
                )]));
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// All that is below a directory, each directory before what it has; links are not followed.
    pub(super) fn walk(&self, path: &str, enters: &dyn Fn(&str) -> bool) -> Result<Vec<(String, Kind)>> {
        let mut found = Vec::new();
        let mut open = vec![(path.to_owned(), 0)];
        while let Some((dir, depth)) = open.pop() {
            if depth > DEEPEST {
                return Err(Error::Wrong(vec![format!(
                    "{}: lies deeper than {DEEPEST} levels",
                    self.shown(&dir)
                )]));
            }
            for (name, kind) in self.list(&dir)? {
                let path = join(&dir, &name);
                if kind.is_directory() && enters(&name) {
                    open.push((path.clone(), depth + 1));
                }
                found.push((path, kind));
                if found.len() > MOST_NAMES {
                    return Err(Error::Wrong(vec![format!(
                        "{}: more than {MOST_NAMES} files are in it",
                        self.shown("")
                    )]));
                }
            }
        }
        found.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(found)
    }

    /// The directories that have a definition, in the order of their paths.
    pub(super) fn definitions(&self) -> Result<Vec<String>> {
        let all = self.walk("", &|name| name != ROOTFS)?;
        let dirs = all.into_iter().filter_map(|(path, _)| match path.rsplit_once('/') {
            Some((dir, DEFINITION)) => Some(dir.to_owned()),
            None if path == DEFINITION => Some(String::new()),
            _ => None,
        });
        let mut dirs: Vec<_> = dirs.collect();
        dirs.sort();
        Ok(dirs)
    }
}

/// A name in a directory of the folder, which itself is the empty path.
pub(super) fn join(dir: &str, name: &str) -> String {
    match dir {
        "" => name.to_owned(),
        dir => format!("{dir}/{name}"),
    }
}

/// The directory above; that of the folder itself is the folder.
pub(super) fn above(dir: &str) -> &str {
    dir.rsplit_once('/').map_or("", |(above, _)| above)
}
