//! Doing it: into the trash with both locks held, out of it without.

use std::collections::HashSet;
use std::fs::File;

use super::plan::Plan;
use super::roots::{Found, UNNEEDED};
use crate::blob::{is_resumable, partial};
use crate::digest::Digest;
use crate::error::Result;
use crate::fs::{self, Dir};
use crate::have;
use crate::index;
use crate::journal::{Unfinished, unfinished};
use crate::owned;
use crate::snapshots::{self, Evictable};
use crate::steps;
use crate::store::Store;
use crate::tree::Directory;

/// Temporary files of a process that was killed, by their names: nobody is at them for so long (seconds).
const STALE: i64 = 3600;

/// What a dead process left, records of images that are gone, and what builds keep no longer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leftover {
    /// `leases`, `ingest`, `have`, `partial`, `snapshots`, `steps`, `usage`, `cache`, or `` for `.larder/` itself.
    place: &'static str,
    name: String,
    pub(crate) bytes: u64,
}

impl Leftover {
    /// A snapshot that is to go.
    pub(crate) fn of(snapshot: Evictable) -> Leftover {
        Leftover { place: snapshots::PLACE, name: snapshot.name, bytes: snapshot.bytes }
    }

    /// The record of a step that is to go. Its few bytes are not counted.
    pub(crate) fn of_step(key: &Digest) -> Leftover {
        Leftover { place: steps::PLACE, name: key.hex(), bytes: 0 }
    }
}

/// Finds ingests, snapshots and leases that nobody holds, and uses of images that are not `known`. With the store lock to ourselves, a free
/// flock means a dead owner. Nothing is made here: a dry run looks as well. Transfers that were suspended stay for `grace` seconds,
/// counted from their last byte: at the worst they begin again.
pub(crate) fn leftovers(
    store: &Store,
    grace: u64,
    now: i64,
    known: impl Fn(&Digest) -> bool,
) -> Result<Vec<Leftover>> {
    let private = store.layout().private();
    let mut found = Vec::new();
    if let Some(ingests) = private.sub_if_there("ingest")? {
        for name in ingests.names()? {
            // What is no directory is none of ours.
            let Ok(dir) = ingests.sub(&name) else { continue };
            if is_free(File::from(dir.fd().try_clone().map_err(crate::Error::io("open", dir.path()))?)) {
                let (mut bytes, mut is_waiting) = (0, false);
                for file in dir.names()? {
                    let Some(stat) = dir.stat(&file)? else { continue };
                    bytes += stat.size;
                    let age = now.saturating_sub(stat.modified).unsigned_abs();
                    // What a bundle brought in pieces is all that there is of it: it waits as long as the bundle's journal does.
                    let is_awaited = Digest::from_hex(&file).is_some_and(|digest| known(&digest));
                    is_waiting |= is_resumable(&file) && (age < grace || is_awaited);
                }
                if is_waiting {
                    continue;
                }
                found.push(Leftover { place: "ingest", name, bytes });
            }
        }
    }
    if let Some(leases) = private.sub_if_there("leases")? {
        for name in leases.names()? {
            let Ok(Some(file)) = leases.open_file(&name) else { continue };
            let bytes = file.metadata().map_or(0, |meta| meta.len());
            if is_free(file) {
                found.push(Leftover { place: "leases", name, bytes });
            }
        }
    }
    for list in have::kept(private)?.into_iter().filter(|list| list.until <= now) {
        found.push(Leftover { place: have::PLACE, name: list.list, bytes: 0 });
    }
    if let Some(partial) = private.sub_if_there(partial::PLACE)? {
        let coming: HashSet<_> = unfinished(private)?.iter().filter_map(Unfinished::bundle).collect();
        for name in partial.names()? {
            if partial::bundle_of(&name).is_none_or(|bundle| coming.contains(&bundle)) {
                continue;
            }
            let bytes = partial.stat(&name)?.map_or(0, |stat| stat.size);
            found.push(Leftover { place: partial::PLACE, name, bytes });
        }
    }
    let dead =
        snapshots::evictable(private, &known)?.into_iter().filter(|snapshot| snapshot.usable.is_none());
    found.extend(dead.map(Leftover::of));
    for name in steps::look(store)?.1 {
        found.push(Leftover { place: steps::PLACE, name, bytes: 0 });
    }
    let is_unknown = |name: &str| Digest::from_hex(name).is_some_and(|digest| !known(&digest));
    for place in ["usage", "cache", steps::PLACE, ""] {
        let dir = match place {
            "" => Some(private.clone()),
            steps::PLACE => owned::look(private, place)?,
            place => private.sub_if_there(place)?,
        };
        let Some(dir) = dir else { continue };
        for name in dir.names()? {
            let is_gone = place == "usage" && is_unknown(&name);
            if !is_gone && !is_temporary(&name) {
                continue;
            }
            let Some(stat) = dir.stat(&name)?.filter(|stat| stat.is_file) else { continue };
            if is_gone || stat.modified < now.saturating_sub(STALE) {
                found.push(Leftover { place, name, bytes: stat.size });
            }
        }
    }
    Ok(found)
}

/// Whether a name is one of those that a file has before it is renamed into its place.
fn is_temporary(name: &str) -> bool {
    fs::temporary_of(name.trim_start_matches('.')).is_some_and(|file| {
        Digest::from_hex(file).is_some()
            || ["index.json", "oci-layout", "version", "released", UNNEEDED, "seen"].contains(&file)
    })
}

fn is_free(file: File) -> bool {
    file.try_lock().is_ok()
}

/// Takes everything that is planned out of sight.
pub(crate) fn sweep(store: &Store, found: &Found, plan: &Plan, leftovers: &[Leftover]) -> Result<()> {
    let private = store.layout().private();
    // A power cut must not bring an older index back, which needs what goes now.
    store.settle_index()?;
    if !found.forgotten.is_empty() || !found.gone.is_empty() {
        // Noted before the names are gone: the other way round a crash in between would forget it.
        let let_go: Vec<_> = found.gone.iter().chain(&found.forgotten).copied().collect();
        match store.release(&let_go) {
            // What is to make room must not fail for want of it.
            Err(error) if fs::is_full(&error) => {}
            noted => noted?,
        }
        // The index first: it never names what is gone.
        let mut index = store.index()?;
        index.take(|entry| {
            let is_nameless = !entry.annotations.contains_key(index::REF_NAME);
            found.gone.contains(&entry.digest) || is_nameless && found.forgotten.contains(&entry.digest)
        });
        store.layout().write_index(&index)?;
    }
    let layers = store.layers()?;
    let trash = match store.with_reserve(|| private.ensure_dir("trash")) {
        // Without it everything goes at once, which takes longer with the locks held.
        Err(error) if fs::is_full(&error) => None,
        trash => Some(trash?),
    };
    for digest in plan.sweep.keys() {
        match &trash {
            Some(trash) => store.blobs().discard(digest, trash)?,
            None => store.blobs().remove(digest)?,
        };
        layers.forget(digest)?;
    }
    if !plan.sweep.is_empty() {
        let is_there = |digest: &Digest| !matches!(store.blobs().contains(digest), Ok(None));
        layers.tidy_briefs(|id| is_there(&id.0))?;
        layers.tidy_inventories(is_there)?;
    }
    for left in leftovers {
        let dir = if left.place.is_empty() { private.clone() } else { private.sub(left.place)? };
        let Some(trash) = &trash else {
            remove(&dir, &left.name)?;
            continue;
        };
        let name = format!("{}.{}", left.name, fs::unique());
        match dir.rename(&left.name, trash, &name) {
            Err(error) if fs::is_full(&error) => remove(&dir, &left.name)?,
            // Its owner was not dead but just ending, which takes no lock: it has removed it itself.
            Err(error) if fs::is_not_found(&error) => {}
            moved => moved?,
        }
    }
    // What was let go is dealt with, but for what somebody still uses.
    let released: String = found.still_released.iter().map(|digest| format!("{digest}\n")).collect();
    let seen: String = plan.wait.iter().map(|(digest, since)| format!("{digest} {since}\n")).collect();
    let cache = private.ensure_dir("cache")?;
    for written in [
        private.replace("released", released.as_bytes(), private),
        cache.replace_lossy(UNNEEDED, seen.as_bytes()),
    ] {
        match written {
            // Both lists only make a later GC wait less.
            Err(error) if fs::is_full(&error) => {}
            written => written?,
        }
    }
    Ok(())
}

/// Frees what is in the trash. Another GC may be at it as well.
pub(crate) fn empty_trash(store: &Store) -> Result<()> {
    let private = store.layout().private();
    let Some(trash) = private.sub_if_there("trash")? else { return Ok(()) };
    for name in trash.names()? {
        remove(&trash, &name)?;
    }
    Ok(())
}

/// Removes a file, or a directory with all that is in it; follows no link and crosses no mount.
fn remove(dir: &Dir, name: &str) -> Result<()> {
    match dir.stat(name)? {
        Some(stat) if stat.is_dir => Directory::of(dir)?.remove(name.as_bytes()).map(drop),
        _ => dir.unlink(name).map(drop),
    }
}
