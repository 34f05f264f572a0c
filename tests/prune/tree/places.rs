//! Links and paths that lead elsewhere.

use std::os::unix::fs::symlink;

use super::*;
use crate::badinput::full::{on_disk, text};
use crate::support::need;

const ALL: &[&str] = &["--unused-for", "0s", "--min-age", "0s"];

/// Everything outside the folder, with what would change if it were written.
fn outside(sandbox: &Sandbox) -> std::collections::BTreeMap<std::path::PathBuf, (u64, u64, i64, i64)> {
    store::tree(&sandbox.path("outside"))
}

#[test]
fn no_link_is_followed() {
    let sandbox = world(&["1", "2", "3"]);
    std::fs::create_dir(sandbox.path("outside")).unwrap();
    for tag in ["1", "2"] {
        sandbox.ok(["export", &format!("app:{tag}"), "-o", &format!("outside/{tag}.tar")]);
    }
    symlink(sandbox.path("outside"), sandbox.path("tree/linked")).unwrap();
    symlink(sandbox.path("outside/1.tar"), sandbox.path("tree/app/link.tar")).unwrap();
    symlink("1.tar", sandbox.path("tree/app/near.tar")).unwrap();
    symlink(sandbox.path("nowhere"), sandbox.path("tree/app/dangling.tar")).unwrap();
    std::fs::write(
        sandbox.path("tree/image-registry.yml"),
        "images:\n- {file: linked/1.tar}\n- {file: app/link.tar}\n- {file: app/1.tar}\n",
    )
    .unwrap();
    let before = outside(&sandbox);
    let pruned = prune_tree(&sandbox, ALL);
    assert_eq!(outside(&sandbox), before);
    let refused =
        pruned["refused"].as_array().unwrap().iter().map(|refused| refused["entry"].as_str().unwrap());
    assert_eq!(refused.collect::<Vec<_>>(), ["app/link.tar", "linked/1.tar"]);
    assert_eq!(pruned["files"].as_array().unwrap().len(), 3, "{pruned}");
    let left = ["app/3.tar", "app/dangling.tar", "app/link.tar", "app/near.tar"];
    assert!(files(&sandbox).is_superset(&set(&left)) && !files(&sandbox).contains("app/1.tar"));

    // A link is no registry either.
    std::fs::rename(sandbox.path("tree/image-registry.yml"), sandbox.path("outside/real.yml")).unwrap();
    symlink(sandbox.path("outside/real.yml"), sandbox.path("tree/image-registry.yml")).unwrap();
    assert!(sandbox.fail(["prune", "--tree", "tree"], 5).contains("symbolic link"));
}

/// The folder itself is the user's own path, by whatever way.
#[test]
fn the_folder_may_be_named_by_a_link_and_so_may_an_export() {
    let sandbox = world(&["1", "2", "3"]);
    symlink("tree", sandbox.path("alias")).unwrap();
    sandbox.ok(["export", "app:1", "-o", "alias/../tree/app/again.tar"]);
    exported(&sandbox, "app/again.tar", 50);
    let pruned = prune(&sandbox, &["--tree", "alias/", "--unused-for", "25d"]);
    assert_eq!(files(&sandbox), set(&["app/2.tar", "app/3.tar"]), "{pruned}");
    for (dir, word) in [("nowhere", "cannot open"), ("image.tar", "cannot open")] {
        assert!(sandbox.fail(["prune", "--tree", dir], 1).contains(word), "{dir}");
    }
}

#[test]
fn entries_that_lead_elsewhere_are_refused_by_name_and_the_rest_goes_on() {
    let sandbox = world(&["1", "2", "3"]);
    std::fs::create_dir(sandbox.path("outside")).unwrap();
    std::fs::copy(sandbox.path("tree/app/1.tar"), sandbox.path("outside/1.tar")).unwrap();
    std::fs::copy(sandbox.path("tree/app/1.tar"), sandbox.path("tree/app/listed.tar")).unwrap();
    let absolute = sandbox.path("outside/1.tar");
    let text = format!(
        "images:\n- {{name: dots, file: ../outside/1.tar}}\n- {{name: inner, file: app/../../outside/1.tar}}\n- {{name: root, file: {}}}\n\
         - {{name: \"\\e[31mred\", file: x.tar}}\n- {{name: good, file: app/listed.tar, last_used: 5}}\n",
        absolute.display()
    );
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
    let before = outside(&sandbox);
    let output = sandbox.larder(["prune", "--tree", "tree", "--unused-for", "15d", "--min-age", "0s"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{told}");
    for word in
        ["dots: \"../outside/1.tar\" leads out of the folder", "inner: ", "root: ", "is an absolute path"]
    {
        assert!(told.contains(word), "{word}: {told}");
    }
    assert!(!told.contains('\u{1b}') && !told.contains("good"), "{told:?}");
    assert_eq!(outside(&sandbox), before);
    assert_eq!(files(&sandbox), set(&["app/3.tar", "app/listed.tar"]), "a copy of today was used today");
}

/// What goes there makes no room here.
#[test]
fn another_disk_below_the_folder_is_passed_over() {
    let sandbox = world(&["1", "2", "3"]);
    std::fs::rename(sandbox.store(), sandbox.path("before")).unwrap();
    std::fs::create_dir(sandbox.path("tree/other")).unwrap();
    std::fs::write(sandbox.path("tree/image-registry.yml"), "images: [{name: far, file: other/1.tar}]")
        .unwrap();
    let script = "cp -a before/. store; mount -t tmpfs -o size=8m tmpfs tree/other; larder export app:1 -o tree/other/1.tar
        try larder prune --tree tree --unused-for 15d --min-age 0s --explain; ls tree/other";
    let output = need!(on_disk(&sandbox, "mount -t tmpfs -o size=64m tmpfs store", script), "root");
    let said = text(&output);
    assert!(said.contains("2 files gone") && said.contains("other/1.tar lies on another disk"), "{said}");
    assert!(said.ends_with("\n1.tar\n"), "{said}");
}
