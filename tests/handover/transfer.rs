//! How much is sent: all, nothing, or what is missing; counted on the socket.

use super::images::{APP_SIZE, BASE_SIZE, app, base, store, store_config};
use super::{Desk, REQUESTS, assert_sent, expected_id, on_every_engine};
use crate::roundtrip::GREETING;
use crate::support::tarball::config;
use crate::support::{Docker, fixture};

on_every_engine!(
    cold_then_again_then_a_sibling,
    layers_that_other_tools_brought_are_spared_on_a_graph_driver,
    every_compression_arrives,
    a_multi_platform_image_gives_the_platform_of_the_engine,
);

fn cold_then_again_then_a_sibling(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());

    let (rows, traffic) = desk.hand_over(["base:1"]);
    assert_sent(&rows[0], &traffic, 2, 0);
    assert!(traffic.sent > BASE_SIZE, "noise does not compress: {traffic:?}");
    assert_eq!(rows[0]["name"], "base:1");
    assert_eq!(docker.image_id("base:1"), expected_id(docker, &desk.sandbox, "base:1"));
    assert_eq!(docker.run("base:1", &[]), GREETING);

    let (rows, traffic) = desk.hand_over(["base:1"]);
    assert_sent(&rows[0], &traffic, 0, 2);
    assert!(traffic.sent < REQUESTS, "{traffic:?}");
    assert!(rows[0]["spared_bytes"].as_u64().unwrap() > BASE_SIZE, "{rows:?}");

    let (rows, traffic) = desk.hand_over(["app:1"]);
    assert_sent(&rows[0], &traffic, 1, 2);
    assert!((APP_SIZE..APP_SIZE + APP_SIZE / 4).contains(&traffic.sent), "{traffic:?}");
    assert!(rows[0]["spared_bytes"].as_u64().unwrap() > BASE_SIZE, "{rows:?}");
    assert_eq!(docker.image_id("app:1"), expected_id(docker, &desk.sandbox, "app:1"));
    assert_eq!(docker.run("app:1", &["/bin/hello", "app"]), "hello from larder app\n");

    // The engine's own word: it can give the image away again, whole, also when the base has lost its name.
    docker.ok(["image", "rm", "--force", "base:1"]);
    let saved = desk.sandbox.path("saved.tar");
    docker.ok(["save".as_ref(), "-o".as_ref(), saved.as_os_str(), "app:1".as_ref()]);
    let again = crate::support::Sandbox::new();
    let rows = again.json(["import".as_ref(), saved.as_os_str()]);
    assert_eq!(rows[0]["image_id"], desk.sandbox.json(["inspect", "app:1"])[0]["image_id"]);
}

/// A graph driver knows layers by their chain IDs, whoever brought them; containerd knows what larder sent.
fn layers_that_other_tools_brought_are_spared_on_a_graph_driver(docker: &Docker) {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    desk.sandbox.ok(["export", "base:1", "-o", "base.tar", "--layers", "plain"]);
    docker.ok(["load".as_ref(), "-i".as_ref(), desk.sandbox.path("base.tar").as_os_str()]);
    let (rows, traffic) = desk.hand_over(["app:1"]);
    if docker.has_containerd_store() {
        assert_sent(&rows[0], &traffic, 3, 0);
    } else {
        assert_sent(&rows[0], &traffic, 1, 2);
    }
    assert_eq!(docker.run("app:1", &[]), GREETING);
}

fn every_compression_arrives(docker: &Docker) {
    let desk = Desk::new(docker);
    for (number, compression) in ["zstd", "gzip", "none"].into_iter().enumerate() {
        let name = format!("{compression}:1");
        let layers = [base()[0].clone(), crate::support::tarball::layer("which", compression.as_bytes())];
        let config = config("linux", "amd64", &layers);
        store_config(&desk.sandbox, &name, &config, &layers, &["--compression", compression]);
        let (rows, _) = desk.hand_over([&name]);
        // The first layer is the same in all of them; larder has it once, and so has a graph driver.
        assert_eq!(rows[0]["spared_layers"], u64::from(number > 0), "{compression}");
        assert_eq!(
            docker.run(&name, &["/bin/hello", compression]),
            format!("hello from larder {compression}\n")
        );
    }
    let sandbox = &desk.sandbox;
    sandbox.ok(["import".as_ref(), fixture("skopeo-oci-zstd.tar").as_os_str()]);
    desk.hand_over([crate::roundtrip::GCC]);
    assert_eq!(docker.run(crate::roundtrip::GCC, &[]), GREETING);
}

fn a_multi_platform_image_gives_the_platform_of_the_engine(docker: &Docker) {
    for file in ["multiarch-oci.tar", "sparse-oci.tar"] {
        let desk = Desk::new(docker);
        desk.sandbox.ok(["import".as_ref(), fixture(file).as_os_str()]);
        let name = "capy-debian-12-multi:latest";
        let child = |arch: &str| {
            let inspected = desk.sandbox.json(["inspect", name]);
            let children = inspected[0]["children"].as_array().unwrap().clone();
            children.iter().find(|child| child["platform"] == format!("linux/{arch}")).unwrap()["digest"]
                .clone()
        };
        let (rows, _) = desk.hand_over([name]);
        assert_eq!(rows[0]["digest"], child("amd64"), "{file}");
        let platform = |name| docker.ok(["image", "inspect", "--format", "{{.Os}}/{{.Architecture}}", name]);
        assert_eq!(platform(name), "linux/amd64\n", "{file}");
        assert_eq!(docker.run(name, &[]), GREETING, "{file}");
        let other = ["--platform", "linux/arm64", name, "--as", "arm:1"];
        if file == "multiarch-oci.tar" {
            let (rows, _) = desk.hand_over(other);
            assert_eq!(rows[0]["digest"], child("arm64"));
            assert_eq!(platform("arm:1"), "linux/arm64\n");
        } else {
            let (output, traffic) = desk.try_hand_over(other);
            assert_eq!((output.status.code(), traffic.loads), (Some(1), 0), "{output:?}");
            assert!(String::from_utf8(output.stderr).unwrap().contains("linux/arm64"));
        }
        docker.empty();
    }
}
