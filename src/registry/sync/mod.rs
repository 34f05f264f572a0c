//! `sync`: which images of registries are to be here or in another registry, by a list. Pure: a text and the tags of a
//! registry in, choices out.

mod choose;
mod file;
mod place;

pub(crate) use choose::is_of_referrers;
pub(crate) use file::{Entry, Platforms, parse};
pub(crate) use place::{Below, is_same_host, is_same_place, remote_hosts};
