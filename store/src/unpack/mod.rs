//! Unpacking a layer into a directory of its own, in the form that overlayfs reads as a lower layer.
//!
//! Whiteouts become character devices 0:0 and opaque directories get `trusted.overlay.opaque` (OCI image spec, layer.md;
//! kernel, overlayfs.rst). What depends on the layers below is looked up there: a directory that is only implied is as it is
//! below, links in the way of a path are followed inside of the image as a process in it would, and a hard link to a
//! file of a lower layer brings that file into this one, which is what containerd's unpacking through overlayfs comes to.
//!
//! A layer may mean harm. Nothing is written but beneath the directory: every path is walked here, over directories that are real
//! ones, and created names must be new. What cannot be had exactly ends the work, naming the member. What was made by then is
//! for the caller to remove.

pub(crate) mod apply;
pub(crate) mod member;
mod pax;
mod snapshot;
pub(crate) mod upper;

use std::io::Read;

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Stack};

pub use snapshot::{Layer, unpack_image};

/// Files, directories and all else of one layer: more than any image has.
pub(crate) const MAX_NODES: u64 = 4_000_000;

/// What a layer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories and all else, implied ones too.
    pub nodes: u64,
}

/// What a layer took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Bytes of all files.
    pub bytes: u64,
    /// Files, directories and all else.
    pub nodes: u64,
}

/// Unpacks the plain tar stream of a layer into an empty directory. What follows the mark of its end is left unread.
pub fn unpack(
    source: &mut dyn Read,
    into: &Directory,
    below: Stack,
    limits: Limits,
    cancel: &Cancel,
) -> Result<Unpacked> {
    let mut upper = upper::Upper::new(into, below, limits, None, cancel)?;
    apply::apply(source, apply::Source::Layer, &mut upper)?;
    upper.finish()
}

fn broken(why: impl ToString) -> Error {
    Error::invalid("the layer", why)
}
