//! Structure tests: what an image must be like, in the files of container-structure-test (schema 2.0.0).
//!
//! [`config`] reads test files, [`pattern`] their regular expressions. What of an image a file asks for is searched in its layers
//! ([`suite`]), and pure functions judge what was found: [`file`], [`content`], [`licenses`], [`metadata`], [`command`]. Commands are run by whoever is
//! handed in ([`suite::Commands`]; [`run`] has the runtime that RUN has). [`report`] says it in text, JSON or JUnit's XML.
//!
//! Promises: what a file says and nobody understands is an error and never a pass; a test that could not be done is skipped and said to be.

mod command;
mod config;
mod content;
mod expand;
mod file;
mod licenses;
mod metadata;
mod mode;
mod pattern;
mod report;
mod run;
mod suite;
mod tested;

pub(crate) use command::Limits;
pub(crate) use config::{TestFile, read};
pub(crate) use report::{Report, Suite, junit};
pub(crate) use run::{Runtime, Without, obstacle};
pub(crate) use suite::{Commands, Image, run};
pub(crate) use tested::{Outcome, Tested};
