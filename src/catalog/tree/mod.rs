//! The policy of `prune` for a folder of `<project>/<name>.tar` beside a store.
//!
//! A file goes only if larder exported it and it is what it was then, or if the folder's `image-registry.yml` lists it; if the
//! store can give every image in it again; and if nobody holds one of them. All else stays and says why. The folder is read
//! without any lock. Deciding and unlinking happen with the store to ourselves, so that no hold begins in between; each file is
//! looked at once more before that. No link is followed.
//!
//! Limits: a registry is read and never written here; who writes into the folder without a lock of the store may put another
//! file under a name in the moment between the last look and the unlink.

mod find;
mod holdings;
mod judge;

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use larder_store::cancel::Cancel;
use larder_store::error::{Error, Result};
use larder_store::exports::{Identity, Recorded};
use larder_store::fs::{Dir, disk_space};
use larder_store::gc::Mode;
use larder_store::policy::{Dropped, Policy, Verdict, WhenBusy};
use larder_store::store::Store;

use super::image_registry::{ImageRegistry, Refused};
use find::{Sources, Tar, find};
use judge::{Judgement, judge};

/// How to prune a folder.
pub(crate) struct Options<'a> {
    pub(crate) dir: &'a Path,
    pub(crate) policy: &'a Policy,
    /// Seconds since 1970.
    pub(crate) now: i64,
    pub(crate) mode: Mode,
    pub(crate) cancel: &'a Cancel,
}

/// Why a file is not for the policy to decide on. It stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Apart {
    /// Neither larder nor the registry knows it.
    Stranger,
    /// Larder exported it, and it is not what it was.
    Changed,
    /// It has another name, which would keep its bytes.
    Linked,
    /// It cannot be read, or is no archive of images.
    Unreadable(String),
    /// The store cannot give it again.
    Irreplaceable(String),
    /// It was to go, and could not be removed.
    Stuck(String),
}

/// What becomes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    Decided(Verdict),
    Apart(Apart),
}

/// A file and what becomes of it.
#[derive(Debug)]
pub(crate) struct Judged {
    /// `<project>/<name>.tar`.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    /// What the store calls its images.
    pub(crate) references: BTreeSet<String>,
    /// Seconds since 1970.
    pub(crate) imported: i64,
    pub(crate) last_used: i64,
    pub(crate) fate: Fate,
}

impl Judged {
    pub(crate) fn is_dropped(&self) -> bool {
        matches!(self.fate, Fate::Decided(Verdict::Drop(_)))
    }
}

/// What went, or would go. All sizes are bytes.
#[derive(Debug)]
pub(crate) struct Pruned {
    /// All archives of the folder.
    pub(crate) files: Vec<Judged>,
    /// Entries of the registry that were passed over.
    pub(crate) refused: Vec<Refused>,
    pub(crate) freed_bytes: u64,
    /// Of all archives afterwards.
    pub(crate) stored_bytes: u64,
    /// Of the folder's disk afterwards: predicted in a dry run, else measured.
    pub(crate) free_bytes: u64,
    pub(crate) disk_bytes: u64,
    /// Whether a `hold` lives, and limits of age and size wait for its end.
    pub(crate) is_waiting: bool,
    pub(crate) over_size: u64,
    pub(crate) short_of_space: u64,
}

impl Pruned {
    /// Whether a limit could not be reached.
    pub(crate) fn is_short(&self) -> bool {
        self.over_size > 0 && !self.is_waiting || self.short_of_space > 0
    }
}

/// Prunes a folder.
pub(crate) fn prune_tree(store: &Store, options: &Options<'_>) -> Result<Pruned> {
    let dir = Dir::open(options.dir)?;
    let real = options.dir.canonicalize().map_err(Error::io("open", options.dir))?;
    let real = real.to_string_lossy().into_owned();
    let registry = ImageRegistry::read(&dir)?;
    let recorded: HashMap<_, _> =
        store.exports()?.into_iter().map(|record| (record.export.path.clone(), record)).collect();
    let sources = Sources {
        recorded: &recorded,
        registry: &registry,
        now: options.now,
        user: rustix::process::geteuid().as_raw(),
        cancel: options.cancel,
    };
    let (tars, elsewhere) = find(&dir, &real, &sources)?;
    let (free, total) = disk_space(&dir)?;
    let Judgement { mut files, decision, is_busy } = {
        let _store_lock = store.locks().exclusive()?;
        let _index_lock = store.locks().index()?;
        let mut judged = judge(store, &tars, options, (free, total))?;
        options.cancel.check()?;
        if options.mode == Mode::Sweep {
            remove(&dir, &tars, &mut judged.files);
        }
        judged
    };
    if options.mode == Mode::Sweep {
        // Nobody has to wait for the disk.
        let removed = tars.iter().zip(&files).filter(|(_, file)| file.is_dropped());
        let projects: BTreeSet<_> = removed.map(|(tar, _)| &tar.project).collect();
        projects.into_iter().try_for_each(|project| dir.sub(project)?.sync())?;
        forget(store, &dir, &real, &recorded)?;
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let sum =
        |wanted: fn(&Judged) -> bool| files.iter().filter(|file| wanted(file)).map(|file| file.size).sum();
    let freed_bytes: u64 = sum(Judged::is_dropped);
    let stored_bytes: u64 = sum(|file| !file.is_dropped());
    // What could not be removed is missing in the end, if it was to make room.
    let is_for_space = |verdict: &Verdict| *verdict == Verdict::Drop(Dropped::Space);
    let is_short = decision.short_of_space > 0 || decision.verdicts.iter().any(is_for_space);
    let stuck = if is_short { decision.freed - freed_bytes } else { 0 };
    Ok(Pruned {
        files,
        refused: registry.refused.into_iter().chain(elsewhere).collect(),
        freed_bytes,
        stored_bytes,
        free_bytes: match options.mode {
            Mode::DryRun => free.saturating_add(freed_bytes),
            Mode::Sweep => disk_space(&dir)?.0,
        },
        disk_bytes: total,
        is_waiting: is_busy && options.policy.when_busy == WhenBusy::Skip,
        over_size: stored_bytes.saturating_sub(options.policy.max_size.unwrap_or(u64::MAX)),
        short_of_space: decision.short_of_space + stuck,
    })
}

/// Removes what is to go, project by project. What cannot be removed, or is another file by now, stays and says so.
fn remove(dir: &Dir, tars: &[Tar], files: &mut [Judged]) {
    let mut going: Vec<_> = tars.iter().zip(files).filter(|(_, file)| file.is_dropped()).collect();
    // They come in the order of their paths.
    for group in going.chunk_by_mut(|(a, _), (b, _)| a.project == b.project) {
        let below = match dir.sub(&group[0].0.project) {
            Ok(below) => below,
            Err(error) => {
                group.iter_mut().for_each(|(_, file)| file.fate = Fate::Apart(Apart::Stuck(said(&error))));
                continue;
            }
        };
        for (tar, file) in group {
            match is_still(&below, tar).and_then(|is_it| Ok(is_it && below.unlink(&tar.name)?)) {
                Ok(true) => {}
                Ok(false) => file.fate = Fate::Apart(Apart::Changed),
                Err(error) => file.fate = Fate::Apart(Apart::Stuck(said(&error))),
            }
        }
    }
}

fn is_still(dir: &Dir, tar: &Tar) -> Result<bool> {
    let Some(file) = dir.open_file(&tar.name)? else { return Ok(false) };
    let meta = file.metadata().map_err(Error::io("stat", dir.at(&tar.name)))?;
    Ok(Identity::of(&meta) == tar.identity)
}

/// Drops the records of files that are not in the folder any more.
fn forget(store: &Store, dir: &Dir, real: &str, recorded: &HashMap<String, Recorded>) -> Result<()> {
    for path in recorded.keys() {
        let below = path.strip_prefix(real).and_then(|rest| rest.strip_prefix('/')?.split_once('/'));
        let Some((project, name)) = below.filter(|(_, name)| !name.contains('/')) else { continue };
        let is_there = match dir.sub(project) {
            Err(error) if larder_store::fs::is_not_found(&error) => false,
            // A link, or nothing to look into: whatever it is, it says nothing of the file.
            Err(_) => true,
            Ok(below) => below.stat(name)?.is_some(),
        };
        if !is_there {
            store.forget_export(path)?;
        }
    }
    Ok(())
}

/// An error with its causes.
fn said(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
