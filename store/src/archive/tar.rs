//! Reading tar headers that may mean harm (POSIX.1-2017 pax, "ustar interchange format"; GNU tar manual, "tar internals").
//!
//! Only what image archives are made of is let through: files, directories and links that stay inside. Where
//! two readers could disagree (two sizes, two names, a name that climbs), the archive is refused. The headers
//! are taken apart by the `tar` crate; what they may say is decided here.

use tar::{EntryType, Header, PaxExtensions};

use crate::error::{Error, Result};

/// A header block.
pub const BLOCK: u64 = 512;
/// Members that an archive may have.
const MAX_MEMBERS: usize = 200_000;
/// Bytes of a long name or of a member's extended headers.
const MAX_EXTENDED: u64 = 64 << 10;
/// Bytes of all names together: what is remembered of an archive must fit into memory.
const MAX_NAMES: usize = 32 << 20;
/// The largest size that ustar's eleven octal digits hold.
const USTAR_MAX: u64 = 0o777_7777_7777;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link or a hard link to another member (its path, resolved).
    Link(String),
}

/// A member of the archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Relative, with `/` between plain components.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Bytes of content.
    pub size: u64,
    /// Where the content begins, bytes from the start of the archive.
    pub offset: u64,
}

/// Where the bytes come from: a file that can be read anywhere, or a stream that only goes forward.
pub trait Source {
    /// Reads exactly so many bytes, or as many as are left; how many.
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize>;
    /// Passes over bytes; `false` where the source ends before.
    fn skip(&mut self, count: u64) -> Result<bool>;
}

/// Goes from header to header.
pub struct Members<S> {
    source: S,
    /// Where the next header is.
    position: u64,
    /// Content and padding that were not read yet.
    pending: u64,
    count: usize,
    names: usize,
}

/// What extended headers said about the next member.
#[derive(Default)]
struct Extended {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

impl<S: Source> Members<S> {
    /// Starts at the beginning.
    pub fn new(source: S) -> Members<S> {
        Members { source, position: 0, pending: 0, count: 0, names: 0 }
    }

    /// The next member; `None` behind the archive's end, which must be marked, with nothing but zeros behind it.
    pub fn next_member(&mut self) -> Result<Option<Member>> {
        self.skip_pending()?;
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.header()? else {
                let complete = extended.path.is_none() && extended.link.is_none() && extended.size.is_none();
                return if complete {
                    Ok(None)
                } else {
                    Err(broken("an extended header has no member behind it"))
                };
            };
            self.count += 1;
            if self.count > MAX_MEMBERS {
                return Err(broken(format!("it has more than {MAX_MEMBERS} members")));
            }
            let size = ustar_size(&header)?;
            match header.entry_type() {
                EntryType::GNULongName => set(&mut extended.path, self.long_name(size)?)?,
                EntryType::GNULongLink => set(&mut extended.link, self.long_name(size)?)?,
                EntryType::XHeader => self.pax(size, Some(&mut extended))?,
                EntryType::XGlobalHeader => self.pax(size, None)?,
                kind => return self.member(&header, kind, size, extended).map(Some),
            }
        }
    }

    /// Reads content of the member that `next_member` gave last.
    pub fn read(&mut self, member: &Member, done: u64, buffer: &mut [u8]) -> Result<usize> {
        let wanted = (buffer.len() as u64).min(member.size - done) as usize;
        let count = self.source.read_full(&mut buffer[..wanted])?;
        if count < wanted {
            return Err(cut());
        }
        self.pending -= count as u64;
        Ok(count)
    }

    fn member(&mut self, header: &Header, kind: EntryType, ustar: u64, extended: Extended) -> Result<Member> {
        let raw_path = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let shown = String::from_utf8_lossy(&raw_path).into_owned();
        let named = |why: &str| Error::invalid(format!("entry {shown:?}"), why);
        let size = match extended.size {
            None => ustar,
            // A size that does not fit into ustar's field leaves zeros there (Go, Python, GNU tar) or the largest number
            // (libarchive); anything else is two sizes.
            Some(pax) if pax == ustar || (pax > USTAR_MAX && [0, USTAR_MAX].contains(&ustar)) => pax,
            Some(pax) => return Err(named(&format!("has two sizes, {ustar} and {pax}"))),
        };
        let is_directory = kind == EntryType::Directory || (kind.is_file() && raw_path.ends_with(b"/"));
        let path = clean_path(&raw_path, is_directory).map_err(|why| named(&why))?;
        let link = || {
            extended
                .link
                .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
                .unwrap_or_default()
        };
        let kind = match kind {
            _ if is_directory => Kind::Directory,
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Symlink => Kind::Link(resolve_link(&path, &link()).map_err(|why| named(&why))?),
            EntryType::Link => {
                Kind::Link(clean_path(&link(), false).map_err(|why| named(&format!("links out: {why}")))?)
            }
            EntryType::GNUSparse => return Err(named("is a sparse file, which no image archive has")),
            EntryType::Fifo | EntryType::Char | EntryType::Block => {
                return Err(named("is a device or a pipe"));
            }
            other => {
                return Err(named(&format!(
                    "is of type {:?}, which no image archive has",
                    other.as_byte() as char
                )));
            }
        };
        self.names += path.len() + if let Kind::Link(target) = &kind { target.len() } else { 0 };
        if self.names > MAX_NAMES {
            return Err(broken(format!("its names have more than {MAX_NAMES} bytes together")));
        }
        // Some readers take what follows a link or a directory of a size for its content, others for the next header.
        if kind != Kind::File && size > 0 {
            return Err(named(&format!("has a size, {size}, and is no file")));
        }
        self.pending = size.checked_next_multiple_of(BLOCK).ok_or_else(|| named("has an impossible size"))?;
        let offset = self.position;
        self.position = offset.checked_add(self.pending).ok_or_else(|| named("has an impossible size"))?;
        Ok(Member { path, kind, size, offset })
    }

    fn skip_pending(&mut self) -> Result<()> {
        if self.pending > 0 && !self.source.skip(std::mem::take(&mut self.pending))? {
            return Err(cut());
        }
        Ok(())
    }

    fn header(&mut self) -> Result<Option<Header>> {
        let mut block = [0; BLOCK as usize];
        if !self.block(&mut block)? {
            return Err(if self.position == 0 { broken("is empty") } else { cut() });
        }
        if block.iter().all(|byte| *byte == 0) {
            if !self.block(&mut block)? || block.iter().any(|byte| *byte != 0) {
                return Err(cut());
            }
            self.expect_zeros()?;
            return Ok(None);
        }
        let header = Header::from_byte_slice(&block).clone();
        let sum = block
            .iter()
            .enumerate()
            .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) });
        if header.cksum().ok() != Some(sum.sum()) {
            let first = self.position == BLOCK;
            return Err(broken(if first {
                "is not a tar archive"
            } else {
                "a header is damaged (its checksum is wrong)"
            }));
        }
        Ok(Some(header))
    }

    fn block(&mut self, block: &mut [u8; BLOCK as usize]) -> Result<bool> {
        let count = self.source.read_full(block)?;
        self.position += count as u64;
        match count as u64 {
            0 => Ok(false),
            BLOCK => Ok(true),
            count if self.position == count => Err(broken("is not a tar archive")),
            _ => Err(cut()),
        }
    }

    /// Writers fill the last record with zeros (10 KiB, rarely up to a MiB).
    fn expect_zeros(&mut self) -> Result<()> {
        let mut buffer = vec![0; 64 << 10];
        for _ in 0..17 {
            let count = self.source.read_full(&mut buffer)?;
            if buffer[..count].iter().any(|byte| *byte != 0) {
                break;
            }
            if count < buffer.len() {
                return Ok(());
            }
        }
        Err(broken("goes on behind its end"))
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENDED {
            return Err(broken(format!("a name or extended header of {size} bytes")));
        }
        let mut data = vec![0; size as usize];
        let padded = size.next_multiple_of(BLOCK);
        self.position += padded;
        if self.source.read_full(&mut data)? < data.len() || !self.source.skip(padded - size)? {
            return Err(cut());
        }
        Ok(data)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut name = self.extended(size)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    /// Reads a pax header; a global one (`None`) may say nothing that changes what a member is.
    fn pax(&mut self, size: u64, mut extended: Option<&mut Extended>) -> Result<()> {
        let data = self.extended(size)?;
        for record in PaxExtensions::new(&data) {
            let record = record.map_err(|e| broken(format!("a malformed pax header: {e}")))?;
            let known = matches!(record.key_bytes(), b"path" | b"linkpath" | b"size");
            match (record.key_bytes(), &mut extended) {
                (b"path", Some(extended)) => set(&mut extended.path, record.value_bytes().to_vec())?,
                (b"linkpath", Some(extended)) => set(&mut extended.link, record.value_bytes().to_vec())?,
                (b"size", Some(extended)) => {
                    let size = record.value().ok().and_then(|text| text.parse::<u64>().ok());
                    let size = size.ok_or_else(|| broken("a pax header with a size that is no number"))?;
                    set(&mut extended.size, size)?;
                }
                (key, _) if known || key.starts_with(b"GNU.sparse") => {
                    return Err(broken("a pax header that makes members other than they look"));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

fn set<T>(slot: &mut Option<T>, value: T) -> Result<()> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(broken("a member has two extended names or sizes")),
    }
}

fn ustar_size(header: &Header) -> Result<u64> {
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

/// Makes a member's name a plain relative path: no `..`, not absolute, no backslash, no control character.
fn clean_path(raw: &[u8], is_directory: bool) -> Result<String, String> {
    let text = std::str::from_utf8(raw).map_err(|_| "its name is not UTF-8".to_owned())?;
    if text.starts_with('/') {
        return Err("its name is absolute".into());
    }
    if text.contains('\\') || text.chars().any(char::is_control) {
        return Err("its name has a backslash or a control character".into());
    }
    let mut parts = Vec::new();
    for part in text.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err("its name climbs out with `..`".into()),
            part => parts.push(part),
        }
    }
    if parts.is_empty() && !is_directory {
        return Err("it has no name".into());
    }
    Ok(parts.join("/"))
}

/// Where a symbolic link leads, seen from the archive's root; `docker save` wrote `../<id>/layer.tar`.
pub(super) fn resolve_link(path: &str, target: &[u8]) -> Result<String, String> {
    let target = std::str::from_utf8(target).map_err(|_| "its target is not UTF-8".to_owned())?;
    if target.starts_with('/') || target.contains('\\') || target.chars().any(char::is_control) {
        return Err("it links out of the archive".into());
    }
    let mut parts: Vec<_> = path.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.pop().is_none() => return Err("it links out of the archive".into()),
            ".." => {}
            part => parts.push(part),
        }
    }
    Ok(parts.join("/"))
}

fn cut() -> Error {
    broken("is cut off")
}

fn broken(why: impl ToString) -> Error {
    Error::invalid("the archive", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    impl Source for &[u8] {
        fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
            let count = buffer.len().min(self.len());
            buffer[..count].copy_from_slice(&self[..count]);
            *self = &self[count..];
            Ok(count)
        }
        fn skip(&mut self, count: u64) -> Result<bool> {
            let fits = count <= self.len() as u64;
            *self = &self[(count as usize).min(self.len())..];
            Ok(fits)
        }
    }

    fn members(archive: &[u8]) -> Result<Vec<Member>> {
        let mut members = Members::new(archive);
        let mut all = Vec::new();
        while let Some(member) = members.next_member()? {
            all.push(member);
        }
        Ok(all)
    }

    fn header(path: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_ustar();
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_cksum();
        header
    }

    fn raw(parts: &[(Header, &[u8])]) -> Vec<u8> {
        let mut out = Vec::new();
        for (header, data) in parts {
            out.extend(header.as_bytes());
            out.extend(*data);
            out.resize(out.len().next_multiple_of(512), 0);
        }
        out.resize(out.len() + 1024, 0);
        out
    }

    fn pax(records: &[(&str, &str)]) -> Vec<u8> {
        let mut out = String::new();
        for (key, value) in records {
            let body = format!(" {key}={value}\n");
            let mut length = body.len() + 2;
            while format!("{length}{body}").len() != length {
                length += 1;
            }
            out += &format!("{length}{body}");
        }
        out.into_bytes()
    }

    #[test]
    fn finds_files_and_links() {
        let mut link = header("b/layer.tar", EntryType::Symlink, 0);
        link.set_link_name("../a/layer.tar").expect("fits");
        link.set_cksum();
        let archive = raw(&[
            (header("./a/", EntryType::Directory, 0), b""),
            (header("./a/layer.tar", EntryType::Regular, 3), b"abc"),
            (link, b""),
            (header("x", EntryType::XHeader, 0), b""),
            (header("c", EntryType::Regular, 0), b""),
        ]);
        let found = members(&archive).expect("a good archive");
        assert_eq!(
            found.iter().map(|m| m.path.as_str()).collect::<Vec<_>>(),
            ["a", "a/layer.tar", "b/layer.tar", "c"]
        );
        assert_eq!((found[1].offset, found[1].size), (1024, 3));
        assert_eq!(found[2].kind, Kind::Link("a/layer.tar".into()));
    }

    #[test]
    fn long_names_and_large_sizes() {
        let long = "d/".repeat(100) + "file";
        let named = pax(&[("path", &long), ("mtime", "1.5")]);
        let gnu = [long.as_bytes(), b"\0"].concat();
        for (kind, data) in [(EntryType::XHeader, &named), (EntryType::GNULongName, &gnu)] {
            let archive = raw(&[
                (header("x", kind, data.len() as u64), data),
                (header("short", EntryType::Regular, 1), b"x"),
            ]);
            assert_eq!(members(&archive).expect("good")[0].path, long);
        }
        let size = pax(&[("size", "9000000000")]);
        let archive = raw(&[
            (header("x", EntryType::XHeader, size.len() as u64), &size),
            (header("big", EntryType::Regular, 0), b""),
        ]);
        assert!(members(&archive).expect_err("its content is not there").to_string().contains("cut off"));
    }

    #[test]
    fn refuses_what_can_be_read_two_ways_or_leads_out() {
        let file = |path: &str| raw(&[(header(path, EntryType::Regular, 0), b"")]);
        let kind = |kind| raw(&[(header("e", kind, 0), b"")]);
        let with_pax = |records: &[(&str, &str)]| {
            let data = pax(records);
            raw(&[
                (header("x", EntryType::XHeader, data.len() as u64), &data),
                (header("e", EntryType::Regular, 3), b"abc"),
            ])
        };
        let link = |to: &str, kind| {
            let mut header = header("a/l", kind, 0);
            header.as_old_mut().linkname[..to.len()].copy_from_slice(to.as_bytes());
            header.set_cksum();
            raw(&[(header, b"")])
        };
        let mut negative = header("e", EntryType::Regular, 0);
        negative.as_old_mut().size = [0xff; 12];
        negative.set_cksum();
        let of_base_256 = |first: [u8; 4]| {
            let mut header = header("e", EntryType::Regular, 0);
            header.as_old_mut().size[..4].copy_from_slice(&first);
            header.as_old_mut().size[4..].copy_from_slice(&3u64.to_be_bytes());
            header.set_cksum();
            raw(&[(header, b"abc")])
        };
        assert_eq!(members(&of_base_256([0x80, 0, 0, 0])).expect("a good size")[0].size, 3);
        let sized = |path: &str, kind| {
            let mut header = header(path, kind, 3);
            header.as_old_mut().linkname[0] = b'l';
            header.set_cksum();
            raw(&[(header, b"abc")])
        };
        let beside_pax = |ustar| {
            let data = pax(&[("size", "9000000000")]);
            raw(&[
                (header("x", EntryType::XHeader, data.len() as u64), &data),
                (header("e", EntryType::Regular, ustar), b"abc"),
            ])
        };
        for ustar in [0, USTAR_MAX] {
            let cut = members(&beside_pax(ustar)).expect_err("its content is not there");
            assert!(cut.to_string().contains("cut off"), "{ustar}: {cut}");
        }
        assert!(members(&beside_pax(3)).expect_err("refused").to_string().contains("two sizes"));
        let good = file("e");
        let two_names = {
            let data = pax(&[("path", "a")]);
            raw(&[
                (header("x", EntryType::XHeader, data.len() as u64), &data),
                (header("l", EntryType::GNULongName, 2), b"b\0"),
                (header("e", EntryType::Regular, 0), b""),
            ])
        };
        let global = {
            let data = pax(&[("path", "a")]);
            raw(&[
                (header("g", EntryType::XGlobalHeader, data.len() as u64), &data),
                (header("e", EntryType::Regular, 0), b""),
            ])
        };
        for (why, archive) in [
            ("empty", Vec::new()),
            ("text", b"this is not a tar archive\n".repeat(40)),
            ("short", b"x".to_vec()),
            ("no end", good[..512].to_vec()),
            ("half an end", good[..1024].to_vec()),
            ("cut content", raw(&[(header("e", EntryType::Regular, 2000), b"abc")])),
            ("trailing", [&good[..], b"x"].concat()),
            ("endless zeros", [&good[..], &vec![0; 3 << 20]].concat()),
            ("climbs", file("a/../../b")),
            ("absolute", file("/etc/passwd")),
            ("backslash", file("a\\b")),
            ("control", file("a\u{1b}[2J")),
            ("fifo", kind(EntryType::Fifo)),
            ("char", kind(EntryType::Char)),
            ("block", kind(EntryType::Block)),
            ("sparse", kind(EntryType::GNUSparse)),
            ("strange", kind(EntryType::new(b'V'))),
            ("link out", link("../../x", EntryType::Symlink)),
            ("link away", link("/x", EntryType::Symlink)),
            ("hard link out", link("../x", EntryType::Link)),
            ("negative", raw(&[(negative, b"")])),
            ("base-256, first byte", of_base_256([0x81, 0, 0, 0])),
            ("base-256, second byte", of_base_256([0x80, 1, 0, 0])),
            ("base-256, fourth byte", of_base_256([0x80, 0, 0, 1])),
            ("a file of a directory's name", sized("e/", EntryType::Regular)),
            ("an old file of a directory's name", sized("e/", EntryType::new(0))),
            ("a directory of a size", sized("e", EntryType::Directory)),
            ("a link of a size", sized("e", EntryType::Symlink)),
            ("a hard link of a size", sized("e", EntryType::Link)),
            ("two sizes", with_pax(&[("size", "1")])),
            ("size no number", with_pax(&[("size", "-3")])),
            ("two paths", with_pax(&[("path", "a"), ("path", "b")])),
            ("pax sparse", with_pax(&[("GNU.sparse.major", "1")])),
            (
                "malformed pax",
                raw(&[
                    (header("x", EntryType::XHeader, 3), b"abc"),
                    (header("e", EntryType::Regular, 0), b""),
                ]),
            ),
            ("huge pax", raw(&[(header("x", EntryType::XHeader, 1 << 20), &vec![b'a'; 1 << 20])])),
            ("two names", two_names),
            ("global path", global),
            ("pax without member", raw(&[(header("x", EntryType::GNULongName, 2), b"a\0")])),
        ] {
            assert!(members(&archive).is_err(), "{why}");
        }
        let mut flipped = good;
        flipped[3] ^= 1;
        assert!(members(&flipped).is_err());
    }
}
