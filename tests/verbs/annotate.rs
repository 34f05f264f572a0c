//! `larder annotate`.

use super::{CLANG, GCC, two_images};
use crate::support::store::{blob, entries, index_text, named};
use crate::support::{Sandbox, fixture};

fn annotation(sandbox: &Sandbox, name: &str, key: &str) -> Option<String> {
    let entries = entries(&sandbox.store());
    let entry = entries
        .iter()
        .find(|entry| entry["annotations"]["org.opencontainers.image.ref.name"] == name)
        .unwrap();
    entry["annotations"][key].as_str().map(str::to_owned)
}

#[test]
fn declared_facts_and_foreign_keys_are_set_and_taken_away() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    let manifest = blob(&sandbox.store(), &digest);
    let printed = sandbox.ok([
        "annotate",
        "capy-debian-12-gcc12",
        "project=capy",
        "compilers=gcc-12, clang16",
        "org.example.x=a=b",
    ]);
    assert_eq!(printed, format!("{GCC}\n"));
    for (key, value) in [
        ("dev.larder.project", "capy"),
        ("dev.larder.compilers", "gcc-12,clang-16"),
        ("org.example.x", "a=b"),
    ] {
        assert_eq!(annotation(&sandbox, GCC, key).as_deref(), Some(value), "{key}");
        assert_eq!(annotation(&sandbox, CLANG, key), None, "{key}");
    }
    assert_eq!(named(&sandbox.store(), GCC), Some(digest.clone()), "the image itself does not change");
    assert_eq!(blob(&sandbox.store(), &digest), manifest);
    let inspected = &sandbox.json(["inspect", GCC])[0];
    assert_eq!(inspected["annotations"]["dev.larder.project"], "capy");

    sandbox.ok(["annotate", GCC, "project=other", "org.example.x="]);
    assert_eq!(annotation(&sandbox, GCC, "dev.larder.project").as_deref(), Some("other"));
    assert_eq!(annotation(&sandbox, GCC, "org.example.x"), None);
    sandbox.ok(["annotate", GCC, "dev.larder.project="]);
    assert_eq!(annotation(&sandbox, GCC, "dev.larder.project"), None);
    let before = index_text(&sandbox.store());
    sandbox.ok(["annotate", GCC, "org.example.none="]);
    assert_eq!(before, index_text(&sandbox.store()));
}

#[test]
fn annotations_outlive_another_import_of_the_same_image() {
    let sandbox = two_images();
    sandbox.ok(["annotate", GCC, "project=capy"]);
    sandbox.ok(["import".as_ref(), fixture("docker28.tar").as_os_str()]);
    sandbox.ok(["tag", GCC, GCC]);
    assert_eq!(annotation(&sandbox, GCC, "dev.larder.project").as_deref(), Some("capy"));
}

#[test]
fn keys_that_are_larders_own_or_nobodys_are_refused() {
    let sandbox = two_images();
    let before = index_text(&sandbox.store());
    for bad in [
        "project",
        "=x",
        "colour=green",
        "org.opencontainers.image.ref.name=evil:1",
        "io.containerd.image.name=evil",
        "dev.larder.pinned=true",
        "dev.larder.last-used=4102444800",
        "dev.larder.children=",
        "dev.larder.anything=x",
        "a b.c=x",
        "project=a\u{1b}[2Jb",
        "org.example.x=line\nline",
    ] {
        let output = sandbox.larder(["annotate", GCC, bad]);
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{bad:?}: {output:?}");
    }
    sandbox.fail(["annotate", GCC, "project=good", "bad"], 2);
    sandbox.fail(["annotate", GCC], 2);
    sandbox.fail(["annotate", "missing", "project=x"], 3);
    assert_eq!(before, index_text(&sandbox.store()));
}
