//! Which stages a target needs, in their order, and from what each is made.

use std::collections::BTreeSet;

use larder_store::reference::Reference;

use super::args::{Given, Globals};
use super::dockerfile::{Dockerfile, Instruction, Stage, Step};
use super::expand;
use super::expanded::misspelt;
use super::problem::Problem;

/// What is to be done. Stages keep their numbers in the file: those that nothing needs are left out.
#[derive(Debug)]
pub(crate) struct Plan {
    /// What escapes in words.
    pub(crate) escape: char,
    /// ARG before the first FROM.
    pub(crate) globals: Globals,
    /// In their order; the last is the target.
    pub(crate) stages: Vec<Planned>,
    /// What was given with `--build-arg` and no ARG asks for: to be told, as Docker does, unless a trigger asks for it.
    pub(crate) unused: Vec<String>,
    /// Number, name and line of all stages, also of those that are left out.
    names: Vec<(Option<String>, usize)>,
}

/// A stage that is needed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Its number in the file, from 0.
    pub(crate) number: usize,
    /// Where its FROM stands.
    pub(crate) line: usize,
    /// From what.
    pub(crate) base: Base,
    /// `--platform`, if any.
    pub(crate) platform: Option<String>,
    /// What is done.
    pub(crate) steps: Vec<Step>,
}

/// What FROM begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// A stage before.
    Stage(usize),
    /// An image, as written.
    Image(String),
}

/// What `COPY --from` reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// A stage before.
    Stage(usize),
    /// An image, as written.
    Image(String),
}

/// Plans a build. `target` is a stage's name or number; else the last.
pub(crate) fn plan(
    dockerfile: &Dockerfile,
    target: Option<&str>,
    given: Given,
) -> Result<Plan, Vec<Problem>> {
    let names = names_of(dockerfile);
    let globals = Globals::of(dockerfile, given.clone()).map_err(|problem| vec![problem])?;
    let mut problems = misspelt(dockerfile);
    let mut planned = Vec::new();
    let mut needs: Vec<BTreeSet<usize>> = Vec::new();
    for (number, stage) in dockerfile.stages.iter().enumerate() {
        let mut needed = BTreeSet::new();
        match base(&names, number, stage, dockerfile.escape, &globals) {
            Ok((base, platform)) => {
                needed.extend(if let Base::Stage(before) = base { Some(before) } else { None });
                let (line, steps) = (stage.from.line, stage.steps.clone());
                planned.push(Planned { number, line, base, platform, steps });
            }
            Err(problem) => problems.push(problem),
        }
        for step in &stage.steps {
            match step_origin(&names, number, step) {
                Ok(Some(Origin::Stage(before))) => drop(needed.insert(before)),
                Ok(_) => {}
                Err(problem) => problems.push(problem),
            }
        }
        needs.push(needed);
    }
    let target = chosen(&names, target).unwrap_or_else(|problem| {
        problems.push(problem);
        0
    });
    if !problems.is_empty() {
        problems.sort_by_key(Problem::line);
        return Err(problems);
    }
    let kept = reached(&needs, target);
    planned.retain(|stage| kept.contains(&stage.number));
    let unused = given.unused(|name| is_declared(dockerfile, &planned, name));
    Ok(Plan { escape: dockerfile.escape, globals, stages: planned, unused, names })
}

/// The images that all stages begin with or copy from, as far as that can be said of a Dockerfile that may be wrong elsewhere. A name that
/// is made of variables counts where something is left of it.
pub(crate) fn named(dockerfile: &Dockerfile, given: Given) -> Vec<String> {
    let names = names_of(dockerfile);
    let globals = Globals::of(dockerfile, given).unwrap_or_default();
    let mut found = Vec::new();
    for (number, stage) in dockerfile.stages.iter().enumerate() {
        let is_known = |name: &String| !stage.from.base.contains('$') || name.parse::<Reference>().is_ok();
        match base(&names, number, stage, dockerfile.escape, &globals) {
            Ok((Base::Image(name), _)) if is_known(&name) => found.push(name),
            // No name, which is for others to say.
            Err(_) if !stage.from.base.contains('$') => found.push(stage.from.base.clone()),
            _ => {}
        }
        for step in &stage.steps {
            if let Ok(Some(Origin::Image(name))) = step_origin(&names, number, step) {
                found.push(name);
            }
        }
    }
    found
}

impl Plan {
    /// The name of a stage, if it has one.
    pub(crate) fn name(&self, stage: usize) -> Option<&str> {
        self.names.get(stage)?.0.as_deref()
    }

    /// What `COPY --from` of a step reads, also of one that a base image's trigger brought.
    pub(crate) fn origin(&self, stage: usize, step: &Step) -> Result<Option<Origin>, Problem> {
        let origin = step_origin(&self.names, stage, step)?;
        match origin {
            Some(Origin::Stage(number)) if !self.stages.iter().any(|stage| stage.number == number) => {
                Err(Problem::new(
                    step.line,
                    step.text.clone(),
                    "a trigger of the base image needs a stage that nothing else needs",
                )
                .with_hint("name the stage in a COPY --from of this file"))
            }
            origin => Ok(origin),
        }
    }
}

/// The number of the stage that is wanted: by its name or number; else the last.
pub(crate) fn target(dockerfile: &Dockerfile, wanted: Option<&str>) -> Result<usize, Problem> {
    chosen(&names_of(dockerfile), wanted)
}

fn names_of(dockerfile: &Dockerfile) -> Vec<(Option<String>, usize)> {
    dockerfile.stages.iter().map(|stage| (stage.from.name.clone(), stage.from.line)).collect()
}

/// The stages that a target needs, with itself. All that a stage needs is before it: there are no cycles.
fn reached(needs: &[BTreeSet<usize>], target: usize) -> BTreeSet<usize> {
    let mut kept = BTreeSet::from([target]);
    for number in (0..=target).rev() {
        if kept.contains(&number) {
            kept.extend(&needs[number]);
        }
    }
    kept
}

fn is_declared(dockerfile: &Dockerfile, planned: &[Planned], name: &str) -> bool {
    dockerfile.globals.iter().any(|(_, known, _)| known == name)
        || planned.iter().flat_map(|stage| &stage.steps).any(|step| step.declares(name))
}

fn base(
    names: &[(Option<String>, usize)],
    number: usize,
    stage: &Stage,
    escape: char,
    globals: &Globals,
) -> Result<(Base, Option<String>), Problem> {
    let from = &stage.from;
    let problem = |why: String| Problem::new(from.line, format!("FROM {}", from.base), why);
    let expand = |text: &String| expand::word(text, escape, &|name| globals.value(name)).map_err(&problem);
    let base = expand(&from.base)?;
    let platform = from.platform.as_ref().map(expand).transpose()?.filter(|platform| !platform.is_empty());
    if base.is_empty() {
        return Err(problem("no image is left of it".to_owned())
            .with_hint("give its ARG a default before the first FROM, or a value with --build-arg"));
    }
    let name = base.to_lowercase();
    // A stage's own name, or a later one's, is an image's here: FROM debian AS debian.
    let before = names[..number].iter().position(|(known, _)| known.as_deref() == Some(&*name));
    let base = match before {
        Some(before) => Base::Stage(before),
        None if base == "scratch" => Base::Scratch,
        None => Base::Image(base),
    };
    Ok((base, platform))
}

fn step_origin(
    names: &[(Option<String>, usize)],
    stage: usize,
    step: &Step,
) -> Result<Option<Origin>, Problem> {
    let Instruction::Copy(copy) = &step.instruction else { return Ok(None) };
    let Some(from) = &copy.from else { return Ok(None) };
    let problem = |why: String| Problem::new(step.line, format!("COPY --from={from}"), why);
    if from.is_empty() {
        return Err(problem("the stage or image is missing".to_owned()));
    }
    if from.contains('$') {
        return Err(problem("variables are not expanded here".to_owned())
            .with_hint("name a stage, and use the variable in that stage's FROM"));
    }
    match number_of(names, from) {
        Some(number) if number < stage => Ok(Some(Origin::Stage(number))),
        Some(number) if number == stage => Err(problem("a stage cannot copy from itself".to_owned())),
        Some(number) if number < names.len() => {
            let line = names[number].1;
            Err(problem(format!("that stage comes later, on line {line}"))
                .with_hint("put the stage that is copied from first"))
        }
        Some(_) => Err(problem(format!("stages are numbered from 0 to {}", names.len() - 1))),
        None => Ok(Some(Origin::Image(from.clone()))),
    }
}

/// The stage of this name or number; the number may be too great.
fn number_of(names: &[(Option<String>, usize)], text: &str) -> Option<usize> {
    let name = text.to_lowercase();
    let by_name = names.iter().position(|(known, _)| known.as_deref() == Some(&*name));
    by_name.or_else(|| text.parse().ok())
}

fn chosen(names: &[(Option<String>, usize)], target: Option<&str>) -> Result<usize, Problem> {
    let Some(target) = target else { return Ok(names.len() - 1) };
    number_of(names, target).filter(|number| *number < names.len()).ok_or_else(|| {
        let known: Vec<_> = names.iter().filter_map(|(name, _)| name.as_deref()).collect();
        let known =
            if known.is_empty() { String::new() } else { format!("; named are {}", known.join(", ")) };
        Problem::of_file(
            format!("--target {target}"),
            format!("there is no such stage; they are numbered from 0 to {}{known}", names.len() - 1),
        )
    })
}

#[cfg(test)]
mod tests;
