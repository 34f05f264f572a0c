//! When an image was last used, and how often.
//!
//! One small file for each manifest, `.larder/usage/<digest>`, written in place under its own flock: recording a
//! use must cost next to nothing and must not touch the index. Lost usage means "just used", never "oldest".

use std::collections::HashMap;
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::FileExt;

use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::Dir;
use crate::index::{self, Index};
use crate::layout::USAGE_BEGUN;

/// Uses of one image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Seconds since 1970.
    pub last: i64,
    /// How often.
    pub count: u64,
}

/// Records so many uses until `now` (seconds since 1970), none where one only lasts; `lock` waits for the record's lock, and not for ever.
pub fn record(
    dir: &Dir,
    manifest: &Digest,
    now: i64,
    times: u64,
    lock: &dyn Fn(&File) -> Result<()>,
) -> Result<()> {
    change(dir, manifest, lock, |old| Usage {
        last: now.max(old.last),
        count: old.count.saturating_add(times),
    })
}

/// Records what somebody else knows of the uses; the later time and the larger number count.
pub fn learn(dir: &Dir, manifest: &Digest, known: Usage, lock: &dyn Fn(&File) -> Result<()>) -> Result<()> {
    if read(dir, manifest)?.is_some_and(|old| old.last >= known.last && old.count >= known.count) {
        return Ok(());
    }
    change(dir, manifest, lock, |old| Usage {
        last: known.last.max(old.last),
        count: known.count.max(old.count),
    })
}

fn change(
    dir: &Dir,
    manifest: &Digest,
    lock: &dyn Fn(&File) -> Result<()>,
    new: impl FnOnce(Usage) -> Usage,
) -> Result<()> {
    let name = manifest.hex();
    let mut file = dir.open_or_create(&name)?;
    lock(&file)?;
    let Usage { last, count } = new(parse(&mut file).unwrap_or_default());
    // Numbers of one width: the record is written over in place and never grows.
    let line = format!("{last:020} {count:020}\n");
    file.write_all_at(line.as_bytes(), 0).map_err(Error::io("write", dir.at(&name)))?;
    // Only rubbish is longer.
    file.set_len(line.len() as u64).map_err(Error::io("write", dir.at(&name)))
}

/// Reads the record of an image; `None` where there is none or it is damaged.
pub fn read(dir: &Dir, manifest: &Digest) -> Result<Option<Usage>> {
    Ok(dir.open_file(&manifest.hex())?.and_then(|mut file| parse(&mut file)))
}

/// Reads all records.
pub fn read_all(dir: &Dir) -> Result<HashMap<Digest, Usage>> {
    read_newer(dir, i64::MIN, |_| Some(i64::MIN))
}

/// Reads the records that may say more than what is known of them (a time, or `None` where nobody asks): those
/// that were written later than that, or no earlier than `folded`.
fn read_newer(
    dir: &Dir,
    folded: i64,
    known: impl Fn(&Digest) -> Option<i64>,
) -> Result<HashMap<Digest, Usage>> {
    let newer = read_each_newer(dir, folded, known)?;
    Ok(newer.into_iter().filter_map(|(digest, usage)| Some((digest, usage?))).collect())
}

/// Like [`read_newer`]; a record that is damaged is `None`.
fn read_each_newer(
    dir: &Dir,
    folded: i64,
    known: impl Fn(&Digest) -> Option<i64>,
) -> Result<HashMap<Digest, Option<Usage>>> {
    let mut fresh = HashMap::new();
    for name in dir.names()? {
        let Some(digest) = Digest::from_hex(&name) else { continue };
        let Some(known) = known(&digest) else { continue };
        // Ten thousand files are looked at sooner than read.
        let said = |modified| modified <= known && modified < folded;
        if known > i64::MIN && dir.stat(&name)?.is_none_or(|stat| said(stat.modified)) {
            continue;
        }
        if let Some(mut file) = dir.open_file(&name)? {
            fresh.insert(digest, parse(&mut file));
        }
    }
    Ok(fresh)
}

/// Copies into the index what it does not know yet; the later value counts. `folded` is when that was last done,
/// at the latest (seconds since 1970).
pub fn fold(dir: &Dir, index: &mut Index, folded: i64) -> Result<()> {
    let known = folded_uses(index, i64::min);
    let fresh = read_newer(dir, folded, |digest| known.get(digest).copied())?;
    for entry in index.entries_mut() {
        let Some(usage) = fresh.get(&entry.digest) else { continue };
        let last = number(entry, index::LAST_USED).unwrap_or(0).max(usage.last);
        let count =
            number(entry, index::USE_COUNT).unwrap_or(0).max(i64::try_from(usage.count).unwrap_or(i64::MAX));
        entry.annotations.insert(index::LAST_USED.into(), last.to_string());
        entry.annotations.insert(index::USE_COUNT.into(), count.to_string());
    }
    Ok(())
}

/// The uses of all images of the index: those that it knows, and those of records that are newer.
pub fn uses(dir: Option<&Dir>, index: &Index, folded: i64) -> Result<HashMap<Digest, Usage>> {
    // What all names of an image know, and the latest that one of them knows.
    let mut uses: HashMap<Digest, (i64, Usage)> = HashMap::with_capacity(index.entries().len());
    for entry in index.entries() {
        let last = number(entry, index::LAST_USED).unwrap_or(i64::MIN);
        let count = number(entry, index::USE_COUNT).unwrap_or(0).try_into().unwrap_or(0);
        let (known, usage) = uses.entry(entry.digest).or_insert((last, Usage { last, count }));
        *known = last.min(*known);
        *usage = Usage { last: last.max(usage.last), count: count.max(usage.count) };
    }
    if let Some(dir) = dir {
        let newer = read_newer(dir, folded, |digest| uses.get(digest).map(|(known, _)| *known))?;
        for (digest, newer) in newer {
            let Some((_, usage)) = uses.get_mut(&digest) else { continue };
            *usage = Usage { last: newer.last.max(usage.last), count: newer.count.max(usage.count) };
        }
    }
    uses.retain(|_, (_, usage)| usage.last > i64::MIN);
    Ok(uses.into_iter().map(|(digest, (_, usage))| (digest, usage)).collect())
}

/// When each image of the index was last used, as far as that is known: from the index, and from the records that are newer.
/// Lost or damaged records mean that it was used just now.
pub fn last_uses(dir: Option<&Dir>, index: &Index, folded: i64, now: i64) -> Result<HashMap<Digest, i64>> {
    let mut last = folded_uses(index, i64::max);
    let begun = dir.map(|dir| dir.stat(USAGE_BEGUN)).transpose()?.flatten();
    let Some((dir, begun)) = dir.zip(begun) else {
        // The records are gone, or were never begun: nobody knows what they said.
        last.values_mut().for_each(|last| *last = now);
        return Ok(last);
    };
    // Nor do they know what was said before they were begun.
    last.values_mut().for_each(|last| *last = begun.modified.max(*last));
    let known = folded_uses(index, i64::min);
    for (digest, usage) in read_each_newer(dir, folded, |digest| known.get(digest).copied())? {
        let recorded = usage.map_or(now, |usage| usage.last);
        last.entry(digest).and_modify(|last| *last = recorded.max(*last));
    }
    Ok(last)
}

/// The last uses that the index knows; [`i64::MIN`] where it knows none. Names of one image may say different things.
fn folded_uses(index: &Index, of_two: fn(i64, i64) -> i64) -> HashMap<Digest, i64> {
    let mut uses: HashMap<Digest, i64> = HashMap::new();
    for entry in index.entries() {
        let last = number(entry, index::LAST_USED).unwrap_or(i64::MIN);
        uses.entry(entry.digest).and_modify(|known| *known = of_two(*known, last)).or_insert(last);
    }
    uses
}

fn number(entry: &Descriptor, key: &str) -> Option<i64> {
    entry.annotation(key)?.parse().ok()
}

fn parse(file: &mut File) -> Option<Usage> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text).ok()?;
    let (last, count) = text.trim_end().split_once(' ')?;
    Some(Usage { last: last.parse().ok()?, count: count.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_folds() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        let digest = Digest::of(b"m");
        assert_eq!(read(&dir, &digest).expect("readable"), None);
        let lock = |file: &File| file.lock().map_err(Error::io("lock", "the record"));
        record(&dir, &digest, 100, 1, &lock).expect("recorded");
        record(&dir, &digest, 50, 1, &lock).expect("recorded");
        assert_eq!(read(&dir, &digest).expect("readable"), Some(Usage { last: 100, count: 2 }));
        for (last, count, expected) in
            [(99, 1, (100, 2)), (200, 1, (200, 2)), (7, 5, (200, 5)), (200, 5, (200, 5))]
        {
            learn(&dir, &digest, Usage { last, count }, &lock).expect("learned");
            let expected = Usage { last: expected.0, count: expected.1 };
            assert_eq!(read(&dir, &digest).expect("readable"), Some(expected));
        }
        std::fs::remove_file(temporary.path().join(digest.hex())).expect("removed");
        learn(&dir, &digest, Usage { last: 100, count: 2 }, &lock).expect("learned");
        let mut index = Index::default();
        index.entries_mut().push(Descriptor::new("m", digest, 1));
        let recorded = HashMap::from([(digest, Usage { last: 100, count: 2 })]);
        assert_eq!(uses(Some(&dir), &index, 0).expect("read"), recorded);
        assert_eq!(uses(None, &index, 0).expect("nothing to read"), HashMap::new());
        fold(&dir, &mut index, 0).expect("folded");
        assert_eq!(uses(None, &index, 0).expect("nothing to read"), recorded, "the index knows it now");
        assert_eq!(index.entries()[0].annotation(index::LAST_USED), Some("100"));
        assert_eq!(index.entries()[0].annotation(index::USE_COUNT), Some("2"));
        std::fs::write(temporary.path().join(digest.hex()), "garbage").expect("written");
        assert_eq!(read(&dir, &digest).expect("readable"), None);
        record(&dir, &digest, 7, 1, &lock).expect("recorded over garbage");
        let full = format!("{:020} {:020}\n", i64::MAX, u64::MAX);
        std::fs::write(temporary.path().join(digest.hex()), full).expect("written");
        record(&dir, &digest, 7, 1, &lock).expect("recorded");
        assert_eq!(read(&dir, &digest).expect("readable"), Some(Usage { last: i64::MAX, count: u64::MAX }));
        fold(&dir, &mut index, 0).expect("folded");
        assert_eq!(index.entries()[0].annotation(index::USE_COUNT), Some(i64::MAX.to_string().as_str()));
    }
}
