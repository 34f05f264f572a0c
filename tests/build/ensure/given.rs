//! Images that are made and go somewhere: to an engine, to a folder, to act.

use super::*;
use crate::support::need;

#[test]
fn it_is_written_to_a_folder_with_its_entry() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let (out, _) = ensured(&sandbox, &["--to-tree=tree"]);
    assert_eq!(out, format!("{NAME}\n"));
    assert!(sandbox.path("tree/p/p-debian-12-gcc12.tar").is_file());
    let registry = std::fs::read_to_string(sandbox.path("tree/image-registry.yml")).unwrap();
    for word in ["p-debian-12-gcc12", "debian:12", "gcc-12", "cmake", "p/p-debian-12-gcc12.tar"] {
        assert!(registry.contains(word), "{word}: {registry}");
    }
    // Another store takes it in with all that was declared.
    let other = Sandbox::new();
    let path = sandbox.path("tree/image-registry.yml");
    other.ok(["catalog".as_ref(), "import".as_ref(), path.as_os_str()]);
    assert_eq!(ensured(&other, &[]), (format!("{NAME}\n"), String::new()));
    // Again: nothing to do.
    assert_eq!(ensured(&sandbox, &["--to-tree=tree"]).0, format!("{NAME}\n"));
}

#[test]
fn it_is_handed_over_and_runs() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    let mut sandbox = need!(desk(), "root, runc and busybox");
    // The engine is looked for before anything is built.
    sandbox.set("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let said = sandbox.fail(JOB.iter().chain(&["--to-docker"]), 1);
    assert!(said.contains("/nowhere/docker.sock") && ran(&said) == 0, "{said}");
    sandbox.use_docker(&docker);
    let (out, _) = ensured(&sandbox, &["--to-docker"]);
    assert_eq!(out, format!("{NAME}\n"));
    assert_eq!(
        docker.run(NAME, &["sh", "-c", "$CC; cmake; cc"]),
        "this is gcc-12\nthis is cmake\nthis is gcc-12\n"
    );
    let (out, said) = ensured(&sandbox, &["--to-docker"]);
    assert!(out == format!("{NAME}\n") && ran(&said) == 0 && said.contains("nothing sent"), "{said}");
}

#[test]
fn jobs_of_a_workflow_get_what_each_needs() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let workflow = "on: push
jobs:
  build:
    strategy:
      matrix:
        include:
          - { label: a, compiler: gcc, version: 12, install: 'cmake' }
          - { label: b, compiler: gcc, version: 12, install: 'cmake' }
          - { label: c, compiler: gcc, version: 12, install: 'missing', asan: true }
    runs-on: ${{ matrix.label }}
    steps: [{ run: make }]
";
    std::fs::write(sandbox.path("ci.yml"), workflow).unwrap();
    let words = ["ensure", "--workflow=ci.yml", "--project=p", "--os=debian:12", "--arch=amd64"];
    let mut command = sandbox.command(words);
    let output = command.output().unwrap();
    let said = text(&output.stderr);
    // What can be had is there, and the exit code tells that something is not.
    assert_eq!(output.status.code(), Some(7), "{said}");
    assert_eq!(text(&output.stdout), format!("-P a={NAME}\n-P b={NAME}\n"));
    assert!(
        said.contains("Unable to locate package missing") && said.contains("no image for 1 of 3 jobs"),
        "{said}"
    );
    let words = ["--matrix=label=a", "--matrix=label=b"];
    let mut two = ["ensure", "--workflow=ci.yml", "--project=p", "--os=debian:12", "--arch=amd64"].to_vec();
    two.extend(words);
    let rows = sandbox.json(&two);
    let images: Vec<_> =
        rows.as_array().unwrap().iter().map(|row| row["image"]["name"].as_str().unwrap()).collect();
    assert_eq!(images, [NAME, NAME]);
    two.push("--dry-run");
    assert_eq!(sandbox.ok(&two), "");
}
