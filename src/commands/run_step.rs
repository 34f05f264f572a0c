//! `larder __run-step STEPS SPEC.json`: one step of a build by itself, for tests of what a build would hide. No verb, and no promise.

use std::ffi::OsString;
use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use larder_store::Error;
use larder_store::cancel::Cancel;

use crate::build::run::{self, Runner, Step, Stream};
use crate::cli::{Outcome, Signals, fail, note, safe};

/// Runs it where the arguments ask for it.
pub(crate) fn entry() -> Option<ExitCode> {
    let mut args = std::env::args_os().skip(1);
    if args.next()? != "__run-step" {
        return None;
    }
    let cancel = Cancel::new();
    let signals = Signals::install(&cancel);
    let done = run(&args.next()?, &args.next()?, &cancel);
    Some(done.unwrap_or_else(|error| error.report(signals.came())))
}

fn run(steps: &OsString, spec: &OsString, cancel: &Cancel) -> Outcome<ExitCode> {
    let text = std::fs::read(spec).map_err(Error::io("read", spec))?;
    let step: Step = serde_json::from_slice(&text).map_err(fail)?;
    let mut pass = |stream, bytes: &[u8]| {
        // Whoever reads it may have gone away.
        let _ = match stream {
            Stream::Out => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            Stream::Err => std::io::stderr().write_all(bytes),
        };
    };
    let repeat = |lines: &[String]| lines.iter().for_each(|line| note(format_args!("last: {}", safe(line))));
    match Runner::find(Path::new(steps))?.run(&step, &mut pass, cancel) {
        Ok(ended) => {
            ended.notes.iter().for_each(|text| note(format_args!("note: {text}")));
            if ended.code != 0 {
                repeat(&ended.last_lines);
            }
            Ok(ExitCode::from(u8::try_from(ended.code).unwrap_or(u8::MAX)))
        }
        Err(error) => {
            if let run::Error::TimedOut { last_lines, .. } = &error {
                repeat(last_lines);
            }
            Err(error.into())
        }
    }
}
