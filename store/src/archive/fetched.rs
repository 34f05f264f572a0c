//! Images that come blob by blob from elsewhere: a registry, another store.
//!
//! The caller has read their documents, and fetches the blobs that the store lacks; all else is as with an archive: what is
//! there is leased and not fetched, room is made before the first byte, blobs are published as they come, and names come last.
//! Blobs that came stay where a later one does not, for the next try, and so does the beginning of a blob.

use super::bring::Bring;
use super::import::{all_is_there, check_names, name_all};
use super::naming::{declare, rename};
use super::options::{Imported, Options};
use super::plan::{KeptBlob, KeptImage, Planned, PlannedImage};
use super::standing::Todo;
use crate::blob::{Ingest, Staged};
use crate::descriptor::Descriptor;
use crate::error::{Error, Result};
use crate::manifest::{Document, RawManifest};
use crate::media_type;
use crate::progress::Event;
use crate::reference::Reference;
use crate::store::Store;
use crate::transaction::Transaction;
use crate::walk;

/// An image whose documents are at hand.
#[derive(Debug, Clone)]
pub struct Arriving {
    /// Its name; none for a referrer, and for what was asked for by its digest alone.
    pub name: Option<Reference>,
    /// Its documents, the root first. Children of an index that are not among them are absent.
    pub documents: Vec<RawManifest>,
    /// Where it comes from: its full name there. A name whose image came from there before moves without being asked.
    pub origin: String,
}

/// What is to be fetched.
pub struct Incoming<'a> {
    /// The blobs that the store lacks, each once.
    pub blobs: &'a [Descriptor],
    /// Where to write them ([`Ingest::claim`]), from any thread.
    pub ingest: &'a Ingest,
    /// Takes each as it comes; whether it is there now.
    pub done: Done<'a>,
}

/// How a blob came.
pub enum Came<'a> {
    /// It was fetched.
    New(Staged),
    /// Somebody else has brought it meanwhile, it seems. It may be gone again, or not what it should be.
    There(&'a Descriptor),
}

/// Takes blobs as they come; whether each is there now. What was fetched is.
pub type Done<'a> = &'a mut dyn FnMut(Came<'_>) -> Result<bool>;

/// Fetches blobs.
pub type Fetch<'a, E> = &'a mut dyn FnMut(Incoming<'_>) -> Result<(), E>;

/// Takes images in. Of the options, those that are about archives have no meaning here.
pub fn take_in<E: From<Error>>(
    store: &Store,
    arriving: Vec<Arriving>,
    fetch: Fetch<'_, E>,
    options: &Options<'_>,
) -> Result<Vec<Imported>, E> {
    let mut images = arriving.into_iter().map(planned).collect::<Result<Vec<_>>>()?;
    rename(&mut images, options)?;
    // In one hold of the lock with the look: making room must not take what is said to be there.
    let guard = store.locks().shared()?;
    let index = store.index()?;
    check_names(&index, store, &images, options)?;
    let mut todo = Todo::of(&index, store, images, options)?;
    let brought = if todo.left.is_empty() {
        all_is_there(store, guard)?;
        (options.watch)(Event::Spared(todo.spared_bytes()));
        Vec::new()
    } else {
        let mut tx = Transaction::begin_under(store, "pull", &guard)?;
        tx.keep(&todo.spared, &guard)?;
        drop(guard);
        (options.watch)(Event::Spared(todo.spared_bytes()));
        let mut bring = Bring::new(tx, store.layers()?, options, todo.existing, None, true);
        let ready = bring.all_fetched(&mut todo.left, fetch)?;
        options.cancel.check()?;
        name_all(bring.into_transaction(), &todo.left, ready, todo.existing, options)?
    };
    let imported = todo.merge(brought);
    declare(store, &imported, options)?;
    Ok(imported)
}

/// What an image needs. Layers that may not be passed on are left out: they are never fetched.
fn planned(arriving: Arriving) -> Result<PlannedImage> {
    let Arriving { name, documents, origin } = arriving;
    let root = documents.first().map(RawManifest::descriptor);
    let root = root.ok_or_else(|| Error::invalid(&origin, "has no manifest"))?;
    let mut blobs = Vec::new();
    let mut read =
        |descriptor: &Descriptor| Ok(documents.iter().find(|raw| raw.digest == descriptor.digest).cloned());
    walk::walk(&root, &mut read, &mut |node| {
        if node.document.is_none() && !media_type::is_foreign_layer(&node.descriptor.media_type) {
            let (descriptor, path) = (node.descriptor.clone(), String::new());
            blobs.push(KeptBlob { descriptor, path, layer: None });
        }
        Ok(())
    })?;
    let image_id = match documents.first().map(|raw| &raw.document) {
        Some(Document::Image(image)) if image.is_container() => Some(image.image_id()),
        _ => None,
    };
    let kept = KeptImage { root, annotations: Default::default(), documents, blobs, image_id, origin };
    Ok(PlannedImage { names: name.into_iter().collect(), content: Planned::Kept(kept) })
}
