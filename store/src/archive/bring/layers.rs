//! Reading what the store lacks: layers are compressed, or copied as they came, and checked either way.

use std::collections::VecDeque;
use std::io::{self, Read};

use super::Bring;
use crate::archive::contents::{Contents, Part};
use crate::archive::image::found_compression;
use crate::archive::plan::{KeptBlob, MadeLayer};
use crate::archive::stream::staged_or_stored;
use crate::blob::{Blob, from_io};
use crate::codec::{CopiedLayer, Copy, EncodedLayer, Encoder, Limits, copy_layer, decoder, measure};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::DiffId;
use crate::layers::LayerFacts;
use crate::media_type::Compression;

impl Bring<'_, '_> {
    /// Compresses layers and publishes each as soon as it is done: whatever fails later, they stay.
    pub(super) fn make_layers(&mut self, contents: &mut dyn Contents, layers: &[MadeLayer]) -> Result<()> {
        let mut encoder = None;
        let mut pending = VecDeque::new();
        let mut made = self.encode(contents, layers, &mut encoder, &mut pending);
        if let Some(encoder) = &mut encoder {
            // Also after a failure: what was read before it is on its way to the disk.
            let waited = encoder.wait();
            let rest = self.accept_done(encoder, &mut pending);
            made = made.and(waited).and(rest);
        }
        made
    }

    /// Publishes what is done by now.
    fn accept_done(&mut self, encoder: &mut Encoder, pending: &mut VecDeque<&MadeLayer>) -> Result<()> {
        for encoded in encoder.done() {
            let Some(layer) = pending.pop_front() else { break };
            self.accept(layer, encoded).map_err(|e| e.within(format!("entry {:?}", layer.path)))?;
        }
        Ok(())
    }

    fn encode<'l>(
        &mut self,
        contents: &mut dyn Contents,
        layers: &'l [MadeLayer],
        encoder: &mut Option<Encoder>,
        pending: &mut VecDeque<&'l MadeLayer>,
    ) -> Result<()> {
        let options = self.options;
        for layer in layers {
            let done = |error: Error| error.within(format!("entry {:?}", layer.path));
            let encoded = match contents.take(&layer.path)? {
                Part::Known(facts) if facts.diff_id == layer.diff_id => {
                    self.refuse_damaged(&facts.blob).map_err(done)?;
                    self.made.insert(facts.diff_id, facts);
                    continue;
                }
                Part::Known(facts) => return Err(done(wrong_diff_id(layer.diff_id, facts.diff_id))),
                Part::Encoded(encoded) => {
                    self.accept(layer, encoded).map_err(done)?;
                    continue;
                }
                Part::Source(source) => plain(source, layer.size),
                Part::Copied(staged) => staged_or_stored(self.tx.store(), &staged)
                    .and_then(|blob| plain(blob.verified(), blob.size())),
                Part::Present => {
                    self.stored(&layer.path).and_then(|blob| plain(blob.verified(), blob.size()))
                }
            };
            let mut source = encoded.map_err(done)?;
            let encoder = match &mut *encoder {
                Some(encoder) => encoder,
                none => none.insert(Encoder::new(
                    options.encoding,
                    options.jobs,
                    options.cancel.clone(),
                    self.shown.clone(),
                )?),
            };
            let watch = |count| self.report(count);
            encoder.layer(&mut source, self.tx.writer()?, &watch).map_err(done)?;
            pending.push_back(layer);
            self.accept_done(encoder, pending)?;
        }
        Ok(())
    }

    /// A stream passed over what the store has; where that turned out to be damaged, it is too late to read it.
    fn refuse_damaged(&self, blob: &Digest) -> Result<()> {
        if self.damaged.contains(blob) {
            let why =
                "is damaged in the store, and was passed over in the stream; import it again with --verify";
            return Err(Error::damaged(format!("blob {blob}"), why));
        }
        Ok(())
    }

    fn accept(&mut self, layer: &MadeLayer, encoded: EncodedLayer) -> Result<()> {
        let learned = encoded.learned();
        let facts = learned.facts;
        if facts.diff_id != layer.diff_id {
            return Err(wrong_diff_id(layer.diff_id, facts.diff_id));
        }
        self.publish(encoded.staged, facts.plain_size)?;
        // The blob known before was not there: this one is to be used from now on.
        learned.keep(&self.layers)?;
        self.made.insert(facts.diff_id, facts);
        Ok(())
    }

    pub(super) fn copy_blob(&mut self, contents: &mut dyn Contents, blob: &KeptBlob) -> Result<()> {
        let unpack = blob
            .layer
            .map(|(compression, _)| compression)
            .filter(|compression| *compression != Compression::None);
        let (digest, size) = (blob.descriptor.digest, blob.descriptor.size);
        let what = Copy { digest, size, unpack, shown: &self.shown };
        let mut source: Box<dyn Read + Send> = match contents.take(&blob.path)? {
            Part::Source(source) => source,
            Part::Copied(staged) => {
                if (staged.digest(), staged.size()) != (digest, size) {
                    let got = staged.digest();
                    return Err(Error::damaged(
                        format!("blob {digest}"),
                        format!("digest mismatch: got {got}"),
                    ));
                }
                let measured = unpack.map(|compression| {
                    let copy = staged_or_stored(self.tx.store(), &staged)?;
                    measure(&copy, compression, &self.options.cancel)
                });
                let plain = measured.transpose()?;
                return self.accept_copy(blob, CopiedLayer { staged, plain });
            }
            // It was compressed on the way, on a guess that was wrong: its plain form is the blob.
            Part::Encoded(encoded) => {
                let stored = staged_or_stored(self.tx.store(), &encoded.staged)?;
                let compression = self.options.encoding.compression;
                decoder(compression, stored.verified(), stored.size(), Limits::default())
                    .map_err(|e| from_io(e, Error::io("unpack", &self.shown)))?
            }
            Part::Known(facts) => {
                self.refuse_damaged(&facts.blob)?;
                let stored = self.tx.store().blobs().open(&facts.blob)?;
                let stored =
                    stored.ok_or_else(|| Error::damaged(format!("blob {}", facts.blob), "is missing"))?;
                plain(stored.verified(), stored.size())?
            }
            Part::Present => {
                self.refuse_damaged(&digest)?;
                return Err(Error::damaged(format!("blob {digest}"), "is missing"));
            }
        };
        let watch = |count| self.report(count);
        let copied = copy_layer(
            &mut source,
            self.tx.writer()?,
            &what,
            self.options.jobs,
            &self.options.cancel,
            &watch,
        )?;
        self.accept_copy(blob, copied)
    }

    fn accept_copy(&mut self, blob: &KeptBlob, copied: CopiedLayer) -> Result<()> {
        let (digest, size) = (blob.descriptor.digest, blob.descriptor.size);
        let (mut facts, mut unpacked) = (None, None);
        if let Some((compression, expected)) = blob.layer {
            let (diff_id, plain_size) = match compression {
                Compression::None => (DiffId(digest), size),
                _ => {
                    let was_not = || Error::damaged(format!("blob {digest}"), "was not unpacked");
                    let plain = copied.plain.ok_or_else(was_not)?;
                    let (diff_id, size) = (plain.diff_id, plain.size);
                    unpacked = Some(plain);
                    (diff_id, size)
                }
            };
            if diff_id != expected {
                return Err(wrong_diff_id(expected, diff_id));
            }
            let compression = found_compression(&copied.staged.open()?, compression)?;
            facts =
                Some(LayerFacts { blob: digest, size, compression, diff_id, plain_size, seekable: false });
        }
        self.publish(copied.staged, size)?;
        let Some(facts) = facts else { return Ok(()) };
        self.layers.learn(&facts, false)?;
        if let Some(plain) = unpacked {
            plain.keep(&self.layers);
        }
        Ok(())
    }

    /// The stored blob that a member's name stands for.
    fn stored(&self, path: &str) -> Result<Blob> {
        let digest = path.rsplit('/').next().and_then(Digest::from_hex);
        let blob = digest.map(|digest| self.tx.store().blobs().open(&digest)).transpose()?.flatten();
        blob.ok_or_else(|| Error::damaged(format!("entry {path:?}"), "is missing"))
    }
}

/// The plain bytes of a layer that may be compressed; some tools put gzip'd layers into docker-archives.
pub(crate) fn plain<'r>(mut source: impl Read + Send + 'r, size: u64) -> Result<Box<dyn Read + Send + 'r>> {
    let failed = |e| from_io(e, Error::io("read", "the archive"));
    let mut head = Vec::new();
    source.by_ref().take(4).read_to_end(&mut head).map_err(failed)?;
    let compression = Compression::sniff(&head);
    decoder(compression, io::Cursor::new(head).chain(source), size, Limits::default()).map_err(failed)
}

pub(in crate::archive) fn wrong_diff_id(expected: DiffId, got: DiffId) -> Error {
    Error::damaged(format!("layer {expected}"), format!("diff ID mismatch: it unpacks to {got}"))
}
