//! What COPY, ADD and WORKDIR do to files: which ones are meant ([`find`]), and where they go ([`place`], [`make_directory`]).
//!
//! The rules are those of Docker 20.10's classic builder, and BuildKit's for what it does not know (`--chmod`, heredocs, zstd).
//! Links in a context lead nowhere outside of it: they are followed as if the context was the root.

mod context;
mod find;
mod owner;
mod place;
#[cfg(test)]
mod tests;

pub(crate) use self::{
    context::{Context, From},
    find::{Found, check_source, find},
    place::{Target, make_directory, place},
};
