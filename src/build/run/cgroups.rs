//! Control groups: whether a step can have some, and clearing those of a step that was killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::Access;
use rustix::process::{Pid, Signal};

use super::mounts::{self, Mounted};
use super::runtime::Kind;

/// The group that holds those of all steps, in each hierarchy.
const PARENT: &str = "larder";

/// Processes that were killed are gone after this; else something holds them in the kernel.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where a step's group is, in each hierarchy.
pub(super) fn path(id: &str) -> PathBuf {
    Path::new("/").join(PARENT).join(id)
}

/// Hides, in this process's mount namespace, what a runtime does not take: crun refuses both kinds of control groups together.
pub(super) fn suit(kind: Kind) -> io::Result<()> {
    let found = hierarchies()?;
    let (second, first): (Vec<_>, Vec<_>) =
        found.iter().partition(|mounted| mounted.file_system == "cgroup2");
    if kind == Kind::Crun && !first.is_empty() {
        second.iter().try_for_each(|mounted| mounts::unmount(&mounted.at))?;
    }
    Ok(())
}

/// Why steps get no control group, if they get none.
pub(super) fn obstacle() -> io::Result<Option<String>> {
    let found = hierarchies()?;
    if found.is_empty() {
        return Ok(Some("no control groups are mounted".into()));
    }
    let refused = found
        .iter()
        .find_map(|mounted| Some((&mounted.at, rustix::fs::access(&mounted.at, Access::WRITE_OK).err()?)));
    Ok(refused.map(|(at, error)| format!("{}: {}", at.display(), io::Error::from(error))))
}

/// Ends what is in the groups of a step that nobody attends any more, and removes them.
pub(super) fn clear(id: &str) -> io::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    for hierarchy in hierarchies()? {
        let group = hierarchy.at.join(PARENT).join(id);
        loop {
            match fs::remove_dir(&group) {
                Err(error) if error.kind() == io::ErrorKind::ResourceBusy && Instant::now() < deadline => {}
                // In one that is read-only there is nothing of ours.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::NotFound | io::ErrorKind::ReadOnlyFilesystem
                    ) =>
                {
                    break;
                }
                done => break done?,
            }
            let members = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
            for pid in members.lines().filter_map(|line| Pid::from_raw(line.parse().ok()?)) {
                // One that has just ended is none to be killed.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

fn hierarchies() -> io::Result<Vec<Mounted>> {
    let mut all = mounts::list()?;
    all.retain(|mounted| matches!(&*mounted.file_system, "cgroup" | "cgroup2"));
    Ok(all)
}
