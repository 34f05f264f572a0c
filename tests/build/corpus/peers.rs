//! Who builds the corpus, and what they made of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;

use serde_json::Value;

use super::base::{BASE, Base};
use super::compare::Image;
use super::recipe::Recipe;
use super::tree::Tree;
use crate::support::store::{blob, document, named};
use crate::support::tarball::{members_of, sha256};
use crate::support::{Docker, Sandbox, describe, peer, run};

/// Images by the recipes' names; an error where the builder failed.
pub(super) type Built = BTreeMap<String, Result<Image, String>>;

/// Builds each recipe, several at once: most of a build is waiting.
fn each<T: Send>(recipes: &[Recipe], build: impl Fn(&Recipe) -> T + Sync) -> BTreeMap<String, T> {
    let (next, done) = (Mutex::new(recipes.iter()), Mutex::new(BTreeMap::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                loop {
                    let Some(recipe) = next.lock().unwrap().next() else { break };
                    let built = build(recipe);
                    done.lock().unwrap().insert(recipe.name.clone(), built);
                }
            });
        }
    });
    done.into_inner().unwrap()
}

fn attempt(command: &mut Command) -> Result<(), String> {
    let output = command.output().unwrap();
    if output.status.success() { Ok(()) } else { Err(last(&describe(command, &output))) }
}

/// The end of what a builder said.
fn last(said: &str) -> String {
    let lines: Vec<_> = said.trim().lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}

/// Docker's classic builder.
pub(super) fn docker(docker: &Docker, sandbox: &Sandbox, base: &Base, recipes: &[Recipe]) -> Built {
    docker.ok(["load".as_ref(), "--quiet".as_ref(), "--input".as_ref(), base.archive.as_os_str()]);
    assert_eq!(docker.image_id(BASE).as_ref(), Some(&base.image_id));
    let built = each(recipes, |recipe| {
        let mut command =
            docker.command(["build", "--network=host", "--quiet", "--tag", &recipe.reference()]);
        attempt(command.args(&recipe.options).arg(&recipe.context))
    });
    saved(docker, sandbox, built)
}

/// BuildKit, by the buildx of the newest Docker.
pub(super) fn buildkit(docker: &Docker, sandbox: &Sandbox, base: &Base, recipes: &[Recipe]) -> Built {
    docker.ok(["load".as_ref(), "--quiet".as_ref(), "--input".as_ref(), base.archive.as_os_str()]);
    let built = each(recipes, |recipe| {
        let mut command = peer::forky_with("docker", sandbox.root(), docker.socket().parent()).unwrap();
        command.env("DOCKER_HOST", docker.host());
        command.args([
            "buildx",
            "build",
            "--network=host",
            "--quiet",
            "--load",
            "--provenance=false",
            "--tag",
        ]);
        attempt(command.arg(recipe.reference()).args(&recipe.options).arg(&recipe.context))
    });
    saved(docker, sandbox, built)
}

fn saved(docker: &Docker, sandbox: &Sandbox, built: BTreeMap<String, Result<(), String>>) -> Built {
    let reference = |name: &str| format!("localhost/corpus/{name}:1");
    let there: Vec<_> =
        built.iter().filter(|(_, built)| built.is_ok()).map(|(name, _)| reference(name)).collect();
    let archive = sandbox.path("saved.tar");
    docker.ok(["save", "--output", archive.to_str().unwrap()]
        .into_iter()
        .chain(there.iter().map(String::as_str)));
    let mut images = images(&members_of(&archive));
    fs::remove_file(archive).unwrap();
    built
        .into_iter()
        .map(|(name, built)| {
            let image = built.map(|()| images.remove(&reference(&name)).unwrap());
            (name, image)
        })
        .collect()
}

/// The images of a docker-archive by their names.
fn images(members: &BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Image> {
    let manifest: Vec<Value> = serde_json::from_slice(&members["manifest.json"]).unwrap();
    let mut images = BTreeMap::new();
    for entry in &manifest {
        let layers = entry["Layers"].as_array().unwrap().iter();
        for name in entry["RepoTags"].as_array().unwrap() {
            let tree = Tree::of(layers.clone().map(|layer| members[layer.as_str().unwrap()].as_slice()));
            let config = serde_json::from_slice(&members[entry["Config"].as_str().unwrap()]).unwrap();
            images.insert(name.as_str().unwrap().to_owned(), Image { tree, config });
        }
    }
    images
}

/// The newest buildah.
pub(super) fn buildah(sandbox: &Sandbox, base: &Base, recipes: &[Recipe]) -> Built {
    let buildah = |args: &[&str]| {
        let mut command = peer::forky("buildah", sandbox.root()).unwrap();
        command.arg("--storage-driver=overlay").args(args);
        command
    };
    let from = format!("docker-archive:{}", base.archive.display());
    let id = run(buildah(&["pull", "--quiet"]).arg(from));
    assert_eq!(format!("sha256:{}", id.trim()), base.image_id);
    each(recipes, |recipe| {
        let reference = recipe.reference();
        let args = [
            "bud",
            "--quiet",
            "--layers",
            "--format=docker",
            "--isolation=oci",
            "--runtime=runc",
            "--network=host",
            "--tag",
            &reference,
        ];
        let limits = ["--ulimit=nofile=1024", "--ulimit=nproc=1024", "--pull-never"];
        attempt(buildah(&args).args(limits).args(&recipe.options).arg(&recipe.context))?;
        let archive = sandbox.path(format!("{}.saved.tar", recipe.name));
        let to = format!("docker-archive:{}:{reference}", archive.display());
        attempt(buildah(&["push", "--quiet", &reference]).arg(to))?;
        let mut images = images(&members_of(&archive));
        fs::remove_file(&archive).unwrap();
        Ok(images.remove(&reference).unwrap())
    })
}

/// Whether the newest buildah is there.
pub(super) fn has_buildah(dir: &Path) -> Option<()> {
    peer::forky("buildah", dir).map(drop)
}

/// larder with its store on an overlay, where no other overlay can be mounted: one build after the other.
pub(super) fn larder_copying(sandbox: &Sandbox, base: &Base, recipes: &[Recipe]) -> Built {
    let larder = assert_cmd::cargo::cargo_bin!("larder").display();
    for dir in ["lower", "upper", "work", "store"] {
        fs::create_dir(sandbox.path(dir)).unwrap();
    }
    // In a mount namespace of its own; what the store has is in the upper directory.
    let mut script =
        "mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work store\n".to_owned();
    script += &format!("{larder} import {}\n", base.archive.display());
    for recipe in recipes {
        let (reference, options) = (recipe.reference(), recipe.options.join(" "));
        script +=
            &format!("{larder} build --network=none -t {reference} {options} {}\n", recipe.context.display());
    }
    let mut shell = sandbox.enclose(Command::new("unshare"));
    let output = shell.args(["--mount", "--propagation=private", "sh", "-euc", &script]).output().unwrap();
    assert!(output.status.success(), "{}", describe(&shell, &output));
    let notes = String::from_utf8_lossy(&output.stderr).matches("overlayfs cannot be mounted here").count();
    assert_eq!(notes, recipes.len(), "{}", describe(&shell, &output));
    let stored = |recipe: &Recipe| stored(&sandbox.path("upper"), &recipe.reference());
    recipes.iter().map(|recipe| (recipe.name.clone(), Ok(stored(recipe)))).collect()
}

/// larder, in the sandbox's store; several builds at once.
pub(super) fn larder(sandbox: &Sandbox, base: &Base, recipes: &[Recipe]) -> Built {
    let built = larder_unread(sandbox, base, recipes);
    let reference = |name: &str| recipes.iter().find(|recipe| recipe.name == name).unwrap().reference();
    let read = |(name, built): (String, Result<(), String>)| {
        let image = built.map(|()| stored(&sandbox.store(), &reference(&name)));
        (name, image)
    };
    built.into_iter().map(read).collect()
}

/// The same, and nobody looks at the images.
pub(super) fn larder_unread(
    sandbox: &Sandbox,
    base: &Base,
    recipes: &[Recipe],
) -> BTreeMap<String, Result<(), String>> {
    sandbox.ok(["import".as_ref(), base.archive.as_os_str()]);
    each(recipes, |recipe| {
        let mut command = sandbox.command(["build", "--network=none", "--tag", &recipe.reference()]);
        attempt(command.args(&recipe.options).arg(&recipe.context))
    })
}

/// An image of a store, read without larder.
fn stored(store: &Path, reference: &str) -> Image {
    let manifest = document(store, &named(store, reference).unwrap());
    let layers = manifest["layers"].as_array().unwrap().iter();
    let layers: Vec<_> = layers.map(|layer| plain(blob(store, layer["digest"].as_str().unwrap()))).collect();
    let config = document(store, manifest["config"]["digest"].as_str().unwrap());
    let diff_ids: Vec<_> = layers.iter().map(|layer| Value::from(sha256(layer))).collect();
    assert_eq!(config["rootfs"]["diff_ids"].as_array(), Some(&diff_ids), "{reference}");
    Image { tree: Tree::of(layers.iter().map(Vec::as_slice)), config }
}

fn plain(layer: Vec<u8>) -> Vec<u8> {
    match layer.as_slice() {
        [0x28, 0xb5, 0x2f, 0xfd, ..] => zstd::decode_all(layer.as_slice()).unwrap(),
        _ => layer,
    }
}
