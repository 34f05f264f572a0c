//! `larder bundle inspect`: what a bundle carries and presumes.

use std::path::PathBuf;

use larder_store::bundle::manifest::{Manifest, Way};
use serde_json::{Value, json};

use super::{cost_table, cost_values, members_size};
use crate::bundle::{Inspected, inspect};
use crate::cli::{Context, Format, Outcome, count, human, line, pairs, print_json};

/// Say what a bundle, or a part of one, carries and presumes
///
/// Reads the beginning of it and nothing else: whether the rest is whole, and the signature good, `bundle apply` says.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle or a part of it; `-` is stdin
    #[arg(value_name = "FILE|PART|-")]
    file: PathBuf,

    /// How to print it
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let shown = args.file.display();
    let inspected = inspect(super::open(context, &args.file, false)?).map_err(|e| e.within(&shown))?;
    match args.format {
        Format::Json => print_json(&value(&inspected)),
        Format::Table => table(&inspected),
    }
}

fn table(inspected: &Inspected) -> Outcome {
    let Inspected { digest, manifest, key, part } = inspected;
    let parts = manifest.parts.len();
    let which = if parts == 1 { "all of it".to_owned() } else { format!("{} of {parts}", part + 1) };
    let presumed = manifest.presumes.iter().map(|blob| blob.size).fold(0, u64::saturating_add);
    let targets =
        if manifest.targets.is_empty() { "any store".to_owned() } else { manifest.targets.join(", ") };
    let signature = match key {
        Some(Ok(key)) => format!("by {key}; apply checks it"),
        Some(Err(why)) => format!("none that can be read: {why}"),
        None => "none".to_owned(),
    };
    pairs(&[
        ("Bundle", digest.to_string()),
        ("Part", which),
        ("Signature", signature),
        ("Made for", targets),
        ("Encoder", manifest.encoder.clone()),
        ("Carries", format!("{}, {}", count(manifest.blobs.len(), "blob"), human(carried(manifest)))),
        ("Presumes", format!("{}, {}", count(manifest.presumes.len(), "blob"), human(presumed))),
    ])?;
    line("")?;
    cost_table(manifest)
}

/// The bytes of all members that are blobs, or parts of them.
fn carried(manifest: &Manifest) -> u64 {
    let sizes = manifest.blobs.iter().map(|blob| match (blob.way, &blob.delta) {
        (Way::Encoded, _) => 0,
        (Way::Delta, Some(delta)) => delta.size,
        _ => blob.size,
    });
    sizes.fold(0, u64::saturating_add)
}

fn value(inspected: &Inspected) -> Value {
    let Inspected { digest, manifest, key, part } = inspected;
    let images = |list: &[u32]| list.iter().map(|image| manifest.label(*image)).collect::<Vec<_>>();
    let blobs = manifest.blobs.iter();
    let blobs = blobs.map(|blob| {
        json!({
            "digest": blob.digest, "size": blob.size, "as": blob.way, "images": images(&blob.images),
            "pieces": blob.pieces.len(), "delta_bytes": blob.delta.map(|delta| delta.size),
            "from": blob.made.as_ref().map(|made| made.from),
        })
    });
    let presumes = manifest.presumes.iter();
    let presumes = presumes
        .map(|blob| json!({"digest": blob.digest, "size": blob.size, "images": images(&blob.images)}));
    json!({
        "bundle": digest,
        "part": part + 1,
        "parts": manifest.parts.len(),
        "part_members_bytes": members_size(manifest, *part),
        "signed_with": key.as_ref().and_then(|key| key.as_ref().ok()),
        "for": manifest.targets,
        "encoder": manifest.encoder,
        "carried_bytes": carried(manifest),
        "images": cost_values(manifest),
        "blobs": blobs.collect::<Vec<_>>(),
        "presumes": presumes.collect::<Vec<_>>(),
    })
}
