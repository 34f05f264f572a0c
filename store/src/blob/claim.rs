//! Several ingests that want one blob: the first one writes it, and the others wait for it to be there.
//!
//! Who begins a blob looks first whether another live ingest has a file of it; looking and beginning happen under a lock on
//! the directory of all ingests, so that of two that begin at once one sees the other. Nothing here waits for a blob: what is
//! to be done meanwhile is the caller's business, who asks now and then what became of it ([`Rival::look`]). Ingests of dead
//! processes do not count: [`Ingest::adopt`] takes over what they left.

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use super::ingest::{BlobWriter, Ingest};
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Dir;

/// The lock on the directory of all ingests is held for moments. Who holds it for longer is stopped or worse, and not waited
/// for: at the worst a blob is written twice.
const TURN: Duration = Duration::from_secs(5);

/// Who writes a blob.
#[derive(Debug)]
pub enum Claim {
    /// The ingest that asked.
    Ours(BlobWriter),
    /// Another one.
    Theirs(Rival),
}

/// Another live ingest that writes a blob.
#[derive(Debug)]
pub struct Rival {
    dir: Dir,
    name: String,
}

/// What became of a blob that another ingest was writing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Became {
    /// It is still written, and has so many bytes.
    Written(u64),
    /// It is not there any more: it was published, given up, or taken over by somebody else.
    Gone,
    /// Its process died, and left it.
    Left,
}

impl Ingest {
    /// Starts a blob as [`Ingest::writer_of`] does, unless another live ingest has begun it.
    pub fn claim(&self, digest: &Digest, size: u64) -> Result<Claim> {
        let turn = self.turn()?;
        if let Some(rival) = self.rival(digest)? {
            return Ok(Claim::Theirs(rival));
        }
        // From now on others see it; what there is of it is read without the lock.
        drop(self.dir().open_or_create(&digest.hex())?);
        drop(turn);
        self.writer_of(digest, size).map(Claim::Ours)
    }

    /// Locks the directory of all ingests, by a descriptor of its own: threads keep each other out as well.
    fn turn(&self) -> Result<Dir> {
        let dir = self.parent().sub(".")?;
        let lock = lock_of(&dir)?;
        let deadline = Instant::now() + TURN;
        loop {
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => {}
                _ => return Ok(dir),
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn rival(&self, digest: &Digest) -> Result<Option<Rival>> {
        for name in self.parent().names()?.into_iter().filter(|name| *name != self.name()) {
            let Ok(dir) = self.parent().sub(&name) else { continue };
            let rival = Rival { dir, name: digest.hex() };
            if matches!(rival.look()?, Became::Written(_)) {
                return Ok(Some(rival));
            }
        }
        Ok(None)
    }
}

impl Rival {
    /// What became of it by now.
    pub fn look(&self) -> Result<Became> {
        let Some(stat) = self.dir.stat(&self.name)?.filter(|stat| stat.is_file) else {
            return Ok(Became::Gone);
        };
        let lock = lock_of(&self.dir)?;
        if lock.try_lock_shared().is_err() {
            return Ok(Became::Written(stat.size));
        }
        // It belongs to the directory that is open here, and would stay as long as that.
        lock.unlock().map_err(Error::io("unlock", self.dir.path()))?;
        Ok(Became::Left)
    }
}

fn lock_of(dir: &Dir) -> Result<File> {
    dir.fd().try_clone().map(File::from).map_err(Error::io("open", dir.path()))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn writer(claim: Claim) -> BlobWriter {
        match claim {
            Claim::Ours(writer) => writer,
            Claim::Theirs(rival) => panic!("{rival:?}"),
        }
    }

    fn rival(claim: Claim) -> Rival {
        match claim {
            Claim::Theirs(rival) => rival,
            Claim::Ours(_) => panic!("is another one's"),
        }
    }

    #[test]
    fn the_first_one_writes_and_others_see_what_becomes_of_it() {
        let root = tempfile::tempdir().expect("a directory");
        let parent = Dir::open(root.path()).expect("it");
        let ingests = [(); 3].map(|()| Ingest::create(&parent).expect("an ingest"));
        let (blob, other) = (Digest::of(b"blob"), Digest::of(b"other"));
        let mut first = writer(ingests[0].claim(&blob, 4).expect("a claim"));
        let seen = rival(ingests[1].claim(&blob, 4).expect("a claim"));
        assert_eq!(seen.look().expect("a look"), Became::Written(0));
        drop(writer(ingests[1].claim(&other, 5).expect("another blob is free")));
        first.write_all(b"bl").expect("written");
        assert_eq!(seen.look().expect("a look"), Became::Written(2));
        // Given up; somebody else begins, and is the one to wait for.
        drop(first);
        assert_eq!(seen.look().expect("a look"), Became::Gone);
        let mut second = writer(ingests[1].claim(&blob, 4).expect("a claim"));
        let seen = rival(ingests[0].claim(&blob, 4).expect("a claim"));
        // Stopped for good, with something left: to be taken over, once.
        second.write_all(b"blo").expect("written");
        second.suspend();
        let [first, second, third] = ingests;
        drop(second);
        assert_eq!(seen.look().expect("a look"), Became::Left);
        assert_eq!(first.adopt(&[blob]).expect("adopted").get(&blob), Some(&3));
        assert_eq!(seen.look().expect("a look"), Became::Gone);
        assert_eq!(writer(first.claim(&blob, 4).expect("a claim")).size(), 3);
        drop(third);
    }

    #[test]
    fn of_many_that_begin_at_once_one_writes() {
        let root = tempfile::tempdir().expect("a directory");
        let parent = Dir::open(root.path()).expect("it");
        let ingests: Vec<_> = (0..16).map(|_| Ingest::create(&parent).expect("an ingest")).collect();
        for round in 0..20u8 {
            let blob = Digest::of(&[round]);
            let claims: Vec<_> = std::thread::scope(|scope| {
                let claim = |ingest| scope.spawn(move || Ingest::claim(ingest, &blob, 1).expect("a claim"));
                let threads: Vec<_> = ingests.iter().map(claim).collect();
                threads.into_iter().map(|thread| thread.join().expect("a claim")).collect()
            });
            assert_eq!(claims.iter().filter(|claim| matches!(claim, Claim::Ours(_))).count(), 1);
        }
    }

    #[test]
    fn none_that_just_begins_is_taken_for_a_dead_ones() {
        let root = tempfile::tempdir().expect("a directory");
        let parent = Dir::open(root.path()).expect("it");
        let (one, blob) = (Ingest::create(&parent).expect("an ingest"), Digest::of(b"blob"));
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            let adopt = || -> Result<()> {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    one.adopt(&[blob])?;
                }
                Ok(())
            };
            let adopting: Vec<_> = (0..3).map(|_| scope.spawn(adopt)).collect();
            let begin = || Ingest::create(&parent).and_then(|ingest| ingest.claim(&blob, 4).map(drop));
            let begun = (0..500).try_for_each(|_| begin());
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            begun.expect("ingests that are there");
            for adopted in adopting {
                adopted.join().expect("a thread").expect("what somebody else has removed is none");
            }
        });
    }
}
