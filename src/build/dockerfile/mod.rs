//! A Dockerfile's text as stages of typed steps. All that is wrong with it is told at once.

mod flags;
mod heredoc;
mod lines;
mod pairs;
mod read;
mod step;
#[cfg(test)]
mod tests;

use std::ops::Range;

use super::problem::Problem;
use lines::Line;
pub(crate) use step::{Command, Copy, HealthCheck, HereDoc, Instruction, Run, Step};

/// A Dockerfile that can be read, and has nothing in it that is not supported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Dockerfile {
    /// What escapes: `\` or, by a directive, `` ` ``.
    pub(crate) escape: char,
    /// ARG before the first FROM: names, defaults and lines.
    pub(crate) globals: Vec<(usize, String, Option<String>)>,
    /// The stages in their order; there is at least one.
    pub(crate) stages: Vec<Stage>,
}

/// What FROM says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct From {
    /// The line on which it stands.
    pub(crate) line: usize,
    /// An image, a stage before, or `scratch`, as written.
    pub(crate) base: String,
    /// `--platform`, as written.
    pub(crate) platform: Option<String>,
    /// Its name in small letters.
    pub(crate) name: Option<String>,
}

/// A stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    /// From what.
    pub(crate) from: From,
    /// What is done.
    pub(crate) steps: Vec<Step>,
}

/// What can be read of a Dockerfile, whatever else is in it.
#[derive(Debug)]
pub(crate) struct Readable {
    /// All that is understood; there may be no stage.
    pub(crate) dockerfile: Dockerfile,
    /// What is wrong with the rest.
    pub(crate) problems: Vec<Problem>,
    /// The instructions that are wrong, as written, with their continued lines joined.
    pub(crate) unread: Vec<String>,
}

/// Reads a Dockerfile.
pub(crate) fn parse(text: &str) -> Result<Dockerfile, Vec<Problem>> {
    let Readable { dockerfile, mut problems, .. } = readable(text);
    if dockerfile.stages.is_empty() && problems.is_empty() {
        problems.push(Problem::of_file("no FROM", "an image is made from another, or from scratch"));
    }
    match problems.is_empty() {
        true => Ok(dockerfile),
        false => Err(problems),
    }
}

/// Reads what can be read.
pub(crate) fn readable(text: &str) -> Readable {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut problems, mut unread) = (Vec::new(), Vec::new());
    let escape = directives(text).unwrap_or_else(|problem| {
        problems.push(problem);
        '\\'
    });
    let mut globals = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for line in lines::split(text, escape, &mut problems) {
        let Line { number, text, .. } = &line;
        match (read::read(&line, escape), stages.last_mut()) {
            (Err(problem), _) => {
                problems.push(problem);
                unread.push(text.clone());
            }
            (Ok(read::Read::From(from)), _) => {
                let (from, problem) = named(from, &stages);
                problems.extend(problem);
                stages.push(Stage { from, steps: Vec::new() });
            }
            (Ok(read::Read::Instruction(instruction)), Some(stage)) => {
                stage.steps.push(Step { line: *number, text: text.clone(), instruction });
            }
            (Ok(read::Read::Instruction(Instruction::Arg(names))), None) => {
                globals.extend(names.into_iter().map(|(name, default)| (*number, name, default)));
            }
            (Ok(read::Read::Instruction(other)), None) => problems.push(
                Problem::new(*number, other.keyword(), "there is no FROM before it")
                    .with_hint("only ARG may stand before the first FROM"),
            ),
        }
    }
    Readable { dockerfile: Dockerfile { escape, globals, stages }, problems, unread }
}

/// The lines that each FROM takes, counted from 0; also where the Dockerfile cannot be built.
pub(crate) fn froms(text: &str) -> Vec<Range<usize>> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = lines::split(text, directives(text).unwrap_or('\\'), &mut Vec::new());
    let froms = lines.iter().filter(|line| lines::word(&line.text).0.eq_ignore_ascii_case("from"));
    froms.map(|line| line.number - 1..line.end).collect()
}

/// The instructions of a text, whatever is wrong with them: their lines joined, without comments and heredocs.
pub(crate) fn instructions(text: &str) -> Vec<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let escape = directives(text).unwrap_or('\\');
    lines::split(text, escape, &mut Vec::new()).into_iter().map(|line| line.text).collect()
}

/// A trigger that a base image brings, as a step of the line with its FROM.
pub(crate) fn trigger(line: usize, text: &str) -> Result<Step, Problem> {
    let text = text.trim().to_owned();
    let line = Line { number: line, end: line, text, heredocs: Vec::new() };
    match read::read(&line, '\\')? {
        read::Read::Instruction(instruction) => Ok(Step { line: line.number, text: line.text, instruction }),
        read::Read::From(_) => {
            Err(Problem::new(line.number, "ONBUILD FROM of the base image", "Docker allows no such trigger"))
        }
    }
}

/// What the comments at the head say: the character that escapes. Another frontend than Docker's is refused.
fn directives(text: &str) -> Result<char, Problem> {
    let head: String = text.split_inclusive('\n').take_while(|line| line.starts_with('#')).collect();
    let read = parse_dockerfile::parse(&format!("{head}\nFROM x\n"))
        .map(|head| {
            let syntax = head
                .parser_directives
                .syntax
                .map(|syntax| (syntax.value.span.start, syntax.value.value.to_owned()));
            (syntax, head.parser_directives.escape.map(|escape| escape.value.value))
        })
        .map_err(|error| Problem::new(error.line(), "a directive", format!("{error:#}")))?;
    let (syntax, escape) = read;
    if let Some((at, syntax)) = syntax {
        let name = syntax.strip_prefix("docker.io/").unwrap_or(&syntax);
        if name != "docker/dockerfile" && !name.starts_with("docker/dockerfile:1") {
            let line = head[..at.min(head.len())].matches('\n').count() + 1;
            return Err(Problem::new(line, format!("# syntax={syntax}"), "no other frontend is run")
                .with_hint("only docker/dockerfile:1 is read, and by larder itself"));
        }
    }
    Ok(escape.unwrap_or('\\'))
}

/// A stage's name in small letters; the problem is that it cannot be a name, or that a stage before has it.
fn named(mut from: From, before: &[Stage]) -> (From, Option<Problem>) {
    let Some(name) = from.name.as_ref().map(|name| name.to_lowercase()) else { return (from, None) };
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_.".contains(c);
    let is_name = name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_letter);
    let earlier = before.iter().find(|stage| stage.from.name.as_ref() == Some(&name));
    let why = match earlier {
        _ if !is_name => Some("a name begins with a letter, and has letters, digits, - _ . only".to_owned()),
        Some(earlier) => Some(format!("line {} has a stage of this name", earlier.from.line)),
        None => None,
    };
    let problem = why.map(|why| Problem::new(from.line, format!("FROM … AS {name}"), why));
    from.name = Some(name);
    (from, problem)
}

/// Nothing is fetched: neither a URL nor a repository.
pub(super) fn no_url(line: usize, instruction: &Instruction) -> Result<(), Problem> {
    let (Instruction::Add(copy) | Instruction::Copy(copy)) = instruction else { return Ok(()) };
    let schemes = ["http://", "https://", "ftp://", "ssh://", "git://", "git@"];
    let is_url = |source: &&String| schemes.iter().any(|scheme| source.to_lowercase().starts_with(scheme));
    match copy.sources.iter().find(is_url) {
        None => Ok(()),
        Some(url) => {
            let what = format!("{} {url}", instruction.keyword());
            Err(Problem::new(line, what, "a URL is not supported")
                .with_hint("fetch it before the build and COPY it, or use curl in a RUN"))
        }
    }
}
