//! Killed, or refused by the disk, at any system call that changes something: the index is the old one or the new one
//! (G1), every blob is what it is called (G3), the same command works again, and so does the next; and what was killed
//! while it put things right is put right by the next (G13).
//!
//! strace writes down every call of a run that is left alone; those that change something are the points. Then it
//! ends, or fails, one of them. Its count is a thread's, so larder runs with `--jobs 1`, and a change on any other
//! thread fails the test, as does a call that nobody has thought of: the points are all that there are.
//!
//! A command that is new here is a line in [`kill!`].

pub(crate) mod calls;
mod faults;
mod handover;
mod nested;
pub(crate) mod points;
mod repair;
mod scenario;

use std::os::unix::process::ExitStatusExt;

use crate::import::{CLANG, GCC};
use crate::support::{describe, need};
use points::{for_every, watch};
use scenario::{Scenario, meaning};

const IMPORT_ONE: &[&str] = &["import", "docker20.tar", "--jobs", "1"];
const IMPORT_TWO: &[&str] = &["import", "docker20-two.tar", "--jobs", "1"];

/// The first import, which makes the store as well.
const FIRST: Scenario = Scenario { prepare: &[], command: IMPORT_ONE, can_repeat: true };
/// A sibling into a store, through documents that are kept and made.
const SIBLING: Scenario = Scenario { prepare: &[IMPORT_ONE], command: IMPORT_TWO, can_repeat: true };
/// An archive whose manifests are kept, under a name that another image has.
const REPLACE: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["import", "skopeo-oci.tar", "--replace", "--jobs", "1"],
    can_repeat: true,
};
/// An archive that is eaten while it is imported: at every moment its content is in the archive or in the store.
const CONSUME: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["import", "ARCHIVE", "--consume", "--jobs", "1"],
    can_repeat: true,
};
/// An image out of a registry: one blob after the other.
const PULL: Scenario =
    Scenario { prepare: &[IMPORT_ONE], command: &["pull", "IMAGE", "--jobs", "1"], can_repeat: true };
/// A bundle with one image: member after member, and a journal from the first one on.
const BUNDLE: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["bundle", "apply", "BUNDLE", "--jobs", "1"],
    can_repeat: true,
};
/// The same in parts, in which its layer is cut.
const PARTS: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["bundle", "apply", "PART3", "PART1", "PART2", "--jobs", "1"],
    can_repeat: true,
};
/// The next one, whose layer is made of that of the one before.
const DELTA: Scenario = Scenario {
    prepare: &[&["bundle", "apply", "BUNDLE"]],
    command: &["bundle", "apply", "DELTA", "--jobs", "1"],
    can_repeat: true,
};
const INIT: Scenario = Scenario { prepare: &[], command: &["init"], can_repeat: true };
const TAG: Scenario = Scenario { prepare: &[IMPORT_TWO], command: &["tag", CLANG, GCC], can_repeat: true };
const RM: Scenario = Scenario { prepare: &[IMPORT_TWO], command: &["rm", GCC], can_repeat: false };
const PIN: Scenario = Scenario { prepare: &[IMPORT_ONE], command: &["pin", GCC], can_repeat: true };
const UNPIN: Scenario =
    Scenario { prepare: &[IMPORT_ONE, &["pin", GCC]], command: &["unpin", GCC], can_repeat: true };
const ANNOTATE: Scenario =
    Scenario { prepare: &[IMPORT_ONE], command: &["annotate", GCC, "project=capy"], can_repeat: true };
/// A document beside its image: its blobs and its manifest first, its entry last.
const ATTACH: Scenario =
    Scenario { prepare: &[IMPORT_ONE], command: &["sbom", "--attach", GCC], can_repeat: true };
/// The image is there; what is declared of it is not.
const DECLARE: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["import", "docker20.tar", "--jobs", "1", "--project", "capy"],
    can_repeat: true,
};
/// An image of a definition, with its aliases.
const DEFINED: Scenario =
    Scenario { prepare: &[IMPORT_ONE], command: &["def", "build", "--all", "--jobs", "1"], can_repeat: true };
/// What a name let go is swept; the names stay as they are.
const GC: Scenario = Scenario { prepare: &[IMPORT_TWO, &["rm", GCC]], command: &["gc"], can_repeat: true };
/// A version that lost its name goes, in one piece with the names of all others.
const PRUNE: Scenario = Scenario {
    prepare: &[IMPORT_TWO, &["import", "skopeo-oci.tar", "--replace", "--jobs", "1"]],
    command: &["prune", "--max-size", "12kB", "--min-age", "0s", "--orphan-age", "0s"],
    can_repeat: true,
};
/// The archive is whole, or not there.
const EXPORT: Scenario = Scenario {
    prepare: &[IMPORT_TWO],
    command: &["export", GCC, "-o", "OUTPUT", "--jobs", "1"],
    can_repeat: true,
};

impl Scenario {
    /// Kills it at every call that changes something; how many there are, `None` without strace.
    fn is_killed_everywhere(&self) -> Option<usize> {
        let sandbox = Self::sandbox();
        let (before, after) = self.before_and_after(&sandbox);
        let counted = sandbox.path("counted");
        self.prepare(&sandbox, &counted);
        let points = calls::changes(&watch(&sandbox, &self.command(&counted), &counted)?);
        assert!(points.iter().any(|point| point.call.starts_with("rename")), "{points:?}");
        for_every(&points, |number, point| {
            let store = sandbox.path(format!("killed-{number}"));
            self.prepare(&sandbox, &store);
            let mut strace = point.strace(&sandbox, &self.command(&store), &store, "signal=KILL");
            let output = strace.output().unwrap();
            assert_eq!(output.status.signal(), Some(9), "{point:?}: {}", describe(&strace, &output));
            let found = meaning(&store);
            assert!(found == before || found == after, "{point:?}: neither old nor new: {found:?}");
            self.check(&store, point);
            self.goes_on(&sandbox, &store, point, &after);
            Self::clean(&store);
        });
        Some(points.len())
    }
}

macro_rules! kill {
    ($($name:ident: $scenario:expr, $least:literal;)+) => {
        $(
            #[test]
            fn $name() {
                let points = need!($scenario.is_killed_everywhere(), "strace");
                assert!(points >= $least, "only {points} points: is everything seen?");
            }
        )+
    };
}

kill! {
    the_first_import: FIRST, 50;
    a_siblings_import: SIBLING, 20;
    a_replacing_import: REPLACE, 20;
    a_consuming_import: CONSUME, 20;
    a_pull: PULL, 20;
    a_bundle: BUNDLE, 20;
    a_bundle_in_parts: PARTS, 30;
    a_difference: DELTA, 20;
    init: INIT, 20;
    tag: TAG, 5;
    rm: RM, 5;
    pin: PIN, 5;
    unpin: UNPIN, 5;
    annotate: ANNOTATE, 5;
    sbom_attach: ATTACH, 10;
    an_import_that_declares: DECLARE, 5;
    a_build_of_definitions: DEFINED, 10;
    gc: GC, 5;
    prune: PRUNE, 8;
    export: EXPORT, 5;
}
