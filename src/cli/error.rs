//! How a command fails: a message with its causes, a hint, and an exit code.

use std::error::Error as _;
use std::io;
use std::process::ExitCode;

use larder_store::error::{Error, Kind};

use super::output::safe;
use crate::{build, def, docker, registry, trust};

/// What a command returns.
pub(crate) type Outcome<T = ()> = Result<T, CommandError>;

/// A failed command.
#[derive(Debug)]
pub(crate) struct CommandError {
    message: String,
    /// What else is wrong, a line each.
    more: Vec<String>,
    hint: Option<String>,
    kind: ErrorKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ErrorKind {
    Failed,
    /// Somebody who was asked did not answer.
    Unanswered,
    Usage,
    NoSuchImage,
    Damaged,
    Unattainable,
    LockTimeout,
    Interrupted,
    /// Some of several things were done before the failure.
    InPart,
    /// The verb has codes of its own for this.
    Code(u8),
}

/// A failure that is said in one sentence.
pub(crate) fn fail(message: impl ToString) -> CommandError {
    CommandError { message: message.to_string(), more: Vec::new(), hint: None, kind: ErrorKind::Failed }
}

impl std::fmt::Display for CommandError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl CommandError {
    /// Says what to do next.
    pub(crate) fn with_hint(mut self, hint: impl ToString) -> CommandError {
        self.hint = Some(hint.to_string());
        self
    }

    /// Says what else is wrong, a line each.
    pub(crate) fn with_lines(mut self, lines: Vec<String>) -> CommandError {
        self.more = lines;
        self
    }

    /// Says what it is about.
    pub(crate) fn of(mut self, what: impl std::fmt::Display) -> CommandError {
        self.message = format!("{what}: {}", self.message);
        self
    }

    /// Makes it the caller's mistake.
    pub(crate) fn usage(mut self) -> CommandError {
        self.kind = ErrorKind::Usage;
        self
    }

    /// Makes it damage of content.
    pub(crate) fn damaged(mut self) -> CommandError {
        self.kind = ErrorKind::Damaged;
        self
    }

    /// Makes it a limit that cannot be reached.
    pub(crate) fn unattainable(mut self) -> CommandError {
        self.kind = ErrorKind::Unattainable;
        self
    }

    /// Says that something was done all the same.
    pub(crate) fn in_part(mut self) -> CommandError {
        if self.kind != ErrorKind::Interrupted {
            self.kind = ErrorKind::InPart;
        }
        self
    }

    /// Whether whatever else was to be done fails as well, or is not wanted any more.
    pub(crate) fn is_stop(&self) -> bool {
        matches!(self.kind, ErrorKind::Interrupted | ErrorKind::LockTimeout)
    }

    /// Whether somebody was asked in vain, more than once.
    pub(crate) fn is_unanswered(&self) -> bool {
        self.kind == ErrorKind::Unanswered
    }

    /// Ends as another one does.
    pub(crate) fn like(mut self, other: &CommandError) -> CommandError {
        self.kind = other.kind;
        self
    }

    /// Whether it was given this exit code.
    pub(crate) fn is_exit(&self, code: u8) -> bool {
        self.kind == ErrorKind::Code(code)
    }

    /// Gives it an exit code of the verb's own, unless it has one or a signal was the reason.
    pub(crate) fn exits(mut self, code: u8) -> CommandError {
        if !matches!(self.kind, ErrorKind::Interrupted | ErrorKind::Code(_)) {
            self.kind = ErrorKind::Code(code);
        }
        self
    }

    /// Tells people on stderr, and the caller by the exit code.
    pub(crate) fn report(&self, signal: Option<u8>) -> ExitCode {
        let code = match self.kind {
            ErrorKind::Failed | ErrorKind::Unanswered => 1,
            ErrorKind::Usage => 2,
            ErrorKind::NoSuchImage => 3,
            ErrorKind::Unattainable => 4,
            ErrorKind::Damaged => 5,
            ErrorKind::LockTimeout => 6,
            ErrorKind::InPart => 7,
            ErrorKind::Code(code) => code,
            ErrorKind::Interrupted => 128 + signal.unwrap_or(2),
        };
        self.tell("");
        ExitCode::from(code)
    }

    /// Tells people on stderr, behind these words.
    pub(crate) fn tell(&self, before: &str) {
        super::note(format_args!("larder: {before}{}", safe(&self.message)));
        self.more.iter().for_each(|line| super::note(format_args!("larder: {before}{}", safe(line))));
        if let Some(hint) = &self.hint {
            super::note(format_args!("hint: {}", safe(hint)));
        }
    }
}

impl From<Error> for CommandError {
    fn from(error: Error) -> CommandError {
        let kind = match error.kind() {
            Kind::NoSuchImage => ErrorKind::NoSuchImage,
            Kind::Damaged => ErrorKind::Damaged,
            Kind::LockTimeout => ErrorKind::LockTimeout,
            Kind::Interrupted => ErrorKind::Interrupted,
            _ => ErrorKind::Failed,
        };
        let mut message = error.to_string();
        let mut cause = error.source();
        while let Some(next) = cause {
            message = format!("{message}: {next}");
            cause = next.source();
        }
        CommandError { message, more: Vec::new(), hint: error.hint().map(str::to_owned), kind }
    }
}

impl From<registry::Error> for CommandError {
    fn from(error: registry::Error) -> CommandError {
        let error = match error {
            registry::Error::Store(error) => return error.into(),
            registry::Error::Access(error) => return error.into(),
            error => error,
        };
        let kind = match error.kind() {
            Some(registry::Kind::NoSuchImage) => ErrorKind::NoSuchImage,
            Some(registry::Kind::Damaged) => ErrorKind::Damaged,
            Some(registry::Kind::Unanswered) => ErrorKind::Unanswered,
            _ => ErrorKind::Failed,
        };
        let hint = error.hint().map(str::to_owned);
        CommandError { message: error.to_string(), more: Vec::new(), hint, kind }
    }
}

impl From<docker::Error> for CommandError {
    fn from(error: docker::Error) -> CommandError {
        match error {
            docker::Error::Store(error) => error.into(),
            error => CommandError {
                message: error.to_string(),
                more: Vec::new(),
                hint: error.hint().map(str::to_owned),
                kind: ErrorKind::Failed,
            },
        }
    }
}

impl From<registry::access::Error> for CommandError {
    fn from(error: registry::access::Error) -> CommandError {
        match error {
            registry::access::Error::Store(error) => error.into(),
            error => CommandError {
                message: error.to_string(),
                more: Vec::new(),
                hint: error.hint().map(str::to_owned),
                kind: ErrorKind::Failed,
            },
        }
    }
}

impl From<trust::Error> for CommandError {
    fn from(error: trust::Error) -> CommandError {
        let kind = match error {
            trust::Error::Store(error) => return error.into(),
            trust::Error::Key { .. } => ErrorKind::Failed,
            trust::Error::Refused { .. } => ErrorKind::Damaged,
        };
        let hint = error.hint().map(str::to_owned);
        CommandError { message: error.to_string(), more: Vec::new(), hint, kind }
    }
}

impl From<build::run::Error> for CommandError {
    fn from(error: build::run::Error) -> CommandError {
        match error {
            build::run::Error::Store(error) => error.into(),
            error => CommandError {
                message: error.to_string(),
                more: Vec::new(),
                hint: error.hint().map(str::to_owned),
                kind: ErrorKind::Failed,
            },
        }
    }
}

impl From<build::engine::Error> for CommandError {
    fn from(error: build::engine::Error) -> CommandError {
        use build::engine::Error as Built;
        let hint = error.hint();
        let mut more = error.lines();
        let message = more.remove(0);
        let kind = match error {
            Built::Store(error) => return error.into(),
            Built::Step { source, .. } => CommandError::from(source).kind,
            Built::Run { source, .. } => CommandError::from(source).kind,
            Built::Problems { .. } | Built::Failed { .. } => ErrorKind::Failed,
        };
        CommandError { message, more, hint, kind }
    }
}

impl From<def::Error> for CommandError {
    fn from(error: def::Error) -> CommandError {
        let hint = error.hint().map(str::to_owned);
        match error {
            def::Error::Store(error) => {
                let error = CommandError::from(error);
                CommandError { hint: error.hint.clone().or(hint), ..error }
            }
            def::Error::Wrong(mut lines) | def::Error::InTheWay(mut lines) if !lines.is_empty() => {
                let message = lines.remove(0);
                CommandError { message, more: lines, hint, kind: ErrorKind::Failed }
            }
            error => {
                CommandError { message: error.to_string(), more: Vec::new(), hint, kind: ErrorKind::Failed }
            }
        }
    }
}

impl From<io::Error> for CommandError {
    /// An error of our own output; files have errors that name them.
    fn from(error: io::Error) -> CommandError {
        fail(format!("cannot write the answer: {error}"))
    }
}
