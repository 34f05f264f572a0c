//! Who brings images in, moves their names and takes them away, and knows what must be there.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;

use super::Soak;
use crate::support::store::{named, names};
use crate::support::tarball::{docker_archive, hex, layer, members_of, noise};
use crate::support::{Sandbox, describe};

/// One with names that nobody else touches. All share a base layer, so that the names of one keep what another lets go.
pub(super) struct Writer {
    number: u64,
    versions: [Version; 2],
}

/// An archive, and the hex digests of its layers.
struct Version {
    file: String,
    layers: BTreeSet<String>,
}

impl Writer {
    pub(super) fn new(sandbox: &Sandbox, number: u64) -> Self {
        let versions = [0, 1].map(|version| {
            // The last writer's are large enough to be eaten.
            let size = if number + 1 == super::WRITERS { (4 << 20) + 5000 } else { 200_000 };
            let own = layer("own", &noise(10 + 2 * number + version, size));
            let layers = [layer("base", &noise(1, 1 << 20)), own];
            let file = format!("{number}-{version}.tar");
            std::fs::write(sandbox.path(&file), docker_archive(&format!("w{number}:1"), &layers)).unwrap();
            Version { file, layers: layers.iter().map(|layer| hex(layer)).collect() }
        });
        Self { number, versions }
    }

    /// In from a file, another over it from a pipe (or eaten), a second name, both looked at, both gone.
    pub(super) fn turn(&self, soak: &Soak, turn: u64) {
        let (one, two) = (format!("w{}:1", self.number), format!("w{}:2", self.number));
        let [first, second] = match turn % 2 {
            0 => [&self.versions[0], &self.versions[1]],
            _ => [&self.versions[1], &self.versions[0]],
        };
        soak.runs(&["import", &first.file], &[0]);
        self.assert_is(soak, &one, first);
        soak.runs(&["tag", &one, &two], &[0]);
        if self.number + 1 == super::WRITERS {
            self.eat(soak, second);
        } else {
            replace_from_pipe(soak, second);
        }
        self.assert_is(soak, &one, second);
        self.assert_is(soak, &two, first);
        soak.runs(&["verify", &two], &[0]);
        soak.runs(&["rm", &one, &two], &[0]);
        let left = names(&soak.sandbox.store());
        assert!(!left.contains(&one) && !left.contains(&two), "{left:?}");
    }

    fn eat(&self, soak: &Soak, version: &Version) {
        let copy = format!("{}-eaten.tar", self.number);
        std::fs::copy(soak.sandbox.path(&version.file), soak.sandbox.path(&copy)).unwrap();
        soak.runs(&["import", &copy, "--replace", "--consume"], &[0]);
        assert!(!soak.sandbox.path(&copy).exists());
    }

    /// The name is there, and its layers are what went in.
    fn assert_is(&self, soak: &Soak, name: &str, version: &Version) {
        assert!(named(&soak.sandbox.store(), name).is_some(), "{name} is lost");
        let out = format!("{}-out.tar", self.number);
        soak.runs(&["export", name, "-o", &out, "--archive", "docker", "--layers", "plain"], &[0]);
        let members = members_of(&soak.sandbox.path(&out));
        let contents: BTreeSet<_> = members.values().map(|content| hex(content)).collect();
        assert!(contents.is_superset(&version.layers), "{name} is another image");
    }

    /// After the end: it can all be done once more, and stays.
    pub(super) fn assert_all_there(&self, soak: &Soak) {
        soak.runs(&["import", &self.versions[0].file], &[0]);
        self.assert_is(soak, &format!("w{}:1", self.number), &self.versions[0]);
    }
}

fn replace_from_pipe(soak: &Soak, version: &Version) {
    let mut cat = std::process::Command::new("cat");
    let archive = File::open(soak.sandbox.path(&version.file)).unwrap();
    let mut cat = cat.stdin(archive).stdout(Stdio::piped()).spawn().unwrap();
    let mut import = soak.sandbox.command(["import", "-", "--replace"]);
    let output = import.stdin(cat.stdout.take().unwrap()).output().unwrap();
    assert!(output.status.success(), "{}", describe(&import, &output));
    assert!(cat.wait().unwrap().success());
}
