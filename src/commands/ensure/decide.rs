//! Whether there is an image for a job, and else how one is made.

use std::cell::Cell;

use larder_store::base::Base;
use larder_store::descriptor::Platform;
use larder_store::policy::Policy;
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::super::resolve::answer::{self, system};
use super::super::resolve::look::{self, Offers};
use super::from::From;
use super::plan::{self, Plan, Source};
use super::{Args, base};
use crate::build::ensure::{declared, definition, reference};
use crate::catalog::resolve::{Candidate, FULL, Lacking, resolve};
use crate::catalog::{Arch, Declared, Project, Requirements};
use crate::cli::{CommandError, Context, Outcome, fail, note};

/// What is looked at, and with what.
pub(super) struct Look<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a Args,
    pub(super) store: &'a Store,
    pub(super) policy: &'a Policy,
    /// Whether it was said already what is damaged.
    pub(super) told: Cell<bool>,
}

/// What becomes of a job.
pub(super) enum Decision {
    /// An image is there. Where it is stale nothing can be built in its place.
    Found { name: String, stale: Option<String> },
    /// One is to be made.
    Build(Box<Plan>),
}

impl Look<'_> {
    /// Looks at the store as it is now.
    pub(super) fn decide(&self, job: &Requirements) -> Outcome<Decision> {
        let offers = look::offers(self.context, self.store, &[job])?;
        if !self.told.replace(true) {
            offers.damaged.iter().for_each(|why| note(format_args!("{why}")));
        }
        let base = self.base(&offers)?;
        let on_base = base.as_ref().map(|base| base::made_on(offers.index(), base, &offers.all));
        let all = on_base.as_deref().unwrap_or(&offers.all);
        let answer = resolve(job, all, Lacking::Built, &mut look::damage(self.store));
        let mut stale = None;
        let unasked = |one: &Candidate<'_>| one.offer.unasked(&job.suffixes).count();
        let mut whole =
            answer.candidates.iter().filter(|one| one.is_whole() && one.essential == FULL).peekable();
        // One of another variant does not stand in for one that has become old.
        let least = whole.peek().map(|best| unasked(best));
        for whole in whole.filter(|one| Some(unasked(one)) == least) {
            match offers.stale(self.store, self.policy, whole.name) {
                None => {
                    answer::tell_of(job, whole);
                    return Ok(Decision::Found { name: whole.name.to_owned(), stale: None });
                }
                Some(why) => stale = stale.or(Some((whole.name.to_owned(), why))),
            }
        }
        let planned =
            self.plan(job, &offers, base.as_ref(), stale.as_ref().map(|(name, why)| (&**name, &**why)));
        match (planned, stale) {
            // It works as any other, and the job is not to fail for its age.
            (Err(error), Some((name, why))) if !error.is_stop() => {
                note(format_args!("{name} is stale ({why}), and nothing can be built in its place: {error}"));
                Ok(Decision::Found { name, stale: Some(why) })
            }
            (planned, _) => Ok(Decision::Build(Box::new(planned?))),
        }
    }

    /// `--base`, by its name.
    fn base(&self, offers: &Offers<'_>) -> Outcome<Option<Reference>> {
        let Some(query) = &self.args.base else { return Ok(None) };
        let entry = self.store.resolve(offers.index(), query)?;
        Ok(Some(Base::from_entry(&entry)?.name))
    }

    fn plan(
        &self,
        job: &Requirements,
        offers: &Offers<'_>,
        base: Option<&Reference>,
        stale: Option<(&str, &str)>,
    ) -> Outcome<Plan> {
        let host = host()?;
        let mut job = job.clone();
        if let Some((name, _)) = stale
            && job.project.is_none()
        {
            job.project = project_of(offers, name);
        }
        let reference = reference(&job, &host).ok_or_else(|| nameless(&job))?;
        // What other jobs found there they shall find again.
        let now = offers.index().named(&reference).next();
        let before = now.map(|entry| Declared::of(&entry.annotations)).unwrap_or_default();
        job.packages.extend(before.packages);
        job.tools.extend(before.tools);
        let said = match stale {
            Some((name, why)) => format!("{name} is stale ({why})"),
            None => format!("no image of {} has all that is asked for", system(&job)),
        };
        let own = definition(&job).unwrap_or_default();
        let mut plan = Plan {
            declared: declared(&job),
            reference,
            source: Source::Generated(String::new()),
            base: None,
            why: said,
            missing: String::new(),
            job,
        };
        let path = self.args.definitions.join(own);
        if let Some(text) = plan::own(&path)? {
            plan.source = Source::Own { path, text };
            return Ok(plan);
        }
        let from = From { offers, base, stale: stale.map(|(name, _)| name), path: &path, host: &host };
        from.generate(self, plan)
    }
}

/// This machine's.
fn host() -> Outcome<Arch> {
    Platform::host().architecture.parse().map_err(fail)
}

/// The project that a name is declared to be for.
fn project_of(offers: &Offers<'_>, name: &str) -> Option<Project> {
    let mut names = offers.all.iter().flat_map(|offer| &offer.names);
    names.find(|(known, _)| known == name).and_then(|(_, project)| project.clone())
}

/// Why there is no name for the image.
fn nameless(job: &Requirements) -> CommandError {
    let os = &job.os;
    match &job.project {
        None => fail(format!(
            "no image of {} has all that is asked for, and nothing says what project a new one is for",
            system(job)
        ))
        .with_hint("--project P makes it P-<os>-<variant>"),
        Some(_) => fail(format!(
            "no image of {} has all that is asked for, and names do not know the os of {os}",
            system(job)
        ))
        .with_hint("build it by `larder build`, and declare what it is (docs/naming.md)"),
    }
    .usage()
}
