//! Directories of `.larder/` that are their maker's alone: what is in them would be run as that user.
//!
//! Mode 0700. What another user made is not used, by root neither; whoever frees space looks into what can be looked into.

use rustix::process::geteuid;

use crate::error::{Error, Result};
use crate::fs::{self, Dir};

/// Opens one, or makes it. `what` is in it, for the error that it belongs to another user.
pub(crate) fn open(private: &Dir, place: &str, what: &str) -> Result<Dir> {
    let dir = match private.sub_if_there(place)? {
        Some(dir) => dir,
        None => {
            let dir = private.ensure_dir(place)?;
            dir.make_private()?;
            dir
        }
    };
    let owner = private.stat(place)?.map_or(0, |stat| stat.uid);
    if owner != geteuid().as_raw() {
        let why =
            format!("belongs to user {owner}, whose {what} are not used; remove it, or build as that user");
        return Err(Error::invalid(dir.path().display(), why));
    }
    Ok(dir)
}

/// The directory, where it is there and this user may look into it.
pub(crate) fn look(private: &Dir, place: &str) -> Result<Option<Dir>> {
    // What is no directory is none of ours.
    if private.stat(place)?.is_none_or(|stat| !stat.is_dir) {
        return Ok(None);
    }
    match private.sub_if_there(place) {
        Err(error) if fs::is_read_only(&error) => Ok(None),
        all => all,
    }
}
