//! Making the image: one process at a time for a name, looked into before it gets that name.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder_store::archive::options::Named;
use larder_store::base::Base;
use larder_store::building::Building;
use larder_store::descriptor::{Annotations, Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::ids::ImageId;
use larder_store::index::{self, Index};
use larder_store::reference::Reference;
use serde_json::{Value, json};

use super::super::build::{make, register};
use super::super::pull;
use super::check::Unmade;
use super::decide::{Decision, Earlier, Look};
use super::plan::{Plan, Source, directory};
use super::remote::Fetched;
use crate::build::engine::{self, Built};
use crate::catalog::{Declared, Requirements, labels};
use crate::cli::{Outcome, count, note};

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
    /// Another host made it.
    Fetched(Fetched),
    /// It would be made.
    Planned(Box<Plan>),
}

impl Ensured {
    /// The name of the image.
    pub(super) fn name(&self) -> String {
        match self {
            Ensured::Found { name, .. } => name.clone(),
            Ensured::Fetched(fetched) => fetched.reference.familiar(),
            Ensured::Made { plan, .. } | Ensured::Planned(plan) => plan.reference.familiar(),
        }
    }

    /// For programs; docs/json.md has the fields.
    pub(super) fn value(&self) -> Value {
        match self {
            Ensured::Found { name, stale } => json!({"name": name, "built": false, "stale": stale}),
            Ensured::Fetched(fetched) => fetched.value(),
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
            Decision::Build(plan) | Decision::Fetch(plan, _) => plan,
        };
        if self.args.dry_run {
            plan.tell();
            return Ok(Ensured::Planned(plan));
        }
        let name = plan.reference.familiar();
        let mut waits = |holder: &str| note(format_args!("{name} is built by {holder}; waiting for it"));
        let _building =
            Building::begin(self.store, &plan.reference, LONGEST, &self.context.cancel, &mut waits)?;
        // Whoever built it meanwhile built it for this job, too.
        let decision = self.decide(job, Earlier::Kept)?;
        let earlier = match &decision {
            Decision::Build(plan) | Decision::Fetch(plan, _) => plan.earlier.to_string(),
            Decision::Found { .. } => String::new(),
        };
        let error = match self.there_or_here(job, Earlier::Kept, decision) {
            Err(Unmade { error, for_earlier: true }) => error,
            made => return made.map_err(|unmade| unmade.error),
        };
        error.tell("");
        let earlier =
            [earlier, self.theirs_of(&plan.reference)].into_iter().filter(|words| !words.is_empty());
        let earlier = earlier.collect::<Vec<_>>().join(", ");
        note(format_args!(
            "what earlier jobs asked for of {name} ({earlier}) cannot be had beside what this one asks for, which gets an image of its own"
        ));
        let decision = self.decide(job, Earlier::Apart)?;
        self.there_or_here(job, Earlier::Apart, decision).map_err(|unmade| unmade.error)
    }

    /// Takes an image that another host made, else makes one, which others may take then.
    fn there_or_here(
        &self,
        job: &Requirements,
        earlier: Earlier,
        decision: Decision,
    ) -> Result<Ensured, Unmade> {
        let (mut plan, no_way) = match decision {
            Decision::Found { name, stale } => return Ok(Ensured::Found { name, stale }),
            Decision::Build(plan) => (plan, None),
            Decision::Fetch(plan, no_way) => (plan, Some(no_way)),
        };
        // Who wants it made anew does not want what is there.
        let fetched = if self.args.how.no_cache { None } else { self.fetch(&plan)? };
        if let Some(fetched) = fetched {
            return Ok(Ensured::Fetched(fetched));
        }
        plan = match no_way {
            None => self.with_theirs(job, earlier, plan)?,
            Some(no_way) => match self.without_remote(job, earlier, *no_way)? {
                Decision::Found { name, stale } => return Ok(Ensured::Found { name, stale }),
                Decision::Build(plan) | Decision::Fetch(plan, _) => plan,
            },
        };
        let reference = plan.reference.clone();
        let made = self.make(plan)?;
        if let Ensured::Made { digest, .. } = &made {
            self.share(&reference, digest)?;
        }
        Ok(made)
    }

    fn make(&self, plan: Box<Plan>) -> Result<Ensured, Unmade> {
        plan.tell();
        let begun = Instant::now();
        let name = plan.reference.familiar();
        // What a base wants done first may copy: from a directory in which nothing ever is.
        let nothing = self.store.layout().private().ensure_dir("building")?.ensure_dir("nothing")?;
        let (context, source) = source(&plan, nothing.path())?;
        let mut request = self.args.how.request(&context, &source)?;
        request.jobs = super::super::jobs(self.args.jobs);
        let fetch =
            |name: &str, platform: Option<&Platform>| pull::fetch(self.context, self.store, name, platform);
        request.fetch = self.args.how.pull.then_some(engine::Fetch(&fetch));
        request.not_before = self.not_before(&plan)?;
        request.cache_from = self.steps();
        // It is young or old by when it was made.
        request.epoch = None;
        // Before anything is built: what changes meanwhile makes it another one.
        let made_of = plan.source.path().and_then(|_| engine::made_of(&request, &self.context.cancel).ok());
        let mut built = make(self.store, &request, &self.context.cancel).map_err(|error| {
            let for_earlier =
                plan.installs_earlier && matches!(error, engine::Error::Failed { is_full: false, .. });
            Unmade { error: error.into(), for_earlier }
        })?;
        self.check_base(&plan, built.base.as_ref())?;
        let mut others = Annotations::new();
        if let Some(base) = built.base.clone() {
            let base = match &self.args.base {
                Some(_) => base,
                None => foreign_base(&self.store.index()?, &plan, base),
            };
            if base.name != plan.reference {
                base.write(&mut others);
            }
        }
        let made_by = plan.source.path().map(|_| Digest::of(plan.source.text().as_bytes()).to_string());
        others.insert(index::DOCKERFILE.into(), made_by.unwrap_or_else(|| "generated".to_owned()));
        others.extend(made_of.map(|digest| (index::MADE_OF.to_owned(), digest.to_string())));
        // Before it is looked into, as what is seen is kept for the image with its labels; mostly it is what was expected.
        let label = |built: &mut Built<'_>, declared: &Declared| {
            let mut annotations = declared.annotations();
            annotations.extend(others.clone());
            built.relabel(&labels::labels(&annotations))?;
            Ok::<_, engine::Error>(annotations)
        };
        let mut expected = plan.declared.clone();
        expected.packages.extend(plan.earlier.packages.iter().cloned());
        expected.tools.extend(plan.earlier.tools.iter().cloned());
        let mut declared = label(&mut built, &expected)?;
        let seen = self.check(&plan, &built.entry)?;
        if seen.annotations() != expected.annotations() {
            declared = label(&mut built, &seen)?;
        }
        let named = Named { reference: plan.reference.clone(), declared, known: Annotations::new() };
        let (digest, image_id, steps) = (built.entry.digest, built.image_id, built.steps);
        let known = std::mem::take(&mut built.known);
        let displaced = register(built, &[named])?.pop().flatten();
        if let Some(old) = displaced {
            note(format_args!("{name} was {old}, which stays in the store without a name"));
        }
        let took = count(begun.elapsed().as_secs() as usize, "second");
        note(format_args!("{name} is there, after {took}"));
        self.share_steps(&known)?;
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
}

/// What an image stands on in the end: images of its own project, and that one's own earlier version, are followed to what those were made
/// on, so that all of them become old when that moves.
fn foreign_base(index: &Index, plan: &Plan, mut base: Base) -> Base {
    let mut passed = BTreeSet::new();
    while let Some(digest) = base.digest.filter(|digest| passed.insert(*digest)) {
        let is_ours = |entry: &&Descriptor| {
            let name = base.name.familiar();
            let is_named = || {
                // Another job may have made a new one of that name meanwhile.
                index::shown_name(entry).as_ref() == Some(&name)
                    || entry.annotation(index::WAS) == Some(&name)
            };
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

/// What is built, and from what files: an image's own Dockerfile stands in the directory that it copies from; one that was generated copies nothing.
pub(super) fn source(plan: &Plan, nothing: &Path) -> Outcome<(PathBuf, engine::Source)> {
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
