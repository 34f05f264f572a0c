//! Bringing an image to the destination. What the destination lacks and cannot take from a neighbour is fetched into the store, and let
//! go when all of the image is there.

use larder_store::Store;
use larder_store::archive::options::Options;
use larder_store::archive::passing::Passage;
use larder_store::blob::{Blob, BlobWriter, Claim};
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::progress::Event;

use super::super::client::{Line, Taking};
use super::super::error::Result;
use super::super::lines::Lines;
use super::super::pull::rivals::{Rivals, Turn};
use super::super::push::plan::{Documents, blobs};
use super::super::push::send::Supply;
use super::super::push::{Delivery, Parcel, Pushed};
use super::{Looked, Mirror};

/// The source, by way of the store.
struct Source<'a> {
    passage: Passage<'a>,
    lines: &'a Lines,
}

/// A blob that is to come.
enum Begun {
    /// Somebody else has brought it.
    There(Blob),
    Ours(BlobWriter),
}

impl Supply for Source<'_> {
    fn blob(&self, blob: &Descriptor, waits: &Line, watch: &dyn Fn(u64)) -> Result<Blob> {
        if let Some(there) = self.passage.open(blob)? {
            return Ok(there);
        }
        let begun = match self.begin(blob, waits)? {
            Begun::Ours(begun) => begun,
            Begun::There(there) => {
                watch(there.size());
                return Ok(there);
            }
        };
        let anew = || self.passage.ingest().writer_of(&blob.digest, blob.size);
        let taking = Taking { anew: &anew, watch, passed_over: &|_, _| {} };
        let staged = self.lines.with(|line| {
            line.ends_with(waits);
            let staged = line.blob(blob, begun, &taking);
            line.until(None);
            staged
        })?;
        Ok(self.passage.take(staged)?)
    }
}

impl Source<'_> {
    /// Begins a blob. One that another process fetches already is waited for, as long as that gets on; who waits has begun none, so that
    /// two that want each other's blobs both get on.
    fn begin(&self, blob: &Descriptor, waits: &Line) -> Result<Begun> {
        let rivals = Rivals::new(self.lines.repository().patience().rival);
        let mut turn = Turn::First;
        loop {
            let writer = match turn {
                Turn::Stalled => self.passage.ingest().writer_of(&blob.digest, blob.size)?,
                Turn::First | Turn::Gone | Turn::Left => {
                    match self.passage.claim(blob, turn == Turn::Left)? {
                        Claim::Ours(writer) => writer,
                        Claim::Theirs(rival) => {
                            rivals.add(blob, rival);
                            let go_on = || waits.check().map(|()| true);
                            (_, turn) = rivals.wait(&go_on)?.unwrap_or((blob, Turn::Gone));
                            continue;
                        }
                    }
                }
            };
            // Looked for after the claim: from then on nobody else brings it.
            return Ok(match self.passage.open(blob)? {
                Some(there) => Begun::There(there),
                None => Begun::Ours(writer),
            });
        }
    }
}

impl Mirror {
    /// Brings what was looked at there, under its tag. Where that fails, what came stays in the store for the next try, until gc.
    pub(crate) fn bring(
        &self,
        store: &Store,
        tag: &str,
        looked: Looked,
        jobs: usize,
        options: &Options<'_>,
    ) -> Result<Pushed> {
        let Looked { fetch, send, coming, image, referrers, .. } = looked;
        let to = self.to.with_tag(tag).ok_or_else(|| StoreError::invalid(&self.to, "has no such tag"))?;
        let image = image.unwrap_or(Documents { all: Vec::new(), absent: Vec::new() });
        let all = image.all.iter().chain(referrers.iter().flat_map(|(_, documents)| &documents.all));
        let wanted: Vec<_> = blobs(all).iter().map(|blob| (blob.digest, blob.size)).collect();
        let passage = Passage::begin(store, &wanted, coming, options)?;
        // What the parts of it say of the whole is less than all.
        (options.watch)(Event::Total(fetch.saturating_add(send)));
        let watch = |event: Event| {
            if !matches!(event, Event::Total(_)) {
                (options.watch)(event);
            }
        };
        let mounts: Vec<Digest> = match self.is_same_host() {
            true => wanted.iter().map(|(digest, _)| *digest).collect(),
            false => Vec::new(),
        };
        let source = Source { passage, lines: &self.source };
        let been = vec![(self.from.clone(), mounts)];
        let mut parcel = Parcel::passing(store, image, referrers, &source, been);
        let pushed = parcel.deliver_by(
            &self.lines,
            &to,
            Delivery { registries: &self.registries, jobs, watch: &watch },
        );
        drop(parcel);
        let pushed = pushed?;
        source.passage.let_go()?;
        Ok(pushed)
    }
}
