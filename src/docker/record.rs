//! What was handed over to which engine: `.larder/handovers/<engine id>`, one JSON object a line.
//!
//! Lines are appended under the hand-over lock, each by one write; whoever finds the file large and nobody else at it
//! makes it short again. A lost line costs a transfer, or leaves an image in the engine, never more.
//!
//! The lock is `<engine id>.lock`, and before it stands `<engine id>.gate`, as before the store lock: who wants the lock
//! shared passes the gate, who wants it alone keeps the gate until it is had. So hand-overs that overlap do not starve a
//! removal. Order: gate, hand-over lock, then the store's locks.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;

use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::fs::{self, Dir};
use larder_store::store::Store;
use serde::{Deserialize, Serialize};

/// Above this the file is made short again, bytes.
const LARGE: u64 = 1 << 20;
/// Names of images that are kept then: the newest.
const KEPT: usize = 500;
/// Records that are kept then as they are: who has been given an image just now must be known.
const WHOLE: usize = 50;
const MAX: u64 = 64 << 20;
const LOCK: &str = "hand-over lock";
const LOCKS: [&str; 2] = ["gate to the hand-over lock", LOCK];

/// What a hand-over did to the engine; later ones outweigh earlier ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Effect {
    /// The image was there under this name (and all that is known of records that do not say): it is somebody else's,
    /// unless an earlier hand-over gave it.
    #[default]
    Found,
    /// The image was there, and got the name.
    Tagged,
    /// The image was brought in under this name.
    Loaded,
    /// The name was taken away again: what was before does not count any more.
    Taken,
}

/// One hand-over, or the end of what it gave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// The name it has in the engine.
    pub(super) name: String,
    /// The engine's ID of the image.
    pub(super) id: Digest,
    /// The manifest in our store.
    pub(super) manifest: Digest,
    /// The layers' digests as they were sent.
    pub(super) layers: Vec<Digest>,
    /// When, seconds since 1970.
    pub(super) at: i64,
    /// Whether the engine failed to take it; what it kept of it then cannot be trusted.
    #[serde(default)]
    pub(super) failed: bool,
    #[serde(default)]
    pub(super) effect: Effect,
    /// The lease of the hold that it was for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) lease: Option<String>,
    /// What the engine said of its newest tag when larder had given it the name, in the engine's own words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) tagged: Option<String>,
    /// The image, not brought in by larder, that lost its name to this one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) displaced: Option<Digest>,
}

/// The last record of each name and image, in their order, with all that was done to the engine under it since the
/// name was last taken away.
pub(super) fn summed(mut records: Vec<Record>) -> Vec<Record> {
    let key = |record: &Record| (record.name.clone(), record.id);
    let mut sums: HashMap<_, (Effect, Option<String>, Option<Digest>)> = HashMap::new();
    for record in &records {
        let sum = sums.entry(key(record)).or_default();
        if sum.0 == Effect::Taken || record.effect == Effect::Taken {
            *sum = Default::default();
        }
        sum.0 = record.effect.max(sum.0);
        sum.1 = record.tagged.clone().or(sum.1.take());
        sum.2 = record.displaced.or(sum.2);
    }
    records.reverse();
    records.retain_mut(|record| {
        let Some(sum) = sums.remove(&key(record)) else { return false };
        (record.effect, record.tagged, record.displaced) = sum;
        true
    });
    records.reverse();
    records
}

/// The records of one engine, with the hand-over lock held.
#[must_use = "the hand-over lock falls when this is dropped"]
pub(super) struct Records {
    dir: Dir,
    name: String,
    /// None where no lock file can be made: a store that this user may only read.
    lock: Option<(File, File)>,
}

impl Records {
    /// Takes the hand-over lock of an engine, shared. The lease comes before, inspecting the engine after.
    pub(super) fn open(store: &Store, engine_id: &str) -> Result<Records> {
        let records = Records::unlocked(store, engine_id)?;
        if let Some((gate, lock)) = &records.lock {
            store.locks().pass_shared(gate, lock, LOCKS)?;
        }
        Ok(records)
    }

    /// Takes it exclusively: until this is dropped nobody hands anything over. The store's locks come after.
    pub(super) fn open_alone(store: &Store, engine_id: &str) -> Result<Records> {
        let records = Records::unlocked(store, engine_id)?;
        let lock = records.lock.as_ref();
        let (gate, lock) = lock.ok_or_else(|| Error::invalid(LOCK, "cannot be made in this store"))?;
        store.locks().pass_exclusive(gate, lock, LOCKS)?;
        Ok(records)
    }

    /// What was done for a lease; without the lock, because whoever has the lease does nothing more.
    pub(super) fn of_lease(store: &Store, engine_id: &str, lease: &str) -> Result<Vec<Digest>> {
        let records = Records::unlocked(store, engine_id)?.read()?;
        let mine = records.into_iter().filter(|record| record.lease.as_deref() == Some(lease));
        Ok(mine.map(|record| record.id).collect())
    }

    fn unlocked(store: &Store, engine_id: &str) -> Result<Records> {
        let dir = store.layout().private().ensure_dir("handovers")?;
        let safe = |c: char| if c.is_ascii_alphanumeric() || c == '-' { c } else { '_' };
        let name: String = engine_id.chars().take(100).map(safe).collect();
        let open = |end| dir.open_lock(&format!("{name}.{end}"));
        let lock = match open("gate").and_then(|gate| Ok((gate, open("lock")?))) {
            Err(error) if fs::is_read_only(&error) || fs::is_full(&error) || fs::is_not_found(&error) => None,
            lock => Some(lock?),
        };
        Ok(Records { dir, name, lock })
    }

    /// Reads them; lines that are cut or not understood are passed over.
    pub(super) fn read(&self) -> Result<Vec<Record>> {
        let bytes = self.dir.read(&self.name, MAX)?.unwrap_or_default();
        Ok(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect())
    }

    /// Notes a hand-over down.
    pub(super) fn append(&self, record: &Record) -> Result<()> {
        let mut line = serde_json::to_vec(record).unwrap_or_default();
        line.push(b'\n');
        let append = || {
            let mut file = self.dir.open_append(&self.name)?;
            // One write: lines of two hand-overs do not mix, and half a line is passed over by its reader.
            file.write_all(&line).map_err(Error::io("write", self.dir.at(&self.name)))
        };
        match append() {
            // A lost line costs a transfer some day; the image is where it should be.
            Err(error) if fs::is_read_only(&error) || fs::is_full(&error) => return Ok(()),
            appended => appended?,
        }
        Ok(())
    }

    /// Notes down that nothing of larder's is left of an image: what the engine has of it from now on is not by us.
    /// `known` are the records, summed up.
    pub(super) fn forget(&self, id: &Digest, known: &[Record], at: i64) -> Result<()> {
        for record in known.iter().filter(|record| record.id == *id && record.effect != Effect::Taken) {
            // `failed` for older larders, which know no `Taken`.
            let taken = Record {
                effect: Effect::Taken,
                failed: true,
                at,
                lease: None,
                tagged: None,
                displaced: None,
                ..record.clone()
            };
            self.append(&taken)?;
        }
        Ok(())
    }

    /// Ends the hand-over; makes the file short again where it has become large. If that fails, the next one does it.
    pub(super) fn finish(self) {
        let size = self.dir.stat(&self.name).ok().flatten().map_or(0, |stat| stat.size);
        if size > LARGE {
            let _ = self.shorten();
        }
    }

    /// Sums up all but the newest. Appending needs the lock shared, so that with the lock to
    /// ourselves nothing can get lost; if we do not get it now, the next one does it.
    fn shorten(self) -> Result<()> {
        let Some((_, lock)) = &self.lock else { return Ok(()) };
        let _ = lock.unlock();
        if lock.try_lock().is_err() {
            return Ok(());
        }
        let mut kept = self.read()?;
        let newest = kept.split_off(kept.len().saturating_sub(WHOLE));
        kept = summed(kept);
        kept.drain(..kept.len().saturating_sub(KEPT));
        kept.extend(newest);
        let lines: Vec<u8> = kept
            .iter()
            .flat_map(|record| [serde_json::to_vec(record).unwrap_or_default(), b"\n".to_vec()].concat())
            .collect();
        self.dir.replace_lossy(&self.name, &lines)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn records_stay_and_the_file_does_not_grow_for_ever() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("store"), Duration::from_secs(5)).expect("a store");
        let record = |name: usize, at| Record {
            name: format!("n{name}:latest"),
            id: Digest::of(b"id"),
            manifest: Digest::of(b"m"),
            layers: vec![Digest::of(b"l"); 60],
            at,
            failed: false,
            effect: Effect::Found,
            lease: None,
            tagged: None,
            displaced: None,
        };
        for at in 0..400 {
            let records = Records::open(&store, "AB:CD/..").expect("opened");
            records.append(&record(at % 3, at as i64)).expect("appended");
            records.finish();
        }
        let records = Records::open(&store, "AB:CD/..").expect("opened");
        let last = records.read().expect("read");
        for name in 0..3 {
            let newest = last.iter().rev().find(|r| r.name == format!("n{name}:latest")).expect("there");
            assert!(newest.at >= 397);
        }
        let size = store
            .layout()
            .private()
            .sub("handovers")
            .expect("there")
            .stat("AB_CD___")
            .expect("stat")
            .expect("there")
            .size;
        assert!(size < LARGE + 10_000, "{size}");
    }

    #[test]
    fn hand_overs_that_overlap_do_not_starve_a_removal() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("store"), Duration::from_secs(5)).expect("a store");
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let _held = Records::open(&store, "e").expect("shared");
                        std::thread::sleep(Duration::from_millis(20));
                    }
                });
            }
            let had: Vec<_> = (0..5).map(|_| Records::open_alone(&store, "e").is_ok()).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            assert_eq!(had, [true; 5], "within five seconds each");
        });
    }

    #[test]
    fn what_a_hand_over_gave_stays_known_until_it_is_taken() {
        use Effect::{Found, Loaded, Tagged, Taken};
        for (done, sum) in [
            (&[Found, Found][..], Found),
            (&[Loaded, Found, Found], Loaded),
            (&[Found, Tagged, Found], Tagged),
            (&[Loaded, Taken], Taken),
            (&[Loaded, Taken, Found], Found),
            (&[Taken, Found, Loaded, Tagged], Loaded),
        ] {
            let record = |(at, effect): (usize, &Effect)| Record {
                name: "n:1".into(),
                id: Digest::of(b"id"),
                manifest: Digest::of(b"m"),
                layers: Vec::new(),
                at: at as i64,
                failed: false,
                effect: *effect,
                lease: None,
                tagged: None,
                displaced: None,
            };
            let records: Vec<_> = done.iter().enumerate().map(record).collect();
            let [last] = &summed(records.clone())[..] else { panic!("one record") };
            assert_eq!((last.effect, last.at), (sum, done.len() as i64 - 1), "{done:?}");
            // Summed up in the middle, it comes to the same.
            let (older, newer) = records.split_at(done.len() / 2);
            let again = summed([summed(older.to_vec()), newer.to_vec()].concat());
            assert_eq!(again[0].effect, sum, "{done:?}");
        }
        let old = r#"{"name":"n","id":"ID","manifest":"ID","layers":[],"at":5}"#;
        let old: Record =
            serde_json::from_str(&old.replace("ID", &Digest::of(b"x").to_string())).expect("a record");
        assert_eq!((old.effect, old.failed), (Found, false), "who gave it is not known");
    }
}
