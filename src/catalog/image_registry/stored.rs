//! What a store knows of an image that a registry may list, and which place it has there.

use std::collections::HashMap;

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::index;
use larder_store::reference::Reference;
use larder_store::store::Store;
use larder_store::summary::summarise;
use larder_store::usage::Usage;

use super::entry::Entry;
use super::text::Registry;
use super::{place, project_of};
use crate::catalog::name::{Name, Project};
use crate::catalog::yaml::{self, Node};

/// The directory of an image that is for nothing in particular.
const NO_PROJECT: &str = "library";

/// What a store knows of an image.
pub(crate) struct Stored<'a> {
    pub(crate) reference: Reference,
    pub(crate) entry: &'a Descriptor,
    /// What a registry said of it when it came, if that was under this name.
    pub(super) kept: Option<Node>,
    pub(super) usage: Option<Usage>,
    /// In Go's words.
    pub(super) architecture: Option<String>,
    /// When it came in (seconds since 1970).
    pub(super) imported: Option<i64>,
    /// Bytes as it is stored.
    pub(super) size: u64,
}

impl<'a> Stored<'a> {
    /// What is known of an entry of the index, if it has a name; `used` is what all uses are.
    pub(crate) fn of(
        store: &Store,
        entry: &'a Descriptor,
        used: &HashMap<Digest, Usage>,
    ) -> Option<Stored<'a>> {
        entry.annotation(index::REF_NAME)?;
        let reference = index::reference(entry)?;
        // What cannot be read of it has no part in its entry.
        let (summary, _) = summarise(store, entry, used);
        let architecture = summary.platforms.first().and_then(|platform| platform.split('/').nth(1));
        let kept = entry.annotation(index::REGISTRY).and_then(|kept| yaml::parse(kept).ok());
        let kept = kept.filter(|kept| Entry(kept).reference().as_ref() == Ok(&reference));
        Some(Stored {
            kept: kept.map(|kept| Node { is_flow: false, ..kept }),
            usage: summary.usage,
            architecture: architecture.map(str::to_owned),
            imported: index::time(entry, index::IMPORTED),
            size: summary.size,
            reference,
            entry,
        })
    }

    /// Its place in a folder: where it came from, else by its project and name.
    fn place(&self) -> String {
        let came_from = || {
            let kept = Entry(self.kept.as_ref()?).parts().ok()?;
            Some(format!("{}/{}", project_of(&kept)?, kept.last()?))
        };
        came_from().unwrap_or_else(|| {
            let path = self.reference.path();
            // Anything may stand in an index; a project is a plain name.
            let declared =
                self.entry.annotation(index::PROJECT).and_then(|project| project.parse::<Project>().ok());
            let named = || Name::of(&self.reference).ok().map(|name| name.project().clone());
            let project = declared.or_else(named).map(|project| project.to_string());
            let last = path.rsplit('/').next().unwrap_or(path).to_owned();
            let (project, mut name) = match (project, path.split_once('/')) {
                (Some(project), _) => (project, last),
                (None, Some((first, rest))) => (first.to_owned(), rest.replace('/', "-")),
                (None, None) => (NO_PROJECT.to_owned(), last),
            };
            if let Some(tag) = self.reference.tag().filter(|tag| *tag != "latest") {
                name = format!("{name}-{tag}");
            }
            format!("{project}/{name}.tar")
        })
    }
}

/// Where an image stands in a registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its entry's number; a new one has none yet.
    pub(crate) at: Option<usize>,
    /// Its archive, `<project>/<name>.tar`.
    pub(crate) file: String,
}

/// Finds the places of images. No two have one, nor one that is another's in the registry: the error names both.
pub(crate) fn placed(registry: &Registry, images: &[Stored<'_>]) -> Result<Vec<Placed>, String> {
    let mut entries = HashMap::new();
    let mut taken = HashMap::new();
    for (at, entry) in registry.entries().enumerate() {
        let place = entry.text("file").and_then(|file| place(file).ok());
        if let Ok(reference) = entry.reference() {
            entries.entry(reference).or_insert((at, place.clone()));
        }
        taken.extend(place.map(|place| (place, (entry.reference().ok(), entry.shown()))));
    }
    let mut all = Vec::new();
    for image in images {
        let (at, listed) =
            entries.get(&image.reference).cloned().map_or((None, None), |(at, place)| (Some(at), place));
        let file = listed.unwrap_or_else(|| image.place());
        let shown = image.reference.familiar();
        if let Some((reference, other)) =
            taken.insert(file.clone(), (Some(image.reference.clone()), shown.clone()))
            && reference.as_ref() != Some(&image.reference)
        {
            return Err(format!("{shown} and {other} would both be {file}"));
        }
        all.push(Placed { at, file });
    }
    Ok(all)
}
