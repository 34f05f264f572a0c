//! Extended attributes that belong to a file, and the one by which overlayfs knows an opaque directory.
//!
//! Only files and directories have any that are kept. `security.*` but for capabilities is the host's (labels, signatures),
//! `trusted.*` is its administrator's, and what overlayfs reads for itself must never come out of a layer.

use std::os::fd::AsFd;

use rustix::fs::{self as sys, XattrFlags};
use rustix::io::Errno;

use super::Directory;
use crate::error::Result;

/// Names and values, sorted by name.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Hides what lies below a directory; its value is `y`.
pub const OPAQUE: &str = "trusted.overlay.opaque";
/// The same on overlayfs itself, which keeps its own attributes to itself.
const OUR_OPAQUE: &str = "trusted.larder.opaque";

/// Whether a layer may carry it.
pub fn is_kept(name: &[u8]) -> bool {
    const EXACT: [&[u8]; 3] =
        [b"security.capability", b"system.posix_acl_access", b"system.posix_acl_default"];
    // A pax record's key ends at the first sign of equality.
    let is_users = name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") && !name.contains(&b'=');
    EXACT.contains(&name) || is_users
}

/// The attributes that are kept of an open file or directory, sorted by name.
pub(crate) fn kept(fd: impl AsFd) -> Result<Xattrs, Errno> {
    let names = match list(&fd) {
        // A file system without any.
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut found = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| is_kept(name)) {
        match get(&fd, name) {
            Ok(value) => found.push((name.to_vec(), value)),
            // Gone since.
            Err(Errno::NODATA) => {}
            Err(e) => return Err(e),
        }
    }
    found.sort_unstable();
    Ok(found)
}

fn list(fd: &impl AsFd) -> Result<Vec<u8>, Errno> {
    grown(|buffer| sys::flistxattr(fd, buffer))
}

fn get(fd: &impl AsFd, name: &[u8]) -> Result<Vec<u8>, Errno> {
    grown(|buffer| sys::fgetxattr(fd, name, buffer))
}

/// Asks with a larger buffer where the first is too small: the kernel's limit is 64 KiB.
fn grown(mut ask: impl FnMut(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    for size in [256, 64 << 10] {
        let mut buffer = vec![0; size];
        match ask(&mut buffer) {
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
            Err(Errno::RANGE) => {}
            Err(e) => return Err(e),
        }
    }
    Err(Errno::RANGE)
}

/// Sets one.
pub(crate) fn set(fd: impl AsFd, name: &[u8], value: &[u8]) -> Result<(), Errno> {
    match sys::fsetxattr(fd, name, value, XattrFlags::empty()) {
        // A file system without the user's: as containerd does, the file is had without.
        Err(Errno::OPNOTSUPP) if name.starts_with(b"user.") || name.starts_with(b"system.") => Ok(()),
        set => set,
    }
}

impl Directory {
    /// Whether overlayfs shows nothing of what lies below this directory.
    pub fn is_opaque(&self) -> Result<bool> {
        let found = match get(&self.fd, OPAQUE.as_bytes()) {
            Err(Errno::OPNOTSUPP) => get(&self.fd, OUR_OPAQUE.as_bytes()),
            found => found,
        };
        match found {
            Ok(value) => Ok(value == b"y"),
            Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(false),
            Err(e) => Err(self.error("read an attribute of", b"")(e)),
        }
    }

    /// Makes overlayfs show nothing of what lies below this directory.
    pub fn make_opaque(&self) -> Result<()> {
        let marked = match set(&self.fd, OPAQUE.as_bytes(), b"y") {
            Err(Errno::OPNOTSUPP) => set(&self.fd, OUR_OPAQUE.as_bytes(), b"y"),
            marked => marked,
        };
        marked.map_err(self.error("mark as opaque", b""))
    }

    /// The attributes of this directory that a layer may carry.
    pub fn xattrs(&self) -> Result<Xattrs> {
        kept(&self.fd).map_err(self.error("read the attributes of", b""))
    }
}
