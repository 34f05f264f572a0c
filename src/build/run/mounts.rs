//! Mounts, all in a namespace of their own; and what is mounted.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags};
use rustix::thread::UnshareFlags;

/// One line of `mountinfo`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mounted {
    pub(super) at: PathBuf,
    pub(super) file_system: String,
}

/// What is mounted in this process's namespace.
pub(super) fn list() -> io::Result<Vec<Mounted>> {
    Ok(parse(&fs::read_to_string("/proc/self/mountinfo")?))
}

fn parse(text: &str) -> Vec<Mounted> {
    let line = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let at = unescape(before.split(' ').nth(4)?);
        Some(Mounted { at: at.into(), file_system: after.split(' ').next()?.to_owned() })
    };
    text.lines().filter_map(line).collect()
}

/// proc(5): space, tab, line end and backslash are written in octal.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// From now on mounts are this process's own, and its children are in a new PID namespace.
pub(super) fn own_namespaces() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS | UnshareFlags::NEWPID)?;
    rustix::mount::mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    Ok(())
}

fn unshare(what: UnshareFlags) -> io::Result<()> {
    // It is deprecated for a flag that is not used here: that could take descriptors from another thread.
    #[expect(deprecated)]
    Ok(rustix::thread::unshare(what)?)
}

/// Whether device files of a root work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Devices {
    /// As everywhere; a control group says which may be opened.
    Guarded,
    /// Nobody would keep a step from opening the machine's disks.
    Refused,
}

impl Devices {
    fn flags(self) -> MountFlags {
        if self == Devices::Refused { MountFlags::NODEV } else { MountFlags::empty() }
    }
}

/// Stacks directories, the topmost first, below an upper one.
pub(super) fn overlay(
    target: &Path,
    lowers: &[PathBuf],
    upper: &Path,
    work: &Path,
    devices: Devices,
) -> io::Result<()> {
    let open = |path: &Path| -> io::Result<OwnedFd> {
        Ok(rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
    };
    // By descriptor a path may have any character, and all of them fit into the one page that mount(2) takes.
    let lowers = lowers.iter().map(|lower| open(lower)).collect::<io::Result<Vec<_>>>()?;
    let (upper, work) = (open(upper)?, open(work)?);
    let names: Vec<_> = lowers.iter().map(|lower| lower.as_raw_fd().to_string()).collect();
    let (upper, work) = (upper.as_raw_fd(), work.as_raw_fd());
    let options = format!(
        "lowerdir={},upperdir={upper},workdir={work},redirect_dir=off,metacopy=off,index=off",
        names.join(":")
    );
    let mount = |options: String| {
        let options = CString::new(options).expect("numbers and words have no NUL");
        rustix::mount::mount("overlay", target, "overlay", devices.flags(), options.as_c_str())
    };
    std::env::set_current_dir("/proc/self/fd")?;
    // Otherwise taking the mount away would write out all that anybody has changed on the file system of `upper`. Linux before 5.10
    // does not know it.
    let mounted = match mount(format!("{options},volatile")) {
        Err(Errno::INVAL) => mount(options),
        mounted => mounted,
    };
    std::env::set_current_dir("/")?;
    Ok(mounted?)
}

/// Lets overlayfs take a `work` directory again after a mount that was taken away in order. (A power cut leaves the mark.)
pub(super) fn release(work: &Path) -> io::Result<()> {
    let mark = work.join("work/incompat/volatile");
    match fs::remove_file(mark.join("dirty")) {
        // It was not mounted so.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done
            .and_then(|()| fs::remove_dir(&mark))
            .and_then(|()| fs::remove_dir(work.join("work/incompat"))),
    }
}

/// Shows a directory at another place.
pub(super) fn bind(source: &Path, target: &Path, devices: Devices) -> io::Result<()> {
    rustix::mount::mount_bind(source, target)?;
    if devices == Devices::Refused {
        rustix::mount::mount_remount(target, MountFlags::BIND | devices.flags(), "")?;
    }
    Ok(())
}

/// Shows the processes of this PID namespace in `/proc`, to this process and its children alone.
pub(super) fn own_proc() -> io::Result<()> {
    unshare(UnshareFlags::NEWNS)?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(rustix::mount::mount("proc", "/proc", "proc", flags, None)?)
}

/// Takes a mount away; nobody uses it any more.
pub(super) fn unmount(target: &Path) -> io::Result<()> {
    Ok(rustix::mount::unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mountinfo_is_read_with_its_escapes_and_optional_fields() {
        let text = "36 35 98:0 /mnt1 /a\\040b\\134c rw,noatime master:1 shared:2 - ext3 /dev/root rw\n37 35 0:5 / /sys/fs/cgroup rw - cgroup2 none rw\nnonsense\n";
        let mounted =
            |at: &str, file_system: &str| Mounted { at: at.into(), file_system: file_system.into() };
        assert_eq!(parse(text), [mounted("/a b\\c", "ext3"), mounted("/sys/fs/cgroup", "cgroup2")]);
    }
}
