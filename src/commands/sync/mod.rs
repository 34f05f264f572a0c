//! `larder sync`: what a list says of registries is to be here, or in another registry.

mod bring;
mod chain;
mod delete;
mod plan;
mod rows;

use std::path::PathBuf;

use larder_store::store::Store;

use self::rows::{Failures, Rows};
use super::naming::Names;
use super::pull::{Fetching, registries};
use super::resolve::file;
use crate::catalog::Declared;
use crate::cli::{Context, Format, Outcome, fail};
use crate::registry::Registries;
use crate::registry::sync::{self, Below};

/// Bring in what a list says of registries, or bring it to another registry, and keep it as it is there
///
/// The list is YAML: repositories, and which of their tags are wanted, by name, pattern or range of versions, and of these the newest.
/// First all is looked at and the plan is told; then only what is lacking is transferred, as by `pull` and `push`. A tag that is as it was
/// costs one request on each side. Prints a line for each image: name, digest, what becomes of it (there, new, moved, gone), bytes to
/// fetch; with `to` also bytes to send and the name there. docs/sync.md has the keys and examples:
///
///   - repository: debian
///     tags: [12, 12-slim]
///   - registry: ghcr.io
///     repository: me/tools
///     semver: '>=1.2, <2'
///     newest: 3
///     to: registry.example.com/mirror/tools
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The list; `-` is stdin
    #[arg(value_name = "FILE|-")]
    file: PathBuf,

    /// Bring it to this registry, each repository with its path below PREFIX, and not into the store; `to` in the list comes before it
    #[arg(long, value_name = "REGISTRY[/PREFIX]")]
    to: Option<Below>,

    /// Look, tell what would be done, and transfer no layer
    #[arg(long)]
    dry_run: bool,

    /// Take names away that came from these repositories and are not wanted any more (pinned ones stay); in another registry all tags
    /// of the repository that are not wanted
    #[arg(long)]
    delete: bool,

    #[command(flatten)]
    fetching: Fetching,

    /// How to print what is done
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// What is done, with what.
struct Sync<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    registries: &'a Registries,
    names: &'a Names,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let text = file::text(&args.file, &context.cancel)?;
    let entries = sync::parse(&text, args.to.as_ref()).map_err(|why| {
        let hint =
            "keys are registry, repository, tags, semver, newest, platforms, to; docs/sync.md has examples";
        fail(format!("{}: {why}", args.file.display())).with_hint(hint).usage()
    })?;
    let store = context.store()?;
    let names = Names::of(&store, Declared::default(), false)?;
    args.fetching.plain_http.check(&sync::remote_hosts(&entries))?;
    let registries = registries(context, &args.fetching.plain_http)?;
    let sync = Sync { context, args, store: &store, registries: &registries, names: &names };
    let mut failed = Failures::default();
    let mut planned = sync.plan(&entries, &mut failed)?;
    chain::check(&mut planned)?;
    sync.tell(&planned);
    let mut rows = Rows::new(args.format);
    for plan in &mut planned {
        sync.bring(plan, &mut rows, &mut failed)?;
        plan.sides.rest();
    }
    if args.delete {
        sync.delete(&planned, &mut rows, &mut failed)?;
    }
    let done = rows.count();
    rows.end()?;
    failed.end(done)
}
