//! Command tests: what is run, and what must come of it. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use super::config::CommandTest;
use super::content::matches;
use super::expand::expand;
use super::pattern::as_go_reads;

/// Bytes of an output that are looked at.
pub(crate) const MAX_OUTPUT: usize = 4 << 20;

/// What commands may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How long one of them may run.
    pub(crate) timeout: Duration,
}

/// One command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) args: Vec<String>,
    /// `NAME=value`.
    pub(crate) env: Vec<String>,
}

/// The commands of a test: those of its setup, and the one whose output counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Calls {
    pub(crate) setup: Vec<Call>,
    pub(crate) command: Call,
}

/// What a command came to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: Output,
    pub(crate) stderr: Output,
    pub(crate) duration: Duration,
}

/// What a command wrote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Output {
    pub(crate) bytes: Vec<u8>,
    /// Whether there was more.
    pub(crate) is_cut: bool,
}

impl Output {
    /// Takes what fits.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        let room = MAX_OUTPUT - self.bytes.len();
        self.is_cut |= bytes.len() > room;
        self.bytes.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// As characters.
    pub(crate) fn text(&self) -> String {
        as_go_reads(&self.bytes).into_owned()
    }
}

/// The image's variables with those of the file, whose values may name the image's.
pub(crate) fn environment(
    image: &BTreeMap<String, String>,
    file: &[(String, String)],
) -> BTreeMap<String, String> {
    let mut env = image.clone();
    env.extend(
        file.iter().map(|(name, value)| (name.clone(), expand(value, &|name| image.get(name).cloned()))),
    );
    env
}

/// The commands of a test among these variables; `added` are those of the run options.
///
/// As container-structure-test does it: variables of the test are replaced in its setup, and come to the command as they are written; words of the command have the
/// variables of the image replaced, and after a setup those of the test too.
pub(crate) fn calls(test: &CommandTest, env: &BTreeMap<String, String>, added: &[(String, String)]) -> Calls {
    let in_setup = environment(env, &test.env);
    let (with, mut last) =
        if test.setup.is_empty() { (env, env.clone()) } else { (&in_setup, in_setup.clone()) };
    let args = test.args.iter().map(|word| expand(word, &|name| with.get(name).cloned())).collect();
    last.extend(test.env.iter().chain(added).cloned());
    let setup = test.setup.iter().map(|args| Call { args: args.clone(), env: written(&in_setup) });
    Calls { setup: setup.collect(), command: Call { args, env: written(&last) } }
}

fn written(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// What is not as it should be.
pub(crate) fn judge(test: &CommandTest, ran: &Ran) -> Vec<String> {
    let mut wrong = Vec::new();
    let streams = [
        ("stderr", &ran.stderr, &test.expected_error, &test.excluded_error),
        ("stdout", &ran.stdout, &test.expected_output, &test.excluded_output),
    ];
    for (name, output, expected, excluded) in streams {
        if output.is_cut && !(expected.is_empty() && excluded.is_empty()) {
            wrong.push(format!("{name} has more than the {MAX_OUTPUT} bytes that are looked at"));
        }
        wrong.extend(matches(&output.text(), name, expected, excluded));
    }
    if ran.code != test.exit_code {
        wrong.push(format!("it ended with the exit code {}, expected {}", ran.code, test.exit_code));
    }
    wrong
}
