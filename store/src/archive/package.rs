//! What an archive that we write will hold: its members, their order and sizes, before a byte is written.
//!
//! Blobs come first, `index.json` and `manifest.json` last: who reads a broken-off archive finds no image in it.
//! Same images, form and layers give the same bytes.

use std::collections::{BTreeMap, HashSet};

use serde_json::json;

use super::blob_path;
use super::image::{Content, Image, Images, LayerForm};
use crate::descriptor::{Descriptor, Platform};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{FULL_NAME, REF_NAME};
use crate::manifest::{Document, ImageManifest};
use crate::media_type;
use crate::reference::Reference;
use crate::store::Store;
use crate::walk;

/// Which readers an archive is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// An OCI layout with Docker's `manifest.json` in it: for all of them.
    Hybrid,
    /// `manifest.json`, config and layers.
    Docker,
    /// An OCI layout alone.
    Oci,
}

/// The directories of blobs, which every archive has: unpacking without any rights needs them said.
pub(crate) const DIRECTORIES: [&str; 2] = ["blobs/", "blobs/sha256/"];

/// An image to be written.
#[derive(Debug, Clone)]
pub struct Item {
    /// The name that the archive gives it.
    pub name: Option<Reference>,
    /// Its manifest, or an index (then all its stored children are written).
    pub root: Descriptor,
}

/// A member to be written.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// Where its content comes from.
    pub content: Content,
}

/// An archive that was planned.
#[derive(Debug, Clone)]
pub struct Package {
    /// In the order in which they are written.
    pub members: Vec<Member>,
}

impl Package {
    /// The size of the archive in bytes.
    pub fn size(&self) -> u64 {
        let directories = 512 * DIRECTORIES.len() as u64;
        self.members.iter().map(|member| 512 + member.size.next_multiple_of(512)).sum::<u64>()
            + directories
            + 1024
    }
}

/// Collects members, each path once.
#[derive(Default)]
struct Members {
    blobs: BTreeMap<String, Member>,
    entries: Vec<serde_json::Value>,
    docker: Vec<serde_json::Value>,
}

impl Members {
    fn blob(&mut self, digest: Digest, size: u64, content: Content) {
        let path = blob_path(&digest);
        self.blobs.entry(path.clone()).or_insert(Member { path, size, content });
    }

    /// Adds config and layers; without those that are left out, and those that are not there and need not be.
    fn image(&mut self, image: Image, omitted: &HashSet<Digest>, absent: &HashSet<Digest>) {
        for (layer, content) in image.parts.layers.iter().zip(image.layers) {
            if !omitted.contains(&layer.digest) && !absent.contains(&layer.digest) {
                self.blob(layer.digest, layer.size, content);
            }
        }
        let config = &image.parts.config;
        self.blob(config.digest, config.size, Content::Bytes(image.config_bytes));
    }

    fn entry(&mut self, name: Option<&Reference>, root: &Descriptor, platform: Option<Platform>) {
        let mut entry = Descriptor::new(root.media_type.clone(), root.digest, root.size);
        entry.platform = platform;
        if let Some(name) = name {
            entry.annotations.insert(FULL_NAME.into(), name.full());
            entry.annotations.insert(REF_NAME.into(), name.tag().unwrap_or("latest").to_owned());
        }
        self.entries.push(json!(entry));
    }

    fn docker_item(&mut self, name: Option<&Reference>, parts: &ImageManifest) {
        let layers: Vec<_> = parts.layers.iter().map(|layer| blob_path(&layer.digest)).collect();
        let config = blob_path(&parts.config.digest);
        let name = name.map(Reference::familiar);
        let same = self.docker.iter_mut().find(|item| item["Config"] == json!(config));
        match (same, name) {
            (Some(item), Some(name)) => {
                if let Some(tags) = item["RepoTags"].as_array_mut() {
                    tags.push(json!(name));
                } else {
                    item["RepoTags"] = json!([name]);
                }
            }
            (Some(_), None) => {}
            (None, name) => {
                let tags = name.map(|name| vec![name]);
                self.docker.push(json!({"Config": config, "RepoTags": tags, "Layers": layers}));
            }
        }
    }

    fn finish(self, form: Form) -> Package {
        let document = |path: &str, value: serde_json::Value| {
            let bytes = value.to_string().into_bytes();
            Member { path: path.into(), size: bytes.len() as u64, content: Content::Bytes(bytes) }
        };
        let mut members = Vec::new();
        if form != Form::Docker {
            members.push(document("oci-layout", json!({"imageLayoutVersion": "1.0.0"})));
        }
        members.extend(self.blobs.into_values());
        if form != Form::Docker {
            let index =
                json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": self.entries});
            members.push(document("index.json", index));
        }
        if form != Form::Oci {
            members.push(document("manifest.json", json!(self.docker)));
        }
        Package { members }
    }
}

/// Plans an archive of images; layers in `omitted` (by the digest they have in the archive) are left out.
pub fn package(
    store: &Store,
    items: &[Item],
    form: Form,
    images: &mut Images<'_>,
    omitted: &HashSet<Digest>,
) -> Result<Package> {
    let mut members = Members::default();
    for item in items {
        let label = item.name.as_ref().map_or_else(|| item.root.digest.to_string(), Reference::familiar);
        add_item(store, item, form, images, omitted, &mut members).map_err(|e| e.within(label))?;
    }
    Ok(members.finish(form))
}

fn add_item(
    store: &Store,
    item: &Item,
    form: Form,
    images: &mut Images<'_>,
    omitted: &HashSet<Digest>,
    members: &mut Members,
) -> Result<()> {
    let name = item.name.as_ref();
    let raw = store.document(&item.root)?;
    let is_container =
        matches!(raw.as_ref().map(|raw| &raw.document), Some(Document::Image(image)) if image.is_container());
    if is_container {
        let image = images.read(&item.root)?;
        let absent = absent_foreign(store, &image.parts)?;
        if let Some(layer) = absent.iter().find(|layer| form != Form::Oci && !omitted.contains(layer)) {
            return Err(Error::invalid(
                format!("layer {layer}"),
                "is a foreign one, which its owner does not let others pass on, and is not in the store; Docker's \
                 form of an archive must have it, and --archive oci need not",
            ));
        }
        let manifest = image.manifest.descriptor();
        if form != Form::Docker {
            members.blob(manifest.digest, manifest.size, Content::Bytes(image.manifest.bytes.clone()));
            members.entry(
                name,
                &manifest,
                Some(image.config.platform()).filter(|platform| !platform.os.is_empty()),
            );
        }
        if form != Form::Oci {
            members.docker_item(name, &image.parts);
        }
        members.image(image, omitted, &absent);
        return Ok(());
    }
    if form == Form::Docker || images.form() != LayerForm::Stored {
        return Err(Error::invalid(
            "it",
            "is an index or an artifact; only --archive hybrid or oci with stored layers holds it",
        ));
    }
    let mut host = None;
    walk::walk_entry(&item.root, &mut |document| store.document(document), &mut |node| {
        let digest = node.descriptor.digest;
        match node.document {
            Some(raw) => {
                if let Document::Image(image) = &raw.document {
                    let fits = node
                        .descriptor
                        .platform
                        .as_ref()
                        .is_some_and(|platform| platform.serves(&Platform::host()));
                    if image.is_container() && fits && host.is_none() {
                        host = Some(image.clone());
                    }
                }
                members.blob(digest, raw.bytes.len() as u64, Content::Bytes(raw.bytes.clone()));
            }
            None if media_type::is_foreign_layer(&node.descriptor.media_type)
                && store.blobs().contains(&digest)?.is_none() => {}
            None => members.blob(digest, node.descriptor.size, Content::Blob(digest)),
        }
        Ok(())
    })?;
    members.entry(name, &item.root, None);
    // An image that lacks a foreign layer is none for readers of manifest.json.
    if let Some(image) = host.filter(|_| form == Form::Hybrid)
        && absent_foreign(store, &image)?.is_empty()
    {
        members.docker_item(name, &image);
    }
    Ok(())
}

/// Foreign layers of an image that the store does not have.
fn absent_foreign(store: &Store, image: &ImageManifest) -> Result<HashSet<Digest>> {
    let mut absent = HashSet::new();
    for layer in image.layers.iter().filter(|layer| media_type::is_foreign_layer(&layer.media_type)) {
        if store.blobs().contains(&layer.digest)?.is_none() {
            absent.insert(layer.digest);
        }
    }
    Ok(absent)
}
