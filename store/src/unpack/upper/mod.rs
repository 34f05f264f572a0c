//! A layer's directory while it is filled, in the form that overlayfs reads: what goes where, whatever is below.
//!
//! Paths are walked here, over real directories: links on the way are followed inside of the image, as a process in it would, and
//! what is missing is made. Created names are new: what had them is removed before, and nothing is written through it.

mod walk;

use std::collections::HashMap;
use std::rc::Rc;

use rustix::fs::FileType;

use super::{Limits, Unpacked};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Kind, Meta, NewFile, Node, Stack, Time, is_whiteout, join, split};

/// The layer.
pub(crate) struct Upper<'a> {
    root: Directory,
    below: Stack,
    limits: Limits,
    pub(crate) cancel: &'a Cancel,
    done: Unpacked,
    /// The directory of the last member: as it was written, where that is, and open.
    parent: Option<(Vec<u8>, Place)>,
    /// The times of directories, for when nothing comes into them any more; whether somebody said them.
    times: HashMap<Vec<u8>, (Time, bool)>,
    /// What a directory is like that nobody describes.
    pub(crate) implied: Meta,
    /// The time of a directory in which a name is made, where nobody says its own; `None`: it keeps what it has below.
    touch: Option<Time>,
}

/// A directory of this layer.
#[derive(Clone)]
pub(crate) struct Place {
    /// Its path; no component is a link.
    pub(crate) path: Vec<u8>,
    pub(crate) dir: Rc<Directory>,
}

impl<'a> Upper<'a> {
    pub(crate) fn new(
        into: &Directory,
        below: Stack,
        limits: Limits,
        touch: Option<Time>,
        cancel: &'a Cancel,
    ) -> Result<Upper<'a>> {
        let root = into.again()?;
        let implied = Meta { modified: touch.unwrap_or_default(), ..Meta::implied() };
        let done = Unpacked::default();
        let mut upper =
            Upper { root, below, limits, cancel, done, parent: None, times: HashMap::new(), implied, touch };
        // Where a layer says nothing of the root, it is as it is below.
        let lower = upper.below.showing(&upper.root, b"")?.first().map(Directory::again).transpose()?;
        let meta = lower.map_or(Ok(upper.implied.clone()), |lower| {
            Ok::<_, Error>(Meta::of(&lower.node()?, lower.xattrs()?))
        });
        upper.describe_root(&meta?)?;
        upper.times.insert(Vec::new(), (upper.root.node()?.modified, false));
        Ok(upper)
    }

    /// Gives the directories their times; how much was made.
    pub(crate) fn finish(mut self) -> Result<Unpacked> {
        for (path, (time, _)) in std::mem::take(&mut self.times) {
            // Some have been replaced since.
            if let Some(dir) = self.root.below(&path)? {
                dir.set_time(time)?;
            }
        }
        Ok(self.done)
    }

    pub(crate) fn describe_root(&mut self, meta: &Meta) -> Result<()> {
        self.root.describe(meta)?;
        self.root.set_time(meta.modified)?;
        self.times.insert(Vec::new(), (meta.modified, true));
        Ok(())
    }

    pub(crate) fn count(&mut self) -> Result<()> {
        self.done.nodes += 1;
        match self.done.nodes > self.limits.nodes {
            true => {
                Err(refused(format!("is one more than the {} files that may be unpacked", self.limits.nodes)))
            }
            false => Ok(()),
        }
    }

    fn count_bytes(&mut self, bytes: u64) -> Result<()> {
        self.done.bytes = self.done.bytes.saturating_add(bytes);
        match self.done.bytes > self.limits.bytes {
            true => {
                Err(refused(format!("has {bytes} bytes, and {} may be unpacked in all", self.limits.bytes)))
            }
            false => Ok(()),
        }
    }

    /// Makes a directory, or describes the one that is there. One that takes the place of a hidden name shows nothing from below.
    pub(crate) fn directory(&mut self, place: &Place, name: &[u8], meta: &Meta) -> Result<()> {
        self.touch(place);
        self.describe(place, name, meta, true)
    }

    fn describe(&mut self, place: &Place, name: &[u8], meta: &Meta, is_said: bool) -> Result<()> {
        let mut is_opaque = false;
        loop {
            if let Some(made) = place.dir.new_directory(name, meta)? {
                if is_opaque {
                    made.make_opaque()?;
                }
                self.below.forget();
                break;
            }
            match place.dir.stat(name)? {
                Some(node) if node.kind == Kind::Directory => {
                    if let Some(dir) = place.dir.below(name)? {
                        dir.describe(meta)?;
                        break;
                    }
                }
                // A hidden name, or something else that hid it.
                there => is_opaque = there.is_some(),
            }
            self.clear(place, name)?;
        }
        self.times.insert(join(&place.path, name), (meta.modified, is_said));
        Ok(())
    }

    /// The attributes of a directory that is there, in this layer or below.
    pub(crate) fn xattrs_of(&mut self, place: &Place, name: &[u8]) -> Result<crate::tree::Xattrs> {
        let there = match place.dir.stat(name)? {
            Some(_) => place.dir.below(name)?,
            None => match self.below.find(&self.root, &place.path, name)? {
                Some((lower, _)) => lower.below(name)?,
                None => None,
            },
        };
        there.map_or(Ok(Vec::new()), |dir| dir.xattrs())
    }

    /// Shows nothing in a directory of what is below.
    pub(crate) fn make_opaque(&mut self, place: &Place) -> Result<()> {
        place.dir.make_opaque()?;
        self.below.forget();
        Ok(())
    }

    /// Hides a name of the layers below; what this layer has there itself stays (OCI image spec, layer.md, "Whiteouts").
    pub(crate) fn hide(&mut self, place: &Place, name: &[u8]) -> Result<()> {
        if matches!(name, b"" | b"." | b"..") {
            return Err(refused("hides what is no name"));
        }
        match place.dir.stat(name)? {
            Some(node) if node.kind == Kind::Directory => {
                if let Some(dir) = place.dir.below(name)? {
                    dir.make_opaque()?;
                    self.below.forget();
                }
            }
            Some(_) => {}
            None => {
                // In a directory without anything below, overlayfs would list it.
                if self.below.find(&self.root, &place.path, name)?.is_some() {
                    self.count()?;
                    place.dir.new_whiteout(name)?;
                }
            }
        }
        Ok(())
    }

    /// A regular file of so many bytes; `fill` writes them.
    pub(crate) fn file(
        &mut self,
        place: &Place,
        name: &[u8],
        meta: &Meta,
        size: u64,
        fill: impl FnOnce(&mut NewFile, &Cancel) -> Result<()>,
    ) -> Result<()> {
        self.count_bytes(size)?;
        let mut file = self.fresh(place, name, |dir| dir.new_file(name))?;
        fill(&mut file, self.cancel)?;
        file.finish(meta).map_err(Error::io("write", place.dir.at(name)))
    }

    pub(crate) fn symlink(&mut self, place: &Place, name: &[u8], target: &[u8], meta: &Meta) -> Result<()> {
        self.make(place, name, |dir| dir.new_symlink(name, target, meta))
    }

    pub(crate) fn node(
        &mut self,
        place: &Place,
        name: &[u8],
        kind: FileType,
        device: (u32, u32),
        meta: &Meta,
    ) -> Result<()> {
        if kind == FileType::CharacterDevice && is_whiteout(device) {
            return Err(refused("is a device 0:0 (or what stands for it), which hides a name"));
        }
        self.make(place, name, |dir| dir.new_node(name, kind, device, meta))
    }

    /// A hard link. A file of a lower layer is brought into this one first: overlayfs links nothing across layers.
    pub(crate) fn link(&mut self, place: &Place, name: &[u8], target: &[u8]) -> Result<()> {
        let missing =
            || refused(format!("is a link to {:?}, which is not there", String::from_utf8_lossy(target)));
        let (parent, last) = split(target);
        if last.is_empty() {
            return Err(missing());
        }
        let there = self.walk(parent)?;
        match there.dir.stat(last)? {
            Some(node) if node.is_whiteout() => return Err(missing()),
            Some(node) => check_target(&node)?,
            None => {
                let (lower, node) = self.below.find(&self.root, &there.path, last)?.ok_or_else(missing)?;
                check_target(&node)?;
                self.bring(&there, last, &lower, &node)?;
            }
        }
        if there.path == place.path && last == name {
            return Ok(());
        }
        self.make(place, name, |dir| there.dir.link_as(last, dir, name))
    }

    /// Brings something that is no directory from a lower layer into this one.
    fn bring(&mut self, place: &Place, name: &[u8], lower: &Directory, node: &Node) -> Result<()> {
        if node.kind == Kind::File {
            self.count_bytes(node.size)?;
        }
        self.count()?;
        self.make(place, name, |dir| dir.copy_in(lower, name, node))
    }

    /// Makes something under a name, which is freed first where it is taken.
    fn fresh<T>(
        &mut self,
        place: &Place,
        name: &[u8],
        make: impl Fn(&Directory) -> Result<Option<T>>,
    ) -> Result<T> {
        self.touch(place);
        loop {
            if let Some(made) = make(&place.dir)? {
                return Ok(made);
            }
            self.clear(place, name)?;
        }
    }

    fn make(&mut self, place: &Place, name: &[u8], make: impl Fn(&Directory) -> Result<bool>) -> Result<()> {
        self.fresh(place, name, |dir| Ok(make(dir)?.then_some(())))
    }

    /// Removes what has a name in this layer. Ways that led over it are to be found anew.
    fn clear(&mut self, place: &Place, name: &[u8]) -> Result<()> {
        place.dir.remove(name)?;
        self.parent = None;
        self.below.forget();
        Ok(())
    }

    /// A name of this directory changes.
    fn touch(&mut self, place: &Place) {
        if let Some(now) = self.touch {
            let time = self.times.entry(place.path.clone()).or_insert((now, false));
            if !time.1 {
                time.0 = now;
            }
        }
    }
}

fn check_target(node: &Node) -> Result<()> {
    match node.kind {
        Kind::Directory => Err(refused("is a hard link to a directory")),
        _ => Ok(()),
    }
}

pub(crate) fn refused(why: impl ToString) -> Error {
    Error::invalid("it", why)
}
