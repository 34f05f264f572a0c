//! The corpus: what larder makes of a Dockerfile is what others make of it.
//!
//! `fixtures/build/corpus/NAME/Dockerfile` with its context. Docker 20.10 says what is right where it knows the instructions, else the
//! newest buildah and BuildKit. `accepted` lists where larder is to be otherwise, and why. Times are not compared; but with
//! `SOURCE_DATE_EPOCH` none is later, and the same inputs give the same digest.

mod accepted;
mod base;
mod compare;
mod peers;
mod recipe;
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fs;

use accepted::{Peer, faults};
use base::Base;
use compare::{Image, differences};
use peers::Built;
use recipe::Recipe;
use serde_json::Value;

use crate::support::skip::need;
use crate::support::store::{REF_NAME, entries};
use crate::support::{Docker, Sandbox, peer};

/// `SOURCE_DATE_EPOCH`: later than all that is in the base, earlier than the contexts' files.
const EPOCH: i64 = 1_700_000_000;

/// The same, in a config.
const EPOCH_SHOWN: &str = "2023-11-14T22:13:20Z";

/// The corpus, ready to be built.
struct Corpus {
    sandbox: Sandbox,
    base: Base,
    recipes: Vec<Recipe>,
}

impl Corpus {
    /// `None` where a program or right is missing.
    fn new() -> Option<Corpus> {
        peer::root()?;
        peer::tool("runc")?;
        let mut sandbox = Sandbox::new();
        sandbox.set("SOURCE_DATE_EPOCH", EPOCH.to_string());
        let base = base::make(sandbox.root())?;
        fs::create_dir(sandbox.path("contexts")).unwrap();
        let mut recipes = recipe::all(&sandbox.path("contexts"), &base.tool);
        if let Ok(only) = std::env::var("LARDER_CORPUS") {
            recipes.retain(|recipe| only.split(',').any(|name| name == recipe.name));
        }
        Some(Corpus { sandbox, base, recipes })
    }

    /// Those that Docker 20.10 does not know, or does.
    fn choose(&self, is_newer: bool) -> Vec<Recipe> {
        self.recipes.iter().filter(|recipe| recipe.is_newer == is_newer).cloned().collect()
    }

    /// Builds with larder.
    fn larder(&self, recipes: &[Recipe]) -> Built {
        peers::larder(&self.sandbox, &self.base, recipes)
    }

    /// The digests in larder's store by the images' names.
    fn digests(&self) -> BTreeMap<String, String> {
        let digest =
            |entry: &Value| (entry["annotations"][REF_NAME].to_string(), entry["digest"].to_string());
        entries(&self.sandbox.store()).iter().map(digest).collect()
    }
}

fn judge(peer: Peer, mut ours: Built, theirs: Built) -> Vec<String> {
    let (mut wrong, mut found) = (Vec::new(), BTreeMap::new());
    for (name, expected) in theirs {
        match (ours.remove(&name).unwrap(), expected) {
            (Ok(image), Ok(expected)) => {
                wrong.extend(later_than_the_epoch(&image).map(|what| format!("{name}: {what} is later")));
                found.insert(name, differences(&image, &expected));
            }
            (ours, theirs) => {
                let failed = [("larder", ours.err()), ("the other", theirs.err())];
                let failed = failed.into_iter().filter_map(|(who, error)| Some((who, error?)));
                wrong.extend(failed.map(|(who, error)| format!("{name}: {who} failed: {error}")));
            }
        }
    }
    wrong.extend(faults(peer, &found));
    wrong
}

/// Files and times of the config that are later than `SOURCE_DATE_EPOCH`.
fn later_than_the_epoch(image: &Image) -> impl Iterator<Item = String> {
    let late = image.tree.files().filter(|(_, node)| node.mtime > (EPOCH, false));
    let entries = image.config["history"].as_array().unwrap().iter().chain([&image.config]);
    let times = entries.map(|entry| entry["created"].as_str().unwrap_or("none").to_owned());
    late.map(|(path, _)| tree::show(path)).chain(times.filter(|time| time.as_str() > EPOCH_SHOWN))
}

fn assert_none(wrong: &[String]) {
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

/// One test of three, because building takes so long.
#[test]
fn docker20_makes_the_same_and_larder_the_same_again() {
    let corpus = need!(Corpus::new(), "root, runc, busybox and gcc");
    let docker: Docker = need!(peer::docker20(), "docker20");
    let mut again = Corpus::new().unwrap();
    again.recipes.reverse();
    let known = corpus.choose(false);
    let (ours, theirs) = std::thread::scope(|scope| {
        let theirs = scope.spawn(|| peers::docker(&docker, &corpus.sandbox, &corpus.base, &known));
        let ours = corpus.larder(&corpus.recipes);
        peers::larder_unread(&again.sandbox, &again.base, &again.recipes);
        (ours, theirs.join().unwrap())
    });
    let mut wrong = model(&docker, &corpus, &theirs);
    wrong.extend(judge(Peer::Docker20, ours, theirs));
    let once = corpus.digests();
    // The steps are known now.
    peers::larder_unread(&corpus.sandbox, &corpus.base, &corpus.recipes);
    for (what, digests) in [("in another store", again.digests()), ("the second time", corpus.digests())] {
        let differs = once.iter().filter(|(name, digest)| digests.get(*name) != Some(*digest));
        wrong.extend(differs.map(|(name, _)| format!("{name} has another digest {what}")));
    }
    assert_none(&wrong);
    assert_eq!(once.len(), corpus.recipes.len() + 1);
}

/// What the layers of some images do not give as Docker itself sees it in a container: nothing, if the model is right.
fn model(docker: &Docker, corpus: &Corpus, built: &Built) -> Vec<String> {
    let of_containers = [
        "/.dockerenv",
        "/dev",
        "/proc",
        "/sys",
        "/etc/hostname",
        "/etc/hosts",
        "/etc/mtab",
        "/etc/resolv.conf",
    ];
    let is_of_container = |place: &str| of_containers.contains(&place) || place.starts_with("/dev/");
    let mut wrong = Vec::new();
    let chosen = |recipe: &&Recipe| {
        ["run-opaque", "run-moves", "run-links", "ci-locale"].contains(&recipe.name.as_str())
    };
    for recipe in corpus.recipes.iter().filter(chosen) {
        let Ok(image) = &built[&recipe.name] else { continue };
        let container = docker.ok(["create", &recipe.reference()]);
        let export = corpus.sandbox.path("export.tar");
        docker.ok(["export", "--output", export.to_str().unwrap(), container.trim()]);
        let export = tree::Tree::of([fs::read(export).unwrap().as_slice()]);
        let differences = compare::trees(&image.tree, &export);
        let differences = differences.iter().filter(|difference| !is_of_container(&difference.place));
        wrong.extend(differences.map(|difference| format!("{}, as a container: {difference}", recipe.name)));
    }
    wrong
}

#[test]
fn buildah_makes_the_same_of_what_docker20_does_not_know() {
    let corpus = need!(Corpus::new(), "root, runc, busybox and gcc");
    need!(peers::has_buildah(corpus.sandbox.root()), "buildah of forky");
    let recipes = corpus.choose(true);
    let theirs = peers::buildah(&corpus.sandbox, &corpus.base, &recipes);
    assert_none(&judge(Peer::Buildah, corpus.larder(&recipes), theirs));
}

#[test]
fn buildkit_makes_the_same_of_what_docker20_does_not_know() {
    let corpus = need!(Corpus::new(), "root, runc, busybox and gcc");
    let docker: Docker = need!(peer::docker28(), "docker28");
    let recipes = corpus.choose(true);
    let theirs = peers::buildkit(&docker, &corpus.sandbox, &corpus.base, &recipes);
    assert_none(&judge(Peer::BuildKit, corpus.larder(&recipes), theirs));
}

#[test]
fn without_overlayfs_the_files_are_the_same() {
    let corpus = need!(Corpus::new(), "root, runc, busybox and gcc");
    let copying = Corpus::new().unwrap();
    // They remove, replace, move or link what is below, or change only what it is like.
    let names =
        ["after-removal", "ci-locale", "run-links", "run-moves", "run-nothing", "run-opaque", "run-replaces"];
    let is_chosen = |recipe: &&Recipe| names.contains(&recipe.name.as_str());
    let recipes: Vec<_> = corpus.recipes.iter().filter(is_chosen).cloned().collect();
    let found = peers::larder_copying(&copying.sandbox, &copying.base, &recipes);
    assert_none(&judge(Peer::Overlays, found, corpus.larder(&recipes)));
}
