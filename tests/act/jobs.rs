//! Jobs in images that were handed over: by `-P`, by `container:`, with `services:`, for an architecture.

use super::{Project, act_on_every_engine, workflow};
use crate::support::{Docker, describe, need, peer};

act_on_every_engine!(
    a_job_runs_in_the_image_of_its_label,
    a_job_runs_while_its_image_is_held,
    a_container_of_the_job_beats_the_label,
    an_architecture_may_be_asked_for,
);

const LINE: &str = "img=$(larder export --to-docker capy-job:1) && act -P ubuntu-latest=$img --pull=false";

fn a_job_runs_in_the_image_of_its_label(_: &Docker, project: &Project) {
    for loads in [1, 0] {
        let said = project.succeed(
            &workflow("", "echo \"works $(cat /etc/greeting)\""),
            LINE,
            &["works from capy-job:1"],
        );
        assert_eq!(said.contains("nothing sent"), loads == 0, "{said}");
        let traffic = project.desk.take();
        assert_eq!(traffic.loads, loads, "{traffic:?}");
    }
}

/// act removes its containers, so that afterwards nobody uses the image in the engine.
fn a_job_runs_while_its_image_is_held(docker: &Docker, project: &Project) {
    let line = "larder hold capy-job:1 --to-docker --rmi -- act -P ubuntu-latest=capy-job:1 --pull=false";
    for _ in 0..2 {
        let script = "echo \"works $(cat /etc/greeting)\"";
        let said = project.succeed(&workflow("", script), line, &["works from capy-job:1"]);
        assert!(said.contains("capy-job:1: taken out of Docker"), "{said}");
        assert_eq!(docker.image_id("capy-job:1"), None);
        assert_eq!(project.desk.take().loads, 1);
    }
    // What act says of its job is what the line says.
    let (shell, output) = project.line(&workflow("", "exit 9"), line);
    assert_eq!(output.status.code(), Some(1), "{}", describe(&shell, &output));
    project.desk.take();
}

fn a_container_of_the_job_beats_the_label(_: &Docker, project: &Project) {
    project.store("capy-other:1", "amd64", &["sh"]);
    let line = "img=$(larder export --to-docker capy-job:1) && larder export --to-docker capy-other:1 \
        && act -P ubuntu-latest=$img --pull=false";
    let script = "echo \"works $(cat /etc/greeting)\"";
    for job in ["    container: capy-other:1\n", "    container:\n      image: capy-other:1\n"] {
        project.succeed(&workflow(job, script), line, &["works from capy-other:1"]);
    }
    project.desk.take();
}

fn an_architecture_may_be_asked_for(_: &Docker, project: &Project) {
    let line = format!("{LINE} --container-architecture linux/amd64");
    project.succeed(&workflow("", "cat /etc/greeting"), &line, &["from capy-job:1"]);
    project.desk.take();
}

/// act makes a bridge network of its own for services, which needs no default bridge and no iptables. All engines in
/// one test: each chooses addresses that are free on the host, and two at once might choose the same.
#[test]
fn a_service_answers_under_its_name() {
    let engines = [
        need!(peer::docker20(), "Docker 20.10"),
        need!(peer::docker28(), "Docker 28"),
        need!(peer::docker28c(), "Docker 28 with containerd store"),
    ];
    for docker in &engines {
        let project = need!(Project::new(docker), "act and busybox");
        project.store("capy-side:1", "amd64", &["httpd", "-f", "-p", "8080", "-h", "/etc"]);
        let job = "    container: capy-job:1\n    services:\n      side:\n        image: capy-side:1\n";
        // The service may need a moment.
        let script = "for i in 1 2 3 4 5 6 7 8 9; do wget -q -O - http://side:8080/greeting && exit 0; sleep 1; done; exit 1";
        let line = format!("larder export --to-docker capy-side:1 && {LINE}");
        project.succeed(&workflow(job, script), &line, &["from capy-side:1"]);
        project.desk.take();
        // Nothing of it is left in the way of the next one.
        let networks = docker.ok(["network", "ls", "--format", "{{.Driver}}"]);
        assert!(!networks.contains("bridge"), "{networks}");
    }
}
