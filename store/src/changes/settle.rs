//! The tree of the changes, in the form that unpacking their layer gives it.
//!
//! What overlayfs has written through differs from that: sockets are in it, copies of what nobody has changed, and times to the nanosecond.
//! A step that is not run again finds the layer unpacked; it must not be told from one that was just run.

use std::rc::Rc;

use super::compare::{Found, is_same};
use super::walk::shown;
use super::{Form, Options};
use crate::error::{Error, Result};
use crate::tree::{Directory, Here, Kind, Node, Stack, Time, close_above, join};

/// Settles an overlay's upper directory that nobody writes any more, with the options that its layer was read with: the layer says the same of it afterwards.
pub fn settle(tree: &Directory, below: Stack, options: &Options<'_>) -> Result<()> {
    let options = &Options { form: Form::Upper, ..*options };
    let mut settler = Settler { root: tree.again()?, below, options };
    let time = settler.root_time()?;
    let mut levels = vec![Level::of(Vec::new(), Rc::new(tree.again()?), Fate::Stays(time))?];
    while let Some(level) = levels.last_mut() {
        options.cancel.check()?;
        let Some(name) = level.left.pop() else {
            // Its time last: whatever goes out of it changes that.
            let Some(level) = levels.pop() else { break };
            settler.leave(level, levels.last_mut())?;
            continue;
        };
        let (path, dir) = (level.here.path.clone(), level.here.dir(&settler.root)?);
        levels.extend(settler.visit(&path, &dir, &name)?);
        close_above(&mut levels, |level| &mut level.here);
    }
    Ok(())
}

struct Settler<'a> {
    root: Directory,
    below: Stack,
    options: &'a Options<'a>,
}

/// A directory that we are in.
struct Level {
    here: Here,
    left: Vec<Vec<u8>>,
    fate: Fate,
}

/// What becomes of a directory when we leave it.
enum Fate {
    /// It gets this time.
    Stays(Time),
    /// It is as it is below: it goes where nothing is left in it, and else gets this time.
    GoesIfEmpty(Time),
}

impl Level {
    fn of(path: Vec<u8>, dir: Rc<Directory>, fate: Fate) -> Result<Level> {
        let left = dir.names()?;
        Ok(Level { here: Here::of(path, dir), left, fate })
    }
}

impl Settler<'_> {
    fn written(&self, node: &Node) -> Time {
        Time { seconds: self.options.seconds(node), nanos: 0 }
    }

    /// Where the layer says nothing of the root it is as below.
    fn root_time(&mut self) -> Result<Time> {
        let node = self.root.node()?;
        match super::walk::same_root(&self.root, &mut self.below)? {
            Some(time) => Ok(time),
            None => Ok(self.written(&node)),
        }
    }

    fn visit(&mut self, path: &[u8], dir: &Rc<Directory>, name: &[u8]) -> Result<Option<Level>> {
        let Some(node) = dir.stat(name)? else {
            let why = "went away while it was read; something still runs in the tree";
            return Err(Error::damaged(shown(&join(path, name)), why));
        };
        let lower = self.below.find(&self.root, path, name)?;
        if node.is_whiteout() || node.kind == Kind::Socket {
            if node.kind == Kind::Socket || lower.is_none() {
                dir.remove(name)?;
            }
            if node.kind == Kind::Socket && lower.is_some() {
                dir.new_whiteout(name)?;
            }
            return Ok(None);
        }
        let seconds = self.options.seconds(&node);
        let upper = Found { dir, node: &node };
        let is_unchanged = match &lower {
            Some((dir, node)) => is_same(&upper, &Found { dir, node }, name, seconds, self.options)?,
            None => false,
        };
        if node.kind == Kind::Directory {
            let Some(inner) = dir.below(name)? else {
                let why = "is a mount point, or went away; unmount it first";
                return Err(Error::invalid(shown(&join(path, name)), why));
            };
            let time = self.written(&node);
            let is_unchanged = is_unchanged && !inner.is_opaque()?;
            let fate = if is_unchanged { Fate::GoesIfEmpty(time) } else { Fate::Stays(time) };
            return Level::of(join(path, name), Rc::new(inner), fate).map(Some);
        }
        if is_unchanged {
            // What is below shows through again.
            dir.remove(name)?;
        } else if node.modified != self.written(&node) {
            dir.set_time_of(name, self.written(&node))?;
        }
        Ok(None)
    }

    fn leave(&mut self, mut level: Level, above: Option<&mut Level>) -> Result<()> {
        let dir = level.here.dir(&self.root)?;
        let time = match (level.fate, above) {
            (Fate::GoesIfEmpty(_), Some(above)) if dir.names()?.is_empty() => {
                self.below.forget();
                let name = crate::tree::split(&level.here.path).1;
                return above.here.dir(&self.root)?.remove(name).map(drop);
            }
            (Fate::GoesIfEmpty(time) | Fate::Stays(time), _) => time,
        };
        if dir.node()?.modified != time { dir.set_time(time) } else { Ok(()) }
    }
}
