//! Archives that pass once: whatever their size and order, a pipe gives what a file gives.

use serde_json::{Value, json};

use super::rows;
use crate::support::store::{assert_nothing_pending, assert_sound, blobs, named};
use crate::support::tarball::{Oci, Tarball, config, docker_archive, hex, layer, noise, sha256};
use crate::support::{Sandbox, feed, need, peer};

/// Imports an archive from a file and through a pipe: the digests must be the same. The second sandbox is given back.
fn both_ways(archive: &[u8], args: &[&str]) -> Sandbox {
    let file = Sandbox::new();
    std::fs::write(file.path("archive.tar"), archive).unwrap();
    let expected = rows(file.json(["import", "archive.tar"].iter().chain(args)));
    let pipe = Sandbox::new();
    let output = feed(pipe.command(["import", "-", "--format", "json"]).args(args), archive);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let got = rows(serde_json::from_slice(&output.stdout).unwrap());
    let digests = |rows: &[Value]| rows.iter().map(|row| row["digest"].clone()).collect::<Vec<_>>();
    assert_eq!(digests(&got), digests(&expected));
    assert_sound(&pipe.store());
    assert_nothing_pending(&pipe.store());
    pipe
}

/// A docker-archive in which this many members of 1 MiB come before config and manifest.json.
fn documents_behind(strangers: usize, config: &[u8], layers: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = Tarball::new();
    let mut paths = Vec::new();
    for layer in layers {
        paths.push(format!("{}.tar", hex(layer)));
        archive.file(paths.last().unwrap(), layer);
    }
    for number in 0..strangers {
        archive.file(&format!("stranger{number}"), &noise(number as u64, 1 << 20));
    }
    // What is left of the room is filled up too, to less than any document has.
    for power in (6..20).rev() {
        archive.file(&format!("filler{power}"), &noise(power, 1 << power));
        archive.file(&format!("more{power}"), &noise(power, 1 << power));
    }
    let config_path = format!("{}.json", hex(config));
    archive.file(&config_path, config);
    let manifest = json!([{"Config": config_path, "RepoTags": ["late:1"], "Layers": paths}]);
    archive.file("manifest.json", manifest.to_string().as_bytes());
    archive.bytes()
}

#[test]
fn documents_behind_many_small_members() {
    let layers = [layer("a", &noise(1, 1000))];
    let config = config("linux", "amd64", &layers).to_string().into_bytes();
    // One more than there is room for in memory.
    for args in [&[][..], &["--compression", "gzip"], &["--compression", "none"]] {
        both_ways(&documents_behind(25, &config, &layers), args);
    }
}

#[test]
fn a_document_that_looks_compressed_or_is_there_already() {
    let layers = [layer("a", b"x")];
    let mut packed = config("linux", "amd64", &layers).to_string().into_bytes();
    // Good JSON that fills memory by itself, so that what comes behind it is taken in otherwise.
    packed.extend(vec![b' '; 3 << 20]);
    let archive = documents_behind(25, &packed, &layers);
    let sandbox = both_ways(&archive, &[]);
    // Again, under another name: the config is in the store, and passed over by its name in an oci-archive.
    let mut oci = Oci::image("oci:1", &layers);
    let mut manifest = oci.manifest();
    manifest["config"]["digest"] = sha256(&packed).into();
    manifest["config"]["size"] = packed.len().into();
    oci.add(&packed);
    (0..25).for_each(|seed| oci.add(&noise(seed, 1 << 20)));
    oci.root("oci:1", &manifest);
    let output = feed(&mut sandbox.command(["import", "-"]), &oci.archive());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(named(&sandbox.store(), "oci:1").is_some());
    assert_sound(&sandbox.store());
}

#[test]
fn more_members_than_a_process_may_have_files() {
    let layers: Vec<_> = (0..60).map(|seed| layer("a", &noise(seed, (1 << 20) + 1))).collect();
    let docker = docker_archive("many:1", &layers);
    let mut gzipped = Vec::new();
    for layer in &layers {
        gzipped.push(feed(need!(peer::tool("gzip"), "gzip").args(["-1", "-c"]), layer).stdout);
    }
    let mut oci = Oci::image("many:2", &layers);
    let mut manifest = oci.manifest();
    manifest["layers"] = gzipped
        .iter()
        .map(|bytes| json!({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": sha256(bytes), "size": bytes.len()}))
        .collect();
    oci.blobs.clear();
    oci.add(config("linux", "amd64", &layers).to_string().as_bytes());
    gzipped.iter().for_each(|bytes| oci.add(bytes));
    oci.root("many:2", &manifest);
    for (name, archive) in [("docker", docker), ("oci", oci.archive())] {
        for jobs in ["1", "3"] {
            let sandbox = Sandbox::new();
            let larder = sandbox.command(["import", "-", "--jobs", jobs]);
            let mut limited = sandbox.enclose(std::process::Command::new("sh"));
            limited.args(["-c", r#"ulimit -n 50; exec "$0" "$@""#]);
            limited.arg(larder.get_program()).args(larder.get_args());
            let output = feed(&mut limited, &archive);
            assert!(
                output.status.success(),
                "{name}, {jobs} jobs: {}",
                String::from_utf8_lossy(&output.stderr)
            );
            assert_sound(&sandbox.store());
            assert_nothing_pending(&sandbox.store());
        }
    }
}

#[test]
fn what_only_begins_like_a_compressed_layer_is_nobodys_matter() {
    let layers = [layer("a", b"x")];
    let image = docker_archive("sniffed:1", &layers);
    for magic in [&[0x1f, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd]] {
        let mut stranger = magic.to_vec();
        stranger.extend(noise(1, (1 << 20) + 5));
        let mut archive = Tarball::new();
        archive.file("stranger", &stranger);
        let mut bytes = archive.bytes();
        bytes.truncate(bytes.len() - 1024);
        bytes.extend(&image);
        let sandbox = both_ways(&bytes, &[]);
        assert!(!blobs(&sandbox.store()).contains_key(&hex(&stranger)));
    }
}
