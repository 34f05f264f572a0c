//! `larder export --to-tree`: a folder of archives with its registry.
//!
//! Image by image: the archive first, under a temporary name that is renamed, then its entry. Whatever ends this leaves whole files, and a
//! registry that lists what is there. No link is followed below the folder, and no file of somebody else is written over.

use std::fs::{self, File};
use std::path::Path;

use larder_store::archive::plan::plan;
use larder_store::archive::seekable::SeekableArchive;
use larder_store::archive::write::Sink;
use larder_store::descriptor::Descriptor;
use larder_store::error::{Error, Kind, Result};
use larder_store::exports::{Export, Identity, Recorded};
use larder_store::fs::{Dir, free_space, sync_file, unique};
use larder_store::index::{self, Index};
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::export::Args;
use super::packed::Packed;
use crate::catalog::image_registry::{
    Archive, Entry, NAME, Placed, Registry, Stored, is_current, placed, reads, updated,
};
use crate::cli::{Context, Outcome, count, fail, human, line, note};

/// A folder that images are written to.
struct Tree<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    dir: Dir,
    /// Its absolute path, without links.
    real: String,
    /// What this store exported.
    exported: Vec<Recorded>,
}

/// What became of an image.
enum Became {
    Written(u64),
    Unchanged(u64),
}

pub(super) fn run(context: &Context, args: &Args, store: &Store, path: &Path) -> Outcome {
    let index = store.index()?;
    let images = chosen(store, &index, &args.images)?;
    match fs::create_dir(path) {
        Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => {
            return Err(Error::io("create", path)(error).into());
        }
        _ => {}
    }
    let dir = Dir::open(path)?;
    let real = path.canonicalize().map_err(Error::io("open", path))?.to_string_lossy().into_owned();
    let tree = Tree { context, args, store, dir, real, exported: store.exports()? };
    let registry = reads(&tree.dir, NAME, Registry::parse)?;
    let places = placed(&registry, &images).map_err(|why| {
        fail(why).with_hint("export one of them, or give it another project or name (annotate, tag)")
    })?;
    let mut failed = Vec::new();
    for (image, Placed { at, file }) in images.iter().zip(&places) {
        let name = image.reference.familiar();
        let listed = at.and_then(|at| registry.entries().nth(at));
        match tree.put(image, file, listed, &index) {
            Ok(Became::Written(size)) => {
                note(format_args!("{file}: {}", human(size)));
                line(format!("{file} {name} written"))?;
            }
            Ok(Became::Unchanged(_)) => line(format!("{file} {name} unchanged"))?,
            Err(error) if error.is_stop() => return Err(error),
            Err(error) => {
                error.tell(&format!("{name}: "));
                failed.push(name);
            }
        }
    }
    if failed.is_empty() {
        return Ok(());
    }
    let count = count(failed.len(), "image");
    let why = format!("{count} of {} could not be written: {}", images.len(), failed.join(", "));
    Err(fail(why).in_part())
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
    /// Writes an image and its entry.
    fn put(
        &self,
        image: &Stored<'_>,
        file: &str,
        listed: Option<Entry<'_>>,
        index: &Index,
    ) -> Outcome<Became> {
        self.context.cancel.check()?;
        let query = image.reference.familiar();
        let (_protection, entries) = self.store.protect(std::slice::from_ref(&query), "export --to-tree")?;
        if entries.first().is_none_or(|entry| entry.digest != image.entry.digest) {
            return Err(fail("its name has moved to another image meanwhile").with_hint("run it again"));
        }
        let (project, name) = file.split_once('/').ok_or_else(|| fail(format!("{file}: is no place")))?;
        let below = self.dir.ensure_dir(project)?;
        let path = format!("{}/{file}", self.real);
        let became = match below.open_file(name)? {
            Some(there) => self.look(image, there, &below.at(name), &path, listed.is_some())?,
            None => None,
        };
        let became = match became {
            Some(unchanged) => unchanged,
            None => self.write(image, &below, name, path)?,
        };
        let archive = match became {
            Became::Written(size) => Archive::Written(size),
            Became::Unchanged(size) => Archive::There(size),
        };
        if listed.is_some_and(|listed| is_current(listed, image, file, archive)) {
            return Ok(became);
        }
        Registry::edit(self.store, &self.dir, NAME, |registry| {
            let listed = registry.entries().position(|entry| is_of(entry.reference(), &image.reference));
            let entry = updated(listed.and_then(|at| registry.entries().nth(at)), image, file, archive);
            Ok(registry.with(vec![(listed, entry)], index.annotation(index::REGISTRY)))
        })?;
        Ok(became)
    }

    /// What a file is that is there already: this image, or one that may be written over, or an error.
    fn look(
        &self,
        image: &Stored<'_>,
        there: File,
        shown: &Path,
        path: &str,
        is_listed: bool,
    ) -> Outcome<Option<Became>> {
        let meta = there.metadata().map_err(Error::io("stat", shown))?;
        let recorded = self.exported.iter().find(|record| record.export.path == path);
        let recorded = recorded.filter(|record| record.export.identity == Identity::of(&meta));
        let is_it = match recorded {
            Some(record) => record.export.images.contains(&image.entry.digest),
            None => self.holds(image, there, shown)?,
        };
        if is_it {
            return Ok(Some(Became::Unchanged(meta.len())));
        }
        if is_listed || recorded.is_some() || self.args.replace {
            return Ok(None);
        }
        Err(fail(format!("{}: is there, and another file than larder would write", shown.display()))
            .with_hint("--replace writes over it"))
    }

    /// Whether an archive holds this image and no other.
    fn holds(&self, image: &Stored<'_>, file: File, shown: &Path) -> Result<bool> {
        let cancel = &self.context.cancel;
        let images =
            match SeekableArchive::open(file, shown, cancel).and_then(|archive| plan(&archive, cancel)) {
                Ok(images) => images,
                Err(error) if error.kind() == Kind::Interrupted => return Err(error),
                // Whatever it is, it is not this image.
                Err(_) => return Ok(false),
            };
        let id = image.entry.annotation(index::IMAGE_ID);
        let is_it = |root, image_id: Option<String>| {
            root == Some(image.entry.digest) || image_id.is_some() && image_id.as_deref() == id
        };
        Ok(matches!(&images[..], [one] if is_it(one.root(), one.image_id().map(|id| id.to_string()))))
    }

    fn write(&self, image: &Stored<'_>, below: &Dir, name: &str, path: String) -> Outcome<Became> {
        let shown = below.at(name);
        let packed = Packed::of(self.context, self.args, self.store, image.entry, &image.reference)?;
        let free = free_space(below)?;
        if packed.size() > free {
            let path = below.path().to_path_buf();
            return Err(Error::NoSpace { path, needed: packed.size(), free }.into());
        }
        let temporary = format!(".{name}.{}", unique());
        let file = below.create_new(&temporary)?;
        let written = packed.write(Sink::File(&file), &shown).and_then(|()| {
            sync_file(&file, &shown)?;
            below.rename(&temporary, below, name)
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

fn is_of(reference: Result<Reference, String>, wanted: &Reference) -> bool {
    reference.is_ok_and(|reference| reference == *wanted)
}
