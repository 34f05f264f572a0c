//! Layers made by hand, unpacked, and mounted upon each other.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;

use larder_store::cancel::Cancel;
use larder_store::changes::{Changes, Form, Options};
use larder_store::tree::{Directory, Stack};
use larder_store::unpack::{Limits, Unpacked, unpack};
use larder_store::{Error, Result};
use tar::{Builder, EntryType, Header};

/// More than any test needs.
pub const ENOUGH: Limits = Limits { bytes: 1 << 30, nodes: 1 << 20 };

/// A layer in the making, whose members may be as bad as one likes.
pub struct Tarball(Builder<Vec<u8>>);

impl Tarball {
    pub fn new() -> Tarball {
        Tarball(Builder::new(Vec::new()))
    }

    pub fn file(self, path: &str, content: &[u8]) -> Tarball {
        self.member(path, EntryType::Regular, "", content, |_| {})
    }

    pub fn directory(self, path: &str) -> Tarball {
        self.member(path, EntryType::Directory, "", b"", |header| header.set_mode(0o750))
    }

    pub fn symlink(self, path: &str, target: &str) -> Tarball {
        self.member(path, EntryType::Symlink, target, b"", |_| {})
    }

    pub fn hard_link(self, path: &str, target: &str) -> Tarball {
        self.member(path, EntryType::Link, target, b"", |_| {})
    }

    pub fn device(self, path: &str, major: u32, minor: u32) -> Tarball {
        self.member(path, EntryType::Char, "", b"", |header| {
            header.set_device_major(major).unwrap();
            header.set_device_minor(minor).unwrap();
        })
    }

    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Tarball {
        self.0.append_pax_extensions(records.iter().copied()).unwrap();
        self
    }

    pub fn member(
        mut self,
        path: &str,
        kind: EntryType,
        target: &str,
        content: &[u8],
        change: impl Fn(&mut Header),
    ) -> Tarball {
        let mut header = Header::new_gnu();
        // Not by set_path, which refuses what is to be tested.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000_000);
        change(&mut header);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    pub fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }
}

/// Unpacked layers, the lowest first.
pub struct Layers {
    dir: PathBuf,
    count: usize,
}

impl Layers {
    pub fn below(dir: &Path) -> Layers {
        Layers { dir: dir.to_path_buf(), count: 0 }
    }

    pub fn path(&self, number: usize) -> PathBuf {
        self.dir.join(format!("l{number}"))
    }

    pub fn top(&self) -> PathBuf {
        self.path(self.count - 1)
    }

    /// The layers there are, for a new one above them.
    pub fn stack(&self) -> Stack {
        Stack::new((0..self.count).rev().map(|number| Directory::open(&self.path(number)).unwrap()).collect())
    }

    /// Unpacks one more; where it fails it does not count.
    pub fn add(&mut self, mut layer: &[u8]) -> Result<Unpacked> {
        self.add_within(&mut layer, ENOUGH)
    }

    pub fn add_within(&mut self, layer: &mut dyn Read, limits: Limits) -> Result<Unpacked> {
        let path = self.path(self.count);
        std::fs::create_dir(&path).unwrap();
        let stack = self.stack();
        let unpacked = unpack(layer, &Directory::open(&path)?, stack, limits, &Cancel::new())?;
        self.count += 1;
        Ok(unpacked)
    }

    /// Takes in one that was made otherwise.
    pub fn count_one_more(&mut self) {
        self.count += 1;
    }

    /// Mounts them, with an upper directory where one is given. The caller is in a mount namespace of its own.
    pub fn mount(&self, upper: Option<&Path>) -> Mounted {
        let target = self.dir.join(format!("m{}", self.count));
        std::fs::create_dir_all(&target).unwrap();
        let empty = self.dir.join("empty");
        std::fs::create_dir_all(&empty).unwrap();
        let mut lower: Vec<_> =
            (0..self.count).rev().map(|number| self.path(number).display().to_string()).collect();
        if lower.len() == 1 && upper.is_none() {
            // Overlayfs wants two where nothing is to be written.
            lower.push(empty.display().to_string());
        }
        let mut options = format!("lowerdir={},redirect_dir=off,metacopy=off,index=off", lower.join(":"));
        if let Some(upper) = upper {
            let work = upper.with_extension("work");
            std::fs::create_dir_all(upper).unwrap();
            std::fs::create_dir_all(&work).unwrap();
            options += &format!(",upperdir={},workdir={}", upper.display(), work.display());
        }
        let mut mount = Command::new("mount");
        let output = mount.args(["-t", "overlay", "overlay", "-o", &options]).arg(&target).output().unwrap();
        assert!(output.status.success(), "{options}: {}", String::from_utf8_lossy(&output.stderr));
        Mounted(target)
    }
}

/// A mount; it goes when dropped.
pub struct Mounted(pub PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(&self.0).status();
    }
}

/// The changes of a tree as a tar.
pub fn changes(tree: &Path, below: Stack, form: Form, epoch: Option<i64>) -> Result<Vec<u8>> {
    let cancel = Cancel::new();
    let mut bytes = Vec::new();
    let mut changes = Changes::new(&Directory::open(tree)?, below, Options { form, epoch, cancel: &cancel })?;
    let read = changes.read_to_end(&mut bytes);
    read.map_err(|error| larder_store::blob::from_io(error, Error::io("read", tree)))?;
    Ok(bytes)
}
