//! The store before and after a hostile import.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::confined::{Ended, MEMORY, TIME, run};
use super::{Case, Expected, Way, calls, copy};
use crate::roundtrip::imported;
use crate::support::Sandbox;
use crate::support::store::tree;

/// The input's name in the sandbox.
const INPUT: &str = "hostile.tar";

/// A store with an image in it, of which every attempt gets a copy.
pub(super) struct Before {
    sandbox: Sandbox,
    index: Vec<u8>,
    blobs: BTreeMap<String, Vec<u8>>,
}

/// What came of an attempt.
pub(super) struct Tried {
    pub(super) failures: Vec<String>,
    pub(super) is_slow: bool,
    pub(super) busy: Duration,
}

impl Before {
    pub(super) fn new() -> Self {
        let sandbox = imported("docker20.tar");
        let (index, blobs) = (index(&sandbox), blobs(&sandbox));
        assert!(!blobs.is_empty());
        Self { sandbox, index, blobs }
    }

    /// Imports the case into a copy of the store, and looks at everything.
    pub(super) fn attempt(&self, case: &Case, way: Way) -> Tried {
        let sandbox = Sandbox::new();
        copy(&self.sandbox.store(), &sandbox.store());
        case.place(&sandbox.path(INPUT));
        if let Some(prepare) = &case.prepare {
            prepare(&sandbox);
        }
        let around = around(&sandbox);
        let stdin = match (way, &case.input) {
            (Way::Pipe, super::Input::Bytes(bytes)) => Some(&bytes[..]),
            _ => None,
        };
        let source = if stdin.is_some() { "-" } else { INPUT };
        let args = ["import", source].into_iter().chain(case.args.iter().copied());
        let ended = run(&sandbox, args, stdin);
        let mut wrong = what_it_said(case, &ended, source);
        wrong.extend(what_it_used(&ended));
        wrong.extend(self.what_it_left(case, &sandbox, &ended));
        if around != self::around(&sandbox) {
            wrong.push("something beside the store changed".to_owned());
        }
        if let (Expected::Taken, Some(0), Some(check)) = (&case.expected, ended.code, &case.check) {
            check(&sandbox);
        }
        let failures = if wrong.is_empty() {
            Vec::new()
        } else {
            vec![format!(
                "{}:\n    {}\n    {}",
                case.title(way),
                wrong.join("\n    "),
                ended.stderr.trim_end()
            )]
        };
        Tried { failures, is_slow: ended.code.is_some() && ended.busy > TIME, busy: ended.busy }
    }

    /// The index, the blobs of before, and what is for the time of an import only.
    fn what_it_left(&self, case: &Case, sandbox: &Sandbox, ended: &Ended) -> Vec<String> {
        let mut wrong = Vec::new();
        let is_same = index(sandbox) == self.index;
        if matches!(case.expected, Expected::Refused(_)) && !is_same {
            wrong.push("index.json changed".to_owned());
        }
        let now = blobs(sandbox);
        wrong.extend(
            self.blobs
                .iter()
                .filter(|(hex, bytes)| now.get(*hex) != Some(bytes))
                .map(|(hex, _)| format!("blob {hex} of before changed")),
        );
        for name in ["ingest", "leases"] {
            let left = std::fs::read_dir(sandbox.store().join(".larder").join(name)).unwrap().count();
            if left > 0 {
                wrong.push(format!("{left} left in {name}/"));
            }
        }
        let (store, cwd) = (sandbox.store().canonicalize().unwrap(), sandbox.root().canonicalize().unwrap());
        wrong.extend(
            calls::outside(&ended.calls, &store, &cwd).into_iter().map(|call| format!("outside: {call}")),
        );
        if !ended.calls.contains("/.larder") {
            wrong.push("strace saw nothing of it".to_owned());
        }
        let verified = sandbox.larder(["verify"]);
        if !verified.status.success() {
            wrong.push(format!("larder verify: {verified:?}"));
        }
        wrong
    }
}

/// The exit code, and one message without anything that steers a terminal.
fn what_it_said(case: &Case, ended: &Ended, source: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let lines: Vec<_> = ended.stderr.lines().collect();
    let messages = lines.iter().filter(|line| line.starts_with("larder: ")).count();
    match &case.expected {
        Expected::Refused(says) => {
            if !matches!(ended.code, Some(1 | 5)) {
                wrong.push(format!("it ended with {:?}, not 1 or 5", ended.code));
            }
            if !ended.stdout.is_empty() {
                wrong.push(format!("stdout: {}", ended.stdout));
            }
            let hints = lines.iter().skip(1).filter(|line| line.starts_with("hint: ")).count();
            if messages != 1 || lines.len() != 1 + hints || hints > 1 {
                wrong.push("not one message".to_owned());
            }
            let named = format!("archive {source}");
            for word in says.iter().chain([&named]).filter(|word| !ended.stderr.contains(word.as_str())) {
                wrong.push(format!("{word:?} is not in the message"));
            }
        }
        Expected::Taken if ended.code != Some(0) || messages > 0 => {
            wrong.push(format!("it ended with {:?}, not 0", ended.code));
        }
        Expected::Taken => {}
    }
    let steers = |c: char| {
        (c.is_control() && c != '\n')
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if ended.stderr.contains(steers) || ended.stdout.contains(steers) {
        wrong.push(format!("control characters in {:?} or {:?}", ended.stderr, ended.stdout));
    }
    wrong
}

/// Time is looked at by those who can try again.
fn what_it_used(ended: &Ended) -> Option<String> {
    match ended.peak {
        0 => Some("its memory was not measured".to_owned()),
        peak if peak > MEMORY => Some(format!("{} MiB of memory", peak >> 20)),
        _ => None,
    }
}

fn index(sandbox: &Sandbox) -> Vec<u8> {
    std::fs::read(sandbox.store().join("index.json")).unwrap()
}

/// All blobs that are files.
fn blobs(sandbox: &Sandbox) -> BTreeMap<String, Vec<u8>> {
    let dir = std::fs::read_dir(sandbox.store().join("blobs/sha256")).unwrap().flatten();
    let files = dir.filter(|entry| entry.file_type().unwrap().is_file());
    files
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect()
}

/// All that lies beside the store.
fn around(sandbox: &Sandbox) -> BTreeMap<PathBuf, (u64, u64, i64, i64)> {
    let store = sandbox.store();
    let is_beside = |path: &Path| !path.starts_with(&store);
    tree(sandbox.root()).into_iter().filter(|(path, _)| is_beside(path)).collect()
}
