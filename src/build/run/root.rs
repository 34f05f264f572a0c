//! A step's root file system while it runs: mounted, with the mount points that the runtime needs.
//!
//! As in Docker the mount points that a root does not have are in a layer of their own below the step's: they are no change of the step.
//! A root that is a single directory gets them itself, and they are taken away afterwards.

use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;

use super::Root;
use super::beneath::{Beneath, Kind};
use super::error::{Error, Result};
use super::mounts::{self, Devices};
use super::state::{self, BOUND, State};

/// Directories over which the runtime mounts something.
const DIRECTORIES: [&str; 3] = ["dev", "proc", "sys"];

/// A root that is mounted in this process's namespace.
#[derive(Debug)]
pub(super) struct MountedRoot {
    at: PathBuf,
    beneath: Beneath,
    /// Mount points that were made in the root itself.
    made: Vec<PathBuf>,
    /// Overlayfs's own directory.
    work: Option<PathBuf>,
}

impl MountedRoot {
    pub(super) fn mount(root: &Root, state: &State, devices: Devices) -> Result<MountedRoot> {
        let at = state.at(state::ROOT);
        let work = match root {
            Root::Overlay { lowers, upper, work } => {
                let points = state.at(state::POINTS);
                make_points(lowers, &points, state, devices)?;
                let lowers: Vec<_> = std::iter::once(&points).chain(lowers).cloned().collect();
                mounts::overlay(&at, &lowers, upper, work, devices).map_err(unstackable(&at))?;
                Some(work.clone())
            }
            Root::Directory(directory) => {
                mounts::bind(directory, &at, devices).map_err(unmountable(directory))?;
                None
            }
        };
        let beneath = Beneath::open(&at).map_err(Error::io("open", &at))?;
        let mut mounted = MountedRoot { at, beneath, made: Vec::new(), work };
        match mounted.prepare() {
            Ok(()) => Ok(mounted),
            Err(error) => mounted.unmount().and(Err(error)),
        }
    }

    fn prepare(&mut self) -> Result<()> {
        // runc makes links in `/dev` without looking where that leads.
        for name in DIRECTORIES {
            if self.beneath.is_other_than_directory(name).map_err(Error::io("look at", self.at.join(name)))? {
                return Err(Error::not_run(format!("the step's root has a /{name} that is no directory"))
                    .with_hint(
                        "the runtime mounts something over it; a link there could lead out of the root",
                    ));
            }
        }
        if self.work.is_none() {
            ensure_all(&self.beneath, &mut self.made)?;
        }
        Ok(())
    }

    /// Its files.
    pub(super) fn files(&self) -> &Beneath {
        &self.beneath
    }

    /// Takes the mount away, and the mount points.
    pub(super) fn unmount(self) -> Result<()> {
        let removed = self.beneath.remove(&self.made).map_err(Error::io("remove mount points in", &self.at));
        drop(self.beneath);
        mounts::unmount(&self.at).map_err(Error::io("unmount", &self.at))?;
        if let Some(work) = &self.work {
            mounts::release(work).map_err(Error::io("release", work))?;
        }
        removed
    }
}

/// A kernel without overlayfs, and a file system that it takes no upper directory on (overlayfs itself, in a container).
fn unstackable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let mounted = unmountable(path);
    move |error| match Errno::from_io_error(&error) {
        Some(Errno::NODEV | Errno::INVAL | Errno::OPNOTSUPP | Errno::NOSYS) => {
            Error::NoOverlay(error.to_string())
        }
        _ => mounted(error),
    }
}

fn unmountable(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_path_buf();
    move |error| {
        let is_about_rights = Errno::from_io_error(&error) != Some(Errno::MFILE);
        let failed = Error::io("mount the step's root at", path)(error);
        match is_about_rights {
            true => failed.with_hint("steps are run as root; in a container it needs CAP_SYS_ADMIN"),
            false => failed,
        }
    }
}

/// Fills the layer of mount points. The kernel copies what the directories above them are like.
fn make_points(lowers: &[PathBuf], points: &Path, state: &State, devices: Devices) -> Result<()> {
    let open = |path: &Path| Beneath::open(path).map_err(Error::io("open", path));
    if lowers.is_empty() {
        return ensure_all(&open(points)?, &mut Vec::new());
    }
    let at = state.at(state::ROOT);
    mounts::overlay(&at, lowers, points, &state.at(state::WORK), devices).map_err(unstackable(&at))?;
    let made = open(&at).and_then(|beneath| ensure_all(&beneath, &mut Vec::new()));
    mounts::unmount(&at).map_err(Error::io("unmount", &at))?;
    made
}

fn ensure_all(beneath: &Beneath, made: &mut Vec<PathBuf>) -> Result<()> {
    for name in DIRECTORIES {
        beneath
            .ensure(name, Kind::Directory, made)
            .map_err(Error::io("make a mount point in the step's root at", Path::new("/").join(name)))?;
    }
    BOUND.iter().try_for_each(|name| ensure_bound(beneath, &format!("etc/{name}"), made))
}

/// A file over which another one is bound. Where that cannot be, the runtime would say so in words of its own.
fn ensure_bound(beneath: &Beneath, path: &str, made: &mut Vec<PathBuf>) -> Result<()> {
    let refused = |why: String| {
        Error::not_run(format!("the machine's file cannot be shown as /{path} of the step's root: {why}"))
            .with_hint("make it a file in the image, or remove it")
    };
    let at = match beneath.ensure(path, Kind::File, made) {
        Err(error) if is_about_the_path(&error) => {
            return Err(refused(format!("it leads nowhere ({error})")));
        }
        at => at.map_err(Error::io("make a mount point in the step's root at", Path::new("/").join(path)))?,
    };
    if DIRECTORIES.iter().any(|name| at.starts_with(name)) {
        let why = format!("it leads to /{}, where the runtime mounts a file system of its own", at.display());
        return Err(refused(why));
    }
    match beneath.is_directory(&at) {
        Ok(false) => Ok(()),
        Ok(true) => Err(refused(format!("/{} is a directory", at.display()))),
        Err(error) => Err(Error::io("look at", Path::new("/").join(&at))(error)),
    }
}

/// Links in a circle, or a file in the place of a directory.
fn is_about_the_path(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::LOOP | Errno::NOTDIR | Errno::NAMETOOLONG))
}
