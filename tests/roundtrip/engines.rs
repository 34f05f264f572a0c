//! Docker 20.10, and 28 with both image stores: what they save comes in, what we write they load and run.

use super::{CLANG, GCC, GREETING, assert_is_image, config_of, export, imported};
use crate::support::store::named;
use crate::support::tarball::sha256;
use crate::support::{Docker, Sandbox, fixture, need, peer, run};

/// Takes the image through the store, once for each form of archive, and back into the same engine.
fn there_and_back(docker: &Docker, forms: &[&[&str]]) {
    docker.ok(["load".as_ref(), "-i".as_ref(), fixture("docker20.tar").as_os_str()]);
    let original = docker.image_id(GCC).unwrap();
    let sandbox = Sandbox::new();
    let saved = sandbox.path("saved.tar");
    docker.ok(["save".as_ref(), "-o".as_ref(), saved.as_os_str(), GCC.as_ref()]);
    let config = config_of(&saved);
    sandbox.ok(["import", "saved.tar"]);
    assert_is_image(&sandbox, GCC, &config);

    for form in forms {
        docker.empty();
        export(&sandbox, GCC, "ours.tar", form);
        let said = docker.ok(["load".as_ref(), "-i".as_ref(), sandbox.path("ours.tar").as_os_str()]);
        assert_eq!(said.trim(), format!("Loaded image: {GCC}"), "{form:?}");
        assert_eq!(docker.run(GCC, &[]), GREETING, "{form:?}");
        let tags = docker.ok(["image", "ls", "--format", "{{.Repository}}:{{.Tag}}"]);
        assert_eq!(tags.trim(), GCC, "{form:?}");
        let id = docker.image_id(GCC).unwrap();
        if docker.has_containerd_store() {
            let stored = named(&sandbox.store(), GCC).unwrap();
            assert!(id == stored || form.contains(&"docker") || form.contains(&"plain"), "{form:?}: {id}");
        } else {
            assert_eq!(id, original, "{form:?}: the image ID");
            assert_eq!(id, sha256(&config), "{form:?}: the image ID");
        }
        // What the engine says of it now is what it said of it first.
        docker.ok(["save".as_ref(), "-o".as_ref(), saved.as_os_str(), GCC.as_ref()]);
        assert_eq!(config_of(&saved), config, "{form:?}");
    }
}

#[test]
fn docker20() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    there_and_back(&docker, &[&["--layers", "plain"], &["--layers", "plain", "--archive", "docker"]]);
}

#[test]
fn docker20_reads_gzip_but_no_zstd() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    let sandbox = Sandbox::new();
    sandbox.ok([
        "import".as_ref(),
        fixture("docker20.tar").as_os_str(),
        "--compression".as_ref(),
        "gzip".as_ref(),
    ]);
    for archive in ["hybrid", "docker"] {
        export(&sandbox, GCC, "gzip.tar", &["--archive", archive]);
        docker.empty();
        docker.ok(["load".as_ref(), "-i".as_ref(), sandbox.path("gzip.tar").as_os_str()]);
        assert_eq!(docker.run(GCC, &[]), GREETING, "{archive}");
    }
    // The reason for `--layers plain`; if this ever loads, the help and the hand-over say too much.
    docker.empty();
    let zstd = imported("docker20.tar");
    export(&zstd, GCC, "zstd.tar", &[]);
    let output = docker.docker(["load".as_ref(), "-i".as_ref(), zstd.path("zstd.tar").as_os_str()]);
    assert!(!output.status.success() && docker.image_id(GCC).is_none());
}

#[test]
fn docker28_with_a_graph_driver() {
    let docker = need!(peer::docker28(), "Docker 28");
    there_and_back(
        &docker,
        &[
            &[],
            &["--archive", "docker"],
            &["--layers", "plain"],
            &["--layers", "plain", "--archive", "docker"],
        ],
    );
}

#[test]
fn docker28_with_the_containerd_store() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    there_and_back(&docker, &[&[], &["--archive", "oci"], &["--archive", "docker"], &["--layers", "plain"]]);
}

/// containerd calls every compressed blob gzip when it finds it for a layer of a docker-archive: after a hand-over of
/// zstd layers, what `docker save` writes has manifests whose media types are wrong, and every reader looks inside.
#[test]
fn what_docker_saves_after_a_hand_over_comes_in() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    let mut sandbox = imported("docker20.tar");
    sandbox.use_docker(&docker);
    sandbox.ok(["export", "--to-docker", GCC, "--as", "ours:1"]);
    docker.ok(["load".as_ref(), "-i".as_ref(), fixture("docker20.tar").as_os_str()]);
    let other = Sandbox::new();
    let saved = other.path("saved.tar");
    docker.ok(["save".as_ref(), "-o".as_ref(), saved.as_os_str(), GCC.as_ref()]);
    other.ok(["import", "saved.tar"]);
    assert_is_image(&other, GCC, &config_of(&saved));
    // And it leaves the store again, in every form, for every engine.
    docker.empty();
    for form in [&[][..], &["--layers", "plain"]] {
        export(&other, GCC, "again.tar", form);
        docker.ok(["load".as_ref(), "-i".as_ref(), other.path("again.tar").as_os_str()]);
        assert_eq!(docker.run(GCC, &[]), GREETING, "{form:?}");
    }
}

#[test]
fn several_images_and_other_names_load_everywhere() {
    let engines = [
        need!(peer::docker20(), "Docker 20.10"),
        need!(peer::docker28(), "Docker 28"),
        need!(peer::docker28c(), "Docker 28 with containerd store"),
    ];
    let sandbox = imported("docker20-two.tar");
    for docker in engines {
        let layers = if docker.version().starts_with("20.") { "plain" } else { "stored" };
        let both = ["export", GCC, CLANG, "--layers", layers];
        sandbox.ok(both.into_iter().chain(["-o", "both.tar"]));
        docker.ok(["load".as_ref(), "-i".as_ref(), sandbox.path("both.tar").as_os_str()]);
        for (name, compiler) in [(GCC, "gcc-12"), (CLANG, "clang-16")] {
            assert_eq!(docker.run(name, &[]), GREETING, "{name}");
            let env = docker.ok(["image", "inspect", "--format", "{{.Config.Env}}", name]);
            assert!(env.contains(&format!("CC={compiler}")), "{name}: {env}");
        }
        docker.empty();

        let renamed = ["--as", "registry.example:5000/ci/gcc:7", "--as", "clang", "-o", "renamed.tar"];
        sandbox.ok(both.into_iter().chain(renamed));
        docker.ok(["load".as_ref(), "-i".as_ref(), sandbox.path("renamed.tar").as_os_str()]);
        for name in ["registry.example:5000/ci/gcc:7", "clang:latest"] {
            assert_eq!(docker.run(name, &[]), GREETING, "{name}");
        }
        assert_eq!(docker.image_id(GCC), None, "the names inside are the ones that were asked for");
    }
}

#[test]
fn an_archive_goes_through_a_pipe_into_docker_load() {
    for (docker, more) in [
        (need!(peer::docker20(), "Docker 20.10"), vec!["--layers", "plain"]),
        (need!(peer::docker28c(), "Docker 28 with containerd store"), vec![]),
    ] {
        let sandbox = imported("docker20.tar");
        let mut larder = sandbox.command(["export", GCC, "-o", "-"]);
        let mut larder = larder.args(more).stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut load = docker.command(["load"]);
        run(load.stdin(larder.stdout.take().unwrap()));
        assert!(larder.wait().unwrap().success());
        assert_eq!(docker.run(GCC, &[]), GREETING);
    }
}

#[test]
fn an_index_loads_with_the_platform_of_the_engine() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    let sandbox = imported("multiarch-oci.tar");
    export(&sandbox, "capy-debian-12-multi", "all.tar", &["--all-platforms"]);
    docker.ok(["load".as_ref(), "-i".as_ref(), sandbox.path("all.tar").as_os_str()]);
    assert_eq!(
        docker.image_id("capy-debian-12-multi:latest"),
        named(&sandbox.store(), "capy-debian-12-multi:latest")
    );
    assert_eq!(docker.run("capy-debian-12-multi:latest", &[]), GREETING);
}
