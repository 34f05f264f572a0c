//! A small signed bundle, all of whose bits are known.

use std::path::{Path, PathBuf};
use std::time::Duration;

use larder_store::cancel::Cancel;
use larder_store::store::Store;

use super::apply::{Applied, Failure, Options, apply, open};
use super::{FileSource, Input};
use crate::trust::Trust;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/bundles").join(name)
}

/// Applies these bytes, from a file, on a host that demands signatures of the fixture's key.
fn try_to_apply(store: &Store, file: &Path) -> Result<Applied, Failure> {
    let public = std::fs::read_to_string(fixture("format-1.pub")).unwrap();
    let key = (PathBuf::from("host.toml"), public.lines().nth(1).unwrap().to_owned());
    let trust = Trust::new(&[key], Some(Path::new("host.toml"))).unwrap();
    let authority = |what: &str, manifest: &[u8], signature: Option<&[u8]>| {
        trust.check_inner(what, manifest, signature).map(drop)
    };
    let cancel = Cancel::default();
    let options = Options {
        authority: &authority,
        replace: false,
        verify: false,
        consume: false,
        jobs: 1,
        now: || 0,
        made_room: &|_| {},
        notice: &|_| {},
        cancel: &cancel,
        watch: &|_| {},
    };
    let file = FileSource::new(std::fs::File::open(file).unwrap(), file.to_path_buf()).unwrap();
    apply(store, open(vec![Input::File(file)], &options)?, &options)
}

/// Flips one bit after the other, of those that are `step` apart.
fn flip(step: usize) {
    let bytes = std::fs::read(fixture("format-1.bundle")).unwrap();
    assert!(bytes.len() <= 16 << 10);
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(&dir.path().join("store"), Duration::ZERO).unwrap();
    let file = dir.path().join("bundle");
    for bit in (0..bytes.len() * 8).step_by(step) {
        let mut bad = bytes.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        std::fs::write(&file, &bad).unwrap();
        assert!(try_to_apply(&store, &file).is_err(), "bit {bit} can be changed");
    }
    let blobs = std::fs::read_dir(dir.path().join("store/blobs/sha256")).map_or(0, Iterator::count);
    assert_eq!(blobs, 0, "something was written");
    std::fs::write(&file, &bytes).unwrap();
    assert_eq!(try_to_apply(&store, &file).unwrap().images.len(), 1);
}

#[test]
fn no_byte_of_a_signed_bundle_can_be_another() {
    flip(9);
}

#[test]
#[ignore = "long: each of 90,000 bits"]
fn no_bit_of_a_signed_bundle_can_be_another() {
    flip(1);
}
