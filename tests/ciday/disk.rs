//! A disk of its own, somebody else on it, and a look at it all the time.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};

use crate::support::store::entries;
use crate::support::{Sandbox, peer};

/// An ext4 in a file, mounted in a mount namespace that ends with this process, however it ends.
pub(super) struct Disk {
    keeper: Child,
    _until_closed: ChildStdin,
    /// Where it is mounted, for who is in the namespace.
    inside: PathBuf,
    /// Bytes of somebody else's file.
    taken: AtomicU64,
}

impl Disk {
    /// Makes and mounts it.
    pub(super) fn new(sandbox: &Sandbox, size: &str) -> Option<Disk> {
        let mut unshare = peer::root().and_then(|()| peer::tool("unshare"))?;
        peer::tool("mkfs.ext4").and(peer::tool("nsenter"))?;
        let script = "truncate -s $0 ext4; mkfs.ext4 -q -m 0 ext4; mkdir disk; mount -o loop ext4 disk; echo ready; cat";
        unshare.args(["--mount", "--propagation", "private", "sh", "-euc", script, size]);
        let mut unshare = sandbox.enclose(unshare);
        let mut keeper = unshare.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n", "no disk");
        let inside = sandbox.path("disk");
        Some(Disk { _until_closed: keeper.stdin.take().unwrap(), keeper, inside, taken: AtomicU64::new(0) })
    }

    /// Where larder is told to keep its store.
    pub(super) fn store_inside(&self) -> PathBuf {
        self.inside.join("store")
    }

    /// The store, for who is not in the namespace.
    pub(super) fn store(&self) -> PathBuf {
        self.seen(&self.store_inside())
    }

    fn seen(&self, inside: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(inside.strip_prefix("/").unwrap())
    }

    /// The command, where the disk is.
    pub(super) fn within(&self, command: &Command) -> Command {
        let mut nsenter = peer::tool("nsenter").unwrap();
        nsenter.arg(format!("--mount=/proc/{}/ns/mnt", self.keeper.id())).arg("--");
        nsenter.arg(command.get_program()).args(command.get_args()).env_clear();
        nsenter.envs(command.get_envs().filter_map(|(key, value)| Some((key, value?))));
        nsenter
    }

    /// Bytes that are free, and bytes in all.
    pub(super) fn space(&self) -> (u64, u64) {
        let space = statvfs(self.seen(&self.inside)).unwrap();
        (space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize)
    }

    /// Somebody else takes all but so many bytes.
    pub(super) fn leave(&self, bytes: u64) {
        let take = self.taken() + self.space().0.saturating_sub(bytes);
        let file = File::options().create(true).append(true).open(self.seen(&self.inside).join("others"));
        fallocate(file.unwrap().as_fd(), FallocateFlags::empty(), 0, take.max(1)).unwrap();
        self.taken.store(take, Ordering::SeqCst);
    }

    /// Somebody else's file goes.
    pub(super) fn give_back(&self) {
        let _ = std::fs::remove_file(self.seen(&self.inside).join("others"));
        self.taken.store(0, Ordering::SeqCst);
    }

    /// Bytes that somebody else has.
    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Ordering::SeqCst)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

/// What was seen of the disk.
#[derive(Default)]
pub(super) struct Watch {
    stop: AtomicBool,
    /// Bytes.
    pub(super) least_free: AtomicU64,
    /// Images that the index had and then had no more.
    pub(super) gone: AtomicUsize,
    /// How often it was looked.
    pub(super) looks: AtomicUsize,
}

impl Watch {
    /// Looks until it is told to stop.
    pub(super) fn run(&self, disk: &Disk) {
        let digests = || -> BTreeSet<String> {
            entries(&disk.store()).iter().map(|entry| entry["digest"].to_string()).collect()
        };
        self.least_free.store(u64::MAX, Ordering::SeqCst);
        let mut before = digests();
        while !self.stop.load(Ordering::SeqCst) {
            self.least_free.fetch_min(disk.space().0, Ordering::SeqCst);
            if self.looks.fetch_add(1, Ordering::SeqCst).is_multiple_of(10) {
                let now = digests();
                self.gone.fetch_add(before.difference(&now).count(), Ordering::SeqCst);
                before = now;
            }
            std::thread::sleep(Duration::from_millis(3));
        }
    }

    /// Stops it.
    pub(super) fn stop(&self) {
        self.stop.store(true, Ordering::SeqCst);
    }
}
