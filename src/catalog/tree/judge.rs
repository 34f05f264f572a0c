//! The folder's files before the policy: those that are its to decide on, and why the others are not.

use std::collections::{BTreeSet, HashMap, HashSet};

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::index;
use larder_store::lease::{self, Seen};
use larder_store::policy::{Candidate, Decision, Occasion, State, decide};
use larder_store::prune::group;
use larder_store::store::Store;

use super::find::{Tar, Wanted};
use super::holdings::Holdings;
use super::{Apart, Fate, Judged, Options};

/// What becomes of the folder's files.
pub(super) struct Judgement {
    /// In the order in which they were found.
    pub(super) files: Vec<Judged>,
    pub(super) decision: Decision,
    /// Whether a `hold` lives.
    pub(super) is_busy: bool,
}

/// Lets the policy decide on what is its own to decide on; `disk` is what is free on the folder's disk, and all of it. The caller
/// holds the store lock exclusively, and the index lock.
pub(super) fn judge(
    store: &Store,
    tars: &[Tar],
    options: &Options<'_>,
    disk: (u64, u64),
) -> Result<Judgement> {
    let dir = store.layout().private().ensure_dir("leases")?;
    let leases = lease::live(&dir)?;
    let index = store.index()?;
    let mut holdings = Holdings::of(store, &index);
    let leased = leases.iter().flat_map(|lease| lease.digests.iter().map(move |digest| (*digest, lease)));
    let leased: HashMap<_, _> = leased.collect();
    let user_of = |digest: &Digest| leased.get(digest).map(|lease| lease.user(&dir));
    let mut files = Vec::new();
    let (mut candidates, mut places) = (Vec::new(), Vec::new());
    for (at, tar) in tars.iter().enumerate() {
        options.cancel.check()?;
        let mut file = Judged {
            path: tar.path(),
            size: tar.identity.size,
            references: BTreeSet::new(),
            imported: tar.imported,
            last_used: tar.last_used,
            fate: Fate::Apart(Apart::Stranger),
        };
        match &tar.wanted {
            Err(apart) => file.fate = Fate::Apart(apart.clone()),
            Ok(wanted) => match holdings.entries_of(wanted)? {
                Err(why) => file.fate = Fate::Apart(Apart::Irreplaceable(why)),
                Ok(entries) => {
                    file.references = entries.iter().filter_map(|entry| index::shown_name(entry)).collect();
                    candidates.push(candidate(tar, wanted, &entries, &file.references, &user_of));
                    places.push(at);
                }
            },
        }
        files.push(file);
    }
    let others = files.iter().map(|file| file.size).sum::<u64>()
        - candidates.iter().flat_map(|image| &image.parts).map(|(_, size)| size).sum::<u64>();
    let is_busy = leases.iter().any(Seen::is_hold);
    let state = State {
        images: &candidates,
        kept: &HashSet::new(),
        other: others,
        free: disk.0,
        total: disk.1,
        is_busy,
        now: options.now,
    };
    let decision = decide(options.policy, &state, Occasion::Prune);
    for (at, verdict) in places.into_iter().zip(&decision.verdicts) {
        files[at].fate = Fate::Decided(verdict.clone());
    }
    Ok(Judgement { files, decision, is_busy })
}

/// A file as the policy sees it: content of its own, in the groups of the images that are in it.
fn candidate(
    tar: &Tar,
    wanted: &[Wanted],
    entries: &[&Descriptor],
    references: &BTreeSet<String>,
    user_of: &dyn Fn(&Digest) -> Option<String>,
) -> Candidate {
    let key = Digest::of(tar.path().as_bytes());
    let mut manifests =
        wanted.iter().flat_map(|image| &image.manifests).chain(entries.iter().map(|entry| &entry.digest));
    let own = tar.path().trim_end_matches(".tar").to_owned();
    Candidate {
        digest: key,
        names: references.iter().cloned().chain([own]).collect(),
        lost: Vec::new(),
        groups: entries.iter().filter_map(|entry| group(entry)).collect(),
        imported: tar.imported,
        last_used: tar.last_used,
        nameless_since: tar.last_used,
        is_pinned: entries.iter().any(|entry| entry.annotations.contains_key(index::PINNED)),
        used_by: manifests.find_map(user_of),
        parts: vec![(key, tar.identity.size)],
    }
}
