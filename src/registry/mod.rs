//! Registries: images come from them and go to them (the distribution specification,
//! github.com/opencontainers/distribution-spec).
//!
//! Everything asynchronous stays in here; what callers see is synchronous and ends when a signal comes. Nothing in here
//! prints.

pub(crate) mod access;
pub(crate) mod sync;
