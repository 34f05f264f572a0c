//! Pushing: what the store has of an image goes to a registry, and only what the registry lacks.
//!
//! Deciding is apart from doing: [`Parcel::pack`] finds out what belongs to an image, and asks nobody; [`Parcel::deliver`] asks a
//! repository what it lacks of that, sends it, and puts the manifests there, those that are listed before those that list
//! them, the tag last. So a tag never means what is not there, and a push that broke goes on where it stopped.

mod gzip;
pub(super) mod plan;
mod referrers;
pub(super) mod send;
pub(super) mod sources;
mod trip;

use std::collections::HashMap;

use larder_store::Store;
use larder_store::archive::image::{Images, LayerForm};
use larder_store::blob::Blob;
use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::elsewhere;
use larder_store::manifest::RawManifest;
use larder_store::progress::Watch;
use larder_store::reference::Reference;
use larder_store::store::Protection;

use self::plan::Documents;
pub(crate) use self::referrers::stored as stored_referrers;
use self::send::Supply;
use self::trip::Trip;
use super::Registries;
use super::client::Repository;
use super::error::Result;
use super::lines::Lines;

/// How layers are pushed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layers {
    /// As they are stored.
    Stored,
    /// Those of zstd as gzip, made anew by so many threads.
    Gzip { jobs: usize },
}

/// What is to be pushed.
pub(crate) struct Request<'a> {
    /// The manifest or the index, which is leased with all that is below it.
    pub(crate) root: &'a Descriptor,
    pub(crate) layers: Layers,
    /// Whether what refers to the image goes along.
    pub(crate) referrers: bool,
}

/// What people may want to know, beside progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A layer that registries may not pass on: it is not sent.
    Foreign { layer: Digest, size: u64 },
    /// Another manifest goes in place of the one that is stored: its layers are gzip.
    Gzipped { stored: Digest, pushed: Digest },
    /// So many referrers are about the manifest that is stored, and not about the one that goes.
    LeftBehind { referrers: usize },
}

/// Blobs, counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    pub(crate) blobs: usize,
    pub(crate) bytes: u64,
}

/// What was done for one destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pushed {
    /// The digest that the destination means now.
    pub(crate) digest: Digest,
    /// Blobs that were sent.
    pub(crate) sent: Tally,
    /// Blobs that the registry took from another repository of its own.
    pub(crate) mounted: Tally,
    /// Blobs that were there.
    pub(crate) there: Tally,
    /// Manifests and indexes that were put there, and names for them.
    pub(crate) manifests: usize,
    /// Referrers that are there now.
    pub(crate) referrers: usize,
}

/// How a delivery is made.
#[derive(Clone, Copy)]
pub(crate) struct Delivery<'a> {
    pub(crate) registries: &'a Registries,
    /// Blobs that are sent at a time.
    pub(crate) jobs: usize,
    pub(crate) watch: Watch<'a>,
}

/// An image with all that goes to a registry with it.
pub(crate) struct Parcel<'a> {
    store: &'a Store,
    image: Documents,
    /// Each with its subject.
    referrers: Vec<(Digest, Documents)>,
    made: HashMap<Digest, Blob>,
    /// Who has the blobs, where they are not the store's.
    supply: Option<&'a dyn Supply>,
    /// Where it was delivered before, with the blobs that are there.
    been: Vec<(Reference, Vec<Digest>)>,
    /// Keeps referrers; the image is the caller's to keep.
    _kept: Option<Protection>,
}

impl<'a> Parcel<'a> {
    /// Finds out what belongs to an image. Layers that have to be made are made now.
    pub(crate) fn pack(
        store: &'a Store,
        request: &Request<'_>,
        notice: &dyn Fn(Notice),
        cancel: &Cancel,
    ) -> Result<Parcel<'a>> {
        let mut read = |descriptor: &Descriptor| store.document(descriptor);
        let mut image = Documents::read(request.root, &mut read)?;
        let subjects: Vec<_> = image.all.iter().map(|raw| raw.digest).collect();
        let mut made = HashMap::new();
        if let Layers::Gzip { jobs } = request.layers {
            let mut images = Images::new(store, LayerForm::Gzip, jobs, cancel);
            image = gzip::convert(store, image, &mut images, &mut made)?;
        }
        for layer in image.foreign() {
            notice(Notice::Foreign { layer: layer.digest, size: layer.size });
        }
        let found = if request.referrers { referrers::stored(store, &subjects)? } else { Vec::new() };
        let is_other = image.root().is_some_and(|root| root.digest != request.root.digest);
        if let (true, Some(root)) = (is_other, image.root()) {
            notice(Notice::Gzipped { stored: request.root.digest, pushed: root.digest });
            if !found.is_empty() {
                notice(Notice::LeftBehind { referrers: found.len() });
            }
        }
        let found = if is_other { Vec::new() } else { found };
        let queries: Vec<_> = found.iter().map(|entry| entry.digest.to_string()).collect();
        let kept = if queries.is_empty() { None } else { Some(store.protect(&queries, "push")?.0) };
        let mut referrers = Vec::new();
        for entry in &found {
            let documents = Documents::read(entry, &mut read)?;
            if let Some(subject) = documents.root().and_then(RawManifest::subject) {
                referrers.push((subject.digest, documents));
            }
        }
        Ok(Parcel { store, image, referrers, made, supply: None, been: Vec::new(), _kept: kept })
    }

    /// A parcel of what is elsewhere: documents that are at hand, and blobs that somebody brings when a registry lacks them. Children
    /// that are not among the documents have to be there. `been` are repositories that have some of the blobs.
    pub(in crate::registry) fn passing(
        store: &'a Store,
        image: Documents,
        referrers: Vec<(Digest, Documents)>,
        supply: &'a dyn Supply,
        been: Vec<(Reference, Vec<Digest>)>,
    ) -> Parcel<'a> {
        let (made, supply) = (HashMap::new(), Some(supply));
        Parcel { store, image, referrers, made, supply, been, _kept: None }
    }

    /// Brings it to a repository, under a tag. What is there by the time of a failure is remembered and stays.
    pub(crate) fn deliver(&mut self, to: &Reference, how: Delivery<'_>) -> Result<Pushed> {
        let lines = Lines::to(&Repository::for_push(to, how.registries)?);
        self.deliver_by(&lines, to, how)
    }

    /// The same, by these lines, which are for pushing.
    pub(in crate::registry) fn deliver_by(
        &mut self,
        lines: &Lines,
        to: &Reference,
        how: Delivery<'_>,
    ) -> Result<Pushed> {
        let (done, there, pushed) = lines.with(|line| {
            let mut trip = Trip::new(self, to, how, line, lines);
            let done = trip.make();
            Ok((done, trip.there, trip.pushed))
        })?;
        if !there.is_empty() {
            // Lost, it costs some bytes the next time.
            let _ = elsewhere::note(self.store, &format!("{}/{}", to.domain(), to.path()), &there);
            self.been.push((to.clone(), there));
        }
        done.map(|()| pushed)
    }
}

impl Pushed {
    fn none() -> Pushed {
        let none = Tally::default();
        Pushed { digest: Digest::of(b""), sent: none, mounted: none, there: none, manifests: 0, referrers: 0 }
    }
}
