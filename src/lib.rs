//! larder keeps container images once, in one OCI image layout, and hands them to Docker when a job needs them.
//!
//! This crate is the command line and the hand-over; the store is the crate `larder-store` below it. The floors
//! are listed in `docs/architecture.md`.

mod build;
mod bundle;
mod catalog;
mod cli;
mod commands;
mod def;
mod docker;
#[cfg(test)]
mod floors;
mod registry;
mod report;
mod sbom;
mod structure;
mod trust;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{CommandFactory, Parser};
use larder_store::cancel::Cancel;
use larder_store::open_files;

use crate::cli::{CommandError, Context, Outcome, Signals, fail, note, safe};
use crate::commands::Verb;

/// Keeps container images once, in one OCI image layout, and hands them to Docker when a job needs them.
///
/// REF names an image: a reference, short or full (gcc15, docker.io/library/gcc15:latest), or a digest
/// (sha256:…, or its first 12 or more digits).
#[derive(Debug, Parser)]
#[command(name = "larder", version, max_term_width = 100, propagate_version = true)]
#[command(
    after_help = "Exit codes: 0 done · 1 failed · 2 usage · 3 no such image · 4 a limit of prune cannot be reached · 5 content is damaged or does not \
verify · 6 a lock was not had in time · 7 done in part, or tests skipped · 128 and more: stopped by a signal (`hold` has its own)"
)]
pub(crate) struct Cli {
    /// The store [default: LARDER_STORE, else larder in XDG_DATA_HOME, else ~/.local/share/larder; made on first use, but for prune, verify, holds]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Options of every verb")]
    store: Option<PathBuf>,

    /// How long to wait for another larder, in seconds
    #[arg(
        long,
        global = true,
        value_name = "SECONDS",
        default_value_t = 60,
        value_parser = clap::value_parser!(u64).range(..=31_536_000),
        help_heading = "Options of every verb"
    )]
    lock_timeout: u64,

    #[command(subcommand)]
    verb: Verb,
}

/// Runs the program.
pub fn run() -> ExitCode {
    if let Some(code) = build::run::entry() {
        return code;
    }
    open_files::raise();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            complain(&error);
            let is_hold = error.use_stderr() && is_hold();
            if is_hold && !std::env::args_os().any(|word| word == "--") {
                note(format_args!("hint: write `--` before the command: larder hold REF -- CMD"));
            }
            return ExitCode::from(match error.use_stderr() {
                false => 0,
                true if is_hold => commands::HOLD_FAILED,
                true => 2,
            });
        }
    };
    let cancel = Cancel::new();
    let signals = Signals::install(&cancel);
    let failure = cli.verb.failure();
    let done = default_store(cli.store).and_then(|store_path| {
        let lock_timeout = Duration::from_secs(cli.lock_timeout);
        let context = Context { store_path, lock_timeout, cancel, signals: signals.clone() };
        cli.verb.run(&context)
    });
    let report = |error: CommandError| error.report(signals.came());
    match (done, failure) {
        (Ok(code), _) => code,
        (Err(error), Some(code)) => report(error.exits(code)),
        (Err(error), None) => report(error),
    }
}

/// Whether arguments that cannot be read are those of `hold`: its codes below 125 are its command's.
fn is_hold() -> bool {
    let known = Cli::command().ignore_errors(true).try_get_matches().ok();
    let known = known.and_then(|known| known.subcommand_name().map(str::to_owned));
    // What is wrong stands before the verb: then it is the first word that is one.
    let verbs = Cli::command();
    let first = || {
        std::env::args_os().skip(1).find_map(|word| Some(verbs.find_subcommand(word)?.get_name().to_owned()))
    };
    known.or_else(first).as_deref() == Some("hold")
}

/// What is wrong with the arguments. They may come from anywhere, and be repeated in the message.
fn complain(error: &clap::Error) {
    let plain = error.render().to_string();
    let lines: Vec<_> = plain.lines().map(safe).collect();
    if error.use_stderr() && lines.iter().map(String::as_str).ne(plain.split('\n').take(lines.len())) {
        note(format_args!("{}", lines.join("\n")));
    } else {
        let _ = error.print();
    }
}

fn default_store(given: Option<PathBuf>) -> Outcome<PathBuf> {
    let data = || {
        let absolute = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
        Some(
            absolute("XDG_DATA_HOME")
                .or_else(|| Some(absolute("HOME")?.join(".local/share")))?
                .join("larder"),
        )
    };
    let variable = || std::env::var_os("LARDER_STORE").map(PathBuf::from);
    let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
    given.or_else(variable).filter(is_set).or_else(data).ok_or_else(|| {
        fail("there is no home directory to keep the store in")
            .with_hint("name one with --store or LARDER_STORE")
    })
}
