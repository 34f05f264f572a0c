//! One command that changes a store: what is there before, what it may leave, and what must go on afterwards.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use super::points::Point;
use crate::import::GCC;
use crate::support::image::Image;
use crate::support::store::{
    REF_NAME, assert_blobs_match, assert_nothing_pending, assert_sound, blobs, entries, reachable,
};
use crate::support::tarball::{docker_archive, layer, members_of, noise};
use crate::support::web::Web;
use crate::support::{Sandbox, describe, fixture, run};

/// A command that changes a store.
pub(super) struct Scenario {
    /// What is done before.
    pub(super) prepare: &'static [&'static [&'static str]],
    /// What is killed; `ARCHIVE` stands for a large archive of this store alone, `OUTPUT` for a file beside it, `IMAGE` for an image
    /// in a registry.
    pub(super) command: &'static [&'static str],
    /// Whether it may be given again after it was done: `rm` finds nothing then.
    pub(super) can_repeat: bool,
}

/// The names, and what they mean.
pub(super) type Meaning = Vec<(String, String)>;

impl Scenario {
    /// A sandbox with the archives, in memory: a killed process needs no disk to be forgotten by.
    pub(super) fn sandbox() -> Sandbox {
        let mut sandbox = Sandbox::in_memory();
        // What is built is the same at each try.
        sandbox.set("SOURCE_DATE_EPOCH", "1700000000");
        let definition = sandbox.path("images/defined/1");
        std::fs::create_dir_all(&definition).unwrap();
        std::fs::write(definition.join("image.yml"), "tags: [{name: 1.0.0}]").unwrap();
        std::fs::write(definition.join("Dockerfile.jinja2"), format!("FROM {GCC}\nENV DEFINED=1\n")).unwrap();
        for file in ["docker20.tar", "docker20-two.tar", "skopeo-oci.tar", "multiarch-oci.tar"] {
            std::fs::copy(fixture(file), sandbox.path(file)).unwrap();
        }
        sandbox
    }

    /// The command for a store.
    pub(super) fn command(&self, store: &Path) -> Vec<String> {
        Scenario::words(self.command, store)
    }

    fn words(args: &[&str], store: &Path) -> Vec<String> {
        let (archive, output) = (archive_of(store), output_of(store));
        let word = |word: &&str| match *word {
            "ARCHIVE" => archive.display().to_string(),
            "OUTPUT" => output.display().to_string(),
            "IMAGE" => image(),
            "BUNDLE" => bundle("bundle"),
            "DELTA" => bundle("delta"),
            "PART1" => bundle("parts.1of3"),
            "PART2" => bundle("parts.2of3"),
            "PART3" => bundle("parts.3of3"),
            word => word.to_owned(),
        };
        args.iter().map(word).collect()
    }

    /// Makes the store in which the command is run.
    pub(super) fn prepare(&self, sandbox: &Sandbox, store: &Path) {
        if self.command.contains(&"ARCHIVE") {
            // Large enough to be eaten, and quickly compressed.
            let layers = [1, 2].map(|seed| layer("noise", &noise(seed, 65_536).repeat(65)));
            std::fs::write(archive_of(store), docker_archive("eaten:1", &layers)).unwrap();
        }
        for args in self.prepare {
            run(sandbox.command(Scenario::words(args, store)).env("LARDER_STORE", store));
        }
    }

    /// What the names mean before and after.
    pub(super) fn before_and_after(&self, sandbox: &Sandbox) -> (Meaning, Meaning) {
        let store = sandbox.path("clean");
        self.prepare(sandbox, &store);
        let before = meaning(&store);
        run(sandbox.command(self.command(&store)).env("LARDER_STORE", &store));
        let after = meaning(&store);
        let keeps_names = ["init", "gc", "export"].contains(&self.command[0]);
        assert!(keeps_names || before != after, "the command does nothing");
        (before, after)
    }

    /// What a killed command may leave: a store, or a directory that is not one yet; an output that is whole, or none.
    pub(super) fn check(&self, store: &Path, point: &Point) {
        if store.join("index.json").exists() {
            assert_sound(store);
        } else {
            assert!(
                !store.join("oci-layout").exists(),
                "{point:?}: what says that it is a layout comes last"
            );
            if store.join("blobs/sha256").exists() {
                assert_blobs_match(store);
            }
        }
        let output = output_of(store);
        if output.exists() {
            assert!(members_of(&output).contains_key("manifest.json"), "{point:?}: half an archive is shown");
        }
    }

    /// Whether the archive that it takes in is gone.
    pub(super) fn is_eaten(&self, store: &Path) -> bool {
        self.command.contains(&"ARCHIVE") && !archive_of(store).exists()
    }

    /// The same command again, whatever came of it the first time, others after it, and a gc without grace: it is as if
    /// nothing had happened.
    pub(super) fn goes_on(&self, sandbox: &Sandbox, store: &Path, point: &Point, after: &Meaning) {
        let larder = |args: &[&str]| {
            let mut command = sandbox.command(args);
            let output = command.env("LARDER_STORE", store).output().unwrap();
            (output.status.code(), describe(&command, &output))
        };
        let is_done = meaning(store) == *after;
        // Only what is named already may have cost the archive.
        let is_eaten = self.is_eaten(store);
        assert!(!is_eaten || is_done, "{point:?}: the archive is gone, and its image is not there");
        if !is_eaten {
            let command = self.command(store);
            let (code, described) = larder(&command.iter().map(String::as_str).collect::<Vec<_>>());
            let expected = if is_done && !self.can_repeat { 3 } else { 0 };
            assert_eq!(code, Some(expected), "{point:?}: {described}");
        }
        assert_eq!(meaning(store), *after, "{point:?}");
        for args in [&["import", "multiarch-oci.tar"][..], &["gc", "--grace", "0s"]] {
            let (code, described) = larder(args);
            assert_eq!(code, Some(0), "{point:?}: {described}");
        }
        for place in ["journals", "partial"] {
            let left = std::fs::read_dir(store.join(".larder").join(place)).map_or(0, Iterator::count);
            assert_eq!(left, 0, "{point:?}: something is left in {place}");
        }
        assert_sound(store);
        assert_nothing_pending(store);
        assert_nothing_is_left(store, point);
        let meaning = meaning(store);
        let names = meaning.iter().map(|(name, _)| name.as_str()).filter(|name| !name.starts_with('('));
        let all: Vec<_> = ["export", "--all-platforms", "-o", "/dev/null"].into_iter().chain(names).collect();
        let (code, described) = larder(&all);
        assert_eq!(code, Some(0), "{point:?}: {described}");
    }

    /// Away with a store and what lies beside it.
    pub(super) fn clean(store: &Path) {
        std::fs::remove_dir_all(store).unwrap();
        for beside in [archive_of(store), output_of(store)] {
            let _ = std::fs::remove_file(beside);
        }
    }
}

/// After a gc without grace every blob is one that an entry needs, and no trash is left.
fn assert_nothing_is_left(store: &Path, point: &Point) {
    let mut needed = std::collections::BTreeSet::new();
    for entry in entries(store) {
        needed.extend(reachable(store, entry["digest"].as_str().unwrap()));
    }
    for hex in blobs(store).keys() {
        assert!(needed.contains(&format!("sha256:{hex}")), "{point:?}: {hex} is left");
    }
    let trash = std::fs::read_dir(store.join(".larder/trash")).map_or(0, Iterator::count);
    assert_eq!(trash, 0, "{point:?}: trash is left");
}

/// An image in a registry of the tests' own, for all of them.
fn image() -> String {
    static REGISTRY: OnceLock<Web> = OnceLock::new();
    let image = Image::of(&[layer("a", b"1"), layer("b", &noise(1, 100_000))]);
    let web = REGISTRY.get_or_init(|| {
        let web = Web::new();
        web.put("a/b:1", &image);
        web
    });
    format!("{}/a/b:1", web.address)
}

/// A file of a bundle that is made once for all of them: whole, in three parts, or the next one as a difference.
fn bundle(file: &str) -> String {
    static SANDBOX: OnceLock<Sandbox> = OnceLock::new();
    let sandbox = SANDBOX.get_or_init(|| {
        let sandbox = Sandbox::in_memory();
        let mut changes = noise(1, 200_000);
        let layers = [layer("a", b"1"), layer("b", &changes)];
        std::fs::write(sandbox.path("image.tar"), docker_archive("sent:1", &layers)).unwrap();
        sandbox.ok(["import", "image.tar"]);
        sandbox.ok(["bundle", "create", "--all", "-o", "bundle"]);
        sandbox.ok(["bundle", "create", "--all", "-o", "parts", "--split", "100kB"]);
        changes[100_000..100_040].fill(0);
        std::fs::write(sandbox.path("image.tar"), docker_archive("next:1", &[layer("b", &changes)])).unwrap();
        sandbox.ok(["import", "image.tar"]);
        sandbox.ok(["bundle", "create", "next:1", "--since", "bundle", "--delta", "-o", "delta"]);
        sandbox
    });
    assert!(sandbox.path(file).exists(), "{file}");
    sandbox.path(file).display().to_string()
}

/// The archive that a store's command eats.
fn archive_of(store: &Path) -> PathBuf {
    store.with_extension("tar")
}

/// The file that a store's command writes.
fn output_of(store: &Path) -> PathBuf {
    store.with_extension("out")
}

/// The entries of the index: names, those that were lost, and digests with what a person said of them. None where
/// there is no index yet.
pub(super) fn meaning(store: &Path) -> Meaning {
    if !store.join("index.json").exists() {
        return Vec::new();
    }
    let name = |entry: &serde_json::Value| {
        let annotation = |key: &str| entry["annotations"][key].as_str().map(str::to_owned);
        let was = || format!("(was {})", annotation("dev.larder.was").unwrap_or_default());
        let said = ["pinned", "project"].map(|key| annotation(&format!("dev.larder.{key}")));
        let digest = entry["digest"].as_str().unwrap();
        (annotation(REF_NAME).unwrap_or_else(was), format!("{digest} {said:?}"))
    };
    let mut meaning: Meaning = entries(store).iter().map(name).collect();
    meaning.sort();
    meaning
}
