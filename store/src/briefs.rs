//! Short records by image ID, all of them read in one pass: ten thousand files take longer than an answer may.
//!
//! `.larder/cache/briefs/<user ID>`. Each user has a file of his own: only what this user, or root, wrote counts, and a file
//! that several append to has no author. A record is a mark, its length, a checksum, the image ID and what is said of it. It is
//! appended by one write, so that processes at once do not mix; what is torn or damaged is stepped over up to the next mark,
//! and gone with the next [`tidy`]. Of several records of an image the last one counts.
//!
//! Limits: all of it may be lost at any time. Nothing is locked: what is appended to a file while it is tidied is lost.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, MetadataExt};

use rustix::process::geteuid;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir, Sharing};
use crate::ids::ImageId;

const MARK: [u8; 8] = *b"\x8flarder\n";
/// Mark, length and checksum.
const HEADER: usize = 24;
/// Bytes of an image ID.
const ID: usize = 32;
/// Bytes of a record: more than the most packages and programs of an image take.
const MAX_RECORD: usize = 16 << 20;
/// Bytes that are read at a time.
const WINDOW: usize = 1 << 20;

/// What stands at the beginning of some bytes.
enum Next {
    /// A record of so many bytes.
    Whole(usize),
    /// The beginning of what may be a record of so many bytes.
    Cut(usize),
    /// No record.
    Damaged,
}

/// Appends a record.
pub(crate) fn append(dir: &Dir, id: &ImageId, said: &[u8]) -> Result<()> {
    let body = [&id.0.bytes()[..], said].concat();
    let header = [MARK, (body.len() as u64).to_le_bytes(), checksum(&body).to_le_bytes()].concat();
    // Open to this user's writing alone, also in a store that a group shares.
    let (dir, name) = (dir.clone().with_sharing(Sharing::Owner), own_name());
    let record = [header, body].concat();
    let Some(mut file) = dir.open_append(&name).ok().filter(is_own) else {
        // What is no file of this user's is not read: it would grow with every record, and none of them count.
        return replace(&dir, &name, |new| new.write_all(&record));
    };
    file.write_all(&record).map_err(Error::io("write", dir.at(&name)))
}

/// Whether what is written there counts.
fn is_own(file: &File) -> bool {
    file.metadata().is_ok_and(|meta| meta.uid() == geteuid().as_raw())
}

/// A file in place of what has the name now, whatever that is, if it is no directory.
fn replace(dir: &Dir, name: &str, write: impl FnOnce(&mut File) -> io::Result<()>) -> Result<()> {
    let temporary = format!(".{name}.{}", fs::unique());
    let mut new = dir.create_new(&temporary)?;
    let written = write(&mut new).map_err(Error::io("write", dir.at(&temporary)));
    let renamed = written.and_then(|()| dir.rename(&temporary, dir, name));
    if renamed.is_err() {
        let _ = dir.unlink(&temporary);
    }
    renamed
}

/// Shows all records, the later ones of an image after the earlier ones. What cannot be read is not there.
pub(crate) fn each(dir: &Dir, see: &mut dyn FnMut(ImageId, &[u8])) {
    let own = geteuid().as_raw();
    let users = if own == 0 { vec![0] } else { vec![0, own] };
    for user in users {
        let Ok(Some(file)) = dir.open_file(&user.to_string()) else { continue };
        if file.metadata().is_ok_and(|meta| meta.uid() == user) {
            let _ = scan(&file, &mut |_, record| see(id_of(record), &record[HEADER + ID..]));
        }
    }
}

/// Writes this user's file anew, without what is said of images that are not to be kept, where that is more than half of it.
pub(crate) fn tidy(dir: &Dir, keep: impl Fn(&ImageId) -> bool) -> Result<()> {
    let name = own_name();
    // What is no file is nothing to tidy.
    let Ok(Some(file)) = dir.open_file(&name) else { return Ok(()) };
    if !is_own(&file) {
        return dir.unlink(&name).map(|_| ());
    }
    let failed = || Error::io("read", dir.at(&name));
    let mut kept = HashMap::new();
    scan(&file, &mut |at, record| {
        if keep(&id_of(record)) {
            kept.insert(id_of(record), (at, record.len()));
        }
    })
    .map_err(failed())?;
    let size = file.metadata().map_err(failed())?.len();
    let kept_bytes: usize = kept.values().map(|(_, length)| length).sum();
    if kept_bytes as u64 * 2 >= size {
        return Ok(());
    }
    let dir = dir.clone().with_sharing(Sharing::Owner);
    let mut records: Vec<_> = kept.into_values().collect();
    records.sort_unstable();
    replace(&dir, &name, |new| {
        records.into_iter().try_for_each(|(at, length)| {
            let mut record = vec![0; length];
            file.read_exact_at(&mut record, at)?;
            new.write_all(&record)
        })
    })
}

fn own_name() -> String {
    geteuid().as_raw().to_string()
}

fn id_of(record: &[u8]) -> ImageId {
    let mut id = [0; ID];
    id.copy_from_slice(&record[HEADER..HEADER + ID]);
    ImageId(Digest::from_bytes(id))
}

/// Shows each whole record with its place.
fn scan(file: &File, see: &mut dyn FnMut(u64, &[u8])) -> io::Result<()> {
    let (mut buffer, mut at) = (vec![0; WINDOW], 0);
    loop {
        let count = fill(file, &mut buffer, at)?;
        let is_end = count < buffer.len();
        let (mut used, mut needed) = (0, WINDOW);
        while used < count {
            match next(&buffer[used..count]) {
                Next::Whole(length) => {
                    see(at + used as u64, &buffer[used..used + length]);
                    used += length;
                }
                Next::Cut(length) if !is_end => {
                    needed = needed.max(length);
                    break;
                }
                // Others may have written behind what is torn.
                Next::Cut(_) | Next::Damaged => used += 1 + up_to_mark(&buffer[used + 1..count]),
            }
        }
        if is_end {
            return Ok(());
        }
        at += used as u64;
        buffer.resize(needed, 0);
    }
}

/// As many bytes as there are from this place on, or fit.
fn fill(file: &File, buffer: &mut [u8], at: u64) -> io::Result<usize> {
    let mut count = 0;
    while count < buffer.len() {
        match file.read_at(&mut buffer[count..], at + count as u64) {
            Ok(0) => break,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(count)
}

fn next(bytes: &[u8]) -> Next {
    let Some((header, rest)) = bytes.split_at_checked(HEADER) else { return Next::Cut(HEADER) };
    let number = |at: usize| {
        let mut word = [0; 8];
        word.copy_from_slice(&header[at..at + 8]);
        u64::from_le_bytes(word)
    };
    let Some(length) = usize::try_from(number(8)).ok().filter(|length| (ID..MAX_RECORD).contains(length))
    else {
        return Next::Damaged;
    };
    match rest.get(..length) {
        _ if header[..8] != MARK => Next::Damaged,
        None => Next::Cut(HEADER + length),
        Some(body) if checksum(body) == number(16) => Next::Whole(HEADER + length),
        Some(_) => Next::Damaged,
    }
}

/// How many bytes stand before the next mark, or what may be the beginning of one.
fn up_to_mark(bytes: &[u8]) -> usize {
    let marks = bytes.windows(MARK.len()).position(|word| word == MARK);
    marks.unwrap_or_else(|| bytes.len().saturating_sub(MARK.len() - 1))
}

/// Of accidents, not of anybody's will: a hundred megabytes have to be summed in the time of one answer.
pub(crate) fn checksum(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let (mut sum, mut sums) = (bytes.len() as u64, 0u64);
    let mut add = |word| {
        sum = sum.wrapping_add(u64::from_le_bytes(word));
        sums = sums.wrapping_add(sum);
    };
    words.iter().copied().for_each(&mut add);
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    add(last);
    sums ^ sum.rotate_left(32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(dir: &Dir) -> HashMap<ImageId, Vec<u8>> {
        let mut found = HashMap::new();
        each(dir, &mut |id, said| drop(found.insert(id, said.to_vec())));
        found
    }

    fn id(number: usize) -> ImageId {
        ImageId(Digest::of(&number.to_le_bytes()))
    }

    fn at(temporary: &tempfile::TempDir) -> std::path::PathBuf {
        temporary.path().join(own_name())
    }

    #[test]
    fn what_is_torn_or_damaged_takes_nothing_else_with_it() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        assert_eq!(all(&dir), HashMap::new());
        // The second one is longer than what is read at a time.
        let said = [vec![1; 5], vec![2; WINDOW + WINDOW / 2], vec![3; 100], vec![]];
        for (number, said) in said.iter().enumerate() {
            append(&dir, &id(number), said).expect("appended");
        }
        let expected: HashMap<_, _> =
            said.iter().enumerate().map(|(number, said)| (id(number), said.clone())).collect();
        assert_eq!(all(&dir), expected);
        let whole = std::fs::read(at(&temporary)).expect("read");
        let first = HEADER + ID + 5;
        // Cut anywhere, with more behind it.
        for cut in (0..first).chain([first + 10, first + WINDOW, whole.len() - 1]) {
            std::fs::write(at(&temporary), &whole[..cut]).expect("written");
            append(&dir, &id(9), b"later").expect("appended");
            let found = all(&dir);
            assert_eq!(found.get(&id(9)).map(Vec::as_slice), Some(&b"later"[..]), "cut at {cut}");
            assert_eq!(found.contains_key(&id(0)), cut >= first, "cut at {cut}");
        }
        // Any byte of the first one may be another: the others are found all the same.
        for byte in 0..first {
            let mut bad = whole.clone();
            bad[byte] ^= 0x55;
            std::fs::write(at(&temporary), &bad).expect("written");
            let found = all(&dir);
            assert_eq!((found.len(), found.contains_key(&id(0))), (3, false), "byte {byte}");
        }
        for rubbish in [vec![0; 3 * WINDOW], MARK.repeat(100), b"rubbish".to_vec()] {
            std::fs::write(at(&temporary), [&rubbish[..], &whole].concat()).expect("written");
            assert_eq!(all(&dir), expected);
        }
    }

    #[test]
    fn tidying_keeps_the_last_word_on_what_is_kept() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        tidy(&dir, |_| true).expect("nothing to tidy");
        for number in 0..10 {
            append(&dir, &id(number), b"old").expect("appended");
        }
        append(&dir, &id(0), b"new").expect("appended");
        let size = std::fs::metadata(at(&temporary)).expect("there").len();
        tidy(&dir, |_| true).expect("tidied");
        tidy(&dir, |id_| *id_ != id(9)).expect("tidied");
        assert_eq!(std::fs::metadata(at(&temporary)).expect("there").len(), size, "too little to gain");
        tidy(&dir, |id_| *id_ == id(0) || *id_ == id(1)).expect("tidied");
        let expected = HashMap::from([(id(0), b"new".to_vec()), (id(1), b"old".to_vec())]);
        assert_eq!(all(&dir), expected);
        assert_eq!(std::fs::metadata(at(&temporary)).expect("there").len(), size / 11 * 2);
        assert_eq!(std::fs::read_dir(temporary.path()).expect("listed").count(), 1);
    }

    #[test]
    fn what_is_no_file_of_this_users_is_replaced() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        rustix::fs::mkfifoat(rustix::fs::CWD, at(&temporary), rustix::fs::Mode::RUSR).expect("a pipe");
        append(&dir, &id(1), b"one").expect("appended");
        assert_eq!(all(&dir).len(), 1);
        if std::os::unix::fs::chown(at(&temporary), Some(12345), None).is_ok() {
            append(&dir, &id(2), b"two").expect("appended");
            append(&dir, &id(3), b"three").expect("appended");
            assert_eq!(all(&dir).len(), 2, "of another's file nothing counts");
            std::os::unix::fs::chown(at(&temporary), Some(12345), None).expect("given away");
            tidy(&dir, |_| true).expect("tidied");
            assert!(!at(&temporary).exists());
        }
        assert!(std::fs::read_dir(temporary.path()).expect("listed").count() <= 1, "nothing is left over");
    }

    #[test]
    fn processes_at_once_lose_nothing() {
        let temporary = tempfile::tempdir().expect("a directory");
        let dir = Dir::open(temporary.path()).expect("a directory");
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let dir = &dir;
                scope.spawn(move || {
                    for number in 0..50 {
                        append(dir, &id(thread * 50 + number), &vec![7; 20_000]).expect("appended");
                    }
                });
            }
        });
        assert_eq!(all(&dir).len(), 400);
    }
}
