//! Leases: what a running process protects from GC.
//!
//! A lease is a file below `.larder/leases/`, flocked by its owner; alive means that the lock is held, no PIDs.
//! Its first line says what it is for (`# ` and JSON); then come digests, one a line. It is made, and grows, under the
//! store lock held shared; a digest that is leased may be absent (what is about to be written is leased first). Everybody may
//! read it, and it may outlive its process: of a command it has the program's name alone, since arguments may be secrets.
//!
//! A child may inherit the open file ([`Lease::inherit`]): then the lease lives as long as the child or anything that it
//! started has it open, whatever becomes of the owner.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::io::Read;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rustix::io::{FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::lock::{self, Owner, Process, SharedGuard};

/// The purpose of what a person holds while a command runs.
pub const HOLD: &str = "hold";

/// The least number of a descriptor that children get: scripts open 3 to 9 as they like, which would close it, and after
/// the manual of flock(1) 100 and 200.
const DESCRIPTOR: i32 = 50;

/// What a lease says of itself, for people. Nothing is decided by it but whether it is a hold.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct About {
    /// What it is for: `hold`, `import`.
    pub purpose: String,
    /// Since when, seconds since 1970, where its owner knew.
    pub since: Option<i64>,
    /// The program that runs meanwhile, see [`program`].
    pub program: String,
    /// Of how many words its command is.
    pub words: usize,
    /// The images, as they were asked for.
    pub images: Vec<String>,
}

/// Leases of older larders have the whole command.
#[derive(Deserialize)]
struct Older {
    command: Vec<String>,
}

/// What is said of a command: the file name of its first word, cut, without control characters.
pub fn program(word: &OsStr) -> String {
    let name = Path::new(word).file_name().unwrap_or_default().to_string_lossy();
    name.chars().filter(|c| !c.is_control()).take(60).collect()
}

impl From<&str> for About {
    fn from(purpose: &str) -> About {
        About { purpose: purpose.to_owned(), ..About::default() }
    }
}

impl About {
    /// The same, while this command runs.
    pub fn running(self, command: &[impl AsRef<OsStr>]) -> About {
        let program = command.first().map(|word| program(word.as_ref())).unwrap_or_default();
        About { program, words: command.len(), ..self }
    }

    /// The first line of a lease. Words are cut, lists too: a lease has to be small.
    fn line(&self) -> String {
        let clean = |text: &String| text.chars().filter(|c| !c.is_control()).take(200).collect();
        let list = |words: &[String]| words.iter().take(100).map(clean).collect();
        let about = About {
            purpose: clean(&self.purpose),
            program: clean(&self.program),
            images: list(&self.images),
            ..*self
        };
        format!("# {}\n", serde_json::to_string(&about).unwrap_or_default())
    }

    /// Reads what stands behind `# `; older leases have their purpose there and no more.
    fn parse(text: &str) -> About {
        let about = serde_json::from_str(text).unwrap_or_else(|_| About::from(text));
        match serde_json::from_str::<Older>(text) {
            Ok(older) => about.running(&older.command),
            Err(_) => about,
        }
    }
}

/// A live lease; it ends when this is dropped, unless a child has inherited it.
#[must_use = "the lease ends when this is dropped"]
#[derive(Debug)]
pub struct Lease {
    dir: Dir,
    name: String,
    file: File,
    /// Bytes that were written in full.
    length: u64,
    held: HashSet<Digest>,
    is_inherited: bool,
}

/// A lease as another process sees it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Seen {
    /// Its name among the leases.
    pub id: String,
    /// What it is for, as its owner wrote.
    pub purpose: String,
    /// Since when, seconds since 1970.
    pub since: Option<i64>,
    /// The program that runs meanwhile; empty where there is none, or it is not known.
    pub program: String,
    /// Of how many words its command is.
    pub words: usize,
    /// The images, as they were asked for.
    pub images: Vec<String>,
    /// What it protects.
    pub digests: Vec<Digest>,
}

impl Seen {
    /// Who it is, for people: the purpose, the program that runs, and the processes, as far as the kernel tells.
    pub fn user(&self, leases: &Dir) -> String {
        let of = if self.program.is_empty() { String::new() } else { format!(" of {}", self.program) };
        let owner = owner(leases, &self.id).ok().flatten();
        let process = match owner {
            None => String::new(),
            Some(Owner { pid, has_ended: false }) => format!(" (process {pid})"),
            Some(Owner { pid, has_ended: true }) => {
                let keepers = keepers(leases, &self.id).unwrap_or_default();
                let keepers: Vec<_> = keepers.iter().map(Process::to_string).collect();
                let by = if keepers.is_empty() { "what it started".to_owned() } else { keepers.join(", ") };
                format!(" (process {pid} has ended; kept by {by})")
            }
        };
        format!("{}{of}{process}", self.purpose)
    }

    /// Whether a command runs with these images, and not just larder.
    pub fn is_hold(&self) -> bool {
        self.purpose == HOLD
    }
}

impl Lease {
    /// Makes an empty lease. The guard keeps GC out until the file is locked.
    pub fn create(dir: &Dir, about: impl Into<About>, _guard: &SharedGuard) -> Result<Lease> {
        let name = fs::unique();
        let file = dir.create_new(&name)?;
        let line = about.into().line();
        // Who only looks holds the lock for a moment.
        let locked = file.lock().map_err(Error::io("lock", dir.at(&name)));
        let made = locked
            .and_then(|()| file.write_all_at(line.as_bytes(), 0).map_err(Error::io("write", dir.at(&name))));
        if let Err(error) = made {
            let _ = dir.unlink(&name);
            return Err(error);
        }
        let length = line.len() as u64;
        Ok(Lease { dir: dir.clone(), name, file, length, held: HashSet::new(), is_inherited: false })
    }

    /// Protects more digests, present or not.
    pub fn add(&mut self, digests: &[Digest], _guard: &SharedGuard) -> Result<()> {
        let new: Vec<_> = digests.iter().filter(|digest| !self.held.contains(digest)).collect();
        if new.is_empty() {
            return Ok(());
        }
        let lines: String = new.iter().map(|digest| format!("{digest}\n")).collect();
        // By position: what a full disk let through of a first try is written over by the second.
        let written = self.file.write_all_at(lines.as_bytes(), self.length);
        if let Err(error) = written {
            // Half a line would make the lease unreadable, and stop GC.
            let _ = self.file.set_len(self.length);
            return Err(Error::io("write", self.dir.at(&self.name))(error));
        }
        self.length += lines.len() as u64;
        self.held.extend(new);
        Ok(())
    }

    /// Its name among the leases.
    pub fn id(&self) -> &str {
        &self.name
    }

    /// From now on children get the open file, and with it the lock, which ends with the last of them.
    pub fn inherit(&mut self) -> Result<()> {
        // Where few descriptors are allowed, the one that it has must do.
        if let Ok(high) = fcntl_dupfd_cloexec(&self.file, DESCRIPTOR) {
            self.file = File::from(high);
        }
        let set = fcntl_setfd(&self.file, FdFlags::empty());
        set.map_err(|e| Error::io("hand down", self.dir.at(&self.name))(e.into()))?;
        self.is_inherited = true;
        Ok(())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_inherited {
            // The lock is the open file's, not ours: only another opening of the file can tell whether it is free
            // once ours is closed. What is still held stays, for a GC to reap.
            let Ok(Some(fresh)) = self.dir.open_file(&self.name) else { return };
            drop(std::mem::replace(&mut self.file, fresh));
            if self.file.try_lock().is_err() {
                return;
            }
        }
        let _ = self.dir.unlink(&self.name);
    }
}

/// Reads the live leases. Whoever decides by the answer holds the store lock exclusively: only then is a lease
/// that is not locked a dead one. A digest that cannot be read is an error; what a lease says of itself never is.
pub fn live(dir: &Dir) -> Result<Vec<Seen>> {
    let mut seen = look(dir)?;
    match seen.iter().position(|(_, unfinished)| unfinished.is_some()) {
        None => Ok(seen.into_iter().map(|(lease, _)| lease).collect()),
        Some(at) => {
            let (lease, unfinished) = seen.swap_remove(at);
            let why = format!("ends in the middle of a line: {:?}", unfinished.unwrap_or_default());
            Err(Error::damaged(dir.at(lease.id).display(), why))
        }
    }
}

/// Reads the live leases without any lock, for people and for whoever is not concerned by a lease that is only being
/// made: of that, what is written so far is seen.
pub fn glance(dir: &Dir) -> Result<Vec<Seen>> {
    Ok(look(dir)?.into_iter().map(|(lease, _)| lease).collect())
}

/// The live leases, each with what stands in an unfinished last line.
fn look(dir: &Dir) -> Result<Vec<(Seen, Option<String>)>> {
    let mut all = Vec::new();
    for name in dir.names()? {
        let Some(mut file) = dir.open_file(&name)? else { continue };
        match file.try_lock_shared() {
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", dir.at(&name))(source)),
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes).map_err(Error::io("read", dir.at(&name)))?;
        let mut seen = Seen { id: name.clone(), ..Seen::default() };
        let mut unfinished = None;
        for (at, line) in String::from_utf8_lossy(&bytes).split_inclusive('\n').enumerate() {
            match (line.trim_end().parse(), line.ends_with('\n')) {
                (Ok(digest), true) => seen.digests.push(digest),
                (Err(_), _) if at == 0 || line.starts_with('#') => {
                    let About { purpose, since, program, words, images } =
                        About::parse(line.trim_start_matches('#').trim());
                    seen = Seen { purpose, since, program, words, images, ..seen };
                }
                (Err(error), true) => return Err(Error::damaged(dir.at(&name).display(), error)),
                (_, false) => unfinished = Some(line.to_owned()),
            }
        }
        all.push((seen, unfinished));
    }
    Ok(all)
}

/// Which process took a lease, as far as the kernel tells; `None` too where the lease has ended.
pub fn owner(dir: &Dir, id: &str) -> Result<Option<Owner>> {
    Ok(dir.open_file(id)?.and_then(|file| lock::owner_of(&file)))
}

/// Which processes have a lease, by themselves or from its owner: with the last of them it ends.
pub fn keepers(dir: &Dir, id: &str) -> Result<Vec<Process>> {
    Ok(dir.open_file(id)?.map(|file| lock::keepers_of(&file)).unwrap_or_default())
}
