//! The catalogue: what images are called, and what is declared of them. Pure: no file, no clock.

mod compiler;
mod declared;
mod name;
mod nearest;
mod os;
#[cfg(test)]
mod tests;

pub(crate) use compiler::Compiler;
pub(crate) use declared::{Declared, Word, checked, declare_anew};
pub(crate) use name::{Name, Project, Suffix};
pub(crate) use nearest::nearest;
pub(crate) use os::Os;
