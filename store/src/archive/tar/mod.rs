//! Reading tar headers that may mean harm (POSIX.1-2017 pax, "ustar interchange format"; GNU tar manual, "tar internals").
//!
//! Only what image archives are made of is let through: files, directories and links that stay inside. Where
//! two readers could disagree (two sizes, two names, a name that climbs), the archive is refused. The headers
//! are taken apart by the `tar` crate; what they may say is decided here.

pub(crate) mod extended;
pub(crate) mod header;
mod path;
#[cfg(test)]
mod tests;

use tar::{EntryType, Header};

use self::extended::{Extended, pax, set};
use self::header::{parse, ustar_size};
use self::path::clean_path;
pub(super) use self::path::resolve_link;
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
        parse(&block, self.position == BLOCK).map(Some)
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

    fn pax(&mut self, size: u64, extended: Option<&mut Extended>) -> Result<()> {
        pax(&self.extended(size)?, extended)
    }
}

fn cut() -> Error {
    broken("is cut off")
}

fn broken(why: impl ToString) -> Error {
    Error::invalid("the archive", why)
}
