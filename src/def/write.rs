//! Writing what comes of definitions: only what changed, and nothing is replaced or removed but what an earlier run made.
//!
//! What was made is listed in a file at the top of the output. Links in the output are never followed. Not made durable: it can always be made
//! again.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use larder_store::Error as StoreError;
use larder_store::fs::unique;

use super::Definitions;
use super::error::{Error, Result};
use super::folder::Kind;
use super::generate::{Made, files};
use super::owned::{LIST, foreign, listed, look};
use super::rootfs::Item;

/// What was written.
#[derive(Debug, Default)]
pub(crate) struct Written {
    /// Paths below the output.
    pub(crate) changed: BTreeSet<String>,
    pub(crate) removed: Vec<String>,
}

impl Definitions {
    /// Writes all files below a directory, which is made where it is not there.
    pub(crate) fn write(&self, out: &Path) -> Result<Written> {
        let mut files = files(self).map_err(|why| Error::Wrong(vec![why]))?;
        let before = listed(out)?;
        let same = foreign(self, out, &files, &before)?;
        fs::create_dir_all(out).map_err(StoreError::io("create", out))?;
        let mut written = Written::default();
        for path in before.iter().filter(|path| !files.contains_key(*path)) {
            if remove(out, path)? {
                written.removed.push(path.clone());
            }
        }
        files.retain(|path, _| !same.contains(path));
        // Before anything is written: what a killed run made is known to the next one.
        let list: String = files.keys().map(|path| format!("{path}\n")).collect();
        self.put(out, Made::Text(&list), &out.join(LIST))?;
        for (path, made) in &files {
            let at = ensure_parents(out, path)?;
            if self.put(out, *made, &at)? {
                written.changed.insert(path.clone());
            }
        }
        Ok(written)
    }

    /// Puts a file, a link or a directory there; whether anything changed.
    fn put(&self, out: &Path, made: Made<'_>, at: &Path) -> Result<bool> {
        let there = look(at)?;
        if let Some(meta) = &there
            && is_there(self, made, at, meta)?
        {
            return Ok(false);
        }
        let is_dir = there.as_ref().is_some_and(Metadata::is_dir);
        if is_dir && !made.is_directory() {
            // What an earlier run made in it has gone.
            fs::remove_dir(at).map_err(|_| in_the_way(at, "a file is to be there"))?;
        }
        match made {
            Made::Text(text) => replace(out, at, 0o666, |mut file| file.write_all(text.as_bytes()))?,
            Made::Item(Item { kind: Kind::Directory { mode }, .. }) => {
                if !is_dir {
                    there.map_or(Ok(()), |_| fs::remove_file(at)).map_err(StoreError::io("remove", at))?;
                    fs::create_dir(at).map_err(StoreError::io("create", at))?;
                }
                fs::set_permissions(at, Permissions::from_mode(mode | OPEN))
                    .map_err(StoreError::io("chmod", at))?;
            }
            Made::Item(Item { kind: Kind::Link(target), .. }) => {
                if there.is_some() && !is_dir {
                    fs::remove_file(at).map_err(StoreError::io("remove", at))?;
                }
                symlink(target, at).map_err(StoreError::io("link", at))?;
            }
            Made::Item(Item { kind: Kind::File { mode }, from }) => {
                let mut file = self.source(from)?;
                replace(out, at, 0o600, |mut out| {
                    io::copy(&mut file, &mut out)?;
                    // Behind the content: writing takes away setuid.
                    out.set_permissions(Permissions::from_mode(*mode))
                })?;
            }
            Made::Item(Item { kind: Kind::Other, .. }) => return Err(in_the_way(at, "it is no file")),
        }
        Ok(true)
    }

    /// A file of the folder that was there when it was read.
    fn source(&self, path: &str) -> Result<File> {
        let gone = || Error::Wrong(vec![format!("{}: has gone meanwhile", self.folder.shown(path))]);
        self.folder.file(path)?.ok_or_else(gone)
    }
}

/// What whoever made a directory may do in it, whatever its mode is in the folder: the next run writes there.
const OPEN: u32 = 0o700;

/// Whether this is there, just as it would be made.
pub(super) fn is_there(
    definitions: &Definitions,
    made: Made<'_>,
    at: &Path,
    meta: &Metadata,
) -> Result<bool> {
    let mode = meta.mode() & 0o7777;
    Ok(match made {
        Made::Text(text) => {
            meta.is_file()
                && meta.len() == text.len() as u64
                && fs::read(at).map_err(StoreError::io("read", at))? == text.as_bytes()
        }
        Made::Item(Item { kind, from }) => match kind {
            Kind::Directory { mode: wanted } => meta.is_dir() && mode == wanted | OPEN,
            Kind::Link(target) => {
                meta.is_symlink() && fs::read_link(at).is_ok_and(|old| old == Path::new(target))
            }
            Kind::File { mode: wanted } => {
                meta.is_file() && mode == *wanted && is_same(&definitions.source(from)?, at)?
            }
            Kind::Other => false,
        },
    })
}

fn in_the_way(path: &Path, why: &str) -> Error {
    Error::InTheWay(vec![format!("{}: is in the way: {why}", path.display())])
}

/// The directories that lead to a path of the output, which are no links.
fn ensure_parents(out: &Path, path: &str) -> Result<PathBuf> {
    let mut at = out.to_path_buf();
    let mut names: Vec<&str> = path.split('/').collect();
    let last = names.pop().unwrap_or_default();
    for name in names {
        at.push(name);
        match look(&at)? {
            Some(meta) if meta.is_dir() => {}
            Some(_) => return Err(in_the_way(&at, "a directory is to be there")),
            None => fs::create_dir(&at).map_err(StoreError::io("create", &at))?,
        }
    }
    Ok(at.join(last))
}

/// Under a temporary name at the top of the output, then renamed: what a killed run leaves is in no image.
fn replace(out: &Path, at: &Path, mode: u32, fill: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
    let temporary = out.join(format!("{LIST}.{}", unique()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(&temporary);
    let file = file.map_err(StoreError::io("create", &temporary))?;
    let written = fill(&file).and_then(|()| fs::rename(&temporary, at));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(written.map_err(StoreError::io("write", at))?)
}

/// Whether a file has this content.
fn is_same(file: &File, at: &Path) -> Result<bool> {
    let mut other = File::open(at).map_err(StoreError::io("open", at))?;
    let size = |file: &File| file.metadata().map(|meta| meta.len()).map_err(StoreError::io("stat", at));
    if size(file)? != size(&other)? {
        return Ok(false);
    }
    let (mut one, mut two) = ([0; 1 << 14], [0; 1 << 14]);
    let mut file = file;
    loop {
        let read = file.read(&mut one).map_err(StoreError::io("read", at))?;
        if read == 0 {
            return Ok(true);
        }
        match other.read_exact(&mut two[..read]) {
            Ok(()) if one[..read] == two[..read] => {}
            Ok(()) => return Ok(false),
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(StoreError::io("read", at)(error).into()),
        }
    }
}

/// Removes what an earlier run made, and directories that are empty then; whether it was there.
fn remove(out: &Path, path: &str) -> Result<bool> {
    let mut at = out.to_path_buf();
    let names: Vec<&str> = path.split('/').collect();
    for name in &names[..names.len().saturating_sub(1)] {
        at.push(name);
        // A link leads to what is somebody else's.
        if !look(&at)?.is_some_and(|meta| meta.is_dir()) {
            return Ok(false);
        }
    }
    at.push(names.last().copied().unwrap_or_default());
    let Some(meta) = look(&at)? else { return Ok(false) };
    let removed = match meta.is_dir() {
        true => fs::remove_dir(&at).is_ok(),
        false => fs::remove_file(&at).map(|()| true).map_err(StoreError::io("remove", &at))?,
    };
    while removed && at.pop() && at != out && fs::remove_dir(&at).is_ok() {}
    Ok(removed)
}
