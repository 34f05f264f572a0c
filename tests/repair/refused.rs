//! Sources that do not have it, that lie, or that are damaged themselves; stores and blobs that are not to be touched.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Harm, column, quarantine, repair, state};
use crate::import::{CLANG, GCC};
use crate::roundtrip::imported;
use crate::support::sandbox::NOBODY;
use crate::support::store::{blob_path, blobs, document, index_text, named, tree};
use crate::support::tarball::{Oci, Tarball, docker_archive, layer, noise, sha256};
use crate::support::{Sandbox, describe, fixture, need, peer, run};
use crate::verbs::read_only;

/// Manifest, config and first layer of an image.
fn parts(sandbox: &Sandbox, name: &str) -> [String; 3] {
    let manifest = named(&sandbox.store(), name).unwrap();
    let parsed = document(&sandbox.store(), &manifest);
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    [manifest, text(&parsed["config"]["digest"]), text(&parsed["layers"][0]["digest"])]
}

/// Makes a copy of a file that may be written.
fn copy(from: &Path, to: &Path) {
    std::fs::copy(from, to).unwrap();
    std::fs::set_permissions(to, PermissionsExt::from_mode(0o644)).unwrap();
}

#[test]
fn what_no_source_has_goes_aside_but_for_documents() {
    let other = fixture("multiarch-oci.tar");
    for from in [&[][..], &[other]] {
        for at in 0..3 {
            let sandbox = imported("docker20.tar");
            let digest = parts(&sandbox, GCC)[at].clone();
            let index = index_text(&sandbox.store());
            let damaged = Harm::Flip.befall(&blob_path(&sandbox.store(), &digest)).unwrap();
            let before = blobs(&sandbox.store());
            let (code, done) = repair(&sandbox, from, &[]);
            assert_eq!(code, 5, "{done}");
            assert_eq!(index_text(&sandbox.store()), index);
            let mut left = before.clone();
            let mut aside = BTreeMap::new();
            // A missing child of an index may be normal: nobody would see the damage, and gc would follow it.
            if at > 0 {
                let hex = digest.trim_start_matches("sha256:").to_owned();
                left.remove(&hex);
                aside.insert(hex, damaged);
            }
            assert_eq!((blobs(&sandbox.store()), quarantine(&sandbox.store())), (left, aside), "{done}");
            assert_eq!(column(&done, "findings", "digest"), std::slice::from_ref(&digest));
            assert_eq!(column(&done, "repaired", "digest").len() + column(&done, "refused", "why").len(), 0);
            // It is not believed any more: an import without --verify heals.
            sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
            sandbox.ok(["verify"]);
        }
    }
}

#[test]
fn a_source_that_is_damaged_too_is_named_and_the_next_one_helps() {
    for at in 0..3 {
        let sandbox = imported("skopeo-oci.tar");
        let digest = parts(&sandbox, GCC)[at].clone();
        let before = state(&sandbox.store());
        let bad = sandbox.path("bad");
        std::fs::create_dir(&bad).unwrap();
        run(Command::new("tar").arg("-C").arg(&bad).arg("-xf").arg(fixture("skopeo-oci.tar")));
        Harm::Flip.befall(&blob_path(&bad, &digest));
        Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
        let (code, done) = repair(&sandbox, std::slice::from_ref(&bad), &[]);
        assert_eq!(code, 5, "{done}");
        assert_eq!(column(&done, "refused", "from"), [bad.display().to_string()]);
        assert!(column(&done, "refused", "why")[0].contains("digest mismatch"), "{done}");
        let (code, done) = repair(&sandbox, &[bad, fixture("skopeo-oci.tar")], &[]);
        assert_eq!((code, column(&done, "refused", "why").len()), (0, 0), "{done}");
        assert!(state(&sandbox.store()) == before);
    }
}

#[test]
fn a_source_that_lies_is_bounded_and_believed_nothing() {
    type Lie = fn(&Path, &[u8]);
    let lies: [(&str, Lie); 5] = [
        ("is a symbolic link", |path, good| {
            std::fs::write(path.with_extension("good"), good).unwrap();
            std::os::unix::fs::symlink(path.with_extension("good"), path).unwrap();
        }),
        ("is not a regular file", |path, _| run(Command::new("mkfifo").arg(path)).clear()),
        ("is not a regular file", |path, _| std::fs::create_dir(path).unwrap()),
        // Eight terabytes that cost nothing.
        ("were announced", |path, _| std::fs::File::create(path).unwrap().set_len(1 << 43).unwrap()),
        ("digest mismatch", |path, good| std::fs::write(path, vec![0; good.len()]).unwrap()),
    ];
    for (said, lie) in lies {
        let sandbox = imported("skopeo-oci.tar");
        let digest = parts(&sandbox, GCC)[2].clone();
        let good = std::fs::read(blob_path(&sandbox.store(), &digest)).unwrap();
        let liar = sandbox.path("liar");
        std::fs::create_dir(&liar).unwrap();
        run(Command::new("tar").arg("-C").arg(&liar).arg("-xf").arg(fixture("skopeo-oci.tar")));
        std::fs::remove_file(blob_path(&liar, &digest)).unwrap();
        lie(&blob_path(&liar, &digest), &good);
        Harm::Remove.befall(&blob_path(&sandbox.store(), &digest));
        let before = state(&sandbox.store());
        let (code, done) = repair(&sandbox, &[liar], &[]);
        assert_eq!(code, 5, "{said}: {done}");
        assert!(column(&done, "refused", "why")[0].contains(said), "{said}: {done}");
        assert!(state(&sandbox.store()) == before, "{said}");
    }
}

#[test]
fn more_than_there_is_room_for_is_refused_before_it_is_written() {
    // Document and source lie together.
    let size = 1u64 << 43;
    let missing = layer("file", b"content");
    let mut oci = Oci::image("lie:1", std::slice::from_ref(&missing));
    let mut manifest = oci.manifest();
    manifest["layers"][0]["size"] = size.into();
    oci.root("lie:1", &manifest);
    oci.blobs.remove(sha256(&missing).trim_start_matches("sha256:"));
    let sandbox = Sandbox::new();
    let liar = sandbox.path("liar");
    for dir in [sandbox.store(), liar.clone()] {
        write_layout(&dir, &oci);
    }
    std::fs::File::create(blob_path(&liar, &sha256(&missing))).unwrap().set_len(size).unwrap();
    let before = state(&sandbox.store());
    let (code, done) = repair(&sandbox, &[liar], &[]);
    assert_eq!(code, 5, "{done}");
    assert!(column(&done, "refused", "why")[0].contains("bytes are needed"), "{done}");
    assert!(state(&sandbox.store()) == before);
}

/// Writes a layout as another tool would.
fn write_layout(dir: &Path, oci: &Oci) {
    std::fs::create_dir_all(dir.join("blobs/sha256")).unwrap();
    std::fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
    std::fs::write(dir.join("index.json"), oci.index.to_string()).unwrap();
    for (hex, bytes) in &oci.blobs {
        std::fs::write(blob_path(dir, hex), bytes).unwrap();
    }
}

#[test]
fn a_layer_that_is_made_again_must_come_out_the_same() {
    let sandbox = Sandbox::new();
    let layers = [layer("noise", &noise(7, 2000).repeat(40))];
    let archive = sandbox.path("image.tar");
    std::fs::write(&archive, docker_archive("image:1", &layers)).unwrap();
    sandbox.ok(["import".as_ref(), archive.as_os_str(), "--compression".as_ref(), "zstd:19".as_ref()]);
    let digest = parts(&sandbox, "image:1")[2].clone();
    Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
    let (code, done) = repair(&sandbox, std::slice::from_ref(&archive), &[]);
    assert_eq!(code, 5, "{done}");
    assert!(column(&done, "refused", "why")[0].contains("--compression"), "{done}");
    // So is its manifest, whose other parts are all there.
    let manifest = parts(&sandbox, "image:1")[0].clone();
    let good = std::fs::read(blob_path(&sandbox.store(), &manifest)).unwrap();
    Harm::Flip.befall(&blob_path(&sandbox.store(), &manifest));
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
    let (code, done) = repair(&sandbox, std::slice::from_ref(&archive), &[]);
    assert_eq!(code, 5, "{done}");
    assert!(column(&done, "refused", "why")[0].contains("comes out as another"), "{done}");
    std::fs::write(blob_path(&sandbox.store(), &manifest), good).unwrap();
    // The remedy for it.
    sandbox.ok(["import".as_ref(), archive.as_os_str(), "--compression".as_ref(), "zstd:19".as_ref()]);
    sandbox.ok(["verify"]);

    // An archive whose content is not what its config says.
    Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
    let bytes = std::fs::read(&archive).unwrap();
    let lying = sandbox.path("lying.tar");
    let at = bytes.windows(8).position(|window| window == &noise(7, 8)[..]).unwrap();
    let mut changed = bytes;
    changed[at] ^= 1;
    std::fs::write(&lying, changed).unwrap();
    let (code, done) = repair(&sandbox, &[lying], &[]);
    assert_eq!(code, 5, "{done}");
    assert!(column(&done, "refused", "why")[0].contains("diff ID mismatch"), "{done}");
}

#[test]
fn what_cannot_be_a_source_is_refused_before_anything_is_touched() {
    let sandbox = imported("docker20.tar");
    let digest = parts(&sandbox, GCC)[2].clone();
    Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
    run(Command::new("sh")
        .arg("-c")
        .arg("gzip -c \"$1\" > \"$2\"")
        .arg("sh")
        .arg(fixture("docker20.tar"))
        .arg(sandbox.path("packed.tar.gz")));
    run(Command::new("mkfifo").arg(sandbox.path("pipe")));
    std::fs::create_dir(sandbox.path("empty")).unwrap();
    std::fs::write(sandbox.path("text"), "no archive").unwrap();
    let mut nothing = Tarball::new();
    nothing.file("etc/passwd", b"root");
    std::fs::write(sandbox.path("rootfs.tar"), nothing.bytes()).unwrap();
    let before = tree(&sandbox.store().join("blobs"));
    for (name, said) in [
        ("packed.tar.gz", "is compressed"),
        ("pipe", "is no file"),
        ("empty", "neither manifest.json nor index.json"),
        ("rootfs.tar", "neither manifest.json nor index.json"),
        ("text", "text"),
        ("nowhere", "No such file"),
    ] {
        let output = sandbox.larder(["verify", "--repair", "--from", name]);
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(matches!(output.status.code(), Some(1 | 5)) && stderr.contains(said), "{name}: {stderr}");
        assert_eq!(tree(&sandbox.store().join("blobs")), before, "{name}");
    }
    sandbox.fail(["verify", "--from", "text"], 2);
}

#[test]
fn what_is_whole_stays_whatever_a_document_says_of_it() {
    // The manifest announces another size than the layer has, and the layer is what its digest says.
    let content = layer("file", b"content");
    let mut oci = Oci::image("lie:1", std::slice::from_ref(&content));
    let mut manifest = oci.manifest();
    manifest["layers"][0]["size"] = (content.len() + 1).into();
    oci.root("lie:1", &manifest);
    let sandbox = Sandbox::new();
    let store = sandbox.store();
    write_layout(&store, &oci);
    let before = state(&store);
    let (code, done) = repair(&sandbox, &[], &[]);
    assert_eq!(code, 5, "{done}");
    assert_eq!(column(&done, "findings", "problem"), ["wrong-size"]);
    assert!(before.0.contains_key(sha256(&content).trim_start_matches("sha256:")));
    assert!(state(&store) == before && quarantine(&store).is_empty());
}

#[test]
fn a_child_of_somebodys_index_keeps_its_layers_from_gc_while_it_is_damaged() {
    let sandbox = imported("multiarch-oci.tar");
    let store = sandbox.store();
    // As another tool would have written it: without a word about which children came along.
    let mut index: serde_json::Value = serde_json::from_str(&index_text(&store)).unwrap();
    let digest = index["manifests"][0]["digest"].as_str().unwrap().to_owned();
    index["manifests"][0]["annotations"]
        .as_object_mut()
        .unwrap()
        .retain(|key, _| !key.starts_with("dev.larder"));
    std::fs::write(store.join("index.json"), index.to_string()).unwrap();
    let child = document(&store, &digest)["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let before = state(&store);
    Harm::Flip.befall(&blob_path(&store, &child));
    let harmed = state(&store);
    let (code, done) = repair(&sandbox, &[fixture("docker20.tar")], &[]);
    assert_eq!(
        (code, column(&done, "findings", "digest")),
        (5, vec![child]),
        "it would be normal, were it gone"
    );
    sandbox.fail(["gc", "--grace", "0s"], 5);
    assert!(state(&store) == harmed && quarantine(&store).is_empty());
    let (code, done) = repair(&sandbox, &[fixture("multiarch-oci.tar")], &[]);
    assert_eq!(code, 0, "{done}");
    assert!(state(&store) == before);
}

#[test]
fn a_file_system_that_cannot_exchange_names_gets_two_renames() {
    let sandbox = imported("docker20.tar");
    let before = state(&sandbox.store());
    for digest in parts(&sandbox, GCC) {
        let damaged = Harm::Flip.befall(&blob_path(&sandbox.store(), &digest)).unwrap();
        let larder = sandbox.command(["verify", "--repair", "--from"]);
        let mut strace = sandbox.enclose(need!(peer::tool("strace"), "strace"));
        strace.args(["-f", "-qq", "-o", "calls.log", "-e", "inject=renameat2:error=EINVAL"]);
        strace.arg(larder.get_program()).args(larder.get_args()).arg(fixture("docker20.tar"));
        run(&mut strace);
        let refused = std::fs::read_to_string(sandbox.path("calls.log")).unwrap();
        assert_eq!(refused.matches("RENAME_EXCHANGE").count(), 1, "{refused}");
        assert!(state(&sandbox.store()) == before);
        assert_eq!(quarantine(&sandbox.store())[digest.trim_start_matches("sha256:")], damaged);
    }
}

#[test]
fn strangers_are_left_alone() {
    let sandbox = imported("docker20-two.tar");
    let dir = sandbox.store().join("blobs/sha256");
    std::fs::write(dir.join("README"), "not ours").unwrap();
    std::fs::create_dir(dir.join("0".repeat(64))).unwrap();
    // Nobody needs it, so nobody asks whether it is what it is called.
    std::fs::write(dir.join("1".repeat(64)), "something").unwrap();
    Harm::Flip.befall(&blob_path(&sandbox.store(), &parts(&sandbox, CLANG)[2]));
    let (code, done) = repair(&sandbox, &[fixture("docker20-two.tar")], &[]);
    assert_eq!(code, 0, "{done}");
    assert_eq!(std::fs::read_to_string(dir.join("README")).unwrap(), "not ours");
    assert!(dir.join("0".repeat(64)).is_dir());
    assert_eq!(std::fs::read_to_string(dir.join("1".repeat(64))).unwrap(), "something");
    assert_eq!(quarantine(&sandbox.store()).len(), 1);
}

#[test]
fn a_store_that_cannot_be_written_is_as_it_was() {
    let sandbox = imported("docker20.tar");
    let from: PathBuf = fixture("docker20.tar");
    let args = ["verify", "--repair", "--from", from.to_str().unwrap()];
    let output = need!(read_only(&sandbox, &args), "unshare and root");
    assert_eq!(output.status.code(), Some(0), "nothing is wrong: {output:?}");
    Harm::Flip.befall(&blob_path(&sandbox.store(), &parts(&sandbox, GCC)[2]));
    let before = tree(&sandbox.store());
    let output = read_only(&sandbox, &args).unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("Read-only file system"), "{output:?}");
    assert_eq!(tree(&sandbox.store()), before);
}

#[test]
fn what_cannot_be_read_is_not_moved() {
    let sandbox = imported("docker20.tar");
    let path = blob_path(&sandbox.store(), &parts(&sandbox, GCC)[2]);
    copy(&fixture("docker20.tar"), &sandbox.path("again.tar"));
    let args = ["verify", "--repair", "--from", "again.tar"];
    let mut larder = need!(sandbox.command_as(NOBODY, &[], args), "root");
    run(Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.store()));
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
    let before = state(&sandbox.store());
    let output = larder.output().unwrap();
    assert_eq!(output.status.code(), Some(5), "{}", describe(&larder, &output));
    assert!(String::from_utf8_lossy(&output.stdout).contains("unreadable"), "{output:?}");
    assert!(state(&sandbox.store()) == before && quarantine(&sandbox.store()).is_empty());
}

#[test]
fn where_there_can_be_no_quarantine_nothing_is_moved() {
    let sandbox = imported("docker20.tar");
    let away = sandbox.path("away");
    std::fs::create_dir(&away).unwrap();
    std::os::unix::fs::symlink(&away, sandbox.store().join(".larder/quarantine")).unwrap();
    Harm::Flip.befall(&blob_path(&sandbox.store(), &parts(&sandbox, GCC)[2]));
    let before = tree(&sandbox.store().join("blobs"));
    let from = fixture("docker20.tar");
    let said = sandbox.fail(["verify", "--repair", "--from", from.to_str().unwrap()], 1);
    assert!(said.contains("quarantine"), "{said}");
    assert_eq!(tree(&sandbox.store().join("blobs")), before);
    assert_eq!(std::fs::read_dir(away).unwrap().count(), 0, "no link is followed");
}
