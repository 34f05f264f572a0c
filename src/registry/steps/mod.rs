//! Steps of builds by a registry: what one host has done another one need not do.
//!
//! A record for each step, under a tag of its own: `step-<key>`. It says which layer the step came to, and what that unpacks to.
//! Nothing of it is believed but that this is what the step came to: the layer has its digest, and is unpacked once to see its diff
//! ID, before it is used. Whether that is what the step would have come to here nobody can see: whoever can write to the repository
//! decides it.

mod record;
#[cfg(test)]
mod tests;

use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::io::Write;

use larder_store::Store;
use larder_store::blob::{Ingest, Staged};
use larder_store::cancel::Cancel;
use larder_store::codec::measure;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::elsewhere;
use larder_store::error::Error as StoreError;
use larder_store::layers::LayerFacts;
use larder_store::reference::Reference;

use super::Registries;
use super::client::{Line, Repository, Taking};
use super::error::{Error, Kind, Result};
use super::lines::Lines;
use super::push::send::{Stock, send};
use super::push::sources::sources;

pub(crate) use self::record::Step;
use self::record::{EMPTY, empty};

/// Blobs that are sent at a time.
const JOBS: usize = 8;

/// A repository that has steps.
pub(crate) struct StepCache {
    /// Without a tag.
    repository: Reference,
    registries: Registries,
    line: OnceCell<Line>,
    /// Whether it said no: then it is not asked again. That its host does not answer the whole run knows.
    refused: Cell<bool>,
}

impl std::fmt::Debug for StepCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "StepCache({})", self.name())
    }
}

/// A step that was done by a build, or was known to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) key: Digest,
    pub(crate) layer: LayerFacts,
    /// Seconds since 1970.
    pub(crate) created: i64,
    /// Whether it was done just now: then this is what it comes to, whatever was known before.
    pub(crate) is_new: bool,
}

/// What went there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shared {
    /// Records that were put there.
    pub(crate) steps: usize,
    /// Bytes of layers that were sent.
    pub(crate) bytes: u64,
}

impl StepCache {
    /// Asks nobody yet.
    pub(crate) fn new(repository: Reference, registries: Registries) -> StepCache {
        StepCache { repository, registries, line: OnceCell::new(), refused: Cell::new(false) }
    }

    /// `HOST/REPOSITORY`, for messages.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.repository.domain(), self.repository.path())
    }

    /// What records of its steps are known by in a store.
    pub(crate) fn id(&self) -> Digest {
        Digest::of(self.name().as_bytes())
    }

    /// What a step came to elsewhere, in one request; `None` where nobody knows, or where it failed before.
    pub(crate) fn find(&self, key: &Digest) -> Result<Option<Step>> {
        if self.is_given_up() {
            return Ok(None);
        }
        self.judged(self.ask(key))
    }

    fn ask(&self, key: &Digest) -> Result<Option<Step>> {
        let raw = self.line()?.manifest_if_there(&record::tag(key))?;
        // What stands there and is no record of this step may be anybody's.
        Ok(raw.and_then(|raw| Step::read(&raw, key)))
    }

    /// Fetches the layer of a step, and sees that it is what the record says of it.
    pub(crate) fn fetch(
        &self,
        step: &Step,
        ingest: &Ingest,
        cancel: &Cancel,
    ) -> Result<(Staged, LayerFacts)> {
        self.judged(self.layer(step, ingest, cancel))
    }

    fn layer(&self, step: &Step, ingest: &Ingest, cancel: &Cancel) -> Result<(Staged, LayerFacts)> {
        let Step { layer, compression, diff_id, .. } = step;
        let line = self.line()?;
        let anew = || ingest.writer();
        let taking = Taking { anew: &anew, watch: &|_| {}, passed_over: &|_, _| {} };
        let staged = line.blob(layer, anew()?, &taking)?;
        let plain = measure(&staged.open()?, *compression, cancel)?;
        if plain.diff_id != *diff_id {
            let why = format!("unpacks to {} and not to {diff_id}", plain.diff_id);
            return Err(line.disproved(layer, &format!("layer {}: {why}", layer.digest)));
        }
        let facts = LayerFacts {
            blob: layer.digest,
            size: layer.size,
            compression: *compression,
            diff_id: *diff_id,
            plain_size: plain.size,
            seekable: false,
        };
        Ok((staged, facts))
    }

    fn line(&self) -> Result<&Line> {
        if let Some(line) = self.line.get() {
            return Ok(line);
        }
        let line = Repository::of(&self.repository, &self.registries)?.line()?;
        Ok(self.line.get_or_init(|| line))
    }

    /// Whether it is not asked any more by this run: it, or its host, failed before.
    pub(crate) fn is_given_up(&self) -> bool {
        self.refused.get() || self.registries.given_up.has(self.repository.domain())
    }

    /// Remembers a failure that will come again.
    fn judged<T>(&self, done: Result<T>) -> Result<T> {
        if let Err(error) = &done {
            match error.kind() {
                Some(Kind::NoSuchImage | Kind::Absent | Kind::Damaged) => {}
                Some(Kind::Failed | Kind::Unanswered) => {
                    self.registries.given_up.note(self.repository.domain());
                }
                Some(Kind::Denied) => self.refused.set(true),
                None if matches!(error, Error::Access(_)) => self.refused.set(true),
                None => {}
            }
        }
        done
    }

    /// Brings steps there; those that are there already are not sent again.
    pub(crate) fn share(&self, store: &Store, steps: &[Known], cancel: &Cancel) -> Result<Shared> {
        if steps.is_empty() || self.is_given_up() {
            return Ok(Shared::default());
        }
        self.judged(self.bring(store, steps, cancel))
    }

    fn bring(&self, store: &Store, steps: &[Known], cancel: &Cancel) -> Result<Shared> {
        let mut shared = Shared::default();
        let repository = Repository::for_push(&self.repository, &self.registries)?;
        let line = repository.line()?;
        // What goes stays here until it has gone.
        let mut tx = store.begin("build --cache-to")?;
        let wanted: Vec<_> = steps.iter().map(|step| (step.layer.blob, step.layer.size)).collect();
        let there = tx.reuse(&wanted)?;
        let mut lacking = Vec::new();
        for step in steps.iter().filter(|step| there.contains(&step.layer.blob)) {
            cancel.check()?;
            if step.is_new || line.manifest_there(&record::tag(&step.key))?.is_none() {
                lacking.push(step);
            }
        }
        if lacking.is_empty() {
            return Ok(shared);
        }
        let mut writer = tx.writer()?;
        writer.write_all(EMPTY).map_err(StoreError::io("write", store.path()))?;
        let nothing = writer.finish()?;
        let made = HashMap::from([(nothing.digest(), nothing.open()?)]);
        let mut blobs: Vec<Descriptor> = lacking.iter().map(|step| step.layer.descriptor()).collect();
        blobs.push(empty());
        blobs.sort_by_key(|blob| blob.digest);
        blobs.dedup_by_key(|blob| blob.digest);
        let blobs: Vec<_> = blobs.iter().collect();
        let elsewhere = sources(store, &self.repository, &blobs, &[]);
        let mut names: Vec<_> = elsewhere.values().cloned().collect();
        names.sort();
        names.dedup();
        repository.mount_from(&names);
        let stock = Stock { store, supply: None, made: &made, elsewhere: &elsewhere, watch: &|_| {}, cancel };
        let (done, outcome) = send(&Lines::to(&repository), &line, &blobs, JOBS, stock);
        let sent = done.iter().filter(|(_, came)| came.was_sent()).map(|(blob, _)| blob.size);
        shared.bytes = sent.fold(0, u64::saturating_add);
        // Lost, it costs some bytes the next time.
        let at: Vec<_> = done.iter().map(|(blob, _)| blob.digest).collect();
        let _ = elsewhere::note(store, &self.name(), &at);
        outcome?;
        for step in lacking {
            line.put_manifest(&Step::of(step).write(&step.key)?, &record::tag(&step.key))?;
            shared.steps += 1;
        }
        Ok(shared)
    }
}
