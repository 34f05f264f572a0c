//! What is in the folder, and what each file was made from, without any lock: archives are opened here.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;

use larder_store::archive::plan::{Planned, PlannedImage, plan};
use larder_store::archive::seekable::SeekableArchive;
use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::error::{Error, Kind, Result};
use larder_store::exports::{Identity, Recorded};
use larder_store::fs::Dir;
use larder_store::ids::ImageId;

use super::{Apart, said};
use crate::catalog::image_registry::{ImageRegistry, Listed, Refused, is_plain};

const LINK: &str = "leads through a link";

/// An archive of the folder.
pub(super) struct Tar {
    /// The directory that it is in.
    pub(super) project: String,
    /// Its name there, with `.tar`.
    pub(super) name: String,
    /// What it was when it was looked at.
    pub(super) identity: Identity,
    /// When it came in, and when it was used last (seconds since 1970).
    pub(super) imported: i64,
    pub(super) last_used: i64,
    /// What the store must have, or why the file is none of ours to remove.
    pub(super) wanted: Result<Vec<Wanted>, Apart>,
}

impl Tar {
    /// `<project>/<name>.tar`.
    pub(super) fn path(&self) -> String {
        format!("{}/{}", self.project, self.name)
    }
}

/// An image that the store must be able to give again.
pub(super) struct Wanted {
    /// Its manifests and indexes.
    pub(super) manifests: Vec<Digest>,
    /// Its other blobs, where nothing else says them.
    pub(super) blobs: Vec<Digest>,
    /// Enough, where the store has an image of this ID.
    pub(super) image_id: Option<ImageId>,
}

/// What the folder's files are judged by.
pub(super) struct Sources<'a> {
    /// Records of exports, by path.
    pub(super) recorded: &'a HashMap<String, Recorded>,
    pub(super) registry: &'a ImageRegistry,
    pub(super) now: i64,
    /// This user's ID.
    pub(super) user: u32,
    pub(super) cancel: &'a Cancel,
}

/// Finds the archives, project by project. Links, other disks and what is hidden are passed over; entries of the registry that lead there
/// are told.
pub(super) fn find(dir: &Dir, real: &str, sources: &Sources<'_>) -> Result<(Vec<Tar>, Vec<Refused>)> {
    let mut tars = Vec::new();
    let mut elsewhere = Vec::new();
    let is_link = |dir: &Dir, name: &str| Ok::<_, Error>(dir.read_link(name)?.is_some());
    for project in dir.names()?.into_iter().filter(|name| is_plain(name)) {
        if dir.stat(&project)?.is_none_or(|stat| !stat.is_dir) {
            if is_link(dir, &project)? {
                elsewhere.push((project + "/", LINK));
            }
            continue;
        }
        let below = dir.sub(&project)?;
        if disk(&below)? != disk(dir)? {
            // What goes there makes no room here.
            elsewhere.push((project + "/", "lies on another disk"));
            continue;
        }
        for name in below.names()?.into_iter().filter(|name| is_plain(name) && name.ends_with(".tar")) {
            sources.cancel.check()?;
            if below.stat(&name)?.is_some_and(|stat| stat.is_file) {
                tars.extend(look(&below, &project, &name, real, sources)?);
            } else if is_link(&below, &name)? {
                elsewhere.push((format!("{project}/{name}"), LINK));
            }
        }
    }
    let refused = sources.registry.files.keys().filter_map(|path| {
        let leads = |(place, _): &&(String, _)| {
            path == place || place.ends_with('/') && path.starts_with(place.as_str())
        };
        elsewhere.iter().find(leads).map(|(_, why)| Refused { what: path.clone(), why })
    });
    Ok((tars, refused.collect()))
}

fn disk(dir: &Dir) -> Result<u64> {
    let stat = rustix::fs::fstat(dir.fd()).map_err(|e| Error::io("stat", dir.path())(e.into()))?;
    Ok(stat.st_dev)
}

fn look(dir: &Dir, project: &str, name: &str, real: &str, sources: &Sources<'_>) -> Result<Option<Tar>> {
    let file = match dir.open_file(name) {
        Ok(Some(file)) => file,
        // It went, or something else came.
        Ok(None) => return Ok(None),
        Err(error) => return unopened(dir, project, name, error),
    };
    let meta = file.metadata().map_err(Error::io("stat", dir.at(name)))?;
    let identity = Identity::of(&meta);
    let path = format!("{project}/{name}");
    let listed = sources.registry.files.get(&path);
    // Another user's word counts for that user's files alone.
    let is_trusted = |owner: u32| [0, sources.user, meta.uid()].contains(&owner);
    let recorded = sources.recorded.get(&format!("{real}/{path}")).filter(|record| is_trusted(record.owner));
    let unchanged = recorded.map(|record| &record.export).filter(|export| export.identity == identity);
    let wanted = if meta.nlink() > 1 {
        Err(Apart::Linked)
    } else if let Some(export) = unchanged {
        Ok(vec![Wanted { manifests: export.images.clone(), blobs: Vec::new(), image_id: None }])
    } else if listed.is_some() {
        planned(file, dir, name, sources.cancel)?
    } else if recorded.is_some() {
        Err(Apart::Changed)
    } else {
        Err(Apart::Stranger)
    };
    let listed = listed.copied().unwrap_or_default();
    let (imported, last_used) =
        times(unchanged.map(|export| export.exported), listed, meta.mtime(), sources.now);
    let (project, name) = (project.to_owned(), name.to_owned());
    Ok(Some(Tar { project, name, identity, imported, last_used, wanted }))
}

/// What is not open to us is not ours to remove; its bytes count all the same.
fn unopened(dir: &Dir, project: &str, name: &str, error: Error) -> Result<Option<Tar>> {
    let is_closed = |source: &io::Error| source.kind() == io::ErrorKind::PermissionDenied;
    match &error {
        Error::Io { source, .. } if is_closed(source) => {
            let size = dir.stat(name)?.map_or(0, |stat| stat.size);
            let identity = Identity { size, modified_ns: 0, inode: 0 };
            let wanted = Err(Apart::Unreadable("this user may not read it".into()));
            let (project, name) = (project.to_owned(), name.to_owned());
            Ok(Some(Tar { project, name, identity, imported: 0, last_used: 0, wanted }))
        }
        // No file any more.
        Error::Damaged { .. } => Ok(None),
        _ => Err(error),
    }
}

/// When a file came in, and when it was used. Nothing lies in the future: what says so is now.
fn times(exported: Option<i64>, listed: Listed, modified: i64, now: i64) -> (i64, i64) {
    let imported =
        exported.unwrap_or_else(|| listed.created.map_or(modified, |created| created.max(modified)));
    (imported.min(now), listed.last_used.map_or(imported, |used| used.max(imported)).min(now))
}

/// What an archive that larder has not written itself holds.
fn planned(file: File, dir: &Dir, name: &str, cancel: &Cancel) -> Result<Result<Vec<Wanted>, Apart>> {
    let archive = SeekableArchive::open(file, &dir.at(name), cancel);
    match archive.and_then(|archive| plan(&archive, cancel)) {
        Ok(images) => Ok(Ok(images.into_iter().map(wanted).collect())),
        Err(error) if error.kind() == Kind::Interrupted => Err(error),
        Err(error) => Ok(Err(Apart::Unreadable(said(&error)))),
    }
}

fn wanted(image: PlannedImage) -> Wanted {
    let image_id = image.image_id();
    let (manifests, blobs) = match image.content {
        Planned::Made(_) => (Vec::new(), Vec::new()),
        Planned::Kept(kept) => (
            kept.documents.iter().map(|raw| raw.digest).collect(),
            kept.blobs.iter().map(|blob| blob.descriptor.digest).collect(),
        ),
    };
    Wanted { manifests, blobs, image_id }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_was_used_when_the_latest_word_says() {
        let listed = |created, last_used| Listed { created, last_used };
        for (exported, listed, modified, expected) in [
            (Some(50), Listed::default(), 9, (50, 50)),
            (Some(50), listed(Some(99), Some(70)), 9, (50, 70)),
            (Some(50), listed(None, Some(10)), 9, (50, 50)),
            (None, Listed::default(), 30, (30, 30)),
            (None, listed(Some(-5), None), 30, (30, 30)),
            (None, listed(Some(40), Some(35)), 30, (40, 40)),
            (None, listed(Some(i64::MAX), None), 30, (100, 100)),
            (None, listed(None, Some(i64::MAX)), 30, (30, 100)),
            (Some(101), Listed::default(), 9, (100, 100)),
        ] {
            assert_eq!(times(exported, listed, modified, 100), expected, "{exported:?} {listed:?}");
        }
    }
}
