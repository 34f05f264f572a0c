//! Asking a registry (distribution specification, 1.1).
//!
//! A [`Repository`] is what is known of a repository and of the hosts that have it, mirrors first; a [`Line`] is one thread's
//! connections to them. Both are synchronous: a line has a small runtime of its own, in which nothing happens but while one of
//! its methods runs. Every method ends when a signal comes, and every wait has a timeout. A request is tried again where that
//! may help; what a line learns of who is asking all lines of its repository know.
//!
//! Bodies are bounded: documents by [`larder_store::json::MAX_DOCUMENT`], blobs by the size that was announced.

mod auth;
mod backoff;
mod blob;
mod body;
mod challenge;
mod check;
mod delete;
mod endpoint;
mod failure;
mod manifest;
mod pinned;
mod push;
mod referrers;
mod sending;
mod tags;
mod taken;
#[cfg(test)]
mod tests;
mod upload;
mod whole;
mod wire;
mod words;

use std::cell::RefCell;
use std::future::Future;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use larder_store::Error as StoreError;
use larder_store::cancel::Cancel;
use larder_store::reference::Reference;
use tokio::runtime::Runtime;

use self::backoff::Backoff;
use self::endpoint::{Answer, Ask, Endpoint};
use self::failure::Failure;
use self::wire::Wire;
use super::Registries;
use super::access::{Access, access};
use super::error::Result;

pub(crate) use self::check::{Checked, check};
pub(crate) use self::delete::Deletion;
pub(crate) use self::manifest::Which;
pub(crate) use self::push::Put;
pub(crate) use self::upload::Mounted;
pub(crate) use self::whole::Taking;
pub(crate) use self::wire::Patience;

/// A repository and the hosts that have it.
#[derive(Debug)]
pub(crate) struct Repository {
    /// Mirrors first, the registry itself last.
    endpoints: Vec<Endpoint>,
    /// The registry once more for each repository that blobs may be mounted from: a token has to be good for both.
    mounts: Mutex<Vec<(String, Arc<Endpoint>)>>,
    /// The endpoint that answered last: who has the manifest has its blobs.
    first: AtomicUsize,
    patience: Patience,
    cancel: Cancel,
}

impl Repository {
    /// The repository of a reference. Asks nobody yet.
    pub(crate) fn of(reference: &Reference, registries: &Registries) -> Result<Arc<Repository>> {
        let (host, repository) = (reference.domain(), reference.path());
        let find = |host: &str, repository: &str| {
            access(host, repository, &registries.settings, &registries.environment, &registries.cancel)
        };
        let own = find(host, repository)?;
        let mut endpoints = Vec::new();
        for mirror in &own.mirrors {
            let there = mirror.repository(repository);
            // Without TLS only those are asked that were named with it.
            let plain_http = registries.settings.plain_http.names(&mirror.host);
            let access = Access { plain_http, ..find(&mirror.host, &there)? };
            endpoints.push(Endpoint::new(&mirror.host, there, access));
        }
        endpoints.push(Endpoint::new(host, repository.to_owned(), own));
        Ok(Repository::at(endpoints, registries))
    }

    fn at(endpoints: Vec<Endpoint>, registries: &Registries) -> Arc<Repository> {
        let (patience, cancel) = (registries.patience, registries.cancel.clone());
        let (first, mounts) = (AtomicUsize::new(0), Mutex::default());
        Arc::new(Repository { endpoints, mounts, first, patience, cancel })
    }

    /// How long the other side may take.
    pub(crate) fn patience(&self) -> Patience {
        self.patience
    }

    fn first(&self) -> usize {
        self.first.load(Ordering::Relaxed)
    }

    /// Connections for one thread.
    pub(crate) fn line(self: &Arc<Repository>) -> Result<Line> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StoreError::io("start the runtime for", "a registry"))?;
        let wire = |endpoint: &Endpoint| Wire::new(self.patience, endpoint.is_loopback());
        let wires = self.endpoints.iter().map(wire).collect();
        Ok(Line { repository: Arc::clone(self), wires, runtime, over: RefCell::new(None) })
    }
}

/// One thread's connections to a repository's hosts.
#[derive(Debug)]
pub(crate) struct Line {
    repository: Arc<Repository>,
    /// As the endpoints are.
    wires: Vec<Wire>,
    runtime: Runtime,
    /// Says that nobody wants any more what it is at.
    over: RefCell<Option<Arc<AtomicBool>>>,
}

impl Line {
    /// The registry itself, as people name it.
    pub(crate) fn host(&self) -> &str {
        self.repository.endpoints.last().map_or("", |endpoint| endpoint.host.as_str())
    }

    /// Whether it goes on: no signal came, and it is not over.
    pub(crate) fn check(&self) -> Result<()> {
        self.repository.cancel.check()?;
        match self.over.borrow().as_ref().is_some_and(|over| over.load(Ordering::Relaxed)) {
            true => Err(StoreError::Interrupted.into()),
            false => Ok(()),
        }
    }

    /// From now on all that it does ends as well, as by a signal, when this says that it is over.
    pub(crate) fn until(&self, is_over: Option<&Arc<AtomicBool>>) {
        *self.over.borrow_mut() = is_over.cloned();
    }

    /// The same, when another one is over.
    pub(crate) fn ends_with(&self, other: &Line) {
        self.until(other.over.borrow().as_ref());
    }

    /// Asks one host after the other, each as often as may help; the answer of the first one that has one. The registry's
    /// own error counts, and not that of a mirror.
    fn ask<T>(&self, work: impl AsyncFn(&Endpoint, &Wire) -> Result<T, Failure>) -> Result<T> {
        let last = self.repository.endpoints.len().saturating_sub(1);
        for at in self.repository.first()..last {
            match self.ask_one(at, &work) {
                Err(error) if error.is_stop() => return Err(error),
                Err(_) => {}
                Ok(done) => {
                    self.repository.first.store(at, Ordering::Relaxed);
                    return Ok(done);
                }
            }
        }
        let done = self.ask_one(last, &work)?;
        self.repository.first.store(last, Ordering::Relaxed);
        Ok(done)
    }

    /// Asks the registry itself: a mirror has what it was asked for before, and not all that there is.
    fn ask_registry<T>(&self, work: impl AsyncFn(&Endpoint, &Wire) -> Result<T, Failure>) -> Result<T> {
        self.ask_one(self.repository.endpoints.len().saturating_sub(1), &work)
    }

    fn ask_one<T>(
        &self,
        at: usize,
        work: &impl AsyncFn(&Endpoint, &Wire) -> Result<T, Failure>,
    ) -> Result<T> {
        let (endpoint, wire) = (&self.repository.endpoints[at], &self.wires[at]);
        self.within(async {
            let mut backoff = Backoff::new(&self.repository.patience);
            loop {
                let failure = match work(endpoint, wire).await {
                    Ok(done) => return Ok(done),
                    Err(failure) => failure,
                };
                match backoff.failed(failure.again, dice()) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(failure.exhausted()),
                }
            }
        })?
    }

    /// Asks for a document: the answer with all of its body, or none.
    async fn document(
        &self,
        endpoint: &Endpoint,
        wire: &Wire,
        ask: &Ask,
        cap: u64,
    ) -> Result<(Answer, Vec<u8>), Failure> {
        let patience = self.repository.patience.document;
        let asked = endpoint.asked(ask);
        let whole = async {
            let mut answer = endpoint.once(wire, ask).await?;
            let body = body::read_capped(&mut answer.response, cap, &answer.asked).await?;
            Ok((answer, body))
        };
        tokio::time::timeout(patience, whole).await.unwrap_or_else(|_| Err(asked.timed_out(patience)))
    }

    /// Runs something, unless a signal comes first, or nobody wants it any more.
    fn within<F: Future>(&self, work: F) -> Result<F::Output> {
        let (cancel, over) = (&self.repository.cancel, self.over.borrow().clone());
        let is_over = || over.as_ref().is_some_and(|over| over.load(Ordering::Relaxed));
        self.runtime.block_on(async {
            let raised = async {
                while !cancel.is_raised() && !is_over() {
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            };
            tokio::select! {
                biased;
                done = work => Ok(done),
                () = raised => Err(StoreError::Interrupted.into()),
            }
        })
    }
}

/// In 0..1, another one each time.
fn dice() -> f64 {
    f64::from(RandomState::new().build_hasher().finish() as u32) / f64::from(u32::MAX)
}
