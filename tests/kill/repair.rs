//! `verify --repair`, killed at any call that changes something: every blob is there, good or as damaged as it was, and
//! the next repair puts the rest right.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use super::points::{Point, for_every, watch};
use super::scenario::{Scenario, meaning};
use super::{IMPORT_TWO, calls};
use crate::import::GCC;
use crate::support::store::{blob_path, blobs, document, named};
use crate::support::{Sandbox, describe, need, run};

const REPAIR: Scenario = Scenario {
    prepare: &[IMPORT_TWO],
    command: &["verify", "--repair", "--from", "docker20-two.tar", "--jobs", "1"],
    can_repeat: true,
};

#[test]
fn a_repair() {
    need!(killed_everywhere(), "strace");
}

fn killed_everywhere() -> Option<()> {
    let sandbox = Scenario::sandbox();
    let (clean, counted) = (sandbox.path("clean"), sandbox.path("counted"));
    damage(&sandbox, &clean);
    run(sandbox.command(REPAIR.command(&clean)).env("LARDER_STORE", &clean));
    let after = meaning(&clean);
    damage(&sandbox, &counted);
    let points = calls::changes(&watch(&sandbox, &REPAIR.command(&counted), &counted)?);
    assert!(points.len() > 5 && points.iter().any(|point| point.call.starts_with("rename")), "{points:?}");
    for_every(&points, |number, point| {
        let store = sandbox.path(format!("killed-{number}"));
        damage(&sandbox, &store);
        let mut strace = point.strace(&sandbox, &REPAIR.command(&store), &store, "signal=KILL");
        let output = strace.output().unwrap();
        assert_eq!(output.status.signal(), Some(9), "{point:?}: {}", describe(&strace, &output));
        assert_eq!(meaning(&store), after, "{point:?}: a repair changes no name");
        check(&store, &clean, point);
        REPAIR.goes_on(&sandbox, &store, point, &after);
        Scenario::clean(&store);
    });
    Some(())
}

/// A store in which a manifest and a layer are damaged.
fn damage(sandbox: &Sandbox, store: &Path) {
    REPAIR.prepare(sandbox, store);
    for path in damaged(store) {
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
    }
}

/// The first image's manifest and its last layer, which the other image does not have.
fn damaged(store: &Path) -> [PathBuf; 2] {
    let manifest = named(store, GCC).unwrap();
    let layer = document(store, &manifest)["layers"].as_array().unwrap().last().unwrap()["digest"].clone();
    [blob_path(store, &manifest), blob_path(store, layer.as_str().unwrap())]
}

/// What a killed repair may leave.
fn check(store: &Path, clean: &Path, point: &Point) {
    assert_eq!(blobs(store), blobs(clean), "{point:?}: a blob is missing, or of another size");
    let harmed = damaged(clean);
    for hex in blobs(clean).keys() {
        let (got, good) =
            (std::fs::read(blob_path(store, hex)).unwrap(), std::fs::read(blob_path(clean, hex)).unwrap());
        let is_harmed = harmed.contains(&blob_path(clean, hex));
        let differ = got.iter().zip(&good).filter(|(got, good)| got != good).count();
        assert!(differ <= usize::from(is_harmed), "{point:?}: {hex}");
    }
}
