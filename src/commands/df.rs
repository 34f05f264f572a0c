//! `larder df`: where the bytes are.

use std::collections::{HashMap, HashSet};

use larder_store::df::{Parts, usage};
use larder_store::digest::Digest;
use larder_store::index::{self, Index};
use larder_store::snapshots;
use larder_store::steps;
use larder_store::store::Store;
use larder_store::walk;
use serde_json::json;

use super::df_tree::{Room, tree};
use crate::cli::{Context, Format, Outcome, Table, human, pairs, print, print_json};

/// Show how much each image takes, how much of it is its own, and what sharing saves
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// As a tree: below each image what it is made of, with a bar of its part of the store
    #[arg(long, conflicts_with = "format")]
    tree: bool,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

struct Row {
    name: Option<String>,
    was: Option<String>,
    digest: Digest,
    aliases: usize,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let ((mut rows, parts), damaged) = super::look(&store, |index| rows(&store, index))?;
    rows.sort_by(|a, b| (&a.name, &a.was, a.digest).cmp(&(&b.name, &b.was, b.digest)));
    let usage = usage(&parts);
    let mut on_disk = 0;
    store.blobs().list(&mut |_, size| on_disk += size)?;
    let needed: HashSet<_> = parts.values().flat_map(HashMap::keys).collect();
    let (steps, step_bytes) = steps::usage(&store, |blob| needed.contains(blob))?;
    let unreferenced = on_disk.saturating_sub(usage.stored).saturating_sub(step_bytes);
    let free = store.free_space()?;
    let (snapshots, snapshot_bytes) = snapshots::usage(&store)?;
    // Names of one image share all of it: to take one of them away frees nothing.
    let frees = |row: &Row| if row.aliases > 1 { 0 } else { usage.images[&row.digest].unique };
    let verdict = || super::damaged_images(&damaged);
    if args.format == Format::Json {
        let images: Vec<_> = rows
            .iter()
            .map(|row| {
                let sizes = usage.images[&row.digest];
                json!({
                    "reference": row.name, "was": row.was, "digest": row.digest,
                    "total": sizes.total, "unique": sizes.unique, "shared": sizes.shared, "frees": frees(row),
                })
            })
            .collect();
        print_json(&json!({
            "images": images, "stored": usage.stored, "saved": usage.saved, "unreferenced": unreferenced,
            "snapshots": snapshots, "snapshot_bytes": snapshot_bytes,
            "steps": steps, "step_bytes": step_bytes, "free": free,
        }))?;
        return verdict();
    }
    let shown = |row: &Row| {
        let was = || row.was.as_ref().map_or("(nameless)".into(), |was| format!("(was {was})"));
        row.name.clone().unwrap_or_else(was)
    };
    if args.tree {
        let (mut images, mut places): (Vec<(String, Digest)>, HashMap<_, _>) = Default::default();
        for row in &rows {
            match places.insert(row.digest, images.len()) {
                Some(first) => {
                    let names: &mut String = &mut images[first].0;
                    *names += ", ";
                    *names += &shown(row);
                    places.insert(row.digest, first);
                }
                None => images.push((shown(row), row.digest)),
            }
        }
        print(&tree(&images, &parts, &usage, unreferenced.saturating_add(step_bytes), Room::of_stdout()))?;
        return verdict();
    }
    let mut table = Table::new(&["REFERENCE", "DIGEST", ">TOTAL", ">UNIQUE", ">SHARED", ">REMOVAL FREES"]);
    for row in &rows {
        let sizes = usage.images[&row.digest];
        table.row([
            shown(row),
            row.digest.short(),
            human(sizes.total),
            human(sizes.unique),
            human(sizes.shared),
            human(frees(row)),
        ]);
    }
    table.print()?;
    print("\n")?;
    pairs(&[
        ("Stored", human(usage.stored)),
        ("Saved by sharing", human(usage.saved)),
        ("Not referenced", human(unreferenced)),
        ("Snapshots", human(snapshot_bytes)),
        ("Steps of builds", human(step_bytes)),
        ("Free on the disk", human(free)),
    ])?;
    verdict()
}

type Rows = (Vec<Row>, Parts);

/// A row for each entry, the blobs of each image that are there, and what is wrong with some.
fn rows(store: &Store, index: &Index) -> Outcome<(Rows, Vec<String>)> {
    let mut parts = Parts::new();
    let mut rows: Vec<Row> = Vec::new();
    let mut damaged = Vec::new();
    for entry in index.entries() {
        let text = |key| entry.annotation(key).map(str::to_owned);
        let aliases = index.entries().iter().filter(|other| other.digest == entry.digest).count();
        rows.push(Row {
            name: index::shown_name(entry),
            was: text(index::WAS),
            digest: entry.digest,
            aliases,
        });
        if parts.contains_key(&entry.digest) {
            continue;
        }
        let mut blobs = HashMap::new();
        let walked = walk::walk(entry, &mut |document| store.document(document), &mut |node| {
            // What is there counts, not what was announced: a sparse index takes what it takes.
            if let Some(size) = store.blobs().contains(&node.descriptor.digest)? {
                blobs.insert(node.descriptor.digest, size);
            }
            Ok(())
        });
        // The others are as they are: what could be seen of this one is counted.
        damaged.extend(super::if_damaged(walked)?);
        parts.insert(entry.digest, blobs);
    }
    Ok(((rows, parts), damaged))
}
