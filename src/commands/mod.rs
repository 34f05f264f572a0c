//! The verbs, one file each.

mod annotate;
mod base;
mod build;
mod bundle;
mod catalog;
mod completions;
mod def;
mod df;
mod df_tree;
mod doctor;
mod ensure;
mod export;
mod facts;
mod gc;
mod hold;
mod holds;
mod images;
mod import;
mod init;
mod inspect;
mod login;
mod logout;
mod man;
mod naming;
mod pace;
mod packed;
mod pin;
mod plain_http;
mod platform;
mod prune;
mod pull;
mod push;
mod report;
mod resolve;
mod rm;
mod sbom;
mod schema;
mod signed;
mod sync;
mod tag;
mod test;
mod to_docker;
mod to_tree;
mod verify;
mod with_package;

use std::process::ExitCode;

use clap::Subcommand;
use larder_store::descriptor::Descriptor;
use larder_store::error::Error;
use larder_store::index::{self, Index};
use larder_store::store::Store;

use crate::cli::{CommandError, Context, Outcome, fail};

/// How `hold` says that larder itself failed: 1 and 2 are the command's.
pub(crate) const HOLD_FAILED: u8 = 125;

/// What larder can do.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    Init(init::Args),
    Import(import::Args),
    Pull(pull::Args),
    Push(push::Args),
    Sync(sync::Args),
    Catalog(catalog::Args),
    #[command(visible_alias = "ls")]
    Images(images::Args),
    Inspect(inspect::Args),
    Sbom(sbom::Args),
    Df(df::Args),
    Report(report::Args),
    Tag(tag::Args),
    Rm(rm::Args),
    Annotate(annotate::Args),
    Resolve(resolve::Args),
    Ensure(Box<ensure::Args>),
    Build(build::Args),
    Def(def::Args),
    Test(test::Args),
    /// Protect names, and the images that they mean, from `rm` and `prune`
    ///
    /// A pin belongs to the name and moves with it when the name gets another image.
    Pin(pin::Args),
    /// Take the protection of `pin` away again
    Unpin(pin::Args),
    Export(export::Args),
    Bundle(bundle::Args),
    Hold(hold::Args),
    Holds(holds::Args),
    Gc(gc::Args),
    Prune(prune::Args),
    Verify(verify::Args),
    Login(login::Args),
    Logout(logout::Args),
    Doctor(doctor::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

impl Verb {
    /// Does it; the exit code, where it is not an error's.
    pub(crate) fn run(&self, context: &Context) -> Outcome<ExitCode> {
        let done = match self {
            Verb::Init(args) => init::run(context, args),
            Verb::Import(args) => import::run(context, args),
            Verb::Pull(args) => pull::run(context, args),
            Verb::Push(args) => push::run(context, args),
            Verb::Sync(args) => sync::run(context, args),
            Verb::Catalog(args) => catalog::run(context, args),
            Verb::Images(args) => images::run(context, args),
            Verb::Inspect(args) => inspect::run(context, args),
            Verb::Sbom(args) => sbom::run(context, args),
            Verb::Df(args) => df::run(context, args),
            Verb::Report(args) => report::run(context, args),
            Verb::Tag(args) => tag::run(context, args),
            Verb::Rm(args) => rm::run(context, args),
            Verb::Annotate(args) => annotate::run(context, args),
            Verb::Resolve(args) => resolve::run(context, args),
            Verb::Ensure(args) => ensure::run(context, args),
            Verb::Build(args) => build::run(context, args),
            Verb::Def(args) => def::run(context, args),
            Verb::Test(args) => test::run(context, args),
            Verb::Pin(args) => pin::run(context, args, pin::Change::Pin),
            Verb::Unpin(args) => pin::run(context, args, pin::Change::Unpin),
            Verb::Export(args) => export::run(context, args),
            Verb::Bundle(args) => bundle::run(context, args),
            Verb::Hold(args) => return hold::run(context, args).map(ExitCode::from),
            Verb::Holds(args) => holds::run(context, args),
            Verb::Gc(args) => gc::run(context, args),
            Verb::Prune(args) => prune::run(context, args),
            Verb::Verify(args) => verify::run(context, args),
            Verb::Login(args) => login::run(context, args),
            Verb::Logout(args) => logout::run(context, args),
            Verb::Doctor(args) => doctor::run(context, args),
            Verb::Schema(args) => schema::run(args),
            Verb::Completions(args) => completions::run(args),
            Verb::Man(args) => man::run(args),
        };
        done.map(|()| ExitCode::SUCCESS)
    }

    /// The exit code of larder's own failures, where all other codes are somebody else's.
    pub(crate) fn failure(&self) -> Option<u8> {
        matches!(self, Verb::Hold(_)).then_some(HOLD_FAILED)
    }
}

/// What is wrong with an image, where the others can be dealt with all the same. A disk error is another matter.
fn if_damaged(looked: Result<(), Error>) -> Result<Option<String>, Error> {
    match looked {
        Ok(()) => Ok(None),
        Err(error) if is_damage(&error) => Ok(Some(CommandError::from(error).to_string())),
        Err(error) => Err(error),
    }
}

fn is_damage(error: &Error) -> bool {
    match error {
        Error::Within { source, .. } => is_damage(source),
        error => matches!(error, Error::Damaged { .. } | Error::Invalid { .. }),
    }
}

/// Looks at images without protecting them, and says which are damaged. What is missing may only have been let go and
/// swept meanwhile: then the index is another one by now, and it is looked at again.
fn look<T>(
    store: &Store,
    look: impl FnMut(&Index) -> Outcome<(T, Vec<String>)>,
) -> Outcome<(T, Vec<String>)> {
    look_at_index(store, look).map(|(looked, _)| looked)
}

/// Like [`look`], with the index that was looked at.
fn look_at_index<T>(
    store: &Store,
    mut look: impl FnMut(&Index) -> Outcome<(T, Vec<String>)>,
) -> Outcome<((T, Vec<String>), Index)> {
    /// So often the index may move on: where something is damaged too, that has to be said in the end.
    const TIMES: usize = 20;
    /// What another tool takes for a small blob.
    const MOMENT: std::time::Duration = std::time::Duration::from_millis(200);
    let (mut index, mut has_waited) = (store.index()?, false);
    for _ in 1..TIMES {
        let looked = look(&index);
        if matches!(&looked, Ok((_, damaged)) if damaged.is_empty()) {
            return Ok((looked?, index));
        }
        let now = store.index()?;
        if now == index {
            if has_waited {
                return Ok((looked?, index));
            }
            // Other tools write a blob anew in its place, and it is empty for a moment.
            std::thread::sleep(MOMENT);
            has_waited = true;
        }
        index = now;
    }
    Ok((look(&index)?, index))
}

/// The end of a list in which some images are damaged.
fn damaged_images(damaged: &[String]) -> Outcome {
    match damaged {
        [] => Ok(()),
        some => Err(fail(some.join("; ")).with_hint("`larder verify` says which images need it").damaged()),
    }
}

/// Seconds since 1970.
fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// Threads for compressing: what was asked for, else one for each core; by itself no more than 100 MiB allow.
fn jobs(asked: Option<usize>) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(6);
    asked.unwrap_or_else(cores).clamp(1, 64)
}

/// The names that an entry shares its content with, where a digest was asked for and a name is meant.
fn several_names(index: &Index, entry: &Descriptor, query: &str) -> Result<(), Error> {
    let names = index.entries().iter().filter(|other| other.digest == entry.digest);
    let names: Vec<_> = names.filter_map(|other| other.annotation(index::REF_NAME)).collect();
    let by_name = query.parse().is_ok_and(|reference| index::bears(entry, &reference))
        || entry.annotation(index::REF_NAME) == Some(query);
    if by_name || names.len() < 2 {
        return Ok(());
    }
    Err(Error::invalid(query, format!("has several names ({}); say which", names.join(", "))))
}
