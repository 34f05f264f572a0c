//! What becomes of an image that is there: its archive, and its copies in a registry.

use std::path::Path;

use larder_store::archive::image::{Images, LayerForm};
use larder_store::archive::package::{Form, Item, package};
use larder_store::archive::write::{Output, write};
use larder_store::exports::{Export, Identity};
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::super::{export, jobs, now, push};
use crate::cli::{Bar, Context, Outcome, fail, human, note};
use crate::registry::Registries;

/// Writes the image as an archive, unless it is there as it was written.
pub(super) fn archive(context: &Context, store: &Store, name: &Reference, path: &Path) -> Outcome {
    let query = name.full();
    let (_protection, entries) = store.protect(std::slice::from_ref(&query), "def build --tar")?;
    let Some(entry) = entries.into_iter().next() else { return Ok(()) };
    let real = path.canonicalize().ok().and_then(|path| path.into_os_string().into_string().ok());
    if let (Some(real), Ok(meta)) = (real, path.symlink_metadata()) {
        let identity = Identity::of(&meta);
        let is_it = |export: &Export| {
            export.path == real && export.identity == identity && export.images == [entry.digest]
        };
        if store.exports()?.iter().any(|record| is_it(&record.export)) {
            return Ok(());
        }
    }
    let digest = entry.digest;
    let items = [Item { name: Some(name.clone()), root: entry }];
    let mut images = Images::new(store, LayerForm::Stored, jobs(None), &context.cancel);
    let archive = package(store, &items, Form::Hybrid, &mut images, &Default::default())?;
    let bar = Bar::new(&path.to_string_lossy());
    let watch = |event| bar.on(event);
    let written = export::write_file(path, archive.size(), |out, shown| {
        let mut output = Output { out, shown, jobs: jobs(None), cancel: &context.cancel, watch: &watch };
        write(store, &archive, &mut output)
    })?;
    drop(bar);
    if let Some((path, identity)) = written {
        store.record_export(&Export { path, identity, images: vec![digest], exported: now() })?;
    }
    note(format_args!("{}: {}", path.display(), human(archive.size())));
    Ok(())
}

/// Brings the image under all its names to a repository below this place.
pub(super) fn to_registry(
    context: &Context,
    store: &Store,
    registries: &Registries,
    names: &[Reference],
    place: &str,
) -> Outcome<Vec<Reference>> {
    let to = |name: &Reference| format!("{place}/{}", name.familiar()).parse::<Reference>();
    let places = names.iter().map(to).collect::<Result<Vec<_>, _>>();
    let places =
        places.map_err(|why| fail(why).with_hint("--push=HOST[/PATH] says where images go").usage())?;
    push::bring(context, store, registries, &names[0].full(), &places)?;
    Ok(places)
}
