//! Putting what was looked at into the layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Cursor, Read};

use rustix::fs::FileType;

use super::digest::PIECE;
use super::source::{Found, Parents, Source, changed};
use super::{Place, Placer};
use crate::cancel::Cancel;
use crate::codec::{HEAD, Limits, Outer};
use crate::digest::{Digest, Hasher};
use crate::error::{Error, Result};
use crate::tree::{Kind, Meta, NewFile, Time, Xattrs, join, read_content, split, xattrs_of};
use crate::unpack::apply::{self, check_name, write};

/// How what is placed looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Look {
    /// User and group; `None`: as in the source. As with chown(2), a new owner takes setuid bits and capabilities from files.
    pub owner: Option<(u32, u32)>,
    /// Permissions of all but links; `None`: as in the source.
    pub mode: Option<u32>,
    /// Whether attributes come along.
    pub xattrs: bool,
}

impl Look {
    fn meta(&self, found: &Found, xattrs: Xattrs) -> Meta {
        let node = &found.node;
        let (uid, gid) = self.owner.unwrap_or((node.uid, node.gid));
        let mode = match (self.mode, self.owner) {
            (Some(mode), _) => mode,
            (None, Some(_)) if node.kind != Kind::Directory => without_setuid(node.mode),
            (None, _) => node.mode,
        };
        let is_kept = |name: &[u8]| self.owner.is_none() || name != b"security.capability";
        let xattrs = match self.xattrs {
            true => xattrs.into_iter().filter(|(name, _)| is_kept(name)).collect(),
            false => Vec::new(),
        };
        Meta { mode, uid, gid, modified: Time { nanos: 0, ..node.modified }, xattrs }
    }
}

/// What chown(2) leaves of a mode: without group execution the second bit is no setgid.
fn without_setuid(mode: u32) -> u32 {
    match mode & 0o010 {
        0 => mode & !0o4000,
        _ => mode & !0o6000,
    }
}

impl Placer<'_> {
    /// Puts what is in a source's directory into a directory of the image, whose path has no links in it and which is there. Directories that are
    /// on both sides become one, and are as in the source; what is something else on one side is as in the source.
    pub fn content_of(&mut self, source: &Source, into: &[u8], look: &Look) -> Result<()> {
        let mut parents = Parents::default();
        let mut names: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
        let mut buffer = vec![0; PIECE];
        for found in source.found.iter().skip(1) {
            let path = join(into, &found.path);
            let first = if found.node.links > 1 { names.get(&found.node.identity) } else { None };
            self.put(source, found, &path, look, first.map(Vec::as_slice), &mut parents, &mut buffer)?;
            if found.node.links > 1 && found.node.kind != Kind::Directory {
                names.entry(found.node.identity).or_insert(path);
            }
        }
        Ok(())
    }

    /// Puts a source that is no directory under a path of the image, which has no links in it; those above it are made where they are missing.
    pub fn one(&mut self, source: &Source, path: &[u8], look: &Look) -> Result<()> {
        let Some(found) = source.found.first() else { return Ok(()) };
        self.put(source, found, path, look, None, &mut Parents::default(), &mut vec![0; PIECE])
    }

    /// Makes a file of a text.
    pub fn text(&mut self, text: &str, path: &[u8], look: &Look) -> Result<()> {
        let (uid, gid) = look.owner.unwrap_or((0, 0));
        let meta =
            Meta { mode: look.mode.unwrap_or(0o644), uid, gid, modified: self.now, xattrs: Vec::new() };
        let (parent, name) = split(path);
        let place = self.place(parent)?;
        let at = place.dir.at(name);
        let bytes = text.as_bytes();
        check_name(name).map_err(of_image(path))?;
        self.upper
            .file(&place, name, &meta, bytes.len() as u64, |file, _| write(file, bytes, &at))
            .map_err(within(path))
    }

    /// Unpacks a source into a directory of the image, whose path has no links in it and which is there; whether it is an archive.
    pub fn archive(&mut self, source: &Source, into: &[u8]) -> Result<()> {
        let Some(found) = source.found.first() else { return Ok(()) };
        let whole = source.whole(found);
        let mut hashed = Hashed { file: source.open(found, &mut Parents::default())?, hasher: Hasher::new() };
        {
            let mut plain = open_archive(&mut hashed).map_err(Error::io("read", lossy(&whole).as_ref()))?;
            apply::apply(&mut plain, apply::Source::Archive(into), &mut self.upper)
                .map_err(within(&whole))?;
        }
        // What stands behind its end counts too.
        io::copy(&mut hashed, &mut io::sink()).map_err(Error::io("read", lossy(&whole).as_ref()))?;
        check(hashed.hasher, found.content, &whole)
    }

    #[allow(clippy::too_many_arguments, reason = "two are what is kept from one call to the next")]
    fn put(
        &mut self,
        source: &Source,
        found: &Found,
        path: &[u8],
        look: &Look,
        first: Option<&[u8]>,
        parents: &mut Parents,
        buffer: &mut [u8],
    ) -> Result<()> {
        self.upper.cancel.check()?;
        let (parent, name) = split(path);
        let place = self.place(parent)?;
        check_name(name).map_err(of_image(path))?;
        let put = match first {
            Some(first) => self.upper.link(&place, name, first),
            None => self.make(source, found, &place, name, look, parents, buffer),
        };
        put.map_err(within(&source.whole(found)))
    }

    #[allow(clippy::too_many_arguments, reason = "two are what is kept from one call to the next")]
    fn make(
        &mut self,
        source: &Source,
        found: &Found,
        place: &Place,
        name: &[u8],
        look: &Look,
        parents: &mut Parents,
        buffer: &mut [u8],
    ) -> Result<()> {
        let kind = match found.node.kind {
            Kind::File => {
                let whole = source.whole(found);
                let file = source.open(found, parents)?;
                let xattrs = match look.xattrs {
                    true => xattrs_of(&file)
                        .map_err(|e| Error::io("read the attributes of", lossy(&whole).as_ref())(e.into()))?,
                    false => Vec::new(),
                };
                let meta = look.meta(found, xattrs);
                let at = place.dir.at(name);
                return self.upper.file(place, name, &meta, found.node.size, |new, cancel| {
                    copy(file, new, found, &whole, &at, buffer, cancel)
                });
            }
            Kind::Directory => {
                let xattrs = match look.xattrs {
                    true => parents
                        .open(&source.view, found.layer, &source.whole(found))?
                        .map_or(Ok(Vec::new()), |dir| dir.xattrs())?,
                    false => Vec::new(),
                };
                let mut meta = match found.is_implied {
                    true => self.upper.implied.clone(),
                    false => look.meta(found, xattrs),
                };
                // Those of a directory that is there stay.
                for (name, value) in self.upper.xattrs_of(place, name)? {
                    if !meta.xattrs.iter().any(|(new, _)| *new == name) {
                        meta.xattrs.push((name, value));
                    }
                }
                return self.upper.directory(place, name, &meta);
            }
            Kind::Symlink => {
                let meta = look.meta(found, Vec::new());
                return self.upper.symlink(place, name, &found.link, &meta);
            }
            Kind::Socket => return Err(Error::invalid("it", "is a socket, which no layer can have")),
            Kind::Fifo => FileType::Fifo,
            Kind::Char => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
        };
        let meta = look.meta(found, Vec::new());
        self.upper.node(place, name, kind, found.node.device, &meta)
    }
}

/// Copies a file's content. Where it is known what it was, that is what is copied, or nothing.
fn copy(
    mut file: File,
    new: &mut NewFile,
    found: &Found,
    whole: &[u8],
    at: &std::path::Path,
    buffer: &mut [u8],
    cancel: &Cancel,
) -> Result<()> {
    let mut hasher = found.content.map(|_| Hasher::new());
    let is_sparse = found.node.allocated < found.node.size;
    if hasher.is_none() && !is_sparse {
        return new.copy(file).map_err(Error::io("write", at));
    }
    loop {
        let count = read_content(&mut file, buffer).map_err(Error::io("read", lossy(whole).as_ref()))?;
        if let Some(hasher) = &mut hasher {
            hasher.update(&buffer[..count]);
        }
        write(new, &buffer[..count], at)?;
        if count < buffer.len() {
            break;
        }
        cancel.check()?;
    }
    hasher.map_or(Ok(()), |hasher| check(hasher, found.content, whole))
}

fn check(hasher: Hasher, expected: Option<Digest>, whole: &[u8]) -> Result<()> {
    match expected {
        Some(expected) if hasher.finish() != expected => Err(changed(whole)),
        _ => Ok(()),
    }
}

/// Whether a source is an archive that ADD unpacks: by what is in it, and not by its name.
pub(super) fn is_archive(source: &Source) -> Result<bool> {
    let Some(found) = source.found.first().filter(|found| found.node.kind == Kind::File) else {
        return Ok(false);
    };
    let mut file = source.open(found, &mut Parents::default())?;
    let mut block = [0; 512];
    // What does not unpack so far is no archive.
    let Ok(mut plain) = open_archive(&mut file) else { return Ok(false) };
    let mut filled = 0;
    while filled < block.len() {
        match plain.read(&mut block[filled..]) {
            Ok(0) | Err(_) => return Ok(false),
            Ok(count) => filled += count,
        }
    }
    Ok(crate::archive::tar::header::is_header(&block))
}

/// What is inside of a file that may be compressed.
fn open_archive<'r>(source: &'r mut (impl Read + Send)) -> io::Result<Box<dyn Read + Send + 'r>> {
    let mut head = Vec::with_capacity(HEAD);
    Read::by_ref(source).take(HEAD as u64).read_to_end(&mut head)?;
    let outer = Outer::sniff(&head);
    outer.open(Cursor::new(head).chain(source), Limits::default())
}

/// A file that is hashed while it is read.
struct Hashed {
    file: File,
    hasher: Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        Ok(count)
    }
}

fn within(path: &[u8]) -> impl FnOnce(Error) -> Error {
    let what = format!("{:?}", String::from_utf8_lossy(path));
    move |error| error.within(what)
}

/// The name in the image is at fault, and not the source.
fn of_image(path: &[u8]) -> impl FnOnce(Error) -> Error {
    let what = format!("{:?}", String::from_utf8_lossy(&[b"/", path].concat()));
    move |error| error.within(what)
}

fn lossy(path: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(path)
}
