//! Making an image from a Dockerfile, without a daemon.
//!
//! [`dockerfile`] is text to stages of steps, [`plan`] which stages a target needs and from what, [`state`] what a step does to
//! an image's config, [`ignore`] and [`pattern`] which files of the context a step sees. Values in, values out: what the
//! environment, the clock and the file system say is handed in. [`run`] runs a step, [`copy`] places files, and [`engine`] does a plan.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub(crate) mod args;
pub(crate) mod copy;
pub(crate) mod dockerfile;
pub(crate) mod engine;
pub(crate) mod ensure;
mod expand;
mod expanded;
mod history;
mod ignore;
mod path;
mod pattern;
pub(crate) mod plan;
mod problem;
pub(crate) mod run;
mod state;
#[cfg(test)]
mod tests;
