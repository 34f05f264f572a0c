//! What only pushing asks for: a registry without its mirrors, tokens that are good for writing, manifests that are put there.

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use larder_store::Digest;
use larder_store::manifest::RawManifest;
use larder_store::reference::Reference;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};
use reqwest::{Body, Method};
use tokio::time::timeout;

use super::super::Registries;
use super::super::access::access;
use super::super::error::{Error, Kind, Result};
use super::backoff::Again;
use super::endpoint::{Answer, Ask, Endpoint};
use super::failure::Failure;
use super::manifest::{PAGE_HINT, Which, accepting, digest_of, media_type_of};
use super::taken::{self, Said};
use super::wire::{Patience, Wire};
use super::{Line, Repository};

/// Repositories that blobs are mounted from: each has a token of its own.
const MOST_MOUNTS: usize = 64;

/// What a registry says of the manifest that it got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// It is there.
    There,
    /// It is there, and the registry lists it among those that refer to its subject.
    Listed,
}

impl Repository {
    /// A repository to push to. Nobody but the registry itself is asked.
    pub(crate) fn for_push(reference: &Reference, registries: &Registries) -> Result<Arc<Repository>> {
        Repository::alone(reference, registries, write(reference.path()))
    }

    /// A repository without its mirrors, with a token that is good for this.
    pub(super) fn alone(
        reference: &Reference,
        registries: &Registries,
        scope: String,
    ) -> Result<Arc<Repository>> {
        let (host, repository) = (reference.domain(), reference.path());
        let Registries { settings, environment, cancel, .. } = registries;
        let own = access(host, repository, settings, environment, cancel)?;
        let endpoint = Endpoint::new(host, repository.to_owned(), own);
        Ok(Arc::new(Repository {
            endpoints: vec![endpoint.for_scopes(vec![scope])],
            mounts: Mutex::default(),
            first: AtomicUsize::new(0),
            // While a blob is sent the registry has nothing to say; how long it may take is counted there.
            patience: Patience { silence: Duration::from_secs(24 * 3600), ..registries.patience },
            cancel: cancel.clone(),
        }))
    }

    /// Says which repositories of the same registry blobs may be mounted from, beside those that it knows. Of too many the rest is
    /// passed over.
    pub(crate) fn mount_from(&self, sources: &[String]) {
        let Some(own) = self.endpoints.last() else { return };
        let mut mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        for source in sources {
            if mounts.len() >= MOST_MOUNTS || mounts.iter().any(|(known, _)| known == source) {
                continue;
            }
            let scopes = vec![write(&own.repository), format!("repository:{source}:pull")];
            mounts.push((source.clone(), Arc::new(own.beside(scopes))));
        }
    }

    /// The registry, as it is asked for a blob of this repository.
    pub(super) fn mount_at(&self, source: &str) -> Option<Arc<Endpoint>> {
        let mounts = self.mounts.lock().unwrap_or_else(PoisonError::into_inner);
        mounts.iter().find(|(known, _)| known == source).map(|(_, endpoint)| Arc::clone(endpoint))
    }
}

fn write(repository: &str) -> String {
    format!("repository:{repository}:pull,push")
}

impl Line {
    /// What a manifest is at the registry; `None` where there is none.
    pub(crate) fn manifest_there(&self, which: &Which) -> Result<Option<Digest>> {
        self.ask(async |endpoint, wire| self.manifest_at(endpoint, wire, which).await)
    }

    async fn manifest_at(
        &self,
        endpoint: &Endpoint,
        wire: &Wire,
        which: &Which,
    ) -> Result<Option<Digest>, Failure> {
        let ask = accepting(Method::HEAD, which);
        let known = match self.short(endpoint, wire, &ask).await {
            Ok(answer) => {
                let headers = answer.response.headers();
                // What answers to everything must not pass for a registry that has everything.
                media_type_of(headers, &answer.asked)?;
                if let Which::Digest(digest) = which {
                    taken::check_digest(&answer, "manifest", digest)?;
                }
                digest_of(headers, &answer.asked)?
            }
            Err(failure) if failure.is_absent() || failure.is_not_allowed() => return Ok(None),
            Err(failure) => return Err(refused(failure, endpoint)),
        };
        Ok(match which {
            // It is what it was asked for by, whatever algorithm the registry has for itself.
            Which::Digest(digest) => Some(*digest),
            Which::Tag(_) => known,
        })
    }

    /// Puts a manifest there, byte for byte.
    pub(crate) fn put_manifest(&self, raw: &RawManifest, which: &Which) -> Result<Put> {
        self.ask(async |endpoint, wire| {
            let bytes = bytes::Bytes::from(raw.bytes.clone());
            let ask = Ask::new(Method::PUT, which.path())
                .header(CONTENT_TYPE, &raw.media_type)
                .header(CONTENT_LENGTH, &bytes.len().to_string())
                .carrying(move || Body::from(bytes.clone()));
            let answer = match self.short(endpoint, wire, &ask).await {
                Ok(answer) => answer,
                Err(failure) if self.is_there_anyway(endpoint, wire, raw, which, &failure).await => {
                    return Ok(Put::There);
                }
                Err(failure) if is_race(&failure) => return Err(failure.again(Again::Soon)),
                Err(failure) => return Err(refused(failure, endpoint)),
            };
            if taken::read(&answer, "manifest", &raw.digest)? == Said::Anything {
                let by_digest = accepting(Method::HEAD, &Which::Digest(raw.digest));
                let there = self.short(endpoint, wire, &by_digest).await;
                let is_manifest = |there: Answer| media_type_of(there.response.headers(), &there.asked);
                there.and_then(is_manifest).map_err(|failure| untrue(&answer, failure))?;
            }
            let headers = answer.response.headers();
            Ok(if headers.contains_key("oci-subject") { Put::Listed } else { Put::There })
        })
    }

    /// Whether a manifest is there though putting it failed: the answer was lost, or somebody else has put the same. Who lists what
    /// refers to something is told by the answer alone.
    async fn is_there_anyway(
        &self,
        endpoint: &Endpoint,
        wire: &Wire,
        raw: &RawManifest,
        which: &Which,
        failure: &Failure,
    ) -> bool {
        failure.error.kind() == Some(Kind::Failed)
            && raw.subject().is_none()
            && matches!(self.manifest_at(endpoint, wire, which).await, Ok(Some(there)) if there == raw.digest)
    }

    /// Asks for what has no body, or for its beginning.
    pub(super) async fn short(&self, endpoint: &Endpoint, wire: &Wire, ask: &Ask) -> Result<Answer, Failure> {
        let patience = self.repository.patience.document;
        let answer = timeout(patience, endpoint.once(wire, ask)).await;
        answer.unwrap_or_else(|_| Err(endpoint.asked(ask).timed_out(patience)))
    }
}

/// Whether a registry may have read what another one was writing at that moment: Docker's says then that the digest is wrong.
fn is_race(failure: &Failure) -> bool {
    match &failure.error {
        Error::Request(failed) => failed.why.starts_with("400") && failed.why.contains("digest"),
        _ => false,
    }
}

/// A registry that has said that it took something does not have it.
pub(super) fn untrue(answer: &Answer, failure: Failure) -> Failure {
    let status = answer.response.status();
    let why = format!("{status}, and it does not have it then ({})", failure.error);
    answer.asked.failed(Kind::Failed, why, PAGE_HINT)
}

/// Says of a push that was refused what may be done.
pub(super) fn refused(mut failure: Failure, endpoint: &Endpoint) -> Failure {
    let Error::Request(failed) = &mut failure.error else { return failure };
    let hint = match failed.kind {
        Kind::Denied => match &endpoint.access.credentials_from {
            Some(from) => {
                format!(
                    "may the user of {from} write there? `larder login {}` stores other credentials",
                    endpoint.host
                )
            }
            None => {
                format!("there are no credentials for it here; `larder login {}` stores some", endpoint.host)
            }
        },
        Kind::Absent => {
            failed.kind = Kind::Failed;
            "some registries want a repository, or the project that it is in, to be made before".into()
        }
        _ if failed.why.starts_with("413") => {
            "the registry, or what stands before it, takes nothing this large: its limit has to be raised"
                .into()
        }
        _ => return failure,
    };
    if failed.hint.is_empty() || failed.kind == Kind::Failed {
        failed.hint = hint;
    }
    failure
}
