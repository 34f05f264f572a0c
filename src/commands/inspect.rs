//! `larder inspect`: all about one image.

use std::collections::{BTreeSet, HashMap};

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::freshness::{Freshness, look_at};
use larder_store::index::{self, Index};
use larder_store::manifest::{Document, RawManifest};
use larder_store::settings::{Settings, settings_of};
use larder_store::store::Store;
use larder_store::summary::summarise;
use larder_store::usage::Usage;
use larder_store::walk;
use serde_json::{Value, json};

use super::platform::{self, Wanted, choose};
use super::{base, facts, images};
use crate::cli::{Context, Format, Outcome, Table, human, note, pairs, print, print_json};

/// Show all about images: platform, names and annotations, what is in them, config, layers and who shares them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The images
    #[arg(required = true, value_name = "REF")]
    images: Vec<String>,

    /// Also show config and layers of this image of a multi-platform one
    #[arg(long, value_name = "OS/ARCH", value_parser = platform::parse)]
    platform: Option<Platform>,

    /// Also list what was read from the image: packages, and the programs on its PATH
    #[arg(long)]
    facts: bool,

    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let (values, unread) = super::look(&store, |index| values(context, &store, index, args))?;
    for why in unread {
        note(format_args!("{why}"));
    }
    if args.format == Format::Json {
        return print_json(&values);
    }
    for (at, value) in values.iter().enumerate() {
        if at > 0 {
            print("\n")?;
        }
        show(value)?;
        if args.facts {
            facts::list(&value["facts"])?;
        }
    }
    Ok(())
}

/// All about each image that was asked for, and what could not be read: facts of some, or what makes them stale.
fn values(
    context: &Context,
    store: &Store,
    index: &Index,
    args: &Args,
) -> Outcome<(Vec<Value>, Vec<String>)> {
    let mut unread = Vec::new();
    let mut found = Vec::new();
    for query in &args.images {
        found.push(store.resolve(index, query)?);
    }
    // Who looks at an image is told what is wrong with the settings, and sees it all the same.
    let settings = settings_of(store).or_else(|error| {
        unread.extend(super::if_damaged(Err(error))?);
        Ok::<_, Error>(Settings::default())
    })?;
    let mut freshness = Freshness::new(store, index, &settings.policy, super::now());
    let sharers = sharers(store, index.entries());
    let usage = store.usage()?;
    let mut values = Vec::new();
    for entry in &found {
        let mut value = describe(store, entry, index.entries(), &usage)?;
        let image = match &args.platform {
            Some(platform) => choose(store, entry, Wanted::Asked(platform))?,
            None => entry.clone(),
        };
        let judged =
            look_at(store, entry).and_then(|image| Ok((freshness.judge(entry, &image)?, image.base)));
        let (stale, base) = judged.or_else(|error| {
            unread.extend(super::if_damaged(Err(error))?);
            Ok::<_, Error>((None, None))
        })?;
        value["base"] = base::value(base.as_ref());
        value["stale"] = json!(stale.map(|stale| stale.to_string()));
        image_details(store, entry, &image, &sharers, &mut value)?;
        match facts::of(store, &image, &context.cancel)? {
            Ok(facts) => value["facts"] = json!(facts),
            Err(why) => unread.push(why),
        }
        values.push(value);
    }
    Ok((values, unread))
}

/// Which images (by name, or digest where nameless) have a blob.
type Sharers = HashMap<Digest, BTreeSet<(Digest, String)>>;

fn sharers(store: &Store, entries: &[Descriptor]) -> Sharers {
    let mut sharers = Sharers::new();
    for entry in entries {
        let name = index::shown_name(entry).or(entry.annotation(index::WAS).map(str::to_owned));
        let name = name.unwrap_or_else(|| entry.digest.to_string());
        // What cannot be read of the others shares nothing that could be shown here.
        let _ = walk::walk(entry, &mut |document| store.document(document), &mut |node| {
            sharers.entry(node.descriptor.digest).or_default().insert((entry.digest, name.clone()));
            Ok(())
        });
    }
    sharers
}

fn describe(
    store: &Store,
    entry: &Descriptor,
    entries: &[Descriptor],
    usage: &HashMap<Digest, Usage>,
) -> Outcome<Value> {
    let missing = || Error::damaged(format!("manifest {}", entry.digest), "is missing");
    let raw = store.document(entry)?.ok_or_else(missing)?;
    let names: Vec<_> =
        entries.iter().filter(|other| other.digest == entry.digest).filter_map(index::shown_name).collect();
    let (summary, looked) = summarise(store, entry, usage);
    looked?;
    let mut value = images::value(&summary);
    value["names"] = json!(names);
    value["media_type"] = json!(raw.media_type);
    value["annotations"] = json!(entry.annotations);
    value["manifest"] = as_json(&raw);
    if let Document::Index(list) = &raw.document {
        let children = list.manifests.iter().map(|child| {
            Ok(json!({
                "digest": child.digest,
                "media_type": child.media_type,
                "platform": child.platform.as_ref().map(ToString::to_string),
                "annotations": child.annotations,
                "stored": store.blobs().contains(&child.digest)?.is_some(),
            }))
        });
        value["children"] = json!(children.collect::<Result<Vec<Value>, Error>>()?);
    }
    Ok(value)
}

/// Config and layers of an image: of the entry itself, or of the child that was chosen from it.
fn image_details(
    store: &Store,
    entry: &Descriptor,
    at: &Descriptor,
    sharers: &Sharers,
    value: &mut Value,
) -> Outcome {
    let Some(RawManifest { document: Document::Image(image), .. }) = store.document(at)? else {
        return Ok(());
    };
    if at.digest != entry.digest {
        value["chosen"] = json!(at.digest);
    }
    let mut diff_ids = Vec::new();
    if image.is_container() {
        let (bytes, config) = store.config(&image)?;
        diff_ids = config.diff_ids().to_vec();
        value["created"] = json!(config.created);
        value["config"] = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    }
    let cache = store.layers()?;
    let mut layers = Vec::new();
    for (at, layer) in image.layers.iter().enumerate() {
        let facts = cache.by_blob(&layer.digest);
        let others = sharers.get(&layer.digest).into_iter().flatten();
        let others: Vec<_> =
            others.filter(|(digest, _)| *digest != entry.digest).map(|(_, name)| name).collect();
        layers.push(json!({
            "digest": layer.digest,
            "diff_id": diff_ids.get(at),
            "media_type": layer.media_type,
            "stored_size": store.blobs().contains(&layer.digest)?,
            "plain_size": facts.map(|facts| facts.plain_size),
            "shared_with": others,
        }));
    }
    value["layers"] = json!(layers);
    Ok(())
}

fn as_json(raw: &RawManifest) -> Value {
    serde_json::from_slice(&raw.bytes).unwrap_or(Value::Null)
}

fn show(value: &Value) -> Outcome {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) => items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(", "),
        other => other.to_string(),
    };
    let mut rows = Vec::new();
    for (label, key) in [
        ("Names", "names"),
        ("Was", "was"),
        ("Digest", "digest"),
        ("Chosen from it", "chosen"),
        ("Image ID", "image_id"),
        ("Type", "media_type"),
        ("Platform", "platforms"),
        ("Created", "created"),
        ("Imported", "imported"),
        ("Stale", "stale"),
        ("Last used", "last_used"),
        ("Uses", "use_count"),
    ] {
        if !value[key].is_null() {
            rows.push((label, text(&value[key])));
        }
    }
    let base = &value["base"];
    if let Some(name) = base["name"].as_str() {
        let digest = base["digest"].as_str().map_or(String::new(), |digest| format!(" ({digest})"));
        rows.push(("Base", name.to_owned() + &digest));
    }
    rows.extend(facts::rows(&value["facts"]));
    rows.push(("Size", human(value["size"].as_u64().unwrap_or(0))));
    rows.push(("Pinned", if value["pinned"] == json!(true) { "yes" } else { "no" }.to_owned()));
    for (label, key) in [
        ("Entrypoint", "Entrypoint"),
        ("Cmd", "Cmd"),
        ("Env", "Env"),
        ("User", "User"),
        ("Workdir", "WorkingDir"),
    ] {
        let setting = &value["config"]["config"][key];
        let is_set = setting.as_str().is_some_and(|text| !text.is_empty())
            || setting.as_array().is_some_and(|list| !list.is_empty());
        if is_set {
            rows.push((label, text(setting)));
        }
    }
    pairs(&rows)?;
    if let Some(annotations) = value["annotations"].as_object().filter(|annotations| !annotations.is_empty())
    {
        print("\nAnnotations\n")?;
        let rows: Vec<_> = annotations
            .iter()
            .map(|(key, value)| (format!("  {}", crate::cli::safe(key)), text(value)))
            .collect();
        pairs(&rows.iter().map(|(key, value)| (key.as_str(), value.clone())).collect::<Vec<_>>())?;
    }
    if let Some(layers) = value["layers"].as_array() {
        print("\n")?;
        let size = |value: &Value| value.as_u64().map_or("-".to_owned(), human);
        let mut table = Table::new(&["LAYER", "DIFF ID", "TYPE", ">STORED", ">PLAIN", "SHARED WITH"]);
        for layer in layers {
            let short = |value: &Value| {
                value.as_str().map_or("-".to_owned(), |text| {
                    text.trim_start_matches("sha256:").chars().take(12).collect()
                })
            };
            let kind = text(&layer["media_type"]);
            let kind = kind.rsplit('.').next().unwrap_or_default().to_owned();
            table.row([
                short(&layer["digest"]),
                short(&layer["diff_id"]),
                kind,
                size(&layer["stored_size"]),
                size(&layer["plain_size"]),
                text(&layer["shared_with"]),
            ]);
        }
        table.print()?;
    }
    if let Some(children) = value["children"].as_array() {
        print("\n")?;
        let mut table = Table::new(&["CHILD", "PLATFORM", "STORED"]);
        for child in children {
            let stored = if child["stored"] == json!(true) { "yes" } else { "no" };
            table.row([text(&child["digest"]), text(&child["platform"]), stored.to_owned()]);
        }
        table.print()?;
    }
    Ok(())
}
