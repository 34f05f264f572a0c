//! `larder test`: whether an image is as test files say.

mod subject;
mod tell;

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::ValueEnum;
use larder_store::blob::from_io;
use larder_store::cancel::Cancel;
use larder_store::descriptor::Platform;
use larder_store::error::Error;
use rustix::fs::OFlags;

pub(super) use self::subject::of_store;

use super::{build, platform};
use crate::build::run::Network;
use crate::cli::{Context, Outcome, fail, interruptible};
use crate::structure::{Limits, Report, TestFile, read};

pub(super) use tell::tell;

/// Bytes of a test file.
const MAX_FILE: u64 = 4 << 20;

/// Check an image by test files of container-structure-test (schema 2.0.0)
///
/// Files and metadata are read straight from the layers: nothing is unpacked or run. Commands are run as RUN of a build runs them, each test on files of
/// its own; without a container runtime they are skipped. Exit codes: 0 all passed, 1 a test failed, 7 none failed and some were skipped.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF", required_unless_present = "archive", conflicts_with = "archive")]
    reference: Option<String>,

    /// Test the image of this archive or layout instead, which stays out of the store
    #[arg(long, value_name = "FILE")]
    archive: Option<PathBuf>,

    /// Which image of the archive (a name in it)
    #[arg(long, value_name = "NAME", requires = "archive")]
    image: Option<String>,

    /// A test file in YAML or JSON; several are done one after the other
    #[arg(short = 'f', long = "file", value_name = "FILE", default_value = "test.yml")]
    files: Vec<PathBuf>,

    /// Of a multi-platform image the one for this platform [default: this machine's]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse)]
    platform: Option<Platform>,

    #[command(flatten)]
    how: How,
}

/// How tests are run and reported.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// What commands see of the network: the machine's own, or nothing
    #[arg(long, value_enum, default_value = "host")]
    pub(super) network: Network,

    /// How long one command may take: 90s, 30m, 2h
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = build::timeout)]
    pub(super) timeout: Duration,

    /// How to print what became of the tests
    #[arg(long, value_enum, default_value_t)]
    pub(super) format: Form,
}

/// How a report is rendered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Form {
    /// For people.
    #[default]
    #[value(alias = "table")]
    Text,
    /// For programs; the fields are those of container-structure-test, and documented in docs/json.md.
    Json,
    /// XML for CI systems.
    Junit,
}

impl How {
    fn limits(&self) -> Limits {
        Limits { timeout: self.timeout }
    }
}

/// A test file that was read.
#[derive(Debug)]
pub(super) struct Known {
    name: String,
    tests: TestFile,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    refuse_stdin(args)?;
    let read = |path: &PathBuf| read_file(path, &context.cancel);
    let files = args.files.iter().map(read).collect::<Outcome<Vec<_>>>()?;
    let suites = match (&args.reference, &args.archive) {
        (Some(reference), _) => {
            let store = context.store()?;
            of_store(context, &store, reference, args.platform.as_ref(), &files, &args.how)?
        }
        (None, Some(archive)) => subject::of_archive(context, archive, args, &files)?,
        (None, None) => return Err(fail("no image is named").usage()),
    };
    tell(&Report { suites }, args.how.format)
}

/// Neither the image nor a test file comes from stdin: `-` would be taken for the name of a file.
fn refuse_stdin(args: &Args) -> Outcome {
    let is_stdin = |path: &&PathBuf| path.as_os_str() == "-";
    let (option, what) =
        match (args.archive.iter().any(|path| is_stdin(&path)), args.files.iter().find(is_stdin)) {
            (true, _) => ("--archive", "an archive or a layout"),
            (_, Some(_)) => ("-f", "a test file"),
            (false, None) => return Ok(()),
        };
    Err(fail(format!("{option} -: {what} is not read from stdin"))
        .with_hint(format!("{option} takes a file; one that is called - is ./-"))
        .usage())
}

/// Reads a test file; all that is wrong with it is said at once, and exits like a test that failed.
fn read_file(path: &Path, cancel: &Cancel) -> Outcome<Known> {
    let name = path.display().to_string();
    let mut text = String::new();
    // A pipe may have nobody who writes: it is waited for where a signal can end that.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    let file = File::options().read(true).custom_flags(flags.bits() as i32).open(path);
    let file = file.map_err(Error::io("open", path)).map_err(|error| {
        let error = crate::cli::CommandError::from(error);
        if path == Path::new("test.yml") { error.with_hint("-f names the test file") } else { error }
    })?;
    let read = interruptible(file, cancel.clone()).take(MAX_FILE + 1).read_to_string(&mut text);
    read.map_err(|error| from_io(error, Error::io("read", path)))?;
    if text.len() as u64 > MAX_FILE {
        return Err(fail(format!("{name}: has more than the {MAX_FILE} bytes that a test file may have")));
    }
    parse(name, &text)
}

/// The text of a test file, under its name for messages.
pub(super) fn parse(name: String, text: &str) -> Outcome<Known> {
    match read(text) {
        Ok(tests) => Ok(Known { name, tests }),
        Err(wrong) => {
            let mut lines = wrong.into_iter().map(|why| format!("{name}: {why}"));
            let first = lines.next().unwrap_or_else(|| name.clone());
            Err(fail(first).with_lines(lines.collect()))
        }
    }
}
