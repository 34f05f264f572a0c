//! A store of container images: one directory that is a valid OCI image layout.
//!
//! The floors, lowest first (imports go down only): words (`digest` … `reference`), durable files and blobs
//! (`fs`, `tree`, `blob`), the index and what hangs on it (`index`, `layout`, `walk`), the store with its locks, leases
//! and transactions (`lock` … `store`), sizes, checks and repairs (`df`, `verify`, `repair`), and compression, archives, what is in images, and layers as directories (`codec`, `archive`, `facts`, `unpack`, `changes`).
//!
//! The library is synchronous. It knows no network, no async runtime and no terminal.

pub mod abilities;
pub mod archive;
pub mod base;
pub mod blob;
mod briefs;
pub mod building;
pub mod bundle;
pub mod cancel;
pub mod changes;
pub mod choose;
pub mod codec;
pub mod delta;
pub mod descriptor;
pub mod df;
pub mod digest;
pub mod elsewhere;
pub mod error;
pub mod exports;
pub mod facts;
pub mod freshness;
pub mod fs;
pub mod gc;
pub mod have;
pub mod ids;
pub mod index;
pub mod journal;
pub mod json;
pub mod layers;
pub mod layout;
pub mod lease;
pub mod lock;
pub mod manifest;
pub mod media_type;
pub mod members;
pub mod open_files;
pub mod overlay;
mod owned;
pub mod place;
pub mod policy;
pub mod progress;
pub mod prune;
pub mod quantity;
pub mod quarantine;
pub mod reference;
pub mod repair;
pub mod settings;
pub mod snapshots;
pub mod steps;
pub mod store;
pub mod summary;
pub mod transaction;
pub mod tree;
pub mod unpack;
pub mod usage;
pub mod verify;
pub mod walk;

pub use digest::Digest;
pub use error::{Error, Result};
pub use store::Store;
