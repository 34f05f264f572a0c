//! The header of a member: ustar where it fits, a pax header before it where it does not (POSIX.1-2017).

use tar::{EntryType, Header};

use crate::tree::{Kind, Node};

/// What a member is.
pub(super) enum What<'a> {
    /// As the node says, with the target of a symbolic link.
    Node(&'a [u8]),
    /// A hard link to an earlier member.
    HardLink(&'a [u8]),
    /// An empty file whose name alone says something.
    Marker,
}

/// Builds the blocks before a member's content. `seconds` is its time.
pub(super) fn header(
    path: &[u8],
    node: &Node,
    seconds: i64,
    what: &What<'_>,
    xattrs: &[(Vec<u8>, Vec<u8>)],
) -> Vec<u8> {
    let mut header = Header::new_ustar();
    let mut records = Vec::new();
    let mut path = path.to_vec();
    let (kind, link, size) = match what {
        What::Marker => (EntryType::Regular, b"".as_slice(), 0),
        What::HardLink(target) => (EntryType::Link, *target, 0),
        What::Node(target) => match node.kind {
            Kind::Directory => (EntryType::Directory, b"".as_slice(), 0),
            Kind::Symlink => (EntryType::Symlink, *target, 0),
            Kind::Fifo => (EntryType::Fifo, b"".as_slice(), 0),
            Kind::Char => (EntryType::Char, b"".as_slice(), 0),
            Kind::Block => (EntryType::Block, b"".as_slice(), 0),
            Kind::File | Kind::Socket => (EntryType::Regular, b"".as_slice(), node.size),
        },
    };
    if kind == EntryType::Directory {
        path.push(b'/');
    }
    header.set_entry_type(kind);
    header.set_mode(node.mode);
    fit(&mut header.as_old_mut().name, &path, "path", &mut records);
    fit(&mut header.as_old_mut().linkname, link, "linkpath", &mut records);
    // What does not fit leaves zeros in the header, as Go and GNU tar write it.
    let mut number = |key: &str, value: u64, digits: u32| {
        let fits = value < 8u64.pow(digits);
        if !fits {
            record(&mut records, key.as_bytes(), value.to_string().as_bytes());
        }
        if fits { value } else { 0 }
    };
    header.set_size(number("size", size, 11));
    header.set_uid(number("uid", node.uid.into(), 7));
    header.set_gid(number("gid", node.gid.into(), 7));
    match u64::try_from(seconds) {
        Ok(seconds) => header.set_mtime(number("mtime", seconds, 11)),
        Err(_) => {
            record(&mut records, b"mtime", seconds.to_string().as_bytes());
            header.set_mtime(0);
        }
    }
    if let (Kind::Char | Kind::Block, What::Node(_), Some(ustar)) = (node.kind, what, header.as_ustar_mut()) {
        ustar.set_device_major(node.device.0);
        ustar.set_device_minor(node.device.1);
    }
    for (name, value) in xattrs {
        record(&mut records, &[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    header.set_cksum();
    let mut blocks = Vec::with_capacity(512);
    if !records.is_empty() {
        let mut extended = Header::new_ustar();
        extended.set_entry_type(EntryType::XHeader);
        extended.as_old_mut().name[..NAME.len()].copy_from_slice(NAME);
        extended.set_size(records.len() as u64);
        extended.set_mode(0o644);
        extended.set_uid(0);
        extended.set_gid(0);
        extended.set_mtime(0);
        extended.set_cksum();
        blocks.extend_from_slice(extended.as_bytes());
        records.resize(records.len().next_multiple_of(512), 0);
        blocks.append(&mut records);
    }
    blocks.extend_from_slice(header.as_bytes());
    blocks
}

/// Of a pax header itself: nobody unpacks it.
const NAME: &[u8] = b"PaxHeaders.0/member";

/// Writes a name into its field, or what fits of it, and then the whole into a record.
fn fit(field: &mut [u8; 100], name: &[u8], key: &str, records: &mut Vec<u8>) {
    let short = name.len().min(field.len());
    field[..short].copy_from_slice(&name[..short]);
    if name.len() > field.len() {
        record(records, key.as_bytes(), name);
    }
}

/// A pax record, which begins with its own length.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest;
    loop {
        let with_digits = rest + length.to_string().len();
        if with_digits == length {
            break;
        }
        length = with_digits;
    }
    records.extend_from_slice(format!("{length} ").as_bytes());
    records.extend_from_slice(key);
    records.push(b'=');
    records.extend_from_slice(value);
    records.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_count_their_own_digits() {
        for (value, expected) in
            [("b", "6 a=b\n"), ("bcdef", "11 a=bcdef\n"), ("bcd", "8 a=bcd\n"), ("bcde", "9 a=bcde\n")]
        {
            let mut records = Vec::new();
            record(&mut records, b"a", value.as_bytes());
            assert_eq!(String::from_utf8_lossy(&records), expected);
        }
    }
}
