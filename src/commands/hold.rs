//! `larder hold`: a command runs, and its images stay.

use std::ffi::OsString;
use std::time::Duration;

use larder_store::cancel::Cancel;
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::lease::{About, HOLD, Lease};
use larder_store::reference::Reference;
use larder_store::settings::settings_of;
use larder_store::store::Store;

use super::platform;
use super::to_docker::{self, HandOvers, Handed};
use crate::cli::{Context, Outcome, human, note, run_child};
use crate::docker::{Engine, Fate, LoadedCopy, Mode, Removal, Uses};

/// How long an engine may take for its first answer when CMD has ended.
const PATIENCE: Duration = Duration::from_secs(10);

/// Run a command, and keep its images while it runs
///
/// Nothing of the images leaves the store while CMD, or anything that it started, runs: no gc and
/// no prune takes it, also when a name is removed or gets another image, and also when larder
/// itself is killed. `larder holds` lists what is held, and what keeps it: anything that CMD leaves
/// running does. A program that closes what it inherits (sudo, some daemons) is protected only as
/// long as larder lives.
///
/// With --to-docker the images are first handed over to the engine at DOCKER_HOST (else
/// /var/run/docker.sock), and --rmi takes them out of it again afterwards. CMD begins only after the
/// engine has confirmed all names. A job of act in an image of the store:
///
///   larder hold gcc15 --to-docker --rmi -- act -P ubuntu-latest=gcc15 --pull=false
///
/// If a name was another image's in the engine, that is said, and after --rmi the name means it
/// again. One store for one engine: two stores do not see each other's holds, and then --rmi and
/// `prune --docker` of the one take copies that the other counts on.
///
/// Larder stores the name of the program and none of its arguments. `ps` shows those to everybody:
/// hand secrets over in files or in the environment.
///
/// CMD has larder's input and output; signals are passed on to it. The exit code is CMD's, or 128
/// and the number of the signal that ended it; 125 where larder failed (CMD did not run), 126 where
/// CMD cannot be run, 127 where there is no such command.
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The images: names, or digests (also the first 12 or more digits)
    #[arg(required = true, value_name = "REF")]
    images: Vec<String>,

    /// Hand over to a Docker engine first
    #[arg(long)]
    to_docker: bool,

    /// The name to give the image there; once for each REF, in the same order
    #[arg(long = "as", value_name = "NAME", requires = "to_docker")]
    names: Vec<Reference>,

    /// Afterwards take out of the engine what larder brought in, unless a container, another hold or
    /// a young `export --to-docker` (min_age, 10 minutes by default) uses it
    #[arg(long, requires = "to_docker")]
    rmi: bool,

    /// Which image of a multi-platform one [default: the engine's]
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse, requires = "to_docker")]
    platform: Option<Platform>,

    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "CMD")]
    command: Vec<OsString>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome<u8> {
    to_docker::check_names(&args.names, &args.images)?;
    let store = context.store()?;
    let about = About {
        purpose: HOLD.into(),
        since: Some(super::now()),
        images: args.images.clone(),
        ..About::default()
    }
    .running(&args.command);
    let (lease, entries) = store.hold(&args.images, about)?;
    if !args.to_docker {
        for entry in &entries {
            store.record_use(&entry.digest, super::now())?;
        }
        return run_held(context, args, &store, &entries, lease);
    }
    let engine = Engine::connect(&context.cancel)?;
    let id = lease.id().to_owned();
    let wanted = HandOvers {
        images: &args.images,
        names: &args.names,
        platform: args.platform.as_ref(),
        jobs: super::jobs(None),
        lease: Some(&id),
    };
    let mut handed = Vec::new();
    let mut done = |one: Handed<'_>| handed.push(one.sent.id);
    let ended = to_docker::hand_over_all(context, &store, &engine, &entries, &wanted, &mut done)
        .and_then(|()| run_held(context, args, &store, &entries, lease));
    if args.rmi {
        remove(context, store, &handed, &id);
    }
    ended
}

/// Runs the command with the lease. What it left running in the background keeps that, and so counts as a hold.
fn run_held(
    context: &Context,
    args: &Args,
    store: &Store,
    entries: &[Descriptor],
    mut lease: Lease,
) -> Outcome<u8> {
    lease.inherit()?;
    // At least one word: the arguments say so.
    let (program, words) = args.command.split_at(1);
    let code = run_child(context, &program[0], words)?;
    for entry in entries {
        // Used until now, not only since it began. CMD has ended as it has ended, whatever becomes of this.
        if let Err(error) = store.prolong_use(&entry.digest, super::now()) {
            note(format_args!("larder: the use of {} is not recorded: {error}", entry.digest));
        }
    }
    Ok(code)
}

/// Takes out of the engine what this hold has handed over; whatever becomes of that, the hold has ended as it has ended.
fn remove(context: &Context, store: Store, handed: &[Digest], lease: &str) {
    // The signal that ended the hold does not end this; another one ends larder.
    let cancel = if context.cancel.is_raised() { Cancel::new() } else { context.cancel.clone() };
    let store = store.with_cancel(&cancel);
    match taken(&store, handed, lease, &cancel) {
        Ok((copies, version)) => copies.iter().for_each(|copy| say(copy, &version)),
        Err(error) => error.tell("the images stay in the Docker engine (--rmi): "),
    }
}

/// What became of the copies, and the engine's version.
fn taken(
    store: &Store,
    handed: &[Digest],
    lease: &str,
    cancel: &Cancel,
) -> Outcome<(Vec<LoadedCopy>, String)> {
    // With a policy that cannot be read nobody knows how long a hand-over counts.
    let policy = settings_of(store)?.policy;
    let engine = Engine::connect_within(PATIENCE, cancel)?;
    let removal = Removal {
        store,
        engine: &engine,
        now: super::now(),
        min_age: &|names| policy.min_age(names),
        uses: Uses::NotOfHolds,
        is_waiting: false,
        can_give_again: &|_| true,
        mode: Mode::Take,
        cancel,
    };
    Ok((removal.of_hold(handed, lease)?, engine.version))
}

fn say(copy: &LoadedCopy, version: &str) {
    let names = if copy.names.is_empty() { copy.id.short() } else { copy.names.join(", ") };
    let size = copy.size.map(|size| format!(" ({})", human(size))).unwrap_or_default();
    match &copy.fate {
        Fate::Removed => note(format_args!("{names}: taken out of Docker {version}{size}")),
        Fate::Kept(why) => note(format_args!("{names}: stays in Docker {version}: {why}")),
    }
    for (name, id) in &copy.given_back {
        note(format_args!("{name}: means {id} again"));
    }
}
