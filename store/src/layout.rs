//! The image layout on disk: `oci-layout`, `index.json`, `blobs/`, and `.larder/` with the format's version.
//!
//! `index.json` is replaced by one rename and is at every moment complete. Who writes it holds `index.lock` (`lock`).

use std::path::Path;

use rustix::fs::{AtFlags, FallocateFlags};
use rustix::io::Errno;
use serde::Deserialize;

use crate::blob::FileBlobs;
use crate::error::{Error, Result};
use crate::fs::{self, Dir, Sharing};
use crate::index::Index;
use crate::json;

/// The version of `.larder/` that this program writes, and the newest it reads.
pub const FORMAT: u32 = 1;
const MAX_INDEX: u64 = 256 << 20;
const RESERVE: u64 = 1 << 20;
const OCI_LAYOUT: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;
const OURS: &str = ".larder";
/// In `usage/` since its records began: gone with them.
pub(crate) const USAGE_BEGUN: &str = "since";
/// The files of [`crate::lock`].
pub(crate) const LOCK_FILES: [&str; 3] = ["gate", "lock", "index.lock"];

/// An open image layout.
#[derive(Debug, Clone)]
pub struct Layout {
    root: Dir,
    private: Dir,
    blobs: FileBlobs,
}

impl Layout {
    /// Opens a layout; an empty or missing directory becomes one, and a layout of another tool gets its `.larder/`.
    pub fn open(path: &Path) -> Result<Layout> {
        make_directories(path)?;
        let root = Dir::open(path)?;
        match settled(&root, "oci-layout", json::MAX_DOCUMENT)? {
            Some(bytes) => check_oci_layout(&bytes).map_err(|why| not_a_layout(path, why))?,
            None => return Layout::create(root, None),
        }
        if root.stat("index.json")?.is_none() {
            return Err(not_a_layout(path, "index.json is missing".into()));
        }
        let private = match root.sub(OURS) {
            Err(error) if fs::is_not_found(&error) => return Layout::create(root, None),
            private => private?,
        };
        // Begun and not finished: by a process that was killed, or by one that is just at it.
        let has_blobs = match root.sub("blobs") {
            Err(error) if fs::is_not_found(&error) => false,
            blobs => blobs?.stat("sha256")?.is_some(),
        };
        if private.stat("version")?.is_none() || !has_blobs {
            return Layout::create(root, None);
        }
        check_version(&private)?;
        let sharing = private.sharing_on_disk()?;
        let (root, private) = (root.with_sharing(sharing), private.with_sharing(sharing));
        let blobs = FileBlobs::new(root.sub("blobs")?.sub("sha256")?);
        Ok(Layout { root, private, blobs })
    }

    /// Makes a layout that a group may write.
    pub fn create_shared(path: &Path, gid: u32) -> Result<Layout> {
        make_directories(path)?;
        let root = Dir::open(path)?;
        if root.stat("oci-layout")?.is_some() {
            return Err(Error::invalid(path.display(), "is a store already; its modes are not changed"));
        }
        Layout::create(root, Some(gid))
    }

    /// Every step can be repeated, so that a run that was killed in the middle is finished by the next; the
    /// index is never written over. `oci-layout` comes last: with it the layout is complete.
    fn create(root: Dir, gid: Option<u32>) -> Result<Layout> {
        let path = root.path().to_path_buf();
        let known = ["oci-layout", "index.json", "blobs", OURS];
        if let Some(stranger) = root.names()?.iter().find(|name| !known.contains(&name.as_str()))
            && root.stat("oci-layout")?.is_none()
        {
            return Err(not_a_layout(
                &path,
                format!("it has no oci-layout file and is not empty ({stranger:?})"),
            ));
        }
        // A shared store that was only begun stays shared, whoever finishes it.
        let shared = gid.is_some() || root.sharing_on_disk()? == Sharing::Group;
        let root = if shared { root.with_sharing(Sharing::Group) } else { root };
        if let Some(gid) = gid {
            root.give_to_group(gid)?;
        }
        let private = root.ensure_dir(OURS)?;
        if private.stat("version")?.is_some() {
            check_version(&private)?;
        }
        for name in ["leases", "ingest", "usage", "handovers", "cache", "trash"] {
            private.ensure_dir(name)?;
        }
        // There from the start: a full or read-only disk could not give them later.
        for name in LOCK_FILES {
            private.open_lock(name)?;
        }
        private.open_append("released")?;
        private.sub("usage")?.open_append(USAGE_BEGUN)?;
        create_once(&private, "version", format!("{FORMAT}\n").as_bytes(), &private)?;
        let blobs = root.ensure_dir("blobs")?;
        let sha256 = blobs.ensure_dir("sha256")?;
        create_once(&root, "index.json", &Index::default().to_bytes(), &private)?;
        create_once(&root, "oci-layout", OCI_LAYOUT, &private)?;
        for dir in [&blobs, &private, &root] {
            dir.sync()?;
        }
        // The store's own name, whoever made its directory.
        // (A directory that this user may not even list is not theirs to make durable.)
        if let Ok(above) = Dir::open(directory_above(&path)) {
            above.sync()?;
        }
        check_version(&private)?;
        let layout = Layout { root, private, blobs: FileBlobs::new(sha256) };
        layout.refill_reserve();
        Ok(layout)
    }

    /// The directory by the path it was opened with.
    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// The layout's directory.
    pub fn root(&self) -> &Dir {
        &self.root
    }

    /// `.larder/`.
    pub fn private(&self) -> &Dir {
        &self.private
    }

    /// The blobs.
    pub fn blobs(&self) -> &FileBlobs {
        &self.blobs
    }

    /// Reads the index as it stands. A missing or unreadable index is an error, never an empty one.
    pub fn read_index(&self) -> Result<Index> {
        let path = self.root.at("index.json");
        let bytes = settled(&self.root, "index.json", MAX_INDEX)?;
        let bytes = bytes.ok_or_else(|| Error::damaged(path.display(), "is missing"))?;
        Index::parse(&bytes).map_err(|why| Error::damaged(path.display(), why))
    }

    /// Replaces the index, durably. The caller holds `index.lock` and has read the index under it.
    ///
    /// On a full disk the reserve is given up for it, so that what frees space can always be written down.
    pub fn write_index(&self, index: &Index) -> Result<()> {
        let bytes = index.to_bytes();
        match self.root.replace("index.json", &bytes, &self.private) {
            Err(error) if fs::is_full(&error) && self.private.unlink("reserve")? => {
                self.root.replace("index.json", &bytes, &self.private)?;
            }
            written => written?,
        }
        self.refill_reserve();
        Ok(())
    }

    /// Gives up the reserved bytes; whether there were any.
    pub fn release_reserve(&self) -> Result<bool> {
        self.private.unlink("reserve")
    }

    /// Keeps bytes for one more index and a little. Best effort: a full disk has none to give.
    fn refill_reserve(&self) {
        let index = self.root.stat("index.json").ok().flatten().map_or(0, |stat| stat.size);
        let have = self.private.stat("reserve").ok().flatten().map_or(0, |stat| stat.size);
        // Refilled in steps, so that a growing index does not cost an allocation with every entry.
        if have >= index + RESERVE / 2 {
            return;
        }
        let Ok(file) = self.private.open_or_create("reserve") else { return };
        let grown = rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, index + RESERVE);
        // One that cannot grow is still worth what it had; what a new one got of its bytes is none.
        if grown.is_err() {
            if have == 0 {
                let _ = self.private.unlink("reserve");
            } else {
                let _ = file.set_len(have);
            }
        }
    }
}

/// Makes a directory and those above it that are missing, durably.
fn make_directories(path: &Path) -> Result<()> {
    if path.is_dir() {
        return Ok(());
    }
    let parent = directory_above(path);
    make_directories(parent)?;
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            Err(Error::io("create", path)(error))
        }
        _ => Dir::open(parent)?.sync(),
    }
}

/// Reads a JSON document that other tools write in place: one that is empty or cut is looked at again for a moment.
/// What stays so is returned as it is.
fn settled(dir: &Dir, name: &str, cap: u64) -> Result<Option<Vec<u8>>> {
    let mut bytes = dir.read(name, cap)?;
    for _ in 0..30 {
        match &bytes {
            Some(cut) if !cut.trim_ascii_end().ends_with(b"}") => {
                std::thread::sleep(std::time::Duration::from_millis(10));
                bytes = dir.read(name, cap)?;
            }
            _ => break,
        }
    }
    Ok(bytes)
}

fn directory_above(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn check_oci_layout(bytes: &[u8]) -> Result<(), String> {
    #[derive(Deserialize)]
    struct OciLayout {
        #[serde(rename = "imageLayoutVersion")]
        version: String,
    }
    let layout: OciLayout = json::parse(bytes).map_err(|why| format!("oci-layout: {why}"))?;
    match layout.version.as_str() {
        "1.0.0" | "1.0" | "1.1.0" => Ok(()),
        other => Err(format!("oci-layout has version {other:?}; 1.0.0 is known")),
    }
}

fn check_version(private: &Dir) -> Result<()> {
    let at = private.at("version");
    let bytes = private.read("version", 64)?.ok_or_else(|| Error::damaged(at.display(), "is missing"))?;
    let text = String::from_utf8_lossy(&bytes);
    let found: u32 = text.trim().parse().map_err(|_| Error::damaged(at.display(), "is not a number"))?;
    if found > FORMAT {
        let path = private.path().parent().unwrap_or(private.path()).to_path_buf();
        return Err(Error::NewerFormat { path, found, known: FORMAT });
    }
    Ok(())
}

fn not_a_layout(path: &Path, why: String) -> Error {
    Error::NotALayout { path: path.to_path_buf(), why }
}

/// Writes a file that is complete at every moment and never replaces one: a rival's file stays.
fn create_once(dir: &Dir, name: &str, bytes: &[u8], by_way_of: &Dir) -> Result<()> {
    if dir.stat(name)?.is_some() {
        return Ok(());
    }
    let temporary = format!("{name}.{}", fs::unique());
    by_way_of.replace(&temporary, bytes, by_way_of)?;
    let linked = rustix::fs::linkat(by_way_of.fd(), temporary.as_str(), dir.fd(), name, AtFlags::empty());
    by_way_of.unlink(&temporary)?;
    match linked {
        Ok(()) | Err(Errno::EXIST) => Ok(()),
        Err(errno) => Err(Error::io("create", dir.at(name))(errno.into())),
    }
}
