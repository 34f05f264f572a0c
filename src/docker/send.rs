//! Streaming an archive into `POST /images/load`: packed on one thread, sent by another, no temporary file.

use std::io::{self, Write};
use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

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

/// Sends the archive; an error in the engine's answer is an error, whatever the status says.
pub(super) fn send(
    engine: &Engine,
    store: &Store,
    package: &Package,
    jobs: usize,
    cancel: &Cancel,
    watch: Watch<'_>,
) -> Result<u64> {
    let (pieces, body) = channel(PIECES);
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
        let loaded = load(engine, body, cancel);
        let packed =
            packing.join().unwrap_or_else(|_| Err(StoreError::invalid("the archive", "its thread panicked")));
        match (loaded, packed) {
            (Ok(()), Ok(sent)) => Ok(sent),
            // An engine that gave up first makes the packing fail as well; what it said is the reason.
            (Err(error), Err(packing)) if is_broken_pipe(&packing) => Err(error),
            (Ok(()), Err(packing)) if is_broken_pipe(&packing) => {
                Err(refused(engine, "it answered before it had the whole archive".into()))
            }
            (_, Err(packing)) => Err(packing.into()),
            (Err(error), Ok(_)) => Err(error),
        }
    })
}

fn load(engine: &Engine, body: Receiver<io::Result<Bytes>>, cancel: &Cancel) -> Result<()> {
    let api = engine.api.clone().with_timeout(LOAD_TIMEOUT);
    let work = async {
        let mut answers = api.import_image_stream(ImportImageOptions::default(), Body(body), None);
        while let Some(answer) = answers.next().await {
            let answer = answer.map_err(|e| describe(&e))?;
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

/// The sending thread's end, as the HTTP client wants it.
struct Body(Receiver<io::Result<Bytes>>);

impl Stream for Body {
    type Item = io::Result<Bytes>;
    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.poll_recv(context)
    }
}
