//! Blobs on their way into a registry (distribution specification, "Pushing blobs").
//!
//! A session is begun, and the blob follows in one request. Where that breaks, the registry is asked what it has of it, and the
//! rest follows; one that does not keep what came of a broken request gets all of it again.

use std::sync::Arc;

use larder_store::Digest;
use larder_store::blob::Blob;
use reqwest::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, LOCATION, RANGE};
use reqwest::{Body, Method, StatusCode, Url};
use tokio::time::{Duration, Instant, sleep};

use super::super::error::{Error, Kind, Result};
use super::backoff::{Again, Backoff};
use super::blob::{PROGRESS, Watch};
use super::endpoint::{Answer, Ask, Endpoint};
use super::failure::Failure;
use super::manifest::PAGE_HINT;
use super::push::{refused, untrue};
use super::sending::{Progress, Sending};
use super::taken::{self, Said};
use super::wire::Wire;
use super::{Line, dice};

/// How long a registry may take to put a blob where it belongs once it has all of it: some copy it, or read it again.
const SETTLE: Duration = Duration::from_secs(900);
/// How often progress is looked at.
const TICK: Duration = Duration::from_millis(50);

/// An upload that a registry has begun, and of which it has so many bytes.
#[derive(Debug)]
pub(crate) struct Session {
    at: Url,
    from: u64,
}

/// What a registry did about a blob that it may have elsewhere.
#[derive(Debug)]
pub(crate) enum Mounted {
    /// It is there now.
    Yes,
    /// It is not; most have begun an upload instead.
    No(Option<Session>),
}

/// An upload that broke.
struct Broken {
    failure: Failure,
    session: Option<Session>,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Broken {
        Broken { failure, session: None }
    }
}

impl Line {
    /// Whether the repository has a blob. One with another size than it is said to have is refused.
    pub(crate) fn has_blob(&self, digest: &Digest, size: u64) -> Result<bool> {
        self.ask(async |endpoint, wire| self.blob_is_there(endpoint, wire, digest, size).await)
    }

    async fn blob_is_there(
        &self,
        endpoint: &Endpoint,
        wire: &Wire,
        digest: &Digest,
        size: u64,
    ) -> Result<bool, Failure> {
        let ask = Ask::new(Method::HEAD, format!("blobs/{digest}"));
        match self.short(endpoint, wire, &ask).await {
            Ok(answer) => {
                if answer.asked.side == endpoint.host {
                    taken::check_page(&answer)?;
                }
                taken::check_size(&answer, size)?;
                taken::check_digest(&answer, "blob", digest).map(|_| true)
            }
            // Who does not know HEAD is sent the blob.
            Err(failure) if failure.is_absent() || failure.is_not_allowed() => Ok(false),
            Err(failure) => Err(refused(failure, endpoint)),
        }
    }

    /// Asks for a blob of another repository of the same registry, one of those that [`super::Repository::mount_from`] was
    /// told of. That is asked once: a registry that has no such blob there, or does not give it, is no failure.
    pub(crate) fn mount(&self, digest: &Digest, from: &str) -> Result<Mounted> {
        let (Some(endpoint), Some(wire)) = (self.repository.mount_at(from), self.wires.last()) else {
            return Ok(Mounted::No(None));
        };
        let path = format!("blobs/uploads/?mount={digest}&from={from}");
        let ask = Ask::new(Method::POST, path).header(CONTENT_LENGTH, "0");
        let answer = self.within(self.short(&endpoint, wire, &ask))?;
        Ok(match answer {
            Ok(answer) if answer.response.status() == StatusCode::CREATED => {
                // It may be about another one, whatever it means by that.
                match taken::check_digest(&answer, "blob", digest) {
                    Ok(_) => Mounted::Yes,
                    Err(_) => Mounted::No(None),
                }
            }
            Ok(answer) => Mounted::No(session(&answer).ok()),
            Err(_) => Mounted::No(None),
        })
    }

    /// Sends a blob, in the session that was begun where one was. It is verified on the way; `watch` is told of every byte
    /// once, however often it has to be sent.
    pub(crate) fn upload(&self, blob: &Blob, begun: Option<Session>, watch: Watch<'_>) -> Result<()> {
        let (Some(endpoint), Some(wire)) = (self.repository.endpoints.last(), self.wires.last()) else {
            return Ok(());
        };
        self.within(async {
            let (mut session, mut told, mut backoff) = (begun, 0, Backoff::new(&self.repository.patience));
            let (mut may_be_stale, mut most) = (session.is_some(), 0);
            loop {
                let sent = self.upload_once(endpoint, wire, blob, session.take(), &mut told, watch).await;
                let Err(Broken { failure, session: broken }) = sent else { return Ok(()) };
                if std::mem::take(&mut may_be_stale) && failure.is_absent() {
                    // The blob took long to come here, and the registry has forgotten what it began.
                    continue;
                }
                let Some(wait) = backoff.failed(failure.again, dice()) else {
                    return Err(failure.exhausted());
                };
                sleep(wait).await;
                // The answer may be all that was lost.
                if matches!(self.blob_is_there(endpoint, wire, &blob.digest(), blob.size()).await, Ok(true)) {
                    return Ok(());
                }
                session = match broken {
                    Some(broken) => self.resumed(endpoint, wire, broken, blob.size()).await,
                    None => None,
                };
                // Counted from the most that it ever had: it may lose what it had and get it again for ever.
                if let Some(session) = session.as_ref().filter(|session| session.from >= most + PROGRESS) {
                    most = session.from;
                    backoff.brought();
                }
            }
        })?
    }

    /// Sends a blob, or what is left of it, once.
    async fn upload_once(
        &self,
        endpoint: &Endpoint,
        wire: &Wire,
        blob: &Blob,
        session: Option<Session>,
        told: &mut u64,
        watch: Watch<'_>,
    ) -> Result<(), Broken> {
        let Session { at, from } = match session {
            Some(session) => session,
            None => self.begin(endpoint, wire).await?,
        };
        let progress = Arc::new(Progress::default());
        let ask = put(blob, &at, from, &progress);
        let mut tell = |progress: &Progress| {
            let more = progress.given().saturating_sub(*told);
            *told += more;
            watch(more)
        };
        let mut answer = std::pin::pin!(endpoint.once(wire, &ask));
        let mut last = (Instant::now(), from);
        let answer = loop {
            tokio::select! {
                answer = &mut answer => break answer,
                () = sleep(TICK) => {
                    let given = progress.given();
                    if given != last.1 {
                        last = (Instant::now(), given);
                    }
                    tell(&progress);
                    let limit = if given >= blob.size() { SETTLE } else { self.repository.patience.window };
                    if last.0.elapsed() > limit {
                        break Err(endpoint.asked(&ask).timed_out(limit));
                    }
                }
            }
        };
        let failure = match answer {
            Ok(answer) => {
                if taken::read(&answer, "blob", &blob.digest())? == Said::Anything {
                    match self.blob_is_there(endpoint, wire, &blob.digest(), blob.size()).await {
                        Ok(true) => {}
                        Ok(false) => {
                            let why = format!("{}, and it does not have it then", answer.response.status());
                            return Err(answer.asked.failed(Kind::Failed, why, PAGE_HINT).into());
                        }
                        Err(failure) => return Err(untrue(&answer, failure).into()),
                    }
                }
                tell(&progress);
                return Ok(());
            }
            Err(failure) => failure,
        };
        if let Some(damage) = progress.failure() {
            return Err(Failure::of(Error::Store(damage)).into());
        }
        // What a registry says about a session that goes on may be about the session alone.
        let is_final =
            failure.again == Again::Never && (from == 0 || failure.error.kind() == Some(Kind::Denied));
        Err(match failure.again {
            Again::Never if is_final => refused(failure, endpoint).into(),
            Again::Never => failure.again(Again::Soon).into(),
            _ => Broken { failure, session: Some(Session { at, from }) },
        })
    }

    async fn begin(&self, endpoint: &Endpoint, wire: &Wire) -> Result<Session, Failure> {
        let ask = Ask::new(Method::POST, "blobs/uploads/".into()).header(CONTENT_LENGTH, "0");
        let answer = self.short(endpoint, wire, &ask).await.map_err(|failure| refused(failure, endpoint))?;
        session(&answer)
    }

    /// Where a broken upload goes on; `None` where it has to begin anew.
    async fn resumed(&self, endpoint: &Endpoint, wire: &Wire, broken: Session, size: u64) -> Option<Session> {
        let ask = Ask::new(Method::GET, "blobs/uploads/".into()).at(broken.at.clone());
        let answer = self.short(endpoint, wire, &ask).await.ok()?;
        let range = answer.response.headers().get(RANGE)?.to_str().ok()?;
        let from = received(range).filter(|from| *from <= size)?;
        let at = session(&answer).map_or(broken.at, |session| session.at);
        Some(Session { at, from })
    }
}

fn put(blob: &Blob, at: &Url, from: u64, progress: &Arc<Progress>) -> Ask {
    let mut url = at.clone();
    url.query_pairs_mut().append_pair("digest", &blob.digest().to_string());
    let left = blob.size().saturating_sub(from);
    let mut ask = Ask::new(Method::PUT, "blobs/uploads/".into())
        .at(url)
        .header(CONTENT_TYPE, "application/octet-stream")
        .header(CONTENT_LENGTH, &left.to_string());
    if from > 0 && left > 0 {
        ask = ask.header(CONTENT_RANGE, &format!("{from}-{}", blob.size() - 1));
    }
    let (blob, progress) = (blob.clone(), Arc::clone(progress));
    ask.carrying(move || Body::wrap(Sending::new(&blob, from, &progress)))
}

/// Where an upload goes, as an answer says it: an address, or a path on the host that was asked.
fn session(answer: &Answer) -> Result<Session, Failure> {
    taken::check_begun(answer)?;
    let to = answer.response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
    let at = to.and_then(|to| answer.response.url().join(to).ok()).filter(|at| at.host_str().is_some());
    let why = || format!("{}, and it does not say where the blob goes (Location)", answer.response.status());
    at.map(|at| Session { at, from: 0 }).ok_or_else(|| answer.asked.failed(Kind::Failed, why(), ""))
}

/// How many bytes have arrived, of `0-99` or `bytes=0-99`. A registry without any says `0-0`, which one byte is as well: that
/// one is sent again.
fn received(range: &str) -> Option<u64> {
    let (first, last) = range.trim().trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.parse().ok()?;
    (first == "0").then_some(if last == 0 { 0 } else { last.checked_add(1)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_arrived_is_read() {
        for (text, expected) in [
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("0-0", Some(0)),
            ("5-99", None),
            ("0-18446744073709551615", None),
            ("0-", None),
            ("", None),
        ] {
            assert_eq!(received(text), expected, "{text}");
        }
    }
}
