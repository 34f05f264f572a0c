//! `larder __run-step`: one step of a build by itself, for tests of what a build would hide. Not documented, and no promise.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use larder_store::Error;

use crate::build::run::{self, Runner, Step, Stream};
use crate::cli::{Context, Outcome, fail, note, safe};

/// Run the step of a JSON file
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Where steps keep what they need while they run
    steps: PathBuf,
    /// The step
    spec: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome<ExitCode> {
    let text = std::fs::read(&args.spec).map_err(Error::io("read", &args.spec))?;
    let step: Step = serde_json::from_slice(&text).map_err(fail)?;
    let mut pass = |stream, bytes: &[u8]| {
        // Whoever reads it may have gone away.
        let _ = match stream {
            Stream::Out => std::io::stdout().write_all(bytes).and_then(|()| std::io::stdout().flush()),
            Stream::Err => std::io::stderr().write_all(bytes),
        };
    };
    let repeat = |lines: &[String]| lines.iter().for_each(|line| note(format_args!("last: {}", safe(line))));
    match Runner::find(&args.steps)?.run(&step, &mut pass, &context.cancel) {
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
