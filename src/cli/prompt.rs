//! Questions to whoever sits at the terminal. What is asked for is read from stdin, what asks stands on stderr.

use std::io::{self, IsTerminal, Read, Write};

use larder_store::cancel::Cancel;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use super::{Outcome, fail, interruptible_stdin};

/// No answer and no password has more, bytes.
const MAX: u64 = 64 << 10;

/// Whether somebody can be asked.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal()
}

/// Asks for a line.
pub(crate) fn ask(cancel: &Cancel, question: &str) -> Outcome<String> {
    say(question);
    line(cancel)
}

/// Asks for a line that is not shown while it is typed.
pub(crate) fn ask_hidden(cancel: &Cancel, question: &str) -> Outcome<String> {
    let hidden = Hidden::begin().map_err(|error| fail(format!("cannot hide what is typed: {error}")))?;
    say(question);
    let answer = line(cancel);
    drop(hidden);
    // Nor was the end of the line.
    say("\n");
    answer
}

/// All of stdin, without the end of its last line.
pub(crate) fn all(cancel: &Cancel) -> Outcome<String> {
    text(interruptible_stdin(cancel.clone()).take(MAX + 1), cancel)
}

/// A line from the terminal, which gives one at a time.
fn line(cancel: &Cancel) -> Outcome<String> {
    let mut stdin = interruptible_stdin(cancel.clone());
    let mut bytes = Vec::new();
    while bytes.len() as u64 <= MAX && bytes.last() != Some(&b'\n') {
        let mut byte = [0];
        match stdin.read(&mut byte) {
            Ok(0) => break,
            Ok(_) => bytes.push(byte[0]),
            Err(error) => return Err(failed(cancel, error)),
        }
    }
    text(bytes.as_slice(), cancel)
}

fn text(mut source: impl Read, cancel: &Cancel) -> Outcome<String> {
    let mut bytes = Vec::new();
    source.read_to_end(&mut bytes).map_err(|error| failed(cancel, error))?;
    if bytes.len() as u64 > MAX {
        return Err(fail("stdin has more than 64 KiB, which no password has"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| fail("what came on stdin is not text"))?;
    if text.ends_with('\n') {
        text.pop();
    }
    if text.ends_with('\r') {
        text.pop();
    }
    Ok(text)
}

fn failed(cancel: &Cancel, error: io::Error) -> super::CommandError {
    match cancel.check() {
        Err(interrupted) => interrupted.into(),
        Ok(()) => fail(format!("cannot read stdin: {error}")),
    }
}

fn say(words: &str) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(words.as_bytes()).and_then(|()| stderr.flush());
}

/// A terminal that does not show what is typed, until this is dropped.
struct Hidden(Termios);

impl Hidden {
    fn begin() -> rustix::io::Result<Hidden> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        hidden.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Hidden(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
