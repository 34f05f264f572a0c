//! Whether something is as it is in the layers below.

use super::{Form, Options};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{Directory, Kind, Node, Time, read_content, xattrs_of};

/// Something by its name in an open directory.
pub(super) struct Found<'a> {
    pub(super) dir: &'a Directory,
    pub(super) node: &'a Node,
}

/// Whether a name stands for the same in both: type, owner, mode, device, target, attributes and content. The time is `seconds`,
/// as it would be written; a lower one that has parts of a second cannot have come out of a layer of ours.
pub(super) fn is_same(
    upper: &Found<'_>,
    lower: &Found<'_>,
    name: &[u8],
    seconds: i64,
    options: &Options<'_>,
) -> Result<bool> {
    let (new, old) = (upper.node, lower.node);
    let as_written = Time { seconds, nanos: 0 };
    let same_time = old.modified == as_written || old.modified == new.modified;
    if (new.kind, new.mode, new.uid, new.gid) != (old.kind, old.mode, old.uid, old.gid) || !same_time {
        return Ok(false);
    }
    let has_same_names = match options.form {
        // Others of its names are in this layer, too, or copying it up has parted it from them.
        Form::Upper => new.links == 1 && old.links == 1,
        Form::Whole => new.links == old.links,
    };
    if new.kind != Kind::Directory && !has_same_names {
        return Ok(false);
    }
    match new.kind {
        Kind::Symlink => Ok(upper.dir.link(name)? == lower.dir.link(name)?),
        Kind::Char | Kind::Block => Ok(new.device == old.device),
        Kind::Fifo | Kind::Socket => Ok(true),
        Kind::Directory => match (upper.dir.below(name)?, lower.dir.below(name)?) {
            (Some(new), Some(old)) => Ok(new.xattrs()? == old.xattrs()?),
            _ => Ok(false),
        },
        Kind::File if new.size != old.size => Ok(false),
        Kind::File => has_same_content(upper.dir, lower.dir, name, options.cancel),
    }
}

/// Whether two files have the same attributes and content.
fn has_same_content(upper: &Directory, lower: &Directory, name: &[u8], cancel: &Cancel) -> Result<bool> {
    let (mut new, mut old) = (upper.file(name)?, lower.file(name)?);
    let xattrs = |file, dir: &Directory| xattrs_of(file).map_err(dir.error("read the attributes of", name));
    if xattrs(&new, upper)? != xattrs(&old, lower)? {
        return Ok(false);
    }
    let (mut a, mut b) = (vec![0; 128 << 10], vec![0; 128 << 10]);
    loop {
        cancel.check()?;
        let count = read_content(&mut new, &mut a).map_err(Error::io("read", upper.at(name)))?;
        let other = read_content(&mut old, &mut b).map_err(Error::io("read", lower.at(name)))?;
        if a[..count] != b[..other] {
            return Ok(false);
        }
        if count == 0 {
            return Ok(true);
        }
    }
}
