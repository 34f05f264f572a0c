//! The store lock and the index lock: `flock` on files that are never unlinked or renamed.
//!
//! Order: store lock, then index lock; nobody takes the first while holding the second. flock is not fair, so
//! everybody passes `gate`: who wants the store lock shared locks and releases the gate first, who wants it
//! exclusively keeps the gate until the lock is had; so a stream of short shared holds cannot starve the GC.
//! flock belongs to an open file: it falls when the process dies, whatever kills it, and not when some other
//! descriptor of the file is closed.
//!
//! Limits: on a network file system without locks the first lock is refused, and says so.

use std::fs::{DirEntry, File, Metadata, TryLockError};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::fs::Dir;
use crate::layout::LOCK_FILES;

/// How long a lock is waited for unless the caller says otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(60);

const GATE: &str = LOCK_FILES[0];
const STORE: &str = LOCK_FILES[1];
const INDEX: &str = LOCK_FILES[2];

/// The locks of one store.
#[derive(Debug, Clone)]
pub struct Locks {
    dir: Dir,
    timeout: Duration,
    cancel: Cancel,
}

/// A lock that is held until this is dropped.
#[must_use = "the lock falls when this is dropped"]
#[derive(Debug)]
pub struct LockGuard {
    _file: File,
}

/// The store lock, held shared: leases may be written, existence checked, blobs renamed in.
#[must_use = "the lock falls when this is dropped"]
#[derive(Debug)]
pub struct SharedGuard(#[allow(dead_code, reason = "held for its drop")] LockGuard);

#[derive(Clone, Copy)]
enum Mode {
    Shared,
    Exclusive,
}

impl Locks {
    /// The locks in `.larder/`; every wait ends after `timeout`.
    pub fn new(dir: Dir, timeout: Duration) -> Locks {
        Locks { dir, timeout, cancel: Cancel::new() }
    }

    /// The same locks; a wait ends as well when `cancel` is raised.
    pub fn with_cancel(mut self, cancel: &Cancel) -> Locks {
        self.cancel = cancel.clone();
        self
    }

    /// The store lock, shared: for moments, not for the length of an import.
    pub fn shared(&self) -> Result<SharedGuard> {
        let deadline = Instant::now() + self.timeout;
        drop(self.acquire(GATE, "gate to the store lock", Mode::Exclusive, deadline)?);
        Ok(SharedGuard(self.acquire(STORE, "store lock", Mode::Shared, deadline)?))
    }

    /// The store lock, exclusively.
    pub fn exclusive(&self) -> Result<LockGuard> {
        let deadline = Instant::now() + self.timeout;
        let _gate = self.acquire(GATE, "gate to the store lock", Mode::Exclusive, deadline)?;
        self.acquire(STORE, "store lock", Mode::Exclusive, deadline)
    }

    /// The index lock. It may be taken while the store lock is held, never the other way round.
    pub fn index(&self) -> Result<LockGuard> {
        self.acquire(INDEX, "index lock", Mode::Exclusive, Instant::now() + self.timeout)
    }

    fn acquire(&self, name: &str, shown: &'static str, mode: Mode, deadline: Instant) -> Result<LockGuard> {
        let file = self.dir.open_lock(name)?;
        self.wait(&file, shown, mode, deadline).map_err(|e| match e {
            Error::Io { source, .. } => Error::io("lock", self.dir.at(name))(source),
            other => other,
        })?;
        Ok(LockGuard { _file: file })
    }

    /// Locks a file that is not one of the store's own locks, shared, past a gate of its own, under the same rules of
    /// waiting; `shown` names the two in errors.
    pub fn pass_shared(&self, gate: &File, file: &File, shown: [&'static str; 2]) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        self.wait(gate, shown[0], Mode::Exclusive, deadline)?;
        let _ = gate.unlock();
        self.wait(file, shown[1], Mode::Shared, deadline)
    }

    /// Like [`Locks::pass_shared`], exclusively: the gate is kept until the lock is had.
    pub fn pass_exclusive(&self, gate: &File, file: &File, shown: [&'static str; 2]) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        self.wait(gate, shown[0], Mode::Exclusive, deadline)?;
        let had = self.wait(file, shown[1], Mode::Exclusive, deadline);
        let _ = gate.unlock();
        had
    }

    /// Locks a file that is not one of the store's own locks, exclusively, under the same rules of waiting.
    pub fn wait_exclusive(&self, file: &File, shown: &'static str) -> Result<()> {
        self.wait(file, shown, Mode::Exclusive, Instant::now() + self.timeout)
    }

    fn wait(&self, file: &File, shown: &'static str, mode: Mode, deadline: Instant) -> Result<()> {
        let mut pause = Duration::from_micros(200);
        loop {
            let tried = match mode {
                Mode::Shared => file.try_lock_shared(),
                Mode::Exclusive => file.try_lock(),
            };
            match tried {
                Ok(()) => return Ok(()),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", shown)(source)),
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => {
                    return Err(Error::LockTimeout {
                        lock: shown,
                        waited: self.timeout,
                        holder: holder_of(file),
                    });
                }
                Err(TryLockError::WouldBlock) => self.cancel.check()?,
            }
            std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
            // No longer than this: who has waited for long would lose against every newcomer, who asks more often.
            pause = (pause * 2).min(Duration::from_millis(2));
        }
    }
}

/// A process. Its command line is nobody else's business: it may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Its number, as this process sees it.
    pub pid: u32,
    /// What the kernel calls it, without control characters; may be empty.
    pub name: String,
}

impl Process {
    fn of(pid: u32) -> Process {
        let name = std::fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        let name = String::from_utf8_lossy(&name).chars().filter(|c| !c.is_control()).collect();
        Process { pid, name }
    }
}

impl std::fmt::Display for Process {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "process {} ({})", self.pid, self.name)
    }
}

/// Who holds a lock on the file, for people, as far as `/proc` tells.
pub(crate) fn holder_of(file: &File) -> String {
    let mut holders: Vec<String> =
        locking(file).into_iter().map(|pid| Process::of(pid).to_string()).collect();
    holders.dedup();
    if holders.is_empty() { "a process that this one cannot see".into() } else { holders.join(", ") }
}

/// The process that took a lock. The lock may have outlived it: a child that inherited the open file keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// Its number, as this process sees it.
    pub pid: u32,
    /// Whether it is gone (its number may be another's by now).
    pub has_ended: bool,
}

/// Who took the exclusive lock on the file, as far as `/proc` tells.
pub fn owner_of(file: &File) -> Option<Owner> {
    let pid = *locking(file).first()?;
    let has_ended = match keeps(pid, &file.metadata().ok()?) {
        Ok(keeps) => !keeps,
        // What another user's process has open is not for us to see.
        Err(error) => error.kind() == std::io::ErrorKind::NotFound,
    };
    Some(Owner { pid, has_ended })
}

/// The processes that keep the lock on the file: those that have the open file that was locked, by themselves or inherited. What
/// other users' processes have open is not seen.
pub fn keepers_of(file: &File) -> Vec<Process> {
    let (Ok(meta), Ok(processes)) = (file.metadata(), std::fs::read_dir("/proc")) else { return Vec::new() };
    let pids = processes.flatten().filter_map(|process| process.file_name().to_str()?.parse().ok());
    let mut keepers: Vec<_> =
        pids.filter(|pid| keeps(*pid, &meta).unwrap_or(false)).map(Process::of).collect();
    keepers.sort_by_key(|process| process.pid);
    keepers
}

/// Whether the process has a lock on this file. Who only looks at the file has it open too, and no lock (proc_pid_fdinfo(5)).
fn keeps(pid: u32, meta: &Metadata) -> std::io::Result<bool> {
    let is_it = |open: &DirEntry| {
        std::fs::metadata(open.path())
            .is_ok_and(|found| (found.dev(), found.ino()) == (meta.dev(), meta.ino()))
    };
    let is_locked = |open: &DirEntry| {
        let info = Path::new("/proc").join(pid.to_string()).join("fdinfo").join(open.file_name());
        std::fs::read_to_string(info).is_ok_and(|info| info.contains("FLOCK"))
    };
    let files = std::fs::read_dir(format!("/proc/{pid}/fd"))?;
    Ok(files.flatten().any(|open| is_it(&open) && is_locked(&open)))
}

fn locking(file: &File) -> Vec<u32> {
    let Ok(meta) = file.metadata() else { return Vec::new() };
    let mut holders = Vec::new();
    // The table is not read in one piece: while other locks come and go, a line can slip through.
    for _ in 0..5 {
        let Ok(table) = std::fs::read_to_string("/proc/locks") else { break };
        holders = pids_locking(&table, meta.ino()).collect();
        if !holders.is_empty() {
            break;
        }
    }
    holders
}

/// Reads `1: FLOCK  ADVISORY  WRITE 4242 fd:00:1234 0 EOF` (proc_locks(5)); waiting lines have `->`.
fn pids_locking(table: &str, inode: u64) -> impl Iterator<Item = u32> {
    table.lines().filter_map(move |line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ["FLOCK", _, _, pid, file, ..] = *fields.get(1..)? else { return None };
        let is_it = file.rsplit(':').next()?.parse() == Ok(inode);
        is_it.then(|| pid.parse().ok()).flatten()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locks(dir: &tempfile::TempDir, timeout: u64) -> Locks {
        Locks::new(Dir::open(dir.path()).expect("a directory"), Duration::from_millis(timeout))
    }

    #[test]
    fn shared_holds_go_together_and_exclude_the_other() {
        let dir = tempfile::tempdir().expect("a directory");
        let locks = locks(&dir, 20);
        let one = locks.shared().expect("shared");
        let two = locks.shared().expect("shared again");
        let error = locks.exclusive().expect_err("held shared");
        assert!(error.to_string().contains(&format!("process {}", std::process::id())), "{error}");
        drop((one, two));
        let all = locks.exclusive().expect("free now");
        assert!(locks.shared().is_err());
        let _index = locks.index().expect("another lock");
        drop(all);
    }

    #[test]
    fn a_stream_of_shared_holds_does_not_starve_the_exclusive_one() {
        let dir = tempfile::tempdir().expect("a directory");
        let locks = locks(&dir, 5_000);
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let _held = locks.shared().expect("shared");
                        std::thread::sleep(Duration::from_millis(1));
                    }
                });
            }
            for _ in 0..5 {
                drop(locks.exclusive().expect("had within five seconds"));
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
    }

    #[test]
    fn reads_the_kernels_table() {
        let table = "1: FLOCK  ADVISORY  WRITE 42 fd:00:77 0 EOF\n1: -> FLOCK ADVISORY WRITE 43 fd:00:77 0 EOF\n2: POSIX ADVISORY READ 44 fd:00:77 0 EOF\n3: FLOCK ADVISORY READ 45 fd:00:78 0 EOF\nrubbish\n";
        assert_eq!(pids_locking(table, 77).collect::<Vec<_>>(), [42]);
    }
}
