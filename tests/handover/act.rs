//! The job for which all this is: act runs a workflow in an image that came out of the store.

use std::path::Path;

use super::Desk;
use crate::support::tarball::Tarball;
use crate::support::{Docker, describe, need, peer, run, succeeded};

/// A root file system with `sh` and `tail`, which act needs, by way of `docker import`.
fn make_image(docker: &Docker, dir: &Path, name: &str) -> Option<()> {
    let busybox =
        [Path::new("/bin/busybox"), Path::new("/usr/bin/busybox")].into_iter().find(|path| path.exists())?;
    let mut rootfs = Tarball::new();
    rootfs.program("bin/busybox", &std::fs::read(busybox).unwrap());
    for applet in ["sh", "tail", "cat", "mkdir", "env", "echo"] {
        rootfs.link(&format!("bin/{applet}"), "busybox");
    }
    rootfs.file("etc/greeting", b"from the store");
    std::fs::write(dir.join("rootfs.tar"), rootfs.bytes()).unwrap();
    docker.ok(["import".as_ref(), dir.join("rootfs.tar").as_os_str(), name.as_ref()]);
    docker.ok(["save".as_ref(), "-o".as_ref(), dir.join("image.tar").as_os_str(), name.as_ref()]);
    docker.empty();
    Some(())
}

const WORKFLOW: &str = r#"
on: push
jobs:
  greet:
    runs-on: ubuntu-latest
    steps:
      - shell: sh
        run: echo "act has an image $(cat /etc/greeting)"
"#;

fn act_runs_a_job(docker: &Docker) -> Option<()> {
    peer::act()?;
    let desk = Desk::new(docker);
    let sandbox = &desk.sandbox;
    make_image(docker, sandbox.root(), "capy-act:1")?;
    let workflows = sandbox.path("project/.github/workflows");
    std::fs::create_dir_all(&workflows).unwrap();
    std::fs::write(workflows.join("ci.yml"), WORKFLOW).unwrap();
    sandbox.ok(["import", "image.tar"]);
    for round in 0..2 {
        let (rows, traffic) = desk.hand_over(["capy-act:1"]);
        assert_eq!(traffic.loads, u64::from(round == 0), "{rows:?}");
        assert_eq!(rows[0]["sent_bytes"] == 0, round > 0, "{rows:?}");
        // As people write it, with the name that larder prints.
        let mut shell = sandbox.enclose(std::process::Command::new("sh"));
        shell
            .arg("-c")
            .arg(r#"img=$("$1" export --to-docker capy-act:1) && "$2" -P ubuntu-latest=$img --pull=false"#);
        shell.arg("sh").arg(sandbox.command::<&str>([]).get_program()).arg(peer::act()?.get_program());
        shell.env("DOCKER_HOST", docker.host()).current_dir(sandbox.path("project"));
        let output = shell.output().unwrap();
        let printed = succeeded(&shell, &output);
        assert!(printed.contains("act has an image from the store"), "{}", describe(&shell, &output));
        assert!(printed.contains("Job succeeded"), "{}", describe(&shell, &output));
    }
    Some(())
}

#[test]
fn docker20_runs_a_job_twice_and_is_sent_the_image_once() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    need!(act_runs_a_job(&docker), "act and busybox");
}

#[test]
fn docker28_runs_a_job_twice_and_is_sent_the_image_once() {
    let docker = need!(peer::docker28(), "Docker 28");
    need!(act_runs_a_job(&docker), "act and busybox");
}

#[test]
fn docker28c_runs_a_job_twice_and_is_sent_the_image_once() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    need!(act_runs_a_job(&docker), "act and busybox");
}

#[test]
fn a_hand_over_that_fails_gives_act_no_name() {
    let sandbox = crate::support::Sandbox::new();
    let mut shell = sandbox.enclose(std::process::Command::new("sh"));
    shell
        .arg("-c")
        .arg(r#"img=$("$1" export --to-docker missing:1) && echo "act would run with $img"; echo "code $?""#);
    let printed = run(shell.arg("sh").arg(sandbox.command::<&str>([]).get_program()));
    assert_eq!(printed, "code 3\n");
}
