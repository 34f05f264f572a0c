//! `larder report`: the store as one page.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use larder_store::df::Parts;
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::gc::{GRACE, Mode};
use larder_store::index::{self, Index};
use larder_store::layers::LayerCache;
use larder_store::manifest::Document;
use larder_store::policy::{Occasion, Policy, Verdict};
use larder_store::prune::{Options, Pruned, prune};
use larder_store::settings::settings_of;
use larder_store::steps;
use larder_store::store::Store;
use larder_store::walk;

use super::prune::{in_words, verdict_in_words};
use crate::cli::{CommandError, Context, Outcome, human, note, print, safe};
use crate::report::{About, Given, Installed, Taken, page};
use crate::sbom::kept;

/// Write the store as one page of HTML: a map of its bytes, growth and use, what prune would take and why, the largest packages
///
/// The page has all in itself: no network, no other file. Packages are those of images that `sbom` or `images --with-package` has looked into.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page
    #[arg(short, long, value_name = "FILE|-")]
    output: PathBuf,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.existing_store()?;
    let (looked, damaged) = super::look(&store, |index| look(&store, index))?;
    let given = gather(context, &store, looked)?;
    let text = page(&given);
    match args.output.as_os_str() == "-" {
        true => print(&text)?,
        false => super::export::write_bytes(&args.output, text.as_bytes())?,
    }
    let images = given.images.values().filter(|image| !image.is_document).count();
    let images = crate::cli::count(images, "image");
    note(format_args!("{}: {images}, {}", args.output.display(), human(given.on_disk)));
    super::damaged_images(&damaged)
}

#[derive(Default)]
struct Looked {
    parts: Parts,
    images: BTreeMap<Digest, About>,
    kinds: HashMap<Digest, String>,
    /// Packages of each image that was looked into.
    packages: Vec<Vec<Installed>>,
}

fn look(store: &Store, index: &Index) -> Outcome<(Looked, Vec<String>)> {
    let (mut looked, mut damaged, cache) = (Looked::default(), Vec::new(), store.layers()?);
    let mut documents = Vec::new();
    // All of the records: which of them the index has already does not matter here.
    let used = store.uses(index, 0)?;
    for entry in index.entries() {
        let name = index::shown_name(entry);
        let was = || entry.annotation(index::WAS).map(|was| format!("(was {was})"));
        let name = safe(&name.or_else(was).unwrap_or_else(|| entry.digest.short()));
        if let Some(known) = looked.images.get_mut(&entry.digest) {
            known.name += ", ";
            known.name += &name;
            continue;
        }
        let about = About {
            name,
            imported: index::time(entry, index::IMPORTED),
            last_used: used.get(&entry.digest).map(|usage| usage.last),
            ..About::default()
        };
        looked.images.insert(entry.digest, about);
        let (mut blobs, mut packages) = (HashMap::new(), None::<Vec<_>>);
        let walked = walk::walk(entry, &mut |document| store.document(document), &mut |node| {
            let digest = node.descriptor.digest;
            if let Some(size) = store.blobs().contains(&digest)? {
                blobs.insert(digest, size);
            }
            if let Some(raw) = node.document {
                looked.kinds.insert(digest, "manifest".into());
                if let Document::Image(image) = &raw.document {
                    let is_document = digest == entry.digest && !image.is_container();
                    if let Some(subject) = image.subject.as_ref().filter(|_| is_document) {
                        documents.push((digest, subject.digest));
                    }
                    looked.kinds.insert(image.config.digest, "config".into());
                    for (at, layer) in image.layers.iter().enumerate() {
                        looked.kinds.entry(layer.digest).or_insert_with(|| format!("layer {}", at + 1));
                    }
                    if let Some(more) = installed(&cache, image) {
                        packages.get_or_insert_default().extend(more);
                    }
                }
            }
            Ok(())
        });
        damaged.extend(super::if_damaged(walked)?);
        looked.packages.extend(packages);
        looked.parts.insert(entry.digest, blobs);
    }
    for (document, subject) in documents {
        let known = looked.images.get(&subject);
        let subject = known.map_or_else(|| subject.short(), |image| image.name.clone());
        if let Some(about) = looked.images.get_mut(&document) {
            about.name = format!("{}, about {subject}", about.name);
            about.verdict = format!("keep: as long as {subject}");
            about.is_document = true;
        }
    }
    Ok((looked, damaged))
}

/// The packages of an image that was looked into.
fn installed(cache: &LayerCache, image: &larder_store::manifest::ImageManifest) -> Option<Vec<Installed>> {
    let known = kept::known(cache, &image.image_id())?;
    let installed = known.all().map(|package| Installed {
        name: safe(package.name),
        kind: package.kind.word(),
        bytes: package.size.unwrap_or(0),
    });
    Some(installed.collect())
}

fn gather(context: &Context, store: &Store, looked: Looked) -> Outcome<Given> {
    let Looked { parts, mut images, kinds, packages } = looked;
    let mut on_disk = 0;
    store.blobs().list(&mut |_, size| on_disk += size)?;
    let needed: std::collections::HashSet<_> = parts.values().flat_map(HashMap::keys).collect();
    let (_, step_bytes) = steps::usage(store, |blob| needed.contains(blob))?;
    let prune = match would_go(context, store) {
        Ok((policy, pruned)) => {
            for judged in &pruned.images {
                if let Some(about) = images.get_mut(&judged.image.digest) {
                    about.verdict = safe(&verdict_in_words(&judged.verdict));
                    about.goes = matches!(judged.verdict, Verdict::Drop(_));
                }
            }
            Ok(Taken { freed: pruned.freed_bytes, words: in_words(&policy, &pruned) })
        }
        Err(Error::Interrupted) => return Err(Error::Interrupted.into()),
        // The bytes are where they are whatever a policy says.
        Err(error) => Err(CommandError::from(error).to_string()),
    };
    Ok(Given {
        store: safe(&store.path().display().to_string()),
        now: super::now(),
        parts,
        images,
        kinds,
        on_disk,
        step_bytes,
        free: store.free_space()?,
        prune,
        packages,
    })
}

fn would_go(context: &Context, store: &Store) -> Result<(Policy, Pruned), Error> {
    let policy = settings_of(store)?.policy;
    let options = Options {
        policy: &policy,
        occasion: Occasion::Prune,
        grace: GRACE,
        now: super::now(),
        mode: Mode::DryRun,
        cancel: &context.cancel,
    };
    let pruned = prune(store, &options)?;
    Ok((policy, pruned))
}
