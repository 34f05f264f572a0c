//! An instruction with its variables expanded, and what can be said against it then.
//!
//! Where variables are expanded is Docker's list: ADD, ARG, COPY, ENV, EXPOSE, LABEL, STOPSIGNAL, USER, VOLUME, WORKDIR (and FROM,
//! in the plan). RUN, CMD, ENTRYPOINT, HEALTHCHECK and SHELL are the shell's; a trigger is expanded when it runs.

use super::dockerfile::{Copy, Dockerfile, HereDoc, Instruction, Step, no_url};
use super::expand;
use super::problem::Problem;

/// The names of signals, without SIG, beside the real-time ones.
const SIGNALS: [&str; 34] = [
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL", "PIPE",
    "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU",
    "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ",
];

/// Expands a step where Docker does, and checks what can be checked then.
pub(crate) fn expanded(
    step: &Step,
    escape: char,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Instruction, Problem> {
    let problem = |why: String| Problem::new(step.line, step.instruction.keyword(), why);
    let expanded = with_values(&step.instruction, escape, variable).map_err(problem)?;
    check(&expanded).map_err(problem)?;
    no_url(step.line, &expanded)?;
    Ok(expanded)
}

/// All quotes without an end and the like, before anything runs: whatever the variables are worth.
pub(super) fn misspelt(dockerfile: &Dockerfile) -> Vec<Problem> {
    let steps = dockerfile.stages.iter().flat_map(|stage| &stage.steps);
    let any = |_: &str| Some("x".to_owned());
    let wrong = |step: &Step| {
        let why = with_values(&step.instruction, dockerfile.escape, &any).err()?;
        Some(Problem::new(step.line, step.instruction.keyword(), why))
    };
    steps.filter_map(wrong).collect()
}

fn with_values(
    instruction: &Instruction,
    escape: char,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Instruction, String> {
    let word = |text: &String| expand::word(text, escape, variable);
    let maybe = |text: &Option<String>| text.as_ref().map(word).transpose();
    let list = |texts: &[String]| texts.iter().map(word).collect::<Result<Vec<_>, _>>();
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| Ok((word(name)?, word(value)?))).collect::<Result<Vec<_>, String>>()
    };
    let heredoc = |doc: &HereDoc| {
        let content = match doc.expand {
            true => expand::heredoc(&doc.content, escape, variable)?,
            false => doc.content.clone(),
        };
        Ok(HereDoc { content, ..doc.clone() })
    };
    let copy = |copy: &Copy| {
        Ok::<_, String>(Copy {
            from: copy.from.clone(),
            chown: maybe(&copy.chown)?,
            chmod: maybe(&copy.chmod)?,
            sources: list(&copy.sources)?,
            heredocs: copy.heredocs.iter().map(heredoc).collect::<Result<_, String>>()?,
            destination: word(&copy.destination)?,
        })
    };
    Ok(match instruction {
        Instruction::Arg(names) => Instruction::Arg(
            names
                .iter()
                .map(|(name, default)| Ok((word(name)?, maybe(default)?)))
                .collect::<Result<_, String>>()?,
        ),
        Instruction::Env(set) => Instruction::Env(pairs(set)?),
        Instruction::Label(set) => Instruction::Label(pairs(set)?),
        Instruction::Copy(files) => Instruction::Copy(copy(files)?),
        Instruction::Add(files) => Instruction::Add(copy(files)?),
        Instruction::Workdir(path) => Instruction::Workdir(word(path)?),
        Instruction::User(user) => Instruction::User(word(user)?),
        Instruction::Expose(ports) => {
            let ports = ports.iter().map(|port| expand::words(port, escape, variable));
            Instruction::Expose(ports.collect::<Result<Vec<_>, _>>()?.concat())
        }
        Instruction::Volume(paths) => Instruction::Volume(list(paths)?),
        Instruction::StopSignal(signal) => Instruction::StopSignal(word(signal)?),
        Instruction::Run(_)
        | Instruction::Entrypoint(_)
        | Instruction::Cmd(_)
        | Instruction::Shell(_)
        | Instruction::HealthCheck(_)
        | Instruction::OnBuild(_)
        | Instruction::Maintainer(_) => instruction.clone(),
    })
}

fn check(instruction: &Instruction) -> Result<(), String> {
    match instruction {
        Instruction::Env(pairs) | Instruction::Label(pairs)
            if pairs.iter().any(|(name, _)| name.is_empty()) =>
        {
            Err("a name is empty".to_owned())
        }
        Instruction::Workdir(path) if path.is_empty() => Err("the path is empty".to_owned()),
        Instruction::Volume(paths) if paths.iter().any(String::is_empty) => Err("a path is empty".to_owned()),
        Instruction::Expose(specs) => specs.iter().try_for_each(|spec| ports(spec).map(drop)),
        Instruction::StopSignal(signal) if !is_signal(signal) => Err(format!("{signal:?} is no signal")),
        Instruction::Copy(copy) | Instruction::Add(copy) => {
            mode(copy)?;
            let is_directory = copy.destination.ends_with('/') || [".", ".."].contains(&&*copy.destination);
            match copy.sources.len() + copy.heredocs.len() > 1 && !is_directory {
                true => Err(format!(
                    "{:?} is to take more than one file, and does not end with /",
                    copy.destination
                )),
                false => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

/// The permissions that `--chmod` says.
pub(crate) fn mode(copy: &Copy) -> Result<Option<u32>, String> {
    let Some(text) = &copy.chmod else { return Ok(None) };
    let is_octal = !text.is_empty() && text.chars().all(|c| ('0'..='7').contains(&c));
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| is_octal && *mode <= 0o7777);
    mode.map(Some).ok_or_else(|| format!("--chmod={text} is no octal number up to 7777"))
}

/// The ports of a container that a word of EXPOSE means, as the config has them: `80`, `53/udp`, `9000-9002`.
pub(super) fn ports(spec: &str) -> Result<Vec<String>, String> {
    let wrong = || format!("{spec:?} is no port");
    let (range, protocol) = spec.split_once('/').unwrap_or((spec, "tcp"));
    let protocol = protocol.to_lowercase();
    if !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
        return Err(format!("{spec:?}: the protocol is none of tcp, udp, sctp"));
    }
    // What is before a colon is the host's, which an image does not know.
    let range = range.rsplit(':').next().unwrap_or(range);
    let (first, last) = range.split_once('-').unwrap_or((range, range));
    let number =
        |text: &str| text.bytes().all(|c| c.is_ascii_digit()).then(|| text.parse::<u16>().ok()).flatten();
    let (first, last) = (number(first).ok_or_else(wrong)?, number(last).ok_or_else(wrong)?);
    match first <= last {
        true => Ok((first..=last).map(|port| format!("{port}/{protocol}")).collect()),
        false => Err(wrong()),
    }
}

fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i32>() {
        return number != 0;
    }
    let name = text.to_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let offset = |rest: Option<&str>, max| {
        rest.is_some_and(|rest| {
            rest.is_empty() || rest[1..].parse::<u32>().is_ok_and(|n| (1..=max).contains(&n))
        })
    };
    let after =
        |start, sign| name.strip_prefix(start).filter(|rest| rest.is_empty() || rest.starts_with(sign));
    SIGNALS.contains(&name) || offset(after("RTMIN", '+'), 15) || offset(after("RTMAX", '-'), 14)
}
