//! tar members byte by byte, as no tool writes them.

use tar::{EntryType, Header};

use super::{Case, bad, docker, good, oci};

/// A header with its checksum, and the content.
pub(super) fn member(header: &Header, content: &[u8]) -> Vec<u8> {
    let mut bytes = header.as_bytes().to_vec();
    bytes.extend(content);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// A header of any name, type, target and size.
pub(super) fn header(path: &[u8], kind: EntryType, target: &[u8], size: u64) -> Header {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..path.len()].copy_from_slice(path);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_cksum();
    header
}

/// A file.
pub(super) fn file(path: &[u8], content: &[u8]) -> Vec<u8> {
    member(&header(path, EntryType::Regular, b"", content.len() as u64), content)
}

/// A member that is nothing but a header.
pub(super) fn bare(path: &str, kind: EntryType, target: &str) -> Vec<u8> {
    member(&header(path.as_bytes(), kind, target.as_bytes(), 0), b"")
}

/// A file of one byte whose size field is this.
pub(super) fn sized(field: &[u8; 12]) -> Vec<u8> {
    let mut header = header(b"sized", EntryType::Regular, b"", 0);
    header.as_old_mut().size = *field;
    header.set_cksum();
    member(&header, b"x")
}

/// Extended headers with this text, for the next member (`x`) or for all (`g`).
pub(super) fn extended(kind: EntryType, text: &[u8]) -> Vec<u8> {
    member(&header(b"PaxHeaders/x", kind, b"", text.len() as u64), text)
}

/// An extended header with these records.
pub(super) fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    extended(EntryType::XHeader, &records_of(records))
}

/// `LENGTH KEY=VALUE\n` for each.
pub(super) fn records_of(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = Vec::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        let length = (1..).find(|length: &usize| length.to_string().len() + body.len() == *length).unwrap();
        text.extend(format!("{length}{body}").into_bytes());
    }
    text
}

/// GNU's long name (`L`) or long target (`K`) for the next member.
pub(super) fn long(kind: EntryType, text: &[u8]) -> Vec<u8> {
    member(&header(b"././@LongLink", kind, b"", text.len() as u64 + 1), &[text, b"\0"].concat())
}

/// Two archives with these members in front that must be refused.
pub(super) fn refused(what: &str, members: &[Vec<u8>], says: &[&str]) -> [Case; 2] {
    both(what, members).map(|(what, archive)| bad(what, archive, says))
}

/// Two archives with these members in front that must be taken.
pub(super) fn taken(what: &str, members: &[Vec<u8>]) -> [Case; 2] {
    both(what, members).map(|(what, archive)| good(what, archive))
}

fn both(what: &str, members: &[Vec<u8>]) -> [(String, Vec<u8>); 2] {
    let front = members.concat();
    [("docker", docker()), ("oci", oci().archive())]
        .map(|(form, archive)| (format!("{what}, {form}"), [&front[..], &archive].concat()))
}
