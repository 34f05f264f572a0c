//! Bad input of every kind: one clear message, the right exit code, and a store that is as it was before.

mod archives;
mod damaged;
mod docker;
pub(crate) mod full;
mod layouts;
mod moments;
mod oci;
mod signals;
mod tarfiles;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Output;

use crate::roundtrip::imported;
use crate::support::store::{assert_nothing_pending, assert_sound, blobs, index_text, tree};
use crate::support::{Sandbox, feed};

/// A bad archive.
struct Case {
    /// What is wrong with it.
    what: &'static str,
    archive: Vec<u8>,
    /// The exit code.
    code: i32,
    /// What the message must name: the entry, and why.
    says: Vec<String>,
}

fn case(what: &'static str, archive: Vec<u8>, code: i32, says: &[&str]) -> Case {
    Case { what, archive, code, says: says.iter().map(|&text| text.into()).collect() }
}

/// A store with an image in it, and how it looks.
struct Before {
    sandbox: Sandbox,
    index: String,
    blobs: BTreeMap<PathBuf, (u64, u64, i64, i64)>,
    around: Vec<String>,
}

impl Before {
    fn new() -> Self {
        Self::with(|_| {})
    }

    /// With more in the sandbox than the store.
    fn with(prepare: impl FnOnce(&Sandbox)) -> Self {
        let sandbox = imported("docker20.tar");
        std::fs::write(sandbox.path("bad.tar"), "").unwrap();
        prepare(&sandbox);
        let index = index_text(&sandbox.store());
        let (blobs, around) = (tree(&sandbox.store().join("blobs")), around(&sandbox));
        Self { sandbox, index, blobs, around }
    }

    /// The index and all blobs of before are as they were (new ones are for GC), nothing is pending, and nothing was
    /// written anywhere else.
    fn assert_unchanged(&self, context: &str) {
        let store = self.sandbox.store();
        assert_eq!(self.index, index_text(&store), "{context}");
        let mut now = tree(&store.join("blobs"));
        now.retain(|path, _| self.blobs.contains_key(path) && path.is_file());
        let mut before = self.blobs.clone();
        before.retain(|path, _| path.is_file());
        assert_eq!(before, now, "{context}");
        assert_nothing_pending(&store);
        assert_eq!(self.around, around(&self.sandbox), "{context}: something was written outside the store");
    }

    /// The failure is what it should be, and harmless.
    fn assert_refused(&self, context: &str, output: &Output, code: i32, says: &[String]) {
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{context}: {said}");
        assert!(output.stdout.is_empty(), "{context}: {output:?}");
        for part in says {
            assert!(said.contains(part.as_str()), "{context}: {part:?} is not in: {said}");
        }
        let lines: Vec<_> = said.lines().collect();
        let is_one =
            lines[0].starts_with("larder: ") && lines[1..].iter().all(|line| line.starts_with("hint: "));
        assert!(is_one && lines.len() <= 2, "{context}: one message, and at most a hint: {said}");
        self.assert_unchanged(context);
    }
}

/// The names beside the store.
fn around(sandbox: &Sandbox) -> Vec<String> {
    let mut dirs = vec![sandbox.root().to_path_buf(), sandbox.path("home"), sandbox.path("tmp")];
    dirs.push(sandbox.store());
    let mut names = Vec::new();
    for dir in dirs {
        names.extend(
            std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path().display().to_string()),
        );
    }
    names.sort();
    names
}

/// Imports every case from a file and through a pipe.
fn refuse_all(cases: Vec<Case>) {
    let before = Before::new();
    let sandbox = &before.sandbox;
    for Case { what, archive, code, says } in cases {
        std::fs::write(sandbox.path("bad.tar"), &archive).unwrap();
        let from_file = sandbox.larder(["import", "bad.tar"]);
        let mut named = says.clone();
        named.push("archive bad.tar".into());
        before.assert_refused(&format!("{what}, from a file"), &from_file, code, &named);
        let from_pipe = feed(&mut sandbox.command(["import", "-"]), &archive);
        before.assert_refused(&format!("{what}, through a pipe"), &from_pipe, code, &says);
    }
    assert_sound(&sandbox.store());
    let left = blobs(&sandbox.store()).len();
    let known = before.blobs.keys().filter(|path| path.is_file()).count();
    // What a failed import finished may stay, but no failed import finishes without end.
    assert!(left < known + 40, "{left} blobs are left of {known}");
}
