//! Whether there is an image for a job, and else how one is made.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use larder_store::base::Base;
use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use larder_store::index;
use larder_store::policy::Policy;
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::super::pull;
use super::super::resolve::answer::{self, NO_SUCH_IMAGE, system};
use super::super::resolve::look::{self, Offers};
use super::from::From;
use super::plan::{self, Plan, Source, Words};
use super::remote::Remote;
use super::{Args, base};
use crate::build::ensure::{DEFINITION, apart, declared, definition, reference};
use crate::catalog::resolve::{Candidate, FULL, Lacking, Offer, official, resolve};
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
    /// Where other hosts may have made it.
    pub(super) remote: Option<Remote>,
    /// A name, and what the image has that the remote has of it: one that is made in its place shall have it, too.
    pub(super) theirs: RefCell<Option<(Reference, Words)>>,
}

impl<'a> Look<'a> {
    pub(super) fn new(
        context: &'a Context,
        args: &'a Args,
        store: &'a Store,
        policy: &'a Policy,
    ) -> Outcome<Look<'a>> {
        let remote = if args.dry_run { None } else { Remote::of(context)? };
        Ok(Look { context, args, store, policy, told: Cell::new(false), remote, theirs: RefCell::default() })
    }
}

/// Whether a new image has again what earlier jobs asked for of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Earlier {
    Kept,
    /// It cannot be had together with what this job asks for: that gets an image of its own.
    Apart,
}

/// What becomes of a job.
pub(super) enum Decision {
    /// An image is there. Where it is stale nothing can be built in its place.
    Found { name: String, stale: Option<String> },
    /// One is to be made.
    Build(Box<Plan>),
    /// None can be made here; another host may have made one.
    Fetch(Box<Plan>, Box<NoWay>),
}

/// Why nothing can be built, and what there is all the same.
pub(super) struct NoWay {
    error: CommandError,
    /// A stale image's name, and why it is stale.
    stale: Option<(String, String)>,
}

impl NoWay {
    /// What becomes of the job then. An old image works as any other, and the job is not to fail for its age.
    pub(super) fn end(self) -> Outcome<(String, String)> {
        let NoWay { error, stale } = self;
        let Some((name, why)) = stale.filter(|_| !error.is_stop()) else { return Err(error) };
        note(format_args!("{name} is stale ({why}), and nothing can be built in its place: {error}"));
        Ok((name, why))
    }
}

impl Decision {
    /// The name that the image has, or gets.
    pub(super) fn name(&self) -> String {
        match self {
            Decision::Found { name, .. } => name.clone(),
            Decision::Build(plan) | Decision::Fetch(plan, _) => plan.reference.familiar(),
        }
    }
}

impl Look<'_> {
    /// Looks at the store as it is now; where it has no base, and that is asked for, the official one is fetched.
    pub(super) fn decide(&self, job: &Requirements, earlier: Earlier) -> Outcome<Decision> {
        match self.decide_here(job, earlier) {
            Err(error) if self.fetch_base(job, &error)? => self.decide_here(job, earlier),
            decided => decided,
        }
    }

    /// Fetches the official base where it is what is missing, and that is asked for; whether it is there now.
    fn fetch_base(&self, job: &Requirements, missing: &CommandError) -> Outcome<bool> {
        // One of another architecture wants a name of its own, which is for people to give.
        let may_fetch = self.args.how.pull
            && self.args.base.is_none()
            && !self.args.dry_run
            && host().is_ok_and(|host| job.arch == host);
        let lacks_base = missing.is_exit(NO_SUCH_IMAGE);
        let Some(official) = official(&job.os).filter(|_| lacks_base && may_fetch) else { return Ok(false) };
        Ok(pull::fetch(self.context, self.store, &official, None)?)
    }

    /// What becomes of a job for which the remote has no image, either, and nothing can be built as it is.
    pub(super) fn without_remote(
        &self,
        job: &Requirements,
        earlier: Earlier,
        no_way: NoWay,
    ) -> Outcome<Decision> {
        let found = |(name, why)| Decision::Found { name, stale: Some(why) };
        if no_way.stale.is_some() || !self.fetch_base(job, &no_way.error)? {
            return no_way.end().map(found);
        }
        match self.decide_here(job, earlier)? {
            Decision::Fetch(_, no_way) => no_way.end().map(found),
            decided => Ok(decided),
        }
    }

    pub(super) fn decide_here(&self, job: &Requirements, earlier: Earlier) -> Outcome<Decision> {
        let mut offers = look::offers(self.context, self.store, &[job])?;
        if !self.told.replace(true) {
            offers.damaged.iter().for_each(|why| note(format_args!("{why}")));
        }
        // A compiler that is in an image need not be the one that is called there.
        let is_other = |offer: &Offer<'_>| {
            let can_be_built = job.project.is_some();
            job.compiler.as_ref().is_some_and(|asked| {
                offer.is_for_another_compiler(Some(asked)) || can_be_built && offer.is_undecided(asked)
            })
        };
        offers.all.sort_by_key(is_other);
        let those = &offers.all[..offers.all.partition_point(|offer| !is_other(offer))];
        let base = self.base(&offers)?;
        let on_base = base.as_ref().map(|base| base::made_on(offers.index(), base, those));
        let all = on_base.as_deref().unwrap_or(those);
        let answer = resolve(job, all, Lacking::Built, &mut look::damage(self.store));
        let mut stale = None;
        let unasked = |one: &Candidate<'_>| one.offer.unasked(&job.suffixes).count();
        let mut whole =
            answer.candidates.iter().filter(|one| one.is_whole() && one.essential == FULL).peekable();
        // One of another variant does not stand in for one that has become old.
        let least = whole.peek().map(|best| unasked(best));
        for whole in whole.filter(|one| Some(unasked(one)) == least) {
            let is_stale = offers.stale(self.store, self.policy, whole.name);
            match is_stale.or_else(|| self.rewritten(job, &offers, whole.name)) {
                None => {
                    answer::tell_of(job, whole);
                    return Ok(Decision::Found { name: whole.name.to_owned(), stale: None });
                }
                Some(why) => stale = stale.or(Some((whole.name.to_owned(), why))),
            }
        }
        let old = stale.as_ref().map(|(name, why)| (&**name, &**why));
        let found = |(name, why)| Decision::Found { name, stale: Some(why) };
        let mut plan = match self.begin(job, &offers, base.as_ref(), old, earlier) {
            Ok(plan) => plan,
            Err(error) => return NoWay { error, stale }.end().map(found),
        };
        match self.complete(&mut plan, &offers, base.as_ref(), old) {
            Ok(()) => Ok(Decision::Build(Box::new(plan))),
            Err(error) if self.remote.is_some() && !error.is_stop() => {
                Ok(Decision::Fetch(Box::new(plan), Box::new(NoWay { error, stale })))
            }
            Err(error) => NoWay { error, stale }.end().map(found),
        }
    }

    /// Where the Dockerfile of the job's own image stands, or would.
    fn definition(&self, job: &Requirements) -> PathBuf {
        let dir = self.args.definitions.as_deref().unwrap_or(Path::new(DEFINITION));
        dir.join(definition(job).unwrap_or_default())
    }

    /// Why an image that was made for this name is not what would be made now: its own Dockerfile is new, or another one.
    fn rewritten(&self, job: &Requirements, offers: &Offers<'_>, name: &str) -> Option<String> {
        let made_by = offers.entry(name)?.annotation(index::DOCKERFILE)?;
        let own = declared(job).name()?.to_string();
        let is_own = name.parse::<Reference>().is_ok_and(|name| name.familiar_name() == own);
        let path = self.definition(job);
        let text = plan::own(&path).ok().filter(|_| is_own)??;
        let is_same = Digest::of(text.as_bytes()).to_string() == made_by;
        (!is_same).then(|| format!("{} is not what it was made by", path.display()))
    }

    /// `--base`, by its name.
    fn base(&self, offers: &Offers<'_>) -> Outcome<Option<Reference>> {
        let Some(query) = &self.args.base else { return Ok(None) };
        let entry = self.store.resolve(offers.index(), query)?;
        Ok(Some(Base::from_entry(&entry)?.name))
    }

    /// What is to be made, and its own Dockerfile where it has one.
    fn begin(
        &self,
        job: &Requirements,
        offers: &Offers<'_>,
        base: Option<&Reference>,
        stale: Option<(&str, &str)>,
        earlier: Earlier,
    ) -> Outcome<Plan> {
        let host = host()?;
        let mut job = job.clone();
        if let Some((name, _)) = stale
            && job.project.is_none()
        {
            job.project = project_of(offers, name);
        }
        let mut reference = reference(&job, &host, base).ok_or_else(|| nameless(&job))?;
        if earlier == Earlier::Apart {
            reference = apart(&reference, &job).unwrap_or(reference);
        }
        let now = offers.index().named(&reference).next();
        let before = now.map(|entry| Declared::of(&entry.annotations)).unwrap_or_default();
        let why = match stale {
            Some((name, why)) => format!("{name} is stale ({why})"),
            None => format!("no image of {} has all that is asked for", system(&job)),
        };
        let mut plan = Plan {
            declared: declared(&job),
            reference,
            source: Source::Generated(String::new()),
            base: None,
            why,
            missing: String::new(),
            notes: Vec::new(),
            installs_earlier: false,
            earlier: Words { packages: before.packages, tools: before.tools },
            job,
        };
        let path = self.definition(&plan.job);
        if let Some(text) = plan::own(&path)? {
            plan.source = Source::Own { path, text };
            return Ok(plan);
        }
        // What other jobs found there, or at the remote, they shall find again.
        if let Some((_, words)) = self.theirs.borrow().as_ref().filter(|(of, _)| *of == plan.reference) {
            plan.earlier.add(words);
        }
        plan.earlier.leave_out(&plan.job);
        plan.job.packages.extend(plan.earlier.packages.iter().cloned());
        plan.job.tools.extend(plan.earlier.tools.iter().cloned());
        plan.declared = declared(&plan.job);
        plan::check(&plan.job)?;
        Ok(plan)
    }

    /// Upon what it is made, where it has no Dockerfile of its own.
    fn complete(
        &self,
        plan: &mut Plan,
        offers: &Offers<'_>,
        base: Option<&Reference>,
        stale: Option<(&str, &str)>,
    ) -> Outcome {
        if plan.source.path().is_some() {
            return Ok(());
        }
        let (host, path) = (host()?, self.definition(&plan.job));
        let wanted = Requirements { project: None, ..plan.job.clone() };
        // What was looked at was asked for the words of this job alone.
        let again;
        let offers = match plan.earlier.is_empty() {
            true => offers,
            false => {
                again = look::offers(self.context, self.store, &[&wanted])?;
                &again
            }
        };
        let from = From {
            offers,
            base,
            stale: stale.map(|(name, _)| name),
            path: &path,
            host: &host,
            compiler: wanted.compiler.as_ref(),
        };
        from.generate(self, &wanted, plan)
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
