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
use super::{NAME, parts, project_of};
use crate::catalog::name::{Name, Project};
use crate::catalog::yaml::{self, Node};

/// The directory of an image that is for nothing in particular.
const NO_PROJECT: &str = "library";

/// Bytes of a file's name that leave room for the ends that it gets.
const LONG: usize = 200;

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

    /// Where it came from in a folder, if that can be its place in one.
    fn came_from(&self) -> Option<String> {
        let kept = Entry(self.kept.as_ref()?).parts().ok()?;
        Some(format!("{}/{}", project_of(&kept)?, kept.last()?))
    }

    /// Its place by its project and name.
    fn by_name(&self) -> String {
        let (project, name) = self.project_and_name();
        let file = format!("{project}/{name}.tar");
        if name.len() > LONG { self.apart(&file) } else { file }
    }

    /// A place beside this one that no other image has: a digest of the image's name is in it.
    pub(crate) fn apart(&self, file: &str) -> String {
        let (above, name) = file.rsplit_once('/').unwrap_or((NO_PROJECT, file));
        let name = name.strip_suffix(".tar").unwrap_or(name);
        let digest = Digest::of(self.reference.full().as_bytes()).hex();
        format!("{above}/{}-{}.tar", &name[..name.floor_char_boundary(LONG)], &digest[..12])
    }

    fn project_and_name(&self) -> (String, String) {
        let path = self.reference.path();
        // Anything may stand in an index; a project is a plain name.
        let declared =
            self.entry.annotation(index::PROJECT).and_then(|project| project.parse::<Project>().ok());
        let named = || Name::of(&self.reference).ok().map(|name| name.project().clone());
        let project = declared.or_else(named).map(|project| project.to_string());
        let last = path.rsplit('/').next().unwrap_or(path).to_owned();
        let (project, mut name) = match (project, path.split_once('/')) {
            (Some(project), _) => (project, last),
            // There the registry lies.
            (None, Some((NAME, rest))) => (NO_PROJECT.to_owned(), rest.replace('/', "-")),
            (None, Some((first, rest))) => (first.to_owned(), rest.replace('/', "-")),
            (None, None) => (NO_PROJECT.to_owned(), last),
        };
        if let Some(tag) = self.reference.tag().filter(|tag| *tag != "latest") {
            name = format!("{name}-{tag}");
        }
        (project, name)
    }
}

/// Where an image stands in a registry.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Placed {
    /// Its entry's number; a new one has none yet.
    pub(crate) at: Option<usize>,
    /// Its archive, `<project>/<name>.tar`, or `images/<project>/<name>.tar` where it lies there.
    pub(crate) file: String,
    /// Whether another image has this archive as well, by the registry or by where it came from: one that does not hold both is not
    /// written there.
    pub(crate) is_shared: bool,
}

/// Finds the places of images, each where the registry has it, else where it came from, else by its name; `is_there` says which files are.
/// What is new and has the place of another gets one [`Stored::apart`].
pub(crate) fn placed(
    registry: &Registry,
    images: &[Stored<'_>],
    is_there: &dyn Fn(&str) -> bool,
) -> Vec<Placed> {
    let mut entries = HashMap::new();
    let mut owners: HashMap<String, Vec<Option<Reference>>> = HashMap::new();
    for (at, entry) in registry.entries().enumerate() {
        let place = entry.text("file").and_then(|file| listed_place(file, is_there));
        let reference = entry.reference().ok();
        if let Some(place) = &place {
            owners.entry(place.clone()).or_default().push(reference.clone());
        }
        if let Some(reference) = reference {
            entries.entry(reference).or_insert((at, place));
        }
    }
    let mut all = Vec::new();
    for image in images {
        let owner = Some(image.reference.clone());
        let is_taken = |file: &String, owners: &HashMap<String, Vec<Option<Reference>>>| {
            owners.get(file).is_some_and(|owners| owners.iter().any(|other| *other != owner))
        };
        let (at, listed) =
            entries.get(&image.reference).cloned().map_or((None, None), |(at, place)| (Some(at), place));
        let given = listed.or_else(|| image.came_from());
        let placed = match given {
            Some(file) => Placed { at, is_shared: is_taken(&file, &owners), file },
            None => {
                let file = image.by_name();
                let file = if is_taken(&file, &owners) { image.apart(&file) } else { file };
                Placed { at, file, is_shared: false }
            }
        };
        owners.entry(placed.file.clone()).or_default().push(owner);
        all.push(placed);
    }
    all
}

/// The place of a listed file: that below `images` where the file is there, for registries lie in that folder or beside it.
fn listed_place(file: &str, is_there: &dyn Fn(&str) -> bool) -> Option<String> {
    match parts(file).ok()?[..] {
        ["images", project, name] => {
            let below = format!("images/{project}/{name}");
            Some(if is_there(&below) { below } else { format!("{project}/{name}") })
        }
        [project, name] => Some(format!("{project}/{name}")),
        _ => None,
    }
}
