//! Bringing an archive's images into the store.
//!
//! All is checked before the first byte is written, as far as headers and documents tell: names, digests of
//! documents, sizes, counts, free space. Blobs are published under a lease as they are done; the index comes
//! last and once. A failed import leaves the index as it was, and no ingest and no lease.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::bring::Bring;
use super::consume::Consume;
use super::contents::Contents;
use super::directory::DirectoryArchive;
use super::entry::Ready;
use super::options::{Existing, Imported, Input, Options, Outcome, Source};
use super::plan::{Planned, PlannedImage, plan};
use super::seekable::SeekableArchive;
use super::stream::{Intake, StreamedArchive};
use crate::codec::{HEAD, Limits, Outer};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Kind, Result};
use crate::ids::ImageId;
use crate::index::{self, Index, Tagged};
use crate::manifest::{Document, RawManifest};
use crate::progress::Event;
use crate::reference::Reference;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::walk;

/// Imports an archive.
pub fn import(store: &Store, input: Input, options: &Options<'_>) -> Result<Vec<Imported>> {
    let (Input::File(path) | Input::Stream(_, path)) = &input;
    let context = format!("archive {}", path.display());
    import_from(store, input, options).map_err(|error| match error {
        waited @ Error::LockTimeout { .. } => waited,
        Error::Invalid { what, why } if what == "the archive" => Error::Invalid { what: context, why },
        error => error.within(context),
    })
}

fn import_from(store: &Store, input: Input, options: &Options<'_>) -> Result<Vec<Imported>> {
    let (mut stream, path): (Box<dyn Read + Send>, PathBuf) = match input {
        Input::File(path) => {
            let file = File::open(&path).map_err(Error::io("open", &path))?;
            let meta = file.metadata().map_err(Error::io("stat", &path))?;
            if meta.is_dir() {
                let mut directory = DirectoryArchive::open(&path)?;
                refuse_to_consume(options, "it is a directory")?;
                return import_at_hand(store, &mut directory, None, options);
            }
            if meta.is_file() && outer_of(&file, &path)? == Outer::Plain {
                let mut archive = SeekableArchive::open(file, &path, &options.cancel)?;
                let consume = match options.source {
                    Source::Kept => None,
                    Source::Consumed => Some(Consume::begin(store, &path, &archive.identity()?)?),
                };
                return import_at_hand(store, &mut archive, consume, options);
            }
            (Box::new(file), path)
        }
        Input::Stream(stream, path) => (stream, path),
    };
    refuse_to_consume(
        options,
        "it is compressed, or no file; only a plain tar file can be freed piece by piece",
    )?;
    let mut head = Vec::new();
    let failed = |e| crate::blob::from_io(e, Error::io("read", &path));
    stream.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(failed)?;
    let outer = Outer::sniff(&head);
    let mut stream = outer
        .open(io::Cursor::new(head).chain(stream), Limits::default())
        .map_err(Error::io("read", &path))?;
    import_stream(store, &mut stream, &path, options)
}

fn refuse_to_consume(options: &Options<'_>, why: &str) -> Result<()> {
    match options.source {
        Source::Kept => Ok(()),
        Source::Consumed => Err(Error::invalid("the archive", format!("cannot be consumed: {why}"))),
    }
}

/// What stands around an archive in a file, which is read from its start again afterwards.
fn outer_of(file: &File, path: &Path) -> Result<Outer> {
    let mut head = [0; HEAD];
    let count = file.read_at(&mut head, 0).map_err(Error::io("read", path))?;
    Ok(Outer::sniff(&head[..count]))
}

/// Imports what need not be taken in before it is understood.
fn import_at_hand(
    store: &Store,
    contents: &mut dyn Contents,
    mut consume: Option<Consume>,
    options: &Options<'_>,
) -> Result<Vec<Imported>> {
    let planned = plan(contents, &options.cancel)?;
    let count = planned.len();
    let images = select(planned, options)?;
    if consume.is_some() && images.len() < count {
        return refuse_to_consume(options, "it holds other images than the one of --image")
            .map(|()| Vec::new());
    }
    let index = store.index()?;
    check_names(&index, store, &images, options)?;
    let todo = Todo::of(&index, store, images, options)?;
    (options.watch)(Event::Spared(todo.spared()));
    let brought = match todo.left.is_empty() {
        true => Vec::new(),
        false => bring_in(store.begin("import")?, contents, &todo, options, consume.as_mut(), true)?,
    };
    let imported = todo.merge(brought);
    consume.map_or(Ok(()), Consume::finish)?;
    Ok(imported)
}

fn import_stream(
    store: &Store,
    stream: &mut dyn Read,
    path: &Path,
    options: &Options<'_>,
) -> Result<Vec<Imported>> {
    let mut tx = store.begin("import")?;
    let layers = store.layers()?;
    let read = |count| (options.watch)(Event::Done(count));
    let intake = Intake {
        encoding: options.encoding,
        jobs: options.jobs,
        cancel: &options.cancel,
        layers: &layers,
        existing: options.existing,
        read: &read,
    };
    let mut archive = StreamedArchive::read(stream, path, &mut tx, &intake)?;
    let images = select(plan(&archive, &options.cancel)?, options)?;
    let index = store.index()?;
    check_names(&index, store, &images, options)?;
    let todo = Todo::of(&index, store, images, options)?;
    let brought = match todo.left.is_empty() {
        true => Vec::new(),
        false => bring_in(tx, &mut archive, &todo, options, None, false)?,
    };
    Ok(todo.merge(brought))
}

/// Chooses the images that are asked for, and gives them their names.
fn select(mut images: Vec<PlannedImage>, options: &Options<'_>) -> Result<Vec<PlannedImage>> {
    if let Some(wanted) = &options.image {
        let names = images.iter().flat_map(|image| image.names.iter().map(Reference::familiar));
        let known = names.collect::<Vec<_>>().join(", ");
        images.retain_mut(|image| is_wanted(image, wanted));
        match images.len() {
            1 => {}
            0 => return Err(Error::NotInArchive { wanted: wanted.clone(), known }),
            _ => {
                let why = format!("holds several images {wanted:?} (its names: {known})");
                return Err(Error::invalid("the archive", why));
            }
        }
    }
    if let Some(name) = &options.name {
        match &mut images[..] {
            [image] => image.names = vec![name.clone()],
            images => {
                let labels = images.iter().map(PlannedImage::label).collect::<Vec<_>>().join(", ");
                let why = format!(
                    "holds {} images ({labels}); --name needs one, which --image chooses",
                    images.len()
                );
                return Err(Error::invalid("the archive", why));
            }
        }
    }
    let roots: Vec<_> = images.iter().filter_map(root).collect();
    for image in &images {
        let accompanies = match &image.content {
            Planned::Kept(kept) => {
                let subject = kept.documents.first().and_then(|raw| raw.subject());
                subject.is_some_and(|subject| roots.contains(&subject.digest))
            }
            Planned::Made(_) => false,
        };
        if image.names.is_empty() && !accompanies {
            let why = format!(
                "{} has no name in it; give it one with --name (and choose it with --image)",
                image.label()
            );
            return Err(Error::invalid("the archive", why));
        }
    }
    Ok(images)
}

/// Whether the image answers to a name or digest; its other names are left out then.
fn is_wanted(image: &mut PlannedImage, wanted: &str) -> bool {
    if let Ok(reference) = wanted.parse::<Reference>()
        && image.names.contains(&reference)
    {
        image.names = vec![reference];
        return true;
    }
    let hex = wanted.strip_prefix("sha256:").unwrap_or(wanted);
    let digests = [root(image), image.image_id().map(|id| id.0)];
    hex.len() >= 12 && digests.into_iter().flatten().any(|digest| digest.hex().starts_with(hex))
}

fn root(image: &PlannedImage) -> Option<Digest> {
    match &image.content {
        Planned::Kept(kept) => Some(kept.root.digest),
        Planned::Made(made) => made.source,
    }
}

/// Refuses a name that another image has, unless it may be replaced.
fn check_names(index: &Index, store: &Store, images: &[PlannedImage], options: &Options<'_>) -> Result<()> {
    if options.replace {
        return Ok(());
    }
    let named = by_name(index);
    for image in images {
        for name in &image.names {
            for entry in named.get(name).into_iter().flatten() {
                if !is_same(store, entry, image)? {
                    return Err(Error::NameTaken { reference: name.familiar(), existing: entry.digest });
                }
            }
        }
    }
    Ok(())
}

/// The entries of each name, so that many names need not be looked for one by one.
fn by_name(index: &Index) -> HashMap<Reference, Vec<&Descriptor>> {
    let mut named: HashMap<_, Vec<_>> = HashMap::new();
    for entry in index.entries().iter().filter(|entry| entry.annotations.contains_key(index::REF_NAME)) {
        if let Some(name) = index::reference(entry) {
            named.entry(name).or_default().push(entry);
        }
    }
    named
}

/// Whether an entry is the same image: of the same image ID where we make the manifest, else the same manifest.
fn is_same(store: &Store, entry: &Descriptor, image: &PlannedImage) -> Result<bool> {
    Ok(match &image.content {
        Planned::Kept(kept) => entry.digest == kept.root.digest,
        Planned::Made(made) => image_id(store, entry)? == Some(made.image_id()),
    })
}

/// The image ID behind an entry; where the manifest is damaged or gone, what we noted of it, so that importing the
/// image again heals it. One that cannot be read for another reason may be whole: that is an error.
fn image_id(store: &Store, entry: &Descriptor) -> Result<Option<ImageId>> {
    match store.document(entry) {
        Ok(Some(RawManifest { document: Document::Image(image), .. })) if image.is_container() => {
            Ok(Some(image.image_id()))
        }
        Ok(Some(_)) => Ok(None),
        Err(error) if error.kind() != Kind::Damaged => Err(error),
        Ok(None) | Err(_) => {
            Ok(entry.annotation(index::IMAGE_ID).and_then(|id| id.parse().ok()).map(ImageId))
        }
    }
}

/// What an import has to do, name by name.
struct Todo {
    /// Images with the names that do not have them yet.
    left: Vec<PlannedImage>,
    /// What to say of each name of each image; nothing yet of those that are left.
    said: Vec<Option<Imported>>,
    /// Whether what the store has is believed: not where a part of these images is known to be damaged.
    existing: Existing,
}

/// What the store has of an image under one of its names.
enum Standing {
    /// All of it, so many bytes.
    Whole(Descriptor, u64),
    /// Not the image, or not all of it.
    Other,
    /// The image, and something of it is damaged.
    Damaged,
}

impl Todo {
    /// Leaves out the names that have their image already, whole: for them nothing need be read or written.
    fn of(index: &Index, store: &Store, images: Vec<PlannedImage>, options: &Options<'_>) -> Result<Todo> {
        let named = by_name(index);
        let mut todo = Todo { left: Vec::new(), said: Vec::new(), existing: options.existing };
        for mut image in images {
            options.cancel.check()?;
            let names: Vec<_> = match &image.names[..] {
                [] => vec![None],
                names => names.iter().cloned().map(Some).collect(),
            };
            let mut left = Vec::new();
            for name in names {
                let entry = match &name {
                    Some(name) => named.get(name).and_then(|entries| entries.first().copied()),
                    None => index.entries().iter().find(|entry| Some(entry.digest) == root(&image)),
                };
                let said = match standing(store, entry, &image)? {
                    _ if options.existing == Existing::Verified => None,
                    Standing::Whole(entry, size) => Some(Imported {
                        reference: name.clone(),
                        digest: entry.digest,
                        image_id: image.image_id(),
                        new_bytes: 0,
                        reused_bytes: size,
                        outcome: Outcome::Unchanged,
                    }),
                    Standing::Other => None,
                    Standing::Damaged => {
                        todo.existing = Existing::Verified;
                        None
                    }
                };
                if said.is_none() {
                    left.push(name);
                }
                todo.said.push(said);
            }
            if !left.is_empty() {
                image.names = left.into_iter().flatten().collect();
                todo.left.push(image);
            }
        }
        Ok(todo)
    }

    /// Bytes that need not be looked at.
    fn spared(&self) -> u64 {
        self.said.iter().flatten().map(|image| image.reused_bytes).fold(0, u64::saturating_add)
    }

    /// All names in the archive's order; what was brought in is in the order of `left`.
    fn merge(self, brought: Vec<Imported>) -> Vec<Imported> {
        let mut brought = brought.into_iter();
        self.said.into_iter().filter_map(|said| said.or_else(|| brought.next())).collect()
    }
}

fn standing(store: &Store, entry: Option<&Descriptor>, image: &PlannedImage) -> Result<Standing> {
    let Some(entry) = entry else { return Ok(Standing::Other) };
    if !is_same(store, entry, image)? {
        return Ok(Standing::Other);
    }
    if let Planned::Kept(kept) = &image.content {
        // The archive may hold children that a sparse entry of the same index lacks.
        let documents = kept.documents.iter().map(|raw| raw.digest);
        for digest in documents.chain(kept.blobs.iter().map(|blob| blob.descriptor.digest)) {
            if store.blobs().contains(&digest)?.is_none() {
                return Ok(Standing::Other);
            }
        }
    }
    let (mut size, mut complete) = (0u64, true);
    let walked = walk::walk_entry(entry, &mut |document| store.document(document), &mut |node| {
        let there = store.blobs().contains(&node.descriptor.digest)? == Some(node.descriptor.size);
        complete &= there || crate::media_type::is_foreign_layer(&node.descriptor.media_type);
        size = size.saturating_add(node.descriptor.size);
        // A config is small, and an image without a good one is none.
        if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
            && image.is_container()
        {
            store.config(image)?;
        }
        Ok(())
    });
    match walked {
        Ok(()) if complete => Ok(Standing::Whole(entry.clone(), size)),
        Ok(()) => Ok(Standing::Other),
        Err(error) if error.kind() == Kind::Damaged => Ok(Standing::Damaged),
        Err(error) => Err(error),
    }
}

fn bring_in(
    tx: Transaction<'_>,
    contents: &mut dyn Contents,
    todo: &Todo,
    options: &Options<'_>,
    consume: Option<&mut Consume>,
    watch_reads: bool,
) -> Result<Vec<Imported>> {
    let store = tx.store();
    let images = &todo.left;
    let mut bring = Bring::new(tx, options, todo.existing, consume, watch_reads)?;
    let ready = bring.all(contents, images)?;
    options.cancel.check()?;
    bring.into_transaction().commit(|index| {
        let mut imported = Vec::new();
        // Read again under the lock: the name may have gone to somebody else meanwhile.
        check_names(index, store, images, options)?;
        for (image, ready) in images.iter().zip(ready) {
            // Somebody may have brought in the same image meanwhile, under another manifest.
            let keeps = |entry: &Descriptor| match todo.existing {
                Existing::Trusted => Ok(matches!(standing(store, Some(entry), image)?, Standing::Whole(..))),
                Existing::Verified => Ok(false),
            };
            name_it(index, ready, &keeps, &mut imported)?;
        }
        Ok(imported)
    })
}

/// Gives an image its names; one whose entry `keeps` the same image stays as it is.
fn name_it(
    index: &mut Index,
    ready: Ready,
    keeps: &dyn Fn(&Descriptor) -> Result<bool>,
    imported: &mut Vec<Imported>,
) -> Result<()> {
    let (mut new_bytes, mut reused_bytes) = (ready.new_bytes, ready.reused_bytes);
    let total = new_bytes.saturating_add(reused_bytes);
    let line = |reference, digest, outcome, new_bytes, reused_bytes| Imported {
        reference,
        digest,
        image_id: ready.image_id,
        new_bytes,
        reused_bytes,
        outcome,
    };
    if ready.names.is_empty() {
        let there = index.entries().iter().any(|entry| entry.digest == ready.entry.digest);
        if !there {
            index.entries_mut().push(ready.entry.clone());
        }
        let outcome = if there { Outcome::Unchanged } else { Outcome::Added };
        imported.push(line(None, ready.entry.digest, outcome, new_bytes, reused_bytes));
    }
    for name in &ready.names {
        let other = index.named(name).find(|entry| entry.digest != ready.entry.digest);
        let (digest, outcome) = match other {
            Some(other) if keeps(other)? => (other.digest, Outcome::Unchanged),
            _ => {
                let outcome = match index.tag(name, ready.entry.clone()) {
                    Tagged::New => Outcome::Added,
                    Tagged::Same => Outcome::Unchanged,
                    Tagged::Displaced(old) => Outcome::Replaced(old),
                };
                (ready.entry.digest, outcome)
            }
        };
        imported.push(line(Some(name.clone()), digest, outcome, new_bytes, reused_bytes));
        // A second name costs nothing.
        (new_bytes, reused_bytes) = (0, total);
    }
    Ok(())
}
