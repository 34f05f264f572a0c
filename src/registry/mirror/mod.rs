//! Mirroring: an image goes from one registry to another as it is, and only what the other one lacks.
//!
//! Looking is apart from doing: [`Mirror::look`] asks both sides what a tag means, reads the documents that the destination lacks, and
//! asks it which of their blobs it has; [`Mirror::bring`] hands that to the machinery that pushes, which is given each blob when the
//! destination turns out to lack it. Such a blob is fetched into the store, checked there, and let go afterwards.

mod bring;
mod delete;
mod look;
mod referrers;

use std::collections::{HashMap, HashSet};

use larder_store::digest::Digest;
use larder_store::reference::Reference;

use super::Registries;
use super::client::{Line, Repository};
use super::error::{Error, Result};
use super::lines::Lines;
use super::push::plan::Documents;
use super::sync::is_same_host;

pub(crate) use self::delete::{Found, Left, Unwanted};

/// What of images is wanted.
#[derive(Debug, Clone)]
pub(crate) enum Part {
    /// All of it.
    Whole,
    /// Of an index what is for these platforms. One alone goes without the index.
    Platforms(Vec<larder_store::descriptor::Platform>),
}

/// A repository, and the one that is to have what it has.
pub(crate) struct Mirror {
    from: Reference,
    to: Reference,
    registries: Registries,
    /// To the source.
    source: Lines,
    /// To the destination, for pushing.
    lines: Lines,
    /// Blobs of which the destination was asked.
    known: HashMap<Digest, bool>,
}

/// What the images that were looked at before bring with them: none of it is fetched or sent twice.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Blobs that come into the store.
    fetched: HashSet<Digest>,
    /// Content that repositories will have: `host/path`.
    there: HashSet<(String, Digest)>,
    /// Blobs that registries will have in some repository.
    somewhere: HashSet<(String, Digest)>,
}

/// An image as it is at the source now, and what the destination lacks of it.
#[derive(Debug)]
pub(crate) struct Looked {
    /// What the tag is to mean.
    pub(crate) digest: Digest,
    /// What it means at the destination.
    pub(crate) was: Option<Digest>,
    /// Bytes that come from the source, with the documents that have come by now.
    pub(crate) fetch: u64,
    /// Bytes that go to the destination.
    pub(crate) send: u64,
    /// Of those that come the blobs.
    coming: u64,
    /// The documents that are at hand; none where all is there.
    image: Option<Documents>,
    /// Each with its subject.
    referrers: Vec<(Digest, Documents)>,
}

impl Looked {
    /// Whether the destination has all of it, under its tag.
    pub(crate) fn is_there(&self) -> bool {
        self.was == Some(self.digest) && self.referrers.is_empty()
    }

    /// Layers that registries may not pass on: they are not brought.
    pub(crate) fn foreign(&self) -> Vec<(Digest, u64)> {
        let layers = self.image.iter().flat_map(Documents::foreign);
        layers.map(|layer| (layer.digest, layer.size)).collect()
    }

    /// Bytes of documents that are held in memory.
    pub(crate) fn held(&self) -> usize {
        let referrers = self.referrers.iter().map(|(_, documents)| documents);
        let all = self.image.iter().chain(referrers).flat_map(|documents| &documents.all);
        all.map(|raw| raw.bytes.len()).sum()
    }
}

impl Mirror {
    /// From one repository to another. Asks nobody yet.
    pub(crate) fn between(from: &Reference, to: &Reference, registries: &Registries) -> Result<Mirror> {
        let mut registries = registries.clone();
        // The destination may be what this host asks before the source: it would be compared with itself.
        let is_other = |mirror: &super::access::Mirror| !is_same_host(&mirror.host, to.domain());
        registries.settings.mirrors.values_mut().for_each(|mirrors| mirrors.retain(is_other));
        Ok(Mirror {
            from: from.clone(),
            to: to.clone(),
            source: Lines::to(&Repository::of(from, &registries)?),
            lines: Lines::to(&Repository::for_push(to, &registries)?),
            registries,
            known: HashMap::new(),
        })
    }

    /// The tags that the source has.
    pub(crate) fn tags(&self) -> Result<Vec<String>> {
        self.source.with(Line::tags).map_err(Error::of_image)
    }

    /// Closes what is open, until one of the sides is asked again.
    pub(crate) fn rest(&self) {
        self.source.rest();
        self.lines.rest();
    }

    fn is_same_host(&self) -> bool {
        self.from.domain() == self.to.domain()
    }
}
