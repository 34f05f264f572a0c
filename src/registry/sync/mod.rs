//! `sync`: which images of registries are to be here, by a list; and what that means for what is here. Pure: a text and the tags of a
//! registry in, choices out.

mod choose;
mod file;

pub(crate) use file::{Entry, Platforms, parse};
