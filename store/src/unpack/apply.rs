//! Applying a layer's members, one after the other.

use std::collections::HashMap;
use std::io::Read;
use std::rc::Rc;

use rustix::fs::FileType;

use super::member::{Member, Members, What};
use super::{Limits, Unpacked};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Kind, Meta, Node, Stack, Time, join, split};

/// Links that are followed on the way to one member (as the kernel does, path_resolution(7)).
const MAX_LINKS: usize = 40;
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What aufs kept for itself.
const OF_AUFS: &[u8] = b".wh..wh.";

pub(super) struct Applier<'a> {
    root: Directory,
    below: Stack,
    limits: Limits,
    cancel: &'a Cancel,
    done: Unpacked,
    /// The directory of the last member: as it was written, where that is, and open.
    parent: Option<(Vec<u8>, Place)>,
    /// The times of directories, for when nothing comes into them any more.
    times: HashMap<Vec<u8>, Time>,
    buffer: Vec<u8>,
}

/// A directory of this layer.
#[derive(Clone)]
struct Place {
    /// Its path; no component is a link.
    path: Vec<u8>,
    dir: Rc<Directory>,
}

impl<'a> Applier<'a> {
    pub(super) fn new(
        into: &Directory,
        below: Stack,
        limits: Limits,
        cancel: &'a Cancel,
    ) -> Result<Applier<'a>> {
        let root = into.again()?;
        let (done, buffer) = (Unpacked::default(), vec![0; 256 << 10]);
        let mut applier =
            Applier { root, below, limits, cancel, done, parent: None, times: HashMap::new(), buffer };
        // Where a layer says nothing of the root, it is as it is below.
        let lower = applier.below.showing(&applier.root, b"")?.first().map(Directory::again).transpose()?;
        let meta = lower.map_or(Ok(Meta::implied()), |lower| Ok(Meta::of(&lower.node()?, lower.xattrs()?)));
        applier.describe_root(&meta?)?;
        Ok(applier)
    }

    pub(super) fn all(mut self, source: &mut dyn Read) -> Result<Unpacked> {
        let mut members = Members::new(source);
        while let Some(member) = members.next()? {
            self.cancel.check()?;
            let applied = self.member(&member, &mut members);
            applied.map_err(|e| e.within(format!("member {:?}", String::from_utf8_lossy(&member.path))))?;
        }
        for (path, time) in std::mem::take(&mut self.times) {
            // Some have been replaced since.
            if let Some(dir) = self.root.below(&path)? {
                dir.set_time(time)?;
            }
        }
        Ok(self.done)
    }

    fn member(&mut self, member: &Member, content: &mut Members<'_>) -> Result<()> {
        let meta = Meta {
            mode: member.mode,
            uid: member.uid,
            gid: member.gid,
            modified: member.modified,
            xattrs: member.xattrs.clone(),
        };
        let (parent, name) = split(&member.path);
        if name.is_empty() {
            return match member.what {
                What::Directory => self.describe_root(&meta),
                _ => Err(refused("would take the place of the root directory")),
            };
        }
        let is_marker = name.starts_with(OF_AUFS) && name != OPAQUE;
        if is_marker || parent.split(|byte| *byte == b'/').any(|name| name.starts_with(OF_AUFS)) {
            return Ok(());
        }
        let place = self.parent(parent)?;
        if name == OPAQUE {
            place.dir.make_opaque()?;
            self.below.forget();
            return Ok(());
        }
        if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            return self.hide(&place, hidden);
        }
        self.count()?;
        match &member.what {
            What::File => self.file(&place, name, &meta, member.size, content),
            What::Directory => self.directory(&place, name, &meta),
            What::Symlink(target) => self.make(&place, name, |dir| dir.new_symlink(name, target, &meta)),
            What::HardLink(target) => self.link(&place, name, target),
            What::Char(0, 0) => Err(refused("is a device 0:0, which overlayfs takes for a hidden name")),
            What::Char(major, minor) => {
                self.node(&place, name, FileType::CharacterDevice, (*major, *minor), &meta)
            }
            What::Block(major, minor) => {
                self.node(&place, name, FileType::BlockDevice, (*major, *minor), &meta)
            }
            What::Fifo => self.node(&place, name, FileType::Fifo, (0, 0), &meta),
        }
    }

    fn describe_root(&mut self, meta: &Meta) -> Result<()> {
        self.root.describe(meta)?;
        self.times.insert(Vec::new(), meta.modified);
        Ok(())
    }

    fn count(&mut self) -> Result<()> {
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

    /// The directory of a member, made where it is missing.
    fn parent(&mut self, raw: &[u8]) -> Result<Place> {
        if let Some((last, place)) = &self.parent
            && last == raw
        {
            return Ok(place.clone());
        }
        let place = match self.root.below(raw)? {
            Some(dir) => Place { path: raw.to_vec(), dir: Rc::new(dir) },
            None => self.walk(raw)?,
        };
        self.parent = Some((raw.to_vec(), place.clone()));
        Ok(place)
    }

    /// Goes component by component, as a process in the image would, and makes what is missing.
    fn walk(&mut self, raw: &[u8]) -> Result<Place> {
        let mut to_go: Vec<Vec<u8>> = names(raw).rev().collect();
        let mut place = Place { path: Vec::new(), dir: Rc::new(self.root.again()?) };
        let mut links = 0;
        while let Some(name) = to_go.pop() {
            let next = match name.as_slice() {
                b"." => continue,
                // The root's parent is the root.
                b".." => split(&place.path).0.to_vec(),
                _ => match self.step(&place, &name)? {
                    Step::Directory(dir) => {
                        place = Place { path: join(&place.path, &name), dir: Rc::new(dir) };
                        continue;
                    }
                    Step::Link(target) => {
                        links += 1;
                        if links > MAX_LINKS {
                            return Err(refused("has more links on its way than are followed"));
                        }
                        to_go.extend(names(&target).rev());
                        if target.starts_with(b"/") { Vec::new() } else { continue }
                    }
                },
            };
            let dir =
                self.root.below(&next)?.ok_or_else(|| refused("has a way that changes under the feet"))?;
            place = Place { path: next, dir: Rc::new(dir) };
        }
        Ok(place)
    }

    /// One component further: what this layer has there, else what shows through from below.
    fn step(&mut self, place: &Place, name: &[u8]) -> Result<Step> {
        let not_a_directory =
            || refused(format!("has {:?} on its way, which is no directory", String::from_utf8_lossy(name)));
        let meta = match place.dir.stat(name)? {
            Some(node) if node.kind == Kind::Directory => {
                return place.dir.below(name)?.map(Step::Directory).ok_or_else(not_a_directory);
            }
            Some(node) if node.kind == Kind::Symlink => return place.dir.link(name).map(Step::Link),
            Some(node) if node.is_whiteout() => Meta::implied(),
            Some(_) => return Err(not_a_directory()),
            None => match self.below.find(&self.root, &place.path, name)? {
                Some((lower, node)) if node.kind == Kind::Directory => match lower.below(name)? {
                    Some(lower) => Meta::of(&node, lower.xattrs()?),
                    None => return Err(not_a_directory()),
                },
                Some((lower, node)) if node.kind == Kind::Symlink => return lower.link(name).map(Step::Link),
                Some(_) => return Err(not_a_directory()),
                None => Meta::implied(),
            },
        };
        self.count()?;
        self.directory(place, name, &meta)?;
        place.dir.below(name)?.map(Step::Directory).ok_or_else(not_a_directory)
    }

    /// Makes a directory, or describes the one that is there. One that takes the place of a hidden name shows nothing from below.
    fn directory(&mut self, place: &Place, name: &[u8], meta: &Meta) -> Result<()> {
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
        self.times.insert(join(&place.path, name), meta.modified);
        Ok(())
    }

    /// Hides a name of the layers below; what this layer has there itself stays (OCI image spec, layer.md, "Whiteouts").
    fn hide(&mut self, place: &Place, name: &[u8]) -> Result<()> {
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

    fn file(
        &mut self,
        place: &Place,
        name: &[u8],
        meta: &Meta,
        size: u64,
        content: &mut Members<'_>,
    ) -> Result<()> {
        self.count_bytes(size)?;
        let mut file = self.fresh(place, name, |dir| dir.new_file(name))?;
        let failed = Error::io("write", place.dir.at(name));
        let written = loop {
            match content.read(&mut self.buffer)? {
                0 => break Ok(()),
                count => {
                    if let Err(error) = file.write(&self.buffer[..count]) {
                        break Err(error);
                    }
                }
            }
            self.cancel.check()?;
        };
        written.and_then(|()| file.finish(meta)).map_err(failed)
    }

    fn node(
        &mut self,
        place: &Place,
        name: &[u8],
        kind: FileType,
        device: (u32, u32),
        meta: &Meta,
    ) -> Result<()> {
        self.make(place, name, |dir| dir.new_node(name, kind, device, meta))
    }

    /// A hard link. A file of a lower layer is brought into this one first: overlayfs links nothing across layers.
    fn link(&mut self, place: &Place, name: &[u8], target: &[u8]) -> Result<()> {
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
}

/// Where a component of a path leads.
enum Step {
    Directory(Directory),
    Link(Vec<u8>),
}

fn names(path: &[u8]) -> impl DoubleEndedIterator<Item = Vec<u8>> {
    path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()).map(<[u8]>::to_vec)
}

fn check_target(node: &Node) -> Result<()> {
    match node.kind {
        Kind::Directory => Err(refused("is a hard link to a directory")),
        _ => Ok(()),
    }
}

fn refused(why: impl ToString) -> Error {
    Error::invalid("it", why)
}
