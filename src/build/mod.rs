//! Making an image from a Dockerfile: so far the front end, in which nothing runs and no image is opened.
//!
//! [`dockerfile`] is text to stages of steps, [`plan`] which stages a target needs and from what, [`state`] what a step does to
//! an image's config, [`ignore`] and [`pattern`] which files of the context a step sees. Values in, values out: what the
//! environment, the clock and the file system say is handed in.

#![cfg_attr(test, allow(clippy::unwrap_used))]
#![expect(dead_code, reason = "the verb `build` comes with the part that runs")]

mod args;
mod dockerfile;
mod expand;
mod expanded;
mod history;
mod ignore;
mod path;
mod pattern;
mod plan;
mod problem;
mod state;
#[cfg(test)]
mod tests;
