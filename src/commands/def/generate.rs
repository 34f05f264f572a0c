//! `larder def generate`: Dockerfiles, tests and aliases as files.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::json;

use super::Folder;
use crate::build::dockerfile;
use crate::cli::{Format, Outcome, count, line, note, print_json};
use crate::def::Definitions;
use crate::def::generate::directory;

/// Write Dockerfiles, tests, rootfs/ and aliases of all definitions
///
/// DIST/NAME/TAG/ gets Dockerfile, test.yml and rootfs/, and for each alias there is a file DIST/NAME/ALIAS with the tag in it.
/// Only what changed is written. What an earlier run made and no definition makes any more is removed; other files stay.
///
/// Prints a line for each tag: name, directory, aliases.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    folder: Folder,

    /// Where to write
    #[arg(short, long, value_name = "DIST", default_value = "dist")]
    output: PathBuf,

    /// How to print what there is now
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(args: &Args) -> Outcome {
    super::check_output(&args.output)?;
    let definitions = args.folder.read()?;
    let written = definitions.write(&args.output)?;
    note(format_args!(
        "{}: {} written, {} removed",
        args.output.display(),
        count(written.changed.len(), "file"),
        written.removed.len()
    ));
    tell_problems(&definitions);
    let mut rows = Vec::new();
    for tag in &definitions.tags {
        let directory = directory(tag);
        let at = args.output.join(&directory);
        match args.format {
            Format::Table => {
                line(format!("{} {} {}", tag.shown(), at.display(), tag.aliases.join(",")).trim_end())?;
            }
            Format::Json => rows.push(json!({
                "name": tag.name,
                "tag": tag.tag,
                "variant": tag.variant,
                "aliases": tag.aliases,
                "directory": at,
                "changed": written.changed.iter().any(|path| path.starts_with(&format!("{directory}/"))),
            })),
        }
    }
    if args.format == Format::Json { print_json(&rows) } else { Ok(()) }
}

/// What a build would refuse: other programs may know it, so that it is no error here. What tags of an image have in common is told once.
fn tell_problems(definitions: &Definitions) {
    let mut told: BTreeMap<(usize, String), Vec<usize>> = BTreeMap::new();
    for (at, tag) in definitions.tags.iter().enumerate() {
        for problem in dockerfile::parse(&tag.dockerfile).err().unwrap_or_default() {
            told.entry((tag.image, problem.of("Dockerfile"))).or_default().push(at);
        }
    }
    for ((_, problem), tags) in told {
        let [first, others @ ..] = tags.as_slice() else { continue };
        let others = match others.len() {
            0 => String::new(),
            more => format!(" (and {more} more)"),
        };
        note(format_args!(
            "{}{others}: {problem}; larder builds no such image",
            definitions.tags[*first].shown()
        ));
    }
}
