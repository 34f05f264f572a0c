//! Which name an image gets, who may take a name, and what happens to the image that had it.

use std::path::Path;

use serde_json::{Value, json};

use super::{CLANG, GCC, column, import, import_stdin};
use crate::support::store::{assert_sound, entries, index_text, named, names, tree};
use crate::support::tarball::{config, docker_archive, docker_archive_with, layer, members_of, sha256};
use crate::support::{Sandbox, feed, fixture};

const MANY: &[u8] = b"another image";

/// An archive under the name that most fixtures have, with another image.
fn other_image(sandbox: &Sandbox) -> Vec<u8> {
    let archive = docker_archive(GCC, &[layer("other", MANY)]);
    std::fs::write(sandbox.path("other.tar"), &archive).unwrap();
    archive
}

fn set(names: &[&str]) -> std::collections::BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn the_same_image_again_keeps_its_manifest_whatever_else_comes_along() {
    let there = [layer("there", b"content")];
    let mut oci = crate::support::tarball::Oci::image("there:1", &there);
    let mut manifest = oci.manifest();
    manifest["annotations"] = json!({"org.example": "another manifest than larder would make"});
    oci.root("there:1", &manifest);
    let oci = oci.archive();
    // Two images in one docker-archive; of the first one the store has the same image ID under its own manifest.
    let halves = [docker_archive("there:1", &there), docker_archive("new:1", &[layer("new", MANY)])];
    let mut archive = crate::support::tarball::Tarball::new();
    let mut items = Vec::new();
    for half in halves {
        for (path, bytes) in crate::support::tarball::members(&half) {
            match path.as_str() {
                "manifest.json" => items.push(serde_json::from_slice::<Value>(&bytes).unwrap()[0].clone()),
                path => {
                    archive.file(path, &bytes);
                }
            }
        }
    }
    archive.file("manifest.json", json!(items).to_string().as_bytes());
    let archive = archive.bytes();
    for is_piped in [false, true] {
        let sandbox = Sandbox::new();
        std::fs::write(sandbox.path("oci.tar"), &oci).unwrap();
        sandbox.ok(["import", "oci.tar"]);
        let digest = named(&sandbox.store(), "there:1").unwrap();
        let output = match is_piped {
            true => feed(&mut sandbox.command(["import", "-", "--format", "json"]), &archive),
            false => {
                std::fs::write(sandbox.path("two.tar"), &archive).unwrap();
                sandbox.larder(["import", "two.tar", "--format", "json"])
            }
        };
        let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
        let rows = rows.as_array().unwrap();
        assert_eq!(column(rows, "status"), ["unchanged", "added"], "piped: {is_piped}");
        assert_eq!(column(rows, "reference"), ["there:1", "new:1"]);
        assert_eq!(rows[0]["digest"], digest.as_str());
        assert_eq!(named(&sandbox.store(), "there:1"), Some(digest));
        assert_eq!(entries(&sandbox.store()).len(), 2, "nothing was displaced");
        assert_sound(&sandbox.store());
    }
}

#[test]
fn the_same_image_again_changes_nothing() {
    for (file, args) in super::fixtures() {
        let sandbox = Sandbox::new();
        let first = import(&sandbox, file, &args);
        let before = (index_text(&sandbox.store()), tree(&sandbox.store()));
        let again = import(&sandbox, file, &args);
        assert_eq!(
            before,
            (index_text(&sandbox.store()), tree(&sandbox.store())),
            "{file}: something was written"
        );
        assert_eq!(column(&first, "digest"), column(&again, "digest"), "{file}");
        assert!(column(&again, "status").iter().all(|status| status == "unchanged"), "{file}: {again:?}");
        assert!(column(&again, "new_bytes").iter().all(|bytes| *bytes == 0), "{file}: {again:?}");
        // A pipe needs a lease while it passes; the index and the blobs stay untouched all the same.
        import_stdin(&sandbox, file, &args);
        assert_eq!(before.0, index_text(&sandbox.store()), "{file}");
        let inside = |path: &Path| path.starts_with(sandbox.store().join("blobs"));
        let blobs = |tree: std::collections::BTreeMap<_, _>| {
            tree.into_iter().filter(|(path, _): &(std::path::PathBuf, _)| inside(path)).collect::<Vec<_>>()
        };
        assert_eq!(blobs(before.1), blobs(tree(&sandbox.store())), "{file}");
    }
}

#[test]
fn the_same_image_saved_by_another_tool_is_the_same_image() {
    let sandbox = Sandbox::new();
    import(&sandbox, "docker20.tar", &[]);
    let before = index_text(&sandbox.store());
    for file in ["docker28.tar", "docker28c.tar", "skopeo-docker.tar"] {
        assert_eq!(import(&sandbox, file, &[])[0]["status"], "unchanged", "{file}");
        assert_eq!(import(&sandbox, file, &["--compression", "gzip"])[0]["status"], "unchanged", "{file}");
    }
    assert_eq!(before, index_text(&sandbox.store()));
}

#[test]
fn another_image_of_the_same_name_is_refused() {
    let sandbox = Sandbox::new();
    let taken = import(&sandbox, "docker20.tar", &[])[0]["digest"].clone();
    let archive = other_image(&sandbox);
    let before = (index_text(&sandbox.store()), crate::support::store::blobs(&sandbox.store()));
    let refused = sandbox.larder(["import", "other.tar"]);
    let piped = feed(&mut sandbox.command(["import", "-"]), &archive);
    for output in [refused, piped] {
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        assert!(output.stdout.is_empty());
        let said = String::from_utf8(output.stderr).unwrap();
        for part in [GCC, taken.as_str().unwrap(), "--replace"] {
            assert!(said.contains(part), "{part} is not in {said}");
        }
        let after = (index_text(&sandbox.store()), crate::support::store::blobs(&sandbox.store()));
        assert_eq!(before, after);
        crate::support::store::assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn a_replaced_image_stays_without_a_name_and_the_pin_moves() {
    let sandbox = Sandbox::new();
    let old = import(&sandbox, "docker20.tar", &[])[0]["digest"].clone();
    sandbox.ok(["pin", GCC]);
    other_image(&sandbox);
    let output = sandbox.larder(["import", "--replace", "other.tar", "--format", "json"]);
    let rows: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&rows[0]["status"], &rows[0]["displaced"]), (&json!("replaced"), &old));
    assert!(String::from_utf8(output.stderr).unwrap().contains(old.as_str().unwrap()), "people are told");

    assert_eq!(sandbox.json(["images"]).as_array().unwrap().len(), 1);
    let all = sandbox.json(["images", "--all"]);
    let displaced = all.as_array().unwrap().iter().find(|image| image["digest"] == old).unwrap();
    assert_eq!(
        (&displaced["reference"], &displaced["was"], &displaced["pinned"]),
        (&Value::Null, &json!(GCC), &json!(false))
    );
    let new = all.as_array().unwrap().iter().find(|image| image["reference"] == GCC).unwrap();
    assert_eq!((&new["digest"], &new["pinned"]), (&rows[0]["digest"], &json!(true)));
    assert_sound(&sandbox.store());

    // There is a way back.
    assert_eq!(import(&sandbox, "docker20.tar", &["--replace"])[0]["digest"], old);
    assert_eq!(named(&sandbox.store(), GCC).as_deref(), old.as_str());
    assert_eq!(entries(&sandbox.store()).len(), 2);
}

#[test]
fn one_image_is_chosen_by_a_name_or_a_digest() {
    let image_id =
        import(&Sandbox::new(), "docker20-two.tar", &[])[1]["image_id"].as_str().unwrap().to_owned();
    let prefix = &image_id["sha256:".len()..][..12];
    for wanted in
        [CLANG, "capy-debian-12-clang16", "docker.io/library/capy-debian-12-clang16", &image_id, prefix]
    {
        for read in [import, import_stdin] {
            let sandbox = Sandbox::new();
            let rows = read(&sandbox, "docker20-two.tar", &["--image", wanted]);
            assert_eq!(column(&rows, "reference"), [json!(CLANG)], "{wanted}");
            assert_eq!(names(&sandbox.store()), set(&[CLANG]), "{wanted}");
            assert_sound(&sandbox.store());
        }
    }
    for wanted in ["capy-debian-12-clang17", &prefix[..11], "sha256:"] {
        let sandbox = Sandbox::new();
        let two = fixture("docker20-two.tar");
        let said = sandbox.fail(["import".as_ref(), two.as_os_str(), "--image".as_ref(), wanted.as_ref()], 3);
        assert!(said.contains(wanted) && said.contains(CLANG) && said.contains(GCC), "{said}");
        assert!(entries(&sandbox.store()).is_empty());
    }
}

#[test]
fn a_name_can_be_given() {
    for read in [import, import_stdin] {
        let sandbox = Sandbox::new();
        let rows = read(&sandbox, "docker20.tar", &["--name", "ci/gcc"]);
        assert_eq!(rows[0]["reference"], "ci/gcc:latest");
        assert_eq!(names(&sandbox.store()), set(&["ci/gcc:latest"]));
        let annotations = &entries(&sandbox.store())[0]["annotations"];
        assert_eq!(annotations["io.containerd.image.name"], "docker.io/ci/gcc:latest");
        let rows = read(&sandbox, "docker20-two.tar", &["--name", "ci/clang:2", "--image", CLANG]);
        assert_eq!(rows[0]["reference"], "ci/clang:2");
        assert_eq!(names(&sandbox.store()), set(&["ci/clang:2", "ci/gcc:latest"]));
    }
    let sandbox = Sandbox::new();
    let two = fixture("docker20-two.tar");
    let said = sandbox.fail(["import".as_ref(), two.as_os_str(), "--name".as_ref(), "x".as_ref()], 1);
    assert!(said.contains("2 images") && said.contains("--image"), "{said}");
    for bad in
        ["UPPER", "a b", "", "x@sha256:0000000000000000000000000000000000000000000000000000000000000000"]
    {
        sandbox.fail(["import".as_ref(), two.as_os_str(), "--name".as_ref(), bad.as_ref()], 2);
    }
    assert!(entries(&sandbox.store()).is_empty());
}

#[test]
fn an_image_without_a_name_needs_one() {
    let archive = fixture("docker20-untagged.tar");
    for piped in [false, true] {
        let sandbox = Sandbox::new();
        let said = if piped {
            let output = feed(&mut sandbox.command(["import", "-"]), &std::fs::read(&archive).unwrap());
            assert_eq!(output.status.code(), Some(1));
            String::from_utf8(output.stderr).unwrap()
        } else {
            sandbox.fail(["import".as_ref(), archive.as_os_str()], 1)
        };
        assert!(said.contains("--name"), "{said}");
        assert!(entries(&sandbox.store()).is_empty());
        crate::support::store::assert_nothing_pending(&sandbox.store());
        let rows = import(&sandbox, "docker20-untagged.tar", &["--name", "found:1"]);
        assert_eq!(rows[0]["reference"], "found:1");
    }
}

#[test]
fn all_images_of_an_archive_come_in() {
    for read in [import, import_stdin] {
        let sandbox = Sandbox::new();
        let rows = read(&sandbox, "docker20-two.tar", &[]);
        assert_eq!(column(&rows, "reference"), [json!(GCC), json!(CLANG)], "in the order of the archive");
        assert_ne!(rows[0]["digest"], rows[1]["digest"]);
        assert_eq!(names(&sandbox.store()), set(&[CLANG, GCC]));
        assert_sound(&sandbox.store());
    }
}

#[test]
fn two_names_of_one_image_are_one_image() {
    let layers = [layer("file", b"content")];
    let archive = docker_archive_with(
        &config("linux", "amd64", &layers).to_string(),
        &["one:1", "reg.example:5000/two/x:2"],
        &layers,
    );
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("names.tar"), archive).unwrap();
    let rows = sandbox.json(["import", "names.tar"]);
    let rows = rows.as_array().unwrap();
    assert_eq!(column(rows, "reference"), [json!("one:1"), json!("reg.example:5000/two/x:2")]);
    assert_eq!(rows[0]["digest"], rows[1]["digest"]);
    assert_eq!(rows[1]["new_bytes"], 0, "a second name costs nothing");
    assert_eq!(rows[1]["reused_bytes"], rows[0]["new_bytes"]);
    let before = tree(&sandbox.store());
    assert_eq!(
        column(sandbox.json(["import", "names.tar"]).as_array().unwrap(), "status"),
        ["unchanged", "unchanged"]
    );
    assert_eq!(before, tree(&sandbox.store()));
    // One of the names is enough to choose it, and brings that name alone.
    let other = Sandbox::new();
    std::fs::copy(sandbox.path("names.tar"), other.path("names.tar")).unwrap();
    other.ok(["import", "names.tar", "--image", "one:1"]);
    assert_eq!(names(&other.store()), set(&["one:1"]));
}

#[test]
fn archives_of_one_command_line_go_in_one_after_the_other() {
    let sandbox = Sandbox::new();
    let (two, multi) = (fixture("docker20-two.tar"), fixture("multiarch-oci.tar"));
    let printed = sandbox.ok(["import".as_ref(), two.as_os_str(), multi.as_os_str()]);
    let first: Vec<_> = printed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!(first, [GCC, CLANG, "capy-debian-12-multi:latest"]);

    // What came in before the bad one stays, and is reported.
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("bad.tar"), b"not an archive").unwrap();
    let output = sandbox.larder(["import".as_ref(), two.as_os_str(), "bad.tar".as_ref(), multi.as_os_str()]);
    assert_eq!(output.status.code(), Some(7), "done in part");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 2);
    assert!(String::from_utf8(output.stderr).unwrap().contains("bad.tar"));
    assert_eq!(names(&sandbox.store()), set(&[CLANG, GCC]));

    let json = ["import".as_ref(), two.as_os_str(), "bad.tar".as_ref(), "--format=json".as_ref()];
    let output = sandbox.larder(json);
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), rows.as_array().unwrap().len()), (Some(7), 2), "{rows}");

    // Who does not listen to the first answer does not stop the second import.
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(["import".as_ref(), two.as_os_str(), multi.as_os_str()]);
    let mut larder = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    drop(larder.stdout.take());
    larder.wait().unwrap();
    assert_eq!(names(&sandbox.store()), set(&[CLANG, GCC, "capy-debian-12-multi:latest"]));

    let both = sandbox.larder([
        "import".as_ref(),
        two.as_os_str(),
        multi.as_os_str(),
        "--name".as_ref(),
        "x".as_ref(),
    ]);
    assert_eq!(both.status.code(), Some(2), "one name for two archives");
    assert_eq!(sandbox.larder(["import", "-", "-"]).status.code(), Some(2), "stdin twice");
}

#[test]
fn what_an_archive_says_in_our_namespace_is_dropped() {
    let mut oci = crate::support::tarball::Oci::image("evil:1", &[layer("f", b"x")]);
    let annotations = oci.index["manifests"][0]["annotations"].as_object_mut().unwrap();
    for (key, value) in
        [("dev.larder.pinned", "true"), ("dev.larder.last-used", "4102444800"), ("org.example.kept", "yes")]
    {
        annotations.insert(key.into(), value.into());
    }
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.path("evil.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "evil.tar"]);
    let image = &sandbox.json(["images"])[0];
    assert_eq!((&image["pinned"], &image["last_used"]), (&json!(false), &Value::Null));
    let entry = &entries(&sandbox.store())[0]["annotations"];
    assert_eq!(entry["org.example.kept"], "yes");
    assert_eq!(entry["dev.larder.pinned"], Value::Null);
}

#[test]
fn the_line_of_an_image_has_all_that_a_script_wants() {
    let sandbox = Sandbox::new();
    let config = members_of(&fixture("docker20.tar"));
    let (_, config) = config.iter().find(|(path, _)| path.ends_with(".json") && path.len() == 69).unwrap();
    let printed = sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
    let digest = named(&sandbox.store(), GCC).unwrap();
    let stored: u64 = crate::support::store::blobs(&sandbox.store()).values().sum();
    assert_eq!(printed, format!("{GCC} {digest} {} new={stored} reused=0\n", sha256(config)));
}
