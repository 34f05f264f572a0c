//! Writing what comes of definitions: only what changed, and nothing goes but what an earlier run made.
//!
//! What was made is listed in a file at the top of the output. Links in the output are replaced and never followed. Not made durable: it can
//! always be made again.

use std::collections::BTreeSet;
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use larder_store::Error as StoreError;
use larder_store::fs::unique;

use super::Definitions;
use super::error::{Error, Result};
use super::folder::{Folder, Kind};
use super::generate::{Made, files};
use super::rootfs::Item;

/// Paths that were made, a line each.
const LIST: &str = ".larder-generated";
/// Bytes of it.
const LONGEST_LIST: u64 = 64 << 20;

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
        let files = files(self).map_err(|why| Error::Wrong(vec![why]))?;
        fs::create_dir_all(out).map_err(StoreError::io("create", out))?;
        let before = listed(out)?;
        let mut written = Written::default();
        for path in before.iter().filter(|path| !files.contains_key(*path)) {
            if remove(out, path)? {
                written.removed.push(path.clone());
            }
        }
        // Before anything is written: what a killed run made is known to the next one.
        let text: String = files.keys().map(|path| format!("{path}\n")).collect();
        put(&out.join(LIST), text.as_bytes(), 0o666)?;
        for (path, made) in &files {
            let at = ensure_parents(out, path)?;
            let is_new = match made {
                Made::Text(text) => put(&at, text.as_bytes(), 0o666)?,
                Made::Item(item) => put_item(&self.folder, item, &at)?,
            };
            if is_new {
                written.changed.insert(path.clone());
            }
        }
        Ok(written)
    }
}

fn wrong(path: &Path, why: &str) -> Error {
    Error::Wrong(vec![format!("{}: {why}", path.display())])
}

/// What stands there, be it a link.
fn look(path: &Path) -> Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(StoreError::io("stat", path)(error).into()),
    }
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
            Some(_) => return Err(wrong(&at, "is in the way: a directory is to be there; remove it")),
            None => fs::create_dir(&at).map_err(StoreError::io("create", &at))?,
        }
    }
    Ok(at.join(last))
}

/// Puts a file there, unless it is there with this content; whether it was put.
fn put(at: &Path, bytes: &[u8], mode: u32) -> Result<bool> {
    let there = look(at)?;
    if let Some(meta) = &there {
        if meta.is_dir() {
            return Err(wrong(at, "is in the way: a file is to be there; remove it"));
        }
        if meta.is_file()
            && meta.len() == bytes.len() as u64
            && fs::read(at).map_err(StoreError::io("read", at))? == bytes
        {
            return Ok(false);
        }
    }
    replace(at, mode, |mut file| file.write_all(bytes))?;
    Ok(true)
}

/// Under a temporary name beside it, then renamed.
fn replace(at: &Path, mode: u32, fill: impl FnOnce(&File) -> io::Result<()>) -> Result<()> {
    let name = at.file_name().unwrap_or_default().to_string_lossy();
    let temporary = at.with_file_name(format!(".{name}.{}", unique()));
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(mode).open(&temporary);
    let file = file.map_err(StoreError::io("create", &temporary))?;
    let written = fill(&file).and_then(|()| fs::rename(&temporary, at));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    Ok(written.map_err(StoreError::io("write", at))?)
}

/// Puts a file, a link or a directory of a `rootfs/` there; whether anything changed.
fn put_item(folder: &Folder, item: &Item, at: &Path) -> Result<bool> {
    let there = look(at)?;
    let in_the_way = || wrong(at, "is in the way; remove it");
    match &item.kind {
        Kind::Directory => match there {
            Some(meta) if meta.is_dir() => Ok(false),
            Some(_) => Err(in_the_way()),
            None => fs::create_dir(at).map(|()| true).map_err(|e| StoreError::io("create", at)(e).into()),
        },
        Kind::Link(target) => {
            match there {
                Some(meta) if meta.is_dir() => return Err(in_the_way()),
                Some(meta)
                    if meta.is_symlink() && fs::read_link(at).is_ok_and(|old| old == Path::new(target)) =>
                {
                    return Ok(false);
                }
                Some(_) => fs::remove_file(at).map_err(StoreError::io("remove", at))?,
                None => {}
            }
            symlink(target, at).map_err(StoreError::io("link", at))?;
            Ok(true)
        }
        Kind::File { is_executable } => {
            if there.as_ref().is_some_and(Metadata::is_dir) {
                return Err(in_the_way());
            }
            let shown = folder.shown(&item.from);
            let Some(mut file) = folder.file(&item.from)? else {
                return Err(wrong(Path::new(&shown), "has gone meanwhile"));
            };
            let mode = if *is_executable { 0o777 } else { 0o666 };
            if let Some(meta) = there.filter(Metadata::is_file)
                && (meta.mode() & 0o111 != 0) == *is_executable
                && is_same(&file, at)?
            {
                return Ok(false);
            }
            replace(at, mode, |mut out| {
                io::Seek::rewind(&mut file)?;
                io::copy(&mut file, &mut out).map(drop)
            })?;
            Ok(true)
        }
        Kind::Other => Err(in_the_way()),
    }
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

/// What an earlier run made. A list that cannot be read is none: nothing is removed then.
fn listed(out: &Path) -> Result<BTreeSet<String>> {
    let path = out.join(LIST);
    if !look(&path)?.is_some_and(|meta| meta.is_file() && meta.len() <= LONGEST_LIST) {
        return Ok(BTreeSet::new());
    }
    let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let text = String::from_utf8(text).unwrap_or_default();
    let is_below = |line: &&str| {
        !line.is_empty()
            && *line != LIST
            && Path::new(line).components().all(|part| matches!(part, Component::Normal(_)))
    };
    Ok(text.lines().filter(is_below).map(str::to_owned).collect())
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
