//! What stays, whatever the limits: files that are not what larder wrote, and those that the store cannot give again.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::Command;

use super::*;
use crate::badinput::full::{on_disk, text};
use crate::support::sandbox::NOBODY;
use crate::support::store::blob_path;
use crate::support::{need, peer, run};

/// All that may go goes.
const ALL: &[&str] = &["--unused-for", "0s", "--min-age", "0s"];

#[test]
fn a_file_that_was_changed_stays() {
    let sandbox = world(&["1", "2", "3", "4", "5", "6"]);
    let file = |tag: &str| sandbox.path(format!("tree/app/{tag}.tar"));
    let mut longer = std::fs::read(file("1")).unwrap();
    longer.push(0);
    std::fs::write(file("1"), longer).unwrap();
    run(Command::new("touch").arg(file("2")));
    std::fs::copy(file("3"), sandbox.path("copy")).unwrap();
    run(Command::new("touch").arg("-r").arg(file("3")).arg(sandbox.path("copy")));
    let inode = file("3").metadata().unwrap().ino();
    std::fs::rename(sandbox.path("copy"), file("3")).unwrap();
    assert_ne!(file("3").metadata().unwrap().ino(), inode);
    let mut other = std::fs::read(file("4")).unwrap();
    other[1000] ^= 1;
    std::fs::write(file("4"), other).unwrap();
    let pruned = prune_tree(&sandbox, ALL);
    for tag in ["1", "2", "3", "4"] {
        assert_eq!(code_of(&pruned, &format!("app/{tag}.tar")), "changed", "{pruned}");
    }
    assert_eq!(files(&sandbox), set(&["app/1.tar", "app/2.tar", "app/3.tar", "app/4.tar", "app/6.tar"]));
}

#[test]
fn a_file_of_somebody_else_stays_and_so_does_one_with_two_names() {
    let sandbox = world(&["1", "2", "3", "4"]);
    let path = |file: &str| sandbox.path("tree").join(file);
    std::fs::copy(path("app/1.tar"), path("app/copy.tar")).unwrap();
    std::fs::rename(path("app/2.tar"), path("app/moved.tar")).unwrap();
    std::fs::hard_link(path("app/3.tar"), sandbox.path("outside.tar")).unwrap();
    std::fs::create_dir(path("app/deeper")).unwrap();
    // What an export is just writing, notes, and files at other depths.
    for file in
        ["app/.4.tar.0123456789abcdef", "app/.hidden.tar", "app/notes.txt", "top.tar", "app/deeper/x.tar"]
    {
        std::fs::copy(path("app/1.tar"), path(file)).unwrap();
    }
    let before = files(&sandbox);
    let pruned = prune_tree(&sandbox, ALL);
    for (file, code) in [("app/copy.tar", "stranger"), ("app/moved.tar", "stranger"), ("app/3.tar", "linked")]
    {
        assert_eq!(code_of(&pruned, file), code);
    }
    assert_eq!(
        pruned["files"].as_array().unwrap().len(),
        5,
        "nothing else is a file of the folder: {pruned}"
    );
    assert_eq!(before.difference(&files(&sandbox)).collect::<Vec<_>>(), ["app/1.tar"]);
    assert!(path("app/.4.tar.0123456789abcdef").exists() && path("app/notes.txt").exists());
    let said = sandbox.fail(["prune", "--tree", "tree", "--max-size", "1kB"], 4);
    assert!(said.contains("not exported by larder, and not listed"), "{said}");
}

#[test]
fn what_the_store_cannot_give_again_stays() {
    let sandbox = world(&["1", "2", "3", "4"]);
    let digest = |tag: &str| named(&sandbox.store(), &format!("app:{tag}")).unwrap();
    let manifest = store::document(&sandbox.store(), &digest("2"));
    let layer = manifest["layers"][1]["digest"].as_str().unwrap().to_owned();
    let other = digest("3");
    sandbox.ok(["rm", "app:1"]);
    std::fs::remove_file(blob_path(&sandbox.store(), &layer)).unwrap();
    let damaged = blob_path(&sandbox.store(), &other);
    std::fs::set_permissions(&damaged, std::fs::Permissions::from_mode(0o644)).unwrap();
    std::fs::write(&damaged, "{}").unwrap();
    let pruned = prune_tree(&sandbox, ALL);
    for (tag, word) in [("1", "is not in the store"), ("2", layer.as_str()), ("3", other.as_str())] {
        let (code, reason) = said(&pruned, &format!("app/{tag}.tar"));
        assert!(code == "irreplaceable" && reason.contains(word), "{tag}: {reason}");
    }
    assert_eq!(files(&sandbox).len(), 4);
    // Under another name it is there all the same.
    let sandbox = world(&["1", "2"]);
    sandbox.ok(["tag", "app:1", "other:1"]);
    sandbox.ok(["rm", "app:1"]);
    let pruned = prune_tree(&sandbox, ALL);
    assert_eq!(pruned["files"][0]["references"], json!(["other:1"]));
    assert_eq!(code_of(&pruned, "app/1.tar"), "newest", "of another repository");
}

#[test]
fn pins_protection_groups_and_age_hold_as_in_the_store() {
    let sandbox = world(&["1", "2", "3", "4", "5"]);
    sandbox.ok(["pin", "app:1"]);
    export(&sandbox, "app:1", "app/young.tar");
    let pruned = prune_tree(
        &sandbox,
        &["--unused-for", "1d", "--protect", "app:2", "--protect", "app/3", "--keep-last", "2"],
    );
    for (file, code) in [
        ("app/1.tar", "pinned"),
        ("app/2.tar", "protected"),
        ("app/3.tar", "protected"),
        ("app/4.tar", "unused"),
        ("app/5.tar", "newest"),
        ("app/young.tar", "pinned"),
    ] {
        assert_eq!(code_of(&pruned, file), code, "{file}: {pruned}");
    }
    sandbox.ok(["unpin", "app:1"]);
    let pruned = prune_tree(&sandbox, &["--unused-for", "1d", "--min-age", "11d"]);
    assert_eq!(
        (code_of(&pruned, "app/young.tar"), code_of(&pruned, "app/5.tar")),
        ("newest".into(), "young".into())
    );
}

/// Two users, one store: what one of them says counts for his own files.
#[test]
fn a_record_of_another_user_is_none() {
    let sandbox = world(&["1", "2", "3"]);
    need!(peer::root(), "root");
    std::os::unix::fs::chown(record(&sandbox, "app/1.tar"), Some(NOBODY), None).unwrap();
    std::os::unix::fs::chown(record(&sandbox, "app/2.tar"), Some(NOBODY), None).unwrap();
    std::os::unix::fs::chown(sandbox.path("tree/app/2.tar"), Some(NOBODY), None).unwrap();
    let pruned = prune_tree(&sandbox, ALL);
    assert_eq!(
        (code_of(&pruned, "app/1.tar"), code_of(&pruned, "app/2.tar")),
        ("stranger".into(), "unused".into())
    );
}

#[test]
fn what_cannot_be_removed_is_said_and_the_rest_goes() {
    let sandbox = Sandbox::new();
    let archive = docker_archive("app:1", &[base()]);
    std::fs::write(sandbox.path("image.tar"), &archive).unwrap();
    for dir in ["store", "tree", "tree/closed", "tree/open"] {
        std::fs::create_dir(sandbox.path(dir)).unwrap();
        std::fs::set_permissions(sandbox.path(dir), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let larder = |args: &[&str]| Some(sandbox.command_as(NOBODY, &[], args)?.output().unwrap());
    let ok =
        |args: &[&str]| larder(args).map(|output| assert!(output.status.success(), "{args:?}: {output:?}"));
    need!(ok(&["import", "image.tar"]), "root");
    // The newest of its group is none of these.
    for file in ["closed/1.tar", "open/1.tar", "open/2.tar"] {
        ok(&["export", "app:1", "-o", &format!("tree/{file}")]).unwrap();
        exported(&sandbox, file, if file == "open/2.tar" { 1 } else { 9 });
    }
    let mode = |mode| {
        std::fs::set_permissions(sandbox.path("tree/closed"), std::fs::Permissions::from_mode(mode)).unwrap()
    };
    mode(0o555);
    let output = larder(&["prune", "--tree", "tree", "--unused-for", "5d", "--format", "json"]).unwrap();
    mode(0o755);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    let pruned: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (code_of(&pruned, "closed/1.tar"), code_of(&pruned, "open/1.tar")),
        ("stuck".into(), "unused".into())
    );
    assert_eq!(files(&sandbox), set(&["closed/1.tar", "open/2.tar"]));
    assert!(String::from_utf8(output.stderr).unwrap().contains("closed/1.tar: cannot remove"));
}

/// An export does not fail for its record.
#[test]
fn on_a_full_disk_the_record_is_lost_and_the_file_stays() {
    let sandbox = versions(&["1"]);
    std::fs::rename(sandbox.store(), sandbox.path("before")).unwrap();
    let script = "cp -a before/. store; mkdir -p tree/app; fill
        try larder export app:1 -o tree/app/1.tar; unfill
        try larder prune --tree tree --unused-for 0s --min-age 0s --explain";
    let output = need!(on_disk(&sandbox, "mount -t tmpfs -o size=8m tmpfs store", script), "root");
    let said = text(&output);
    assert!(said.starts_with("0\n") && said.contains("not exported by larder"), "{said}");
    assert_eq!(files(&sandbox), set(&["app/1.tar"]));
}
