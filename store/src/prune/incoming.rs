//! On the way in: room for what is about to be written, beside what others are about to write and what `min_free` keeps free.
//!
//! The claim is noted in the ingest under the locks that decided, so that the next one counts it; it ends with the ingest.

use super::{Judged, Options, prune_for};
use crate::blob::Ingest;
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::gc::{GRACE, Mode};
use crate::policy::{Occasion, Verdict};
use crate::settings::settings_of;
use crate::store::Store;

/// Who is about to write.
#[derive(Debug)]
pub struct Incoming<'a> {
    /// Where to.
    pub store: &'a Store,
    /// By way of which ingest.
    pub ingest: Ingest,
}

/// Makes room for so many bytes, or refuses, and then nothing was changed. What shall not go is leased before. With
/// [`Mode::DryRun`] nothing goes: it refuses what could not fit. Returns the images that went.
pub fn make_room(
    incoming: &Incoming<'_>,
    bytes: u64,
    now: i64,
    mode: Mode,
    cancel: &Cancel,
) -> Result<Vec<Judged>> {
    let Incoming { store, ingest } = incoming;
    let policy = settings_of(store)?.policy;
    if bytes == 0 && policy.min_free.is_none() {
        return Ok(Vec::new());
    }
    {
        let _store_lock = store.locks().shared()?;
        // One at a time: two that look at once would both find the same room.
        let _index_lock = store.locks().index()?;
        let needed = bytes.saturating_add(ingest.expected_by_others()?);
        let (free, total) = store.disk_space()?;
        let kept_free = policy.min_free.map_or(0, |least| least.of(total));
        if needed.saturating_add(kept_free) <= free {
            expect(store, ingest, bytes)?;
            return Ok(Vec::new());
        }
        if policy.min_free.is_none() {
            return Err(no_space(store, needed, free));
        }
    }
    let occasion = Occasion::Incoming(bytes);
    let options = Options { policy: &policy, occasion, grace: GRACE, now, mode, cancel };
    let pruned = prune_for(store, &options, Some(ingest))?;
    if mode == Mode::Sweep && bytes > pruned.free_bytes {
        return Err(no_space(store, bytes, pruned.free_bytes));
    }
    let gone = pruned.images.into_iter().filter(|judged| matches!(judged.verdict, Verdict::Drop(_)));
    Ok(gone.collect())
}

/// Notes the claim; who only catches up with what was written has made it before.
pub(super) fn expect(store: &Store, ingest: &Ingest, bytes: u64) -> Result<()> {
    if bytes == 0 {
        return Ok(());
    }
    store.with_reserve(|| ingest.expect(bytes))
}

fn no_space(store: &Store, needed: u64, free: u64) -> Error {
    Error::NoSpace { path: store.path().to_path_buf(), needed, free }
}
