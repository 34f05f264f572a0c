//! `larder push`: brings images to registries.

use std::num::NonZeroUsize;
use std::str::FromStr;

use clap::ValueEnum;
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::index;
use larder_store::reference::Reference;
use larder_store::store::Store;
use serde_json::{Value, json};

use super::plain_http::PlainHttp;
use super::platform::{self, Wanted, choose};
use super::pull::{MOST_JOBS, registries};
use crate::cli::{Bar, CommandError, Context, Format, Outcome, count, fail, human, line, note, print_json};
use crate::registry::Registries;
use crate::registry::push::{self, Delivery, Notice, Parcel, Pushed, Request, Tally};

/// Bring an image to registries
///
/// Only what a registry lacks is sent: each blob and manifest is asked for first, and a blob that another repository of the same
/// registry has is mounted from there. The tag comes last, when all is there that it means. Manifests go as they are stored, byte
/// for byte; what larder itself notes of an image stays here. Prints a line for each destination: reference and digest.
///
///   larder push app:1 registry.example.com/team/app
///   larder push app:1 registry.example.com/team/app:1 registry.example.com/team/app:latest
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Args {
    /// The image: a name, or a digest (also its first 12 or more digits)
    #[arg(value_name = "REF")]
    image: String,

    /// Where to: HOST/REPOSITORY[:TAG]; without a tag the image's own
    #[arg(required = true, value_name = "DST")]
    destinations: Vec<Destination>,

    /// Push all tags that this image has in its repository; DST is then without a tag
    #[arg(long)]
    all_tags: bool,

    /// Push the image for this platform alone, and not the index that lists it
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,

    /// How to push layers
    #[arg(long, value_enum, default_value_t)]
    layers: Layers,

    /// Leave signatures, inventories and attestations here that refer to the image
    #[arg(long)]
    no_referrers: bool,

    #[command(flatten)]
    plain_http: PlainHttp,

    /// Blobs that are sent at a time
    #[arg(long, value_name = "N", default_value = "8")]
    jobs: NonZeroUsize,

    /// How to print what was pushed
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Layers {
    /// As they are in the store
    #[default]
    Stored,
    /// Those of zstd as gzip, for engines that read no zstd (Docker before 23): another manifest, the same image ID
    Gzip,
}

/// A destination as it was typed: whether it has a tag matters.
#[derive(Debug, Clone)]
struct Destination {
    reference: Reference,
    has_tag: bool,
}

impl FromStr for Destination {
    type Err = String;
    fn from_str(text: &str) -> Result<Destination, String> {
        let reference: Reference =
            text.parse().map_err(|why: larder_store::reference::ParseError| why.to_string())?;
        if reference.digest().is_some() {
            return Err("a digest is no place to push to; the image has its own".into());
        }
        let last = text.rsplit('/').next().unwrap_or_default();
        Ok(Destination { reference, has_tag: last.contains(':') })
    }
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let (_protection, entries) = store.protect(std::slice::from_ref(&args.image), "push")?;
    let Some(entry) = entries.first() else { return Ok(()) };
    let places = places(&store, entry, args)?;
    let registries = registries(context, &args.plain_http)?;
    let root = root(&store, entry, args)?;
    let request = Request {
        root: &root,
        layers: match args.layers {
            Layers::Stored => push::Layers::Stored,
            Layers::Gzip => push::Layers::Gzip { jobs: super::jobs(None) },
        },
        referrers: !args.no_referrers,
    };
    let packed = Parcel::pack(&store, &request, &say, &context.cancel);
    let mut parcel = packed.map_err(|error| CommandError::from(error).of(&args.image))?;
    let (mut rows, mut said, mut failures) = (Vec::new(), Ok(()), Vec::new());
    for place in &places {
        let bar = Bar::new(&place.familiar());
        let watch = |event| bar.on(event);
        let how = Delivery { registries: &registries, jobs: args.jobs.get().min(MOST_JOBS), watch: &watch };
        let pushed = parcel.deliver(place, how);
        drop(bar);
        match pushed {
            Ok(pushed) => {
                note(format_args!("{place}: {}", describe(&pushed)));
                match args.format {
                    // Printed as they come. Who does not listen does not stop the others.
                    Format::Table => said = said.and(line(format!("{place} {}", pushed.digest))),
                    Format::Json => rows.push(value(place, &pushed)),
                }
            }
            Err(error) => {
                failures.push(CommandError::from(error).of(place));
                if failures.last().is_some_and(CommandError::is_stop) {
                    break;
                }
            }
        }
    }
    let is_part = failures.len() < places.len();
    if is_part {
        store.record_use(&entry.digest, super::now())?;
    }
    // What was done before a failure is said all the same.
    if args.format == Format::Json && (failures.is_empty() || !rows.is_empty()) {
        print_json(&rows)?;
    }
    let Some(last) = failures.pop() else { return said };
    failures.iter().for_each(|failure| failure.tell(""));
    Err(if is_part { last.in_part() } else { last })
}

/// Brings an image under these names to registries, the first failure being the last.
pub(super) fn bring(
    context: &Context,
    store: &Store,
    registries: &Registries,
    image: &str,
    places: &[Reference],
) -> Outcome {
    let (_protection, entries) = store.protect(&[image.to_owned()], "push")?;
    let Some(root) = entries.first() else { return Ok(()) };
    let request = Request { root, layers: push::Layers::Stored, referrers: true };
    let mut parcel = Parcel::pack(store, &request, &say, &context.cancel)?;
    for place in places {
        let bar = Bar::new(&place.familiar());
        let watch = |event| bar.on(event);
        let pushed = parcel.deliver(place, Delivery { registries, jobs: MOST_JOBS, watch: &watch });
        drop(bar);
        let pushed = pushed.map_err(|error| CommandError::from(error).of(place))?;
        note(format_args!("{place}: {}", describe(&pushed)));
    }
    store.record_use(&root.digest, super::now())?;
    Ok(())
}

/// The destinations with their tags, each once.
fn places(store: &Store, entry: &Descriptor, args: &Args) -> Outcome<Vec<Reference>> {
    // A digest is no name; of several names the one that was asked for counts.
    let own = match index::hex_query(&args.image) {
        Some(_) => None,
        None => index::reference(entry).filter(|_| entry.annotation(index::REF_NAME).is_some()),
    };
    let tags = match (args.all_tags, &own) {
        (false, own) => own.iter().filter_map(|own| own.tag().map(str::to_owned)).collect(),
        (true, Some(own)) => aliases(store, entry, own)?,
        (true, None) => {
            return Err(fail(format!("{}: --all-tags is for a name", args.image)).usage());
        }
    };
    let mut places: Vec<Reference> = Vec::new();
    for Destination { reference, has_tag } in &args.destinations {
        let found = match (args.all_tags, has_tag) {
            (true, true) => {
                return Err(
                    fail(format!("{reference}: --all-tags brings the tags, and this has one")).usage()
                );
            }
            (false, true) => vec![reference.clone()],
            (_, false) if tags.is_empty() => {
                return Err(fail(format!("{}: has no tag to push under", args.image))
                    .with_hint(format!("{}:TAG gives it one", reference.familiar_name()))
                    .usage());
            }
            (_, false) => {
                let place =
                    |tag: &String| format!("{}/{}:{tag}", reference.domain(), reference.path()).parse();
                tags.iter()
                    .map(place)
                    .collect::<Result<_, _>>()
                    .map_err(|why: larder_store::reference::ParseError| fail(why))?
            }
        };
        for place in found {
            if !places.contains(&place) {
                places.push(place);
            }
        }
    }
    Ok(places)
}

/// The tags that an image has in the repository of one of its names.
fn aliases(store: &Store, entry: &Descriptor, own: &Reference) -> Outcome<Vec<String>> {
    let index = store.index()?;
    let same = index.entries().iter().filter(|other| other.digest == entry.digest);
    let named = same.filter(|other| other.annotation(index::REF_NAME).is_some()).filter_map(index::reference);
    let of_own = named.filter(|name| name.domain() == own.domain() && name.path() == own.path());
    let mut tags: Vec<_> = of_own.filter_map(|name| name.tag().map(str::to_owned)).collect();
    tags.sort();
    tags.dedup();
    Ok(tags)
}

/// What of an entry is pushed: all that is stored, or the one image that was asked for.
fn root(store: &Store, entry: &Descriptor, args: &Args) -> Outcome<Descriptor> {
    let Some(platform) = &args.platform else { return Ok(entry.clone()) };
    let root = choose(store, entry, Wanted::Asked(platform)).map_err(|e| e.within(&args.image))?;
    if root.digest != entry.digest {
        note(format_args!(
            "{}: {} goes alone, for {platform}, without the index that lists it",
            args.image, root.digest
        ));
    }
    Ok(root)
}

fn say(notice: Notice) {
    match notice {
        Notice::Foreign { layer, size } => note(format_args!(
            "layer {layer} ({}) may not be passed on by registries (foreign): it is not sent",
            human(size)
        )),
        Notice::Gzipped { stored, pushed } => note(format_args!(
            "layers go as gzip: manifest {pushed} in place of {stored}; configs, and with them image IDs, are the same"
        )),
        Notice::LeftBehind { referrers } => note(format_args!(
            "{} about the manifest with the stored layers, and not about this one: left here",
            match referrers {
                1 => "1 referrer is".to_owned(),
                more => format!("{more} referrers are"),
            }
        )),
    }
}

fn describe(pushed: &Pushed) -> String {
    let Pushed { sent, mounted, there, manifests, referrers, .. } = pushed;
    let of = |tally: &Tally| format!("{} ({})", count(tally.blobs, "blob"), human(tally.bytes));
    let mut parts = Vec::new();
    if sent.blobs > 0 {
        parts.push(format!("{} sent", of(sent)));
    }
    if mounted.blobs > 0 {
        parts.push(format!("{} mounted from another repository", of(mounted)));
    }
    if there.blobs > 0 {
        parts.push(format!("{} there before", of(there)));
    }
    if *referrers > 0 {
        parts.push(format!("{} with it", count(*referrers, "referrer")));
    }
    let before = if sent.blobs == 0 && *manifests == 0 { "nothing to send: " } else { "" };
    format!("{before}{}", parts.join(", "))
}

fn value(place: &Reference, pushed: &Pushed) -> Value {
    let Pushed { digest, sent, mounted, there, manifests, referrers } = pushed;
    json!({
        "reference": place.familiar(),
        "digest": digest,
        "sent_blobs": sent.blobs,
        "sent_bytes": sent.bytes,
        "mounted_blobs": mounted.blobs,
        "mounted_bytes": mounted.bytes,
        "there_blobs": there.blobs,
        "there_bytes": there.bytes,
        "manifests": manifests,
        "referrers": referrers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        for (text, has_tag) in [("h:5000/a", false), ("h:5000/a:1", true), ("a", false), ("a:1", true)] {
            assert_eq!(text.parse::<Destination>().map(|to| to.has_tag), Ok(has_tag), "{text}");
        }
        let digest = larder_store::Digest::of(b"");
        assert!(format!("h/a@{digest}").parse::<Destination>().is_err());
    }
}
