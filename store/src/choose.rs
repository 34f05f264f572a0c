//! Which image of a multi-platform one is meant.

use crate::descriptor::{Descriptor, Platform};
use crate::error::Error;
use crate::manifest::{Document, ImageIndex};
use crate::store::Store;

/// What platform is wanted, and who says so.
#[derive(Debug, Clone, Copy)]
pub enum Wanted<'a> {
    /// `--platform`: a lone image of another one is refused.
    Asked(&'a Platform),
    /// This machine's or the engine's: a lone image is taken whatever it is for.
    Default(&'a Platform),
}

impl<'a> Wanted<'a> {
    /// What was asked for, else the default.
    pub fn new(asked: Option<&'a Platform>, default: &'a Platform) -> Wanted<'a> {
        asked.map_or(Wanted::Default(default), Wanted::Asked)
    }

    fn platform(self) -> &'a Platform {
        match self {
            Wanted::Asked(platform) | Wanted::Default(platform) => platform,
        }
    }
}

/// A lone manifest as it is; of an index the stored child for the platform.
pub fn choose(store: &Store, entry: &Descriptor, wanted: Wanted<'_>) -> Result<Descriptor, Error> {
    let missing = || Error::damaged(format!("manifest {}", entry.digest), "is missing");
    let mut at = entry.clone();
    // Nested indexes are rare and shallow.
    for depth in 0..4 {
        let raw = store.document(&at)?.ok_or_else(missing)?;
        match raw.document {
            Document::Index(list) => at = child(store, &at, &list, wanted.platform())?,
            Document::Image(image) => {
                if let (0, Wanted::Asked(platform), true) = (depth, wanted, image.is_container()) {
                    let have = store.config(&image)?.1.platform();
                    if !have.serves(platform) {
                        let why = format!("is for {have}, and --platform asks for {platform}");
                        return Err(Error::invalid(format!("manifest {}", at.digest), why));
                    }
                }
                return Ok(at);
            }
        }
    }
    Err(Error::invalid(format!("index {}", entry.digest), "is nested too deeply"))
}

/// The stored child that is for exactly this platform, else one that serves it, else the only image there is.
fn child(store: &Store, at: &Descriptor, list: &ImageIndex, wanted: &Platform) -> Result<Descriptor, Error> {
    let mut stored = Vec::new();
    for child in &list.manifests {
        // Attestations are for no platform.
        let is_unknown = child.platform.as_ref().is_some_and(|platform| platform.os == "unknown");
        if !is_unknown && store.blobs().contains(&child.digest)?.is_some() {
            stored.push(child);
        }
    }
    let fits = |fit: &dyn Fn(&Platform) -> bool| {
        stored.iter().copied().find(|child| child.platform.as_ref().is_some_and(fit))
    };
    let sole = || match &stored[..] {
        [child] if child.platform.is_none() => Some(*child),
        _ => None,
    };
    let found = fits(&|platform| platform == wanted).or_else(|| fits(&|platform| platform.serves(wanted)));
    if let Some(child) = found.or_else(sole) {
        return Ok(child.clone());
    }
    let is_listed =
        list.manifests.iter().any(|child| child.platform.as_ref().is_some_and(|p| p.serves(wanted)));
    let why = if is_listed {
        format!("its image for {wanted} is not stored (a sparse index)")
    } else {
        let known: Vec<_> =
            stored.iter().filter_map(|child| Some(child.platform.as_ref()?.to_string())).collect();
        format!("has no image for {wanted}; stored: {} (--platform chooses)", known.join(", "))
    };
    Err(Error::invalid(format!("index {}", at.digest), why))
}
