//! The names that a bundle brings: they appear when all of an image is there, as the manifest says.

use std::collections::HashMap;

use larder_store::archive::fetched::{Arriving, Incoming, take_in};
use larder_store::archive::options::{Existing, Imported, Named, Options as Importing, Source};
use larder_store::bundle::manifest::Manifest;
use larder_store::codec::Encoding;
use larder_store::descriptor::Annotations;
use larder_store::error::{Error, Result};
use larder_store::index::{self, BUNDLE, ORIGIN, OURS};
use larder_store::reference::Reference;
use larder_store::store::Store;
use larder_store::walk;

use super::options::Options;
use super::work::Work;
use crate::bundle::create::travelling;
use crate::catalog::checked;

/// Refuses a name that another image has which did not come by a bundle, unless it may be replaced.
pub(super) fn check(store: &Store, manifest: &Manifest, options: &Options<'_>) -> Result<()> {
    if options.replace {
        return Ok(());
    }
    let index = store.index()?;
    for image in &manifest.images {
        let Some(name) = image.reference() else { continue };
        let other = index
            .named(&name)
            .find(|entry| entry.digest != image.digest && entry.annotation(ORIGIN) != Some(BUNDLE));
        if let Some(other) = other {
            return Err(Error::NameTaken { reference: name.familiar(), existing: other.digest });
        }
    }
    Ok(())
}

/// Gives the images at these places, which have one content, their names, all at once.
pub(super) fn give(work: &mut Work<'_, '_>, images: &[usize]) -> Result<Vec<Imported>> {
    let Some(first) = images.first() else { return Ok(Vec::new()) };
    let image = &work.manifest.images[*first];
    let label = image.label();
    let mut documents = Vec::new();
    let store = work.store;
    walk::walk(&image.root(), &mut |document| store.document(document), &mut |node| {
        documents.extend(node.document.cloned());
        Ok(())
    })
    .map_err(|e| e.within(&label))?;
    let mut declared: HashMap<Reference, Annotations> = HashMap::new();
    let mut arriving = Vec::new();
    for at in images {
        let name = work.manifest.images[*at].reference();
        if let Some(name) = &name {
            declared.insert(name.clone(), declarations(&work.manifest.images[*at].annotations));
        }
        arriving.push(Arriving { name, documents: documents.clone(), origin: BUNDLE.to_owned() });
    }
    let naming = |reference: &Reference| {
        let declared = declared.get(reference).cloned().unwrap_or_default();
        Ok(Named { reference: reference.clone(), declared, known: Annotations::new() })
    };
    let options = work.options;
    let importing = Importing {
        image: None,
        name: None,
        naming: &naming,
        expected: None,
        upon: None,
        replace: options.replace,
        existing: Existing::Trusted,
        source: Source::Kept,
        encoding: Encoding::default(),
        jobs: options.jobs,
        now: options.now,
        made_room: options.made_room,
        cancel: options.cancel.clone(),
        watch: &|_| {},
    };
    let mut fetch = |incoming: Incoming<'_>| {
        let lacks = incoming.blobs.first().map(|blob| blob.digest.to_string()).unwrap_or_default();
        let why = format!(
            "needs blob {lacks}, which is damaged here (--verify reads it anew), or in no list of the bundle"
        );
        Err::<(), Error>(Error::damaged("it", why))
    };
    // Those without a name are one, however often they are listed.
    let imported = take_in(store, arriving, &mut fetch, &importing).map_err(|e| e.within(&label))?;
    Ok(imported)
}

/// What a manifest says of an image, as far as it is in the form in which it is said here.
fn declarations(annotations: &Annotations) -> Annotations {
    let mut declared = travelling(annotations);
    declared.retain(|key, value| match key.strip_prefix(OURS) {
        Some(ours) => checked(ours, value).is_ok_and(|checked| checked == *value),
        None => value.len() <= 1000 && !value.chars().any(char::is_control),
    });
    debug_assert!(!declared.contains_key(index::PINNED));
    declared
}
