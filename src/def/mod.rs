//! Image definitions: a folder of `image.yml` and templates, and all that follows from it.
//!
//! [`Definitions::read`] reads the folder and gives every tag that is built, in the order in which they are built, with its Dockerfile,
//! aliases and needs; it asks no store and writes nothing. All that is wrong is found there, and told at once. [`generate`] says which
//! files come of it. docs/definitions.md has the format.

mod alias;
mod aliases;
mod apart;
pub(crate) mod ci;
mod config;
mod context;
mod draw;
mod error;
mod folder;
pub(crate) mod generate;
mod graph;
mod keys;
pub(crate) mod labels;
mod lock;
mod named;
mod owned;
mod place;
mod read;
mod resolve;
mod rootfs;
pub(crate) mod schema;
pub(crate) mod settings;
mod template;
#[cfg(test)]
mod tests;
mod values;
mod write;

use larder_store::reference::Reference;

pub(crate) use draw::{dot, tree};
pub(crate) use error::Error;
pub(crate) use read::Locks;
use rootfs::Overlay;

/// A folder of definitions, resolved.
#[derive(Debug)]
pub(crate) struct Definitions {
    /// One for each `image.yml`, in the order in which they are built. Several may have the same name.
    pub(crate) images: Vec<Image>,
    /// All tags, in the order in which they are built.
    pub(crate) tags: Vec<Tag>,
    /// What people should know: what is not read, secrets in a `rootfs/`.
    pub(crate) notes: Vec<String>,
    folder: folder::Folder,
}

/// What an `image.yml` says of all its tags.
#[derive(Debug, Clone)]
pub(crate) struct Image {
    /// `python`.
    pub(crate) name: String,
    /// Where the `image.yml` lies in the folder: `python/3`.
    pub(crate) directory: String,
    /// Whether others may begin with it by `resolve_base_image`.
    pub(crate) is_base_image: bool,
    /// For `org.opencontainers.image.description`.
    pub(crate) description: Option<String>,
    /// For `org.opencontainers.image.licenses`.
    pub(crate) licenses: Option<String>,
    /// Names of images that are built before it: by `resolve_base_image`, by `extends`, or named by its Dockerfiles.
    pub(crate) needs: Vec<String>,
}

/// An image that is built.
#[derive(Debug, Clone)]
pub(crate) struct Tag {
    /// The number of its definition in [`Definitions::images`].
    pub(crate) image: usize,
    /// The image's name: `python`.
    pub(crate) name: String,
    /// `3.13.7-browser`.
    pub(crate) tag: String,
    /// The variant that it is of.
    pub(crate) variant: Option<String>,
    /// Its further tags: `3-browser`, `3.13-browser`.
    pub(crate) aliases: Vec<String>,
    /// Numbers in [`Definitions::tags`] of what has to be there before: all smaller than its own.
    pub(crate) needs: Vec<usize>,
    /// Images of other places that its Dockerfile names: `ubuntu:24.04`.
    pub(crate) foreign: Vec<String>,
    /// The Dockerfile.
    pub(crate) dockerfile: String,
    /// The structure test, where there is a template of one.
    pub(crate) test: Option<String>,
    /// What `rootfs/` has, where there are such files.
    pub(crate) rootfs: Option<Overlay>,
}

impl Tag {
    /// `python:3.13.7-browser`.
    pub(crate) fn shown(&self) -> String {
        format!("{}:{}", self.name, self.tag)
    }

    /// Its tag and its aliases, as names.
    pub(crate) fn references(&self) -> Vec<Reference> {
        let all = std::iter::once(&self.tag).chain(&self.aliases);
        all.filter_map(|tag| format!("{}:{tag}", self.name).parse().ok()).collect()
    }
}

impl Definitions {
    /// The numbers of the tags that `NAME` or `NAME:TAG` means, an alias included; empty where there is none.
    pub(crate) fn find(&self, wanted: &str) -> Vec<usize> {
        let full: Option<Reference> = wanted.parse().ok();
        // NAME, however it is spelt: docker.io/library/zed is zed.
        let has_tag = wanted.rsplit('/').next().is_some_and(|last| last.contains([':', '@']));
        let name = full.as_ref().filter(|_| !has_tag);
        let is_name = |tag: &Tag| {
            let its = tag.name.parse::<Reference>();
            name.is_some_and(|name| its.is_ok_and(|its| its.familiar_name() == name.familiar_name()))
        };
        let means = |tag: &Tag| {
            tag.name == wanted
                || is_name(tag)
                || full.as_ref().is_some_and(|full| tag.references().contains(full))
        };
        (0..self.tags.len()).filter(|at| means(&self.tags[*at])).collect()
    }

    /// These and all that they need, in the order in which they are built.
    pub(crate) fn with_needs(&self, wanted: &[usize]) -> Vec<usize> {
        let mut is_wanted = vec![false; self.tags.len()];
        wanted.iter().for_each(|at| is_wanted[*at] = true);
        // What is needed has a smaller number.
        for at in (0..self.tags.len()).rev().filter(|at| wanted.iter().max() >= Some(at)) {
            if is_wanted[at] {
                self.tags[at].needs.iter().for_each(|need| is_wanted[*need] = true);
            }
        }
        (0..self.tags.len()).filter(|at| is_wanted[*at]).collect()
    }

    /// All that is made anew where this image changes: by its name or tag here, or by a name of another place.
    pub(crate) fn affected_by(&self, base: &str) -> Vec<usize> {
        let full: Option<Reference> = base.parse().ok();
        let names = |name: &String| Some(name) == full.as_ref().map(Reference::full).as_ref();
        let is_on = |tag: &Tag| {
            let full = |name: &String| name.parse::<Reference>().ok().map(|name| name.full());
            tag.foreign.iter().filter_map(full).any(|name| names(&name))
        };
        let on_it: Vec<_> = (0..self.tags.len()).filter(|at| is_on(&self.tags[*at])).collect();
        let needs: Vec<_> = self.tags.iter().map(|tag| tag.needs.clone()).collect();
        let changed = self.find(base).into_iter().chain(on_it.iter().copied()).collect();
        let mut all = graph::dependents(&needs, &changed);
        all.extend(on_it);
        all.into_iter().collect()
    }
}
