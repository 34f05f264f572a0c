//! One build of a name at a time: `.larder/building/<name>.lock`, flocked for as long as its image is built.
//!
//! It is taken before the store's locks and held much longer than they are, so that it has no gate: who waits for it looks at the store again when
//! it is had, and mostly finds what it wanted. The files are never unlinked. A name is written so that it is one file name and no other name has it.

use std::fs::{File, TryLockError};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::lock::holder_of;
use crate::reference::Reference;
use crate::store::Store;

/// Below `.larder`.
const PLACE: &str = "building";
/// Bytes of a file's name that are the image's.
const MAX_NAME: usize = 180;

/// The right to build an image of this name, until it is dropped.
#[must_use = "another process may build the same when this is dropped"]
#[derive(Debug)]
pub struct Building {
    _file: File,
}

impl Building {
    /// Waits until nobody else builds an image of this name, for so long at most; `waits` is told once who does, where somebody does.
    pub fn begin(
        store: &Store,
        name: &Reference,
        wait: Duration,
        cancel: &Cancel,
        waits: &mut dyn FnMut(&str),
    ) -> Result<Building> {
        let dir = store.layout().private().ensure_dir(PLACE)?;
        let shown = file_name(name);
        let file = dir.open_lock(&shown)?;
        let deadline = Instant::now() + wait;
        let mut is_told = false;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Building { _file: file }),
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", dir.at(&shown))(source)),
                Err(TryLockError::WouldBlock) => {}
            }
            cancel.check()?;
            if Instant::now() >= deadline {
                let lock = "lock of the build";
                return Err(Error::LockTimeout { lock, waited: wait, holder: holder_of(&file) });
            }
            if !std::mem::replace(&mut is_told, true) {
                waits(&holder_of(&file));
            }
            // A build takes minutes.
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

/// The full name as one file name: letters, digits, `.`, `_` and `-` stand for themselves, all else as `%` and two hex digits.
fn file_name(name: &Reference) -> String {
    let full = name.full();
    let mut text = String::new();
    for byte in full.bytes() {
        match byte {
            b'.' | b'_' | b'-' => text.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => text.push(char::from(byte)),
            byte => text += &format!("%{byte:02x}"),
        }
    }
    if text.len() > MAX_NAME {
        text.truncate(MAX_NAME - 17);
        text = format!("{text}+{}", &Digest::of(full.as_bytes()).hex()[..16]);
    }
    format!("{text}.lock")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_has_a_file_of_its_own() {
        let named = |text: &str| file_name(&text.parse().expect("a name"));
        assert_eq!(named("p-debian-12-gcc12"), "docker.io%2flibrary%2fp-debian-12-gcc12%3alatest.lock");
        assert_eq!(named("a/b:c"), "docker.io%2fa%2fb%3ac.lock");
        assert_eq!(named("p-debian-12"), named("docker.io/library/p-debian-12:latest"));
        assert_ne!(named("a/b"), named("a_b"));
        let long = |end: char| named(&format!("a/{}{end}", "b".repeat(200)));
        assert!(long('c').len() <= 200 && long('c') != long('d') && long('c').contains('+'));
    }

    #[test]
    fn one_builds_and_the_other_is_told_and_waits() {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::open(&dir.path().join("store"), Duration::from_secs(1)).expect("a store");
        let [one, other]: [Reference; 2] =
            ["p-debian-12", "p-debian-13"].map(|name| name.parse().expect("a name"));
        let begin = |name, wait: u64, waits: &mut dyn FnMut(&str)| {
            Building::begin(&store, name, Duration::from_millis(wait), &Cancel::new(), waits)
        };
        let never = &mut |holder: &str| panic!("{holder} builds it");
        let first = begin(&one, 0, never).expect("nobody builds it");
        drop(begin(&other, 0, never).expect("another name"));
        let mut told = Vec::new();
        let error = begin(&one, 30, &mut |holder| told.push(holder.to_owned())).expect_err("it is built");
        let here = format!("process {}", std::process::id());
        assert!(
            told.len() == 1 && told[0].contains(&here) && error.to_string().contains(&here),
            "{told:?} {error}"
        );
        std::thread::scope(|scope| {
            let (say, said) = std::sync::mpsc::channel();
            let begin = &begin;
            let one = &one;
            scope.spawn(move || {
                begin(one, 10_000, &mut |_| say.send(()).expect("heard")).map(drop).expect("had in time")
            });
            said.recv().expect("it waits");
            drop(first);
        });
    }
}
