//! What the file system below a directory can do, found out by trying.

use std::io::Write;

use rustix::fs::{self as sys, FallocateFlags};

use crate::error::{Error, Result};
use crate::fs::{Dir, unique};

/// What was tried, and whether it worked.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Abilities {
    /// The file system's kind, by its magic number (statfs(2)).
    pub file_system: String,
    /// Files can be locked (flock). Without that no store works.
    pub locks: bool,
    /// Space can be set aside (fallocate): for the reserve that a full disk needs.
    pub preallocation: bool,
    /// Holes can be punched: for `import --consume`.
    pub holes: bool,
    /// The kernel can copy between files (copy_file_range): exports are faster.
    pub kernel_copy: bool,
}

/// Tries it all in a file that has no name a moment later.
pub fn probe(dir: &Dir) -> Result<Abilities> {
    let statfs = sys::fstatfs(dir.fd()).map_err(|e| Error::io("statfs", dir.path())(e.into()))?;
    let name = format!("probe.{}", unique());
    let mut file = dir.create_new(&name)?;
    let written = file.write_all(&[1; 64 << 10]).map_err(Error::io("write", dir.at(&name)));
    dir.unlink(&name)?;
    written?;
    let hole = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
    Ok(Abilities {
        file_system: name_of(statfs.f_type as u64),
        locks: file.try_lock().is_ok(),
        preallocation: sys::fallocate(&file, FallocateFlags::empty(), 0, 128 << 10).is_ok(),
        holes: sys::fallocate(&file, hole, 0, 4096).is_ok(),
        kernel_copy: sys::copy_file_range(&file, Some(&mut 0), &file, Some(&mut (32 << 10)), 4096).is_ok(),
    })
}

fn name_of(magic: u64) -> String {
    match magic & 0xffff_ffff {
        0xef53 => "ext4".into(),
        0x5846_5342 => "xfs".into(),
        0x9123_683e => "btrfs".into(),
        0x0102_1994 => "tmpfs".into(),
        0x794c_7630 => "overlayfs".into(),
        0x6969 => "nfs".into(),
        0x2fc1_2fc1 => "zfs".into(),
        0xff53_4d42 | 0xfe53_4d42 => "cifs".into(),
        0xf2f5_2010 => "f2fs".into(),
        other => format!("{other:#x}"),
    }
}
