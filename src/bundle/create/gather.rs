//! What belongs to the images that are asked for, as the store has it.

use std::collections::{HashMap, HashSet};

use larder_store::archive::package::Item;
use larder_store::bundle::manifest::Image;
use larder_store::descriptor::{Annotations, Descriptor};
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::ids::DiffId;
use larder_store::index;
use larder_store::manifest::Document;
use larder_store::media_type::{Compression, is_foreign_layer};
use larder_store::reference::Reference;
use larder_store::store::Store;
use larder_store::{base, walk};

/// An image that is asked for.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    /// Its entry of the index.
    pub(crate) entry: Descriptor,
    /// What of it is sent: the entry itself, or a child of it.
    pub(crate) root: Descriptor,
}

impl Asked {
    fn name(&self) -> Option<Reference> {
        self.entry.annotation(index::REF_NAME).and_then(|_| index::reference(&self.entry))
    }

    /// As archives name it.
    pub(super) fn item(&self) -> Item {
        Item { name: self.name(), root: self.root.clone() }
    }
}

/// What belongs to the images.
pub(super) struct Gathered {
    /// The images, in the order of their names.
    pub(super) images: Vec<Image>,
    /// All blobs with the images that need them, in an order that completes one image after the other.
    pub(super) blobs: Vec<Found>,
    /// Whether layers are absent that their owners do not let others pass on.
    pub(super) lacks_foreign: bool,
}

/// A blob of the store.
pub(super) struct Found {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) images: Vec<u32>,
    /// How it is compressed and what it is without, where it is a layer.
    pub(super) layer: Option<(Compression, DiffId)>,
}

/// Puts the images in order, each name once: the same images give the same bundle, however they were asked for.
pub(super) fn in_order(asked: &mut Vec<Asked>) {
    let key = |asked: &Asked| {
        let name = asked.name().map(|name| name.full());
        (name.is_none(), name, asked.root.digest)
    };
    asked.sort_by_cached_key(key);
    asked.dedup_by(|one, other| key(one) == key(other));
}

/// Reads what belongs to the images, which are in order. What is not there as it should be is an error that names the image.
pub(super) fn gather(store: &Store, asked: &[Asked]) -> Result<Gathered> {
    let mut gathered = Gathered { images: Vec::new(), blobs: Vec::new(), lacks_foreign: false };
    let mut places = HashMap::new();
    for (number, asked) in asked.iter().enumerate() {
        let name = asked.name();
        let label = name.as_ref().map_or_else(|| asked.root.digest.to_string(), Reference::familiar);
        of_image(store, number as u32, &asked.root, &mut gathered, &mut places)
            .map_err(|e| e.within(label))?;
        gathered.images.push(Image {
            name: name.map(|name| name.full()),
            media_type: asked.root.media_type.clone(),
            digest: asked.root.digest,
            size: asked.root.size,
            annotations: travelling(&asked.entry.annotations),
        });
    }
    Ok(gathered)
}

/// What is said of an image wherever it is: never what concerns this host, such as pins and uses.
pub(in crate::bundle) fn travelling(annotations: &Annotations) -> Annotations {
    let declared =
        |key: &str| key.strip_prefix(index::OURS).is_some_and(|key| index::DECLARED.contains(&key));
    let travels = |key: &str| declared(key) || key == base::NAME || key == base::DIGEST;
    annotations
        .iter()
        .filter(|(key, _)| travels(key))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect()
}

fn of_image(
    store: &Store,
    number: u32,
    root: &Descriptor,
    gathered: &mut Gathered,
    places: &mut HashMap<Digest, usize>,
) -> Result<()> {
    // Documents and configs first: a stream is understood before its layers come.
    let (mut small, mut layers, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
    let mut unpacked = HashMap::new();
    walk::walk_entry(root, &mut |document| store.document(document), &mut |node| {
        let (digest, size) = (node.descriptor.digest, node.descriptor.size);
        if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
            && image.is_container()
        {
            let (_, config) = store.config(image)?;
            if config.diff_ids().len() == image.layers.len() {
                let layers = image.layers.iter().zip(config.diff_ids());
                unpacked.extend(layers.filter_map(|(layer, diff_id)| {
                    Some((layer.digest, (Compression::of_layer(&layer.media_type)?, *diff_id)))
                }));
            }
        }
        match store.blobs().contains(&digest)? {
            Some(there) if there == size => {
                if seen.insert(digest) {
                    let list = if node.role == walk::Role::Layer { &mut layers } else { &mut small };
                    list.push((digest, size));
                }
                Ok(())
            }
            None if is_foreign_layer(&node.descriptor.media_type) => {
                gathered.lacks_foreign = true;
                Ok(())
            }
            there => {
                let is = there
                    .map_or("is missing".to_owned(), |there| format!("has {there} bytes, and not {size}"));
                Err(Error::damaged(format!("blob {digest}"), is))
            }
        }
    })?;
    for (digest, size) in small.into_iter().chain(layers) {
        let place = *places.entry(digest).or_insert_with(|| {
            gathered.blobs.push(Found { digest, size, images: Vec::new(), layer: None });
            gathered.blobs.len() - 1
        });
        let found = &mut gathered.blobs[place];
        found.images.push(number);
        found.layer = found.layer.or_else(|| unpacked.get(&digest).copied());
    }
    Ok(())
}
