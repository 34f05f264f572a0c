//! Streaming an archive into `POST /images/load`: packed on one thread, sent by another, no temporary file.

use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bollard::models::BuildInfo;
use bollard::query_parameters::ImportImageOptions;
use bytes::Bytes;
use futures_util::stream::{Stream, StreamExt};
use larder_store::Error as StoreError;
use larder_store::archive::package::Package;
use larder_store::archive::write::{Output, Sink, write};
use larder_store::cancel::Cancel;
use larder_store::progress::Watch;
use larder_store::store::Store;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::engine::{Engine, describe, within};
use super::error::{Error, Result};

/// A load takes as long as it takes.
const LOAD_TIMEOUT: Duration = Duration::from_secs(24 * 3600);
/// Pieces (1 MiB at most) between the threads.
const PIECES: usize = 8;
/// The end mark of a tar, bytes: an engine need not read it to have the whole.
const END_MARK: u64 = 1024;

const EARLY: &str = "it answered before it had the whole archive";

/// Sends the archive; an error in the engine's answer is an error, whatever the status says.
pub(super) fn send(
    engine: &Engine,
    store: &Store,
    package: &Package,
    jobs: usize,
    cancel: &Cancel,
    watch: Watch<'_>,
) -> Result<u64> {
    let (pieces, taken) = channel(PIECES);
    let body = Body(Arc::new(Mutex::new(Taken { pieces: taken, bytes: 0 })));
    let shown = PathBuf::from(&engine.host);
    std::thread::scope(|scope| {
        let packing = scope.spawn(|| {
            let mut pipe = Pipe { pieces, sent: 0 };
            let packed = write(
                store,
                package,
                &mut Output { out: Sink::Stream(&mut pipe), shown: &shown, jobs, cancel, watch },
            );
            if packed.is_err() {
                // Ends the request without its end, so that the engine cannot take what it got for the whole.
                let _ = pipe.pieces.blocking_send(Err(io::Error::other("the archive could not be made")));
            }
            packed.map(|()| pipe.sent)
        });
        let loaded = load(engine, body.clone(), cancel);
        // The HTTP client may still hold the body, and would never read it: the packing must not wait for it.
        let taken = body.close();
        let packed =
            packing.join().unwrap_or_else(|_| Err(StoreError::invalid("the archive", "its thread panicked")));
        match (loaded, packed) {
            (Ok(()), Ok(sent)) if taken + END_MARK >= sent => Ok(sent),
            (Ok(()), Ok(_)) => Err(refused(engine, EARLY.into())),
            // An engine that gave up first makes the packing fail as well; what it said is the reason.
            (Err(error), Err(packing)) if is_broken_pipe(&packing) => Err(error),
            (Ok(()), Err(packing)) if is_broken_pipe(&packing) => Err(refused(engine, EARLY.into())),
            (_, Err(packing)) => Err(packing.into()),
            (Err(error), Ok(_)) => Err(error),
        }
    })
}

fn load(engine: &Engine, body: Body, cancel: &Cancel) -> Result<()> {
    let api = engine.api.clone().with_timeout(LOAD_TIMEOUT);
    let work = async {
        let mut answers = api.import_image_stream(ImportImageOptions::default(), body, None);
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|e| describe(&e))?;
            // bollard reads an error from `errorDetail` only, and drops what it does not know: a bare `error` is empty.
            if answer == BuildInfo::default() {
                return Err("it answered with something other than progress; its log may say why".to_owned());
            }
            // The containerd store reports a failed unpack only in its text.
            if let Some(text) = answer.stream.filter(|text| text.contains("Error unpacking")) {
                return Err(text.trim().to_owned());
            }
        }
        Ok(())
    };
    within(&engine.runtime, cancel, work)?.map_err(|why| refused(engine, why))
}

fn refused(engine: &Engine, why: String) -> Error {
    Error::Request { host: engine.host.clone(), what: "load the image".into(), why }
}

fn is_broken_pipe(error: &StoreError) -> bool {
    matches!(error, StoreError::Io { source, .. } if source.kind() == io::ErrorKind::BrokenPipe)
}

/// The packing thread's end: bytes in, pieces out.
struct Pipe {
    pieces: Sender<io::Result<Bytes>>,
    sent: u64,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.pieces
            .blocking_send(Ok(Bytes::copy_from_slice(bytes)))
            .map_err(|_| io::ErrorKind::BrokenPipe)?;
        self.sent += bytes.len() as u64;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The sending thread's end, as the HTTP client wants it; and ours, to close it.
#[derive(Clone)]
struct Body(Arc<Mutex<Taken>>);

/// What is on its way, and what the HTTP client has taken.
struct Taken {
    pieces: Receiver<io::Result<Bytes>>,
    bytes: u64,
}

impl Body {
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever sends finds a broken pipe from now on. Returns the bytes that were taken.
    fn close(&self) -> u64 {
        let mut taken = self.taken();
        taken.pieces.close();
        taken.bytes
    }
}

impl Stream for Body {
    type Item = io::Result<Bytes>;
    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut taken = self.taken();
        let piece = taken.pieces.poll_recv(context);
        if let Poll::Ready(Some(Ok(bytes))) = &piece {
            taken.bytes += bytes.len() as u64;
        }
        piece
    }
}
