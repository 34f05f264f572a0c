//! Images by name and purpose, and folders of archives that are kept beside a store.

pub(crate) mod image_registry;
pub(crate) mod tree;
