//! Where the sources of a copy are: a build's context, or the layers of a stage or image.

use std::path::Path;
use std::rc::Rc;

use larder_store::error::Result;
use larder_store::place::{LeftOut, Tree};
use larder_store::tree::{Directory, Kind, View};

use crate::build::ignore::Ignore;

/// A build's context, open.
pub(crate) struct Context {
    tree: Tree,
    ignore: Ignore,
}

impl Context {
    /// Opens one by the user's own path. What is mounted in it belongs to it.
    pub(crate) fn open(path: &Path, ignore: Ignore) -> Result<Context> {
        let root = Directory::open_with_mounts(path)?;
        Ok(Context { tree: Rc::new(View::new(vec![root])), ignore })
    }
}

/// Where the sources are.
#[derive(Clone, Copy)]
pub(crate) enum From<'a> {
    /// In the build's context.
    Context(&'a Context),
    /// In layers, the uppermost first.
    Layers(&'a [Directory]),
}

impl From<'_> {
    pub(super) fn tree(&self) -> Result<Tree> {
        match self {
            From::Context(context) => Ok(Rc::clone(&context.tree)),
            From::Layers(layers) => {
                let layers = layers.iter().map(Directory::again).collect::<Result<_>>()?;
                Ok(Rc::new(View::new(layers)))
            }
        }
    }

    /// Whether a path is seen, by `.dockerignore`.
    pub(super) fn leaves_out(&self, path: &[u8], kind: Kind) -> LeftOut {
        let From::Context(Context { ignore, .. }) = self else { return LeftOut::No };
        match ignore.leaves_out(&String::from_utf8_lossy(path)) {
            false => LeftOut::No,
            true if kind == Kind::Directory && !ignore.brings_nothing_back() => LeftOut::Itself,
            true => LeftOut::All,
        }
    }
}
