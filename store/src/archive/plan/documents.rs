//! An archive's documents: each is checked against its name and descriptor, and counted against what may be held in
//! memory. A config that many images share is read once.

use std::collections::HashMap;
use std::sync::Arc;

use super::Config;
use crate::archive::contents::Contents;
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::ImageId;
use crate::index::Index;
use crate::json::{self, Keys};
use crate::manifest::{self, ImageConfig, ImageManifest, RawManifest};

/// Bytes of manifests and configs that an archive may have: they are held in memory.
const MAX_HELD: u64 = 48 << 20;
/// Names that an archive may give.
const MAX_NAMES: usize = 10_000;

/// Reads documents.
pub(super) struct Documents<'c> {
    pub(super) contents: &'c dyn Contents,
    pub(super) cancel: &'c Cancel,
    room: u64,
    names: usize,
    configs: HashMap<String, Arc<Config>>,
}

impl<'c> Documents<'c> {
    pub(super) fn new(contents: &'c dyn Contents, cancel: &'c Cancel) -> Documents<'c> {
        Documents { contents, cancel, room: MAX_HELD, names: 0, configs: HashMap::new() }
    }

    /// Counts what stays in memory until the import is done.
    pub(super) fn hold(&mut self, bytes: usize) -> Result<()> {
        self.room = self.room.checked_sub(bytes as u64).ok_or_else(|| {
            Error::invalid(
                "the archive",
                format!("its manifests and configs have more than {MAX_HELD} bytes together"),
            )
        })?;
        Ok(())
    }

    /// Counts a name.
    pub(super) fn count_name(&mut self) -> Result<()> {
        self.names += 1;
        if self.names > MAX_NAMES {
            return Err(Error::invalid("the archive", format!("gives more than {MAX_NAMES} names")));
        }
        Ok(())
    }

    /// Reads a document of a known shape; `None` where there is none.
    pub(super) fn parse<T>(&self, path: &str, keys: &'static Keys) -> Result<Option<T>>
    where
        T: serde::de::DeserializeOwned,
    {
        let Some(bytes) = self.contents.document(path)? else { return Ok(None) };
        json::parse_exact(&bytes, keys).map(Some).map_err(|why| entry(path, why))
    }

    /// Reads `index.json`; `None` where there is none.
    pub(super) fn index(&self) -> Result<Option<Index>> {
        let listing = self.parse("index.json", &manifest::KEYS)?;
        listing.map(Index::plain).transpose().map_err(|why| entry("index.json", why))
    }

    /// Reads a manifest or an index; `None` where it is absent.
    pub(super) fn manifest(&mut self, descriptor: &Descriptor) -> Result<Option<RawManifest>> {
        self.cancel.check()?;
        let path = Documents::blob_path(&descriptor.digest);
        let Some(bytes) = self.contents.document(&path)? else { return Ok(None) };
        check_size(&path, bytes.len() as u64, descriptor.size)?;
        check_name(&path, Digest::of(&bytes))?;
        self.hold(bytes.len())?;
        RawManifest::parse(bytes, &descriptor.media_type).map(Some).map_err(|why| entry(&path, why))
    }

    /// Reads the config at a path.
    pub(super) fn config(&mut self, path: &str) -> Result<Arc<Config>> {
        if let Some(config) = self.configs.get(path) {
            return Ok(Arc::clone(config));
        }
        let bytes = self.contents.document(path)?.ok_or_else(|| missing(path))?;
        let digest = Digest::of(&bytes);
        check_name(path, digest)?;
        self.hold(bytes.len())?;
        let parsed = ImageConfig::parse(&bytes).map_err(|why| entry(path, why))?;
        let config = Arc::new(Config { bytes, parsed, image_id: ImageId(digest) });
        self.configs.insert(path.to_owned(), Arc::clone(&config));
        Ok(config)
    }

    /// Reads the config of a container image, checked against its descriptor.
    pub(super) fn config_of(&mut self, image: &ImageManifest) -> Result<Arc<Config>> {
        let path = Documents::blob_path(&image.config.digest);
        if let Some(size) = self.contents.file(&path)? {
            check_size(&path, size, image.config.size)?;
        }
        self.config(&path)
    }

    /// Where an archive has a blob.
    pub(super) fn blob_path(digest: &Digest) -> String {
        crate::archive::blob_path(digest)
    }
}

/// Where a member's name is a digest, its content must be what it says.
fn check_name(path: &str, got: Digest) -> Result<()> {
    let name = path.rsplit('/').next().unwrap_or(path);
    match Digest::from_hex(name.strip_suffix(".json").unwrap_or(name)) {
        Some(expected) if expected != got => {
            Err(Error::damaged(format!("entry {path:?}"), format!("digest mismatch: got {got}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn check_size(path: &str, got: u64, announced: u64) -> Result<()> {
    if got == announced {
        return Ok(());
    }
    Err(Error::damaged(
        format!("entry {path:?}"),
        format!("has {got} bytes where {announced} were announced"),
    ))
}

pub(super) fn missing(path: &str) -> Error {
    Error::damaged(format!("entry {path:?}"), "is missing")
}

pub(super) fn entry(path: &str, why: impl ToString) -> Error {
    Error::invalid(format!("entry {path:?}"), why)
}
