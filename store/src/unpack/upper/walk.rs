//! The way to a directory of the layer: component by component, over links inside of the image.

use std::rc::Rc;

use super::{Place, Upper, refused};
use crate::error::Result;
use crate::tree::{Directory, Kind, Meta, join, split};

/// Links that are followed on the way to one member (as the kernel does, path_resolution(7)).
const MAX_LINKS: usize = 40;

impl Upper<'_> {
    /// The directory of a member, made where it is missing.
    pub(crate) fn parent(&mut self, raw: &[u8]) -> Result<Place> {
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
    pub(super) fn walk(&mut self, raw: &[u8]) -> Result<Place> {
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
        let lower = match place.dir.stat(name)? {
            Some(node) if node.kind == Kind::Directory => {
                return place.dir.below(name)?.map(Step::Directory).ok_or_else(not_a_directory);
            }
            Some(node) if node.kind == Kind::Symlink => return place.dir.link(name).map(Step::Link),
            Some(node) if node.is_whiteout() => None,
            Some(_) => return Err(not_a_directory()),
            None => match self.below.find(&self.root, &place.path, name)? {
                Some((lower, node)) if node.kind == Kind::Directory => match lower.below(name)? {
                    Some(lower) => Some(Meta::of(&node, lower.xattrs()?)),
                    None => return Err(not_a_directory()),
                },
                Some((lower, node)) if node.kind == Kind::Symlink => return lower.link(name).map(Step::Link),
                Some(_) => return Err(not_a_directory()),
                None => None,
            },
        };
        self.count()?;
        match lower {
            // Nothing changes where it is.
            Some(meta) => self.describe(place, name, &meta, false)?,
            None => {
                self.touch(place);
                let implied = self.implied.clone();
                self.describe(place, name, &implied, false)?;
            }
        }
        place.dir.below(name)?.map(Step::Directory).ok_or_else(not_a_directory)
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
