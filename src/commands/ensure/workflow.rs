//! `larder ensure --workflow`: an image for each entry of a workflow's jobs, as options of act.

use std::collections::BTreeSet;
use std::path::Path;

use larder_store::settings::settings_of;
use serde_json::json;

use super::super::resolve::workflow::{jobs, options, tell_container, value};
use super::decide::Look;
use super::give::Give;
use super::make::Ensured;
use super::{Args, Format, show};
use crate::catalog::Requirements;
use crate::cli::{Context, Outcome, count, fail, print_json};

pub(super) fn run(context: &Context, args: &Args, path: &Path) -> Outcome {
    let jobs = jobs(context, &args.asking, path)?;
    let store = context.store()?;
    let give = Give::prepared(context, args, &store)?;
    let policy = settings_of(&store)?.policy;
    let look = Look { context, args, store: &store, policy: &policy, told: Default::default() };
    let mut done: Vec<(&Requirements, Option<Ensured>)> = Vec::new();
    let mut failed = 0;
    for (needs, job) in &jobs {
        context.cancel.check()?;
        // Many entries of a matrix ask for the same.
        let known = done.iter().position(|(known, _)| *known == job);
        if known.is_none() {
            let ensured = match look.ensure(job) {
                Err(error) if error.is_stop() => return Err(error),
                Err(error) => {
                    error.tell(&format!("{}: ", needs.shown()));
                    None
                }
                Ok(ensured) => Some(ensured),
            };
            done.push((job, ensured));
        }
        let (_, ensured) = &done[known.unwrap_or(done.len() - 1)];
        failed += usize::from(ensured.is_none());
    }
    let of =
        |job: &Requirements| done.iter().find(|(known, _)| *known == job).and_then(|(_, one)| one.as_ref());
    let images: BTreeSet<_> = done.iter().filter_map(|(_, one)| Some(one.as_ref()?.name())).collect();
    give.give(&images.into_iter().collect::<Vec<_>>())?;
    match args.format {
        Format::Json => {
            let rows: Vec<_> = jobs
                .iter()
                .map(|(needs, job)| value(needs, "image", json!(of(job).map(Ensured::value))))
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
    Err(if failed < jobs.len() { error.in_part() } else { error })
}
