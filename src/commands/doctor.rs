//! `larder doctor`: what this host has, and what is wrong with it.

use std::path::PathBuf;
use std::time::Duration;

use larder_store::abilities::{Abilities, probe};
use larder_store::error::Error;
use larder_store::fs::Dir;
use larder_store::have::{self, Kept};
use larder_store::index::timestamp;
use larder_store::journal::{self, Unfinished};
use larder_store::lease;
use larder_store::lock::Locks;
use larder_store::quarantine::{self, Held};
use larder_store::store::Store;
use serde::Serialize;

use crate::build;
use crate::cli::{
    CommandError, Context, Format, Outcome, count, environment, fail, human, pairs, print_json,
};
use crate::docker::Engine;
use crate::registry::access::{self, Source};

/// Look at the store, its file system, its locks, the Docker engine, and where credentials of registries are
///
/// Changes nothing but for a file that is written and removed to try what the file system can do. Ends with 1 where
/// the store cannot be used as it is; that no engine answers is no failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Default, Serialize)]
struct Findings {
    store: String,
    exists: bool,
    images: usize,
    blobs: usize,
    bytes: u64,
    free: u64,
    abilities: Option<Abilities>,
    /// What is held, and by whom.
    locks: Vec<String>,
    leases: Vec<String>,
    /// Directories of imports that died.
    leftovers: usize,
    /// Imports with --consume that were not finished: what they took from an archive stays until they are.
    unfinished: Vec<Unfinished>,
    /// What was said with `bundle have --keep`, and stays until then.
    kept: Vec<KeptList>,
    /// Damaged blobs that were put aside.
    quarantine: Held,
    /// What there is for building images.
    builds: Option<build::run::Abilities>,
    /// Where registries and their credentials are told of.
    registries: Registries,
    engine: Option<EngineFindings>,
    engine_error: Option<String>,
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct KeptList {
    list: String,
    until: String,
    blobs: usize,
}

#[derive(Debug, Default, Serialize)]
struct Registries {
    /// The host's configuration: the files that are there.
    settings: Vec<PathBuf>,
    /// The file that says that no request may leave.
    offline: Option<PathBuf>,
    /// Hosts with mirrors.
    mirrors: Vec<String>,
    /// Where images are shared.
    remote: Option<String>,
    /// Files of credentials, in the order in which they are asked; never what is in them.
    credentials: Vec<Source>,
    /// What is wrong with the configuration.
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct EngineFindings {
    address: String,
    version: String,
    image_store: String,
    platform: String,
    reads_zstd: bool,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let mut found = Findings { store: context.store_path.display().to_string(), ..Findings::default() };
    found.exists = context.store_path.exists();
    if found.exists {
        let looked = context.store().and_then(|store| Ok(look(&store, &mut found)?));
        found.problems.extend(looked.err().map(|error| error.to_string()));
    }
    found.builds = Some(build::run::abilities());
    found.registries = registries();
    match Engine::connect(&context.cancel) {
        Ok(engine) => {
            found.engine = Some(EngineFindings {
                address: engine.host.clone(),
                version: engine.version.clone(),
                image_store: engine.image_store.to_string(),
                platform: engine.platform.to_string(),
                reads_zstd: engine.reads_zstd(),
            });
        }
        Err(error) => found.engine_error = Some(CommandError::from(error).to_string()),
    }
    match args.format {
        Format::Json => print_json(&found)?,
        Format::Table => show(&found)?,
    }
    match &found.problems[..] {
        [] => Ok(()),
        problems => Err(fail(problems.join("; "))),
    }
}

fn look(store: &Store, found: &mut Findings) -> Result<(), Error> {
    let private = store.layout().private();
    found.free = store.free_space()?;
    found.images = store.index()?.entries().len();
    store.blobs().list(&mut |_, size| {
        found.blobs += 1;
        found.bytes += size;
    })?;
    let abilities = probe(private)?;
    if !abilities.locks {
        found.problems.push(format!("{} cannot lock files; a store needs that", abilities.file_system));
    }
    found.abilities = Some(abilities);
    let locks = Locks::new(private.clone(), Duration::ZERO);
    for taken in [locks.exclusive().map(drop), locks.index().map(drop)] {
        match taken {
            Ok(()) => {}
            Err(error @ Error::LockTimeout { .. }) => found.locks.push(error.to_string()),
            Err(error) => return Err(error),
        }
    }
    for seen in lease::glance(&private.ensure_dir("leases")?)? {
        found.leases.push(format!("{} ({})", seen.purpose, count(seen.digests.len(), "digest")));
    }
    found.unfinished = journal::unfinished(private)?;
    let kept = have::kept(private)?.into_iter();
    let kept = kept.map(|Kept { list, until, digests }| KeptList {
        list,
        until: timestamp(until),
        blobs: digests.len(),
    });
    found.kept = kept.collect();
    found.quarantine = quarantine::held(store)?;
    let ingest = private.ensure_dir("ingest")?;
    for name in ingest.names()? {
        found.leftovers += usize::from(is_left_over(&ingest, &name));
    }
    Ok(())
}

/// Whether nobody holds the lock of an ingest any more.
fn is_left_over(ingest: &Dir, name: &str) -> bool {
    let Ok(dir) = ingest.sub(name) else { return false };
    dir.fd().try_clone().is_ok_and(|fd| std::fs::File::from(fd).try_lock_shared().is_ok())
}

fn registries() -> Registries {
    let environment = environment();
    let paths = access::settings_paths(&environment);
    let mut found = Registries {
        settings: paths.into_iter().filter(|path| path.exists()).collect(),
        credentials: access::sources(&environment),
        ..Registries::default()
    };
    match access::settings(&environment) {
        Ok(settings) => {
            found.offline = settings.offline;
            found.mirrors = settings.mirrors.into_keys().collect();
            found.remote = settings.remote.map(|remote| remote.repository);
        }
        Err(error) => found.error = Some(CommandError::from(error).to_string()),
    }
    found
}

fn show_registries(found: &Registries, rows: &mut Vec<(&'static str, String)>) {
    let shown = |paths: &[PathBuf]| {
        let paths: Vec<_> = paths.iter().map(|path| path.display().to_string()).collect();
        if paths.is_empty() { "none".to_owned() } else { paths.join(", then ") }
    };
    let settings = found.error.clone().unwrap_or_else(|| shown(&found.settings));
    rows.push(("Host's configuration", settings));
    match &found.offline {
        Some(file) => {
            rows.push(("Registries", format!("none is asked: {} says `offline = true`", file.display())))
        }
        None if found.mirrors.is_empty() => {}
        None => rows.push(("Mirrors", format!("of {}", found.mirrors.join(", ")))),
    }
    rows.extend(found.remote.iter().map(|remote| ("Remote", remote.clone())));
    if found.credentials.is_empty() {
        rows.push(("Credentials", "none".to_owned()));
    }
    for Source { file, entries, helpers, error } in &found.credentials {
        let helpers = helpers.iter().map(String::as_str);
        let entries = match entries {
            1 => "1 entry".to_owned(),
            entries => format!("{entries} entries"),
        };
        let what: Vec<_> = std::iter::once(entries.as_str()).chain(helpers).collect();
        let text = || format!("{} ({})", file.display(), what.join(", "));
        rows.push(("Credentials", error.clone().unwrap_or_else(text)));
    }
}

fn show(found: &Findings) -> Outcome {
    let yes = |is: bool| if is { "yes" } else { "no" };
    let mut rows = vec![("Store", found.store.clone())];
    if found.exists {
        let Findings { images, blobs, bytes, .. } = found;
        rows.push((
            "Content",
            format!("{}, {}, {}", count(*images, "image"), count(*blobs, "blob"), human(*bytes)),
        ));
        rows.push(("Free on the disk", human(found.free)));
    } else {
        rows.push(("Content", "none yet; it is made on first use".into()));
    }
    if let Some(can) = &found.abilities {
        rows.push(("File system", can.file_system.clone()));
        rows.push(("Locks files", yes(can.locks).into()));
        rows.push(("Preallocates", yes(can.preallocation).into()));
        rows.push(("Punches holes", format!("{} (import --consume)", yes(can.holes))));
        rows.push(("Copies in the kernel", yes(can.kernel_copy).into()));
    }
    let list = |all: &[String], none: &str| if all.is_empty() { none.to_owned() } else { all.join("; ") };
    rows.push(("Locks", list(&found.locks, "free")));
    rows.push(("Leases", list(&found.leases, "none")));
    if found.leftovers > 0 {
        rows.push(("Leftovers", format!("{} of imports that died", found.leftovers)));
    }
    for unfinished in &found.unfinished {
        let (journal, blobs) = (&unfinished.journal, count(unfinished.blobs.len(), "blob"));
        let what = match unfinished.bundle() {
            Some(bundle) => {
                format!("a bundle ({bundle}) of which not all has come, {blobs}: apply what is missing")
            }
            None => format!("an import with --consume, {blobs}: repeat it"),
        };
        rows.push(("Unfinished", format!("{what}, or remove .larder/journals/{journal} and run gc")));
    }
    for KeptList { until, blobs, .. } in &found.kept {
        rows.push(("Kept for a bundle", format!("{}, until {until}", count(*blobs, "blob"))));
    }
    if found.quarantine.blobs > 0 {
        let Held { blobs, bytes } = found.quarantine;
        rows.push(("Quarantine", format!("{}, {}", count(blobs, "damaged blob"), human(bytes))));
    }
    if let Some(can) = &found.builds {
        rows.push((
            "Runs builds with",
            can.runtime.clone().unwrap_or_else(|| "nothing: install runc or crun".into()),
        ));
        rows.push(("Overlayfs", yes(can.overlayfs).into()));
        rows.push(("Control groups", can.without_control_groups.clone().unwrap_or_else(|| "yes".into())));
        rows.push(("User namespaces", format!("{} (builds run as root)", yes(can.user_namespaces))));
    }
    show_registries(&found.registries, &mut rows);
    match (&found.engine, &found.engine_error) {
        (Some(engine), _) => {
            let EngineFindings { address, version, image_store, platform, reads_zstd } = engine;
            let zstd = if *reads_zstd { "reads zstd" } else { "reads no zstd" };
            rows.push(("Docker engine", format!("{version} at {address}, {platform}")));
            rows.push(("Its image store", format!("{image_store}, {zstd}")));
        }
        (None, error) => rows.push(("Docker engine", error.clone().unwrap_or_default())),
    }
    pairs(&rows)
}
