//! The archive itself: deterministic, with all its documents last, and the same image when it comes in again.

use std::io::Read;

use serde_json::{Value, json};

use super::{CLANG, GCC, export, imported};
use crate::support::store::named;
use crate::support::tarball::{members_of, sha256};
use crate::support::{Sandbox, fixture};

const FORMS: [&[&str]; 5] =
    [&[], &["--archive", "docker"], &["--archive", "oci"], &["--layers", "plain"], &["--as", "other:1"]];

#[test]
fn the_same_image_gives_the_same_bytes_from_any_store() {
    let (one, two) = (imported("docker20.tar"), imported("docker28c.tar"));
    for form in FORMS {
        let mut archives = Vec::new();
        for (sandbox, jobs) in [(&one, "1"), (&one, "4"), (&two, "2")] {
            let more: Vec<_> = form.iter().copied().chain(["--jobs", jobs]).collect();
            export(sandbox, GCC, "image.tar", &more);
            archives.push(std::fs::read(sandbox.path("image.tar")).unwrap());
            let piped = sandbox.larder(["export", GCC, "-o", "-"].into_iter().chain(more));
            archives.push(piped.stdout);
        }
        assert!(archives[0].len() > 4096);
        assert!(archives.iter().all(|archive| *archive == archives[0]), "{form:?}");
    }
}

#[test]
fn a_hybrid_is_an_oci_layout_and_a_docker_archive() {
    let sandbox = imported("docker20.tar");
    export(&sandbox, GCC, "image.tar", &[]);
    let mut archive = tar::Archive::new(std::fs::File::open(sandbox.path("image.tar")).unwrap());
    let mut paths = Vec::new();
    for member in archive.entries().unwrap() {
        let mut member = member.unwrap();
        let path = member.path().unwrap().to_str().unwrap().to_owned();
        let header = member.header();
        let facts =
            (header.mode().unwrap(), header.uid().unwrap(), header.gid().unwrap(), header.mtime().unwrap());
        let mode = if header.entry_type().is_dir() { 0o755 } else { 0o644 };
        assert_eq!(facts, (mode, 0, 0, 0), "{path}: of nobody and no time");
        let mut bytes = Vec::new();
        member.read_to_end(&mut bytes).unwrap();
        if let Some(hex) = path.strip_prefix("blobs/sha256/").filter(|hex| !hex.is_empty()) {
            assert_eq!(sha256(&bytes), format!("sha256:{hex}"));
        }
        paths.push(path);
    }
    assert!(paths.contains(&"oci-layout".to_owned()), "{paths:?}");
    assert_eq!(
        paths[paths.len() - 2..],
        ["index.json", "manifest.json"],
        "what makes it an image comes last"
    );

    let members = members_of(&sandbox.path("image.tar"));
    let parse = |path: &str| serde_json::from_slice::<Value>(&members[path]).unwrap();
    assert_eq!(parse("oci-layout"), json!({"imageLayoutVersion": "1.0.0"}));
    let digest = named(&sandbox.store(), GCC).unwrap();
    let entry = &parse("index.json")["manifests"][0];
    assert_eq!(entry["digest"], digest);
    let annotations = json!({
        "io.containerd.image.name": "docker.io/library/capy-debian-12-gcc12:latest",
        "org.opencontainers.image.ref.name": "latest",
    });
    assert_eq!(entry["annotations"], annotations, "nothing of ours leaves the store");
    let item = &parse("manifest.json")[0];
    assert_eq!(item["RepoTags"], json!([GCC]));
    let manifest = parse(&format!("blobs/sha256/{}", digest.trim_start_matches("sha256:")));
    let layers = item["Layers"].as_array().unwrap();
    for (path, layer) in layers.iter().zip(manifest["layers"].as_array().unwrap()) {
        assert_eq!(*path, layer["digest"].as_str().unwrap().replace("sha256:", "blobs/sha256/"));
    }
}

#[test]
fn an_export_comes_in_again_as_what_it_was() {
    for (file, name) in [
        ("docker20.tar", GCC),
        ("docker28c.tar", GCC),
        ("skopeo-oci.tar", GCC),
        ("skopeo-oci-zstd.tar", GCC),
        ("podman-oci.tar", "localhost/capy-debian-12-gcc12:latest"),
    ] {
        let sandbox = imported(file);
        let digest = named(&sandbox.store(), name);
        for form in [&[][..], &["--archive", "oci"]] {
            export(&sandbox, name, "out.tar", form);
            let other = Sandbox::new();
            other.ok(["import".as_ref(), sandbox.path("out.tar").as_os_str()]);
            assert_eq!(named(&other.store(), name), digest, "{file} {form:?}");
        }
        // Without the OCI part, or with other layers, the manifest is made anew; the image ID stays.
        let image_id = |sandbox: &Sandbox| sandbox.json(["inspect", name])[0]["image_id"].clone();
        for form in [&["--archive", "docker"][..], &["--layers", "plain"]] {
            export(&sandbox, name, "out.tar", form);
            let other = Sandbox::new();
            other.ok(["import".as_ref(), sandbox.path("out.tar").as_os_str()]);
            assert_eq!(image_id(&other), image_id(&sandbox), "{file} {form:?}");
        }
    }
    // An index whole, an attestation with its image.
    for (file, name) in [("multiarch-oci.tar", "capy-debian-12-multi:latest"), ("attest-oci.tar", GCC)] {
        let sandbox = imported(file);
        export(&sandbox, name, "out.tar", &["--all-platforms"]);
        let other = Sandbox::new();
        other.ok(["import".as_ref(), sandbox.path("out.tar").as_os_str()]);
        assert_eq!(named(&other.store(), name), named(&sandbox.store(), name), "{file}");
    }
}

#[test]
fn a_platform_is_chosen_out_of_an_index() {
    let sandbox = imported("multiarch-oci.tar");
    for (platform, arch) in [("linux/amd64", "amd64"), ("linux/arm64", "arm64")] {
        export(&sandbox, "capy-debian-12-multi", "one.tar", &["--platform", platform]);
        let members = members_of(&sandbox.path("one.tar"));
        let items: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
        assert_eq!(items[0]["RepoTags"], json!(["capy-debian-12-multi:latest"]));
        let config: Value = serde_json::from_slice(&members[items[0]["Config"].as_str().unwrap()]).unwrap();
        assert_eq!(config["architecture"], arch);
    }
    let said =
        sandbox.fail(["export", "capy-debian-12-multi", "--platform", "linux/s390x", "-o", "no.tar"], 1);
    assert!(said.contains("linux/s390x") && said.contains("linux/arm64"), "{said}");
    assert!(!sandbox.path("no.tar").exists());
    for bad in [&["--platform", "amd64"][..], &["--platform", "linux/amd64", "--all-platforms"]] {
        sandbox.fail(
            ["export", "capy-debian-12-multi", "-o", "no.tar"].into_iter().chain(bad.iter().copied()),
            2,
        );
    }
}

#[test]
fn names_are_given_one_for_each_image() {
    let sandbox = imported("docker20-two.tar");
    sandbox.ok(["export", CLANG, GCC, "-o", "two.tar", "--as", "a:1", "--as", "b.example/c:2"]);
    let other = Sandbox::new();
    other.ok(["import".as_ref(), sandbox.path("two.tar").as_os_str()]);
    assert_eq!(named(&other.store(), "a:1"), named(&sandbox.store(), CLANG));
    assert_eq!(named(&other.store(), "b.example/c:2"), named(&sandbox.store(), GCC));
    for bad in [&["--as", "a"][..], &["--as", "a", "--as", "b", "--as", "c"], &["--as", "A B", "--as", "b"]] {
        sandbox.fail(["export", CLANG, GCC, "-o", "bad.tar"].into_iter().chain(bad.iter().copied()), 2);
        assert!(!sandbox.path("bad.tar").exists());
    }
}

#[test]
fn one_image_under_two_names_is_packed_once() {
    let sandbox = imported("docker20.tar");
    sandbox.ok(["tag", GCC, "again:2"]);
    export(&sandbox, GCC, "one.tar", &[]);
    sandbox.ok(["export", GCC, "again:2", "-o", "two.tar"]);
    let blobs = |file: &str| {
        let members = members_of(&sandbox.path(file));
        members.into_iter().filter(|(path, _)| path.starts_with("blobs/")).collect::<Vec<_>>()
    };
    assert_eq!(blobs("one.tar"), blobs("two.tar"));
    let other = Sandbox::new();
    let rows = other.json(["import".as_ref(), sandbox.path("two.tar").as_os_str()]);
    assert_eq!((&rows[0]["reference"], &rows[1]["reference"]), (&json!(GCC), &json!("again:2")));
    assert_eq!(rows[0]["digest"], rows[1]["digest"]);
}

#[test]
fn an_image_without_a_name_is_exported_by_its_digest() {
    let sandbox = imported("docker20.tar");
    let digest = named(&sandbox.store(), GCC).unwrap();
    sandbox.ok([
        "import".as_ref(),
        "--replace".as_ref(),
        "--name".as_ref(),
        GCC.as_ref(),
        fixture("skopeo-oci.tar").as_os_str(),
    ]);
    export(&sandbox, &digest, "nameless.tar", &[]);
    let members = members_of(&sandbox.path("nameless.tar"));
    let items: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    assert_eq!(items[0]["RepoTags"], Value::Null);
    export(&sandbox, &digest, "named.tar", &["--as", "back:1"]);
    let other = Sandbox::new();
    other.ok(["import".as_ref(), sandbox.path("named.tar").as_os_str()]);
    assert_eq!(named(&other.store(), "back:1"), Some(digest));
}
