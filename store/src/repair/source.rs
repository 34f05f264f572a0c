//! Where good blobs may be had. Nothing that a source gives is believed.

use std::io::{Read, Write};

use crate::blob::{BlobWriter, Ingest, Staged, from_io};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::progress::{Event, Watch};
use crate::store::Store;
use crate::verify::Part;

/// An archive, a layout, a registry: what may have a good copy of a damaged blob.
pub trait RepairSource {
    /// What people call it in messages.
    fn label(&self) -> &str;

    /// Stages a part of an image, or makes it again; `None` where this source does not have it. An error speaks of
    /// this part alone: the next source is asked, and this one for the next part.
    ///
    /// What comes back is compared with the part's digest and size, as they were counted when it was written.
    fn find(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Option<Staged>>;
}

/// Where a source writes what it has.
pub struct Bench<'a> {
    pub(super) store: &'a Store,
    pub(super) ingest: &'a Ingest,
    pub(super) cancel: &'a Cancel,
    /// Told of progress.
    pub watch: Watch<'a>,
}

impl Bench<'_> {
    /// Starts a blob that the source makes itself, from so many bytes. More of them than there is room for are refused
    /// before anything is written: what announces them may lie.
    pub fn writer(&self, size: u64) -> Result<BlobWriter> {
        let free = self.store.free_space()?;
        if size > free {
            return Err(Error::NoSpace { path: self.store.path().to_path_buf(), needed: size, free });
        }
        self.ingest.writer()
    }

    /// Stages a part from its bytes: no more of them are read than it must have, and anything but the part itself is
    /// an error.
    pub fn stage(&self, part: &Part, source: impl Read) -> Result<Staged> {
        let (digest, size) = (part.descriptor.digest, part.descriptor.size);
        let failed = |action| move |e| from_io(e, Error::io(action, format!("blob {digest}")));
        let mut source = source.take(size.saturating_add(1));
        let mut writer = self.writer(size)?;
        let mut buffer = vec![0; 256 << 10];
        loop {
            self.cancel.check()?;
            match source.read(&mut buffer) {
                Ok(0) => return writer.finish_as(digest, size),
                Ok(count) => {
                    writer.write_all(&buffer[..count]).map_err(failed("write"))?;
                    (self.watch)(Event::Done(count as u64));
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(failed("read")(error)),
            }
        }
    }
}
