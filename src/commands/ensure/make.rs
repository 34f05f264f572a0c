//! Making the image: one process at a time for a name, looked into before it gets that name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder_store::archive::options::Named;
use larder_store::base::Base;
use larder_store::building::Building;
use larder_store::descriptor::{Annotations, Descriptor};
use larder_store::digest::Digest;
use larder_store::facts::{self, Sought};
use larder_store::ids::ImageId;
use larder_store::index::{self, Index};
use larder_store::manifest::Document;
use larder_store::reference::Reference;
use serde_json::{Value, json};

use super::super::build::{make, register};
use super::decide::{Decision, Earlier, Look};
use super::from::manager;
use super::plan::{Plan, Source, Words, directory};
use crate::build::engine;
use crate::catalog::resolve::{Offer, Why, lacks};
use crate::catalog::{Arch, Declared, Requirements, Word};
use crate::cli::{Outcome, count, fail, note};

/// What a build may take in all: whoever waits for it waits no longer.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What became of a job.
pub(super) enum Ensured {
    /// The image was there.
    Found { name: String, stale: Option<String> },
    /// It was made.
    Made {
        plan: Box<Plan>,
        digest: Digest,
        image_id: ImageId,
        displaced: Option<Digest>,
        steps: (usize, usize),
    },
    /// It would be made.
    Planned(Box<Plan>),
}

impl Ensured {
    /// The name of the image.
    pub(super) fn name(&self) -> String {
        match self {
            Ensured::Found { name, .. } => name.clone(),
            Ensured::Made { plan, .. } | Ensured::Planned(plan) => plan.reference.familiar(),
        }
    }

    /// For programs; docs/json.md has the fields.
    pub(super) fn value(&self) -> Value {
        match self {
            Ensured::Found { name, stale } => json!({"name": name, "built": false, "stale": stale}),
            Ensured::Planned(plan) => plan.value(),
            Ensured::Made { plan, digest, image_id, displaced, steps } => {
                let mut value = plan.value();
                value["built"] = true.into();
                value["digest"] = json!(digest);
                value["image_id"] = json!(image_id);
                value["displaced"] = json!(displaced);
                value["steps"] = json!({"done": steps.0, "cached": steps.1});
                value
            }
        }
    }
}

impl Look<'_> {
    /// Finds the image for a job, or makes it.
    pub(super) fn ensure(&self, job: &Requirements) -> Outcome<Ensured> {
        self.carry_out(job, self.decide(job, Earlier::Kept)?)
    }

    /// Does what was decided for a job.
    pub(super) fn carry_out(&self, job: &Requirements, decision: Decision) -> Outcome<Ensured> {
        let plan = match decision {
            Decision::Found { name, stale } => return Ok(Ensured::Found { name, stale }),
            Decision::Build(plan) => plan,
        };
        if self.args.dry_run {
            note(format_args!("{}", plan.said()));
            return Ok(Ensured::Planned(plan));
        }
        let name = plan.reference.familiar();
        let mut waits = |holder: &str| note(format_args!("{name} is built by {holder}; waiting for it"));
        let _building =
            Building::begin(self.store, &plan.reference, LONGEST, &self.context.cancel, &mut waits)?;
        // Whoever built it meanwhile built it for this job, too.
        let plan = match self.decide(job, Earlier::Kept)? {
            Decision::Found { name, stale } => return Ok(Ensured::Found { name, stale }),
            Decision::Build(plan) => plan,
        };
        let earlier = match plan.source {
            Source::Generated(_) => plan.earlier.to_string(),
            Source::Own { .. } => String::new(),
        };
        let error = match self.make(plan) {
            Err(error) if !earlier.is_empty() && !error.is_stop() => error,
            made => return made,
        };
        // What nobody can have any more is not to fail those who never asked for it.
        error.tell("");
        note(format_args!("{name} is tried without what earlier jobs asked for ({earlier})"));
        match self.decide(job, Earlier::Dropped)? {
            Decision::Found { name, stale } => Ok(Ensured::Found { name, stale }),
            Decision::Build(plan) => self.make(plan),
        }
    }

    fn make(&self, plan: Box<Plan>) -> Outcome<Ensured> {
        note(format_args!("{}", plan.said()));
        let begun = Instant::now();
        let name = plan.reference.familiar();
        // What a base wants done first may copy: from a directory in which nothing ever is.
        let nothing = self.store.layout().private().ensure_dir("building")?.ensure_dir("nothing")?;
        let (context, source) = source(&plan, nothing.path())?;
        let mut request = self.args.how.request(&context, &source)?;
        request.jobs = super::super::jobs(self.args.jobs);
        request.not_before = self.not_before(&plan)?;
        // It is young or old by when it was made.
        request.epoch = None;
        let built = make(self.store, &request, &self.context.cancel)?;
        self.check_base(&plan, built.base.as_ref())?;
        let mut declared = self.check(&plan, &built.entry)?.annotations();
        if let (Some(base), None) = (&built.base, &self.args.base) {
            let base = foreign_base(&self.store.index()?, &plan, base.clone());
            if base.name != plan.reference {
                base.write(&mut declared);
            }
        }
        let named = Named { reference: plan.reference.clone(), declared, known: Annotations::new() };
        let (digest, image_id, steps) = (built.entry.digest, built.image_id, built.steps);
        let displaced = register(built, &[named])?.pop().flatten();
        if let Some(old) = displaced {
            note(format_args!("{name} was {old}, which stays in the store without a name"));
        }
        let took = count(begun.elapsed().as_secs() as usize, "second");
        note(format_args!("{name} is there, after {took}"));
        Ok(Ensured::Made { plan, digest, image_id, displaced, steps })
    }

    /// Steps of before are as old as the image may not be.
    fn not_before(&self, plan: &Plan) -> Outcome<Option<i64>> {
        let index = self.store.index()?;
        let entry = |name: &Reference| index.named(name).next();
        let base = plan.base.as_ref().and_then(|base| Base::from_entry(entry(&base.parse().ok()?)?).ok());
        let base = base.map(|base| foreign_base(&index, plan, base));
        // Only a build tells what an own Dockerfile begins with: what it began with the last time has rules of its own.
        let base = base.or_else(|| Base::of(&entry(&plan.reference)?.annotations)).map(|base| base.name);
        let most = self.policy.rebuild_after(&[plan.reference.familiar()], base.as_ref());
        Ok(most.map(|most| super::super::now().saturating_sub_unsigned(most).saturating_add(1)))
    }

    /// `--base` is what an own Dockerfile has to begin with.
    fn check_base(&self, plan: &Plan, base: Option<&Base>) -> Outcome {
        let (Some(asked), Source::Own { path, .. }) = (&self.args.base, &plan.source) else { return Ok(()) };
        let asked = Base::from_entry(&self.store.resolve(&self.store.index()?, asked)?)?.name;
        if base.is_some_and(|base| base.name == asked) {
            return Ok(());
        }
        let (name, path) = (plan.reference.familiar(), path.display());
        let built = base.map_or_else(|| "no image of the store".to_owned(), |base| base.name.familiar());
        let asked = asked.familiar();
        let why = format!("{name}: {path} builds on {built}, and not on {asked}; nothing was registered");
        Err(fail(why).with_hint(format!("write FROM {asked} there, or leave out --base")))
    }

    /// Whether what was asked for is in the image, and what is declared of it then. Nothing has a name yet: what is not right is as if it
    /// had not been made.
    fn check(&self, plan: &Plan, entry: &Descriptor) -> Outcome<Declared> {
        let name = plan.reference.familiar();
        let read = self.store.document(entry)?.map(|raw| raw.document);
        let Some(Document::Image(image)) = read else {
            return Err(fail(format!("{name}: the image that was built is none")));
        };
        let job = &plan.job;
        let facts = facts::of_image(self.store, &image, &self.context.cancel)?;
        let (_, is_readable) = manager(&facts);
        let believed = self.believed(plan, is_readable);
        let Words { packages, tools } = &plan.earlier;
        let tools = || job.tools.iter().chain(tools).map(Word::as_str);
        let packages = job.packages.iter().chain(packages).map(Word::as_str);
        let sought = Sought::new(packages.chain(tools()), tools());
        let brief = facts::brief_of(self.store, &image, &sought, &self.context.cancel)?;
        let arch = entry.platform.as_ref().and_then(|platform| {
            let variant = platform.variant.as_ref().map(|variant| format!("/{variant}"));
            format!("{}{}", platform.architecture, variant.unwrap_or_default()).parse::<Arch>().ok()
        });
        let mut offer = Offer::new(entry.digest, arch, Some(brief), image.content_size());
        offer.declare(name.clone(), believed);
        let how = match &plan.source {
            Source::Own { path, .. } => path.display().to_string(),
            Source::Generated(_) => format!("what was put upon {}", plan.base.as_deref().unwrap_or_default()),
        };
        let why = match lacks(job, &offer) {
            Ok(missing) if missing.is_nothing() => return Ok(with_earlier(plan, &offer, is_readable)),
            Ok(missing) => {
                let has: Vec<_> = compilers(&offer);
                let has = match missing.compiler {
                    Some(_) if !has.is_empty() => format!(" (its compilers: {})", has.join(", ")),
                    _ => String::new(),
                };
                format!("the image lacks {missing} all the same{has}")
            }
            Err(Why::Arch(arch)) => format!("the image's architecture is {arch}, not {}", job.arch),
            Err(why) => format!("the image {why}, and not {}", job.os),
        };
        let hint = match (&plan.source, lacks(job, &offer)) {
            (Source::Own { .. }, Err(Why::Arch(_))) => {
                format!("write FROM --platform=linux/{} in {how}, with a base that has it", job.arch.as_str())
            }
            (Source::Own { .. }, _) => format!("put it into {how}"),
            (Source::Generated(_), _) => {
                "ask for the package that has it (--package), or write a Dockerfile for this image".to_owned()
            }
        };
        Err(fail(format!("{name}: {how} was built, and {why}; nothing was registered")).with_hint(hint))
    }

    /// What nobody can see in an image, and is believed: its project, its variant, compilers of other families than facts know, and packages in a
    /// database that cannot be read.
    fn believed(&self, plan: &Plan, is_readable: bool) -> Declared {
        let mut declared = Declared { os: None, tools: Vec::new(), ..plan.declared.clone() };
        declared.compilers.retain(|compiler| !["gcc", "clang"].contains(&compiler.family()));
        if is_readable {
            declared.packages.clear();
        } else if !declared.packages.is_empty() && plan.source.path().is_some() {
            note(format_args!(
                "{}: its packages cannot be read; they are taken for there",
                plan.reference.familiar()
            ));
        }
        declared
    }
}

/// What an image stands on in the end: images of its own project, and that one's own earlier version, are followed to what those were made
/// on, so that all of them become old when that moves.
fn foreign_base(index: &Index, plan: &Plan, mut base: Base) -> Base {
    let mut passed = BTreeSet::new();
    while let Some(digest) = base.digest.filter(|digest| passed.insert(*digest)) {
        let is_ours = |entry: &&Descriptor| {
            let is_named = || index::reference(entry).as_ref() == Some(&base.name);
            let project = || Declared::of(&entry.annotations).project;
            entry.digest == digest
                && (base.name == plan.reference || is_named() && project() == plan.job.project)
        };
        let entry = index.entries().iter().find(is_ours);
        let Some(next) = entry.and_then(|entry| Base::of(&entry.annotations)) else { break };
        base = next;
    }
    base
}

/// What is declared of an image that has all: that, and what earlier jobs asked for as far as it is there, or nobody can see whether it is.
fn with_earlier(plan: &Plan, offer: &Offer<'_>, is_readable: bool) -> Declared {
    let Words { packages, tools } = &plan.earlier;
    let earlier = Requirements {
        packages: packages.iter().cloned().collect(),
        tools: tools.iter().cloned().collect(),
        ..plan.job.clone()
    };
    let missing = lacks(&earlier, offer).unwrap_or_default();
    let mut declared = plan.declared.clone();
    let there = |word: &&Word, missing: &[&Word]| !is_readable || !missing.contains(word);
    declared.packages.extend(packages.iter().filter(|word| there(word, &missing.packages)).cloned());
    declared.tools.extend(tools.iter().filter(|word| there(word, &missing.tools)).cloned());
    declared
}

fn compilers(offer: &Offer<'_>) -> Vec<String> {
    let read = offer.read.iter().flat_map(|read| &read.head.compilers);
    read.map(|(family, version)| match version {
        Some(version) => format!("{family} {version}"),
        None => family.clone(),
    })
    .collect()
}

/// What is built, and from what files: an image's own Dockerfile stands in the directory that it copies from; one that was generated copies nothing.
fn source(plan: &Plan, nothing: &Path) -> Outcome<(PathBuf, engine::Source)> {
    match &plan.source {
        Source::Own { path, text } => {
            let context = directory(path).to_path_buf();
            // As it was when it was planned.
            let source = engine::Source::of_text(&context, path.display().to_string(), text.clone())?;
            Ok((context, source))
        }
        Source::Generated(text) => {
            let name = format!("Dockerfile of {}", plan.reference.familiar());
            Ok((nothing.to_path_buf(), engine::Source::of_text(nothing, name, text.clone())?))
        }
    }
}
