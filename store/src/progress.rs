//! What work tells whoever watches; the library itself prints nothing.

/// Something that happened on the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// So many bytes will be read in all.
    Total(u64),
    /// So much more was read.
    Done(u64),
    /// So much need not be read: the store has it.
    Spared(u64),
    /// These images, by their names, had to go to make room.
    RoomMade {
        /// The names of each, or what it was once called.
        images: Vec<String>,
        /// Bytes that were freed.
        bytes: u64,
    },
}

/// Receives events, from any thread.
pub type Watch<'a> = &'a (dyn Fn(Event) + Sync);
