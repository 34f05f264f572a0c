//! The images of a store, as the policy sees them.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::Result;
use crate::fs;
use crate::gc::{View, times};
use crate::index::{self, Index};
use crate::layout::USAGE_BEGUN;
use crate::policy::{Candidate, Membership};
use crate::reference::Reference;
use crate::store::Store;
use crate::usage;

/// In `cache/`: when a prune first saw images that nobody says the time of.
const SEEN: &str = "seen";

/// All content of the index, once each.
pub(super) fn candidates(
    store: &Store,
    view: &mut View<'_>,
    sizes: &HashMap<Digest, u64>,
    now: i64,
) -> Result<Vec<Candidate>> {
    let needs = view.needs()?;
    let folded = store.layout().root().stat("index.json")?.map_or(0, |stat| stat.modified);
    // A second's slack: times are coarse.
    let uses = usage::last_uses(
        store.layout().private().sub_if_there("usage")?.as_ref(),
        &view.index,
        folded - 1,
        now,
    )?;
    let seen = times(store, SEEN)?;
    let mut entries: BTreeMap<Digest, Vec<&Descriptor>> = BTreeMap::new();
    for entry in view.index.entries().iter().filter(|entry| needs.contains_key(&entry.digest)) {
        entries.entry(entry.digest).or_default().push(entry);
    }
    let mut used_by: HashMap<Digest, String> = HashMap::new();
    // Without the directory there are none, and a dry run does not make it.
    let leases = store.layout().private().sub_if_there("leases")?;
    for (lease, leases) in view.leases.iter().zip(leases.iter().cycle()) {
        let mut digests = lease.digests.iter().filter(|digest| needs.contains_key(digest)).peekable();
        if digests.peek().is_some() {
            let user = lease.user(leases);
            used_by.extend(digests.map(|digest| (*digest, user.clone())));
        }
    }
    let images = entries.into_iter().map(|(digest, entries)| {
        let parts = needs[&digest].iter().filter_map(|part| Some((*part, *sizes.get(part)?)));
        let known = entries.iter().filter_map(|entry| index::time(entry, index::IMPORTED)).max();
        let imported = known.or(seen.get(&digest).copied()).unwrap_or(now);
        let last_used = uses.get(&digest).map_or(imported, |used| imported.max(*used));
        let displaced = entries.iter().filter_map(|entry| index::time(entry, index::DISPLACED)).max();
        Candidate {
            digest,
            names: entries.iter().filter_map(|entry| index::shown_name(entry)).collect(),
            lost: entries
                .iter()
                .filter_map(|entry| entry.annotation(index::WAS).map(str::to_owned))
                .collect(),
            groups: entries.iter().filter_map(|entry| group(entry)).collect(),
            imported,
            last_used,
            nameless_since: displaced.unwrap_or(last_used),
            is_pinned: entries.iter().any(|entry| entry.annotations.contains_key(index::PINNED)),
            used_by: used_by.get(&digest).cloned(),
            parts: parts.collect(),
        }
    });
    Ok(images.collect())
}

/// The group that an entry belongs to: project, os and variant where they were declared, else the repository; of what lost its
/// name, that of the name it lost.
pub fn group(entry: &Descriptor) -> Option<Membership> {
    let is_named = entry.annotations.contains_key(index::REF_NAME);
    if let Some(project) = entry.annotation(index::PROJECT) {
        let more = [index::OS, index::VARIANT].map(|key| entry.annotation(key).unwrap_or("-"));
        // No value has this character, so that no two groups have one name.
        return Some(Membership { group: [project, more[0], more[1]].join("\u{1f}"), is_named });
    }
    let lost = || entry.annotation(index::WAS)?.parse::<Reference>().ok();
    let reference = index::reference(entry).filter(|_| is_named).or_else(lost)?;
    Some(Membership { group: reference.familiar_name(), is_named })
}

/// Remembers when images were first seen of which nobody says when they came in, and that records of uses are there from now on.
pub(super) fn note_seen(store: &Store, index: &Index, images: &[Candidate]) -> Result<()> {
    let private = store.layout().private();
    let is_untold = |entry: &&Descriptor| index::time(entry, index::IMPORTED).is_none();
    let untold: HashSet<_> = index.entries().iter().filter(is_untold).map(|entry| entry.digest).collect();
    let seen = images.iter().filter(|image| untold.contains(&image.digest));
    let seen: BTreeMap<_, _> = seen.map(|image| (image.digest, image.imported)).collect();
    let lines: String = seen.iter().map(|(digest, since)| format!("{digest} {since}\n")).collect();
    let noted = || {
        if seen != times(store, SEEN)?.into_iter().collect() {
            private.ensure_dir("cache")?.replace_lossy(SEEN, lines.as_bytes())?;
        }
        private.ensure_dir("usage")?.open_append(USAGE_BEGUN).map(drop)
    };
    match noted() {
        // Then they count as new once more.
        Err(error) if fs::is_full(&error) => Ok(()),
        noted => noted,
    }
}
