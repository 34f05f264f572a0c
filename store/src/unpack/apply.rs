//! Applying a tar's members, one after the other: a layer's, or those of an archive that a directory of the image takes.

use std::io::Read;

use rustix::fs::FileType;

use super::member::{Member, Members, What};
use super::upper::{Upper, refused};
use crate::error::{Error, Result};
use crate::tree::{Meta, NewFile, Time, join, split};

const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself.
const OF_AUFS: &[u8] = b".wh..wh.";

/// Whose members they are.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A layer's, which hides names too.
    Layer,
    /// An archive's, for the directory of this path, which is there and has no links in it. Nothing is hidden, and times are in whole seconds.
    Archive(&'a [u8]),
}

/// Applies all members up to the mark of the end.
pub(crate) fn apply(source: &mut dyn Read, of: Source<'_>, upper: &mut Upper<'_>) -> Result<()> {
    let mut members = Members::new(source);
    let mut applier = Applier { upper, of, buffer: vec![0; 256 << 10] };
    while let Some(member) = members.next()? {
        applier.upper.cancel.check()?;
        let applied = applier.member(&member, &mut members);
        applied.map_err(|e| e.within(format!("member {:?}", String::from_utf8_lossy(&member.path))))?;
    }
    Ok(())
}

struct Applier<'a, 'u> {
    upper: &'a mut Upper<'u>,
    of: Source<'a>,
    buffer: Vec<u8>,
}

impl Applier<'_, '_> {
    fn member(&mut self, member: &Member, content: &mut Members<'_>) -> Result<()> {
        let mut meta = Meta {
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            modified: member.modified,
            xattrs: member.xattrs.clone(),
        };
        let path = self.path(&member.path);
        let (parent, name) = split(&path);
        match self.of {
            Source::Layer => {
                if name.is_empty() {
                    return match member.what {
                        What::Directory => self.upper.describe_root(&meta),
                        _ => Err(refused("would take the place of the root directory")),
                    };
                }
                if self.is_of_hiding(parent, name)? {
                    return Ok(());
                }
            }
            Source::Archive(_) => {
                meta.modified = Time { nanos: 0, ..meta.modified };
                if member.path.is_empty() {
                    return match member.what {
                        // What takes the archive stays as it is.
                        What::Directory => Ok(()),
                        _ => Err(refused("would take the place of the directory that it is unpacked into")),
                    };
                }
                check_name(name)?;
            }
        }
        let place = self.upper.parent(parent)?;
        self.upper.count()?;
        let mut node = |kind, device| self.upper.node(&place, name, kind, device, &meta);
        match &member.what {
            What::Char(major, minor) => node(FileType::CharacterDevice, (*major, *minor)),
            What::Block(major, minor) => node(FileType::BlockDevice, (*major, *minor)),
            What::Fifo => node(FileType::Fifo, (0, 0)),
            What::Directory => self.upper.directory(&place, name, &meta),
            What::Symlink(target) => self.upper.symlink(&place, name, target, &meta),
            What::HardLink(target) => {
                let target = self.path(target);
                self.upper.link(&place, name, &target)
            }
            What::File => {
                let (buffer, path) = (&mut self.buffer, place.dir.at(name));
                self.upper.file(&place, name, &meta, member.size, |file, cancel| {
                    loop {
                        match content.read(buffer)? {
                            0 => return Ok(()),
                            count => write(file, &buffer[..count], &path)?,
                        }
                        cancel.check()?;
                    }
                })
            }
        }
    }

    fn path(&self, member: &[u8]) -> Vec<u8> {
        match self.of {
            Source::Layer => member.to_vec(),
            Source::Archive(into) => join(into, member),
        }
    }

    /// Does what a name of a layer says that is no file's; whether it is one.
    fn is_of_hiding(&mut self, parent: &[u8], name: &[u8]) -> Result<bool> {
        let is_marker = name.starts_with(OF_AUFS) && name != OPAQUE;
        if is_marker || parent.split(|byte| *byte == b'/').any(|name| name.starts_with(OF_AUFS)) {
            return Ok(true);
        }
        let Some(hidden) = name.strip_prefix(WHITEOUT) else { return Ok(false) };
        let place = self.upper.parent(parent)?;
        match name == OPAQUE {
            true => self.upper.make_opaque(&place)?,
            false => self.upper.hide(&place, hidden)?,
        }
        Ok(true)
    }
}

/// Refuses a file's name that would mean something else in a layer.
pub(crate) fn check_name(name: &[u8]) -> Result<()> {
    match name.starts_with(WHITEOUT) {
        true => Err(refused("has a name that cannot be in a layer: .wh. says there what is hidden")),
        false => Ok(()),
    }
}

pub(crate) fn write(file: &mut NewFile, bytes: &[u8], path: &std::path::Path) -> Result<()> {
    file.write(bytes).map_err(Error::io("write", path))
}
