//! A second form, small and for these tests only: all blobs in one file, and a log of what is where.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use larder_store::blob::{Blob, BlobStore, Staged};
use larder_store::{Digest, Error, Result};

use super::{Form, Harm, Obstacle, Place};

/// Where a blob begins, and its size.
type Places = BTreeMap<Digest, (u64, u64)>;

pub struct PackBlobs {
    path: PathBuf,
    pack: File,
    state: Mutex<State>,
}

struct State {
    log: File,
    places: Places,
}

fn append(path: PathBuf) -> io::Result<File> {
    OpenOptions::new().create(true).read(true).append(true).open(path)
}

impl PackBlobs {
    fn open(dir: &Path) -> io::Result<PackBlobs> {
        let mut log = append(dir.join("log"))?;
        let mut text = String::new();
        log.read_to_string(&mut text)?;
        let mut places = Places::new();
        for line in text.lines() {
            let words: Vec<_> = line.split(' ').collect();
            let digest = words[1].parse().unwrap();
            match words[0] {
                "+" => drop(places.insert(digest, (words[2].parse().unwrap(), words[3].parse().unwrap()))),
                _ => drop(places.remove(&digest)),
            }
        }
        Ok(PackBlobs {
            path: dir.to_path_buf(),
            pack: append(dir.join("pack"))?,
            state: Mutex::new(State { log, places }),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn put(&self, state: &mut State, staged: &Staged) -> Result<()> {
        let offset = self.pack.metadata().map_err(Error::io("stat", &self.path))?.len();
        let copied = io::copy(&mut staged.open()?.verified(), &mut &self.pack);
        let size = copied.map_err(Error::io("write", &self.path))?;
        state.add(staged.digest(), offset, size).map_err(Error::io("write", &self.path))
    }
}

impl State {
    fn add(&mut self, digest: Digest, offset: u64, size: u64) -> io::Result<()> {
        self.log.write_all(format!("+ {digest} {offset} {size}\n").as_bytes())?;
        self.places.insert(digest, (offset, size));
        Ok(())
    }
}

impl BlobStore for PackBlobs {
    fn open(&self, digest: &Digest) -> Result<Option<Blob>> {
        let Some((offset, size)) = self.state().places.get(digest).copied() else { return Ok(None) };
        let file = self.pack.try_clone().map_err(Error::io("open", &self.path))?;
        Ok(Some(Blob::new(*digest, file, offset, size)))
    }

    fn contains(&self, digest: &Digest) -> Result<Option<u64>> {
        Ok(self.state().places.get(digest).map(|(_, size)| *size))
    }

    fn publish(&self, staged: Staged) -> Result<()> {
        let mut state = self.state();
        if state.places.get(&staged.digest()).is_some_and(|(_, size)| *size == staged.size()) {
            return Ok(());
        }
        self.put(&mut state, &staged)
    }

    fn heal(&self, staged: Staged) -> Result<()> {
        self.put(&mut self.state(), &staged)
    }

    fn set_aside(
        &self,
        damaged: &Blob,
        good: Option<Staged>,
        quarantine: &larder_store::fs::Dir,
    ) -> Result<Option<String>> {
        let digest = damaged.digest();
        let mut state = self.state();
        // Bytes of a pack are never written over: another place is another blob.
        let Some((offset, size)) = state.places.get(&digest).copied() else { return Ok(None) };
        let mut bytes = vec![0; size as usize];
        self.pack.read_exact_at(&mut bytes, offset).map_err(Error::io("read", &self.path))?;
        let mut old = Vec::new();
        damaged.reader().read_to_end(&mut old).map_err(Error::io("read", &self.path))?;
        if old != bytes {
            return Ok(None);
        }
        let is_taken = quarantine.stat(&digest.hex())?.is_some();
        let name = if is_taken { format!("{}.{offset}", digest.hex()) } else { digest.hex() };
        quarantine.replace(&name, &bytes, quarantine)?;
        match good {
            Some(good) => self.put(&mut state, &good)?,
            None => drop(state.places.remove(&digest)),
        }
        Ok(Some(name))
    }

    fn settle(&self, digest: &Digest) -> Result<()> {
        match self.contains(digest)? {
            Some(_) => self.sync(),
            None => Err(Error::damaged(format!("blob {digest}"), "is not there")),
        }
    }

    fn sync(&self) -> Result<()> {
        let synced = self.pack.sync_all().and_then(|()| self.state().log.sync_all());
        synced.map_err(Error::io("fsync", &self.path))
    }

    fn discard(&self, digest: &Digest, _trash: &larder_store::fs::Dir) -> Result<bool> {
        self.remove(digest)
    }

    fn remove(&self, digest: &Digest) -> Result<bool> {
        let mut state = self.state();
        let was_there = state.places.remove(digest).is_some();
        if was_there {
            state
                .log
                .write_all(format!("- {digest}\n").as_bytes())
                .map_err(Error::io("write", &self.path))?;
        }
        Ok(was_there)
    }

    fn digests(&self) -> Result<Vec<Digest>> {
        Ok(self.state().places.keys().copied().collect())
    }

    fn strangers(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

pub struct Pack;

impl Form for Pack {
    type Blobs = PackBlobs;

    fn open(dir: &Path) -> PackBlobs {
        PackBlobs::open(dir).unwrap()
    }

    fn damage(dir: &Path, digest: &Digest, harm: Harm) {
        let blobs = PackBlobs::open(dir).unwrap();
        let (offset, size) = blobs.state().places[digest];
        match harm {
            Harm::Flip(position) => {
                let pack = OpenOptions::new().read(true).write(true).open(dir.join("pack")).unwrap();
                let mut byte = [0];
                pack.read_exact_at(&mut byte, offset + position).unwrap();
                pack.write_all_at(&[byte[0] ^ 4], offset + position).unwrap();
            }
            Harm::Cut => blobs.state().add(*digest, offset, size - 1).unwrap(),
            Harm::Grow => {
                (&blobs.pack).write_all(b"+").unwrap();
                blobs.state().add(*digest, offset, size + 1).unwrap();
            }
        }
    }

    fn obstruct(dir: &Path, digest: &Digest, obstacle: Obstacle) -> Place {
        if obstacle != Obstacle::OtherSize {
            return Place::None;
        }
        PackBlobs::open(dir).unwrap().state().add(*digest, 0, 3).unwrap();
        Place::Taken
    }

    fn add_strangers(dir: &Path) {
        std::fs::write(dir.join("README"), b"stranger").unwrap();
        std::fs::write(dir.join(Digest::of(b"stranger").hex()), b"stranger").unwrap();
    }
}

super::suite!(Pack);
