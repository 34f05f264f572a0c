//! What a step needs on disk while it runs: one directory, flocked by its attendant.
//!
//! Directories of attendants that were killed are found by their free locks. Removal takes known names; where something is
//! mounted in the directory it takes nothing.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use larder_store::fs::unique;
use rustix::fs::OFlags;

use super::error::{Error, Result};
use super::{cgroups, mounts};

/// Where the root is mounted.
pub(super) const ROOT: &str = "rootfs";
/// The runtime's own state.
pub(super) const RUNTIME: &str = "runtime";
/// The runtime's log.
pub(super) const LOG: &str = "log.json";
/// The runtime's specification.
pub(super) const CONFIG: &str = "config.json";
/// The layer of mount points below a step's own, and overlayfs's directory for it.
pub(super) const POINTS: &str = "points";
pub(super) const WORK: &str = "work";
/// What is bound over the files of these names in `/etc`.
pub(super) const BOUND: [&str; 3] = ["resolv.conf", "hosts", "hostname"];

/// The scripts that are bound below `/dev/pipes`, by number.
pub(super) const SCRIPTS: &str = "scripts";

/// A step's directory. Dropping it leaves it to the next run; [`State::remove`] takes it away.
#[derive(Debug)]
pub(super) struct State {
    dir: PathBuf,
    id: String,
    notes: Vec<String>,
    _lock: File,
}

impl State {
    /// Clears up after those that were killed, and makes a directory.
    pub(super) fn create(steps: &Path) -> Result<State> {
        private().recursive(true).create(steps).map_err(Error::io("make", steps))?;
        // While it is held nobody takes a directory that is made and not locked yet.
        let gate = open(steps).map_err(Error::io("open", steps))?;
        gate.lock().map_err(Error::io("lock", steps))?;
        let notes = reclaim(steps, true)?.notes;
        let id = format!("larder-{}", unique());
        let dir = steps.join(&id);
        private().create(&dir).map_err(Error::io("make", &dir))?;
        let lock = open(&dir).map_err(Error::io("open", &dir))?;
        lock.lock().map_err(Error::io("lock", &dir))?;
        for name in [ROOT, RUNTIME, POINTS, WORK, SCRIPTS] {
            // What is a part of the root is everybody's.
            let builder = if name == POINTS { DirBuilder::new() } else { private() };
            builder.create(dir.join(name)).map_err(Error::io("make", dir.join(name)))?;
        }
        Ok(State { dir, id, notes, _lock: lock })
    }

    /// The step's ID, which is unique.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What is left of steps that were killed, and could not be cleared up.
    pub(super) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// The directory.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a name in it.
    pub(super) fn at(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The file for the number of the step's process: where a killed runtime may leave what it likes, such as a half-written one.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.at(RUNTIME).join("pid")
    }

    /// Takes it away, with the step's control groups.
    pub(super) fn remove(self) -> Result<()> {
        clear(&self.dir, &self.id).map_err(Error::io("remove", &self.dir))
    }
}

fn private() -> DirBuilder {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    builder
}

fn open(dir: &Path) -> io::Result<File> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW;
    File::options().read(true).custom_flags(flags.bits() as i32).open(dir)
}

/// What killed attendants left.
#[derive(Debug, Default)]
pub(crate) struct Reclaimed {
    /// Directories of steps that went, or would go.
    pub(crate) count: usize,
    /// What cannot be cleared up, and why.
    pub(crate) notes: Vec<String>,
}

/// Clears up after killed attendants, or only looks what there is. A directory of steps that another user made is left alone.
pub(crate) fn clear_up(steps: &Path, removes: bool) -> Result<Reclaimed> {
    let gate = match open(steps) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied) => {
            return Ok(Reclaimed::default());
        }
        gate => gate.map_err(Error::io("open", steps))?,
    };
    let owner = gate.metadata().map_err(Error::io("stat", steps))?.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Ok(Reclaimed::default());
    }
    gate.lock().map_err(Error::io("lock", steps))?;
    reclaim(steps, removes)
}

/// What cannot be cleared up is said, and is no reason to build nothing.
fn reclaim(steps: &Path, removes: bool) -> Result<Reclaimed> {
    let mut found = Reclaimed::default();
    for entry in fs::read_dir(steps).map_err(Error::io("read", steps))? {
        let path = entry.map_err(Error::io("read", steps))?.path();
        let Some(id) = path.file_name().and_then(|name| name.to_str()) else { continue };
        // What is no directory of a step is not ours.
        let Ok(lock) = open(&path) else { continue };
        if !id.starts_with("larder-") || lock.try_lock().is_err() {
            continue;
        }
        match if removes { clear(&path, id) } else { Ok(()) } {
            Ok(()) => found.count += 1,
            Err(error) => found.notes.push(format!("a killed step left {}: {error}", path.display())),
        }
    }
    Ok(found)
}

fn clear(dir: &Path, id: &str) -> io::Result<()> {
    cgroups::clear(id)?;
    let mounted = mounts::list()?.into_iter().find(|mounted| mounted.at.starts_with(dir));
    if let Some(mounted) = mounted {
        return Err(io::Error::other(format!("{} is still mounted", mounted.at.display())));
    }
    let missing_is_fine = |done: io::Result<()>| match done {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    };
    // Never what is in it.
    missing_is_fine(fs::remove_dir(dir.join(ROOT)))?;
    for name in [RUNTIME, POINTS, WORK, SCRIPTS] {
        missing_is_fine(fs::remove_dir_all(dir.join(name)))?;
    }
    for name in BOUND.iter().chain(&[CONFIG, LOG]) {
        missing_is_fine(fs::remove_file(dir.join(name)))?;
    }
    fs::remove_dir(dir)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_cleared_up_is_said_and_stays() {
        let dir = tempfile::tempdir().unwrap();
        let dead = State::create(dir.path()).unwrap();
        let left = dead.at(ROOT).join("not ours");
        fs::write(&left, "kept").unwrap();
        drop(dead);
        let next = State::create(dir.path()).unwrap();
        assert!(left.exists(), "the root's directory is never emptied");
        assert!(
            next.notes().len() == 1 && next.notes()[0].contains("a killed step left"),
            "{:?}",
            next.notes()
        );
        next.remove().unwrap();
    }

    #[test]
    fn what_a_killed_attendant_leaves_is_taken_by_the_next_and_what_lives_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let steps = dir.path().join("steps");
        let dead = State::create(&steps).unwrap();
        fs::write(dead.at(CONFIG), "{}").unwrap();
        fs::write(dead.at(RUNTIME).join("state.json"), "{}").unwrap();
        let gone = dead.dir().to_path_buf();
        drop(dead);
        fs::write(steps.join("foreign"), "kept").unwrap();
        let living = State::create(&steps).unwrap();
        assert!(!gone.exists());
        let dead = State::create(&steps).unwrap();
        let gone = dead.dir().to_path_buf();
        drop(dead);
        assert!(clear_up(&steps, false).unwrap().count == 1 && gone.exists(), "it only looks");
        assert!(clear_up(&steps, true).unwrap().count == 1 && !gone.exists());
        assert!(clear_up(&steps, true).unwrap().count == 0 && living.dir().exists());
        assert_eq!(clear_up(&dir.path().join("nothing"), true).unwrap().count, 0);
        living.remove().unwrap();
        let first = State::create(&steps).unwrap();
        assert!(!gone.exists());
        let second = State::create(&steps).unwrap();
        assert!(first.dir().exists());
        first.remove().unwrap();
        second.remove().unwrap();
        let left: Vec<_> = fs::read_dir(&steps).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["foreign"]);
    }
}
