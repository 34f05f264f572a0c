//! The members of a layer, one after the other.
//!
//! A layer is a file system: any names but those that climb, devices, any modes. What two readers could understand
//! differently, or what has no place in a file system, ends it by name.

use std::io::Read;

use tar::{EntryType, Header};

use super::broken;
use super::pax::Extended;
use crate::archive::tar::BLOCK;
use crate::archive::tar::header::{parse, ustar_size};
use crate::blob::from_io;
use crate::error::{Error, Result};
use crate::tree::{Time, Xattrs};

/// Bytes of a member's extended headers: one attribute may have 64 KiB, and there may be a few.
const MAX_EXTENDED: u64 = 1 << 20;
/// Bytes of a path or of a link's target (`PATH_MAX` less the zero at its end).
const MAX_PATH: usize = 4095;

/// What a member is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Directory,
    Symlink(Vec<u8>),
    /// To a path, cleaned like the member's own.
    HardLink(Vec<u8>),
    Char(u32, u32),
    Block(u32, u32),
    Fifo,
}

/// A member.
#[derive(Debug)]
pub(crate) struct Member {
    /// Components with `/` between, none of them `.` or `..`; empty for the root.
    pub(crate) path: Vec<u8>,
    pub(crate) what: What,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: Time,
    /// Bytes of content.
    pub(crate) size: u64,
    pub(crate) xattrs: Xattrs,
}

/// Goes from member to member.
pub(crate) struct Members<'r> {
    source: &'r mut dyn Read,
    /// Content and padding of the last member that was not read yet.
    left: u64,
    padding: u64,
    is_first: bool,
    position: u64,
}

impl<'r> Members<'r> {
    pub(crate) fn new(source: &'r mut dyn Read) -> Members<'r> {
        Members { source, left: 0, padding: 0, is_first: true, position: 0 }
    }

    /// Bytes of the layer that were read: after [`Members::next`] it is where the member's content begins.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// The next member; `None` behind the mark of the end, or where the stream ends instead of it.
    pub(crate) fn next(&mut self) -> Result<Option<Member>> {
        self.pass()?;
        let mut extended = Extended::default();
        loop {
            let Some(header) = self.header()? else { return Ok(None) };
            let size = ustar_size(&header)?;
            match header.entry_type() {
                EntryType::GNULongName => extended.path = Some(self.long_name(size)?),
                EntryType::GNULongLink => extended.link = Some(self.long_name(size)?),
                EntryType::XHeader => {
                    let data = self.extended(size)?;
                    extended.pax(&data)?;
                }
                // Git's comment and the like.
                EntryType::XGlobalHeader => drop(self.extended(size)?),
                kind => return self.member(&header, kind, size, extended).map(Some),
            }
        }
    }

    /// Reads content of the member that was given last; 0 at its end.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let wanted = (buffer.len() as u64).min(self.left) as usize;
        let count = self.fill(&mut buffer[..wanted])?;
        if count < wanted {
            return Err(broken("is cut off"));
        }
        self.left -= count as u64;
        Ok(count)
    }

    /// Passes over what is left of the last member.
    fn pass(&mut self) -> Result<()> {
        let left = std::mem::take(&mut self.left) + std::mem::take(&mut self.padding);
        let passed = std::io::copy(&mut self.source.take(left), &mut std::io::sink());
        let passed = passed.map_err(|e| from_io(e, Error::io("read", "the layer")))?;
        self.position += passed;
        if passed < left { Err(broken("is cut off")) } else { Ok(()) }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.source.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io(error, Error::io("read", "the layer"))),
            }
        }
        Ok(filled)
    }

    /// The next header; `None` at the end.
    fn header(&mut self) -> Result<Option<Header>> {
        self.pass()?;
        let mut block = [0; BLOCK as usize];
        match self.fill(&mut block)? {
            // Layers of no bytes at all are common enough.
            0 => return Ok(None),
            count if count < block.len() => return Err(broken("is cut off")),
            _ => {}
        }
        let is_first = std::mem::take(&mut self.is_first);
        if block.iter().all(|byte| *byte == 0) { Ok(None) } else { parse(&block, is_first).map(Some) }
    }

    fn expect(&mut self, size: u64) -> Result<()> {
        let padded = size.checked_next_multiple_of(BLOCK).ok_or_else(|| broken("has an impossible size"))?;
        (self.left, self.padding) = (size, padded - size);
        Ok(())
    }

    fn extended(&mut self, size: u64) -> Result<Vec<u8>> {
        if size > MAX_EXTENDED {
            return Err(broken(format!("has an extended header of {size} bytes")));
        }
        self.expect(size)?;
        let mut data = vec![0; size as usize];
        self.read(&mut data)?;
        Ok(data)
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>> {
        let mut name = self.extended(size)?;
        while name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn member(&mut self, header: &Header, kind: EntryType, ustar: u64, extended: Extended) -> Result<Member> {
        let raw = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let named = |why: &str| Error::invalid(format!("member {:?}", String::from_utf8_lossy(&raw)), why);
        let is_directory = kind == EntryType::Directory || kind.is_file() && raw.ends_with(b"/");
        let path = clean(&raw).map_err(named)?;
        let raw_link = || {
            extended
                .link
                .clone()
                .or_else(|| header.link_name_bytes().map(|link| link.into_owned()))
                .unwrap_or_default()
        };
        let device = || match (header.device_major(), header.device_minor()) {
            (Ok(Some(major)), Ok(Some(minor))) => Ok((major, minor)),
            _ => Err(named("is a device without numbers")),
        };
        let what = match kind {
            _ if is_directory => What::Directory,
            EntryType::Regular | EntryType::Continuous => What::File,
            EntryType::Symlink => match raw_link() {
                target if target.is_empty() || target.len() > MAX_PATH || target.contains(&0) => {
                    return Err(named("is a link that leads nowhere any link can lead"));
                }
                target => What::Symlink(target),
            },
            EntryType::Link => {
                What::HardLink(clean(&raw_link()).map_err(|why| named(&format!("is a link to what {why}")))?)
            }
            EntryType::Char => device().map(|(major, minor)| What::Char(major, minor))?,
            EntryType::Block => device().map(|(major, minor)| What::Block(major, minor))?,
            EntryType::Fifo => What::Fifo,
            EntryType::GNUSparse => return Err(named("is a sparse member, which layers must not have")),
            other => {
                return Err(named(&format!("is of an unknown type ({:?})", char::from(other.as_byte()))));
            }
        };
        let id = |pax: Option<u64>, ustar: std::io::Result<u64>| {
            let id = pax.map_or(ustar, Ok).ok().and_then(|id| u32::try_from(id).ok());
            // The largest one means "as it is" to the kernel.
            id.filter(|id| *id != u32::MAX).ok_or_else(|| named("has an owner or group that is none"))
        };
        let old = header.as_old();
        let uid = id(extended.uid, number(&old.uid, header.uid()))?;
        let gid = id(extended.gid, number(&old.gid, header.gid()))?;
        let ustar_time = || number(&old.mtime, header.mtime()).ok().and_then(|time| i64::try_from(time).ok());
        let modified = extended.modified.or_else(|| Some(Time { seconds: ustar_time()?, nanos: 0 }));
        let modified = modified.ok_or_else(|| named("has a time that is none"))?;
        let mode = header.mode().map_err(|_| named("has a mode that is none"))? & 0o7777;
        // Links, directories and devices have been seen with a size and never have content.
        let size = if what == What::File { extended.size.unwrap_or(ustar) } else { 0 };
        self.expect(size)?;
        Ok(Member { path, what, mode, uid, gid, modified, size, xattrs: extended.xattrs })
    }
}

/// A number in a header. Nothing at all is 0, as for Go and GNU tar.
fn number(field: &[u8], parsed: std::io::Result<u64>) -> std::io::Result<u64> {
    if field.iter().all(|byte| [0, b' '].contains(byte)) { Ok(0) } else { parsed }
}

/// A path without what makes no difference; what is wrong with it.
fn clean(raw: &[u8]) -> Result<Vec<u8>, &'static str> {
    let mut path = Vec::with_capacity(raw.len());
    for name in raw.split(|byte| *byte == b'/').filter(|name| !name.is_empty() && *name != b".") {
        if name == b".." {
            return Err("climbs out of its directory");
        }
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name);
    }
    if path.len() > MAX_PATH {
        return Err("has a longer path than can be opened");
    }
    if path.contains(&0) { Err("has a zero byte in its name") } else { Ok(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_of_nothing_is_zero_and_nonsense_is_not() {
        let wrong = || Err(std::io::Error::other("no number"));
        assert_eq!(number(&[0; 8], wrong()).ok(), Some(0));
        assert_eq!(number(b"       \0", wrong()).ok(), Some(0));
        assert_eq!(number(b"0000007\0", Ok(7)).ok(), Some(7));
        assert!(number(b"nobody \0", wrong()).is_err());
    }
}
