//! `prune --docker`: copies in the engine that larder gave it, and that nobody uses.

use std::collections::HashSet;

use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::gc;
use larder_store::index::{self, Index};
use larder_store::media_type;
use larder_store::policy::{Policy, Verdict};
use larder_store::prune::Pruned;
use larder_store::store::Store;
use larder_store::walk;
use serde_json::{Value, json};

use crate::cli::{Context, Outcome, Table, human, note};
use crate::docker::{Engine, Fate, LoadedCopy, Mode, Removal, Uses};

/// Takes them, once the store has been pruned: what it does not have any more stays in the engine.
pub(super) fn take(
    context: &Context,
    store: &Store,
    engine: &Engine,
    pruned: &Pruned,
    policy: &Policy,
    mode: gc::Mode,
) -> Outcome<Vec<LoadedCopy>> {
    let is_dropped = |verdict: &Verdict| matches!(verdict, Verdict::Drop(_));
    let dropped = pruned.images.iter().filter(|judged| is_dropped(&judged.verdict));
    let dropped: HashSet<_> = dropped.map(|judged| judged.image.digest).collect();
    let index = store.index()?;
    let removal = Removal {
        store,
        engine,
        now: crate::commands::now(),
        min_age: &|names| policy.min_age(names),
        uses: Uses::All,
        is_waiting: pruned.is_waiting && !pruned.is_urgent,
        // Who cannot look does not know.
        can_give_again: &|manifest| can_give(store, &index, &dropped, manifest).unwrap_or(false),
        mode: match mode {
            gc::Mode::DryRun => Mode::DryRun,
            gc::Mode::Sweep => Mode::Take,
        },
        cancel: &context.cancel,
    };
    let copies = removal.of_all()?;
    for (name, id) in copies.iter().flat_map(|copy| &copy.given_back) {
        note(format_args!("{name}: means {id} again"));
    }
    Ok(copies)
}

/// Whether an entry that stays has this manifest, and everything below it is there.
fn can_give(store: &Store, index: &Index, dropped: &HashSet<Digest>, manifest: &Digest) -> Result<bool> {
    let has_it = |digest: &Digest| digest == manifest;
    let mut entries = index.entries().iter().filter(|entry| !dropped.contains(&entry.digest));
    let entry =
        entries.find(|entry| has_it(&entry.digest) || index::stored_children(entry).iter().any(has_it));
    let Some(entry) = entry else { return Ok(false) };
    let mut is_whole = true;
    walk::walk_entry(entry, &mut |document| store.document(document), &mut |node| {
        let part = node.descriptor;
        is_whole &= media_type::is_foreign_layer(&part.media_type)
            || store.blobs().contains(&part.digest)? == Some(part.size);
        Ok(())
    })?;
    Ok(is_whole)
}

pub(super) fn table(copies: &[LoadedCopy], explain: bool) -> Outcome {
    let shown: Vec<_> = copies.iter().filter(|copy| explain || copy.fate == Fate::Removed).collect();
    if shown.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["IN DOCKER", "ID", ">SIZE", "VERDICT", "REASON"]);
    for copy in shown {
        let (verdict, reason) = words(&copy.fate);
        let names = if copy.names.is_empty() { "(nameless)".to_owned() } else { copy.names.join(", ") };
        let size = copy.size.map(human).unwrap_or_default();
        table.row([names, copy.id.short(), size, verdict.to_owned(), reason]);
    }
    table.print()
}

pub(super) fn value(copies: &[LoadedCopy]) -> Value {
    let copy = |copy: &LoadedCopy| {
        let (verdict, reason) = words(&copy.fate);
        json!({
            "names": copy.names, "id": copy.id, "manifest": copy.manifest, "size": copy.size,
            "verdict": verdict, "reason": reason,
        })
    };
    copies.iter().map(copy).collect()
}

fn words(fate: &Fate) -> (&'static str, String) {
    match fate {
        Fate::Removed => ("drop", "nobody uses it, and the store has it".into()),
        Fate::Kept(why) => ("keep", why.to_string()),
    }
}
