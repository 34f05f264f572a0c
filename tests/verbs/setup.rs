//! `doctor`, `completions`, `man`: what a host needs to be set up.

use std::process::Command;

use super::two_images;
use crate::support::store::tree;
use crate::support::{Docker, Sandbox, need, peer, run};

#[test]
fn doctor_says_what_the_store_and_its_disk_are() {
    let sandbox = two_images();
    let before = tree(&sandbox.store().join("blobs"));
    let found = sandbox.json(["doctor"]);
    assert_eq!((&found["exists"], &found["images"]), (&true.into(), &2.into()), "{found}");
    assert!(found["blobs"].as_u64() > Some(5) && found["free"].as_u64() > Some(0), "{found}");
    assert_eq!(found["abilities"]["locks"], true);
    for held in ["locks", "leases"] {
        assert_eq!(found[held], serde_json::json!([]), "{held}");
    }
    assert_eq!(found["leftovers"], 0);
    assert!(found["engine"].is_null() && found["engine_error"].is_string(), "{found}");
    assert_eq!(tree(&sandbox.store().join("blobs")), before);
    assert_eq!(found["builds"]["runtime"].is_string(), peer::tool("runc").or(peer::tool("crun")).is_some());
    assert_eq!(
        found["builds"]["overlayfs"],
        std::fs::read_to_string("/proc/filesystems").unwrap().contains("overlay")
    );
    let table = sandbox.ok(["doctor"]);
    for word in ["Store", "Content", "File system", "Docker engine"] {
        assert!(table.contains(word), "{table}");
    }
}

#[test]
fn doctor_makes_no_store_and_finds_a_broken_one() {
    let sandbox = Sandbox::new();
    assert_eq!(sandbox.json(["doctor"])["exists"], false);
    assert!(!sandbox.store().exists());
    std::fs::create_dir(sandbox.store()).unwrap();
    std::fs::write(sandbox.store().join("something"), "else").unwrap();
    assert!(sandbox.fail(["doctor"], 1).contains("not an image layout"));
}

#[test]
fn doctor_sees_what_an_import_that_was_killed_left() {
    let sandbox = two_images();
    std::fs::create_dir(sandbox.store().join(".larder/ingest/0123456789abcdef")).unwrap();
    assert_eq!(sandbox.json(["doctor"])["leftovers"], 1);
}

#[test]
fn doctor_knows_the_engine_and_its_image_store() {
    type Acquire = fn() -> Option<Docker>;
    let engines: [(&str, Acquire, &str); 2] =
        [("docker28", peer::docker28, "graph driver"), ("docker28c", peer::docker28c, "containerd")];
    for (kind, acquire, store) in engines {
        let docker = need!(acquire(), kind);
        let mut sandbox = Sandbox::new();
        sandbox.use_docker(&docker);
        let engine = sandbox.json(["doctor"])["engine"].clone();
        assert_eq!(
            (&engine["image_store"], &engine["reads_zstd"]),
            (&store.into(), &true.into()),
            "{engine}"
        );
        assert!(engine["version"].as_str().unwrap().starts_with("28."), "{engine}");
    }
}

#[test]
fn completions_are_what_the_shell_takes() {
    let sandbox = Sandbox::new();
    let script = sandbox.ok(["completions", "bash"]);
    std::fs::write(sandbox.path("larder.bash"), script).unwrap();
    let mut bash: Command = need!(peer::tool("bash"), "bash");
    bash.args(["-euc", "source ./larder.bash; COMP_WORDS=(larder exp); COMP_CWORD=1; _larder larder exp larder; printf '%s\\n' \"${COMPREPLY[@]}\""]);
    assert_eq!(run(&mut sandbox.enclose(bash)).trim(), "export");
    for shell in ["zsh", "fish", "elvish", "powershell"] {
        assert!(sandbox.ok(["completions", shell]).contains("export"), "{shell}");
    }
}

#[test]
fn there_is_a_manual_page_for_every_verb() {
    let sandbox = Sandbox::new();
    assert!(sandbox.ok(["man"]).contains(".TH larder 1"));
    sandbox.ok(["man", "--out", "man"]);
    let pages: Vec<_> =
        std::fs::read_dir(sandbox.path("man")).unwrap().map(|page| page.unwrap().file_name()).collect();
    for verb in ["import", "export", "verify", "doctor", "pin", "unpin"] {
        let page = format!("larder-{verb}.1");
        assert!(pages.iter().any(|name| *name == *page), "{page}: {pages:?}");
    }
    assert!(!sandbox.store().exists());
}
