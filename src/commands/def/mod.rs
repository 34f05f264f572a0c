//! `larder def`: image definitions.

mod build;
mod generate;
mod give;
mod graph;
mod known;

use std::path::{Path, PathBuf};

use crate::cli::{Context, Outcome, fail, note};
use crate::def::{Definitions, Locks};

/// Make images from a folder of definitions: a few lines of YAML and templates for all tags, variants and aliases
///
/// A definition is images/NAME/VERSION/image.yml with a Dockerfile.jinja2 beside it; docs/definitions.md has the format.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
enum Verb {
    Generate(generate::Args),
    Build(Box<build::Args>),
    Graph(graph::Args),
}

/// Where definitions are.
#[derive(Debug, clap::Args)]
struct Folder {
    /// The folder of definitions
    #[arg(long, value_name = "DIR", default_value = "images")]
    images: PathBuf,

    /// Take no versions and digests from packages.lock
    #[arg(long)]
    no_lock: bool,
}

impl Folder {
    /// Reads it, and tells what people should know of it.
    fn read(&self) -> Outcome<Definitions> {
        if !self.images.is_dir() {
            return Err(fail(format!("{}: there is no such directory", self.images.display()))
                .with_hint("--images names the folder of definitions"));
        }
        let locks = if self.no_lock { Locks::Ignored } else { Locks::Applied };
        let definitions = Definitions::read(&self.images, locks)?;
        definitions.notes.iter().for_each(|text| note(format_args!("{text}")));
        Ok(definitions)
    }

    /// The directory that it is in.
    fn project(&self) -> PathBuf {
        match self.images.parent() {
            Some(above) if !above.as_os_str().is_empty() && self.images.file_name().is_some() => {
                above.to_path_buf()
            }
            _ if self.images.file_name().is_some() => Path::new(".").to_path_buf(),
            _ => self.images.join(".."),
        }
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    match &args.verb {
        Verb::Generate(args) => generate::run(args),
        Verb::Build(args) => build::run(context, args),
        Verb::Graph(args) => graph::run(args),
    }
}
