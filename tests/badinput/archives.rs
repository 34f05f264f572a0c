//! Archives that are missing, empty, cut, or none.

use std::process::{Command, Stdio};

use super::{Before, case, refuse_all};
use crate::support::tarball::{Tarball, docker_archive, layer, noise};
use crate::support::{Sandbox, fixture, run};

#[test]
fn what_is_no_file_is_said_to_be_none() {
    let before = Before::with(|sandbox| std::fs::create_dir(sandbox.path("tmp/dir")).unwrap());
    let sandbox = &before.sandbox;
    for (path, words) in [
        ("missing.tar", &["missing.tar", "No such file"][..]),
        ("tmp/dir", &["tmp/dir", "neither manifest.json nor index.json"]),
        ("bad.tar/x", &["bad.tar/x", "ot a directory"]),
        ("/dev/null", &["/dev/null", "empty"]),
    ] {
        let output = sandbox.larder(["import", path]);
        let words: Vec<_> = words.iter().map(|&word| word.to_owned()).collect();
        assert_eq!(output.status.code(), Some(1), "{path}: {output:?}");
        before.assert_refused(path, &output, 1, &words);
    }
}

#[test]
fn what_is_no_archive_is_refused() {
    let mut file_system = Tarball::new();
    file_system.file("etc/os-release", b"ID=debian\n").file("usr/bin/true", b"");
    let mut layout = Tarball::new();
    layout.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
    refuse_all(vec![
        case("empty", Vec::new(), 1, &["empty"]),
        case("one byte", b"x".to_vec(), 1, &["not a tar archive"]),
        case("text", b"this is not a tar archive\n".repeat(100), 1, &["not a tar archive"]),
        case("noise", noise(1, 4096), 1, &["not a tar archive"]),
        case("zeros", vec![0; 10_240], 1, &["neither manifest.json nor index.json"]),
        case("a file system", file_system.bytes(), 1, &["neither manifest.json nor index.json"]),
        case("a layout without an index", layout.bytes(), 1, &["neither manifest.json nor index.json"]),
    ]);
}

#[test]
fn an_archive_is_refused_wherever_it_is_cut() {
    for whole in [
        std::fs::read(fixture("docker20.tar")).unwrap(),
        std::fs::read(fixture("skopeo-oci.tar")).unwrap(),
        // Layers that pass through the ingest when they come through a pipe.
        docker_archive("big:1", &[layer("a", &noise(1, 2 << 20)), layer("b", &noise(2, 2 << 20))]),
    ] {
        // The end is marked by two blocks of zeros; writers fill up behind them.
        let end = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
        let end = end.next_multiple_of(512);
        let cuts = [1, 511, 512, 513, 1024, end / 3, end / 2 + 7, end - 512, end - 1, end, end + 512];
        refuse_all(cuts.into_iter().map(|at| case("cut", whole[..at].to_vec(), 1, &[])).collect());
        let sandbox = Sandbox::new();
        std::fs::write(sandbox.path("whole.tar"), &whole[..end + 1024]).unwrap();
        sandbox.ok(["import", "whole.tar"]);
    }
}

#[test]
fn an_archive_that_goes_on_behind_its_end_is_refused() {
    let whole = std::fs::read(fixture("docker20.tar")).unwrap();
    let with = |rest: &[u8]| [&whole[..], rest].concat();
    refuse_all(vec![
        case("trailing text", with(b"more"), 1, &["behind its end"]),
        case("another archive", with(&whole), 1, &["behind its end"]),
        case("zeros without end", with(&vec![0; 4 << 20]), 1, &["behind its end"]),
    ]);
}

#[test]
fn a_file_that_changes_its_mind_while_it_is_read_is_no_image() {
    // A pipe by name that gives half an archive and ends.
    let before = Before::with(|sandbox| drop(run(Command::new("mkfifo").arg(sandbox.path("tmp/fifo")))));
    let whole = std::fs::read(fixture("docker20.tar")).unwrap();
    let mut import = before.sandbox.command(["import", "tmp/fifo"]);
    let child = import.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    std::fs::write(before.sandbox.path("tmp/fifo"), &whole[..20_000]).unwrap();
    let output = child.wait_with_output().unwrap();
    before.assert_refused("half a pipe", &output, 1, &["tmp/fifo".into(), "cut off".into()]);
}
