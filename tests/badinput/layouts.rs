//! Store directories that are none, are newer, or have a damaged index.

use std::path::Path;

use crate::roundtrip::{GCC, imported};
use crate::support::store::{index_text, tree};
use crate::support::{Sandbox, fixture};

/// All verbs, with arguments that would do something.
fn verbs(archive: &Path) -> Vec<Vec<String>> {
    let archive = archive.display().to_string();
    let verbs: [&[&str]; 11] = [
        &["images"],
        &["inspect", GCC],
        &["df"],
        &["import", &archive],
        &["tag", GCC, "x:1"],
        &["rm", GCC],
        &["annotate", GCC, "project=x"],
        &["pin", GCC],
        &["unpin", GCC],
        &["export", GCC, "-o", "out.tar"],
        &["init"],
    ];
    verbs.iter().map(|verb| verb.iter().map(|&word| word.to_owned()).collect()).collect()
}

/// Every verb ends with this code, names the store and these words, and changes nothing below the store.
fn assert_refused(sandbox: &Sandbox, what: &str, code: i32, words: &[&str]) {
    let before = tree(&sandbox.store());
    for verb in verbs(&fixture("multiarch-oci.tar")) {
        let output = sandbox.larder(&verb);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{what}: {verb:?}: {output:?}");
        assert!(output.stdout.is_empty(), "{what}: {verb:?}: {output:?}");
        for word in words.iter().copied().chain([sandbox.store().to_str().unwrap()]) {
            assert!(said.contains(word), "{what}: {verb:?}: {word:?} is not in {said}");
        }
        assert_eq!(before, tree(&sandbox.store()), "{what}: {verb:?} changed the store");
    }
}

#[test]
fn a_directory_with_something_else_in_it_is_no_store() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.store()).unwrap();
    std::fs::write(sandbox.store().join("thesis.tex"), "years of work").unwrap();
    assert_refused(&sandbox, "a thesis", 1, &["thesis.tex", "hint: ", "--store"]);
}

#[test]
fn a_file_is_no_store() {
    let sandbox = Sandbox::new();
    std::fs::write(sandbox.store(), "a file").unwrap();
    for verb in verbs(&fixture("docker20.tar")) {
        let output = sandbox.larder(&verb);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{verb:?}: {output:?}");
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(sandbox.store().to_str().unwrap()),
            "{output:?}"
        );
    }
    assert_eq!(std::fs::read_to_string(sandbox.store()).unwrap(), "a file");
}

#[test]
fn layouts_that_are_not_what_they_say() {
    for (what, name, content, code, words) in [
        ("garbage", "oci-layout", Some("garbage"), 1, &["oci-layout", "hint: "][..]),
        ("a later layout", "oci-layout", Some(r#"{"imageLayoutVersion":"2.0.0"}"#), 1, &["2.0.0", "hint: "]),
        ("an empty oci-layout", "oci-layout", Some(""), 1, &["oci-layout", "hint: "]),
        ("no index", "index.json", None, 1, &["index.json"]),
        ("a newer store", ".larder/version", Some("2\n"), 1, &["format 2", "hint: "]),
        ("a much newer store", ".larder/version", Some("4000000000"), 1, &["4000000000", "hint: "]),
        ("a version that is none", ".larder/version", Some("one"), 5, &["version"]),
    ] {
        let sandbox = imported("docker20.tar");
        let path = sandbox.store().join(name);
        std::fs::remove_file(&path).unwrap();
        if let Some(content) = content {
            std::fs::write(&path, content).unwrap();
        }
        assert_refused(&sandbox, what, code, words);
    }
}

#[test]
fn an_index_that_is_damaged_is_never_an_empty_one() {
    let whole = index_text(&imported("docker20.tar").store());
    let digest = whole.split("\"digest\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
    for (what, text) in [
        ("empty", String::new()),
        ("half", whole[..whole.len() / 2].to_owned()),
        ("a byte less", whole[..whole.len() - 1].to_owned()),
        ("garbage", "garbage".to_owned()),
        ("zeros", "\0".repeat(whole.len())),
        ("an array", "[]".to_owned()),
        ("no schema", r#"{"manifests":[]}"#.to_owned()),
        ("another schema", r#"{"schemaVersion":3,"manifests":[]}"#.to_owned()),
        ("trailing text", format!("{whole} x")),
        ("a digest that is a path", whole.replace(&digest, "sha256:../../../etc/passwd")),
    ] {
        let sandbox = imported("docker20.tar");
        std::fs::write(sandbox.store().join("index.json"), &text).unwrap();
        // init finds a layout and looks no further; all else needs the index.
        let before = tree(&sandbox.store().join("blobs"));
        for verb in verbs(&fixture("multiarch-oci.tar")) {
            let output = sandbox.larder(&verb);
            assert_eq!(
                (output.status.code(), output.stdout.len()),
                (Some(5), 0),
                "{what}: {verb:?}: {output:?}"
            );
            assert!(
                String::from_utf8_lossy(&output.stderr).contains("index.json"),
                "{what}: {verb:?}: {output:?}"
            );
            assert_eq!(index_text(&sandbox.store()), text, "{what}: {verb:?}");
            crate::support::store::assert_nothing_pending(&sandbox.store());
        }
        let mut after = tree(&sandbox.store().join("blobs"));
        after.retain(|path, _| before.contains_key(path));
        assert_eq!(before.keys().collect::<Vec<_>>(), after.keys().collect::<Vec<_>>(), "{what}");
        assert!(!sandbox.path("out.tar").exists());
    }
}

#[test]
fn an_index_that_is_no_file_leads_nowhere() {
    for kind in ["link", "directory", "pipe"] {
        let sandbox = imported("docker20.tar");
        let index = sandbox.store().join("index.json");
        std::fs::rename(&index, sandbox.path("elsewhere.json")).unwrap();
        match kind {
            "link" => std::os::unix::fs::symlink(sandbox.path("elsewhere.json"), &index).unwrap(),
            "directory" => std::fs::create_dir(&index).unwrap(),
            _ => drop(crate::support::run(std::process::Command::new("mkfifo").arg(&index))),
        }
        let before = std::fs::read(sandbox.path("elsewhere.json")).unwrap();
        for verb in verbs(&fixture("multiarch-oci.tar")) {
            let output = sandbox.larder(&verb);
            assert_eq!(output.status.code(), Some(5), "{kind}: {verb:?}: {output:?}");
            assert!(
                String::from_utf8_lossy(&output.stderr).contains("index.json"),
                "{kind}: {verb:?}: {output:?}"
            );
        }
        assert_eq!(before, std::fs::read(sandbox.path("elsewhere.json")).unwrap());
    }
}
