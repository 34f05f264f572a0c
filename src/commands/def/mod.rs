//! `larder def`: image definitions.

mod affected;
mod build;
mod ci;
mod generate;
mod give;
mod graph;
mod known;
mod test;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cli::{CommandError, Context, Outcome, fail, note};
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
    Test(test::Args),
    Graph(graph::Args),
    Ci(ci::Args),
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
        Verb::Test(args) => test::run(context, args),
        Verb::Ci(args) => ci::run(args),
        Verb::Graph(args) => graph::run(args),
    }
}

/// Files are written into a directory: stdout is none.
fn check_output(output: &Path) -> Outcome {
    match output.as_os_str() == "-" {
        true => Err(fail("-: is no directory that files could be written into")
            .with_hint("-o names a directory; one of this name is ./-")
            .usage()),
        false => Ok(()),
    }
}

/// The numbers of the tags that are asked for, in the order in which they are built.
fn numbers(definitions: &Definitions, names: &[String]) -> Outcome<Vec<usize>> {
    let mut numbers = BTreeSet::new();
    for name in names {
        match definitions.find(name) {
            found if found.is_empty() => return Err(no_such(definitions, name)),
            found => numbers.extend(found),
        }
    }
    Ok(numbers.into_iter().collect())
}

fn no_such(definitions: &Definitions, name: &str) -> CommandError {
    no_such_tag(definitions, name, name.split(':').next().unwrap_or(name))
}

/// What is missing, where it is a tag of this image or nothing known at all.
fn no_such_tag(definitions: &Definitions, name: &str, image: &str) -> CommandError {
    let of_image: Vec<_> =
        definitions.tags.iter().filter(|tag| tag.name == image).map(|tag| tag.tag.as_str()).collect();
    let names: BTreeSet<_> = definitions.tags.iter().map(|tag| tag.name.as_str()).collect();
    let hint = match of_image.is_empty() {
        true => format!("the images are {}", names.into_iter().collect::<Vec<_>>().join(", ")),
        false => format!("its tags are {}", of_image.join(", ")),
    };
    fail(format!("{name}: no definition makes it")).with_hint(hint).usage()
}
