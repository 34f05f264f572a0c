//! What whoever imports makes of an archive's names.

use std::collections::HashMap;

use super::options::{Imported, Named, Options, Outcome};
use super::plan::PlannedImage;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::bears;
use crate::reference::Reference;
use crate::store::Store;

/// Gives the images the names that theirs are taken for. Names that differed never become one.
pub(super) fn rename(images: &mut [PlannedImage], options: &Options<'_>) -> Result<()> {
    let mut given: HashMap<Reference, (usize, Reference)> = HashMap::new();
    for (at, image) in images.iter_mut().enumerate() {
        let mut names = Vec::new();
        for name in &image.names {
            let reference = (options.naming)(name)?.reference;
            match given.insert(reference.clone(), (at, name.clone())) {
                Some((other, _)) if other == at => {}
                Some((_, was)) if was != *name => {
                    let why = format!("holds {was} and {name}, which would both be named {reference}");
                    return Err(Error::invalid("the archive", why));
                }
                _ => names.push(reference),
            }
        }
        image.names = names;
    }
    Ok(())
}

/// Notes what is declared of images that the store had already; those that came in have it from the beginning.
pub(super) fn declare(store: &Store, imported: &[Imported], options: &Options<'_>) -> Result<()> {
    let mut declared: HashMap<Digest, Vec<Named>> = HashMap::new();
    for image in imported.iter().filter(|image| image.outcome == Outcome::Unchanged) {
        let Some(reference) = &image.reference else { continue };
        let named = (options.naming)(reference)?;
        if !named.declared.is_empty() || !named.known.is_empty() {
            declared.entry(image.digest).or_default().push(named);
        }
    }
    if declared.is_empty() {
        return Ok(());
    }
    store.edit(|index| {
        for entry in index.entries_mut() {
            let mut named = declared.get(&entry.digest).into_iter().flatten();
            if let Some(named) = named.find(|named| bears(entry, &named.reference)) {
                named.declare_anew(&mut entry.annotations);
            }
        }
        Ok(())
    })
}
