//! Listing a layer while its plain bytes pass, in pieces of any size.
//!
//! A layer is somebody else's file system, so devices, any names and any modes are met here and passed over. Where the
//! stream cannot be understood, the listing ends there and says why; it never fails what the bytes are read for.

use std::collections::HashSet;

use tar::EntryType;

use super::listing::{Entry, Interest, Kind, Listing, MAX_DEPTH, Place, clean, is_content, name, parent};
use crate::archive::tar::BLOCK;
use crate::archive::tar::extended::{Extended, pax, set};
use crate::archive::tar::header::{parse, ustar_size};
use crate::delta::{Sketch, Sketcher};
use crate::digest::Hasher;
use crate::error::{Error, Result};

/// Members of one layer that are remembered.
const MAX_ENTRIES: usize = 50_000;
/// Bytes of their names together.
const MAX_NAMES: usize = 4 << 20;
/// Bytes of a name or a link's target.
const MAX_NAME: usize = 4096;
/// Bytes of a member's extended headers.
const MAX_EXTENDED: u64 = 1 << 20;

/// Makes the listing of a layer from its plain bytes.
#[derive(Default)]
pub struct Lister {
    interest: Interest,
    entries: Vec<Entry>,
    names: usize,
    /// The directory of the last member that does not matter, and those above such that do.
    last: String,
    implied: HashSet<String>,
    /// The part of a header that has passed.
    block: Vec<u8>,
    position: u64,
    extended: Extended,
    state: State,
    broken: Option<String>,
    sketcher: Sketcher,
}

#[derive(Default)]
enum State {
    #[default]
    Header,
    /// One block of zeros was seen: another one is the end.
    HalfEnd,
    Body {
        left: u64,
        padding: u64,
        sink: Sink,
    },
    End,
}

/// What becomes of a member's content.
enum Sink {
    Nothing,
    /// It belongs to the entry that was added last.
    Digest(Hasher),
    Extended(EntryType, Vec<u8>),
}

impl Lister {
    pub(super) fn with(interest: Interest) -> Lister {
        Lister { interest, ..Lister::default() }
    }

    /// Takes the next bytes.
    pub fn feed(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() && !matches!(self.state, State::End) {
            let taken = match self.step(bytes) {
                Ok(taken) => taken,
                Err(error) => return self.stop(error),
            };
            self.position += taken as u64;
            bytes = &bytes[taken..];
        }
    }

    /// The listing, when all has passed, and what the layer is compared to others by.
    pub fn finish(mut self) -> (Listing, Sketch) {
        let is_cut = match self.state {
            State::Header => !self.block.is_empty() || self.position == 0,
            State::Body { .. } => true,
            State::HalfEnd | State::End => false,
        };
        // An empty layer of no bytes at all is common enough.
        if is_cut && self.position > 0 {
            self.stop(broken("is cut off"));
        }
        (Listing::new(self.entries, self.broken), self.sketcher.finish())
    }

    fn stop(&mut self, error: Error) {
        self.state = State::End;
        self.broken.get_or_insert(error.to_string());
    }

    fn step(&mut self, bytes: &[u8]) -> Result<usize> {
        let State::Body { left, padding, sink } = &mut self.state else {
            let count = bytes.len().min(BLOCK as usize - self.block.len());
            self.block.extend_from_slice(&bytes[..count]);
            if self.block.len() == BLOCK as usize {
                // Where the header ends, its content begins.
                let end = self.position + count as u64;
                self.header(end)?;
                self.block.clear();
            }
            return Ok(count);
        };
        let count = (bytes.len() as u64).min(*left + *padding) as usize;
        let content = (*left).min(count as u64) as usize;
        match sink {
            Sink::Nothing => {}
            Sink::Digest(hasher) => hasher.update(&bytes[..content]),
            Sink::Extended(_, data) => data.extend_from_slice(&bytes[..content]),
        }
        *left -= content as u64;
        *padding -= (count - content) as u64;
        if *left + *padding == 0 {
            self.body_ended()?;
        }
        Ok(count)
    }

    fn body_ended(&mut self) -> Result<()> {
        let State::Body { sink, .. } = std::mem::replace(&mut self.state, State::Header) else {
            return Ok(());
        };
        match sink {
            Sink::Nothing => {}
            Sink::Digest(hasher) => {
                if let Some(Entry { kind: Kind::File(place), .. }) = self.entries.last_mut() {
                    place.digest = Some(hasher.finish());
                }
            }
            Sink::Extended(EntryType::XHeader, data) => pax(&data, Some(&mut self.extended))?,
            Sink::Extended(kind, mut data) => {
                while data.last() == Some(&0) {
                    data.pop();
                }
                let is_name = kind == EntryType::GNULongName;
                set(if is_name { &mut self.extended.path } else { &mut self.extended.link }, data)?;
            }
        }
        Ok(())
    }

    fn header(&mut self, end: u64) -> Result<()> {
        if self.block.iter().all(|byte| *byte == 0) {
            let is_second = matches!(self.state, State::HalfEnd);
            self.state = if is_second { State::End } else { State::HalfEnd };
            return Ok(());
        }
        if matches!(self.state, State::HalfEnd) {
            return Err(broken("goes on behind a mark of its end"));
        }
        let block = self.block.as_slice().try_into().map_err(|_| broken("is cut off"))?;
        let header = parse(block, end == BLOCK)?;
        let size = ustar_size(&header)?;
        match header.entry_type() {
            EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader if size > MAX_EXTENDED => {
                Err(broken(format!("has an extended header of {size} bytes")))
            }
            kind @ (EntryType::GNULongName | EntryType::GNULongLink | EntryType::XHeader) => {
                self.body(size, Sink::Extended(kind, Vec::new()))
            }
            EntryType::XGlobalHeader => self.body(size, Sink::Nothing),
            EntryType::GNUSparse => Err(broken("has a sparse member, which no image's layer has")),
            kind => self.member(&header, kind, size, end),
        }
    }

    fn member(&mut self, header: &tar::Header, kind: EntryType, ustar: u64, offset: u64) -> Result<()> {
        let extended = std::mem::take(&mut self.extended);
        let raw = extended.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let is_directory = kind == EntryType::Directory || kind.is_file() && raw.ends_with(b"/");
        let has_content = !is_directory
            && !matches!(
                kind,
                EntryType::Symlink | EntryType::Link | EntryType::Char | EntryType::Block | EntryType::Fifo
            );
        let size = if has_content { extended.size.unwrap_or(ustar) } else { 0 };
        self.sketcher.member(&raw, size);
        let mut sink = Sink::Nothing;
        if raw.len() <= MAX_NAME
            && let Some(path) = clean(&raw)
        {
            let link = || {
                let link = extended.link.or_else(|| header.link_name_bytes().map(|link| link.into_owned()));
                link.filter(|link| link.len() <= MAX_NAME)
            };
            let kind = match kind {
                _ if is_directory => Kind::Directory,
                EntryType::Symlink => match link().map(String::from_utf8) {
                    Some(Ok(target)) if !target.chars().any(char::is_control) => Kind::Link(target),
                    _ => Kind::Other,
                },
                EntryType::Link => link().and_then(|link| clean(&link)).map_or(Kind::Other, Kind::HardLink),
                _ if has_content && kind != EntryType::Regular && kind != EntryType::Continuous => {
                    Kind::Other
                }
                _ if has_content => {
                    if is_content(&path) {
                        sink = Sink::Digest(Hasher::new());
                    }
                    let is_executable = header.mode().is_ok_and(|mode| mode & 0o111 != 0);
                    Kind::File(Place { offset, size, is_executable, digest: None })
                }
                _ => Kind::Other,
            };
            // What is not kept has no entry for a digest to go to.
            if !self.add(path, kind)? {
                sink = Sink::Nothing;
            }
        }
        self.body(size, sink)
    }

    /// Remembers a member that matters; whether it does.
    fn add(&mut self, path: String, kind: Kind) -> Result<bool> {
        let entry = match name(&path).strip_prefix(".wh.") {
            Some(".wh..opq") => Entry { path: parent(&path).to_owned(), kind: Kind::Opaque },
            // Other names of aufs (`.wh..wh.plnk`, …) are its own affairs.
            Some(hidden) if hidden.is_empty() || hidden.starts_with(".wh.") => return Ok(false),
            Some(hidden) => {
                let above = parent(&path);
                let path = if above.is_empty() { hidden.to_owned() } else { format!("{above}/{hidden}") };
                Entry { path, kind: Kind::Whiteout }
            }
            None if self.interest.wants(&path, matches!(kind, Kind::Link(_))) => Entry { path, kind },
            None => return self.imply(parent(&path)).map(|()| false),
        };
        self.push(entry)?;
        Ok(true)
    }

    /// A member makes directories of all that is above it, also where they are not in the layer themselves.
    fn imply(&mut self, directory: &str) -> Result<()> {
        if directory == self.last {
            return Ok(());
        }
        directory.clone_into(&mut self.last);
        // Deeper ones do not matter.
        let end = directory.match_indices('/').nth(MAX_DEPTH).map_or(directory.len(), |(at, _)| at);
        let mut above = &directory[..end];
        while !above.is_empty() {
            if self.interest.wants(above, false) && self.implied.insert(above.to_owned()) {
                self.push(Entry { path: above.to_owned(), kind: Kind::Directory })?;
            }
            above = parent(above);
        }
        Ok(())
    }

    fn push(&mut self, entry: Entry) -> Result<()> {
        let target = match &entry.kind {
            Kind::Link(target) | Kind::HardLink(target) => target.len(),
            _ => 0,
        };
        self.names += entry.path.len() + target;
        if self.entries.len() == MAX_ENTRIES || self.names > MAX_NAMES {
            return Err(broken("has more programs and links than are looked at"));
        }
        self.entries.push(entry);
        Ok(())
    }

    fn body(&mut self, size: u64, sink: Sink) -> Result<()> {
        let padded = size.checked_next_multiple_of(BLOCK).ok_or_else(|| broken("has an impossible size"))?;
        self.state = State::Body { left: size, padding: padded - size, sink };
        if padded == 0 { self.body_ended() } else { Ok(()) }
    }
}

fn broken(why: impl ToString) -> Error {
    Error::invalid("the layer", why)
}
