//! Archives that somebody has unpacked: a directory is read like the archive.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{column, import, rows};
use crate::support::sandbox::NOBODY;
use crate::support::store::assert_sound;
use crate::support::{Sandbox, describe, fixture, need, run};

/// Unpacks a fixture with the real tool, links as links.
fn unpack(sandbox: &Sandbox, file: &str) {
    std::fs::create_dir(sandbox.path("unpacked")).unwrap();
    let mut tar = std::process::Command::new("tar");
    run(tar.arg("-C").arg(sandbox.path("unpacked")).arg("-xf").arg(fixture(file)));
}

fn links(dir: &Path) -> usize {
    let entries = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            if entry.file_type().unwrap().is_dir() {
                links(&entry.path())
            } else {
                usize::from(entry.path().is_symlink())
            }
        })
        .sum()
}

#[test]
fn what_was_unpacked_is_the_archive() {
    let mut linked = 0;
    for (file, args) in super::fixtures() {
        let sandbox = Sandbox::new();
        unpack(&sandbox, file);
        linked += links(&sandbox.path("unpacked"));
        let got = rows(sandbox.json(["import", "unpacked"].iter().chain(&args)));
        let expected = import(&Sandbox::new(), file, &args);
        assert_eq!(column(&got, "digest"), column(&expected, "digest"), "{file}");
        assert_sound(&sandbox.store());
    }
    assert!(linked > 0, "no fixture has a layer that is a link, as docker save wrote them");
}

#[test]
fn a_link_out_of_what_was_unpacked_leads_nowhere() {
    for target in ["../../outside.tar", "/etc/hostname", "../../../../../etc/hostname"] {
        let sandbox = Sandbox::new();
        unpack(&sandbox, "docker20.tar");
        let root = sandbox.path("unpacked");
        let dirs = std::fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().path());
        let layer = dirs.map(|dir| dir.join("layer.tar")).find(|layer| layer.is_file()).unwrap();
        std::fs::rename(&layer, sandbox.path("outside.tar")).unwrap();
        std::os::unix::fs::symlink(target, &layer).unwrap();
        let said = sandbox.fail(["import", "unpacked"], 1);
        assert!(said.contains("links out"), "{target}: {said}");
    }
}

#[test]
fn what_cannot_be_read_is_not_absent() {
    let sandbox = Sandbox::new();
    unpack(&sandbox, "multiarch-oci.tar");
    let blobs = sandbox.path("unpacked/blobs/sha256");
    run(std::process::Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.root()));
    let all: Vec<_> = std::fs::read_dir(&blobs).unwrap().map(|blob| blob.unwrap().path()).collect();
    for blob in all {
        std::fs::set_permissions(&blob, PermissionsExt::from_mode(0o000)).unwrap();
        let larder =
            need!(sandbox.command_as(NOBODY, &[], ["--store", "tmp/new", "import", "unpacked"]), "root");
        let mut larder = larder;
        let output = larder.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}: {}", blob.display(), describe(&larder, &output));
        std::fs::set_permissions(&blob, PermissionsExt::from_mode(0o644)).unwrap();
    }
}
