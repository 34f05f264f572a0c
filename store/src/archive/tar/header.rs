//! A header block: its checksum, and the one number that all depends on.

use tar::Header;

use super::{BLOCK, broken};
use crate::error::Result;

/// Takes a block for a header, if its checksum says that it is one.
pub(crate) fn parse(block: &[u8; BLOCK as usize], is_first: bool) -> Result<Header> {
    let header = Header::from_byte_slice(block).clone();
    let sum = block
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
    if header.cksum().ok() != Some(sum.sum()) {
        return Err(broken(if is_first {
            "is not a tar archive"
        } else {
            "a header is damaged (its checksum is wrong)"
        }));
    }
    Ok(header)
}

/// Whether a block is the header of a member.
pub(crate) fn is_header(block: &[u8; BLOCK as usize]) -> bool {
    parse(block, true).is_ok()
}

/// The size that the header itself says.
pub(crate) fn ustar_size(header: &Header) -> Result<u64> {
    let field = &header.as_old().size;
    // Base-256: the highest bit marks it, the next one is the sign.
    if field[0] & 0xc0 == 0xc0 {
        return Err(broken("a member has a negative size"));
    }
    // The crate reads the last eight bytes of such a number, others all of them.
    if field[0] & 0x80 != 0 && (field[0] != 0x80 || field[1..4] != [0; 3]) {
        return Err(broken("a member has an impossible size"));
    }
    match header.entry_size() {
        Ok(size) if size <= i64::MAX as u64 => Ok(size),
        _ => Err(broken("a member's size is not a number")),
    }
}
