//! Archives that are brought in one after the other and named several at once: a folder of them would be quadratic if the index were
//! read and written for each.
//!
//! What is brought in is leased until it has its name. The index that was read is believed for as long as its file is the same, which
//! is asked under the store lock, as an import of one archive reads it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::path::{Path, PathBuf};

use super::bring::Bring;
use super::entry::Ready;
use super::import::{import, in_archive, name_it, outer_of, select};
use super::options::{Existing, Imported, Input, Named, Options, Outcome};
use super::plan::{PlannedImage, plan};
use super::seekable::SeekableArchive;
use super::standing::{Standing, by_name, is_same, standing};
use crate::codec::Outer;
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::exports::Identity;
use crate::index::{self, Index, bears};
use crate::layers::LayerCache;
use crate::progress::Event;
use crate::reference::Reference;
use crate::store::Store;
use crate::transaction::Transaction;

/// Images of archives, one of each, on their way into a store.
#[must_use = "what is not published has no name"]
pub struct Together<'s> {
    store: &'s Store,
    layers: LayerCache,
    seen: Option<Seen>,
    tx: Option<Transaction<'s>>,
    waiting: Vec<Waiting>,
}

/// An index as it was read.
struct Seen {
    /// Open, so that no other file gets its number.
    file: Option<(File, Identity)>,
    index: Index,
    named: HashMap<Reference, usize>,
}

/// An image that is there and was not told yet.
enum Waiting {
    /// All was done.
    Done(Vec<Imported>),
    /// It had its name already; this is to be declared of it.
    Declared(Imported, Named),
    /// It has no name yet.
    Nameless { image: Box<PlannedImage>, ready: Ready, named: Named, options: How, path: PathBuf },
}

/// What naming needs of the options.
#[derive(Clone, Copy)]
struct How {
    existing: Existing,
    replace: bool,
    now: fn() -> i64,
}

impl<'s> Together<'s> {
    /// Nothing yet.
    pub fn new(store: &'s Store) -> Result<Together<'s>> {
        Ok(Together { store, layers: store.layers()?, seen: None, tx: None, waiting: Vec::new() })
    }

    /// Brings in the one image of an archive that the options choose and name. It is published later.
    pub fn take(&mut self, file: File, path: &Path, options: &Options<'_>) -> Result<()> {
        if in_archive(path, outer_of(&file, path))? != Outer::Plain {
            let imported = import(self.store, Input::Open(file, path.to_path_buf()), options)?;
            self.waiting.push(Waiting::Done(imported));
            return Ok(());
        }
        let taken = self.take_plain(file, path, options);
        if taken.is_err() && self.waiting.iter().all(|waiting| !waiting.is_nameless()) {
            // Nothing is leased by it that somebody waits for.
            self.tx = None;
        }
        in_archive(path, taken)
    }

    /// How many images wait to be published.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    fn take_plain(&mut self, file: File, path: &Path, options: &Options<'_>) -> Result<()> {
        let mut archive = SeekableArchive::open(file, path, &options.cancel)?;
        let images = select(plan(&archive, &options.cancel)?, options)?;
        let not_one = || Error::invalid("the archive", "does not hold the one image that was asked for");
        let [image]: [PlannedImage; 1] = images.try_into().map_err(|_| not_one())?;
        let [name] = &image.names[..] else { return Err(not_one()) };
        let named = (options.naming)(name)?;
        // In one hold of the lock with the look: making room must not take what is said to be there.
        let guard = self.store.locks().shared()?;
        let (store, entry) = (self.store, self.seen()?.entry(name));
        let mut existing = Existing::Trusted;
        if let Some(entry) = entry {
            if !options.replace && !is_same(store, entry, &image)? {
                return Err(Error::NameTaken { reference: name.familiar(), existing: entry.digest });
            }
            match standing(store, Some(entry), &image)? {
                Standing::Whole(entry, _, size) => {
                    (options.watch)(Event::Spared(size));
                    let mut anew = entry.annotations.clone();
                    named.declare_anew(&mut anew);
                    let imported = Imported {
                        reference: Some(name.clone()),
                        digest: entry.digest,
                        image_id: image.image_id(),
                        new_bytes: 0,
                        reused_bytes: size,
                        outcome: Outcome::Unchanged,
                    };
                    self.waiting.push(match anew == entry.annotations {
                        true => Waiting::Done(vec![imported]),
                        false => Waiting::Declared(imported, named),
                    });
                    return Ok(());
                }
                Standing::Damaged => existing = Existing::Verified,
                Standing::Other => {}
            }
        }
        let tx = match self.tx.take() {
            Some(tx) => tx,
            None => Transaction::begin_under(store, "import", &guard)?,
        };
        drop(guard);
        let mut bring = Bring::new(tx, self.layers.clone(), options, existing, None, true);
        let brought = bring.all(&mut archive, std::slice::from_ref(&image));
        self.tx = Some(bring.into_transaction());
        let ready = brought?.pop().ok_or_else(not_one)?;
        let how = How { existing, replace: options.replace, now: options.now };
        let (image, path) = (Box::new(image), path.to_path_buf());
        self.waiting.push(Waiting::Nameless { image, ready, named, options: how, path });
        Ok(())
    }

    /// The index, read again where it is another file. It is durable: what it says will be told.
    fn seen(&mut self) -> Result<&Seen> {
        let root = self.store.layout().root();
        let file = root.open_file("index.json")?;
        let identity = file.as_ref().and_then(|file| file.metadata().ok()).map(|meta| Identity::of(&meta));
        let is_same =
            |seen: &Seen| identity.is_some() && seen.file.as_ref().map(|(_, identity)| *identity) == identity;
        let seen = match self.seen.take().filter(is_same) {
            Some(seen) => seen,
            None => {
                let index = self.store.index()?;
                self.store.settle_index()?;
                Seen { named: numbers(&index), index, file: file.zip(identity) }
            }
        };
        Ok(self.seen.insert(seen))
    }

    /// Gives what waits its names, in one step; each with what became of it, in the order in which it came.
    pub fn publish(&mut self) -> Result<Vec<Result<Vec<Imported>>>> {
        let waiting = std::mem::take(&mut self.waiting);
        if waiting.iter().all(|waiting| matches!(waiting, Waiting::Done(_))) {
            self.tx = None;
            return Ok(waiting.into_iter().filter_map(Waiting::done).map(Ok).collect());
        }
        let store = self.store;
        let edit = |index: &mut Index| name_all(store, index, waiting);
        match self.tx.take() {
            Some(tx) => tx.commit(edit),
            None => store.edit(edit),
        }
    }
}

impl Seen {
    fn entry(&self, name: &Reference) -> Option<&Descriptor> {
        self.named.get(name).and_then(|at| self.index.entries().get(*at))
    }
}

impl Waiting {
    fn done(self) -> Option<Vec<Imported>> {
        match self {
            Waiting::Done(imported) => Some(imported),
            _ => None,
        }
    }

    fn is_nameless(&self) -> bool {
        matches!(self, Waiting::Nameless { .. })
    }
}

/// The first entry of each name.
fn numbers(index: &Index) -> HashMap<Reference, usize> {
    let mut named = HashMap::new();
    for (at, entry) in index.entries().iter().enumerate() {
        if let Some(name) = entry.annotation(index::REF_NAME).and_then(|_| index::reference(entry)) {
            named.entry(name).or_insert(at);
        }
    }
    named
}

fn name_all(store: &Store, index: &mut Index, waiting: Vec<Waiting>) -> Result<Vec<Result<Vec<Imported>>>> {
    // What is new is put behind what is there: these numbers hold as long as only that is declared.
    let numbers = numbers(index);
    for waiting in &waiting {
        let Waiting::Declared(imported, named) = waiting else { continue };
        let entry = numbers.get(&named.reference).and_then(|at| index.entries_mut().get_mut(*at));
        if let Some(entry) = entry.filter(|entry| entry.digest == imported.digest) {
            named.declare_anew(&mut entry.annotations);
        }
    }
    let mut taken: HashSet<_> = by_name(index).into_keys().collect();
    let each = waiting.into_iter().map(|waiting| match waiting {
        Waiting::Done(imported) => Ok(imported),
        Waiting::Declared(imported, _) => Ok(vec![imported]),
        Waiting::Nameless { image, ready, named, options, path } => {
            in_archive(&path, name_one(store, index, &mut taken, &image, ready, &named, options))
        }
    });
    Ok(each.collect())
}

fn name_one(
    store: &Store,
    index: &mut Index,
    taken: &mut HashSet<Reference>,
    image: &PlannedImage,
    ready: Ready,
    named: &Named,
    how: How,
) -> Result<Vec<Imported>> {
    // The name may have gone to somebody else meanwhile.
    if !how.replace && taken.contains(&named.reference) {
        for entry in index.entries().iter().filter(|entry| bears(entry, &named.reference)) {
            if !is_same(store, entry, image)? {
                return Err(Error::NameTaken {
                    reference: named.reference.familiar(),
                    existing: entry.digest,
                });
            }
        }
    }
    let keeps = |entry: &Descriptor| match how.existing {
        Existing::Trusted => Ok(matches!(standing(store, Some(entry), image)?, Standing::Whole(..))),
        Existing::Verified => Ok(false),
    };
    let mut imported = Vec::new();
    name_it(index, ready, taken, &keeps, &|_| Ok(named.clone()), how.now, &mut imported)?;
    Ok(imported)
}
