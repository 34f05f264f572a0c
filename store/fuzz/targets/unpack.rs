//! Layers into directories: whatever the members, nothing outside of the directory is touched, and what was unpacked gives a layer that
//! unpacks to the same.
//!
//! Checksums of headers are made right, or hardly any member would be looked at.

#![no_main]

use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use larder_store::cancel::Cancel;
use larder_store::changes::{Changes, Form, Options};
use larder_store::tree::{Directory, Stack};
use larder_store::unpack::{Limits, unpack};
use libfuzzer_sys::fuzz_target;

const LIMITS: Limits = Limits { bytes: 1 << 20, nodes: 500 };
const OUTSIDE: &str = "whoever can write here has left his directory";

/// A directory of this process: `outside`, `lower`, and what the target makes anew each time.
static PLACE: LazyLock<PathBuf> = LazyLock::new(|| {
    let place = std::env::temp_dir().join(format!("larder-fuzz.{}", std::process::id()));
    let lower = place.join("lower");
    for dir in [&place, &lower, &lower.join("d"), &place.join("outside")] {
        std::fs::create_dir(dir).expect("a directory");
    }
    for file in [lower.join("f"), lower.join("d/f"), place.join("outside/f")] {
        std::fs::write(file, OUTSIDE).expect("written");
    }
    for (name, target) in
        [("a", place.join("outside")), ("u", "../outside".into()), ("l", "l".into()), ("s", "d".into())]
    {
        symlink(target, lower.join(name)).expect("a link");
    }
    place
});

fuzz_target!(|bytes: &[u8]| {
    let place = Directory::open(&PLACE).expect("the place");
    let tar = with_checksums(bytes);
    if unpacked("first", &tar)
        && let Some(again) = changes("first")
    {
        assert!(unpacked("second", &again), "its own layer is refused");
        assert_eq!(changes("second").as_ref(), Some(&again), "another layer than before");
    }
    for name in ["first", "second"] {
        place.remove(name.as_bytes()).expect("removed");
    }
    let names = |dir: &Path| std::fs::read_dir(dir).expect("listed").count();
    assert_eq!((names(&PLACE), names(&PLACE.join("outside")), names(&PLACE.join("lower"))), (2, 1, 6));
    for file in ["outside/f", "lower/f", "lower/d/f"] {
        assert_eq!(std::fs::read_to_string(PLACE.join(file)).expect("read"), OUTSIDE);
    }
});

fn lower() -> Stack {
    Stack::new(vec![Directory::open(&PLACE.join("lower")).expect("the lower layer")])
}

fn unpacked(name: &str, mut tar: &[u8]) -> bool {
    let into = PLACE.join(name);
    std::fs::create_dir(&into).expect("a directory");
    unpack(&mut tar, &Directory::open(&into).expect("opened"), lower(), LIMITS, &Cancel::new()).is_ok()
}

/// The layer of what was unpacked; `None` where there is none of it.
fn changes(name: &str) -> Option<Vec<u8>> {
    let cancel = Cancel::new();
    let options = Options { form: Form::Upper, epoch: None, cancel: &cancel };
    let tree = Directory::open(&PLACE.join(name)).expect("opened");
    let mut tar = Vec::new();
    Changes::new(&tree, lower(), options).ok()?.read_to_end(&mut tar).ok()?;
    Some(tar)
}

/// The same, with the right sum in each header (POSIX ustar).
fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut tar = bytes.to_vec();
    let mut at = 0;
    while let Some(header) = tar.get_mut(at..at + 512) {
        header[148..156].copy_from_slice(b"        ");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        let size = std::str::from_utf8(&header[124..135]).ok();
        let size = size.and_then(|text| usize::from_str_radix(text.trim_matches(['\0', ' ']), 8).ok());
        at += 512 + size.unwrap_or(0).min(1 << 20).next_multiple_of(512);
    }
    tar
}
