//! The layers of an image as snapshots: those that are there, and the others unpacked now.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::{Limits, MAX_NODES, unpack};
use crate::cancel::Cancel;
use crate::codec::{self, decoder, layer_decoder};
use crate::descriptor::Descriptor;
use crate::digest::Hasher;
use crate::error::{Error, Result};
use crate::fs;
use crate::ids::{ChainId, DiffId};
use crate::lease::Lease;
use crate::media_type::Compression;
use crate::snapshots::{Snapshot, Snapshots};
use crate::store::Store;
use crate::tree::{Directory, Stack};

/// Threads that decompress.
const JOBS: usize = 2;
/// Bytes that go from the thread that reads to the one that unpacks at a time, and how many such pieces may wait.
const PIECE: usize = 1 << 20;
const WAITING: usize = 4;

/// A layer of an image.
#[derive(Debug, Clone)]
pub struct Layer {
    /// The stored blob.
    pub descriptor: Descriptor,
    /// What it unpacks to, as the image's config says.
    pub diff_id: DiffId,
}

/// Unpacks what is not there yet of a stack of layers, the lowest first; the snapshots in the same order, used at `now` (seconds
/// since 1970). The lease protects them from GC for as long as it lives. Before anything is unpacked `room` is told how many bytes that will be, as far
/// as is known, and may refuse. A layer that does not unpack to its diff ID is refused.
pub fn unpack_image(
    store: &Store,
    snapshots: &Snapshots<'_>,
    layers: &[Layer],
    lease: &mut Lease,
    now: i64,
    room: &mut dyn FnMut(u64) -> Result<()>,
    cancel: &Cancel,
) -> Result<Vec<Snapshot>> {
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.diff_id).collect();
    let chain = ChainId::stack(&diff_ids);
    let digests: Vec<_> =
        chain.iter().map(|id| id.0).chain(layers.iter().map(|layer| layer.descriptor.digest)).collect();
    lease.add(&digests, &store.locks().shared()?)?;
    let there = chain.iter().map(|id| snapshots.get(id, now)).collect::<Result<Vec<_>>>()?;
    let missing: Vec<_> =
        layers.iter().zip(&there).filter(|(_, there)| there.is_none()).map(|(layer, _)| layer).collect();
    if !missing.is_empty() {
        let known = store.layers()?;
        let size = |layer: &Layer| {
            let facts = known.by_blob(&layer.descriptor.digest);
            // Of what nobody has read yet the blob is the least that it can be.
            facts.map_or(layer.descriptor.size, |facts| facts.plain_size)
        };
        room(missing.into_iter().map(size).fold(0, u64::saturating_add))?;
    }
    let mut found: Vec<Snapshot> = Vec::with_capacity(layers.len());
    for ((layer, chain_id), there) in layers.iter().zip(&chain).zip(there) {
        let snapshot = match there {
            Some(snapshot) => snapshot,
            None => {
                let new = {
                    let guard = store.locks().shared()?;
                    snapshots.begin(&guard)?
                };
                let below =
                    found.iter().rev().map(|lower| Directory::of(&lower.files)).collect::<Result<_>>()?;
                let unpacked =
                    unpack_layer(store, layer, &Directory::of(&new.files()?)?, Stack::new(below), cancel);
                unpacked.map_err(|e| e.within(format!("layer {}", layer.descriptor.digest)))?;
                new.finish_as(chain_id, &layer.descriptor.digest, now)?
            }
        };
        found.push(snapshot);
    }
    Ok(found)
}

fn unpack_layer(store: &Store, layer: &Layer, into: &Directory, below: Stack, cancel: &Cancel) -> Result<()> {
    let digest = layer.descriptor.digest;
    let blob =
        store.blobs().open(&digest)?.ok_or_else(|| Error::damaged(format!("blob {digest}"), "is missing"))?;
    let facts = store.layers()?.by_blob(&digest).filter(|facts| facts.diff_id == layer.diff_id);
    let failed = Error::io("read", store.path().join("blobs"));
    let plain = match &facts {
        Some(facts) => layer_decoder(&blob, facts, JOBS),
        None => {
            let compression = Compression::of_layer(&layer.descriptor.media_type).ok_or_else(|| {
                let why = format!("is of type {:?}, which is no layer's", layer.descriptor.media_type);
                Error::invalid(format!("blob {digest}"), why)
            })?;
            decoder(compression, blob.reader(), blob.size(), codec::Limits::default())
        }
    };
    let plain = plain.map_err(failed)?;
    let free = fs::free_space(store.layout().root())?;
    let limits = Limits { bytes: free, nodes: MAX_NODES };
    let found = std::thread::scope(|scope| {
        let (send, receive) = sync_channel(WAITING);
        let reader = scope.spawn(move || hash_on_the_way(plain, &send));
        let mut pieces = Pieces { receive, current: Vec::new(), position: 0 };
        unpack(&mut pieces, into, below, limits, cancel)?;
        // What stands behind the end belongs to the diff ID as well.
        io::copy(&mut pieces, &mut io::sink())
            .map_err(|e| crate::blob::from_io(e, Error::io("read", "the layer")))?;
        let found =
            reader.join().map_err(|_| Error::damaged(format!("blob {digest}"), "its reader has stopped"))?;
        Ok::<_, Error>(found)
    })?;
    if found != layer.diff_id {
        let why = format!("diff ID mismatch: it unpacks to {found}, and {} is announced", layer.diff_id);
        return Err(Error::damaged(format!("blob {digest}"), why));
    }
    Ok(())
}

/// Passes a stream on in pieces; the digest of what was passed.
fn hash_on_the_way(mut source: Box<dyn Read + Send + '_>, send: &SyncSender<io::Result<Vec<u8>>>) -> DiffId {
    let mut hasher = Hasher::new();
    loop {
        let mut piece = vec![0; PIECE];
        let read = fill(&mut source, &mut piece);
        let is_end = !matches!(read, Ok(PIECE));
        let read = read.map(|count| {
            piece.truncate(count);
            hasher.update(&piece);
            piece
        });
        // Nobody listens where the work was given up.
        if send.send(read).is_err() || is_end {
            return DiffId(hasher.finish());
        }
    }
}

fn fill(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The pieces as one stream.
struct Pieces {
    receive: Receiver<io::Result<Vec<u8>>>,
    current: Vec<u8>,
    position: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.position == self.current.len() {
            // The last piece was sent when the sender is gone.
            let Ok(piece) = self.receive.recv() else { return Ok(0) };
            (self.current, self.position) = (piece?, 0);
        }
        let count = buffer.len().min(self.current.len() - self.position);
        buffer[..count].copy_from_slice(&self.current[self.position..self.position + count]);
        self.position += count;
        Ok(count)
    }
}
