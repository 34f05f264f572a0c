//! A stored blob, or the end of it, as what a request carries.
//!
//! It is verified on the way: its last bytes are not given away before all of them were seen to be what the digest says.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use hyper::body::{Body, Frame, SizeHint};
use larder_store::Error as StoreError;
use larder_store::blob::{Blob, BlobReader, VerifyReader, from_io};

/// Bytes that are read at a time.
const CHUNK: usize = 256 << 10;

/// What becomes of a blob on its way, for whoever waits for the answer.
#[derive(Debug, Default)]
pub(super) struct Progress {
    given: AtomicU64,
    failed: Mutex<Option<StoreError>>,
}

impl Progress {
    /// Bytes that were given to the connection, counted from the blob's first one.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// Why the blob could not be read.
    pub(super) fn failure(&self) -> Option<StoreError> {
        self.failed.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// A blob from one byte on.
pub(super) struct Sending {
    reader: VerifyReader<BlobReader>,
    digest: larder_store::Digest,
    /// Bytes that the other side has.
    passed_over: u64,
    left: u64,
    /// Read, and not given away yet.
    ahead: Option<Bytes>,
    progress: Arc<Progress>,
}

impl Sending {
    pub(super) fn new(blob: &Blob, from: u64, progress: &Arc<Progress>) -> Sending {
        progress.given.store(from, Ordering::Relaxed);
        Sending {
            reader: blob.verified(),
            digest: blob.digest(),
            passed_over: from,
            left: blob.size().saturating_sub(from),
            ahead: None,
            progress: Arc::clone(progress),
        }
    }

    /// The next bytes; nothing at the end, which is there only where the blob is what it should be.
    fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let mut chunk = BytesMut::zeroed(CHUNK);
            let count = self.reader.read(&mut chunk)?;
            if count == 0 {
                return Ok(None);
            }
            chunk.truncate(count);
            let known = self.passed_over.min(count as u64);
            self.passed_over -= known;
            let fresh = chunk.freeze().slice(known as usize..);
            if !fresh.is_empty() {
                return Ok(Some(fresh));
            }
        }
    }

    fn step(&mut self) -> io::Result<Option<Bytes>> {
        if self.left == 0 {
            return Ok(None);
        }
        let chunk = match self.ahead.take() {
            Some(chunk) => Some(chunk),
            None => self.next()?,
        };
        self.ahead = self.next()?;
        let count = chunk.as_ref().map_or(0, Bytes::len) as u64;
        self.left = self.left.saturating_sub(count);
        self.progress.given.fetch_add(count, Ordering::Relaxed);
        Ok(chunk)
    }
}

impl Body for Sending {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        Poll::Ready(match this.step() {
            Ok(chunk) => chunk.map(|chunk| Ok(Frame::data(chunk))),
            Err(error) => {
                let digest = this.digest;
                let error = from_io(error, |error| StoreError::io("read", format!("blob {digest}"))(error));
                *this.progress.failed.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                Some(Err(io::Error::other("the blob cannot be read")))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
