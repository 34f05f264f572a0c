//! The catalogue: what images are called, what is declared of them, and folders of archives that are kept beside a store.

mod arch;
mod compiler;
mod declared;
pub(crate) mod image_registry;
pub(crate) mod labels;
mod meant;
mod name;
mod nearest;
mod os;
mod requirements;
pub(crate) mod resolve;
#[cfg(test)]
mod tests;
pub(crate) mod tree;
pub(crate) mod workflow;
pub(crate) mod yaml;

pub(crate) use arch::Arch;
pub(crate) use compiler::Compiler;
pub(crate) use declared::{Declared, Word, checked, declare_anew};
pub(crate) use meant::meant;
pub(crate) use name::{Name, Project, Suffix};
pub(crate) use nearest::nearest;
pub(crate) use os::Os;
pub(crate) use requirements::{Asked, Requirements};
