//! What the store can give again: images of the index of which everything is there, by a quick look at sizes.

use std::collections::{HashMap, HashSet};

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::index::{self, Index};
use larder_store::manifest::Document;
use larder_store::media_type;
use larder_store::store::Store;
use larder_store::walk;

use super::find::Wanted;
use super::said;

/// A store's images; each is looked at once.
pub(super) struct Holdings<'a> {
    store: &'a Store,
    entries: HashMap<Digest, Vec<&'a Descriptor>>,
    by_image_id: HashMap<&'a str, Digest>,
    /// What an entry leads to, if all of it is there.
    whole: HashMap<Digest, Result<HashSet<Digest>, String>>,
}

impl<'a> Holdings<'a> {
    pub(super) fn of(store: &'a Store, index: &'a Index) -> Holdings<'a> {
        let mut entries: HashMap<_, Vec<_>> = HashMap::new();
        let mut by_image_id = HashMap::new();
        for entry in index.entries() {
            entries.entry(entry.digest).or_default().push(entry);
            if let Some(id) = entry.annotation(index::IMAGE_ID) {
                by_image_id.insert(id, entry.digest);
            }
        }
        Holdings { store, entries, by_image_id, whole: HashMap::new() }
    }

    /// The entries of the index by which the store gives all of these again, or why it cannot.
    pub(super) fn entries_of(&mut self, wanted: &[Wanted]) -> Result<Result<Vec<&'a Descriptor>, String>> {
        let mut found = Vec::new();
        for image in wanted {
            match self.give(image)? {
                Ok(digests) => found.extend(digests),
                Err(why) => return Ok(Err(why)),
            }
        }
        Ok(Ok(found.iter().flat_map(|digest| &self.entries[digest]).copied().collect()))
    }

    fn give(&mut self, wanted: &Wanted) -> Result<Result<Vec<Digest>, String>> {
        let roots: Vec<_> =
            wanted.manifests.iter().filter(|digest| self.entries.contains_key(digest)).copied().collect();
        let mut reached = HashSet::new();
        for root in &roots {
            match self.whole(root)? {
                Ok(parts) => reached.extend(parts.iter().copied()),
                Err(why) => return Ok(Err(why.clone())),
            }
        }
        let missing = wanted.manifests.iter().chain(&wanted.blobs).find(|digest| !reached.contains(digest));
        if !roots.is_empty() && missing.is_none() {
            return Ok(Ok(roots));
        }
        // Under another manifest it is the same image all the same.
        let id = wanted.image_id.map(|id| id.to_string());
        match id.as_deref().and_then(|id| self.by_image_id.get(id)).copied() {
            Some(digest) => Ok(self.whole(&digest)?.as_ref().map(|_| vec![digest]).map_err(Clone::clone)),
            None => {
                let what = missing.map(|digest| digest.to_string()).or(id).unwrap_or_default();
                Ok(Err(format!("{what} is not in the store")))
            }
        }
    }

    /// All that an entry leads to, or what is wrong with it.
    fn whole(&mut self, digest: &Digest) -> Result<&Result<HashSet<Digest>, String>> {
        if !self.whole.contains_key(digest) {
            // Entries of one digest differ in what they say of it: of children that were stored, for one.
            let mut found = Ok(HashSet::new());
            for entry in &self.entries[digest] {
                found = look(self.store, entry)?;
                if found.is_err() {
                    break;
                }
            }
            self.whole.insert(*digest, found);
        }
        Ok(&self.whole[digest])
    }
}

fn look(store: &Store, entry: &Descriptor) -> Result<Result<HashSet<Digest>, String>> {
    let mut reached = HashSet::new();
    let walked = walk::walk_entry(entry, &mut |document| store.document(document), &mut |node| {
        let Descriptor { digest, size, media_type, .. } = node.descriptor;
        match store.blobs().contains(digest)? {
            Some(there) if there == *size => drop(reached.insert(*digest)),
            None if media_type::is_foreign_layer(media_type) => {}
            Some(_) => return Err(Error::damaged(format!("blob {digest}"), "has another size")),
            None => return Err(Error::damaged(format!("blob {digest}"), "is missing")),
        }
        if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
            && image.is_container()
        {
            store.config(image)?;
        }
        Ok(())
    });
    match walked {
        Ok(()) => Ok(Ok(reached)),
        Err(error) if error.kind() == Kind::Damaged => Ok(Err(said(&error))),
        Err(error) => Err(error),
    }
}
