//! What must not happen: a job in a wrong image, a job that is silently left out, a pull.

use super::{Project, act_on_every_engine, workflow};
use crate::support::{Docker, describe, need, peer, succeeded};

act_on_every_engine!(an_image_that_cannot_be_handed_over_never_reaches_act);

fn an_image_that_cannot_be_handed_over_never_reaches_act(docker: &Docker, project: &Project) {
    project.store("capy-arm:1", "arm64", &["sh"]);
    for (ask, code, word) in [
        ("capy-arm:1", 1, "linux/arm64"),
        ("capy-job:1 --platform linux/arm64", 1, "linux/arm64"),
        ("capy-missing:1", 3, "capy-missing:1"),
        ("\"\"", 3, ""),
    ] {
        for more in ["", "--container-architecture linux/amd64"] {
            let line = format!(
                "img=$(larder export --to-docker {ask}) && act -P ubuntu-latest=$img --pull=false {more}"
            );
            let (shell, output) = project.line(&workflow("", "echo it runs"), &line);
            assert_eq!(output.status.code(), Some(code), "{}", describe(&shell, &output));
            assert!(output.stdout.is_empty(), "act has begun: {}", describe(&shell, &output));
            assert!(String::from_utf8_lossy(&output.stderr).contains(word), "{}", describe(&shell, &output));
            // Nor was there anything to pull with or to run.
            assert_eq!(project.desk.take().loads, 0, "{ask}");
            assert_eq!(docker.ok(["ps", "--all", "--quiet"]), "");
        }
    }
}

/// Why the hand-over verifies the name: act looks, does not find, and pulls, whatever `--pull=false` says.
#[test]
fn act_by_itself_pulls_what_is_missing_or_does_not_fit() {
    let docker = need!(peer::docker28(), "Docker 28");
    let project = need!(Project::new(&docker), "act and busybox");
    project.store("capy-arm:1", "arm64", &["sh"]);
    project.desk.sandbox.ok(["export", "--to-docker", "capy-job:1"]);
    // By force, as somebody might.
    project.desk.sandbox.ok(["export", "--to-docker", "capy-arm:1", "--platform", "linux/arm64"]);
    for (image, pulls) in [("capy-missing:1", true), ("capy-arm:1", true), ("capy-job:1", false)] {
        let line = format!("act -P ubuntu-latest={image} --pull=false --container-architecture linux/amd64");
        let (shell, output) = project.line(&workflow("", "echo it runs"), &line);
        let asked = project.desk.proxy.take().pulls;
        assert_eq!(asked > 0, pulls, "{image}: {asked}: {}", describe(&shell, &output));
        assert_eq!(output.status.success(), !pulls, "{}", describe(&shell, &output));
    }
}

/// Why the line has `&&` and no `$(…)` inside of `-P`.
#[test]
fn act_without_a_name_leaves_the_job_out_and_succeeds() {
    let docker = need!(peer::docker28(), "Docker 28");
    let project = need!(Project::new(&docker), "act and busybox");
    let line = "act -P ubuntu-latest=$(larder export --to-docker capy-missing:1) --pull=false";
    let (shell, output) = project.line(&workflow("", "echo it runs"), line);
    let printed = succeeded(&shell, &output);
    assert!(printed.contains("Skipping unsupported platform"), "{}", describe(&shell, &output));
    assert!(!printed.contains("it runs"), "{}", describe(&shell, &output));
    project.desk.take();
}
