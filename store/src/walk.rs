//! Walking from an index entry to everything it needs.
//!
//! Pure but for the reader that is handed in. Repeated children are visited once; depth and number are capped,
//! so that a hostile index ends as an error.

use std::collections::HashSet;

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::manifest::{Document, RawManifest};
use crate::media_type;

const MAX_DEPTH: usize = 8;
const MAX_NODES: usize = 200_000;

/// What a descriptor is to the document that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A manifest or an index, parsed.
    Document,
    /// The config of an image or artifact.
    Config,
    /// A layer, or an artifact's blob.
    Layer,
}

/// Something that was reached.
#[derive(Debug)]
pub struct Node<'a> {
    /// How it was described.
    pub descriptor: &'a Descriptor,
    /// What it is.
    pub role: Role,
    /// The document, where it is one.
    pub document: Option<&'a RawManifest>,
}

/// Visits everything below `root`, documents before what they hold, each digest once.
///
/// `read` gives a document, or `None` where it is absent: below an index that is normal (sparse indexes) and
/// it is passed over; a root that is absent is damage.
pub fn walk(
    root: &Descriptor,
    read: &mut dyn FnMut(&Descriptor) -> Result<Option<RawManifest>>,
    visit: &mut dyn FnMut(Node<'_>) -> Result<()>,
) -> Result<()> {
    let mut seen = HashSet::new();
    descend(root, 0, &mut seen, read, visit)
}

fn descend(
    descriptor: &Descriptor,
    depth: usize,
    seen: &mut HashSet<Digest>,
    read: &mut dyn FnMut(&Descriptor) -> Result<Option<RawManifest>>,
    visit: &mut dyn FnMut(Node<'_>) -> Result<()>,
) -> Result<()> {
    if depth > MAX_DEPTH || seen.len() > MAX_NODES {
        return Err(Error::invalid(
            format!("index {}", descriptor.digest),
            format!("is nested deeper than {MAX_DEPTH} or has more than {MAX_NODES} parts"),
        ));
    }
    if !seen.insert(descriptor.digest) {
        return Ok(());
    }
    let Some(raw) = read(descriptor)? else {
        return if depth == 0 {
            Err(Error::damaged(format!("manifest {}", descriptor.digest), "is missing"))
        } else {
            Ok(())
        };
    };
    visit(Node { descriptor, role: Role::Document, document: Some(&raw) })?;
    match &raw.document {
        Document::Index(index) => {
            // An index may hold anything; what is no document is a leaf.
            for child in &index.manifests {
                match media_type::document_kind(&child.media_type) {
                    Some(_) => descend(child, depth + 1, seen, read, visit)?,
                    None if seen.insert(child.digest) => {
                        visit(Node { descriptor: child, role: Role::Layer, document: None })?
                    }
                    None => {}
                }
            }
        }
        Document::Image(image) => {
            let config = std::iter::once((&image.config, Role::Config));
            for (part, role) in config.chain(image.layers.iter().map(|layer| (layer, Role::Layer))) {
                if seen.insert(part.digest) {
                    visit(Node { descriptor: part, role, document: None })?;
                }
            }
        }
    }
    Ok(())
}
