//! The directories on the way down to where a walk is: however deep that is, only some of them are open.

use std::rc::Rc;

use super::Directory;
use crate::error::{Error, Result};

/// Directories of a way that are open at once, the last ones.
const OPEN: usize = 32;

/// A directory that a walk is in.
#[derive(Debug)]
pub(crate) struct Here {
    /// From the root of the tree, without links.
    pub(crate) path: Vec<u8>,
    dir: Option<Rc<Directory>>,
}

impl Here {
    /// One that is open.
    pub(crate) fn of(path: Vec<u8>, dir: Rc<Directory>) -> Here {
        Here { path, dir: Some(dir) }
    }

    /// The directory, opened again where it is not open any more.
    pub(crate) fn dir(&mut self, root: &Directory) -> Result<Rc<Directory>> {
        let dir = match self.dir.take() {
            Some(dir) => dir,
            None => Rc::new(root.below(&self.path)?.ok_or_else(|| {
                let why = "went away while it was read; something still runs in the tree";
                Error::damaged(format!("{:?}", root.at(&self.path)), why)
            })?),
        };
        self.dir = Some(Rc::clone(&dir));
        Ok(dir)
    }
}

/// Closes what is far above the end of a way; `here` gives what a step of it has. To be called after each step down.
pub(crate) fn close_above<T>(way: &mut [T], here: impl Fn(&mut T) -> &mut Here) {
    if let Some(far) = way.len().checked_sub(OPEN + 1).and_then(|at| way.get_mut(at)) {
        here(far).dir = None;
    }
}
