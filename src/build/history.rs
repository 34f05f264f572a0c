//! What an image's history says of each step, in BuildKit's words.

use std::time::Duration;

use serde_json::{Value, json};

use super::dockerfile::{Command, Copy, HealthCheck, Instruction, Run};
use super::expanded::ports;
use super::state::State;

/// An entry of the history. `created` is a time of RFC 3339.
pub(crate) fn entry(created: &str, created_by: &str, has_layer: bool) -> Value {
    let mut entry = json!({"created": created, "created_by": created_by});
    if !has_layer {
        entry["empty_layer"] = true.into();
    }
    entry
}

/// What a step is called, after it was done.
pub(super) fn created_by(instruction: &Instruction, after: &State) -> String {
    let keyword = instruction.keyword();
    let pairs = |pairs: &[(String, String)]| {
        pairs.iter().map(|(name, value)| format!(" {name}={value}")).collect::<String>()
    };
    match instruction {
        Instruction::Arg(names) => {
            let environment = [];
            let named = |(name, _): &(String, Option<String>)| match after.args().value(&environment, name) {
                Some(value) => format!(" {name}={value}"),
                None => format!(" {name}"),
            };
            format!("{keyword}{}", names.iter().map(named).collect::<String>())
        }
        Instruction::Env(set) | Instruction::Label(set) => format!("{keyword}{}", pairs(set)),
        Instruction::Run(run) => run_line(run, after),
        Instruction::Copy(copy) | Instruction::Add(copy) => copy_line(keyword, copy),
        Instruction::Workdir(_) => format!("{keyword} {}", after.directory()),
        Instruction::Expose(specs) => {
            let mut ports: Vec<_> = specs.iter().flat_map(|spec| ports(spec).unwrap_or_default()).collect();
            ports.sort();
            ports.dedup();
            format!("{keyword} [{}]", ports.join(" "))
        }
        Instruction::Volume(words) | Instruction::Shell(words) => format!("{keyword} [{}]", words.join(" ")),
        Instruction::Entrypoint(command) | Instruction::Cmd(command) => {
            format!("{keyword} {}", quoted(&command.words(&after.shell())))
        }
        Instruction::HealthCheck(check) => format!("{keyword} {}", health(check)),
        Instruction::User(text)
        | Instruction::StopSignal(text)
        | Instruction::OnBuild(text)
        | Instruction::Maintainer(text) => format!("{keyword} {text}"),
    }
}

/// RUN with the number and the values of the ARGs that it sees.
fn run_line(run: &Run, state: &State) -> String {
    let words = match run {
        Run::Command(command) => command.words(&state.shell()),
        Run::Script { name, .. } => vec![format!("/dev/pipes/{name}")],
    };
    let environment = state.environment();
    let args = state.args().for_command(&environment);
    let count = Some(format!("|{}", args.len())).filter(|_| !args.is_empty());
    let args = args.iter().map(|(name, value)| format!("{name}={value}"));
    let all: Vec<_> = count.into_iter().chain(args).chain(words).collect();
    format!("RUN {} # buildkit", all.join(" "))
}

fn copy_line(keyword: &str, copy: &Copy) -> String {
    let flag = |name: &str, value: &Option<String>| value.as_ref().map(|value| format!("--{name}={value}"));
    let flags = flag("chown", &copy.chown).into_iter().chain(flag("chmod", &copy.chmod));
    let heredocs = copy.heredocs.iter().map(|heredoc| format!("<<{}", heredoc.name));
    let words = flags.chain(copy.sources.iter().cloned()).chain(heredocs).chain([copy.destination.clone()]);
    format!("{keyword} {} # buildkit", words.collect::<Vec<_>>().join(" "))
}

/// What is run to find out whether a container is well.
pub(super) fn health_test(check: &HealthCheck) -> Vec<String> {
    let (kind, words) = match check {
        HealthCheck::None => ("NONE", Vec::new()),
        HealthCheck::Test { command: Command::Shell(text), .. } => ("CMD-SHELL", vec![text.clone()]),
        HealthCheck::Test { command: Command::Exec(words), .. } => ("CMD", words.clone()),
    };
    [kind.to_owned()].into_iter().chain(words).collect()
}

/// A health check as Go's `%+q` prints its struct.
fn health(check: &HealthCheck) -> String {
    let none = Duration::ZERO;
    let (times, retries) = match check {
        HealthCheck::None => ([none; 4], 0),
        HealthCheck::Test { interval, timeout, start_period, start_interval, retries, .. } => {
            ([*interval, *timeout, *start_period, *start_interval], *retries)
        }
    };
    let times = times.map(|time| format!("\"{}\"", duration(time))).join(" ");
    let retries = char::from_u32(retries).unwrap_or(char::REPLACEMENT_CHARACTER);
    format!("&{{{} {times} '{}'}}", quoted(&health_test(check)), escaped(retries, '\''))
}

fn quoted(words: &[String]) -> String {
    let word = |word: &String| format!("\"{}\"", word.chars().map(|c| escaped(c, '"')).collect::<String>());
    format!("[{}]", words.iter().map(word).collect::<Vec<_>>().join(" "))
}

/// A character in a string of Go.
fn escaped(c: char, quote: char) -> String {
    match c {
        c if c == quote || c == '\\' => format!("\\{c}"),
        '\u{7}' => "\\a".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\t' => "\\t".to_owned(),
        '\u{b}' => "\\v".to_owned(),
        c if c < ' ' || c == '\u{7f}' => format!("\\x{:02x}", u32::from(c)),
        c => c.to_string(),
    }
}

/// A duration as Go prints it: `1m30s`, `500ms`, `1.5s`, `0s`.
fn duration(time: Duration) -> String {
    let point = |nanos: u128, unit: u128| {
        let text = format!("{}.{:09}", nanos / unit, nanos % unit * (1_000_000_000 / unit));
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    let nanos = time.as_nanos();
    match nanos {
        0 => "0s".to_owned(),
        1..1_000 => format!("{nanos}ns"),
        1_000..1_000_000 => format!("{}µs", point(nanos, 1_000)),
        1_000_000..1_000_000_000 => format!("{}ms", point(nanos, 1_000_000)),
        _ => {
            let (hours, minutes) = (time.as_secs() / 3600, time.as_secs() / 60 % 60);
            let seconds = point(nanos % 60_000_000_000, 1_000_000_000);
            match (hours, minutes) {
                (0, 0) => format!("{seconds}s"),
                (0, minutes) => format!("{minutes}m{seconds}s"),
                (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_go_prints_them() {
        for (nanos, expected) in [
            (90_000_000_000, "1m30s"),
            (500_000_000, "500ms"),
            (1_500_000_000, "1.5s"),
            (3_600_000_000_000, "1h0m0s"),
            (1_500_000, "1.5ms"),
            (0, "0s"),
            (60_000_000_000, "1m0s"),
        ] {
            assert_eq!(duration(Duration::from_nanos(nanos)), expected);
        }
    }
}
