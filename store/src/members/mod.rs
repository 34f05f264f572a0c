//! Single files of an image, read where they lie in its layers: nothing is unpacked, and nothing is kept of the rest.
//!
//! A [`Search`] is told which paths matter (by name, by directory or by a rule), goes through the layers, and then answers what the image's
//! file system has there: what `lstat` says, which names a directory has, what is in a file. It comes to the same as [`crate::unpack`] with the layers stacked:
//! whiteouts and opaque directories hide, links on a way are followed inside of the image.
//!
//! Memory is bounded by what matters and by the number of symbolic links ([`MAX_KEPT`]), not by how many files an image has. A layer is
//! hostile: one that cannot be understood to its end, or that does not unpack to its diff ID, is an error, because all that is said of
//! a path would be a guess. Does not: cache; each search reads the layers anew, one more time where links lead to places that nobody asked for. Small files
//! that were asked for stay in memory meanwhile (32 MiB), so that their content needs no second pass.

mod archived;
mod held;
mod layer;
mod look;
mod read;
mod scan;
mod state;

pub use archived::{ArchivedImage, in_archive};
pub(crate) use layer::Pieces;
pub use layer::{Layer, of_image};
pub use look::{Answer, Rule, Search};
pub use read::{Each, Unreadable};
pub use scan::{MAX_CONTENT, MAX_KEPT};
pub use state::{Content, Kind, Node};
