//! `larder schema`: what files of larder's may have in them, for editors.

use clap::ValueEnum;

use crate::cli::{Outcome, print_json};
use crate::def::schema;

/// Print the JSON schema of a file that larder reads, for editors
///
/// An editor with a language server for YAML takes it by a first line such as
/// `# yaml-language-server: $schema=../image.schema.json`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of which file
    #[arg(value_enum)]
    file: File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum File {
    /// image.yml, an image definition
    Image,
}

pub(super) fn run(args: &Args) -> Outcome {
    match args.file {
        File::Image => print_json(&schema::image()),
    }
}
