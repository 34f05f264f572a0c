//! The store's side of applying: what is there, what is still to come, and which image is complete.

use std::collections::{BTreeMap, HashMap, HashSet};

use larder_store::archive::options::Imported;
use larder_store::blob::Staged;
use larder_store::blob::partial::{Partial, Piece, forget, pieces};
use larder_store::bundle::manifest::{Manifest, Way};
use larder_store::bundle::member::{Content, Member};
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::gc::Mode;
use larder_store::journal::Arrival;
use larder_store::progress::Event;
use larder_store::prune::{Incoming, make_room};
use larder_store::store::Store;
use larder_store::transaction::Transaction;

use super::options::{Applied, Failure, Options};
use super::{names, presumed, receipt};

/// A bundle that is being applied.
pub(super) struct Work<'s, 'o> {
    pub(super) store: &'s Store,
    pub(super) tx: Transaction<'s>,
    pub(super) options: &'o Options<'o>,
    pub(super) manifest: &'o Manifest,
    digest: Digest,
    journal: Option<Arrival>,
    /// For each blob whether it is still to come.
    lacking: Vec<bool>,
    /// Of blobs that come in pieces, by their places: what is there.
    pieces: HashMap<usize, HashSet<Piece>>,
    /// Blobs of the store that are not what their digests say.
    damaged: HashSet<Digest>,
    /// What was read and hashed in this run, by its digest.
    pub(super) proven: HashSet<Digest>,
    /// Bytes that an earlier try left of blobs.
    pub(super) begun: HashMap<Digest, u64>,
    /// For each image how many of its blobs are still to come.
    waits: Vec<usize>,
    /// For each image what came of it.
    named: Vec<Option<Imported>>,
    /// Whether the last image waits for the end of the stream.
    is_last_held: bool,
    /// Bytes that were written for each image, beginning with the first one that needs them.
    new: Vec<u64>,
    pub(super) read_bytes: u64,
}

impl<'s, 'o> Work<'s, 'o> {
    /// Leases all that is there, and refuses a bundle that presumes what is not. Nothing is written but the lease.
    pub(super) fn begin(
        store: &'s Store,
        manifest: &'o Manifest,
        digest: Digest,
        options: &'o Options<'o>,
    ) -> Result<Work<'s, 'o>, Failure> {
        let mut tx = store.begin("bundle apply")?;
        names::check(store, manifest, options)?;
        let carried = manifest.blobs.iter().map(|blob| (blob.digest, blob.size));
        let all: Vec<_> =
            carried.chain(manifest.presumes.iter().map(|blob| (blob.digest, blob.size))).collect();
        let there = tx.reuse(&all)?;
        presumed::check(manifest, &there)?;
        let mut work = Work {
            store,
            tx,
            options,
            manifest,
            digest,
            journal: None,
            lacking: manifest.blobs.iter().map(|blob| !there.contains(&blob.digest)).collect(),
            pieces: HashMap::new(),
            damaged: HashSet::new(),
            proven: HashSet::new(),
            begun: HashMap::new(),
            waits: vec![0; manifest.images.len()],
            named: vec![None; manifest.images.len()],
            is_last_held: false,
            new: vec![0; manifest.images.len()],
            read_bytes: 0,
        };
        if options.verify {
            work.read_presumed()?;
        }
        if options.reads_existing() {
            work.read_existing()?;
        }
        for (at, blob) in manifest.blobs.iter().enumerate() {
            if work.lacking[at] && blob.way == Way::Pieces {
                let there = pieces(store.layout().private(), &work.digest, &blob.digest)?;
                work.pieces.insert(at, there);
            }
        }
        for (blob, _) in manifest.blobs.iter().zip(&work.lacking).filter(|(_, lacking)| **lacking) {
            for image in &blob.images {
                work.waits[*image as usize] += 1;
            }
        }
        Ok(work)
    }

    /// What is presumed cannot be put right by the bundle.
    fn read_presumed(&mut self) -> Result<()> {
        for blob in &self.manifest.presumes {
            self.options.cancel.check()?;
            if self.store.blobs().contains(&blob.digest)?.is_some() && !self.store.is_whole(&blob.digest)? {
                let images: Vec<_> = blob.images.iter().map(|image| self.manifest.label(*image)).collect();
                let why = format!(
                    "is damaged here, and {} needs it; `larder verify --repair` puts it right, or a bundle that carries it",
                    images.join(", ")
                );
                return Err(Error::damaged(format!("blob {}", blob.digest), why));
            }
        }
        Ok(())
    }

    fn read_existing(&mut self) -> Result<()> {
        for at in 0..self.manifest.blobs.len() {
            let digest = self.manifest.blobs[at].digest;
            if self.lacking[at] {
                continue;
            }
            self.options.cancel.check()?;
            if self.store.is_whole(&digest)? {
                self.proven.insert(digest);
            } else {
                self.damaged.insert(digest);
                self.lacking[at] = true;
            }
        }
        Ok(())
    }

    /// Takes over what an earlier try left of blobs. What `can_go_back` goes on with it; to all else it is only in the way.
    pub(super) fn adopt(&mut self, can_go_back: bool) -> Result<()> {
        let wanted: Vec<_> = self.lacking().map(|blob| blob.digest).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let _guard = self.store.locks().shared()?;
        self.begun = self.tx.ingest().adopt(&wanted)?;
        let cut = self.manifest.blobs.iter().filter(|blob| blob.way == Way::Pieces);
        let cut: HashSet<_> = cut.map(|blob| blob.digest).collect();
        if !can_go_back {
            for (digest, _) in self.begun.extract_if(|digest, _| !cut.contains(digest)) {
                self.tx.ingest().discard(&digest)?;
            }
        }
        Ok(())
    }

    /// Makes room for what these parts bring, or refuses. Where space is freed on the way, there must be room for the largest blob.
    pub(super) fn make_room(&mut self, parts: &[usize], frees: bool) -> Result<()> {
        let parts: HashSet<_> = parts.iter().collect();
        let mut sizes: HashMap<usize, u64> = HashMap::new();
        let mut aside = 0;
        for (_, member) in self.manifest.members_with_parts().filter(|(part, _)| parts.contains(part)) {
            match member.content {
                Content::Whole(at) if self.lacking[at] => {
                    let there = self.begun.get(&self.manifest.blobs[at].digest).copied().unwrap_or(0);
                    sizes.insert(at, member.size.saturating_sub(there));
                }
                Content::Piece { blob, .. } if self.needs(&member) => {
                    let size = sizes.entry(blob).or_default();
                    *size = size.saturating_add(member.size);
                }
                Content::Delta(at) if self.lacking[at] => {
                    sizes.insert(at, self.manifest.blobs[at].size);
                    aside = self.aside(at, &member)?.max(aside);
                }
                _ => {}
            }
        }
        let encoded = self.manifest.blobs.iter().zip(&self.lacking);
        let encoded = encoded
            .filter(|(blob, lacking)| blob.way == Way::Encoded && **lacking)
            .map(|(blob, _)| blob.size);
        let sizes = || sizes.values().copied().chain(encoded.clone());
        let all = sizes().fold(0, u64::saturating_add);
        let bytes = if frees { sizes().max().unwrap_or(0) } else { all };
        let incoming = Incoming { store: self.store, ingest: self.tx.ingest().clone() };
        let bytes = bytes.saturating_add(aside);
        let gone = make_room(&incoming, bytes, (self.options.now)(), Mode::Sweep, self.options.cancel)?;
        if !gone.is_empty() {
            (self.options.made_room)(&gone);
        }
        self.watch(Event::Total(all));
        Ok(())
    }

    /// From now on it is written: the journal comes first. Images that are complete already get their names.
    pub(super) fn accept(&mut self, is_last_held: bool) -> Result<()> {
        self.is_last_held = is_last_held;
        let carried = self.manifest.blobs.iter().map(|blob| blob.digest);
        let mut all = carried.chain(self.manifest.presumes.iter().map(|blob| blob.digest));
        self.journal = Some(Arrival::begin(self.store.layout().private(), &self.digest, &mut all)?);
        self.publish_whole()?;
        self.make_encoded()?;
        self.name_complete()
    }

    fn lacking(&self) -> impl Iterator<Item = &'o larder_store::bundle::manifest::Blob> + '_ {
        self.manifest.blobs.iter().zip(&self.lacking).filter(|(_, lacking)| **lacking).map(|(blob, _)| blob)
    }

    /// Blobs of which an earlier try had all pieces, and died before it showed them.
    fn publish_whole(&mut self) -> Result<()> {
        for at in 0..self.manifest.blobs.len() {
            let blob = &self.manifest.blobs[at];
            if blob.way != Way::Pieces || !self.lacking[at] {
                continue;
            }
            if self.begun.remove(&blob.digest) == Some(blob.size) {
                match self.tx.ingest().writer_of(&blob.digest, blob.size)?.finish_as(blob.digest, blob.size) {
                    Err(error) if Self::is_damage(&error) => {}
                    staged => {
                        self.came(at, staged?)?;
                        continue;
                    }
                }
            }
            let private = self.store.layout().private();
            let there = self.pieces.get(&at).filter(|there| !there.is_empty());
            if there.is_some_and(|there| blob.places().all(|piece| there.contains(&piece))) {
                let partial = Partial::open(private, &self.digest, &blob.digest, blob.size)?;
                let staged = partial.complete(self.tx.ingest())?;
                self.came(at, staged)?;
            }
        }
        Ok(())
    }

    /// What the target makes of what it has.
    fn make_encoded(&mut self) -> Result<()> {
        for at in 0..self.manifest.blobs.len() {
            if self.manifest.blobs[at].way == Way::Encoded && self.lacking[at] {
                let staged = super::members::encode(self, at)?;
                self.came(at, staged)?;
            }
        }
        Ok(())
    }

    /// Whether a member's content is needed.
    pub(super) fn needs(&self, member: &Member) -> bool {
        match member.content {
            Content::Document => false,
            Content::Whole(at) | Content::Delta(at) => self.lacking[at],
            Content::Piece { blob: at, offset, .. } => {
                let piece = (offset, member.size, member.sha256);
                self.lacking[at] && !self.pieces.get(&at).is_some_and(|there| there.contains(&piece))
            }
        }
    }

    /// Whether a blob is there, and was read in this run.
    pub(super) fn is_proven(&self, at: usize) -> bool {
        !self.lacking[at] && self.proven.contains(&self.manifest.blobs[at].digest)
    }

    /// What a bundle is known by.
    pub(super) fn digest(&self) -> &Digest {
        &self.digest
    }

    /// A piece is there, durably.
    pub(super) fn piece_came(&mut self, at: usize, piece: Piece) {
        self.pieces.entry(at).or_default().insert(piece);
    }

    /// A blob is complete.
    pub(super) fn came(&mut self, at: usize, staged: Staged) -> Result<()> {
        let (digest, size) = (staged.digest(), staged.size());
        if self.damaged.remove(&digest) {
            self.tx.heal(staged)?;
        } else {
            self.tx.publish(staged)?;
        }
        self.tx.ingest().came(size)?;
        self.proven.insert(digest);
        self.lacking[at] = false;
        for (turn, image) in self.manifest.blobs[at].images.iter().enumerate() {
            self.waits[*image as usize] -= 1;
            if turn == 0 {
                self.new[*image as usize] += size;
            }
        }
        self.name_complete()
    }

    /// Gives the images that are complete their names, those of one content at once.
    fn name_complete(&mut self) -> Result<()> {
        let waiting = |work: &Self| {
            let of = work.manifest.images.iter().zip(&work.named).filter(|(_, named)| named.is_none());
            of.map(|(image, _)| image.digest).collect::<HashSet<_>>().len()
        };
        for at in 0..self.manifest.images.len() {
            if self.named[at].is_some() || self.waits[at] > 0 || (self.is_last_held && waiting(self) == 1) {
                continue;
            }
            let digest = self.manifest.images[at].digest;
            let same: Vec<_> = (at..self.manifest.images.len())
                .filter(|other| self.manifest.images[*other].digest == digest && self.waits[*other] == 0)
                .collect();
            let imported = names::give(self, &same)?;
            for (other, mut imported) in same.into_iter().zip(imported) {
                let all = imported.new_bytes.saturating_add(imported.reused_bytes);
                imported.new_bytes = self.new[other].min(all);
                imported.reused_bytes = all - imported.new_bytes;
                self.named[other] = Some(imported);
            }
        }
        Ok(())
    }

    /// Ends it, for now where parts are missing.
    pub(super) fn finish(mut self) -> Result<Applied> {
        self.is_last_held = false;
        self.name_complete()?;
        let missing = self.missing();
        let images: Vec<_> = self.named.iter().flatten().cloned().collect();
        if let (true, Some(at)) = (missing.is_empty(), self.named.iter().position(Option::is_none)) {
            let why = "is not complete, though all parts came; apply them again";
            return Err(Error::damaged(self.manifest.label(at as u32), why));
        }
        if missing.is_empty() {
            let cut = self.manifest.blobs.iter().filter(|blob| blob.way == Way::Pieces);
            forget(self.store.layout().private(), &self.digest, &mut cut.map(|blob| blob.digest))?;
            if let Some(journal) = self.journal.take() {
                journal.remove()?;
            }
            // Last: where there is a receipt, nothing is left to do.
            receipt::write(self.store, &self.digest, self.manifest, (self.options.now)())?;
        }
        Ok(Applied {
            bundle: self.digest,
            new_bytes: self.new.iter().sum(),
            read_bytes: self.read_bytes,
            images,
            missing,
            parts: self.manifest.parts.len(),
        })
    }

    /// The parts in which something is that did not come, each with the images that wait for it.
    fn missing(&self) -> Vec<(usize, Vec<String>)> {
        let mut waiting: BTreeMap<usize, HashSet<u32>> = BTreeMap::new();
        for (part, member) in self.manifest.members_with_parts() {
            let at = match member.content {
                Content::Whole(at) | Content::Delta(at) | Content::Piece { blob: at, .. } => at,
                Content::Document => continue,
            };
            if self.needs(&member) {
                waiting.entry(part).or_default().extend(&self.manifest.blobs[at].images);
            }
        }
        let mut missing = Vec::new();
        for (part, images) in waiting {
            let mut images: Vec<_> = images.into_iter().map(|image| self.manifest.label(image)).collect();
            images.sort_unstable();
            missing.push((part + 1, images));
        }
        missing
    }

    pub(super) fn watch(&self, event: Event) {
        (self.options.watch)(event);
    }

    /// Says of a failure that content is not what it should be, where an earlier try left some of it that may be the reason.
    pub(super) fn is_damage(error: &Error) -> bool {
        error.kind() == Kind::Damaged
    }
}
