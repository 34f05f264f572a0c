//! `larder export --to-tree`: a folder of archives with its registry.
//!
//! Image by image: the archive first, under a temporary name that is renamed, then, each second, the entries. Whatever ends this leaves whole files, and a
//! registry that lists what is there. No link is followed below the folder, and no file of somebody else is written over.

use std::collections::{BTreeSet, HashMap};
use std::fs::{self, File};
use std::path::Path;

use larder_store::archive::plan::{PlannedImage, plan};
use larder_store::archive::seekable::SeekableArchive;
use larder_store::archive::write::Sink;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::exports::{Export, Identity, Recorded};
use larder_store::fs::{Dir, free_space, sync_file, temporary_of, unique};
use larder_store::index::{self, Index};
use larder_store::store::Store;

use super::catalog::say_kept;
use super::export::Args;
use super::pace::Pace;
use super::packed::Packed;
use crate::catalog::image_registry::{
    Archive, Entry, NAME, Placed, Registry, Stored, is_current, placed, reads, updated,
};
use crate::cli::{CommandError, Context, Outcome, count, fail, human, line, note};

/// Seconds after which what nobody writes to is taken for left behind.
const HALF_WRITTEN: i64 = 60;

/// A folder that images are written to.
struct Tree<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    dir: Dir,
    /// Its absolute path, without links.
    real: String,
    index: &'a Index,
    /// What this store exported, by path.
    exported: HashMap<String, Recorded>,
}

/// What is in a place.
enum Found {
    Nothing,
    /// The image, in so many bytes.
    It(u64),
    /// What larder wrote there itself, or what the store has as well where it is listed.
    Ours,
    /// What somebody else wrote.
    Other {
        is_listed: bool,
    },
}

/// What became of an image.
#[derive(Clone, Copy)]
enum Became {
    Written(u64),
    Unchanged(u64),
}

/// Who is told what became of each image.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// Who reads stdout.
    AsData,
    /// Whoever looks at stderr: stdout is for something else.
    ToPeople,
}

/// Whether a folder can be written to, as far as that is known before.
pub(super) fn check(path: &Path) -> Outcome {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match Dir::open(path) {
        Ok(dir) => Ok(reads(&dir, NAME, Registry::parse).map(drop)?),
        // It is made where only the last of it is missing.
        Err(_) if matches!(path.symlink_metadata(), Err(error) if error.kind() == std::io::ErrorKind::NotFound) => {
            Ok(Dir::open(parent).map(drop)?)
        }
        Err(error) => Err(error.into()),
    }
}

pub(super) fn run(context: &Context, args: &Args, store: &Store, path: &Path, said: Said) -> Outcome {
    // All at once: to read the index for each of thousands would take longer than to write them.
    let (_protection, index) = store.protect_chosen("export --to-tree", |index| match &args.images[..] {
        [] => Ok(index.entries().to_vec()),
        asked => asked.iter().map(|query| store.resolve(index, query)).collect(),
    })?;
    let images = chosen(store, &index, &args.images)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", path)(error).into());
        }
        _ => {}
    }
    let dir = Dir::open(path)?;
    let real = path.canonicalize().map_err(Error::io("open", path))?.to_string_lossy().into_owned();
    let exported = store.exports()?.into_iter().map(|record| (record.export.path.clone(), record)).collect();
    let tree = Tree { context, args, store, dir, real, index: &index, exported };
    let registry = reads(&tree.dir, NAME, Registry::parse)?;
    let places = placed(&registry, &images, &|file| tree.find(file).is_ok_and(|there| there.is_some()));
    tree.tidy(&places)?;
    let listed: Vec<_> = registry.entries().collect();
    let mut news = News { tree: &tree, waiting: Vec::new(), pace: Pace::default() };
    let mut failed = Vec::new();
    let mut end = Ok(());
    for (image, place) in images.iter().zip(&places) {
        let listed = place.at.and_then(|at| listed.get(at).copied());
        end = match tree.put(image, place, listed) {
            Ok((file, became)) => {
                let told = say(image, &file, became, said);
                let archive = match became {
                    Became::Written(size) => Archive::Written(size),
                    Became::Unchanged(size) => Archive::There(size),
                };
                if listed.is_none_or(|listed| !is_current(listed, image, &file, archive)) {
                    news.waiting.push((image, file, archive));
                }
                told
            }
            Err(error) if error.is_stop() => Err(error),
            Err(error) => {
                error.tell(&format!("{}: ", image.reference.familiar()));
                failed.push(image.reference.familiar());
                Ok(())
            }
        };
        if end.is_ok() && news.pace.is_due() {
            end = news.write(&mut failed);
        }
        if end.is_err() {
            break;
        }
    }
    // What was written before a stop is listed.
    let listed = news.write(&mut failed);
    end.and(listed)?;
    if failed.is_empty() {
        return Ok(());
    }
    let count = count(failed.len(), "image");
    let why = format!("{count} of {} could not be written: {}", images.len(), failed.join(", "));
    Err(fail(why).in_part())
}

fn say(image: &Stored<'_>, file: &str, became: Became, said: Said) -> Outcome {
    let name = image.reference.familiar();
    let word = match became {
        Became::Written(size) => {
            note(format_args!("{file}: {}", human(size)));
            "written"
        }
        Became::Unchanged(_) => "unchanged",
    };
    match said {
        Said::AsData => line(format!("{file} {name} {word}")),
        Said::ToPeople => Ok(()),
    }
}

/// Entries that the registry does not have yet: it is read and written for several of them.
struct News<'a> {
    tree: &'a Tree<'a>,
    waiting: Vec<(&'a Stored<'a>, String, Archive)>,
    pace: Pace,
}

impl News<'_> {
    /// Writes the entries. What cannot be written is said, and is none.
    fn write(&mut self, failed: &mut Vec<String>) -> Outcome {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let Tree { store, dir, index, .. } = self.tree;
        let written = self.pace.run(|| {
            Registry::edit(store, dir, NAME, |registry| {
                let mut numbers = HashMap::new();
                for (at, entry) in registry.entries().enumerate() {
                    if let Ok(reference) = entry.reference() {
                        numbers.entry(reference).or_insert((at, entry));
                    }
                }
                let entries = waiting.iter().map(|(image, file, archive)| {
                    let listed = numbers.get(&image.reference).copied();
                    let (at, entry) = listed.unzip();
                    (at, updated(entry, image, file, *archive))
                });
                Ok(registry.with(entries.collect(), index.annotation(index::REGISTRY)))
            })
        });
        let error = match written.map_err(CommandError::from) {
            Ok(kept) => {
                say_kept(kept, NAME);
                return Ok(());
            }
            Err(error) => error,
        };
        if error.is_stop() {
            return Err(error);
        }
        error.tell("");
        failed.extend(waiting.iter().map(|(image, ..)| image.reference.familiar()));
        Ok(())
    }
}

/// The images that are asked for, or all that have a name.
fn chosen<'a>(store: &Store, index: &'a Index, asked: &[String]) -> Outcome<Vec<Stored<'a>>> {
    let used = store.usage()?;
    let stored = |entry: &'a Descriptor| Stored::of(store, entry, &used);
    if asked.is_empty() {
        return Ok(index.entries().iter().filter_map(stored).collect());
    }
    let mut images = Vec::new();
    for query in asked {
        let found = store.resolve(index, query)?;
        let entry = index.entries().iter().find(|entry| **entry == found);
        let nameless = || fail(format!("{query}: has no name")).with_hint("`larder tag` gives it one");
        images.push(entry.and_then(stored).ok_or_else(nameless)?);
    }
    Ok(images)
}

impl Tree<'_> {
    /// Removes what runs that were killed left half written where this one writes.
    fn tidy(&self, places: &[Placed]) -> Result<()> {
        let directories: BTreeSet<_> = places.iter().map(|place| split(&place.file).0).collect();
        for above in directories {
            let mut dir = Some(self.dir.clone());
            for part in above {
                // What is no directory fails when it is written to.
                dir = dir.and_then(|dir| dir.sub(part).ok());
            }
            let Some(dir) = dir else { continue };
            let is_ours = |name: &&String| {
                temporary_of(name).is_some_and(|of| of.starts_with('.') && of.ends_with(".tar"))
            };
            for name in dir.names()?.iter().filter(is_ours) {
                // A writer locks it, in the moment after it has made it.
                let is_old = dir.stat(name)?.is_some_and(|stat| stat.modified < super::now() - HALF_WRITTEN);
                if is_old && dir.open_file(name)?.is_some_and(|file| file.try_lock().is_ok()) {
                    dir.unlink(name)?;
                }
            }
        }
        Ok(())
    }

    /// Writes an image; the place is that which it got.
    fn put(
        &self,
        image: &Stored<'_>,
        place: &Placed,
        listed: Option<Entry<'_>>,
    ) -> Outcome<(String, Became)> {
        self.context.cancel.check()?;
        let found = self.look(image, &place.file, listed.is_some())?;
        match found {
            Found::Nothing | Found::Ours | Found::Other { .. } if place.is_shared => {
                self.put_at(image, image.apart(&place.file), false)
            }
            found => Ok((place.file.clone(), self.write_over(image, &place.file, found)?)),
        }
    }

    fn put_at(&self, image: &Stored<'_>, file: String, is_listed: bool) -> Outcome<(String, Became)> {
        let found = self.look(image, &file, is_listed)?;
        let became = self.write_over(image, &file, found)?;
        Ok((file, became))
    }

    fn write_over(&self, image: &Stored<'_>, file: &str, found: Found) -> Outcome<Became> {
        let refused = |why| Err(fail(format!("{}: {why}", self.dir.at(file).display())));
        match found {
            Found::It(size) => Ok(Became::Unchanged(size)),
            Found::Other { is_listed: true } if !self.args.replace => refused(
                "is there, and holds what the store has not; somebody else wrote it",
            )
            .map_err(|error| {
                error.with_hint("`larder catalog import` takes it in first; --replace writes over it")
            }),
            Found::Other { is_listed: false } if !self.args.replace => {
                refused("is there, and another file than larder would write")
                    .map_err(|error| error.with_hint("--replace writes over it"))
            }
            Found::Nothing | Found::Ours | Found::Other { .. } => self.write(image, file),
        }
    }

    /// Opens a file of the folder, without following any link.
    fn find(&self, file: &str) -> Result<Option<File>> {
        let (above, name) = split(file);
        let mut dir = self.dir.clone();
        for part in above {
            match dir.sub_if_there(part)? {
                Some(below) => dir = below,
                None => return Ok(None),
            }
        }
        dir.open_file(name)
    }

    /// What is in a place already.
    fn look(&self, image: &Stored<'_>, file: &str, is_listed: bool) -> Outcome<Found> {
        let Some(there) = self.find(file)? else { return Ok(Found::Nothing) };
        let shown = self.dir.at(file);
        let meta = there.metadata().map_err(Error::io("stat", &shown))?;
        let recorded = self.exported.get(&format!("{}/{file}", self.real));
        let recorded = recorded.filter(|record| record.export.identity == Identity::of(&meta));
        if let Some(record) = recorded {
            let is_it = record.export.images.contains(&image.entry.digest);
            return Ok(if is_it { Found::It(meta.len()) } else { Found::Ours });
        }
        let images = self.planned(there, &shown)?;
        let ids = |entry: &Descriptor| (entry.digest, entry.annotation(index::IMAGE_ID).map(str::to_owned));
        let is_in = |(digest, id): (Digest, Option<String>), one: &PlannedImage| {
            one.root() == Some(digest) || id.is_some() && id == one.image_id().map(|id| id.to_string())
        };
        if images.iter().any(|one| is_in(ids(image.entry), one)) {
            return Ok(Found::It(meta.len()));
        }
        // What the store has as well is no loss.
        let is_stored = |one| self.index.entries().iter().any(|entry| is_in(ids(entry), one));
        let is_known = is_listed && !images.is_empty() && images.iter().all(is_stored);
        Ok(if is_known { Found::Ours } else { Found::Other { is_listed } })
    }

    /// The images of an archive; none of what is no archive.
    fn planned(&self, file: File, shown: &Path) -> Result<Vec<PlannedImage>> {
        let cancel = &self.context.cancel;
        match SeekableArchive::open(file, shown, cancel).and_then(|archive| plan(&archive, cancel)) {
            Err(error) if error.kind() == Kind::Interrupted => Err(error),
            planned => Ok(planned.unwrap_or_default()),
        }
    }

    fn write(&self, image: &Stored<'_>, file: &str) -> Outcome<Became> {
        let (above, name) = split(file);
        let below = above.into_iter().try_fold(self.dir.clone(), |dir, part| dir.ensure_dir(part))?;
        let path = format!("{}/{file}", self.real);
        let shown = below.at(name);
        let packed = Packed::of(self.context, self.args, self.store, image.entry, &image.reference)?;
        let free = free_space(&below)?;
        if packed.size() > free {
            let path = below.path().to_path_buf();
            return Err(Error::NoSpace { path, needed: packed.size(), free }.into());
        }
        let temporary = format!(".{name}.{}", unique());
        let file = below.create_new(&temporary)?;
        // Who tidies up sees that it is written; where there are no locks its time says so.
        let _ = file.try_lock();
        let written = packed.write(Sink::File(&file), &shown).and_then(|()| {
            sync_file(&file, &shown)?;
            below.rename(&temporary, &below, name)
        });
        if written.is_err() {
            let _ = below.unlink(&temporary);
        }
        written?;
        below.sync()?;
        self.dir.sync()?;
        let meta = file.metadata().map_err(Error::io("stat", &shown))?;
        let (identity, images) = (Identity::of(&meta), packed.images(image.entry));
        // This is no use: who writes the whole folder each night uses nothing of it.
        self.store.record_export(&Export { path, identity, images, exported: super::now() })?;
        Ok(Became::Written(meta.len()))
    }
}

/// The directories of a place, and its name there.
fn split(file: &str) -> (Vec<&str>, &str) {
    let mut parts: Vec<_> = file.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    (parts, name)
}
