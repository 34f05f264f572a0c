//! Bringing an archive's images into the store.
//!
//! All is checked before the first byte is written, as far as headers and documents tell: names, digests of
//! documents, sizes, counts, free space. Blobs are published under a lease as they are done; the index comes
//! last and once. A failed import leaves the index as it was, and no ingest and no lease.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::bring::Bring;
use super::consume::{Consume, half_eaten};
use super::contents::Contents;
use super::directory::DirectoryArchive;
use super::entry::Ready;
use super::expected;
use super::naming::{declare, rename};
use super::options::{Existing, Imported, Input, Named, Options, Outcome, Source};
use super::plan::{Planned, PlannedImage, plan};
use super::room::Room;
use super::seekable::SeekableArchive;
use super::standing::{Standing, Todo, by_name, is_same, standing};
use super::stream::{Intake, StreamedArchive};
use crate::base::begin_with;
use crate::cancel::Cancel;
use crate::codec::{HEAD, Limits, Outer};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{self, Index, Tagged};
use crate::journal;
use crate::lock::SharedGuard;
use crate::progress::Event;
use crate::reference::Reference;
use crate::store::Store;
use crate::transaction::Transaction;

/// Imports an archive.
pub fn import(store: &Store, input: Input, options: &Options<'_>) -> Result<Vec<Imported>> {
    let (Input::File(path) | Input::Open(_, path) | Input::Stream(_, path)) = &input;
    let path = path.clone();
    in_archive(&path, import_from(store, input, options))
}

/// Errors of an archive name it.
pub(super) fn in_archive<T>(path: &Path, done: Result<T>) -> Result<T> {
    let context = || format!("archive {}", path.display());
    done.map_err(|error| match error {
        waited @ Error::LockTimeout { .. } => waited,
        Error::Invalid { what, why } if what == "the archive" => Error::Invalid { what: context(), why },
        error => error.within(context()),
    })
}

fn import_from(store: &Store, input: Input, options: &Options<'_>) -> Result<Vec<Imported>> {
    let (mut stream, path): (Box<dyn Read + Send>, PathBuf) = match input {
        Input::Stream(stream, path) => (stream, path),
        Input::File(path) => {
            let file = open(&path, options.source != Source::Kept)?;
            if file.metadata().map_err(Error::io("stat", &path))?.is_dir() {
                let mut directory = DirectoryArchive::open(&path)?;
                refuse_to_consume(options, "it is a directory")?;
                return import_at_hand(store, &mut directory, None, options);
            }
            return import_from(store, Input::Open(file, path), options);
        }
        Input::Open(file, path) => {
            let is_file = file.metadata().map_err(Error::io("stat", &path))?.is_file();
            if is_file && outer_of(&file, &path)? == Outer::Plain {
                let eaten = file.try_clone().map_err(Error::io("open", &path))?;
                let kept = match options.source {
                    Source::Kept => Some(file.try_clone().map_err(Error::io("open", &path))?),
                    Source::Consumed { .. } => None,
                };
                let mut archive = SeekableArchive::open(file, &path, &options.cancel)?;
                let consume = match options.source {
                    Source::Kept => None,
                    Source::Consumed { seal } => {
                        Some(Consume::begin(store, eaten, &path, &archive.identity()?, seal)?)
                    }
                };
                let brought = import_at_hand(store, &mut archive, consume, options);
                return match kept {
                    Some(file) => brought.map_err(|error| half_eaten(error, &file, &path)),
                    None => brought,
                };
            }
            (Box::new(file), path)
        }
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

/// Opens an archive as it will be used: what is consumed is opened once, for under the same name there may be another file a moment later.
pub fn open(path: &Path, is_consumed: bool) -> Result<File> {
    let is_written = is_consumed && !path.is_dir();
    File::options().read(true).write(is_written).open(path).map_err(Error::io("open", path))
}

/// What a signature that was checked stands for when the archive is half eaten: itself, and all that stays of the archive, which says by digests what
/// the rest is. And whether an import into the store, if there is one yet, began to
/// consume it under just this. `None`: it is no file that can be consumed.
pub fn seal(
    store: Option<&Store>,
    file: &File,
    path: &Path,
    signature: &[u8],
    cancel: &Cancel,
) -> Result<Option<(Digest, bool)>> {
    let is_file = file.metadata().map_err(Error::io("stat", path))?.is_file();
    if !is_file || outer_of(file, path)? != Outer::Plain {
        return Ok(None);
    }
    let file = file.try_clone().map_err(Error::io("open", path))?;
    let archive = SeekableArchive::open(file, path, cancel)?;
    let seal = archive.seal(signature, cancel)?;
    let identity = archive.identity()?;
    let begun = store.map(|store| journal::seal_of(store.layout().private(), &identity)).transpose()?;
    Ok(Some((seal, begun.flatten() == Some(seal))))
}

fn refuse_to_consume(options: &Options<'_>, why: &str) -> Result<()> {
    match options.source {
        Source::Kept => Ok(()),
        Source::Consumed { .. } => Err(Error::invalid("the archive", format!("cannot be consumed: {why}"))),
    }
}

/// What stands around an archive in a file, which is read from its start again afterwards.
pub(super) fn outer_of(file: &File, path: &Path) -> Result<Outer> {
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
    // In one hold of the lock with the look: making room must not take what is said to be there.
    let guard = store.locks().shared()?;
    let index = store.index()?;
    check_names(&index, store, &images, options)?;
    let todo = Todo::of(&index, store, images, options)?;
    let brought = if todo.left.is_empty() {
        all_is_there(store, guard)?;
        (options.watch)(Event::Spared(todo.spared_bytes()));
        Vec::new()
    } else {
        let mut tx = Transaction::begin_under(store, "import", &guard)?;
        tx.keep(&todo.spared, &guard)?;
        drop(guard);
        (options.watch)(Event::Spared(todo.spared_bytes()));
        bring_in(tx, contents, &todo, options, consume.as_mut(), true)?
    };
    let imported = todo.merge(brought);
    declare(store, &imported, options)?;
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
    let room = Room::of(&tx, options);
    let intake = Intake {
        encoding: options.encoding,
        jobs: options.jobs,
        cancel: &options.cancel,
        room: &room,
        layers: &layers,
        existing: options.existing(),
        read: &read,
    };
    let mut archive = StreamedArchive::read(stream, path, &mut tx, &intake)?;
    let images = select(plan(&archive, &options.cancel)?, options)?;
    let guard = store.locks().shared()?;
    let index = store.index()?;
    check_names(&index, store, &images, options)?;
    let todo = Todo::of(&index, store, images, options)?;
    let brought = if todo.left.is_empty() {
        all_is_there(store, guard)?;
        Vec::new()
    } else {
        tx.keep(&todo.spared, &guard)?;
        drop(guard);
        bring_in(tx, &mut archive, &todo, options, None, false)?
    };
    let imported = todo.merge(brought);
    declare(store, &imported, options)?;
    Ok(imported)
}

/// Whether the image is what the entry's name is by now where the entry came from: such a name moves without being asked.
fn is_next(entry: &Descriptor, image: &PlannedImage) -> bool {
    match &image.content {
        Planned::Kept(kept) => {
            // A bundle comes in the place of the one before it.
            let has_next = kept.origin.contains('/') || kept.origin == index::BUNDLE;
            has_next && entry.annotation(index::ORIGIN) == Some(&kept.origin)
        }
        Planned::Made(_) => false,
    }
}

/// Publishes images that are all there, under the names that they do not have yet.
pub(super) fn name_all(
    tx: Transaction<'_>,
    images: &[PlannedImage],
    ready: Vec<Ready>,
    existing: Existing,
    options: &Options<'_>,
) -> Result<Vec<Imported>> {
    let store = tx.store();
    tx.commit(|index| {
        let mut imported = Vec::new();
        // Read again under the lock: the name may have gone to somebody else meanwhile.
        check_names(index, store, images, options)?;
        // To look through the index for each of ten thousand new names would take seconds.
        let mut taken: HashSet<_> = by_name(index).into_keys().collect();
        for (image, ready) in images.iter().zip(ready) {
            // Somebody may have brought in the same image meanwhile, under another manifest.
            let keeps = |entry: &Descriptor| match existing {
                Existing::Trusted => Ok(matches!(standing(store, Some(entry), image)?, Standing::Whole(..))),
                Existing::Verified => Ok(false),
            };
            name_it(index, ready, &mut taken, &keeps, options.naming, options.now, &mut imported)?;
        }
        Ok(imported)
    })
}

/// Nothing has to be brought: what the index says is what this import promises. The lock of the look ends here, before anybody
/// is told, or another one is waited for.
pub(super) fn all_is_there(store: &Store, _guard: SharedGuard) -> Result<()> {
    store.settle_index()
}

/// Chooses the images that are asked for, and gives them their names.
pub(super) fn select(mut images: Vec<PlannedImage>, options: &Options<'_>) -> Result<Vec<PlannedImage>> {
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
    if let Some(upon) = &options.upon
        && let Some(image) = images.iter().find(|image| !begin_with(&image.stacks(), upon))
    {
        let why = format!("holds {}, which does not begin with the layers of that base", image.label());
        return Err(Error::invalid("the archive", why));
    }
    if let Some(expected) = &options.expected {
        expected::check(&images, expected)?;
    }
    rename(&mut images, options)?;
    let roots: Vec<_> = images.iter().filter_map(PlannedImage::root).collect();
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
    let digests = [image.root(), image.image_id().map(|id| id.0)];
    hex.len() >= 12 && digests.into_iter().flatten().any(|digest| digest.hex().starts_with(hex))
}

/// Refuses a name that another image has, unless it may be replaced.
pub(super) fn check_names(
    index: &Index,
    store: &Store,
    images: &[PlannedImage],
    options: &Options<'_>,
) -> Result<()> {
    if options.replace {
        return Ok(());
    }
    let named = by_name(index);
    for image in images {
        for name in &image.names {
            for entry in named.get(name).into_iter().flatten() {
                if !is_same(store, entry, image)? && !is_next(entry, image) {
                    return Err(Error::NameTaken { reference: name.familiar(), existing: entry.digest });
                }
            }
        }
    }
    Ok(())
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
    let mut bring = Bring::new(tx, store.layers()?, options, todo.existing, consume, watch_reads);
    let ready = bring.all(contents, images)?;
    options.cancel.check()?;
    name_all(bring.into_transaction(), images, ready, todo.existing, options)
}

/// Gives an image its names, which are `taken` then; one whose entry `keeps` the same image stays as it is.
pub(super) fn name_it(
    index: &mut Index,
    ready: Ready,
    taken: &mut HashSet<Reference>,
    keeps: &dyn Fn(&Descriptor) -> Result<bool>,
    naming: &dyn Fn(&Reference) -> Result<Named>,
    now: fn() -> i64,
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
        let mut entry = ready.entry.clone();
        let named = naming(name)?;
        let is_taken = !taken.insert(name.clone());
        // What it has is carried over to its new entry.
        if is_taken && index.named(name).any(|old| old.digest == entry.digest) {
            entry.annotations.extend(named.news());
        } else {
            entry.annotations.extend(named.declared);
        }
        let (digest, outcome) = if !is_taken {
            index.tag_new(name, entry);
            (ready.entry.digest, Outcome::Added)
        } else {
            let other = index.named(name).find(|entry| entry.digest != ready.entry.digest);
            match other {
                Some(other) if keeps(other)? => (other.digest, Outcome::Unchanged),
                _ => {
                    let outcome = match index.tag(name, entry, now()) {
                        Tagged::New => Outcome::Added,
                        Tagged::Same => Outcome::Unchanged,
                        Tagged::Displaced(old) => Outcome::Replaced(old),
                    };
                    (ready.entry.digest, outcome)
                }
            }
        };
        imported.push(line(Some(name.clone()), digest, outcome, new_bytes, reused_bytes));
        // A second name costs nothing.
        (new_bytes, reused_bytes) = (0, total);
    }
    Ok(())
}
