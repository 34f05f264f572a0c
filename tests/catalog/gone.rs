//! What something else has removed, from an engine or from the store, is simply not there any more.

use std::process::Command;

use serde_json::json;

use crate::handover::images::{app, base, store as add};
use crate::handover::on_every_engine;
use crate::support::store::{assert_sound, names};
use crate::support::{Docker, Sandbox, need, peer, run};

on_every_engine!(a_copy_that_somebody_removed_is_sent_anew);

fn a_copy_that_somebody_removed_is_sent_anew(docker: &Docker) {
    let mut sandbox = Sandbox::new();
    sandbox.use_docker(docker);
    add(&sandbox, "app:1", &app());
    let hand_over = || sandbox.json(["export", "--to-docker", "app:1"])[0]["sent_layers"].clone();
    assert_eq!(hand_over(), 3);
    for remove in [&["rmi", "app:1"][..], &["image", "prune", "--all", "--force"]] {
        docker.ok(remove);
        assert_eq!(docker.image_id("app:1"), None);
        // Nothing that looks at the store minds, and the policy finds nothing to take out.
        assert_eq!(sandbox.json(["images", "app"]).as_array().unwrap().len(), 1);
        assert_eq!(sandbox.json(["images", "--stale"]), json!([]));
        let pruned = sandbox.json(["prune", "--docker", "--min-age", "0s"]);
        assert_eq!(pruned["docker"], json!([]), "{pruned}");
        assert_eq!(hand_over(), 3, "it is sent anew");
        assert_eq!(docker.run("app:1", &["/bin/hello", "again"]), "hello from larder again\n");
    }
    // Under a hold too: the next hand-over puts it right, and `--rmi` does not miss it.
    let script =
        "docker rmi app:1 >/dev/null && \"$LARDER\" export --to-docker app:1 && docker rmi app:1 >/dev/null";
    let larder = assert_cmd::cargo::cargo_bin!("larder");
    let mut hold = sandbox.command(["hold", "app:1", "--to-docker", "--rmi", "--", "sh", "-c", script]);
    assert_eq!(run(hold.env("LARDER", larder)), "app:1\n");
    assert_eq!(docker.image_id("app:1"), None);
}

/// A store in which `app:1` is made on `base:1`, stale, and `kept:1` stands beside them.
fn stocked() -> Sandbox {
    let sandbox = Sandbox::new();
    super::settings(&sandbox, "rebuild_after = \"0s\"\n");
    add(&sandbox, "base:1", &base());
    add(&sandbox, "app:1", &app());
    sandbox.ok(["annotate", "app:1", "base=base:1"]);
    add(&sandbox, "kept:1", &[crate::support::tarball::layer("kept", b"kept")]);
    sandbox
}

#[test]
fn a_name_that_another_tool_removed_is_not_there() {
    let sandbox = stocked();
    let root = sandbox.root().to_owned();
    let umoci = |args: &[&str]| peer::tool("umoci").map(|umoci| with(umoci, args));
    let skopeo = |args: &[&str]| peer::forky("skopeo", &root).map(|skopeo| with(skopeo, args));
    let removals = [
        ("umoci", umoci(&["remove", "--image", "store:app:1"]), umoci(&["gc", "--layout", "store"])),
        ("skopeo", skopeo(&["delete", "oci:store:app:1"]), None),
    ];
    for (tool, remove, sweep) in removals {
        for mut command in [Some(need!(remove, "umoci, and skopeo of forky")), sweep].into_iter().flatten() {
            run(command.current_dir(sandbox.root()));
        }
        assert_gone(&sandbox, tool);
    }
}

fn with(mut command: Command, args: &[&str]) -> Command {
    command.args(args);
    command
}

/// What a foreign tool took out of the index and swept, without any lock of ours.
fn assert_gone(sandbox: &Sandbox, tool: &str) {
    let store = sandbox.store();
    assert_eq!(names(&store), ["base:1", "kept:1"].map(String::from).into(), "{tool}");
    for list in [&["images"][..], &["images", "--stale"]] {
        let listed = sandbox.json(list);
        let listed: Vec<_> = listed.as_array().unwrap().iter().map(|image| &image["reference"]).collect();
        assert_eq!(listed, [&json!("base:1"), &json!("kept:1")], "{tool}");
    }
    for (args, code) in [
        (&["inspect", "app:1"][..], 3),
        (&["hold", "app:1", "--", "true"], 125),
        (&["export", "app:1", "-o", "app.tar"], 3),
        (&["pin", "app:1"], 3),
        (&["annotate", "app:1", "base="], 3),
        (&["annotate", "base:1", "base=app:1"], 3),
        (&["rm", "app:1"], 3),
    ] {
        let said = sandbox.fail(args, code);
        assert!(said.contains("app:1"), "{tool}: {said}");
    }
    sandbox.ok(["prune", "--unused-for", "1000d"]);
    sandbox.ok(["gc"]);
    sandbox.ok(["verify"]);
    // It comes again as if it had never been there.
    add(sandbox, "app:1", &app());
    sandbox.ok(["annotate", "app:1", "base=base:1"]);
    assert_eq!(sandbox.json(["inspect", "app:1"])[0]["base"]["name"], "docker.io/library/base:1");
    assert_sound(&store);
}
