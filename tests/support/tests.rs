//! The harness itself: each peer is what its name says, and a skip bears the test's name.

use std::io::Write;
use std::process::Stdio;

use super::{Docker, Sandbox, fixture, need, peer, run, skip};

/// The image in all fixtures, and what it prints.
const IMAGE: &str = "capy-debian-12-gcc12:latest";
const GREETING: &str = "hello from larder\n";

fn release(docker: &Docker) -> u32 {
    docker.version().split('.').next().unwrap().parse().unwrap()
}

#[test]
fn docker20_is_docker_20_with_a_graph_driver() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    assert!(docker.version().starts_with("20.10."), "{}", docker.version());
    assert!(!docker.has_containerd_store());
}

#[test]
fn docker28_has_a_graph_driver() {
    let docker = need!(peer::docker28(), "Docker 28");
    assert!(release(&docker) >= 28, "{}", docker.version());
    assert!(!docker.has_containerd_store());
}

#[test]
fn docker28c_has_the_containerd_store() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    assert!(release(&docker) >= 28, "{}", docker.version());
    assert!(docker.has_containerd_store());
}

#[test]
fn every_docker_loads_and_runs_its_own_fixture_and_is_emptied() {
    let engines = [
        (need!(peer::docker20(), "Docker 20.10"), "docker20.tar"),
        (need!(peer::docker28(), "Docker 28"), "docker28.tar"),
        (need!(peer::docker28c(), "Docker 28 with containerd store"), "docker28c.tar"),
    ];
    for (docker, archive) in engines {
        assert!(docker.socket().exists());
        assert_eq!(docker.image_id(IMAGE), None, "the engine is not empty");
        docker.ok(["load".as_ref(), "-i".as_ref(), fixture(archive).as_os_str()]);
        assert!(docker.image_id(IMAGE).unwrap().starts_with("sha256:"));
        assert_eq!(docker.run(IMAGE, &[]), GREETING, "{archive}");
        assert_eq!(
            docker.run(IMAGE, &["/bin/hello", "and", "you"]),
            "hello from larder and you\n",
            "{archive}"
        );
        docker.empty();
        assert_eq!(docker.image_id(IMAGE), None);
    }
}

#[test]
fn forky_has_the_newest_skopeo() {
    let sandbox = Sandbox::new();
    let mut skopeo = need!(peer::forky("skopeo", sandbox.root()), "skopeo of forky");
    let printed = run(skopeo.arg("--version"));
    let version = printed.trim().strip_prefix("skopeo version ").unwrap();
    let (major, rest) = version.split_once('.').unwrap();
    let minor: u32 = rest.split('.').next().unwrap().parse().unwrap();
    assert!(major == "1" && minor >= 20, "{version}");
}

#[test]
fn forky_podman_finds_in_one_call_what_it_loaded_in_another() {
    let sandbox = Sandbox::new();
    let podman = || peer::forky("podman", sandbox.root());
    std::fs::copy(fixture("podman-docker.tar"), sandbox.path("image.tar")).unwrap();
    run(need!(podman(), "podman of forky").args(["load", "-i", "image.tar"]));
    let printed = run(need!(podman(), "podman of forky").args(["run", "--rm", "--network=host", IMAGE]));
    assert_eq!(printed, GREETING);
}

#[test]
fn the_distributions_skopeo_and_the_registry_know_each_other() {
    let registry = need!(peer::registry(), "docker-registry");
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    let from = format!("docker-archive:{}", fixture("docker20.tar").display());
    let to = format!("docker://{}/support/hello:latest", registry.address);
    run(skopeo.args(["--insecure-policy", "copy", "--dest-tls-verify=false", &from, &to]));
    assert!(registry.log().contains("PUT /v2/support/hello/manifests/latest"));
}

#[test]
fn act_runs_in_a_sandbox() {
    let sandbox = Sandbox::new();
    let mut act = sandbox.enclose(need!(peer::act(), "act"));
    assert!(run(act.arg("--version")).starts_with("act version "));
}

#[test]
fn a_sandbox_shows_larder_nothing_of_the_outer_environment() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GREETING", "hello");
    let mut env = sandbox.enclose(std::process::Command::new("env"));
    let printed = run(&mut env);
    let mut variables: Vec<_> = printed.lines().map(|line| line.split_once('=').unwrap().0).collect();
    variables.sort_unstable();
    assert_eq!(variables, ["GREETING", "HOME", "LARDER_STORE", "PATH", "TMPDIR"]);
    assert!(!sandbox.store().exists(), "the store is larder's to make");
}

#[test]
fn larder_that_does_not_know_a_verb_says_so_with_the_exit_code_of_usage() {
    let sandbox = Sandbox::new();
    assert!(sandbox.fail(["no-such-verb"], 2).contains("no-such-verb"));
    assert!(sandbox.larder(["--help"]).status.success());
    assert!(sandbox.ok(["--help"]).contains("import"));
}

#[test]
fn an_archive_goes_in_through_a_pipe_and_is_listed() {
    let sandbox = Sandbox::new();
    let mut import = sandbox.command(["import", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    import.stdin.take().unwrap().write_all(&std::fs::read(fixture("docker20.tar")).unwrap()).unwrap();
    assert!(import.wait().unwrap().success());
    assert!(sandbox.json(["images"]).to_string().contains("capy-debian-12-gcc12"));
}

#[test]
fn larder_finds_the_docker_that_a_sandbox_uses() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    let mut sandbox = Sandbox::new();
    sandbox.use_docker(&docker);
    sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
    assert_eq!(sandbox.ok(["export", "--to-docker", IMAGE]).trim(), IMAGE);
    assert_eq!(docker.run(IMAGE, &[]), GREETING);
}

#[test]
fn a_skip_bears_the_name_that_cargo_prints() {
    fn here() {}
    let name = skip::test_name(std::any::type_name_of_val(&here));
    assert_eq!(name, "support::tests::a_skip_bears_the_name_that_cargo_prints");
    let nested = || {
        fn here() {}
        skip::test_name(std::any::type_name_of_val(&here))
    };
    assert_eq!(nested(), name);
}
