//! Making an image from a Dockerfile, without a daemon: so far the parts, which nothing puts together yet.
//!
//! [`dockerfile`] is text to stages of steps, [`plan`] which stages a target needs and from what, [`state`] what a step does to
//! an image's config, [`ignore`] and [`pattern`] which files of the context a step sees. Values in, values out: what the
//! environment, the clock and the file system say is handed in. [`run`] runs a step.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![expect(dead_code, reason = "the verb `build` will put the parts together")]

mod args;
mod dockerfile;
pub(crate) mod ensure;
mod expand;
mod expanded;
mod history;
mod ignore;
mod path;
mod pattern;
mod plan;
mod problem;
pub(crate) mod run;
mod state;
#[cfg(test)]
mod tests;
