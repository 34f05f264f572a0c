//! The disk refuses a call: the command fails (G6), the store is the old one or the new one, and nothing is left.

use std::collections::BTreeSet;

use super::points::{Point, count, for_every};
use super::{FIRST, RM, SIBLING, Scenario, TAG, check, meaning};
use crate::support::store::assert_nothing_pending;
use crate::support::{describe, need};

/// Whether a refusal may be passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refusal {
    /// The command must fail: somebody relies on this.
    Matters,
    /// What can be lost may be lost: caches, the reserve, an early look at a file.
    MayPass,
}

impl Scenario {
    /// Fails each of these calls in turn.
    fn is_refused_everywhere(&self, calls: &[&str], error: &str, refusal: Refusal) -> Option<()> {
        let sandbox = self.sandbox();
        let (before, after) = self.before_and_after(&sandbox);
        let mut points = Vec::new();
        for (call, count) in count(&sandbox, self, calls)? {
            points.extend((1..=count).map(|when| Point { call: call.clone(), when }));
        }
        assert!(!points.is_empty());
        for_every(&points, |number, point| {
            let store = sandbox.path(format!("refused-{number}"));
            self.prepare(&sandbox, &store);
            let mut strace = point.strace(&sandbox, &self.command(&store), &store, &format!("error={error}"));
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
            check(&store, point);
            if store.join("index.json").exists() {
                assert_nothing_pending(&store);
            }
            self.goes_on(&sandbox, &store, point, found == after, &after);
            std::fs::remove_dir_all(&store).unwrap();
        });
        Some(())
    }
}

#[test]
fn an_fsync_that_fails_fails_the_command() {
    for scenario in [FIRST, SIBLING, TAG, RM] {
        need!(scenario.is_refused_everywhere(&["fsync", "fdatasync"], "EIO", Refusal::Matters), "strace");
    }
}

#[test]
fn a_rename_that_fails_changes_nothing() {
    for scenario in [SIBLING, TAG, RM] {
        let calls = ["rename", "renameat", "renameat2"];
        need!(scenario.is_refused_everywhere(&calls, "EIO", Refusal::MayPass), "strace");
    }
}

#[test]
fn a_write_without_room_changes_nothing() {
    for scenario in [SIBLING, TAG, RM] {
        let calls = ["write", "pwrite64", "writev", "mkdir", "mkdirat", "fallocate"];
        need!(scenario.is_refused_everywhere(&calls, "ENOSPC", Refusal::MayPass), "strace");
    }
}

#[test]
#[ignore = "long: every open"]
fn without_descriptors_nothing_is_lost() {
    for scenario in [SIBLING, TAG, RM] {
        // The loader of the C library opens files too, and says so in its own way when it cannot.
        let sandbox = scenario.sandbox();
        let counts = need!(count(&sandbox, &scenario, &["openat"]), "strace");
        let (before, after) = scenario.before_and_after(&sandbox);
        let points: Vec<_> =
            (1..=counts["openat"]).map(|when| Point { call: "openat".into(), when }).collect();
        let codes = std::sync::Mutex::new(BTreeSet::new());
        for_every(&points, |number, point| {
            let store = sandbox.path(format!("refused-{number}"));
            scenario.prepare(&sandbox, &store);
            let output =
                point.strace(&sandbox, &scenario.command(&store), &store, "error=EMFILE").output().unwrap();
            codes.lock().unwrap().insert(output.status.code());
            let found = meaning(&store);
            assert!(found == before || found == after, "{point:?}: {found:?}: {output:?}");
            assert!(!output.status.success() || found == after, "{point:?}: {output:?}");
            check(&store, point);
            scenario.goes_on(&sandbox, &store, point, found == after, &after);
            std::fs::remove_dir_all(&store).unwrap();
        });
        assert!(codes.lock().unwrap().contains(&Some(1)), "{codes:?}");
    }
}
