//! What tells whether an image is stale, read from the store.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use super::{BaseState, Stale, made, staleness};
use crate::base::{Base, begin_with};
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::ids::{DiffId, ImageId};
use crate::index::{self, Index};
use crate::manifest::{Document, ImageConfig, RawManifest};
use crate::policy::Policy;
use crate::reference::Reference;
use crate::store::Store;
use crate::walk::walk;

/// What the documents of an image say, or of all images of an index that are stored.
#[derive(Debug, Default)]
pub struct Image {
    /// What it was made on.
    pub base: Option<Base>,
    /// When the oldest one was made, as its maker says (seconds since 1970).
    pub created: Option<i64>,
    /// The layers of each, lowest first.
    pub stacks: Vec<Vec<DiffId>>,
    ids: HashSet<ImageId>,
    /// All manifests and indexes of it, also those that are not stored.
    digests: HashSet<Digest>,
}

/// Reads the documents of an entry; its own annotations come first.
pub fn look_at(store: &Store, entry: &Descriptor) -> Result<Image> {
    let mut image = Image { base: Base::of(&entry.annotations), ..Image::default() };
    walk(entry, &mut |document| store.document(document), &mut |node| {
        let Some(raw) = node.document else { return Ok(()) };
        image.digests.insert(raw.digest);
        match &raw.document {
            Document::Index(list) => {
                image.digests.extend(list.manifests.iter().map(|child| child.digest));
                let said = || raw.annotations().and_then(Base::of);
                image.base = image.base.take().or_else(said);
            }
            Document::Image(manifest) if manifest.is_container() => {
                let (bytes, config) = store.config(manifest)?;
                image.base = image.base.take().or_else(|| Base::of_image(Some(raw), &bytes));
                let created = config.created.as_deref().and_then(seconds);
                image.created = [image.created, created].into_iter().flatten().min();
                image.ids.insert(manifest.image_id());
                image.stacks.push(config.diff_ids().to_vec());
            }
            Document::Image(_) => {}
        }
        Ok(())
    })?;
    Ok(image)
}

/// The same of a manifest and its config that are not in the store, or not yet.
pub fn look_into(entry: &Descriptor, raw: &RawManifest, config: &[u8]) -> Result<Image> {
    let damaged = |why| Error::damaged(format!("image {}", raw.digest), why);
    let Document::Image(manifest) = &raw.document else {
        return Err(damaged("is no image for one platform".to_owned()));
    };
    let read = ImageConfig::parse(config).map_err(damaged)?;
    Ok(Image {
        base: Base::of(&entry.annotations).or_else(|| Base::of_image(Some(raw), config)),
        created: read.created.as_deref().and_then(seconds),
        stacks: vec![read.diff_ids().to_vec()],
        ids: HashSet::from([manifest.image_id()]),
        digests: HashSet::from([raw.digest]),
    })
}

fn seconds(text: &str) -> Option<i64> {
    text.parse().map(jiff::Timestamp::as_second).ok()
}

/// Tells of entries of one index which are stale. What a base's name means is read once for all of them; of an entry itself
/// one or two small documents.
pub struct Freshness<'a> {
    store: &'a Store,
    index: &'a Index,
    policy: &'a Policy,
    now: i64,
    bases: HashMap<Reference, Option<(Digest, Rc<Image>)>>,
}

impl<'a> Freshness<'a> {
    /// For the entries of this index, at a time (seconds since 1970).
    pub fn new(store: &'a Store, index: &'a Index, policy: &'a Policy, now: i64) -> Freshness<'a> {
        Freshness { store, index, policy, now, bases: HashMap::new() }
    }

    /// Whether an image is stale; what is no image of a container never is.
    pub fn of(&mut self, entry: &Descriptor) -> Result<Option<Stale>> {
        self.judge(entry, &look_at(self.store, entry)?)
    }

    /// The same, where the documents of the entry were read already.
    pub fn judge(&mut self, entry: &Descriptor, image: &Image) -> Result<Option<Stale>> {
        if image.ids.is_empty() {
            return Ok(None);
        }
        let base = match &image.base {
            Some(base) => Some((base, self.state(entry, base, image)?)),
            None => None,
        };
        let name = index::shown_name(entry).or_else(|| entry.annotation(index::WAS).map(str::to_owned));
        let made = made(image.created, index::time(entry, index::IMPORTED), self.now);
        Ok(staleness(name.as_slice(), base, made, self.policy, self.now))
    }

    /// What the name of an image's base means by now. The same image may have got another digest (of an index in place of its
    /// manifest, or compressed anew), and is told by its image ID. Where the one of then is gone, the layers tell.
    fn state(&mut self, entry: &Descriptor, base: &Base, image: &Image) -> Result<BaseState> {
        let Some(digest) = base.digest else { return Ok(BaseState::Unknown) };
        let Some((means, current)) = self.named(&base.name)? else { return Ok(BaseState::Unknown) };
        // An image that was rebuilt upon the last one of its own name: nobody can tell what became of that.
        if means == entry.digest {
            return Ok(BaseState::Unknown);
        }
        if current.digests.contains(&digest) {
            return Ok(BaseState::Same);
        }
        let is_same = match self.of_then(digest)? {
            Some(then) => !then.ids.is_disjoint(&current.ids),
            None => begin_with(&image.stacks, &current.stacks),
        };
        Ok(if is_same { BaseState::Same } else { BaseState::Moved })
    }

    /// What a name means by now, and the digest of that; none where the store has no such name, or two that differ.
    fn named(&mut self, name: &Reference) -> Result<Option<(Digest, Rc<Image>)>> {
        if let Some(known) = self.bases.get(name) {
            return Ok(known.clone());
        }
        let entry = self.index.resolve(&name.full()).ok();
        let image = entry.map(|entry| {
            let mut image = look_at(self.store, entry)?;
            // The manifest that it had where it came from.
            let source = entry.annotation(index::SOURCE_DIGEST);
            image.digests.extend(source.and_then(|digest| digest.parse::<Digest>().ok()));
            Ok::<_, Error>((entry.digest, Rc::new(image)))
        });
        let image = image.transpose()?;
        self.bases.insert(name.clone(), image.clone());
        Ok(image)
    }

    /// The image that a base was, if the store still has it, whole.
    fn of_then(&self, digest: Digest) -> Result<Option<Image>> {
        let Some(size) = self.store.blobs().contains(&digest)? else { return Ok(None) };
        match look_at(self.store, &Descriptor::new(String::new(), digest, size)) {
            Ok(image) if !image.ids.is_empty() => Ok(Some(image)),
            Ok(_) | Err(Error::Damaged { .. } | Error::Invalid { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Image {
    /// Whether all images of it have the layers of one of the other's images below their own.
    pub fn is_on(&self, base: &Image) -> bool {
        begin_with(&self.stacks, &base.stacks)
    }
}
