//! `images --with-package`: which images have a package.

use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::error::Result;
use larder_store::layers::LayerCache;
use larder_store::manifest::{Document, ImageManifest};
use larder_store::store::Store;
use larder_store::walk;
use serde_json::{Value, json};

use crate::sbom::kept;
use crate::sbom::kind::Kind;
use crate::sbom::query::{Query, Verdict, Whose};

/// Packages that images are asked for, and where is known what they have.
pub(super) struct Sought<'a> {
    store: &'a Store,
    cache: LayerCache,
    queries: &'a [Query],
    cancel: &'a Cancel,
}

/// A package that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    kind: Kind,
    name: String,
    version: String,
    /// Whether its version could be compared with the one that was asked for.
    is_known: bool,
}

impl<'a> Sought<'a> {
    pub(super) fn new(store: &'a Store, queries: &'a [Query], cancel: &'a Cancel) -> Result<Sought<'a>> {
        Ok(Sought { store, cache: store.layers()?, queries, cancel })
    }

    /// The packages that an image has of those that were asked for, none where it lacks one of them; and whether all that is in it
    /// is known.
    pub(super) fn of(&self, entry: &Descriptor) -> Result<(Vec<Match>, bool)> {
        let mut images: Vec<ImageManifest> = Vec::new();
        walk::walk(entry, &mut |document| self.store.document(document), &mut |node| {
            if let Some(Document::Image(image)) = node.document.map(|raw| &raw.document)
                && image.is_container()
            {
                images.push(image.clone());
            }
            Ok(())
        })?;
        let (mut found, mut is_known) = (Vec::new(), true);
        for image in &images {
            self.cancel.check()?;
            let bytes = kept::kept(self.store, &self.cache, image, self.cancel)?;
            is_known &= !kept::is_incomplete(&bytes);
            let all: Vec<Vec<Match>> = self.queries.iter().map(|query| matches(query, &bytes)).collect();
            if all.iter().all(|matches| !matches.is_empty()) {
                found.extend(all.into_iter().flatten());
            }
        }
        found.sort();
        found.dedup();
        Ok((found, is_known))
    }
}

fn matches(query: &Query, inventory: &[u8]) -> Vec<Match> {
    // Names of sources are in the lines of all packages.
    let name = if query.of == Whose::Package { query.exact() } else { None };
    let packages = kept::packages(inventory, name).into_iter().map(|found| found.package);
    let packages = packages.filter(|package| query.kind.is_none_or(|kind| kind == package.kind));
    let matches = packages.filter_map(|package| {
        let (name, version) = match (query.of, &package.source) {
            (Whose::Package, _) => (package.name.as_str(), package.version.as_str()),
            // A package that names no source is built from the one of its name.
            (Whose::Source, None) => (package.name.as_str(), package.version.as_str()),
            (Whose::Source, Some((name, version))) => {
                (name.as_str(), version.as_deref().unwrap_or(&package.version))
            }
        };
        if !query.is_named(name) {
            return None;
        }
        let is_known = match query.wants(package.kind.rules(), version) {
            Verdict::No => return None,
            Verdict::Yes => true,
            Verdict::Unknown => false,
        };
        Some(Match {
            kind: package.kind,
            name: package.name.clone(),
            version: package.version.clone(),
            is_known,
        })
    });
    matches.collect()
}

impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}{}", self.name, self.version, if self.is_known { "" } else { " (?)" })
    }
}

impl Match {
    pub(super) fn value(&self) -> Value {
        let Match { kind, name, version, is_known } = self;
        json!({"kind": kind, "name": name, "version": version, "comparable": is_known})
    }
}
