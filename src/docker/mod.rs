//! The hand-over: an image is given to a Docker engine, and only what the engine lacks is sent.
//!
//! In order: the engine has the image: it is tagged, nothing is sent. It has some of its layers: an archive without
//! them is sent. Else, or when that load fails for any reason: everything. Afterwards the name is inspected; it
//! must be the right image, of the right os and architecture, or the hand-over has failed. Nothing here ever
//! makes an engine pull.
//!
//! The other way, a copy that larder gave can be taken out of the engine again, when nobody uses it (`removal`).

mod engine;
mod error;
mod handover;
mod present;
mod record;
mod removal;
mod send;
mod take;
mod uses;

pub(crate) use engine::Engine;
pub(crate) use error::Error;
pub(crate) use handover::{HandOver, Sent, hand_over};
pub(crate) use removal::{Fate, LoadedCopy, Mode, Removal};
pub(crate) use uses::Uses;
