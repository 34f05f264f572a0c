//! A layer as a difference to another one: what a rebuilt layer brings that the one before it did not have.
//!
//! Both are plain tar streams here, however they are stored. Who makes a delta cuts both layers into pieces, headers and
//! chunks of contents, and finds the target's pieces in the base by their digests; what is not found is compressed by
//! zstd beside what the base has in its place ([`make`]). Who applies it copies and unpacks, and parses no tar
//! ([`apply`]). A delta is a row of segments that are made, and unpacked, each for itself, so that memory is bounded for
//! layers of any size.
//!
//! How a bundle uses it: [`Layer::open`] for a layer that is to go and for those that its target has, [`Layer::sketch`] and
//! [`similar()`] to choose among these, [`prepare`] for a delta in a file without a name, with the proof that the exact blob comes
//! out of it; on the other side [`Layer::base`] and [`rebuild`].
//!
//! `docs/deltas.md` has the format.

mod apply;
mod base;
mod chunk;
mod coded;
mod format;
mod index;
mod make;
mod plan;
mod prepare;
mod rebuild;
mod segment;
mod similar;
mod split;

pub use apply::{APPLY_MEMORY, Patched, apply};
pub use base::{Base, nameless};
pub use format::Header;
pub use make::{LEAST_MEMORY, Made, Target, make};
pub use prepare::{Layer, Prepared, prepare};
pub use rebuild::{Wanted, rebuild};
pub(crate) use similar::Sketcher;
pub use similar::{Sketch, similar};

/// How deltas are made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Memory that may be taken, bytes; never less than [`LEAST_MEMORY`] is.
    pub memory: u64,
    /// Threads that compress, as many as memory allows.
    pub jobs: usize,
    /// The level of zstd for what is new (1 to 19), except in segments that are mostly new.
    pub level: i32,
}

impl Default for Settings {
    /// 256 MiB, two threads, and a level above which little is gained.
    fn default() -> Settings {
        Settings { memory: 256 << 20, jobs: 2, level: 6 }
    }
}
