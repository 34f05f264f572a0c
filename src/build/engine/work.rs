//! A build while it goes on.

use std::collections::{BTreeMap, BTreeSet};

use larder_store::cancel::Cancel;
use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::index;
use larder_store::lease::Lease;
use larder_store::snapshots::Snapshots;
use larder_store::steps::{StepRecord, Steps};
use larder_store::store::Store;
use larder_store::transaction::Transaction;

use super::base::{self, BaseImage};
use super::elsewhere::makes_files;
use super::error::{Error, Result};
use super::files::Files;
use super::key::{Depends, key};
use super::stage::Stage;
use super::{Built, Fetch, Header, Observer, Request, image};
use crate::build::args::Given;
use crate::build::copy::Context;
use crate::build::dockerfile::Step;
use crate::build::history;
use crate::build::plan::{Base, Origin, Plan, Planned};
use crate::build::problem::Problem;
use crate::build::run::{self, Runner};
use crate::registry::steps::{Known, StepCache};

pub(super) struct Work<'a, 's> {
    pub(super) store: &'s Store,
    pub(super) request: &'a Request<'a>,
    pub(super) plan: &'a Plan,
    pub(super) given: &'a Given,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) cancel: &'a Cancel,
    pub(super) tx: Transaction<'s>,
    /// Protects snapshots.
    pub(super) lease: Lease,
    pub(super) snapshots: &'a Snapshots<'s>,
    pub(super) steps: &'a Steps<'s>,
    pub(super) runner: Option<Runner>,
    /// Whether directories can be stacked here, as far as is known.
    pub(super) can_stack: bool,
    /// The files of the context, where anything reads them.
    pub(super) context: Option<Context>,
    /// Images by name and platform.
    images: BTreeMap<(String, Option<String>), BaseImage>,
    /// Those that are done, by number.
    pub(super) stages: BTreeMap<usize, Stage>,
    /// What was said already.
    told: BTreeSet<String>,
    number: usize,
    pub(super) count: usize,
    /// Steps that were done, and that were known.
    did: (usize, usize),
    /// For the cache of other hosts.
    known: Vec<Known>,
}

/// Where a step stands.
#[derive(Debug, Clone)]
pub(super) struct At {
    pub(super) place: String,
    pub(super) text: String,
}

impl At {
    /// What went wrong here.
    pub(super) fn failed(&self) -> impl Fn(StoreError) -> Error + '_ {
        |source| Error::Step { place: self.place.clone(), text: self.text.clone(), source }
    }
}

impl<'a, 's> Work<'a, 's> {
    /// Prepares it: all images that are named are there, and all else that is needed.
    pub(super) fn begin(
        store: &'s Store,
        request: &'a Request<'a>,
        plan: &'a Plan,
        given: &'a Given,
        (snapshots, steps): (&'a Snapshots<'s>, &'a Steps<'s>),
        observer: &'a mut dyn Observer,
        cancel: &'a Cancel,
    ) -> Result<Work<'a, 's>> {
        store.layout().private().ensure_dir("building")?;
        // Whether it is needed is known when all images are.
        let runner = match Runner::find(&super::runs(store)?) {
            Err(run::Error::NoRuntime) => None,
            found => Some(found.map_err(|error| Error::Run {
                place: request.source.name.clone(),
                text: "RUN".to_owned(),
                source: error,
            })?),
        };
        let mut work = Work {
            store,
            request,
            plan,
            given,
            observer,
            cancel,
            tx: store.begin("build")?,
            lease: store.lease("build")?,
            snapshots,
            steps,
            runner,
            can_stack: true,
            context: None,
            images: BTreeMap::new(),
            stages: BTreeMap::new(),
            told: BTreeSet::new(),
            number: 0,
            count: plan.stages.iter().map(|stage| 1 + stage.steps.len()).sum(),
            did: (0, 0),
            known: Vec::new(),
        };
        work.look_ahead()?;
        Ok(work)
    }

    pub(super) fn at(&self, line: usize, text: &str) -> At {
        At { place: format!("{}:{line}", self.request.source.name), text: shortened(text) }
    }

    pub(super) fn wrong(&self, problem: Problem) -> Error {
        Error::Problems { file: self.request.source.name.clone(), problems: vec![problem] }
    }

    pub(super) fn origin(&self, planned: &Planned, step: &Step) -> Result<Option<Origin>> {
        self.plan.origin(planned.number, step).map_err(|problem| self.wrong(problem))
    }

    /// Says something, once.
    pub(super) fn tell(&mut self, text: &str) {
        if self.told.insert(text.to_owned()) {
            self.observer.note(text);
        }
    }

    /// An image of the store.
    pub(super) fn image(&mut self, name: &str, platform: Option<&str>, at: &At) -> Result<&BaseImage> {
        let key = (name.to_owned(), platform.map(str::to_owned));
        if !self.images.contains_key(&key) {
            let wanted = platform.map(|text| {
                Platform::parse(text).ok_or_else(|| StoreError::invalid(text, "is no platform OS/ARCH"))
            });
            let wanted = wanted.transpose().map_err(at.failed())?;
            let mut found = base::load(self.store, name, wanted.as_ref());
            if let (Err(StoreError::NoSuchImage { .. }), Some(Fetch(fetch))) = (&found, self.request.fetch)
                && fetch(name, wanted.as_ref()).map_err(at.failed())?
            {
                found = base::load(self.store, name, wanted.as_ref());
            }
            let found = found.map_err(at.failed())?;
            self.images.insert(key.clone(), found);
        }
        self.images.get(&key).ok_or_else(|| StoreError::invalid(name, "is not there").into())
    }

    /// Does a stage.
    pub(super) fn stage(&mut self, planned: &Planned) -> Result<()> {
        let (text, begun) = match &planned.base {
            Base::Scratch => {
                let platform = planned.platform.clone().unwrap_or_else(|| Platform::host().to_string());
                ("FROM scratch".to_owned(), Ok((Stage::scratch(&platform), Vec::new())))
            }
            Base::Stage(number) => {
                let begun = self.stages.get(number).map(Stage::after);
                let name = self.plan.name(*number).map_or(number.to_string(), str::to_owned);
                (format!("FROM {name}"), begun.unwrap_or_else(|| Err("the stage is not done".to_owned())))
            }
            Base::Image(image) => {
                let text = format!("FROM {image}");
                let at = self.at(planned.line, &text);
                let begun = Stage::on(self.image(image, planned.platform.as_deref(), &at)?);
                (text, begun)
            }
        };
        self.say(planned, &text, false);
        let (mut stage, triggers) = self.triggers(planned, &text, begun)?;
        for step in triggers.iter().chain(&planned.steps) {
            self.cancel.check()?;
            self.step(planned, &mut stage, step)?;
        }
        self.stages.insert(planned.number, stage);
        Ok(())
    }

    fn say(&mut self, planned: &Planned, text: &str, is_cached: bool) {
        self.number += 1;
        let (number, count, stage) = (self.number, self.count, self.plan.name(planned.number));
        self.observer.step(&Header { number, count, stage, text, is_cached });
    }

    fn step(&mut self, planned: &Planned, stage: &mut Stage, step: &Step) -> Result<()> {
        let at = self.at(step.line, &step.text);
        let before = stage.state.clone();
        let done = stage.state.step(step, &self.plan.globals, self.plan.escape);
        let done = done.map_err(|problem| self.wrong(problem))?;
        let files = self.files(planned, step, &done.instruction, &at)?;
        let key = key(&Depends {
            chain: stage.chain().as_ref(),
            before: &before,
            instruction: &done.instruction,
            network: self.request.network,
            given: self.given,
            reads: files.as_ref().map(Files::digest),
            epoch: self.request.epoch,
        });
        let mut known = if self.request.no_cache { None } else { self.known(&key)? };
        let is_own = known.is_some();
        if known.is_none() && !self.request.no_cache && makes_files(&done.instruction) {
            known = self.done_elsewhere(&key)?;
        }
        self.say(planned, &step.text, known.is_some());
        let record = match known {
            Some(record) => {
                self.did.1 += 1;
                record
            }
            None => {
                self.did.0 += 1;
                let layer = self.layer(stage, &done.instruction, files, &at)?;
                let now = (self.request.now)();
                let record = StepRecord { layer, created: now, from: None };
                self.steps.put(&key, &record, now)?;
                record
            }
        };
        if let Some(layer) = &record.layer {
            stage.push(layer);
            // What another place has made is nobody's to pass on.
            if record.from.is_none() {
                self.known.push(Known { key, layer: *layer, created: record.created, is_new: !is_own });
            }
        }
        stage.created = stage.created.max(record.created);
        let created = index::timestamp(self.request.epoch.unwrap_or(record.created));
        stage.history.push(history::entry(&created, &done.created_by, record.layer.is_some()));
        Ok(())
    }

    /// A step that was done before, whose layer is there and stays there.
    fn known(&mut self, key: &Digest) -> Result<Option<StepRecord>> {
        let Some(record) = self.steps.get(key, (self.request.now)(), self.request.not_before)? else {
            return Ok(None);
        };
        // What came from elsewhere counts where that place is named again.
        let named = self.request.cache_from.map(StepCache::id);
        if record.from.is_some() && record.from != named {
            return Ok(None);
        }
        let there = match &record.layer {
            Some(layer) => self.tx.reuse(&[(layer.blob, layer.size)])?.contains(&layer.blob),
            None => true,
        };
        Ok(Some(record).filter(|_| there))
    }

    /// The last stage as an image.
    pub(super) fn finish(mut self) -> Result<Built<'s>> {
        let target = self.plan.stages.last().and_then(|planned| self.stages.remove(&planned.number));
        let stage = target.ok_or_else(|| StoreError::invalid("the build", "has no stage"))?;
        // While the bases are still protected: who gives the image its name may take a while.
        let wanted: Vec<_> =
            stage.layers.iter().map(|layer| (layer.descriptor.digest, layer.descriptor.size)).collect();
        let there = self.tx.reuse(&wanted)?;
        if let Some((gone, _)) = wanted.iter().find(|(digest, _)| !there.contains(digest)) {
            return Err(StoreError::damaged(format!("layer {gone}"), "is missing").into());
        }
        let now = (self.request.now)();
        let created = if stage.created == 0 { stage.base_created.unwrap_or(now) } else { stage.created };
        let created = self.request.epoch.unwrap_or(created);
        let (entry, image_id) = image::write(&mut self.tx, &stage, created, now)?;
        let (steps, known) = (self.did, self.known);
        Ok(Built { tx: self.tx, entry, image_id, base: stage.base, steps, known })
    }
}

/// An instruction for a message: its output is further up, and its text in the file.
pub(super) fn shortened(text: &str) -> String {
    const LONGEST: usize = 120;
    match text.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", text[..at].trim_end()),
        None => text.to_owned(),
    }
}
