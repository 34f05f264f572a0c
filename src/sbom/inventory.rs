//! All that is known to be in an image.

use larder_store::digest::Digest;
use larder_store::ids::DiffId;
use serde::{Deserialize, Serialize};

use super::package::Package;

/// What is in an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Inventory {
    /// `ID` and `VERSION_ID` of its os-release.
    pub(crate) os: Option<(String, Option<String>)>,
    /// Its layers, lowest first: what each unpacks to.
    pub(crate) layers: Vec<DiffId>,
    /// What is installed, sorted.
    pub(crate) found: Vec<Found>,
    /// What could not be read, in sentences for people.
    pub(crate) problems: Vec<String>,
}

/// A package, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Found {
    #[serde(flatten)]
    pub(crate) package: Package,
    /// The file that says it is there, without a `/` at its head.
    pub(crate) path: String,
    /// The layer that brought it, as a place in the inventory's layers.
    pub(crate) layer: usize,
}

/// The image that an inventory is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Subject {
    /// Its name, where it has one.
    pub(crate) name: Option<String>,
    /// Its manifest.
    pub(crate) digest: Digest,
    /// As Go's `GOARCH`.
    pub(crate) architecture: String,
    /// Seconds since 1970 at which it was made, which is when its documents say they were made: one image, one document.
    pub(crate) created: i64,
}
