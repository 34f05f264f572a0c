//! What the base has, so that it can be found: pieces by their content, members by their names.
//!
//! No more than [`MAX_PIECES`] and [`MAX_MEMBERS`] are remembered. What a larger layer has besides is found less well,
//! by what stands around it.

use std::io::{self, Read};

use super::split::{Name, Part, Splitter};
use crate::cancel::Cancel;
use crate::digest::Digest;

/// Pieces that are remembered.
const MAX_PIECES: usize = 1 << 20;
/// Members that are remembered.
const MAX_MEMBERS: usize = 1 << 19;
/// Memory of a full index, bytes.
pub(super) const MAX_INDEX: u64 = ((MAX_PIECES * (PIECE + 4)) + MAX_MEMBERS * (MEMBER + 32)) as u64;
const PIECE: usize = size_of::<Known>();
const MEMBER: usize = size_of::<Member>();

/// Half of a SHA-256: nobody makes two pieces that have the same.
pub(super) type Sum = [u8; 16];

pub(super) fn sum(bytes: &[u8]) -> Sum {
    let digest = Digest::of(bytes);
    digest.bytes().first_chunk().copied().unwrap_or_default()
}

/// Where a piece is.
#[derive(Debug, Clone, Copy)]
struct Known {
    at: u64,
    length: u32,
    sum: Sum,
}

/// Where a member is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// Where its headers begin.
    pub(super) at: u64,
    /// Where its content begins.
    pub(super) content: u64,
    /// Where its content ends, with the padding.
    pub(super) end: u64,
}

/// The index of a base.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// In their order in the layer.
    pieces: Vec<Known>,
    /// Numbers of pieces, by content.
    by_sum: Vec<u32>,
    members: Vec<Member>,
    /// Numbers of members, by names.
    by_path: Vec<(u64, u32)>,
    by_alike: Vec<(u64, u32)>,
}

impl Index {
    /// Reads a base.
    pub(super) fn read<R: Read>(mut base: Splitter<R>, cancel: &Cancel) -> io::Result<Index> {
        let mut index = Index::default();
        while let Some(piece) = base.next_piece()? {
            if cancel.is_raised() {
                return Err(crate::blob::into_io(crate::Error::Interrupted));
            }
            let (at, length) = (piece.at, piece.bytes.len());
            if let Part::Head(name, content) = piece.part {
                index.member(name, at, length as u64, content);
            }
            if index.pieces.len() < MAX_PIECES {
                index.pieces.push(Known { at, length: length as u32, sum: sum(piece.bytes) });
            }
        }
        index.by_sum = (0..index.pieces.len() as u32).collect();
        // Of pieces with the same content the first one is found.
        index.by_sum.sort_unstable_by_key(|number| (index.pieces[*number as usize].sum, *number));
        index.by_path.sort_unstable();
        index.by_alike.sort_unstable();
        Ok(index)
    }

    /// Memory that it takes, bytes.
    pub(super) fn memory(&self) -> u64 {
        (self.pieces.capacity() * (PIECE + 4) + self.members.capacity() * (MEMBER + 32)) as u64
    }

    fn member(&mut self, name: Name, at: u64, head: u64, content: u64) {
        if self.members.len() == MAX_MEMBERS {
            return;
        }
        let number = self.members.len() as u32;
        self.by_path.push((name.path, number));
        self.by_alike.push((name.alike, number));
        self.members.push(Member { at, content: at + head, end: (at + head).saturating_add(content) });
    }

    /// Where a piece with this content is; at `likely`, if there is one there.
    pub(super) fn find(&self, sum: &Sum, length: usize, likely: u64) -> Option<u64> {
        let fits = |known: &&Known| known.sum == *sum && known.length as usize == length;
        if let Ok(number) = self.pieces.binary_search_by_key(&likely, |known| known.at)
            && let Some(known) = self.pieces.get(number).filter(fits)
        {
            return Some(known.at);
        }
        let first = self.by_sum.partition_point(|number| self.pieces[*number as usize].sum < *sum);
        let number = self.by_sum.get(first)?;
        self.pieces.get(*number as usize).filter(fits).map(|known| known.at)
    }

    /// The member of this path; else one whose path differs by numbers alone, of about this size.
    pub(super) fn member_of(&self, name: Name, size: u64) -> Option<Member> {
        let all = |list: &'_ [(u64, u32)], key: u64| {
            let begin = list.partition_point(|(sum, _)| *sum < key);
            let end = begin + list[begin..].partition_point(|(sum, _)| *sum == key);
            (begin, end)
        };
        // The last of a name is what an unpacked layer has.
        let (begin, end) = all(&self.by_path, name.path);
        if let Some((_, number)) = self.by_path[begin..end].last() {
            return self.members.get(*number as usize).copied();
        }
        let (begin, end) = all(&self.by_alike, name.alike);
        let alike = self.by_alike[begin..end].iter().take(100);
        let members = alike.filter_map(|(_, number)| self.members.get(*number as usize));
        members.min_by_key(|member| (member.end - member.content).abs_diff(size)).copied()
    }
}
