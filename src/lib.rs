//! larder keeps container images once, in one OCI image layout, and hands them to Docker when a job needs them.
//!
//! This crate is the command line and the hand-over; the store is the crate `larder-store` below it. The floors
//! are listed in `docs/architecture.md`.

mod cli;
mod commands;
mod docker;
#[cfg(test)]
mod floors;

pub use cli::run;
