//! Bundles: images for hosts that no network reaches, as small as what those have already allows (docs/bundle.md).
//!
//! [`create`] writes one, [`apply`] takes one in, [`inspect`] says what is in one. What a bundle is made of is said in
//! [`larder_store::bundle`].

pub(crate) mod apply;
mod cost;
pub(crate) mod create;
pub(crate) mod have;
mod inspect;
mod source;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;

pub(crate) use cost::{Cost, costs};
pub(crate) use inspect::{Inspected, inspect};
pub(crate) use source::{FileSource, Input};
