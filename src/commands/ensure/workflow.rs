//! `larder ensure --workflow`: an image for each entry of a workflow's jobs, as options of act.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use larder_store::settings::settings_of;
use serde_json::json;

use super::super::resolve::answer::NO_SUCH_IMAGE;
use super::super::resolve::workflow::{bound, jobs, options, tell_container, value};
use super::decide::{Decision, Earlier, Look};
use super::give::Give;
use super::make::Ensured;
use super::{Args, Format, show};
use crate::catalog::Requirements;
use crate::catalog::workflow::JobNeeds;
use crate::cli::{Context, Outcome, count, fail, print_json};

pub(super) fn run(context: &Context, args: &Args, path: &Path) -> Outcome {
    let jobs = jobs(context, &args.asking, path)?;
    let store = context.store()?;
    let give = Give::prepared(context, args, &store)?;
    let policy = settings_of(&store)?.policy;
    let look = Look::new(context, args, &store, &policy)?;
    let mut decided: Vec<Decided<'_>> = Vec::new();
    for (needs, job) in &jobs {
        context.cancel.check()?;
        // Many entries of a matrix ask for the same.
        if decided.iter().all(|known| known.job != job) {
            let decision = told(needs, look.decide(job, Earlier::Kept))?;
            decided.push(Decided { needs, job, decision });
        }
    }
    let served = served(&decided);
    if args.format == Format::Text {
        // Before anything is built: what no option can say is of use to nobody.
        let name = |job: &Requirements| {
            let at = decided.iter().position(|known| known.job == job)?;
            decided[served[at].unwrap_or(at)].decision.as_ref().ok().map(Decision::name)
        };
        let named: Vec<_> = jobs.iter().map(|(needs, job)| (needs, name(job))).collect();
        bound(&named.iter().map(|(needs, name)| (*needs, name.as_deref())).collect::<Vec<_>>())?;
    }
    let mut no_base =
        decided.iter().all(|known| matches!(known.decision, Err(true) | Ok(Decision::Fetch(..))));
    let mut done: Vec<(&Requirements, Option<Ensured>)> = Vec::new();
    let mut rest = Vec::new();
    let names: Vec<_> = decided.iter().map(|one| one.decision.as_ref().ok().map(Decision::name)).collect();
    for (Decided { needs, job, decision }, server) in decided.into_iter().zip(&served) {
        match (decision, server) {
            (Err(_), _) => done.push((job, None)),
            (Ok(decision), None) => {
                let ended = told(needs, look.carry_out(job, decision))?;
                no_base &= matches!(ended, Err(true));
                done.push((job, ended.ok()));
            }
            (Ok(_), Some(server)) if args.dry_run => {
                let name = names[*server].clone().unwrap_or_default();
                done.push((job, Some(Ensured::Found { name, stale: None })));
            }
            (Ok(_), Some(_)) => rest.push((needs, job)),
        }
    }
    for (needs, job) in rest {
        done.push((job, told(needs, look.ensure(job))?.ok()));
    }
    let of =
        |job: &Requirements| done.iter().find(|(known, _)| *known == job).and_then(|(_, one)| one.as_ref());
    let failed = jobs.iter().filter(|(_, job)| of(job).is_none()).count();
    let images: BTreeSet<_> = done.iter().filter_map(|(_, one)| Some(one.as_ref()?.name())).collect();
    let images: Vec<_> = images.into_iter().collect();
    let handed: HashMap<_, _> = images.iter().cloned().zip(give.give(&images)?).collect();
    match args.format {
        Format::Json => {
            let rows: Vec<_> = jobs
                .iter()
                .map(|(needs, job)| {
                    let image = of(job).map(|ensured| {
                        let mut value = ensured.value();
                        handed
                            .get(&ensured.name())
                            .iter()
                            .for_each(|name| value["engine_name"] = json!(name));
                        value
                    });
                    value(needs, "image", json!(image))
                })
                .collect();
            print_json(&rows)?;
        }
        Format::Text if args.dry_run => {
            for (_, ensured) in &done {
                if let Some(Ensured::Planned(plan)) = ensured {
                    show(plan)?;
                }
            }
        }
        Format::Text => {
            let named: Vec<_> = jobs.iter().map(|(needs, job)| (needs, of(job).map(Ensured::name))).collect();
            let pairs: Vec<_> = named.iter().map(|(needs, name)| (*needs, name.as_deref())).collect();
            options(&pairs)?;
            let mut told = BTreeSet::new();
            for (needs, image) in &pairs {
                image.iter().for_each(|image| tell_container(needs, image, &mut told));
            }
        }
    }
    if failed == 0 {
        return Ok(());
    }
    let error = fail(format!("there is no image for {failed} of {}", count(jobs.len(), "job")));
    Err(match () {
        () if failed < jobs.len() => error.in_part(),
        () if no_base => error.exits(NO_SUCH_IMAGE),
        () => error,
    })
}

/// What some entries ask for, and what is to become of it; an error that was told, and whether it was that there is no base.
struct Decided<'a> {
    needs: &'a JobNeeds,
    job: &'a Requirements,
    decision: Result<Decision, bool>,
}

/// Which entries get by with the image that is made for another one: they need not be built, and share its name.
fn served(decided: &[Decided<'_>]) -> Vec<Option<usize>> {
    let planned: Vec<_> = decided
        .iter()
        .map(|one| matches!(one.decision, Ok(Decision::Build(_) | Decision::Fetch(..))))
        .collect();
    let does = |server: &Requirements, job: &Requirements| {
        let alone = Requirements {
            compiler: job.compiler.clone().or_else(|| server.compiler.clone()),
            packages: job.packages.union(&server.packages).cloned().collect(),
            tools: job.tools.union(&server.tools).cloned().collect(),
            ..job.clone()
        };
        alone == *server
    };
    let server = |at: usize| {
        let mut others = (0..decided.len()).filter(|other| planned[*other] && *other != at);
        others.find(|other| planned[at] && does(decided[*other].job, decided[at].job))
    };
    let first: Vec<_> = (0..decided.len()).map(server).collect();
    // The one that serves a server serves both.
    let last = |mut at: usize| {
        while let Some(next) = first[at] {
            at = next;
        }
        at
    };
    (0..decided.len()).map(|at| first[at].map(last)).collect()
}

/// Tells why an entry gets no image, which stops none of the others; whether it was that there is no base.
fn told<T>(needs: &JobNeeds, outcome: Outcome<T>) -> Outcome<Result<T, bool>> {
    match outcome {
        Err(error) if error.is_stop() => Err(error),
        Err(error) => {
            error.tell(&format!("{}: ", needs.shown()));
            Ok(Err(error.is_exit(NO_SUCH_IMAGE)))
        }
        Ok(done) => Ok(Ok(done)),
    }
}
