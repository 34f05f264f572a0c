//! Content of files that is kept while the layers pass, so that who asks for it need not have them unpacked again.

use std::collections::HashMap;

use super::state::Content;

/// Bytes of a file that is kept: the database of a large distribution is.
const LARGE: u64 = 4 << 20;
/// Bytes of all of them.
const MOST: u64 = 32 << 20;
/// What a file takes besides its bytes.
const EACH: u64 = 128;

/// The content of files, by the layer and the offset.
#[derive(Debug, Default)]
pub(super) struct Held {
    files: HashMap<(usize, u64), Vec<u8>>,
    bytes: u64,
}

impl Held {
    /// Whether a file of this size is kept.
    pub(super) fn has_room(&self, size: u64) -> bool {
        size <= LARGE && self.bytes + size + EACH <= MOST
    }

    pub(super) fn put(&mut self, layer: usize, offset: u64, bytes: Vec<u8>) {
        self.bytes += bytes.len() as u64 + EACH;
        self.files.insert((layer, offset), bytes);
    }

    pub(super) fn get(&self, content: &Content) -> Option<&[u8]> {
        self.files.get(&(content.layer, content.offset)).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_bounded() {
        let mut held = Held::default();
        assert!(held.has_room(LARGE) && !held.has_room(LARGE + 1));
        let mut count = 0;
        while held.has_room(0) {
            held.put(0, count, Vec::new());
            count += 1;
        }
        assert_eq!(count, MOST / EACH);
        let mut held = Held::default();
        while held.has_room(LARGE) {
            held.put(1, count, vec![0; LARGE as usize]);
            count += 1;
        }
        assert!(held.bytes > MOST - LARGE - EACH && held.bytes <= MOST);
    }
}
