//! The power fails (G2): what a command that ended with 0 has done is there, and what it did not is there or not, but
//! never half.
//!
//! ext4 on a loop mount commits on its own only every 1000 seconds here, and writes no content because of a rename:
//! without an fsync nothing would come to the disk. The disk is shut down, without a flush of its journal, and mounted
//! again.

mod moments;

use std::path::{Path, PathBuf};

use crate::import::{CLANG, GCC};
use crate::kill::calls::{Call, read};
use crate::kill::points::{Point, watch};
use crate::support::disks::{Disk, here, own_namespace};
use crate::support::store::{assert_sound, index_text, named};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, fixture, need, run};

const LAZY: &str = "commit=1000,noauto_da_alloc";
const SIZE: u64 = 160 << 20;

/// A sandbox whose store is on a disk that can be cut off.
struct Desk {
    sandbox: Sandbox,
    disk: Disk,
}

impl Desk {
    fn new() -> Self {
        let (mut sandbox, disk) = (Sandbox::new(), Disk::ext4(SIZE, LAZY));
        sandbox.set("LARDER_STORE", disk.path().join("store"));
        for file in ["docker20.tar", "docker20-two.tar", "skopeo-oci.tar"] {
            std::fs::copy(fixture(file), sandbox.path(file)).unwrap();
        }
        std::fs::create_dir(sandbox.path("context")).unwrap();
        let dockerfile = format!("FROM {GCC}\nCOPY Dockerfile /from/\nWORKDIR /work\n");
        std::fs::write(sandbox.path("context/Dockerfile"), dockerfile).unwrap();
        let definition = sandbox.path("images/defined/1");
        std::fs::create_dir_all(&definition).unwrap();
        std::fs::write(definition.join("image.yml"), "tags: [{name: 1.0.0}]").unwrap();
        std::fs::write(definition.join("Dockerfile.jinja2"), format!("FROM {GCC}\nWORKDIR /defined\n"))
            .unwrap();
        Self { sandbox, disk }
    }

    fn store(&self) -> PathBuf {
        self.disk.path().join("store")
    }

    /// Writes a file on the disk that is there to stay.
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.disk.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        std::fs::File::open(&path).unwrap().sync_all().unwrap();
        std::fs::File::open(self.disk.path()).unwrap().sync_all().unwrap();
        path
    }

    /// Cuts the power with `meanwhile` going on, and mounts the disk again; fails where nothing was cut.
    fn cut(&self, meanwhile: impl FnOnce()) {
        let unsynced = self.disk.path().join("unsynced");
        std::fs::write(&unsynced, "gone").unwrap();
        self.disk.cut_power();
        meanwhile();
        self.disk.restart();
        let left = std::fs::read(&unsynced).unwrap_or_default();
        assert_eq!(left, b"", "the power was not cut, the test shows nothing");
    }
}

/// Commands that change something, in an order in which each has something to do; `DISK` is where the disk is. A new
/// command is a line.
const COMMANDS: &[&[&str]] = &[
    &["init"],
    &["import", "docker20-two.tar"],
    &["tag", CLANG, "other:1"],
    &["annotate", GCC, "project=capy"],
    &["sbom", "--attach", GCC],
    &["pin", GCC],
    &["import", "skopeo-oci.tar", "--replace"],
    &["unpin", GCC],
    &["rm", "other:1"],
    &["rm", CLANG],
    &["gc"],
    &["import", "DISK/eaten.tar", "--consume"],
    &["export", GCC, "-o", "DISK/out.tar"],
    &["import", "docker20-two.tar", "--replace"],
    &["gc", "--grace", "0s"],
    &["build", "context", "-t", "built:1"],
    &["def", "build", "--all"],
    &["import", "skopeo-oci.tar", "--replace"],
    &["prune", "--unused-for", "0s", "--min-age", "0s"],
];

#[test]
fn what_a_command_that_ended_with_0_has_done_is_there() {
    if !own_namespace(here!()) {
        return;
    }
    let desk = Desk::new();
    let layers = [1, 2].map(|seed| layer("noise", &noise(seed, 5 << 20)));
    desk.put("eaten.tar", &docker_archive("eaten:1", &layers));
    let picture = || {
        let read = |name: &str| std::fs::read(desk.disk.path().join(name)).ok();
        (index_text(&desk.store()), read("eaten.tar").is_some(), read("out.tar"))
    };
    for command in COMMANDS {
        let disk = desk.disk.path().display().to_string();
        desk.sandbox.ok(command.iter().map(|word| word.replace("DISK", &disk)));
        let before = picture();
        desk.cut(|| ());
        assert!(before == picture(), "{command:?}: not as it was when it ended");
        desk.sandbox.ok(["verify"]);
        assert_sound(&desk.store());
    }
    assert!(!desk.disk.path().join("eaten.tar").exists() && desk.disk.path().join("out.tar").exists());
    assert!(index_text(&desk.store()).contains("eaten:1"));
}

/// The place of the last fsync of the store's own directory, which makes the index durable.
fn last_settling(desk: &Desk, args: &[String]) -> Option<Point> {
    let counted = desk.disk.path().join("counted");
    let log = watch(&desk.sandbox, args, &counted)?;
    let _ = std::fs::remove_dir_all(&counted);
    let is_settled =
        |call: &Call<'_>| call.name == "fsync" && call.path().is_some_and(|path| Path::new(path) == counted);
    let last = read(&log).into_iter().rfind(is_settled);
    Some(Point { call: "fsync".into(), when: last.expect("an index is made durable").when })
}

/// A process dies between the rename of the index and its fsync. Who then says that all is done already must not have
/// it taken back.
#[test]
fn what_a_killed_command_has_renamed_is_durable_before_anybody_relies_on_it() {
    if !own_namespace(here!()) {
        return;
    }
    let commands: [(&[&str], &str); 2] =
        [(&["import", "docker20.tar", "--jobs", "1"], GCC), (&["tag", GCC, "other:1"], "other:1")];
    let desk = Desk::new();
    for (command, name) in commands {
        let command: Vec<_> = command.iter().map(|&word| word.to_owned()).collect();
        if name != GCC {
            // The run that is counted needs what the one that is killed has.
            let mut import = desk.sandbox.command(["import", "docker20.tar"]);
            run(import.env("LARDER_STORE", desk.disk.path().join("counted")));
        }
        let point = need!(last_settling(&desk, &command), "strace");
        let output = point.strace(&desk.sandbox, &command, &desk.store(), "signal=KILL").output().unwrap();
        assert!(!output.status.success() && named(&desk.store(), name).is_some(), "{output:?}");
        desk.sandbox.ok(&command);
        desk.cut(|| ());
        assert!(named(&desk.store(), name).is_some(), "{name} was taken back");
        desk.sandbox.ok(["verify"]);
    }
}

/// An index that comes back must not need what a gc took: it is made durable first.
#[test]
fn gc_takes_nothing_before_the_index_is_durable() {
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["import".as_ref(), fixture("docker20-two.tar").as_os_str()]);
    sandbox.ok(["rm", GCC]);
    let log = need!(watch(&sandbox, &["gc".to_owned()], &sandbox.store()), "strace");
    let calls = read(&log);
    let is_settled = |call: &Call<'_>| {
        call.name == "fsync" && call.path().is_some_and(|path| Path::new(path) == sandbox.store())
    };
    let settled = calls.iter().position(is_settled).expect("the index is made durable");
    let taken =
        calls.iter().position(|call| call.name.starts_with("rename") && call.args.contains("/trash>"));
    assert!(settled < taken.expect("something is taken"));
}
