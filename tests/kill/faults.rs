//! The disk refuses a call: the command fails (G6), the store is the old one or the new one, and nothing is left.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use super::calls::{Call, read};
use super::points::{Point, for_every, watch};
use super::scenario::{Scenario, meaning};
use super::{ANNOTATE, ATTACH, CONSUME, EXPORT, FIRST, GC, INIT, PIN, REPLACE, RM, SIBLING, TAG};
use crate::support::store::assert_nothing_pending;
use crate::support::{Sandbox, describe, need};

/// Whether a refusal may be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The command must fail: somebody relies on this.
    Matters,
    /// What can be lost may be lost: caches, the reserve, an early look at a file.
    MayPass,
}

/// The calls of a run that is left alone, in the store with this name, that are to be refused.
fn points(
    scenario: &Scenario,
    sandbox: &Sandbox,
    is_chosen: impl Fn(&Call<'_>, &Path) -> bool,
) -> Option<Vec<Point>> {
    let store = sandbox.path("counted");
    scenario.prepare(sandbox, &store);
    let log = watch(sandbox, &scenario.command(&store), &store)?;
    let chosen = read(&log).into_iter().filter(|call| is_chosen(call, &store));
    let points: Vec<_> = chosen.map(|call| Point { call: call.name.to_owned(), when: call.when }).collect();
    assert!(!points.is_empty());
    Some(points)
}

impl Scenario {
    /// Fails each of these calls in turn.
    fn is_refused(&self, sandbox: &Sandbox, points: &[Point], error: &str, refusal: Refusal) {
        let (before, after) = self.before_and_after(sandbox);
        for_every(points, |number, point| {
            let store = sandbox.path(format!("refused-{number}"));
            self.prepare(sandbox, &store);
            let mut strace = point.strace(sandbox, &self.command(&store), &store, &format!("error={error}"));
            let output = strace.output().unwrap();
            let described = describe(&strace, &output);
            let found = meaning(&store);
            match output.status.code() {
                Some(0) if refusal == Refusal::MayPass => assert_eq!(found, after, "{point:?}: {described}"),
                Some(1 | 5) => {
                    assert!(found == before || found == after, "{point:?}: {found:?}: {described}");
                    assert!(output.stdout.is_empty() || found == after, "{point:?}: {described}");
                    let said = String::from_utf8_lossy(&output.stderr);
                    assert!(said.lines().any(|line| line.starts_with("larder: ")), "{point:?}: {described}");
                }
                code => panic!("{point:?}: ended with {code:?}: {described}"),
            }
            self.check(&store, point);
            if store.join("index.json").exists() && self.command[0] != "init" {
                assert_nothing_pending(&store);
            }
            self.goes_on(sandbox, &store, point, &after);
            Self::clean(&store);
        });
    }

    fn is_refused_everywhere(&self, calls: &[&str], error: &str, refusal: Refusal) -> Option<()> {
        let sandbox = Self::sandbox();
        let points = points(self, &sandbox, |call, _| calls.contains(&call.name))?;
        self.is_refused(&sandbox, &points, error, refusal);
        Some(())
    }
}

#[test]
fn an_fsync_that_fails_fails_the_command() {
    for scenario in [FIRST, SIBLING, REPLACE, CONSUME, INIT, TAG, RM, PIN, ANNOTATE, ATTACH, GC, EXPORT] {
        let calls = ["fsync", "fdatasync", "syncfs", "sync_file_range"];
        need!(scenario.is_refused_everywhere(&calls, "EIO", Refusal::Matters), "strace");
    }
}

/// What a close would report of content that matters, the fsync before it has reported: a success stays true.
#[test]
fn a_close_that_fails_makes_no_success_untrue() {
    for scenario in [SIBLING, CONSUME, TAG, GC, EXPORT] {
        let sandbox = Scenario::sandbox();
        let log = Mutex::new(BTreeSet::new());
        // A close that is refused here is not made: a lock would be held by what is left open. So: files with content.
        let is_chosen = |call: &Call<'_>, store: &Path| {
            let Some(path) = call.path() else { return false };
            let is_beside = path.starts_with(&*store.with_extension("").to_string_lossy());
            if call.changes() {
                log.lock().unwrap().insert(path.to_owned());
            }
            call.name == "close" && is_beside && log.lock().unwrap().contains(path)
        };
        let points = need!(points(&scenario, &sandbox, is_chosen), "strace");
        scenario.is_refused(&sandbox, &points, "EIO", Refusal::MayPass);
    }
}

#[test]
fn a_rename_that_fails_changes_nothing() {
    for scenario in [SIBLING, TAG, RM, ATTACH, GC, EXPORT] {
        let calls = ["rename", "renameat", "renameat2"];
        need!(scenario.is_refused_everywhere(&calls, "EIO", Refusal::MayPass), "strace");
    }
}

#[test]
fn a_write_without_room_changes_nothing() {
    for scenario in [SIBLING, TAG, RM, ATTACH, GC] {
        let calls = ["write", "pwrite64", "writev", "mkdir", "mkdirat", "fallocate"];
        need!(scenario.is_refused_everywhere(&calls, "ENOSPC", Refusal::MayPass), "strace");
    }
}

#[test]
#[ignore = "long: every open"]
fn without_descriptors_nothing_is_lost() {
    for scenario in [SIBLING, TAG, RM, ATTACH, GC] {
        // The loader of the C library opens files too, and says so in its own way when it cannot.
        let sandbox = Scenario::sandbox();
        let points = need!(points(&scenario, &sandbox, |call, _| call.name == "openat"), "strace");
        let (before, after) = scenario.before_and_after(&sandbox);
        let codes = Mutex::new(BTreeSet::new());
        for_every(&points, |number, point| {
            let store = sandbox.path(format!("refused-{number}"));
            scenario.prepare(&sandbox, &store);
            let output =
                point.strace(&sandbox, &scenario.command(&store), &store, "error=EMFILE").output().unwrap();
            codes.lock().unwrap().insert(output.status.code());
            let found = meaning(&store);
            assert!(found == before || found == after, "{point:?}: {found:?}: {output:?}");
            assert!(!output.status.success() || found == after, "{point:?}: {output:?}");
            scenario.check(&store, point);
            scenario.goes_on(&sandbox, &store, point, &after);
            Scenario::clean(&store);
        });
        assert!(codes.lock().unwrap().contains(&Some(1)), "{codes:?}");
    }
}
