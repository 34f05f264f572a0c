//! One line to one instruction.
//!
//! The crate parse-dockerfile says which instruction it is, and splits flags, words and lists; what is in the words is read here.

use parse_dockerfile::{
    Command as Words, HealthcheckArguments, Instruction as Parsed, JsonOrStringArray, Source, parse_iter,
};

use super::flags::Flags;
use super::lines::{Line, word};
use super::step::{Command, Copy, HealthCheck, HereDoc, Instruction, Run};
use super::{From, Problem, heredoc, pairs};

/// What a line is.
pub(super) enum Read {
    /// The beginning of a stage.
    From(From),
    /// What is done in one.
    Instruction(Instruction),
}

/// What may have a list of words.
const TAKE_LISTS: [&str; 8] = ["ADD", "CMD", "COPY", "ENTRYPOINT", "HEALTHCHECK", "RUN", "SHELL", "VOLUME"];

/// What the crate expects before anything else.
const STAGE: &str = "FROM x\n";

/// Reads a line.
pub(super) fn read(line: &Line, escape: char) -> Result<Read, Problem> {
    let (first, rest) = word(&line.text);
    if first.eq_ignore_ascii_case("ENTRYPOINT") {
        // The crate wants a word in it; to Docker both are the base's taken away.
        if rest.is_empty() || serde_json::from_str::<[String; 0]>(rest).is_ok() {
            return Ok(Read::Instruction(Instruction::Entrypoint(Command::Exec(Vec::new()))));
        }
    }
    if first.eq_ignore_ascii_case("ONBUILD") {
        return trigger_of(line, rest, escape).map(|text| Read::Instruction(Instruction::OnBuild(text)));
    }
    // The crate reads heredocs below their line, and only some; what it makes of them is not used.
    let mut text = format!("{STAGE}{}", line.text);
    for heredoc in &line.heredocs {
        text += &format!("\n{}{}", heredoc.content, heredoc.name);
    }
    let keyword = first.to_uppercase();
    let problem = |why: String| Problem::new(line.number, keyword.clone(), why);
    let parsed = parse_iter(&text).map_err(|error| problem(format!("{error:#}")))?.nth(1);
    match parsed {
        None => Err(problem("nothing follows".to_owned())),
        Some(Err(error)) => Err(unread(line, &keyword, &error)),
        Some(Ok(Parsed::From(from))) => {
            let mut flags = Flags::read(line, "FROM", &from.options, &["platform"])?;
            Ok(Read::From(From {
                line: line.number,
                base: from.image.value.into_owned(),
                platform: flags.take("platform"),
                name: from.as_.map(|(_, name)| name.value.into_owned()),
            }))
        }
        Some(Ok(parsed)) => {
            is_list_of_strings(&line.text).map_err(&problem)?;
            let instruction = instruction(line, &text, parsed, escape)?;
            super::no_url(line.number, &instruction)?;
            Ok(Read::Instruction(instruction))
        }
    }
}

/// What the crate did not take, with a hint where it is known what was meant.
fn unread(line: &Line, keyword: &str, error: &parse_dockerfile::Error) -> Problem {
    let why = format!("{error:#}");
    match why.starts_with("unknown instruction") {
        true => Problem::new(line.number, keyword, "no such instruction")
            .with_hint("a line that continues the one before needs a \\ at that one's end"),
        false => Problem::new(line.number, keyword, why),
    }
}

/// In `[…]` there are strings only: Docker refuses a list with a number in it, where the crate sees a shell's text.
fn is_list_of_strings(text: &str) -> Result<(), String> {
    let (keyword, mut arguments) = word(text);
    let is = |known: &&str| keyword.eq_ignore_ascii_case(known);
    while arguments.starts_with("--") {
        arguments = word(arguments).1;
    }
    if is(&"HEALTHCHECK") {
        arguments = word(arguments).1;
    }
    let list = serde_json::from_str::<Vec<serde_json::Value>>(arguments).unwrap_or_default();
    match TAKE_LISTS.iter().any(is) && list.iter().any(|item| !item.is_string()) {
        true => Err("a list in [] has strings only".to_owned()),
        false => Ok(()),
    }
}

fn instruction(line: &Line, text: &str, parsed: Parsed<'_>, escape: char) -> Result<Instruction, Problem> {
    let keyword = word(&line.text).0.to_uppercase();
    let problem = |why: String| Problem::new(line.number, keyword.clone(), why);
    Ok(match parsed {
        Parsed::Arg(arg) => Instruction::Arg(pairs::names(&arg.arguments.value, escape).map_err(problem)?),
        Parsed::Env(env) => {
            Instruction::Env(pairs::pairs("ENV", &env.arguments.value, escape).map_err(problem)?)
        }
        Parsed::Label(label) => {
            Instruction::Label(pairs::pairs("LABEL", &label.arguments.value, escape).map_err(problem)?)
        }
        Parsed::Run(run) => {
            Flags::read(line, "RUN", &run.options, &[])?;
            let flags_end = run.options.last().map_or(run.run.span.end, |flag| flag.span().end);
            let rest = text[flags_end..STAGE.len() + line.text.len()].trim();
            let mut run = run_of(line, &run.arguments, rest).map_err(problem)?;
            if let (Run::Script { name, .. }, [heredoc]) = (&mut run, &line.heredocs[..]) {
                *name = file(line, heredoc)?;
            }
            Instruction::Run(run)
        }
        Parsed::Copy(copy) => {
            let flags = Flags::read(line, "COPY", &copy.options, &["from", "chown", "chmod"])?;
            Instruction::Copy(copy_of(line, flags, copy.src.iter(), copy.dest.value.into_owned())?)
        }
        Parsed::Add(add) => {
            let flags = Flags::read(line, "ADD", &add.options, &["chown", "chmod"])?;
            Instruction::Add(copy_of(line, flags, add.src.iter(), add.dest.value.into_owned())?)
        }
        Parsed::Workdir(workdir) => Instruction::Workdir(workdir.arguments.value.into_owned()),
        Parsed::User(user) => Instruction::User(user.arguments.value.into_owned()),
        Parsed::Expose(expose) => Instruction::Expose(owned(&expose.arguments)),
        Parsed::Volume(volume) => {
            let volumes = match volume.arguments {
                JsonOrStringArray::Json(words) => owned(&words.value),
                JsonOrStringArray::String(words) => owned(&words),
            };
            match volumes.is_empty() {
                true => return Err(problem("VOLUME needs at least one argument".to_owned())),
                false => Instruction::Volume(volumes),
            }
        }
        Parsed::Entrypoint(entrypoint) => Instruction::Entrypoint(command(&entrypoint.arguments)),
        Parsed::Cmd(cmd) => Instruction::Cmd(command(&cmd.arguments)),
        Parsed::Shell(shell) => Instruction::Shell(owned(&shell.arguments)),
        Parsed::Stopsignal(signal) => Instruction::StopSignal(signal.arguments.value.into_owned()),
        Parsed::Healthcheck(check) => {
            let known: &[_] = match check.arguments {
                HealthcheckArguments::None { .. } => &[],
                _ => &["interval", "timeout", "start-period", "start-interval", "retries"],
            };
            let mut flags = Flags::read(line, "HEALTHCHECK", &check.options, known)?;
            Instruction::HealthCheck(match check.arguments {
                HealthcheckArguments::Cmd { arguments, .. } => {
                    let command = command(&arguments);
                    if command.is_empty() {
                        return Err(problem("its command is missing".to_owned()));
                    }
                    flags.health(command).map_err(problem)?
                }
                _ => HealthCheck::None,
            })
        }
        Parsed::Maintainer(maintainer) => Instruction::Maintainer(maintainer.name.value.into_owned()),
        other => return Err(problem(format!("this is not supported: {other:?}"))),
    })
}

fn owned(words: &[parse_dockerfile::UnescapedString<'_>]) -> Vec<String> {
    words.iter().map(|word| word.value.clone().into_owned()).collect()
}

fn command(words: &Words<'_>) -> Command {
    match words {
        Words::Exec(words) => Command::Exec(owned(&words.value)),
        Words::Shell(text) => Command::Shell(text.value.to_owned()),
        _ => Command::Exec(Vec::new()),
    }
}

/// RUN with its heredocs: one alone is the script itself; others go to the shell, which knows heredocs.
fn run_of(line: &Line, words: &Words<'_>, rest: &str) -> Result<Run, String> {
    let [first, more @ ..] = line.heredocs.as_slice() else {
        // The crate may see a heredoc where there is none: its shell's text would be cut then.
        let is_list = matches!(words, Words::Exec(_));
        let command = if is_list { command(words) } else { Command::Shell(rest.to_owned()) };
        return match command.is_empty() {
            true => Err("its command is missing".to_owned()),
            false => Ok(Run::Command(command)),
        };
    };
    let is_alone = more.is_empty() && heredoc::asked(&rest.replacen("<< ", "<<", 1)).is_some();
    let content = &first.content;
    Ok(if is_alone && content.starts_with("#!") {
        Run::Script { name: first.name.clone(), content: content.clone() }
    } else if is_alone {
        Run::Command(Command::Shell(content.clone()))
    } else {
        let body = |all: String, heredoc: &HereDoc| format!("{all}\n{}{}", heredoc.content, heredoc.name);
        Run::Command(Command::Shell(line.heredocs.iter().fold(rest.to_owned(), body)))
    })
}

fn copy_of<'a, 'b: 'a>(
    line: &Line,
    mut flags: Flags,
    sources: impl Iterator<Item = &'a Source<'b>>,
    destination: String,
) -> Result<Copy, Problem> {
    let path = |source: &Source<'_>| match source {
        Source::Path(path) => Some(path.value.clone().into_owned()),
        _ => None,
    };
    let heredocs =
        line.heredocs.iter().map(|heredoc| Ok(HereDoc { name: file(line, heredoc)?, ..heredoc.clone() }));
    Ok(Copy {
        from: flags.take("from"),
        chown: flags.take("chown"),
        chmod: flags.take("chmod"),
        // Where the crate sees no heredoc in a word that is one, it is none of the paths either.
        sources: sources
            .filter_map(path)
            .filter(|path| line.heredocs.is_empty() || heredoc::asked(path).is_none())
            .collect(),
        heredocs: heredocs.collect::<Result<_, _>>()?,
        destination,
    })
}

/// The name of the file that a heredoc makes.
fn file(line: &Line, heredoc: &HereDoc) -> Result<String, Problem> {
    let name = heredoc::file_name(&heredoc.name).map(str::to_owned);
    name.ok_or_else(|| {
        Problem::new(
            line.number,
            format!("<<{}", heredoc.name),
            "a heredoc's word is the name of its file, and this is none",
        )
        .with_hint("write a word such as EOF, and directory and name in the destination")
    })
}

/// The text of ONBUILD, which must be an instruction that can be done later.
fn trigger_of(line: &Line, text: &str, escape: char) -> Result<String, Problem> {
    let keyword = word(text).0.to_uppercase();
    let problem = |why: &str| Problem::new(line.number, format!("ONBUILD {keyword}"), why);
    if text.is_empty() {
        return Err(Problem::new(line.number, "ONBUILD", "its instruction is missing"));
    }
    if !line.heredocs.is_empty() {
        return Err(problem("a heredoc in ONBUILD is not supported")
            .with_hint("write the file in one line, or use COPY"));
    }
    if ["ONBUILD", "FROM", "MAINTAINER"].contains(&keyword.as_str()) {
        return Err(problem("Docker allows no such trigger"));
    }
    read(&Line { text: text.to_owned(), heredocs: Vec::new(), ..*line }, escape)?;
    Ok(text.to_owned())
}
