//! What long work tells whoever watches; the library itself prints nothing.

/// Something that happened on the way, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// So much will be read in all.
    Total(u64),
    /// So much more was read.
    Done(u64),
    /// So much need not be read: the store has it.
    Spared(u64),
}

/// Receives events, from any thread.
pub type Watch<'a> = &'a (dyn Fn(Event) + Sync);
