//! What a name in a tree stands for.

use std::fs::File;
use std::io::Read;

use rustix::fs::{FileType, Stat, major, minor};

/// What sort of thing it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link.
    Symlink,
    /// A named pipe.
    Fifo,
    /// A socket.
    Socket,
    /// A character device.
    Char,
    /// A block device.
    Block,
}

/// A moment: seconds since 1970 (or before), and nanoseconds after them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time {
    /// Seconds.
    pub seconds: i64,
    /// Nanoseconds, less than a second.
    pub nanos: u32,
}

/// A file, directory or other thing, without its name and content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Permissions, with setuid, setgid and sticky bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last change of the content.
    pub modified: Time,
    /// Bytes.
    pub size: u64,
    /// Bytes that it takes on the disk.
    pub allocated: u64,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// How many names it has.
    pub links: u64,
    /// File system and inode number.
    pub identity: (u64, u64),
}

impl Node {
    #[allow(clippy::useless_conversion, reason = "how wide the fields are is the architecture's")]
    pub(super) fn of(stat: &Stat) -> Node {
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => Kind::Directory,
            FileType::Symlink => Kind::Symlink,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            _ => Kind::File,
        };
        Node {
            kind,
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            modified: Time { seconds: stat.st_mtime, nanos: stat.st_mtime_nsec as u32 },
            size: stat.st_size.try_into().unwrap_or(0),
            allocated: u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512),
            device: (major(stat.st_rdev), minor(stat.st_rdev)),
            links: stat.st_nlink.into(),
            identity: (stat.st_dev, stat.st_ino),
        }
    }

    /// Whether it is a name that is hidden: as overlayfs knows it, or in its place.
    pub fn is_whiteout(&self) -> bool {
        self.kind == Kind::Char && is_whiteout(self.device)
    }
}

/// The device that overlayfs takes for a name that is hidden (Documentation/filesystems/overlayfs.rst).
pub(super) const WHITEOUT: (u32, u32) = (0, 0);

/// What stands for it on an overlay, where nobody may make that device, and nothing is ever mounted. No driver has major number 0.
pub(super) const STAND_IN: (u32, u32) = (0, 0xf_ffff);

/// Whether a character device of these numbers hides its name.
pub(crate) fn is_whiteout(device: (u32, u32)) -> bool {
    [WHITEOUT, STAND_IN].contains(&device)
}

/// Fills the buffer from a file, less only at its end; how much.
pub fn read_content(file: &mut File, buffer: &mut [u8]) -> std::io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}
