//! Tests of the `larder` command: a directory a verb, and `support` with the sandbox and the real peers.
//!
//! `tests/run` starts the peers; without them (`cargo test` by hand) the tests that need one say so and are skipped.

#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod act;
mod badinput;
mod build;
mod bundle;
mod catalog;
mod ciday;
mod def;
mod format;
mod gc;
mod handover;
mod hold;
mod hostile;
mod import;
mod interop;
mod kill;
mod power;
mod prune;
mod push;
mod registry;
mod repair;
mod roundtrip;
mod sbom;
mod soak;
mod structure;
mod support;
mod verbs;
