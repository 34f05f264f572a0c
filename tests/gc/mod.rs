//! `larder gc`: what nothing needs goes, and nothing else.

mod steps;

use std::collections::BTreeSet;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use larder_store::Store;
use serde_json::{Value, json};

use crate::import::{CLANG, GCC};
use crate::roundtrip::imported;
use crate::support::sandbox::NOBODY;
use crate::support::store::{
    assert_nothing_pending, assert_sound, blob_path, blobs, entries, index_text, named, names, reachable,
    tree,
};
use crate::support::tarball::{Oci, layer, noise, sha256};
use crate::support::{Sandbox, describe, need, peer, run};

fn two() -> Sandbox {
    imported("docker20-two.tar")
}

fn gc(sandbox: &Sandbox, args: &[&str]) -> Value {
    sandbox.json(["gc"].iter().chain(args))
}

fn swept(collected: &Value) -> usize {
    collected["swept"].as_object().unwrap().len()
}

/// Puts a blob into the store as another tool would.
fn foreign(store: &Path, bytes: &[u8]) -> String {
    let digest = sha256(bytes);
    std::fs::write(blob_path(store, &digest), bytes).unwrap();
    digest
}

#[test]
fn what_a_name_let_go_goes_at_once_and_what_others_need_stays() {
    let sandbox = two();
    let df = sandbox.json(["df"]);
    let row = df["images"].as_array().unwrap().iter().find(|row| row["reference"] == GCC).unwrap().clone();
    let before = blobs(&sandbox.store());
    sandbox.ok(["rm", GCC]);
    let whole = tree(&sandbox.store());
    let planned = gc(&sandbox, &["--dry-run"]);
    assert_eq!(tree(&sandbox.store()), whole, "a dry run changes nothing, not even a time");
    assert_eq!(blobs(&sandbox.store()), before, "a dry run changes nothing");
    let done = gc(&sandbox, &[]);
    assert_eq!((&done["swept"], &done["freed_bytes"]), (&planned["swept"], &planned["freed_bytes"]));
    assert_eq!(done["freed_bytes"], row["frees"], "what df said");
    let after = blobs(&sandbox.store());
    let gone: u64 = before.iter().filter(|(hex, _)| !after.contains_key(*hex)).map(|(_, size)| size).sum();
    assert_eq!(done["freed_bytes"], gone);
    assert!(gone > 0 && names(&sandbox.store()).contains(CLANG));
    assert_sound(&sandbox.store());
    sandbox.ok(["verify"]);
    assert_eq!(sandbox.json(["df"])["unreferenced"], 0);
    assert_eq!(std::fs::read_dir(sandbox.store().join(".larder/trash")).unwrap().count(), 0);
    assert_eq!(swept(&gc(&sandbox, &[])), 0, "and that is all");
    // And it can come again.
    sandbox.ok(["import".as_ref(), crate::support::fixture("docker20-two.tar").as_os_str()]);
    assert_sound(&sandbox.store());
}

#[test]
fn a_name_less_is_not_an_image_less() {
    let sandbox = two();
    sandbox.ok(["tag", GCC, "second:1"]);
    sandbox.ok(["rm", GCC]);
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 0);
    // One that was displaced is still there to go back to.
    sandbox.ok(["tag", CLANG, "second:1"]);
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 0);
    sandbox.ok(["verify"]);
}

#[test]
fn what_nobody_let_go_waits_for_its_grace_from_the_first_look() {
    let sandbox = two();
    let digest = foreign(&sandbox.store(), b"somebody is still writing the rest of it");
    let first = gc(&sandbox, &["--dry-run"]);
    assert_eq!((swept(&first), first["waiting"].as_object().unwrap().len()), (0, 1), "{first}");
    let since = gc(&sandbox, &[])["waiting"][&digest].as_i64().unwrap();
    assert_eq!(gc(&sandbox, &[])["waiting"][&digest], since, "the first look counts");
    assert!(blob_path(&sandbox.store(), &digest).exists());
    // An hour ago it was seen first.
    let unneeded = sandbox.store().join(".larder/cache/unneeded");
    let text =
        std::fs::read_to_string(&unneeded).unwrap().replace(&since.to_string(), &(since - 3600).to_string());
    std::fs::write(&unneeded, text).unwrap();
    assert_eq!(swept(&gc(&sandbox, &["--grace", "2h"])), 0);
    assert_eq!(swept(&gc(&sandbox, &[])), 1);
    foreign(&sandbox.store(), b"somebody is still writing the rest of it");
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 1);
}

#[test]
fn what_a_lease_protects_stays_until_the_lease_ends() {
    let sandbox = two();
    let store = Store::open(&sandbox.store(), Duration::from_secs(5)).unwrap();
    let (protection, _) = store.protect(&[GCC.to_owned()], "a test").unwrap();
    sandbox.ok(["rm", GCC]);
    let before = blobs(&sandbox.store());
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 0);
    assert_eq!(blobs(&sandbox.store()), before);
    drop(protection);
    assert!(swept(&gc(&sandbox, &[])) > 0, "it was let go: no grace for it");
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn a_document_that_cannot_be_read_stops_it_and_is_named() {
    type Harm = fn(&Path);
    let harms: [(&str, Harm); 4] = [
        ("missing", |path| std::fs::remove_file(path).unwrap()),
        ("empty", |path| std::fs::write(path, "").unwrap()),
        ("flipped", |path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[20] ^= 1;
            std::fs::remove_file(path).unwrap();
            std::fs::write(path, bytes).unwrap();
        }),
        ("a link", |path| {
            std::fs::remove_file(path).unwrap();
            std::os::unix::fs::symlink("/etc/passwd", path).unwrap();
        }),
    ];
    for (what, harm) in harms {
        for file in ["docker20-two.tar", "multiarch-oci.tar"] {
            let sandbox = imported(file);
            foreign(&sandbox.store(), b"an orphan");
            // Of an index a child, which was stored with it.
            let digest = match file {
                "multiarch-oci.tar" => {
                    let entry = crate::support::store::entries(&sandbox.store())[0].clone();
                    let children = entry["annotations"]["dev.larder.children"].as_str().unwrap().to_owned();
                    children.split(',').next().unwrap().to_owned()
                }
                _ => named(&sandbox.store(), CLANG).unwrap(),
            };
            harm(&blob_path(&sandbox.store(), &digest));
            let before = (blobs(&sandbox.store()), index_text(&sandbox.store()));
            let said = sandbox.fail(["gc", "--grace", "0s"], 5);
            assert!(said.contains(&digest), "{what}: {said}");
            assert_eq!((blobs(&sandbox.store()), index_text(&sandbox.store())), before, "{what}");
        }
    }
}

/// G8: every manifest and index of every image, each kind of harm to each.
#[test]
fn each_document_that_is_harmed_stops_it() {
    let sandbox = two();
    sandbox.ok(["import".as_ref(), crate::support::fixture("multiarch-oci.tar").as_os_str()]);
    let needed = entries(&sandbox.store())
        .into_iter()
        .flat_map(|entry| reachable(&sandbox.store(), entry["digest"].as_str().unwrap()));
    let is_document = |digest: &String| {
        let bytes = crate::support::store::blob(&sandbox.store(), digest);
        serde_json::from_slice::<Value>(&bytes).is_ok_and(|json| json.get("schemaVersion").is_some())
    };
    let documents: BTreeSet<_> = needed.filter(is_document).collect();
    assert!(documents.len() >= 4, "{documents:?}");
    let orphan = foreign(&sandbox.store(), b"an orphan");
    let blobs_dir = sandbox.store().join("blobs/sha256");
    // Another user's gc, whom a mode stops.
    run(Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.store()));
    for digest in &documents {
        let path = blob_path(&sandbox.store(), digest);
        let whole = std::fs::read(&path).unwrap();
        let mut flipped = whole.clone();
        flipped[whole.len() / 2] ^= 1;
        for (what, harmed, mode) in [
            ("flipped", Some(&flipped[..]), 0o644),
            ("cut", Some(&whole[..whole.len() - 1]), 0o644),
            ("deleted", None, 0o644),
            ("closed", Some(&whole[..]), 0o000),
        ] {
            std::fs::remove_file(&path).unwrap();
            if let Some(bytes) = harmed {
                std::fs::write(&path, bytes).unwrap();
                std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            }
            let before = std::fs::read_dir(&blobs_dir).unwrap().count();
            let args = ["gc", "--grace", "0s"];
            let mut larder = match mode {
                0o000 => need!(sandbox.command_as(NOBODY, &[], args), "root"),
                _ => sandbox.command(args),
            };
            let output = larder.output().unwrap();
            assert!(matches!(output.status.code(), Some(1 | 5)), "{what}: {}", describe(&larder, &output));
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains(digest.trim_start_matches("sha256:")), "{what}: {said}");
            assert_eq!(std::fs::read_dir(&blobs_dir).unwrap().count(), before, "{what}: something went");
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, &whole).unwrap();
        }
    }
    sandbox.ok(["gc", "--grace", "0s"]);
    assert!(!blob_path(&sandbox.store(), &orphan).exists(), "with all of them whole it goes on");
}

#[test]
fn an_unknown_document_keeps_what_it_mentions() {
    let sandbox = two();
    let leaf = foreign(&sandbox.store(), b"a leaf of something new");
    let inner = foreign(&sandbox.store(), json!({"parts": [leaf]}).to_string().as_bytes());
    let outer = json!({"kind": "new", "of": {"deep": [inner]}}).to_string();
    let digest = foreign(&sandbox.store(), outer.as_bytes());
    let mut index: Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    let entry =
        json!({"mediaType": "application/vnd.example.new+json", "digest": digest, "size": outer.len()});
    index["manifests"].as_array_mut().unwrap().push(entry);
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    foreign(&sandbox.store(), b"mentioned by nobody");
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 1);
    for digest in [leaf, inner, digest] {
        assert!(blob_path(&sandbox.store(), &digest).exists());
    }
    // One that is too large to be looked through stops it.
    let large = format!("{{\"x\":\"{}\"}}", "y".repeat(5 << 20));
    let digest = foreign(&sandbox.store(), large.as_bytes());
    index["manifests"].as_array_mut().unwrap().push(
        json!({"mediaType": "application/vnd.example.new+json", "digest": digest, "size": large.len()}),
    );
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    assert!(sandbox.fail(["gc", "--grace", "0s"], 1).contains(&digest));
}

#[test]
fn a_referrer_lives_as_long_as_its_subject() {
    let layers = [layer("hello", b"hello")];
    let mut oci = Oci::image("subject:1", &layers);
    let statement = noise(1, 300);
    let referrer = oci.refer("application/vnd.example.signature", &statement);
    let sandbox = two();
    std::fs::write(sandbox.path("oci.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "oci.tar"]);
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 0, "its subject is there");
    sandbox.ok(["rm", "subject:1"]);
    let collected = gc(&sandbox, &["--grace", "0s"]);
    assert_eq!(collected["forgotten"], json!([referrer]), "{collected}");
    assert!(!index_text(&sandbox.store()).contains(&referrer));
    assert!(!blob_path(&sandbox.store(), &sha256(&statement)).exists());
    assert_sound(&sandbox.store());
}

#[test]
fn leftovers_of_the_dead_go_and_those_of_the_living_stay() {
    let sandbox = two();
    let private = sandbox.store().join(".larder");
    let dead = private.join("ingest/0123456789abcdef");
    std::fs::create_dir(&dead).unwrap();
    std::fs::write(dead.join("0"), vec![0; 5000]).unwrap();
    std::fs::write(private.join("leases/fedcba9876543210"), "# import\n").unwrap();
    std::fs::write(private.join("trash/left"), "by a gc that was killed").unwrap();
    let living = private.join("ingest/aaaaaaaaaaaaaaaa");
    std::fs::create_dir(&living).unwrap();
    std::fs::write(living.join("0"), "being written").unwrap();
    let lock = std::fs::File::open(&living).unwrap();
    lock.lock().unwrap();
    std::fs::write(private.join("ingest/a file"), "of somebody").unwrap();
    let blobs_dir = sandbox.store().join("blobs/sha256");
    std::fs::write(blobs_dir.join("README"), "of somebody").unwrap();
    let planned = gc(&sandbox, &["--dry-run"]);
    assert_eq!((&planned["leftovers"], &planned["freed_bytes"]), (&json!(2), &json!(5009)), "{planned}");
    assert!(dead.exists());
    let done = gc(&sandbox, &[]);
    assert_eq!((&done["leftovers"], &done["freed_bytes"]), (&json!(2), &json!(5009)));
    assert!(!dead.exists() && !private.join("leases/fedcba9876543210").exists());
    assert_eq!(std::fs::read_dir(private.join("trash")).unwrap().count(), 0);
    assert!(
        living.join("0").exists()
            && private.join("ingest/a file").exists()
            && blobs_dir.join("README").exists()
    );
}

/// Before Linux 5.6, and under the seccomp profiles of that time.
#[test]
fn directories_of_the_dead_go_where_openat2_is_not_to_be_had() {
    let sandbox = two();
    for error in ["ENOSYS", "EPERM"] {
        let dead = sandbox.store().join(".larder/ingest/0123456789abcdef");
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join("0"), "of the dead").unwrap();
        let larder = sandbox.command(["gc"]);
        let mut strace = sandbox.enclose(need!(peer::tool("strace"), "strace"));
        strace.args(["-f", "-qq", "-o", "calls.log", "-e", &format!("inject=openat2:error={error}")]);
        run(strace.arg(larder.get_program()).args(larder.get_args()));
        assert!(!dead.exists(), "{error}");
        let calls = std::fs::read_to_string(sandbox.path("calls.log")).unwrap();
        assert!(calls.contains("openat2(") && calls.contains("(INJECTED)"), "{calls}");
    }
}

#[test]
fn temporary_files_of_a_killed_writer_go_once_they_are_old() {
    let sandbox = two();
    let private = sandbox.store().join(".larder");
    let old = private.join("index.json.0123456789abcdef");
    let fresh = private.join("index.json.fedcba9876543210");
    let other = private.join("index.json.of-somebody");
    for path in [&old, &fresh, &other] {
        std::fs::write(path, "{").unwrap();
    }
    let hours_ago = std::time::SystemTime::now() - Duration::from_secs(2 * 3600);
    for path in [&old, &other] {
        std::fs::File::options().write(true).open(path).unwrap().set_modified(hours_ago).unwrap();
    }
    assert_eq!(gc(&sandbox, &[])["leftovers"], 1);
    assert!(!old.exists() && fresh.exists() && other.exists());
}

#[test]
fn what_a_journal_lists_stays() {
    let sandbox = two();
    let digest = foreign(&sandbox.store(), b"a layer whose archive has a hole now");
    let journals = sandbox.store().join(".larder/journals");
    std::fs::create_dir(&journals).unwrap();
    std::fs::write(journals.join("0".repeat(64)), format!("{digest} abc/layer.tar\nhalf a li")).unwrap();
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 0);
    assert!(sandbox.ok(["doctor"]).contains("an import with --consume, 1 blob: repeat it"));
    std::fs::remove_file(journals.join("0".repeat(64))).unwrap();
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 1);
}

#[test]
fn it_says_what_it_did() {
    let sandbox = two();
    sandbox.ok(["rm", GCC]);
    foreign(&sandbox.store(), b"an orphan");
    let text = sandbox.ok(["gc", "--dry-run"]);
    assert!(
        text.contains("would be freed") && text.contains("1 blob (9 B) that nothing needs wait"),
        "{text}"
    );
    assert!(sandbox.ok(["gc"]).contains(" freed ("));
    assert!(sandbox.fail(["gc", "--grace", "soon"], 2).contains("30m"));
}

/// What is only mentioned in a document that was let go (a parent, a base, a subject) was let go by nobody.
#[test]
fn what_a_released_image_mentions_keeps_its_grace() {
    let sandbox = two();
    let parent =
        foreign(&sandbox.store(), b"{\"the config\":\"of an image that another tool is just writing\"}");
    let layers = [layer("hello", b"hello")];
    let mut config = crate::support::tarball::config("linux", "amd64", &layers);
    config["config"] = json!({"Image": parent});
    let archive = crate::support::tarball::docker_archive_with(&config.to_string(), &["child:1"], &layers);
    std::fs::write(sandbox.path("child.tar"), archive).unwrap();
    sandbox.ok(["import", "child.tar"]);
    sandbox.ok(["rm", "child:1"]);
    let collected = gc(&sandbox, &["--grace", "1h"]);
    assert_eq!(swept(&collected), 3, "manifest, config and layer: {collected}");
    assert!(blob_path(&sandbox.store(), &parent).exists() && collected["waiting"][&parent].is_i64());
}

/// `cache/` and its like may be deleted at any time, and a dry run makes nothing.
#[test]
fn a_dry_run_makes_nothing_that_is_not_there() {
    let sandbox = two();
    let private = sandbox.store().join(".larder");
    for name in ["cache", "ingest", "usage", "trash", "leases"] {
        std::fs::remove_dir_all(private.join(name)).unwrap();
    }
    gc(&sandbox, &["--dry-run"]);
    sandbox.ok(["prune", "--dry-run"]);
    let left: Vec<_> = std::fs::read_dir(&private).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|path| path.is_file() || path.ends_with("handovers")), "{left:?}");
    gc(&sandbox, &[]);
    sandbox.ok(["verify"]);
}

/// Each points at the one before: it must not cost the square of them.
#[test]
fn a_long_chain_of_referrers_lives_and_goes_with_its_subject() {
    let mut oci = Oci::image("subject:1", &[layer("hello", b"hello")]);
    let template = oci.manifest();
    let mut subject = oci.index["manifests"][0].clone();
    for _ in 0..300 {
        let mut referrer = template.clone();
        referrer["subject"] =
            json!({"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]});
        let bytes = referrer.to_string().into_bytes();
        oci.add(&bytes);
        subject = json!({"mediaType": template["mediaType"], "digest": sha256(&bytes), "size": bytes.len()});
        oci.index["manifests"].as_array_mut().unwrap().push(subject.clone());
    }
    let sandbox = Sandbox::new();
    sandbox.ok(["init"]);
    for bytes in oci.blobs.values() {
        foreign(&sandbox.store(), bytes);
    }
    std::fs::write(sandbox.store().join("index.json"), oci.index.to_string()).unwrap();
    assert_eq!(swept(&gc(&sandbox, &["--grace", "0s"])), 0);
    sandbox.ok(["rm", "subject:1"]);
    let collected = gc(&sandbox, &[]);
    assert_eq!(collected["forgotten"].as_array().unwrap().len(), 300);
    assert!(blobs(&sandbox.store()).is_empty(), "{collected}");
}
