//! `larder def graph`: what is built on what.

use clap::ValueEnum;
use serde_json::json;

use super::Folder;
use crate::cli::{Outcome, line, print, print_json, safe};
use crate::def::{self, Definitions};

/// Show which images are built on which
///
/// Images of other places come first, and below each image those that need it; in brackets, how many tags are built of it. What was
/// unfolded further up has a `…`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    folder: Folder,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Form,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Form {
    /// A tree
    #[default]
    Table,
    /// For Graphviz: larder def graph --format dot | dot -Tsvg
    Dot,
    /// All images and tags in the order in which they are built; the fields are documented in docs/json.md
    Json,
}

pub(super) fn run(args: &Args) -> Outcome {
    let definitions = args.folder.read()?;
    match args.format {
        Form::Table => def::tree(&definitions).into_iter().try_for_each(line),
        Form::Dot => {
            let text: Vec<_> = def::dot(&definitions).lines().map(safe).collect();
            print(&(text.join("\n") + "\n"))
        }
        Form::Json => print_json(&value(&definitions)),
    }
}

fn value(definitions: &Definitions) -> serde_json::Value {
    let image = |image: &def::Image| {
        json!({
            "name": image.name,
            "directory": image.directory,
            "is_base_image": image.is_base_image,
            "needs": image.needs,
        })
    };
    let tag = |tag: &def::Tag| {
        let needs: Vec<_> = tag.needs.iter().map(|at| definitions.tags[*at].shown()).collect();
        json!({
            "reference": tag.shown(),
            "name": tag.name,
            "tag": tag.tag,
            "directory": definitions.images[tag.image].directory,
            "variant": tag.variant,
            "aliases": tag.aliases,
            "needs": needs,
            "foreign": tag.foreign,
        })
    };
    json!({
        "images": definitions.images.iter().map(image).collect::<Vec<_>>(),
        "tags": definitions.tags.iter().map(tag).collect::<Vec<_>>(),
    })
}
