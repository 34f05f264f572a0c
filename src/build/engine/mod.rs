//! Doing a plan: stage by stage, step by step, and the last stage as an image of the store.
//!
//! A step that was done before, on the same layers with the same config, arguments and files, is not done again: its layer is
//! known by its [`key`]. All else is made in a directory of the snapshots and becomes a layer; nothing has a name before
//! whoever asked gives it one, and what a broken-off build leaves is for GC.

mod ahead;
mod base;
mod command;
mod elsewhere;
mod error;
mod files;
mod image;
mod key;
mod label;
mod layer;
mod made_of;
mod source;
mod stage;
#[cfg(test)]
mod tests;
mod work;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_store::Error as StoreError;
use larder_store::base::Base;
use larder_store::cancel::Cancel;
use larder_store::codec::Encoding;
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::ids::ImageId;
use larder_store::snapshots::Snapshots;
use larder_store::steps::Steps;
use larder_store::store::Store;
use larder_store::transaction::Transaction;

pub(crate) use error::{Error, Result};
pub(crate) use made_of::{images, made_of};
pub(crate) use source::{Source, text_of};

use super::args::Given;
use super::dockerfile::{self, Instruction, Step};
use super::plan::plan;
use super::problem::Problem;
use super::run::{self, Network, Reclaimed};
use crate::registry::steps::{Known, StepCache};
use work::Work;

/// Brings in an image by its name, for a platform or else for this machine's; whether there is one.
#[derive(Clone, Copy)]
pub(crate) struct Fetch<'a>(
    pub(crate) &'a dyn Fn(&str, Option<&Platform>) -> larder_store::error::Result<bool>,
);

impl std::fmt::Debug for Fetch<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetch")
    }
}

/// What is to be built.
#[derive(Debug, Clone)]
pub(crate) struct Request<'a> {
    /// The directory that COPY and ADD read.
    pub(crate) context: &'a Path,
    /// The Dockerfile.
    pub(crate) source: &'a Source,
    /// A stage's name or number; else the last.
    pub(crate) target: Option<&'a str>,
    /// Brings in an image that the store lacks, by its name and for a platform; whether there is one. None: the store is all there is.
    pub(crate) fetch: Option<Fetch<'a>>,
    /// `--build-arg`.
    pub(crate) build_args: BTreeMap<String, String>,
    /// Labels of the image beside those of the Dockerfile, in their order.
    pub(crate) labels: Vec<(String, String)>,
    /// Whether every step is done anew.
    pub(crate) no_cache: bool,
    /// Steps that other hosts have done.
    pub(crate) cache_from: Option<&'a StepCache>,
    /// Steps that were done before this time are done anew (seconds since 1970).
    pub(crate) not_before: Option<i64>,
    /// What commands see of the network.
    pub(crate) network: Network,
    /// How long a command may take.
    pub(crate) timeout: Duration,
    /// `SOURCE_DATE_EPOCH`: no time in the image is later, and it was created then (seconds since 1970).
    pub(crate) epoch: Option<i64>,
    /// The clock.
    pub(crate) now: fn() -> i64,
    /// How layers are compressed.
    pub(crate) encoding: Encoding,
    /// Threads that compress.
    pub(crate) jobs: usize,
}

/// What a build tells while it goes on.
pub(crate) trait Observer {
    /// A step begins, or was known.
    fn step(&mut self, header: &Header<'_>);
    /// A command's output, as it came.
    fn output(&mut self, bytes: &[u8]);
    /// What people should know.
    fn note(&mut self, text: &str);
}

/// A step, for people.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header<'a> {
    /// From 1.
    pub(crate) number: usize,
    /// How many there are, as far as is known.
    pub(crate) count: usize,
    /// The stage's name, where it has one.
    pub(crate) stage: Option<&'a str>,
    /// The instruction.
    pub(crate) text: &'a str,
    /// Whether it was done before.
    pub(crate) is_cached: bool,
}

/// An image with everything in place but its name.
#[must_use = "an image that gets no name is swept"]
#[derive(Debug)]
pub(crate) struct Built<'s> {
    /// What holds its content; to be committed with a name, or dropped.
    pub(crate) tx: Transaction<'s>,
    /// The manifest, with the annotations of its entry.
    pub(crate) entry: Descriptor,
    /// The digest of its config.
    pub(crate) image_id: ImageId,
    /// The image of the store that it was made on.
    pub(crate) base: Option<Base>,
    /// Steps that were done, and steps that were known.
    pub(crate) steps: (usize, usize),
    /// Those of them that made a layer, but for what came from another place.
    pub(crate) known: Vec<Known>,
}

/// Builds an image. All that is wrong with the Dockerfile, or missing for it, is found before anything runs.
pub(crate) fn build<'s>(
    store: &'s Store,
    request: &Request<'_>,
    observer: &mut dyn Observer,
    cancel: &Cancel,
) -> Result<Built<'s>> {
    let file = &request.source.name;
    let wrong = |problems| Error::Problems { file: file.clone(), problems };
    let mut dockerfile = dockerfile::parse(&request.source.text).map_err(wrong)?;
    let platform = Platform::host().to_string();
    let given = Given::new(request.build_args.clone(), &platform);
    add_labels(&mut dockerfile, request, &wrong)?;
    let plan = plan(&dockerfile, request.target, given.clone()).map_err(wrong)?;
    let (snapshots, steps) = (Snapshots::open(store)?, Steps::open(store)?);
    let mut work = Work::begin(store, request, &plan, &given, (&snapshots, &steps), observer, cancel)?;
    for planned in &plan.stages {
        work.stage(planned)?;
    }
    work.finish()
}

/// Where steps of a store have what they need while they run.
pub(crate) fn runs(store: &Store) -> larder_store::Result<PathBuf> {
    let runs = store.layout().private().path().join("building/run");
    std::path::absolute(&runs).map_err(StoreError::io("look at", &runs))
}

/// Clears up after steps whose attendant was killed, or only looks what there is.
pub(crate) fn clear_up(store: &Store, removes: bool) -> run::Result<Reclaimed> {
    run::clear_up(&runs(store)?, removes)
}

/// Labels of the command line are those of a last step of the target.
fn add_labels(
    dockerfile: &mut dockerfile::Dockerfile,
    request: &Request<'_>,
    wrong: &dyn Fn(Vec<Problem>) -> Error,
) -> Result<()> {
    if request.labels.is_empty() {
        return Ok(());
    }
    let target = super::plan::target(dockerfile, request.target).map_err(|problem| wrong(vec![problem]))?;
    let escape = dockerfile.escape;
    // As a word in quotes, in which nothing is expanded.
    let quoted = |text: &String| {
        let special = |c: char| c == '"' || c == '$' || c == escape;
        let escaped: String =
            text.chars().flat_map(|c| special(c).then_some(escape).into_iter().chain([c])).collect();
        format!("\"{escaped}\"")
    };
    let labels = request.labels.iter().map(|(name, value)| (quoted(name), quoted(value))).collect();
    let words: Vec<_> = request.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let step = Step {
        line: dockerfile.stages[target].from.line,
        text: format!("LABEL {}", words.join(" ")),
        instruction: Instruction::Label(labels),
    };
    dockerfile.stages[target].steps.push(step);
    Ok(())
}
