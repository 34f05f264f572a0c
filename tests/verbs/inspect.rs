//! `larder inspect`.

use serde_json::Value;

use super::{CLANG, GCC, column, redact, two_images};
use crate::roundtrip::imported;
use crate::support::store::{blobs, document, named};
use crate::support::tarball::members_of;
use crate::support::{Sandbox, fixture};

#[test]
fn the_table_is_for_people() {
    let sandbox = two_images();
    sandbox.ok(["annotate", GCC, "project=capy", "org.example.colour=green"]);
    insta::assert_snapshot!(redact(&sandbox.ok(["inspect", GCC])), @r"
    Names      capy-debian-12-gcc12:latest
    Digest     sha256:digest-1------------
    Image ID   sha256:digest-2------------
    Type       application/vnd.oci.image.manifest.v1+json
    Platform   linux/amd64
    Created    2023-11-14T22:13:20Z
    Imported   0000-00-00T00:00:00Z
    Uses       0
    Os         Debian GNU/Linux 12 (bookworm)
    Compilers  gcc 12.2.0
    Packages   3 (dpkg)
    Programs   3
    Size       5.2 kB
    Pinned     no
    Cmd        /bin/hello
    Env        PATH=/bin:/usr/bin, CC=gcc-12, CXX=g++-12
    Workdir    /

    Annotations
      dev.larder.image-id                sha256:digest-2------------
      dev.larder.imported                0000-00-00T00:00:00Z
      dev.larder.origin                  docker-archive
      dev.larder.project                 capy
      dev.larder.size                    5224
      io.containerd.image.name           docker.io/library/capy-debian-12-gcc12:latest
      org.example.colour                 green
      org.opencontainers.image.ref.name  capy-debian-12-gcc12:latest

    LAYER         DIFF ID       TYPE      STORED    PLAIN  SHARED WITH
    digest-3----  digest-4----  tar+zstd  1.0 kB  13.8 kB  capy-debian-12-clang16:latest
    digest-5----  digest-6----  tar+zstd   148 B   2.0 kB  capy-debian-12-clang16:latest
    digest-7----  digest-8----  tar+zstd    44 B   1.0 kB  capy-debian-12-clang16:latest
    digest-9----  digest-10---  tar+zstd   373 B   7.2 kB
    digest-7----  digest-8----  tar+zstd    44 B   1.0 kB  capy-debian-12-clang16:latest
    ");
    insta::assert_snapshot!(redact(&imported("sparse-oci.tar").ok(["inspect", "capy-debian-12-multi"])), @r"
    Names     capy-debian-12-multi:latest
    Digest    sha256:digest-1------------
    Type      application/vnd.oci.image.index.v1+json
    Platform  linux/amd64
    Imported  0000-00-00T00:00:00Z
    Uses      0
    Size      3.4 kB
    Pinned    no

    Annotations
      dev.larder.children                sha256:digest-2------------
      dev.larder.imported                0000-00-00T00:00:00Z
      dev.larder.origin                  oci-archive
      dev.larder.size                    3427
      io.containerd.image.name           docker.io/library/capy-debian-12-multi:latest
      org.opencontainers.image.ref.name  capy-debian-12-multi:latest

    CHILD                                                                    PLATFORM     STORED
    sha256:digest-2------------  linux/amd64  yes
    sha256:digest-3------------  linux/arm64  no
    ");
}

#[test]
fn layers_say_what_they_are_and_who_shares_them() {
    let sandbox = two_images();
    sandbox.ok(["tag", GCC, "alias:1"]);
    let members = members_of(&fixture("docker20.tar"));
    let items: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    let image = &sandbox.json(["inspect", GCC])[0];
    let layers = image["layers"].as_array().unwrap();
    let paths = items[0]["Layers"].as_array().unwrap();
    assert_eq!(layers.len(), paths.len());
    let (stored, manifest) =
        (blobs(&sandbox.store()), document(&sandbox.store(), &named(&sandbox.store(), GCC).unwrap()));
    for ((layer, path), listed) in layers.iter().zip(paths).zip(manifest["layers"].as_array().unwrap()) {
        let plain = &members[path.as_str().unwrap()];
        assert_eq!(layer["diff_id"], crate::support::tarball::sha256(plain));
        assert_eq!(layer["plain_size"], plain.len());
        assert_eq!((&layer["digest"], &layer["media_type"]), (&listed["digest"], &listed["mediaType"]));
        let hex = layer["digest"].as_str().unwrap().trim_start_matches("sha256:");
        assert_eq!(layer["stored_size"], stored[hex]);
        let is_own = String::from_utf8_lossy(plain).contains("opt/gcc12");
        let expected = if is_own { serde_json::json!([]) } else { serde_json::json!([CLANG]) };
        assert_eq!(layer["shared_with"], expected, "another name of the same image shares nothing: {layer}");
    }
    let config = &members[items[0]["Config"].as_str().unwrap()];
    assert_eq!(image["config"], serde_json::from_slice::<Value>(config).unwrap());
    assert_eq!(image["manifest"], manifest);
    assert_eq!(image["names"], serde_json::json!([GCC, "alias:1"]));
    assert_eq!(image["media_type"], "application/vnd.oci.image.manifest.v1+json");
    assert_eq!(image["platforms"], serde_json::json!(["linux/amd64"]));
    assert_eq!(image["created"], "2023-11-14T22:13:20Z");
}

#[test]
fn images_are_found_by_every_kind_of_reference() {
    let sandbox = two_images();
    let image = &sandbox.json(["inspect", GCC])[0];
    let (digest, id) = (image["digest"].as_str().unwrap(), image["image_id"].as_str().unwrap());
    for query in [
        "capy-debian-12-gcc12",
        GCC,
        "docker.io/library/capy-debian-12-gcc12:latest",
        "library/capy-debian-12-gcc12",
        digest,
        &digest[..19],
        &digest[7..19],
        id,
        &id[..19],
        &id[7..30],
    ] {
        assert_eq!(sandbox.json(["inspect", query])[0]["digest"], digest, "{query}");
    }
    let both = sandbox.json(["inspect", CLANG, GCC]);
    assert_eq!(column(&both, "reference"), [CLANG, GCC], "several, in the order asked for");
    for query in
        ["capy", "capy-debian-12-gcc12:1", &digest[..18], &digest[7..18], "sha256:", "", "../..", "A B"]
    {
        let output = sandbox.larder(["inspect", query]);
        assert_eq!(output.status.code(), Some(3), "{query}: {output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8(output.stderr).unwrap().contains(query), "{query}");
    }
    let partly = sandbox.larder(["inspect", GCC, "missing:1"]);
    assert_eq!((partly.status.code(), partly.stdout.len()), (Some(3), 0), "all or nothing");
}

#[test]
fn an_image_of_another_tool_is_found_by_its_image_id() {
    let sandbox = two_images();
    let id = sandbox.json(["inspect", GCC])[0]["image_id"].as_str().unwrap().to_owned();
    let text = crate::support::store::index_text(&sandbox.store());
    let foreign = text.replace("dev.larder.image-id", "org.example.other");
    std::fs::write(sandbox.store().join("index.json"), foreign).unwrap();
    for query in [&id[..], &id[7..], &id[..19]] {
        assert_eq!(sandbox.json(["inspect", query])[0]["reference"], GCC, "{query}");
    }
}

#[test]
fn a_digest_that_fits_two_images_is_ambiguous() {
    // Twelve digits that two images have in common cannot be had by chance: by an index that another tool wrote, they can.
    let sandbox = Sandbox::new();
    let prefix = "0123456789ab";
    let entry = |rest: &str, name: &str| {
        serde_json::json!({
            "mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": format!("sha256:{prefix}{}", rest.repeat(52)),
            "size": 2, "annotations": {"org.opencontainers.image.ref.name": name},
        })
    };
    sandbox.ok(["init"]);
    let index =
        serde_json::json!({"schemaVersion": 2, "manifests": [entry("0", "one:1"), entry("1", "two:1")]});
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    for verb in [&["inspect"][..], &["tag"], &["rm"], &["export", "-o", "x.tar"], &["pin"]] {
        let mut args = verb.to_vec();
        args.push(prefix);
        args.extend((verb == ["tag"]).then_some("three:1"));
        let said = sandbox.fail(args, 1);
        assert!(
            said.contains("one:1") && said.contains("two:1") && said.contains("hint: "),
            "{verb:?}: {said}"
        );
    }
    assert_eq!(crate::support::store::index_text(&sandbox.store()), index.to_string());
}

#[test]
fn an_image_that_is_damaged_is_said_to_be() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    std::fs::remove_file(crate::support::store::blob_path(&sandbox.store(), &digest)).unwrap();
    let said = sandbox.fail(["inspect", GCC], 5);
    assert!(said.contains(&digest), "{said}");
    assert!(sandbox.ok(["images"]).contains(GCC), "the list is there all the same");
}
