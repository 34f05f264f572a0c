//! An answer, for programs and for people.

use serde_json::{Value, json};

use crate::catalog::resolve::{Answer, Candidate, FULL, Missing};
use crate::catalog::{Requirements, Word};
use crate::cli::{CommandError, Table, count, fail, note};

/// For programs; docs/json.md has the fields.
pub(super) fn value(answer: &Answer<'_>, stale: Option<&str>) -> Value {
    let best = answer.candidates.first();
    let name_if = |is_it: bool| best.filter(|_| is_it).map(|best| best.name);
    json!({
        "needs_build": answer.needs_build,
        "best_image": name_if(!answer.needs_build),
        "best_base_image": name_if(answer.needs_build),
        "official_base": answer.official_base,
        "missing": missing(&answer.missing),
        "stale": stale,
        "candidates": answer.candidates.iter().map(candidate).collect::<Vec<_>>(),
        "candidate_count": answer.candidate_count,
    })
}

fn candidate(candidate: &Candidate<'_>) -> Value {
    let Candidate { name, offer, essential, extra, missing: lacks } = candidate;
    json!({
        "name": name,
        "names": offer.names.iter().map(|(name, _)| name).collect::<Vec<_>>(),
        "digest": offer.digest,
        "essential": essential,
        "extra": extra,
        "missing": missing(lacks),
        "problems": offer.problems(),
    })
}

pub(in crate::commands) fn missing(missing: &Missing<'_>) -> Value {
    let list = |words: &[&Word]| words.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "compiler": missing.compiler.as_ref().map(ToString::to_string),
        "variant": missing.suffixes.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "packages": list(&missing.packages),
        "tools": list(&missing.tools),
    })
}

/// What people should know of an answer; where an image has to be built, that is the error.
pub(super) fn tell(job: &Requirements, answer: &Answer<'_>, stale: Option<&str>) -> Result<(), CommandError> {
    let best = answer.candidates.first();
    if let Some(best) = best {
        tell_of(job, best);
        if let Some(stale) = stale {
            note(format_args!("{} is stale: {stale}", best.name));
        }
    }
    let (Some(best), is_built) = (best, answer.needs_build) else {
        let asked = system(job);
        let hint = answer.official_base.as_ref().map_or_else(String::new, |base| {
            format!("import the official {base}, and `larder ensure` builds on it; ")
        });
        return Err(fail(format!("no image here is {asked}"))
            .with_hint(format!("{hint}--explain says what the others are"))
            .exits(NO_SUCH_IMAGE));
    };
    let lacks = &best.missing;
    if !is_built {
        if !best.missing.is_nothing() {
            note(format_args!("{} lacks {lacks}", best.name));
        }
        return Ok(());
    }
    let (why, or) = if best.essential == FULL {
        (
            format!("no image has all that is asked for; {} comes nearest", best.name),
            "; without --strict-packages it is used as it is",
        )
    } else {
        let compiler = job.compiler.as_ref().map(ToString::to_string).unwrap_or_default();
        (format!("no image of {} has {compiler}; {} is the best base", system(job), best.name), "")
    };
    Err(fail(format!("{why}, which lacks {lacks}"))
        .with_hint(format!("`larder ensure` with the same options builds it on {}{or}", best.name))
        .exits(NO_SUCH_IMAGE))
}

/// What people should know of an image that is used.
pub(in crate::commands) fn tell_of(job: &Requirements, best: &Candidate<'_>) {
    if best.offer.problems() > 0 {
        let problems = count(best.offer.problems() as usize, "thing");
        note(format_args!(
            "{0}: {problems} in it cannot be read; `larder inspect --facts {0}` names them",
            best.name
        ));
    }
    let unasked: Vec<_> = best.offer.unasked(&job.suffixes).map(|suffix| suffix.to_string()).collect();
    if !unasked.is_empty() {
        note(format_args!("{} is for {}, which nobody asked for", best.name, unasked.join(", ")));
    }
}

/// As for any other image that is not there.
pub(in crate::commands) const NO_SUCH_IMAGE: u8 = 3;

/// `debian:12 for amd64 and of capy`.
pub(in crate::commands) fn system(job: &Requirements) -> String {
    let project = job.project.as_ref().map_or_else(String::new, |project| format!(" and of {project}"));
    format!("{} for {}{project}", job.os, job.arch)
}

/// All marks, for people.
pub(super) fn explain(answer: &Answer<'_>) {
    if !answer.candidates.is_empty() {
        let mut table = Table::new(&["CANDIDATE", ">ESSENTIAL", ">EXTRA", "LAST USED", ">USES", "LACKS"]);
        for candidate in &answer.candidates {
            let offer = candidate.offer;
            table.row([
                candidate.name.to_owned(),
                candidate.essential.to_string(),
                candidate.extra.to_string(),
                crate::commands::images::shown_time(offer.last_used),
                offer.use_count.to_string(),
                if candidate.missing.is_nothing() { "-".to_owned() } else { candidate.missing.to_string() },
            ]);
        }
        note(format_args!("{}", table.text()));
        more(answer.candidate_count, answer.candidates.len());
    }
    if !answer.rejected.is_empty() {
        let mut table = Table::new(&["NO CANDIDATE", "WHY"]);
        for (offer, why) in &answer.rejected {
            table.row([offer.name(None).unwrap_or_default().to_owned(), why.to_string()]);
        }
        note(format_args!("{}", table.text()));
        more(answer.rejected_count, answer.rejected.len());
    }
}

fn more(all: usize, shown: usize) {
    if all > shown {
        note(format_args!("… and {} more", all - shown));
    }
}
