//! `larder resolve --workflow`: an image for each entry of a workflow's jobs, as options of act.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;

use larder_store::descriptor::Platform;
use larder_store::reference::Reference;
use larder_store::settings::settings_of;
use serde_json::{Map, Value, json};

use super::{Args, Asking, Format, answer, file, look};
use crate::catalog::resolve::{Answer, Lacking, resolve};
use crate::catalog::workflow::{Choice, Fault, JobNeeds, Workflow};
use crate::catalog::{Arch, Asked, Requirements};
use crate::cli::{CommandError, Context, Outcome, count, fail, line, note, print_json, safe};

/// `KEY=VALUE`.
pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(key, _)| !key.is_empty());
    pair.map(|(key, value)| (key.to_owned(), value.to_owned()))
        .ok_or_else(|| "expected KEY=VALUE, such as compiler=gcc".to_owned())
}

pub(super) fn run(context: &Context, args: &Args, path: &Path) -> Outcome {
    let jobs = jobs(context, &args.asking, path)?;
    let store = context.store()?;
    let asked: Vec<_> = jobs.iter().map(|(_, job)| job).collect();
    let policy = settings_of(&store)?.policy;
    let offers = look::offers(context, &store, &asked)?;
    offers.damaged.iter().for_each(|why| note(format_args!("{why}")));
    let lacking = if args.strict_packages { Lacking::Built } else { Lacking::Used };
    let mut damage = look::damage(&store);
    let mut answers: Vec<Answered<'_>> = Vec::new();
    for (needs, job) in &jobs {
        context.cancel.check()?;
        // Many entries of a matrix ask for the same.
        let known = answers.iter().find(|known| known.job == job);
        let (answer, stale) = known.map_or_else(
            || {
                let answer = resolve(job, &offers.all, lacking, &mut damage);
                let best = answer.candidates.first();
                let stale = best.and_then(|best| offers.stale(&store, &policy, best.name));
                (Rc::new(answer), stale)
            },
            |known| (known.answer.clone(), known.stale.clone()),
        );
        answers.push(Answered { needs, job, answer, stale });
    }
    if args.explain {
        for Answered { needs, answer, .. } in &answers {
            note(format_args!("{}", needs.shown()));
            answer::explain(answer);
        }
    }
    match args.format {
        Format::Json => {
            let row = |Answered { needs, answer, stale, .. }: &Answered<'_>| {
                value(needs, "answer", answer::value(answer, stale.as_deref()))
            };
            print_json(&answers.iter().map(row).collect::<Vec<_>>())?;
        }
        Format::Text => {
            let images: Vec<_> = answers.iter().map(|one| (one.needs, image(&one.answer))).collect();
            options(&images)?;
        }
    }
    tell(&answers)
}

/// Entries, with what each needs.
pub(in crate::commands) type Jobs = Vec<(JobNeeds, Requirements)>;

/// What the entries of a workflow need, with what the flags say. What is passed over is told.
pub(in crate::commands) fn jobs(context: &Context, asking: &Asking, path: &Path) -> Outcome<Jobs> {
    let flags = asking.flags()?;
    let shown = path.display();
    let refused = |fault: &Fault| {
        let error = fail(format!("{shown}: {fault}"));
        fault.hint().into_iter().fold(error, CommandError::with_hint).usage()
    };
    let text = file::text(path, &context.cancel)?;
    let choice =
        Choice { job: asking.job.as_deref(), compiler: flags.compiler.as_ref(), matrix: &asking.matrix };
    let read = Workflow::read(&text, &choice, &context.cancel);
    context.cancel.check()?;
    let Workflow { needs, passed_over } = read.map_err(|fault| refused(&fault))?;
    let (jobs, no_os) = whole(needs, &flags)?;
    match no_os.first() {
        Some(fault) if jobs.is_empty() => return Err(refused(fault)),
        _ => passed_over
            .iter()
            .chain(&no_os)
            .for_each(|fault| note(format_args!("passed over: {shown}: {fault}"))),
    }
    Ok(jobs)
}

/// An entry with its answer.
struct Answered<'a> {
    needs: &'a JobNeeds,
    job: &'a Requirements,
    answer: Rc<Answer<'a>>,
    /// Why the best image should be made anew.
    stale: Option<String>,
}

/// What each entry needs with what the flags say, and why entries have no os.
fn whole(needs: Vec<JobNeeds>, flags: &Asked) -> Outcome<(Jobs, Vec<Fault>)> {
    let refused = |why: String| CommandError::usage(fail(why));
    let host: Arch = Platform::host().architecture.parse().map_err(refused)?;
    let (mut jobs, mut no_os) = (Vec::new(), Vec::new());
    for mut needs in needs {
        let shown = needs.shown();
        let asked =
            flags.clone().and(std::mem::take(&mut needs.asked), ["the flags", &shown]).map_err(refused)?;
        if let (None, Some(fault)) = (&asked.os, needs.no_os.take()) {
            no_os.push(fault);
            continue;
        }
        let job = asked.whole(host.clone()).map_err(|why| refused(format!("{shown}: {why}")))?;
        jobs.push((needs, job));
    }
    Ok((jobs, no_os))
}

/// The image, where one will do.
fn image<'a>(answer: &Answer<'a>) -> Option<&'a str> {
    answer.candidates.first().filter(|_| !answer.needs_build).map(|best| best.name)
}

/// One `-P` for each label. act has one image for a label or a container, so two are refused. It takes a container of a job
/// whatever its label's image is, but asks for one where the label has none: then it gets any.
pub(in crate::commands) fn options(images: &[(&JobNeeds, Option<&str>)]) -> Outcome {
    bound(images)?.into_iter().try_for_each(line)
}

/// The options, a line each.
pub(in crate::commands) fn bound(images: &[(&JobNeeds, Option<&str>)]) -> Outcome<Vec<String>> {
    let mut taken: BTreeMap<&str, (&JobNeeds, &str)> = BTreeMap::new();
    for (needs, image) in images {
        let Some(image) = image else { continue };
        let place = needs.container.as_ref().unwrap_or(&needs.label);
        let (first, other) = *taken.entry(place).or_insert((needs, image));
        if other != *image {
            return Err(apart(place, [(first, other), (needs, image)]));
        }
    }
    let needs_label = |needs: &JobNeeds| needs.container.is_none();
    let labelled: BTreeSet<&str> =
        images.iter().filter(|(needs, _)| needs_label(needs)).map(|(needs, _)| &*needs.label).collect();
    let mut labels = BTreeSet::new();
    let option = |(needs, image): &(&JobNeeds, Option<&str>)| {
        let is_theirs = needs_label(needs) || !labelled.contains(&*needs.label);
        let image = image.filter(|_| is_theirs && labels.insert(needs.label.to_string()))?;
        Some(format!("-P {}={image}", needs.label))
    };
    Ok(images.iter().filter_map(option).collect())
}

fn apart(place: &str, [(a, image_a), (b, image_b)]: [(&JobNeeds, &str); 2]) -> CommandError {
    let hint = match a.entry.apart(&b.entry) {
        _ if a.job != b.job => [&a.job, &b.job].map(|job| Some(format!("--job {}", quoted(job)?))),
        Some((key, values)) => {
            values.map(|value| Some(format!("--matrix {}", quoted(&format!("{key}={value}"))?)))
        }
        None => [None, None],
    };
    let hint = match hint {
        [Some(a), Some(b)] => format!("choose one with {a} or {b}"),
        _ => "--format json lists all".to_owned(),
    };
    let [a, b] = [a.shown(), b.shown()];
    let place = safe(place);
    fail(format!("{place} would have to be two images at once: {image_a} for {a}, and {image_b} for {b}"))
        .with_hint(hint)
        .usage()
}

/// As a word for a shell; none where no word on one line can say it.
fn quoted(text: &str) -> Option<String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+@=".contains(&b);
    match () {
        () if text.chars().any(char::is_control) => None,
        () if !text.is_empty() && text.bytes().all(is_plain) => Some(text.to_owned()),
        () => Some(format!("'{}'", text.replace('\'', "'\\''"))),
    }
}

/// An entry, for programs, with what was found for it under a name of its own; docs/json.md has the fields.
pub(in crate::commands) fn value(needs: &JobNeeds, name: &str, found: Value) -> Value {
    let matrix: Map<String, Value> =
        needs.entry.pairs().map(|(key, value)| (key.to_owned(), json!(&*value))).collect();
    let mut value = json!({
        "job": needs.job,
        "matrix": matrix,
        "label": &*needs.label,
        "container": needs.container.as_deref(),
    });
    value[name] = found;
    value
}

/// What people should know of each entry; that some need a build is the error.
fn tell(answers: &[Answered<'_>]) -> Outcome {
    let (mut built, mut containers) = (0, BTreeSet::new());
    for Answered { needs, job, answer, stale } in answers {
        if let Err(error) = answer::tell(job, answer, stale.as_deref()) {
            error.tell(&format!("{}: ", needs.shown()));
            built += 1;
        }
        image(answer).into_iter().for_each(|image| tell_container(needs, image, &mut containers));
    }
    match built {
        0 => Ok(()),
        _ => {
            let all = count(answers.len(), "job");
            Err(fail(format!("there is no image for {built} of {all}")).exits(answer::NO_SUCH_IMAGE))
        }
    }
}

/// Says, once for each container and image, what act takes for a job with a container of its own.
pub(in crate::commands) fn tell_container(
    needs: &JobNeeds,
    image: &str,
    told: &mut BTreeSet<(String, String)>,
) {
    let Some(container) = &needs.container else { return };
    if told.insert((container.to_string(), image.to_owned())) {
        let what = match container.parse::<Reference>() {
            Ok(_) => format!("larder export --to-docker {image} --as {container}"),
            Err(_) => format!("larder cannot give {image} the name {:?}", &**container),
        };
        note(format_args!("{}: act takes its container whatever -P says: {what}", needs.shown()));
    }
}
