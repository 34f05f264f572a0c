//! Making the image: one process at a time for a name, looked into before it gets that name.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder_store::archive::options::Named;
use larder_store::base::{self, Base};
use larder_store::building::Building;
use larder_store::descriptor::{Annotations, Descriptor};
use larder_store::digest::Digest;
use larder_store::facts::{self, Sought};
use larder_store::ids::ImageId;
use larder_store::manifest::{Document, ImageManifest};
use serde_json::{Value, json};

use super::super::build::{make, register};
use super::decide::{Decision, Look};
use super::plan::{Plan, Source, directory};
use crate::build::engine;
use crate::build::ensure::Manager;
use crate::catalog::resolve::{Offer, Why, lacks};
use crate::catalog::{Arch, Declared, Requirements};
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
        let plan = match self.decide(job)? {
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
        match self.decide(job)? {
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
        request.not_before = self.not_before(&plan);
        // It is young or old by when it was made.
        request.epoch = None;
        let built = make(self.store, &request, &self.context.cancel)?;
        self.check(&plan, &built.entry)?;
        let mut declared = plan.declared.annotations();
        if let Some(base) = &built.base
            && base.name == plan.reference
        {
            declared.extend(self.base_of(base));
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
    fn not_before(&self, plan: &Plan) -> Option<i64> {
        let base = plan.base.as_ref().and_then(|base| base.parse().ok());
        let most = self.policy.rebuild_after(&[plan.reference.familiar()], base.as_ref())?;
        Some(super::super::now().saturating_sub_unsigned(most).saturating_add(1))
    }

    /// What an image was made on upon which its own successor is made.
    fn base_of(&self, own: &Base) -> Annotations {
        let entry = own.digest.and_then(|digest| {
            let index = self.store.index().ok()?;
            index.entries().iter().find(|entry| entry.digest == digest).cloned()
        });
        let mut annotations = entry.map(|entry| entry.annotations).unwrap_or_default();
        annotations.retain(|key, _| key == base::NAME || key == base::DIGEST);
        annotations
    }

    /// Whether what was asked for is in the image. Nothing has a name yet: what is not right is as if it had not been made.
    fn check(&self, plan: &Plan, entry: &Descriptor) -> Outcome {
        let name = plan.reference.familiar();
        let read = self.store.document(entry)?.map(|raw| raw.document);
        let Some(Document::Image(image)) = read else {
            return Err(fail(format!("{name}: the image that was built is none")));
        };
        let job = &plan.job;
        let declared = self.declared(plan, &image)?;
        let packages = job.packages.iter().chain(&job.tools).map(|word| word.as_str());
        let sought = Sought::new(packages, job.tools.iter().map(|tool| tool.as_str()));
        let brief = facts::brief_of(self.store, &image, &sought, &self.context.cancel)?;
        let arch = entry.platform.as_ref().and_then(|platform| {
            let variant = platform.variant.as_ref().map(|variant| format!("/{variant}"));
            format!("{}{}", platform.architecture, variant.unwrap_or_default()).parse::<Arch>().ok()
        });
        let mut offer = Offer::new(entry.digest, arch, Some(brief), image.content_size());
        offer.declare(name.clone(), declared);
        let how = match &plan.source {
            Source::Own { path, .. } => path.display().to_string(),
            Source::Generated(_) => format!("what was put upon {}", plan.base.as_deref().unwrap_or_default()),
        };
        let why = match lacks(job, &offer) {
            Ok(missing) if missing.is_nothing() => return Ok(()),
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
        let hint = match &plan.source {
            Source::Own { .. } => format!("put it into {how}"),
            Source::Generated(_) => {
                "ask for the package that has it (--package), or write a Dockerfile for this image".to_owned()
            }
        };
        Err(fail(format!("{name}: {how} was built, and {why}; nothing was registered")).with_hint(hint))
    }

    /// What nobody can see in an image, and is believed: its project, its variant, compilers of other families than facts know, and packages in a
    /// database that cannot be read.
    fn declared(&self, plan: &Plan, image: &ImageManifest) -> Outcome<Declared> {
        let facts = facts::of_image(self.store, image, &self.context.cancel)?;
        let has_program = |name: &str| facts.programs.iter().any(|program| program.name == name);
        let manager = Manager::of(facts.os.as_ref().map_or("", |os| &os.id), &has_program);
        let is_readable = manager.is_none_or(Manager::can_be_read) || !facts.packages.is_empty();
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
        Ok(declared)
    }
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
