//! What the images of a store offer: one look for as many jobs as one likes.
//!
//! No lock is held. Of images that larder has named and looked into before nothing is opened: the index and the briefs say it
//! all. An image that cannot be read offers nothing, and one whose facts cannot be had what its names declare; both are named.

use std::cell::LazyCell;
use std::collections::HashMap;
use std::panic::resume_unwind;

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::facts::{self, Brief, Sought};
use larder_store::freshness::Freshness;
use larder_store::ids::ImageId;
use larder_store::index::{self, Index};
use larder_store::manifest::{Document, ImageManifest};
use larder_store::policy::Policy;
use larder_store::progress::Event;
use larder_store::store::Store;
use larder_store::usage::Usage;
use larder_store::walk;

use crate::catalog::resolve::Offer;
use crate::catalog::{Arch, Declared, Name, Requirements, Suffix};
use crate::cli::{Bar, CommandError, Context, Outcome, note};
use crate::commands::is_damage;

/// What the images of a store offer.
pub(in crate::commands) struct Offers<'a> {
    pub(in crate::commands) all: Vec<Offer<'a>>,
    /// What is wrong with some.
    pub(in crate::commands) damaged: Vec<String>,
    index: Index,
}

impl Offers<'_> {
    /// The entry of a name.
    pub(in crate::commands) fn entry(&self, name: &str) -> Option<&Descriptor> {
        self.index.entries().iter().find(|entry| index::shown_name(entry).as_deref() == Some(name))
    }

    /// The index that was looked at.
    pub(in crate::commands) fn index(&self) -> &Index {
        &self.index
    }

    /// Why the image of this name should be made anew, where it should. One that cannot be opened any more is not known to be stale.
    pub(in crate::commands) fn stale(&self, store: &Store, policy: &Policy, name: &str) -> Option<String> {
        let entry = self.entry(name)?;
        let stale = Freshness::new(store, &self.index, policy, crate::commands::now()).of(entry);
        stale.ok().flatten().map(|stale| stale.to_string())
    }
}

/// What the images offer, as far as these jobs ask.
pub(in crate::commands) fn offers<'a>(
    context: &Context,
    store: &Store,
    jobs: &[&'a Requirements],
) -> Outcome<Offers<'a>> {
    let tools = || jobs.iter().flat_map(|job| &job.tools).map(|tool| tool.as_str());
    let packages = jobs.iter().flat_map(|job| &job.packages).map(|package| package.as_str());
    let sought = Sought::new(packages.chain(tools()), tools());
    let cache = store.layers()?;
    let written = store.index_written()?;
    std::thread::scope(|scope| {
        // A hundred megabytes of briefs are read as fast as ten of index are parsed.
        let reading = scope.spawn(|| facts::briefs(&cache, &sought));
        let briefs = LazyCell::new(|| reading.join().unwrap_or_else(|panic| resume_unwind(panic)));
        let ((all, damaged), index) = crate::commands::look_at_index(store, |index| {
            let uses = store.uses(index, written)?;
            let mut look = Look {
                context,
                store,
                sought: &sought,
                briefs: &briefs,
                bar: None,
                offers: HashMap::new(),
                damaged: Vec::new(),
            };
            look.at(index, &uses)?;
            Ok((look.offers.into_values().collect(), look.damaged))
        })?;
        Ok(Offers { all, damaged, index })
    })
}

/// What is damaged of an image: of those that are known nothing was opened. Each is looked at, and told of, once.
pub(in crate::commands) fn damage(store: &Store) -> impl FnMut(&Offer<'_>) -> Option<String> {
    let mut known: HashMap<Digest, Option<String>> = HashMap::new();
    move |offer| {
        let looked = known.entry(offer.digest).or_insert_with(|| {
            let error = whole(store, offer.digest).err()?;
            let name = offer.name(None).unwrap_or_default();
            let why = CommandError::from(error.within(name)).to_string();
            note(format_args!("{why}"));
            Some(why)
        });
        looked.clone()
    }
}

/// Whether the manifest can be read, and all that it names is there in its size.
fn whole(store: &Store, manifest: Digest) -> Result<(), Error> {
    let missing = |digest: Digest| Error::damaged(format!("blob {digest}"), "is missing");
    let size = store.blobs().contains(&manifest)?.ok_or_else(|| missing(manifest))?;
    let read = store.document(&Descriptor::new(String::new(), manifest, size))?;
    let Some(Document::Image(image)) = read.map(|raw| raw.document) else { return Err(missing(manifest)) };
    for blob in image.layers.iter().chain([&image.config]) {
        match store.blobs().contains(&blob.digest)? {
            Some(size) if size == blob.size => {}
            Some(size) => {
                let why = format!("has {size} bytes instead of {}", blob.size);
                return Err(Error::damaged(format!("blob {}", blob.digest), why));
            }
            None => return Err(missing(blob.digest)),
        }
    }
    Ok(())
}

struct Look<'a, 'w> {
    context: &'a Context,
    store: &'a Store,
    sought: &'a Sought<'w>,
    briefs: &'a HashMap<ImageId, Brief<'w>>,
    /// From the first image on whose facts have to be taken.
    bar: Option<Bar>,
    /// By manifest: several names may mean one image.
    offers: HashMap<Digest, Offer<'w>>,
    damaged: Vec<String>,
}

impl<'w> Look<'_, 'w> {
    fn at(&mut self, index: &Index, uses: &HashMap<Digest, Usage>) -> Result<(), Error> {
        for entry in index.entries() {
            // What has lost its name is on its way out.
            let Some(name) = index::shown_name(entry) else { continue };
            let images = match self.known(entry) {
                Some(digest) => vec![digest],
                None => self.opened(entry, &name)?,
            };
            let declared = declared(entry, &name);
            for digest in images {
                let used = [entry.digest, digest]
                    .iter()
                    .filter_map(|digest| uses.get(digest))
                    .max_by_key(|used| used.last);
                if let Some(offer) = self.offers.get_mut(&digest) {
                    offer.declare(name.clone(), declared.clone());
                    offer.last_used = offer.last_used.max(used.map(|used| used.last));
                    offer.use_count = offer.use_count.max(used.map_or(0, |used| used.count));
                }
            }
        }
        Ok(())
    }

    /// The one image of an entry that says enough itself.
    fn known(&mut self, entry: &Descriptor) -> Option<Digest> {
        let size = entry.annotation(index::SIZE)?.parse().ok()?;
        let id = ImageId(entry.annotation(index::IMAGE_ID)?.parse().ok()?);
        let (platform, brief) = (entry.platform.as_ref()?, self.briefs.get(&id)?);
        let offer = || Offer::new(entry.digest, arch(platform), Some(brief.clone()), size);
        self.offers.entry(entry.digest).or_insert_with(offer);
        Some(entry.digest)
    }

    /// The container images of an entry, of which documents have to be read.
    fn opened(&mut self, entry: &Descriptor, name: &str) -> Result<Vec<Digest>, Error> {
        let (mut found, mut unread) = (Vec::new(), None);
        let mut read = |document: &Descriptor| match self.store.document(document) {
            Err(error) if is_damage(&error) => {
                unread = Some(error);
                Ok(None)
            }
            read => read,
        };
        let walked = walk::walk_entry(entry, &mut read, &mut |node| {
            if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
                && image.is_container()
                // Attestations are for no platform.
                && node.descriptor.platform.as_ref().is_none_or(|platform| platform.os != "unknown")
            {
                found.push((node.descriptor.clone(), image.clone()));
            }
            Ok(())
        });
        match (unread, walked) {
            (None, Err(error)) if !is_damage(&error) => return Err(error),
            (Some(error), _) | (None, Err(error)) => self.damage(error.within(name)),
            (None, Ok(())) => {}
        }
        for (descriptor, image) in &found {
            self.context.cancel.check()?;
            if !self.offers.contains_key(&descriptor.digest) {
                let offer = self.offer(descriptor, image, name)?;
                self.offers.insert(descriptor.digest, offer);
            }
        }
        Ok(found.into_iter().map(|(descriptor, _)| descriptor.digest).collect())
    }

    fn offer(
        &mut self,
        descriptor: &Descriptor,
        image: &ImageManifest,
        name: &str,
    ) -> Result<Offer<'w>, Error> {
        let size = image.content_size();
        let brief = match self.briefs.get(&image.image_id()) {
            Some(brief) => Ok(brief.clone()),
            None => {
                let bar = self.bar.get_or_insert_with(|| Bar::new("reading what is in the images"));
                let brief = facts::brief_of(self.store, image, self.sought, &self.context.cancel);
                bar.on(Event::Done(size));
                brief
            }
        };
        let brief = match brief {
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                self.damage(error.within(format!("the facts of {name}")));
                None
            }
            Ok(brief) => Some(brief),
        };
        let config = || self.store.config(image).map(|(_, config)| config.platform()).ok();
        let arch = descriptor.platform.clone().or_else(config).as_ref().and_then(arch);
        Ok(Offer::new(descriptor.digest, arch, brief, size))
    }

    fn damage(&mut self, error: Error) {
        self.damaged.push(CommandError::from(error).to_string());
    }
}

/// What is declared of a name; where nothing is, a name by the convention says what its variant is for.
fn declared(entry: &Descriptor, name: &str) -> Declared {
    let mut declared = Declared::of(&entry.annotations);
    let keys = [index::PROJECT, index::OS, index::VARIANT, index::COMPILERS];
    let last = name.split(':').next().and_then(|path| path.rsplit('-').next()).unwrap_or_default();
    // Few names end so, and there are ten thousand.
    let may_say = last.parse::<Suffix>().is_ok() && keys.iter().all(|key| entry.annotation(key).is_none());
    let named = || name.parse().ok().and_then(|reference| Name::of(&reference).ok());
    if let Some(named) = may_say.then(named).flatten() {
        declared.suffixes.clone_from(&named.variant().suffixes);
    }
    declared
}

fn arch(platform: &Platform) -> Option<Arch> {
    let Platform { architecture, variant, .. } = platform;
    match variant {
        Some(variant) => format!("{architecture}/{variant}").parse().ok(),
        None => architecture.parse().ok(),
    }
}
