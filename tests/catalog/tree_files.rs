//! The files of `export --to-tree`: whose they are, where they lie, and what becomes of them.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::archive;
use crate::badinput::full::{DISKS, on_disk, text};
use crate::support::store::{named, names, tree};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, need, peer, run};

fn stocked() -> Sandbox {
    let sandbox = Sandbox::new();
    archive(&sandbox, "some.tar", &[&["tool"], &["ghcr.io/me/app:v1"], &["capy-debian-12-gcc12"]]);
    sandbox.ok(["import", "some.tar"]);
    sandbox
}

fn registry(sandbox: &Sandbox) -> String {
    std::fs::read_to_string(sandbox.path("tree/image-registry.yml")).unwrap()
}

fn files(root: &Path) -> Vec<String> {
    let relative = |path: std::path::PathBuf| path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
    tree(root).into_keys().filter(|path| path.is_file()).map(relative).collect()
}

#[test]
fn each_image_has_its_place_and_stays_alone_while_it_is_the_same() {
    let sandbox = stocked();
    let said = sandbox.ok(["export", "--to-tree", "tree", "tool"]);
    assert_eq!(said, "library/tool.tar tool:latest written\n");
    let said = sandbox.ok(["export", "--to-tree", "tree"]);
    let expected = "library/tool.tar tool:latest unchanged\nme/app-v1.tar ghcr.io/me/app:v1 written\n\
                    capy/capy-debian-12-gcc12.tar capy-debian-12-gcc12:latest written\n";
    assert_eq!(said, expected);
    let list = ["capy/capy-debian-12-gcc12.tar", "image-registry.yml", "library/tool.tar", "me/app-v1.tar"];
    assert_eq!(files(&sandbox.path("tree")), list);
    let before = tree(&sandbox.path("tree"));
    sandbox.ok(["export", "--to-tree", "tree"]);
    assert_eq!(tree(&sandbox.path("tree")), before);
    // Another larder, which has no record of these files, looks into them.
    std::fs::remove_dir_all(sandbox.store().join(".larder/exports")).unwrap();
    sandbox.ok(["export", "--to-tree", "tree"]);
    assert_eq!(tree(&sandbox.path("tree")), before);
    // The name got another image.
    archive(&sandbox, "new.tar", &[&["tool", "alias"]]);
    sandbox.ok(["import", "new.tar", "--replace"]);
    assert!(sandbox.ok(["export", "--to-tree", "tree", "tool"]).ends_with("written\n"));
    let new = registry(&sandbox);
    let size = std::fs::metadata(sandbox.path("tree/library/tool.tar")).unwrap().len() as f64 / 1e6;
    assert!(new.contains(&format!("size_mb: {size:.1}\n")), "{new}");
    // What is in the files is what their readers expect.
    let mut fresh = Sandbox::new();
    fresh.set("LARDER_STORE", fresh.path("other"));
    let file = sandbox.path("tree/image-registry.yml");
    fresh.ok(["catalog", "import", file.to_str().unwrap()]);
    assert_eq!(names(&fresh.path("other")).len(), 3);
    let engine = need!(peer::tool("skopeo"), "skopeo").arg("--version").output().unwrap();
    assert!(engine.status.success());
    let image = format!("docker-archive:{}", sandbox.path("tree/me/app-v1.tar").display());
    let shown = run(peer::tool("skopeo").unwrap().args(["inspect", "--raw", &image]));
    assert!(shown.contains("layers"), "{shown}");
}

#[test]
fn no_file_of_others_is_written_over_and_no_link_followed() {
    let sandbox = stocked();
    std::fs::create_dir_all(sandbox.path("tree/library")).unwrap();
    std::fs::write(sandbox.path("tree/library/tool.tar"), "theirs").unwrap();
    let said = sandbox.fail(["export", "--to-tree", "tree"], 7);
    assert!(
        said.contains("tool:latest: ") && said.contains("library/tool.tar") && said.contains("--replace"),
        "{said}"
    );
    assert!(said.contains("1 image of 3 could not be written"), "{said}");
    assert_eq!(std::fs::read_to_string(sandbox.path("tree/library/tool.tar")).unwrap(), "theirs");
    assert!(!registry(&sandbox).contains("tool.tar") && registry(&sandbox).contains("app"));
    sandbox.ok(["export", "--to-tree", "tree", "--replace", "tool"]);
    assert!(registry(&sandbox).contains("file: library/tool.tar"));
    // Nor is a newer one of somebody else's that the registry lists, until the store has it.
    let theirs = archive(&sandbox, "tree/library/tool.tar", &[&["tool", "newer"]]);
    let said = sandbox.fail(["export", "--to-tree", "tree", "tool"], 7);
    assert!(said.contains("library/tool.tar") && said.contains("catalog import"), "{said}");
    assert_eq!(std::fs::read(sandbox.path("tree/library/tool.tar")).unwrap(), theirs);
    let mine = named(&sandbox.store(), "tool:latest").unwrap();
    sandbox.ok(["import", "tree/library/tool.tar", "--replace"]);
    assert!(sandbox.ok(["export", "--to-tree", "tree", "tool"]).ends_with("unchanged\n"));
    sandbox.ok(["tag", &mine, "tool"]);
    assert!(sandbox.ok(["export", "--to-tree", "tree", "tool"]).ends_with("written\n"));
    std::fs::write(sandbox.path("tree/library/tool.tar"), "no archive").unwrap();
    sandbox.fail(["export", "--to-tree", "tree", "tool"], 7);
    assert!(sandbox.ok(["export", "--to-tree", "tree", "tool", "--replace"]).ends_with("written\n"));
    for (link, place) in [("tree/library/tool.tar", "../../some.tar"), ("tree/library", "../tmp")] {
        let path = sandbox.path(link);
        let _ = std::fs::remove_file(&path).or_else(|_| std::fs::remove_dir_all(&path));
        symlink(place, &path).unwrap();
        let before = std::fs::read(sandbox.path("some.tar")).unwrap();
        sandbox.fail(["export", "--to-tree", "tree", "--replace", "tool"], 7);
        assert!(path.is_symlink());
        assert_eq!(std::fs::read(sandbox.path("some.tar")).unwrap(), before);
    }
    assert_eq!(files(&sandbox.path("tmp")), [""; 0]);
    // An index may say anything.
    let index = sandbox.store().join("index.json");
    let evil = std::fs::read_to_string(&index).unwrap().replace(
        "\"dev.larder.imported\"",
        "\"dev.larder.project\":\"../..\",\"dev.larder.registry\":\"{docker_tag: tool, file: ../x.tar}\",\"dev.larder.imported\"",
    );
    std::fs::write(&index, evil).unwrap();
    sandbox.ok(["export", "--to-tree", "tree2"]).lines().for_each(|line| assert!(!line.contains("..")));
    assert_eq!(files(&sandbox.path("tree2")).len(), 5);
}

#[test]
fn two_images_of_one_place_get_one_each() {
    let sandbox = stocked();
    sandbox.ok(["tag", "tool", "docker.io/me/app:v1"]);
    sandbox.ok(["tag", "tool", "me/app-v1"]);
    sandbox.ok(["tag", "tool", "image-registry.yml/x"]);
    let long = format!("me/{}", "x".repeat(240));
    sandbox.ok(["tag", "tool", &long]);
    let all = sandbox.ok(["catalog", "export", "-"]);
    let said = sandbox.ok(["export", "--to-tree", "tree"]);
    let places: Vec<_> = said.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(places.iter().collect::<std::collections::BTreeSet<_>>().len(), 7, "{said}");
    assert_eq!(said.matches("me/app-v1.tar ").count(), 1, "{said}");
    assert_eq!(said.matches("me/app-v1-").count(), 2, "{said}");
    for place in &places {
        assert!(all.contains(&format!("  file: {place}\n")), "{place}: {all}");
    }
    // Each finds its own again.
    let before = tree(&sandbox.path("tree"));
    assert_eq!(sandbox.ok(["export", "--to-tree", "tree"]), said.replace(" written", " unchanged"));
    assert_eq!(tree(&sandbox.path("tree")), before);
    // Nor is a place that is another's in the registry.
    std::fs::create_dir_all(sandbox.path("other/library")).unwrap();
    std::fs::write(sandbox.path("other/image-registry.yml"), "images: [{name: x, file: library/tool.tar}]")
        .unwrap();
    std::fs::write(sandbox.path("other/library/tool.tar"), "theirs").unwrap();
    assert!(sandbox.ok(["export", "--to-tree", "other", "tool"]).starts_with("library/tool-"));
    assert_eq!(std::fs::read_to_string(sandbox.path("other/library/tool.tar")).unwrap(), "theirs");
    sandbox.fail(["export", "--to-tree", "tree", "nothing"], 3);
    sandbox.fail(["export", "--to-tree", "tree", "-o", "x.tar", "tool"], 2);
    sandbox.fail(["export", "-o", "x.tar"], 2);
    sandbox.fail(["export", "--to-tree", "tree/none/below", "tool"], 1);
}

#[test]
fn images_of_one_archive_go_out_again() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("tree/p")).unwrap();
    archive(&sandbox, "tree/p/both.tar", &[&["one"], &["two"]]);
    let text = "images:\n- {name: one, file: p/both.tar} # both\n- {name: two, file: p/both.tar}\n";
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
    sandbox.ok(["catalog", "import", "tree/image-registry.yml"]);
    assert_eq!(sandbox.ok(["catalog", "export", "-"]).matches("file: p/both.tar").count(), 2);
    // The archive holds both, and stays.
    let before = tree(&sandbox.path("tree"));
    let said = sandbox.ok(["export", "--to-tree", "tree"]);
    assert_eq!(said, "p/both.tar one:latest unchanged\np/both.tar two:latest unchanged\n");
    assert_eq!(tree(&sandbox.path("tree")), before);
    // One that becomes another image does not take the other's archive.
    archive(&sandbox, "new.tar", &[&["one", "newer"]]);
    sandbox.ok(["import", "new.tar", "--replace", "--image", "one"]);
    let said = sandbox.ok(["export", "--to-tree", "tree"]);
    assert!(said.contains("p/both-") && said.contains("p/both.tar two:latest unchanged\n"), "{said}");
    // Elsewhere each gets a file.
    sandbox.ok(["export", "--to-tree", "new"]);
    assert_eq!(files(&sandbox.path("new")).len(), 3);
    let mut fresh = Sandbox::new();
    fresh.set("LARDER_STORE", fresh.path("other"));
    for folder in ["tree", "new"] {
        fresh.ok([
            "catalog",
            "import",
            sandbox.path(format!("{folder}/image-registry.yml")).to_str().unwrap(),
        ]);
    }
    assert_eq!(names(&fresh.path("other")).len(), 2);
}

#[test]
fn a_registry_beside_its_images_finds_them_there() {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("root/images/capy")).unwrap();
    archive(&sandbox, "root/images/capy/a.tar", &[&["a"]]);
    let text = "images:\n- name: a\n  file: images/capy/a.tar\n";
    std::fs::write(sandbox.path("root/image-registry.yml"), text).unwrap();
    sandbox.ok(["catalog", "import", "root/image-registry.yml"]);
    let before = tree(&sandbox.path("root"));
    assert_eq!(sandbox.ok(["export", "--to-tree", "root"]), "images/capy/a.tar a:latest unchanged\n");
    archive(&sandbox, "new.tar", &[&["a", "newer"]]);
    sandbox.ok(["import", "new.tar", "--replace", "--image", "a"]);
    assert_eq!(tree(&sandbox.path("root")), before);
    assert_eq!(sandbox.ok(["export", "--to-tree", "root"]), "images/capy/a.tar a:latest written\n");
    assert_eq!(files(&sandbox.path("root")), ["image-registry.yml", "images/capy/a.tar"]);
}

#[test]
fn the_folder_is_pruned_as_any_other() {
    let sandbox = stocked();
    sandbox.ok(["export", "--to-tree", "tree"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let flags = ["--unused-for", "1s", "--min-age", "1s", "--explain", "--dry-run"];
    let said = sandbox.ok([&["prune", "--tree", "tree"][..], &flags].concat());
    assert!(!said.contains("not exported by larder") && said.contains("library/tool.tar"), "{said}");
}

#[test]
fn a_disk_that_is_full_leaves_whole_files_and_a_registry_of_them() {
    let sandbox = Sandbox::new();
    for (name, megabytes) in [("small", 1), ("large", 24)] {
        let bytes = docker_archive(name, &[layer("noise", &noise(megabytes, (megabytes as usize) << 20))]);
        std::fs::write(sandbox.path(format!("{name}.tar")), bytes).unwrap();
    }
    let script = "export LARDER_STORE=$PWD/own; larder import small.tar large.tar >/dev/null
        leave 12000000; try larder export --to-tree store/tree; find store/tree -type f | sort; cat store/tree/image-registry.yml
        leave 0; try larder catalog export store/tree/image-registry.yml; unfill; try larder export --to-tree store/tree";
    for (name, disk) in DISKS {
        let output = need!(on_disk(&sandbox, disk, script), "a disk of its own");
        let said = text(&output);
        assert!(said.starts_with("7\n") && said.contains("bytes are needed"), "{name}: {said}");
        assert_eq!(said.matches("\n  file: library/small.tar\n").count(), 1, "{name}: {said}");
        assert!(!said.contains("file: library/large.tar"), "{name}: {said}");
        assert!(
            said.contains("library/small.tar small:latest unchanged\nlibrary/large.tar large:latest written"),
            "{name}: {said}"
        );
        let listed = std::fs::read_to_string(sandbox.path("after/tree/image-registry.yml")).unwrap();
        assert!(listed.contains("file: library/large.tar"), "{name}: {listed}");
        assert_eq!(files(&sandbox.path("after/tree")).len(), 3, "{name}");
        std::fs::remove_dir_all(sandbox.path("own")).unwrap();
    }
}
