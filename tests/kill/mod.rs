//! Killed, or refused by the disk, at any system call that changes something: the index is the old one or the new one
//! (G1), every blob is what it is called (G3), the same command works again, and so does the next.
//!
//! strace counts the calls of a run that is left alone, and then ends or fails one of them. The count is a thread's,
//! so larder runs with `--jobs 1`. The short form takes every call that changes a name or makes something durable, and
//! some of the others; the long one takes all.

mod faults;
mod points;

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};

use crate::import::{CLANG, GCC};
use crate::support::store::{assert_blobs_match, assert_sound, blob_path, blobs, document, entries, named};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, describe, fixture, need, run};
use points::{Length, Point, for_every, points};

/// A command that changes a store.
struct Scenario {
    /// What is done before.
    prepare: &'static [&'static [&'static str]],
    /// What is killed; `ARCHIVE` stands for a large archive of this store alone.
    command: &'static [&'static str],
    /// Whether it may be given again after it was done: `rm` finds nothing then.
    can_repeat: bool,
}

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
const INIT: Scenario = Scenario { prepare: &[], command: &["init"], can_repeat: true };
const TAG: Scenario = Scenario { prepare: &[IMPORT_TWO], command: &["tag", CLANG, GCC], can_repeat: true };
/// An archive that is eaten while it is imported: at every moment its content is in the archive or in the store.
const CONSUME: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["import", "ARCHIVE", "--consume", "--jobs", "1"],
    can_repeat: true,
};
/// What a name let go is swept; the names stay as they are.
const GC: Scenario = Scenario { prepare: &[IMPORT_TWO, &["rm", GCC]], command: &["gc"], can_repeat: true };
/// A manifest and a layer that were damaged are put right.
const REPAIR: Scenario = Scenario {
    prepare: &[IMPORT_TWO],
    command: &["verify", "--repair", "--from", "docker20-two.tar", "--jobs", "1"],
    can_repeat: true,
};
const RM: Scenario = Scenario { prepare: &[IMPORT_TWO], command: &["rm", GCC], can_repeat: false };

/// The names, and what they mean.
type Meaning = Vec<(String, String)>;

impl Scenario {
    /// A sandbox with the archives.
    fn sandbox(&self) -> Sandbox {
        let sandbox = Sandbox::new();
        for file in ["docker20.tar", "docker20-two.tar", "skopeo-oci.tar", "multiarch-oci.tar"] {
            std::fs::copy(fixture(file), sandbox.path(file)).unwrap();
        }
        sandbox
    }

    /// The command for a store.
    fn command(&self, store: &Path) -> Vec<String> {
        let archive = archive_of(store).display().to_string();
        self.command.iter().map(|word| word.replace("ARCHIVE", &archive)).collect()
    }

    /// Makes the store in which the command is run.
    fn prepare(&self, sandbox: &Sandbox, store: &Path) {
        if self.command.contains(&"ARCHIVE") {
            let layers = [1, 2].map(|seed| layer("noise", &noise(seed, 5 << 20)));
            std::fs::write(archive_of(store), docker_archive("eaten:1", &layers)).unwrap();
        }
        for args in self.prepare {
            run(sandbox.command(*args).env("LARDER_STORE", store));
        }
        if self.is_repair() {
            damaged(store).iter().for_each(|path| flip(path));
        }
    }

    fn is_repair(&self) -> bool {
        self.command.contains(&"--repair")
    }

    /// What the names mean before and after.
    fn before_and_after(&self, sandbox: &Sandbox) -> (Meaning, Meaning) {
        let store = sandbox.path("clean");
        self.prepare(sandbox, &store);
        let before = meaning(&store);
        run(sandbox.command(self.command(&store)).env("LARDER_STORE", &store));
        (before, meaning(&store))
    }

    fn is_killed_everywhere(&self, length: Length) -> Option<()> {
        let sandbox = self.sandbox();
        let (before, after) = self.before_and_after(&sandbox);
        let keeps_names = [["init"], ["gc"]].iter().any(|same| self.command == same) || self.is_repair();
        assert!(before != after || keeps_names);
        let points = points(&sandbox, self, length)?;
        for_every(&points, |number, point| {
            let store = sandbox.path(format!("killed-{number}"));
            self.prepare(&sandbox, &store);
            let mut strace = point.strace(&sandbox, &self.command(&store), &store, "signal=KILL");
            let output = strace.output().unwrap();
            assert_eq!(output.status.signal(), Some(9), "{point:?}: {}", describe(&strace, &output));
            let found = meaning(&store);
            assert!(found == before || found == after, "{point:?}: neither old nor new: {found:?}");
            match self.is_repair() {
                true => check_repair(&store, &sandbox.path("clean"), point),
                false => check(&store, point),
            }
            self.goes_on(&sandbox, &store, point, found == after, &after);
            std::fs::remove_dir_all(&store).unwrap();
        });
        Some(())
    }

    /// The same command again, whatever came of it the first time, and another one after it.
    fn goes_on(&self, sandbox: &Sandbox, store: &Path, point: &Point, is_done: bool, after: &Meaning) {
        let larder = |args: &[&str]| {
            let mut command = sandbox.command(args);
            let output = command.env("LARDER_STORE", store).output().unwrap();
            (output.status.code(), describe(&command, &output))
        };
        // Only what is named already may have cost the archive.
        let is_eaten = self.command.contains(&"ARCHIVE") && !archive_of(store).exists();
        assert!(!is_eaten || is_done, "{point:?}: the archive is gone, and its image is not there");
        if !is_eaten {
            let command = self.command(store);
            let (code, described) = larder(&command.iter().map(String::as_str).collect::<Vec<_>>());
            let expected = if is_done && !self.can_repeat { 3 } else { 0 };
            assert_eq!(code, Some(expected), "{point:?}: {described}");
        }
        let journals = std::fs::read_dir(store.join(".larder/journals"));
        assert_eq!(journals.map_or(0, Iterator::count), 0, "{point:?}: a journal is left");
        assert_eq!(meaning(store), *after, "{point:?}");
        let (code, described) = larder(&["import", "multiarch-oci.tar"]);
        assert_eq!(code, Some(0), "{point:?}: {described}");
        assert_sound(store);
        let meaning = meaning(store);
        let names = meaning.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with('('));
        let all: Vec<_> = ["export", "--all-platforms", "-o", "/dev/null"].into_iter().chain(names).collect();
        let (code, described) = larder(&all);
        assert_eq!(code, Some(0), "{point:?}: {described}");
    }
}

/// The archive that a store's command eats.
fn archive_of(store: &Path) -> PathBuf {
    store.with_extension("tar")
}

/// What a killed command may leave: a store, or a directory that is not one yet.
fn check(store: &Path, point: &Point) {
    if store.join("index.json").exists() {
        assert_sound(store);
    } else {
        assert!(!store.join("oci-layout").exists(), "{point:?}: what says that it is a layout comes last");
        if store.join("blobs/sha256").exists() {
            assert_blobs_match(store);
        }
    }
}

/// The first image's manifest and its last layer, which the other image does not have.
fn damaged(store: &Path) -> [PathBuf; 2] {
    let manifest = named(store, GCC).unwrap();
    let layer = document(store, &manifest)["layers"].as_array().unwrap().last().unwrap()["digest"].clone();
    [blob_path(store, &manifest), blob_path(store, layer.as_str().unwrap())]
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(path).unwrap();
    std::fs::write(path, bytes).unwrap();
}

/// What a killed repair may leave: every blob is there, and is good or as damaged as it was.
fn check_repair(store: &Path, clean: &Path, point: &Point) {
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

/// The entries of the index: names, those that were lost, and digests. None where there is no index yet.
fn meaning(store: &Path) -> Meaning {
    if !store.join("index.json").exists() {
        return Vec::new();
    }
    let entries = entries(store);
    let name = |entry: &serde_json::Value| {
        let annotation = |key: &str| entry["annotations"][key].as_str().map(str::to_owned);
        let was = || format!("(was {})", annotation("dev.larder.was").unwrap_or_default());
        (
            annotation(crate::support::store::REF_NAME).unwrap_or_else(was),
            entry["digest"].as_str().unwrap().to_owned(),
        )
    };
    let mut meaning: Meaning = entries.iter().map(name).collect();
    meaning.sort();
    meaning
}

macro_rules! kill {
    ($($short:ident, $long:ident: $scenario:expr;)+) => {
        $(
            #[test]
            fn $short() {
                need!($scenario.is_killed_everywhere(Length::Short), "strace");
            }

            #[test]
            #[ignore = "long: every system call"]
            fn $long() {
                need!($scenario.is_killed_everywhere(Length::Long), "strace");
            }
        )+
    };
}

kill! {
    the_first_import, the_first_import_at_every_call: FIRST;
    a_siblings_import, a_siblings_import_at_every_call: SIBLING;
    a_replacing_import, a_replacing_import_at_every_call: REPLACE;
    init, init_at_every_call: INIT;
    tag, tag_at_every_call: TAG;
    rm, rm_at_every_call: RM;
    gc, gc_at_every_call: GC;
    a_repair, a_repair_at_every_call: REPAIR;
    a_consuming_import, a_consuming_import_at_every_call: CONSUME;
}
