//! Blobs, streamed to where they are written; a transfer that breaks goes on where it stopped.

use std::io::Write;

use larder_store::Error as StoreError;
use larder_store::blob::BlobWriter;
use larder_store::descriptor::Descriptor;
use reqwest::header::{CONTENT_RANGE, RANGE};
use reqwest::{Method, Response, StatusCode};
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::super::error::{Error, Kind, Result};
use super::backoff::{Again, Backoff};
use super::endpoint::{Answer, Ask, Endpoint};
use super::failure::{Asked, Failure};
use super::wire::{Patience, Wire};
use super::{Line, dice};

/// A try that brought so many bytes is none of those that fail in a row.
pub(super) const PROGRESS: u64 = 64 << 10;

/// Told of so many more bytes.
pub(crate) type Watch<'a> = &'a dyn Fn(u64);

impl Line {
    /// Fetches what a writer lacks of a blob from one of the hosts. Its digest is for the writer to check. Where this fails,
    /// what came is in the writer, and another call goes on with it.
    pub(super) fn blob_from(
        &self,
        at: usize,
        blob: &Descriptor,
        writer: &mut BlobWriter,
        watch: Watch<'_>,
    ) -> Result<()> {
        let (endpoint, wire) = (&self.repository.endpoints[at], &self.wires[at]);
        self.within(async {
            let mut backoff = Backoff::new(&self.repository.patience);
            while writer.size() < blob.size {
                let had = writer.size();
                let Err(failure) = self.blob_once(endpoint, wire, blob, writer, watch).await else {
                    continue;
                };
                if failure.again == Again::Soon && writer.size() - had >= PROGRESS {
                    backoff.brought();
                    continue;
                }
                match backoff.failed(failure.again, dice()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(failure.exhausted()),
                }
            }
            Ok(())
        })?
    }

    async fn blob_once(
        &self,
        endpoint: &Endpoint,
        wire: &Wire,
        blob: &Descriptor,
        writer: &mut BlobWriter,
        watch: Watch<'_>,
    ) -> Result<(), Failure> {
        let patience = self.repository.patience;
        let have = writer.size();
        let mut ask = Ask::new(Method::GET, format!("blobs/{}", blob.digest));
        if have > 0 {
            ask = ask.header(RANGE, &format!("bytes={have}-"));
        }
        let whole = Ask::new(Method::GET, format!("blobs/{}", blob.digest));
        let once = async {
            match endpoint.once(wire, &ask).await {
                // What there is of it is not to be had from here on.
                Err(failure) if have > 0 && failure.is_no_range() => endpoint.once(wire, &whole).await,
                answer => answer,
            }
        };
        let answer = timeout(patience.document, once).await;
        let answer = answer.unwrap_or_else(|_| Err(endpoint.asked(&ask).timed_out(patience.document)));
        let Answer { mut response, asked } = answer?;
        // Who does not know ranges sends all of it again.
        let mut passed_over = beginning(&response, blob, have, &asked)?;
        let mut window = (Instant::now() + patience.window, 0);
        while writer.size() < blob.size {
            let chunk = timeout_at(window.0, response.chunk()).await;
            let chunk = chunk.map_err(|_| asked.timed_out(patience.window))?;
            let Some(chunk) = chunk.map_err(|error| asked.broken(&error))? else {
                let why = format!("its answer ends after {} of {} bytes", writer.size(), blob.size);
                let hint = "run it again: it goes on where it stopped";
                return Err(asked.failed(Kind::Failed, why, hint).again(Again::Soon));
            };
            window.1 += chunk.len() as u64;
            if window.1 >= Patience::WINDOW {
                window = (Instant::now() + patience.window, 0);
            }
            let known = passed_over.min(chunk.len() as u64);
            passed_over -= known;
            let chunk = &chunk[known as usize..];
            if chunk.len() as u64 > blob.size - writer.size() {
                return Err(too_long(blob, &asked));
            }
            let written = writer.write_all(chunk);
            written.map_err(|error| stop(StoreError::io("write", format!("blob {}", blob.digest))(error)))?;
            watch(chunk.len() as u64);
        }
        // The connection can be used again once the end was read; who has more to say is not to be believed.
        match timeout(Duration::from_secs(1), response.chunk()).await {
            Ok(Ok(Some(more))) if !more.is_empty() => Err(too_long(blob, &asked)),
            _ => Ok(()),
        }
    }

    /// What came from one of the hosts is not what it was asked for by.
    pub(super) fn wrong(&self, at: usize, blob: &Descriptor, why: &str) -> Error {
        let endpoint = &self.repository.endpoints[at];
        let asked = endpoint.asked(&Ask::new(Method::GET, format!("blobs/{}", blob.digest)));
        asked.damaged(why).error
    }

    /// Fetches a small blob into memory. It has the digest that it was asked for by.
    pub(crate) fn small_blob(&self, blob: &Descriptor) -> Result<Vec<u8>> {
        self.ask(async |endpoint, wire| {
            let ask = Ask::new(Method::GET, format!("blobs/{}", blob.digest));
            let (answer, bytes) =
                self.document(endpoint, wire, &ask, larder_store::json::MAX_DOCUMENT).await?;
            let got = larder_store::Digest::of(&bytes);
            if got == blob.digest {
                return Ok(bytes);
            }
            Err(answer.asked.damaged(format!("digest mismatch: asked for {}, got {got}", blob.digest)))
        })
    }
}

/// How many bytes of an answer are there already; refuses an answer that is not about this blob as it was announced.
fn beginning(response: &Response, blob: &Descriptor, have: u64, asked: &Asked) -> Result<u64, Failure> {
    let size = blob.size;
    let other = |got: u64| asked.damaged(format!("has {got} bytes of it where {size} were announced"));
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return match response.content_length() {
            Some(length) if length != size => Err(other(length)),
            _ => Ok(have),
        };
    }
    let range =
        response.headers().get(CONTENT_RANGE).and_then(|range| range.to_str().ok()).unwrap_or_default();
    let (start, total) = content_range(range)
        .ok_or_else(|| asked.damaged("sends a part, and does not say which (Content-Range)"))?;
    match total {
        _ if start != have => {
            Err(asked.damaged(format!("sends from byte {start} where {have} was asked for")))
        }
        Some(total) if total != size => Err(other(total)),
        _ => Ok(0),
    }
}

/// The first byte, and how many there are in all, of `bytes 5-9/10`.
fn content_range(text: &str) -> Option<(u64, Option<u64>)> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (start, _) = range.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((start.trim().parse().ok()?, total))
}

fn too_long(blob: &Descriptor, asked: &Asked) -> Failure {
    asked.damaged(format!("sends more than the {} bytes that were announced", blob.size))
}

/// Ends it, whatever another try would bring.
fn stop(error: StoreError) -> Failure {
    Failure::of(Error::Store(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read() {
        for (text, expected) in [
            ("bytes 5-9/10", Some((5, Some(10)))),
            ("bytes 0-0/*", Some((0, None))),
            ("bytes */10", None),
            ("bytes 5-9", None),
            ("items 5-9/10", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }
}
