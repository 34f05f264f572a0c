//! A compiler image of about 1 GB from the archive to the job, twice.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Project, act_on_every_engine, rootfs, workflow};
use crate::handover::images::store_config;
use crate::support::tarball::config;
use crate::support::{Docker, describe, feed, run};

act_on_every_engine!(
    #[ignore = "long: an image of about 1 GB"]
    a_large_image_is_sent_once
);

const NAME: &str = "capy-debian-12-gcc12";

fn a_large_image_is_sent_once(docker: &Docker, project: &Project) {
    let given = project.desk.sandbox.path("project/gcc12.tar");
    if takes_absolute_links(project) {
        std::os::unix::fs::symlink(archive(docker), &given).unwrap();
    } else {
        // Not by eprintln!, whose text the test harness swallows when the test passes.
        let version = docker.version();
        let _ = writeln!(
            std::io::stderr(),
            "Docker {version} cannot copy to /var/run/act of a Debian image: the image gets a relative link"
        );
        with_relative_link(docker, &given);
    }
    let line = format!(
        "larder import gcc12.tar && img=$(larder export --to-docker {NAME}) && act -P ubuntu-latest=$img --pull=false"
    );
    let script = "printf 'int main() { return 42; }' | g++-12 -x c++ -o /tmp/it - && /tmp/it || echo \"it returned $?\"";
    for round in 0..2 {
        let said = project.succeed(&workflow("", script), &line, &["it returned 42"]);
        let traffic = project.desk.take();
        assert_eq!(traffic.loads, u64::from(round == 0), "{said}");
        assert_eq!(said.contains("has it, nothing sent"), round > 0, "{said}");
    }
    // The third time for a script: in numbers.
    let rows = project.desk.sandbox.json(["export", "--to-docker", NAME]);
    assert_eq!((&rows[0]["sent_bytes"], &rows[0]["sent_layers"]), (&0.into(), &0.into()), "{rows}");
    assert!(rows[0]["spared_layers"].as_u64().unwrap() >= 5, "{rows}");
}

/// `docker save`'s archive of this engine, made by benches/image where it is not there yet.
fn archive(docker: &Docker) -> PathBuf {
    let kind = match (docker.has_containerd_store(), docker.version().starts_with("20.")) {
        (true, _) => "d28c",
        (_, true) => "d20",
        _ => "d28",
    };
    let mut make = Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/image"));
    let dir = run(make.stdin(Stdio::null()));
    Path::new(dir.trim()).join(format!("gcc12.{kind}.tar"))
}

/// Whether act works with an image in which `/var/run` is a link to `/run`, as it is in Debian's and Ubuntu's: some
/// releases of the engine cannot copy through it (moby's issue 53258, act's 6092).
fn takes_absolute_links(project: &Project) -> bool {
    let mut files = rootfs().unwrap();
    files.link("var/run", "/run").file("run/here", b"");
    let layers = [files.bytes()];
    store_config(&project.desk.sandbox, "capy-link:1", &config("linux", "amd64", &layers), &layers, &[]);
    let line = "img=$(larder export --to-docker capy-link:1) && act -P ubuntu-latest=$img --pull=false";
    let (shell, output) = project.line(&workflow("", "echo it runs"), line);
    project.desk.take();
    let fails = String::from_utf8_lossy(&output.stderr).contains("path escapes from parent");
    assert_ne!(fails, output.status.success(), "{}", describe(&shell, &output));
    !fails
}

/// The image with a layer that makes the link relative, which those engines follow.
fn with_relative_link(docker: &Docker, to: &Path) {
    docker.ok(["load".as_ref(), "-i".as_ref(), archive(docker).as_os_str()]);
    let file = format!("FROM {NAME}\nRUN rm /var/run && ln -s ../run /var/run\n");
    let mut build = docker.command(["build", "--network=host", "--tag", NAME, "-"]);
    let output = feed(&mut build, file.as_bytes());
    assert!(output.status.success(), "{}", describe(&build, &output));
    docker.ok(["save".as_ref(), "-o".as_ref(), to.as_os_str(), NAME.as_ref()]);
    docker.empty();
}
