//! Tests of the store with real files, real processes and real disks: one binary, a module a subject.
//!
//! [`conformance`] is a suite that any form of blob store can be run through; [`layout`] makes and adopts stores;
//! [`protocol`] is about several processes and dying ones; [`faults`] about full, read-only and failing disks;
//! [`codec`] about compressed layers; [`delta`] about differences between them; [`snapshots`] about layers as directories, and back. [`support`] holds what they share.
//!
//! A test that needs root (it mounts) or a program that is missing says so and is skipped, never in silence.

#![allow(clippy::unwrap_used, unreachable_pub)]

mod codec;
mod conformance;
mod delta;
mod faults;
mod layout;
mod protocol;
mod snapshots;
mod support;
