//! The image that a job waits for: what it is called, and the Dockerfile that puts what is missing upon a base.
//!
//! Values in, text out. All words that come from outside (packages, tools, the base's name and user) are checked before they stand in a text
//! for a shell, and are quoted there where a shell would see more in them than a word.

mod generate;
mod manager;
mod name;
mod packages;
#[cfg(test)]
mod tests;

pub(crate) use generate::{Order, generate};
pub(crate) use manager::Manager;
pub(crate) use name::{DEFINITION, declared, definition, reference};
pub(crate) use packages::{is_package, is_tool};
