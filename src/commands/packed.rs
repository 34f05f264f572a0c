//! One image as an archive of its own, of the form that `export` is asked for.

use std::collections::BTreeSet;
use std::path::Path;

use larder_store::archive::package::{Item, Package};
use larder_store::archive::write::{Output, Sink, write};
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::export::Args;
use crate::cli::{Bar, Context};

/// An archive of one image, planned.
pub(super) struct Packed<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    item: Item,
    archive: Package,
}

impl<'a> Packed<'a> {
    pub(super) fn of(
        context: &'a Context,
        args: &'a Args,
        store: &'a Store,
        entry: &Descriptor,
        name: &Reference,
    ) -> Result<Packed<'a>, Error> {
        let item = Item { name: Some(name.clone()), root: args.root(store, entry, &name.familiar())? };
        let archive = args.package(context, store, std::slice::from_ref(&item))?;
        Ok(Packed { context, args, store, item, archive })
    }

    /// Bytes.
    pub(super) fn size(&self) -> u64 {
        self.archive.size()
    }

    /// The manifests and indexes in it, that of the entry among them.
    pub(super) fn images(&self, entry: &Descriptor) -> Vec<Digest> {
        BTreeSet::from([entry.digest, self.item.root.digest]).into_iter().collect()
    }

    pub(super) fn write(&self, out: Sink<'_>, shown: &Path) -> Result<(), Error> {
        let bar = Bar::new(&shown.to_string_lossy());
        let watch = |event| bar.on(event);
        let jobs = super::jobs(self.args.jobs);
        let mut output = Output { out, shown, jobs, cancel: &self.context.cancel, watch: &watch };
        write(self.store, &self.archive, &mut output)
    }
}
