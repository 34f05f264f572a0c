//! What is small on paper and large in memory, on disk or in time.

use std::path::Path;

use serde_json::json;

use super::{Case, Expected, Input, NAME, bad, docker, oci, tools, try_all};
use crate::support::tarball::{Oci, docker_archive_with, noise, sha256};
use crate::support::{feed, need, peer};

const MIB: usize = 1 << 20;

/// What a real tool makes of some bytes.
pub(super) fn packed(tool: &str, args: &[&str], bytes: &[u8]) -> Option<Vec<u8>> {
    let mut command = peer::tool(tool)?;
    let output = feed(command.arg("-c").args(args), bytes);
    assert!(output.status.success(), "{tool}: {output:?}");
    Some(output.stdout)
}

/// An oci-archive with this blob for its second layer.
pub(super) fn with_layer(kind: &str, blob: &[u8]) -> Vec<u8> {
    let mut oci: Oci = oci();
    let mut manifest = oci.manifest();
    manifest["layers"][1] = json!({
        "mediaType": format!("application/vnd.oci.image.layer.v1.tar{kind}"), "digest": sha256(blob), "size": blob.len(),
    });
    oci.add(blob);
    oci.root(NAME, &manifest);
    oci.archive()
}

/// A docker-archive with this file for its second layer.
fn docker_with_layer(blob: &[u8]) -> Vec<u8> {
    let layers = super::layers();
    let config = crate::support::tarball::config("linux", "amd64", &layers).to_string();
    docker_archive_with(&config, &[NAME], &[layers[0].clone(), blob.to_vec()])
}

/// A zstd frame of so many blocks of 128 KiB, each of one byte again and again (RFC 8878, 3.1.1).
fn zstd_bomb(blocks: usize) -> Vec<u8> {
    // A window of 1 MiB, no content size, no checksum.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x50];
    let block = |is_last: u32| {
        let header = is_last | 1 << 1 | (128 << 10) << 3;
        [&header.to_le_bytes()[..3], &[0]].concat()
    };
    frame.extend(block(0).repeat(blocks - 1));
    frame.extend(block(1));
    frame
}

/// A zstd frame that asks for a window of 2^`log` bytes.
fn zstd_window(log: u8) -> Vec<u8> {
    let mut frame = zstd_bomb(2);
    frame[5] = (log - 10) << 3;
    frame
}

/// An xz file whose first block asks for a dictionary of 4 GiB - 1.
fn xz_dictionary(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut file = packed("xz", &[], bytes)?;
    // The block header behind the 12 bytes of the stream's: size, flags, filter 0x21, one byte of properties (xz
    // file format, 3.1 and 5.3.1), and its checksum at the end.
    let size = (usize::from(file[12]) + 1) * 4;
    let at = file[12..12 + size].windows(2).position(|pair| pair == [0x21, 0x01]).unwrap() + 14;
    file[at] = 40;
    let sum = crc32(&file[12..12 + size - 4]);
    file[12 + size - 4..12 + size].copy_from_slice(&sum.to_le_bytes());
    Some(file)
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| sum >> 1 ^ (0xedb8_8320 & 0u32.wrapping_sub(sum & 1)))
    })
}

#[test]
fn layers_that_unpack_without_end() {
    need!(tools(), "strace or prlimit");
    let zeros = vec![0; 200 * MIB];
    let gzip = need!(packed("gzip", &[], &zeros), "gzip");
    let zstd = need!(packed("zstd", &["-19"], &zeros), "zstd");
    let members = need!(packed("gzip", &[], b""), "gzip").repeat(1_000_000);
    let mut cases: Vec<Case> = Vec::new();
    for (what, kind, blob) in [
        ("gzip, 200 MiB of zeros", "+gzip", gzip.clone()),
        ("gzip within gzip", "+gzip", packed("gzip", &[], &gzip).unwrap()),
        ("a million gzip members", "+gzip", members.clone()),
        ("zstd, 200 MiB of zeros", "+zstd", zstd.clone()),
        ("a hundred thousand zstd frames", "+zstd", packed("zstd", &[], b"").unwrap().repeat(100_000)),
        ("zstd, 2 GiB in blocks of one byte", "+zstd", zstd_bomb(16 << 10)),
        ("zstd, 32 GiB in a MiB", "+zstd", zstd_bomb(256 << 10)),
        ("zstd with a window of 256 MiB", "+zstd", zstd_window(28)),
        ("zstd with a window of 2 TiB", "+zstd", zstd_window(41)),
    ] {
        cases.push(bad(format!("{what}, in an oci-archive"), with_layer(kind, &blob), &["blobs/sha256/"]));
        cases.push(bad(format!("{what}, in a docker-archive"), docker_with_layer(&blob), &[".tar"]));
    }
    try_all(cases);
}

#[test]
fn archives_that_unpack_without_end() {
    need!(tools(), "strace or prlimit");
    let zeros = vec![0; 100 * MIB];
    let mut cases: Vec<Case> = Vec::new();
    for tool in ["gzip", "zstd", "xz", "bzip2"] {
        let bomb = need!(packed(tool, &[], &zeros), tool);
        cases.push(bad(format!("{tool}: zeros"), bomb, &["behind its end"]));
        let behind = packed(tool, &[], &[&docker()[..], &zeros].concat()).unwrap();
        cases.push(bad(format!("{tool}: an image, and zeros"), behind, &["behind its end"]));
        // Members without number that are empty cost time only.
        let empty = packed(tool, &[], b"").unwrap();
        let count = 8 * MIB / empty.len();
        let image = packed(tool, &[], &docker()).unwrap();
        let parts = [&empty.repeat(count)[..], &image].concat();
        let what = format!("{tool}: {count} empty parts, and an image");
        // A decoder of bzip2 takes its time for each of them.
        cases.push(if tool == "bzip2" {
            bad(what, parts, &["bzip2 streams"])
        } else {
            super::good(what, parts)
        });
        let twice = packed(tool, &[], &packed(tool, &[], &docker()).unwrap()).unwrap();
        cases.push(bad(format!("{tool} within {tool}"), twice, &[]));
    }
    let members = packed("gzip", &[], b"").unwrap().repeat(1_000_000);
    cases.push(bad("a million gzip members, and nothing", members, &[]));
    cases.push(bad("zstd with a window of 2 TiB", zstd_window(41), &[]));
    cases.push(bad("zstd with a window of 256 MiB", zstd_window(28), &[]));
    cases.push(bad("zstd, 1 TiB in blocks of one byte", zstd_bomb(8 << 20), &[]));
    cases.push(bad("xz with a dictionary of 4 GiB", xz_dictionary(&docker()).unwrap(), &[]));
    try_all(cases);
}

/// A member of this size of which there is only the header.
fn claim(size: u64) -> Vec<u8> {
    let header = super::raw::header(b"blobs/sha256/x", tar::EntryType::Regular, b"", 0);
    let mut header = header.clone();
    header.set_size(size);
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// A size that no disk has free, and that a file may still claim to have.
const HUGE: u64 = 7 << 40;

#[test]
fn claims_above_the_free_space() {
    need!(tools(), "strace or prlimit");
    let sparse = |path: &Path, size: u64| std::fs::File::create(path).unwrap().set_len(size).unwrap();
    let mut cases: Vec<Case> = Vec::new();
    let body = noise(5, 8 << 10);
    for tool in ["gzip", "zstd", "xz", "bzip2"] {
        let archive = need!(packed(tool, &[], &[claim(HUGE), body.clone()].concat()), tool);
        cases.push(bad(format!("{tool}: a member of terabytes"), archive, &["are free"]));
    }
    // In a file it would be cut off, were it not that the file is as large as it says; a pipe knows no end.
    let layers = super::layers();
    let with_layer = move |path: &Path| {
        use std::os::unix::fs::FileExt;
        let hex = "ab".repeat(32);
        let config = crate::support::tarball::config("linux", "amd64", &layers[..1]);
        let mut config = config;
        config["rootfs"]["diff_ids"] = json!([format!("sha256:{hex}")]);
        let rest = docker_archive_with(&config.to_string(), &[NAME], &[]);
        let rest = String::from_utf8_lossy(&rest).replace("\"Layers\":[]", "\"Layers\":[\"l\"]").into_bytes();
        let header = claim(HUGE);
        let mut header = tar::Header::from_byte_slice(&header).clone();
        header.as_old_mut().name[..16].copy_from_slice(b"l\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0");
        header.set_cksum();
        let file = std::fs::File::create(path).unwrap();
        file.write_all_at(header.as_bytes(), 0).unwrap();
        file.write_all_at(&grown(&rest), 512 + HUGE).unwrap();
    };
    cases.push(Case::new(
        "a layer of terabytes that is there".into(),
        Input::Made(Box::new(with_layer)),
        Expected::refused(&["are free"]),
    ));
    let as_layout = move |path: &Path| {
        super::layouts::unpack(&oci().archive(), path);
        let mut oci = oci();
        let mut manifest = oci.manifest();
        let hex = super::documents::hex_of(&manifest["layers"][0]);
        manifest["layers"][0]["size"] = json!(HUGE);
        oci.root(NAME, &manifest);
        super::layouts::unpack(&oci.archive(), path);
        sparse(&path.join("blobs/sha256").join(hex), HUGE);
    };
    cases.push(Case::new(
        "a layout with a layer of terabytes".into(),
        Input::Made(Box::new(as_layout)),
        Expected::refused(&["are free"]),
    ));
    try_all(cases);
}

/// The archive again after its text was edited: sizes and checksums as they must be.
fn grown(archive: &[u8]) -> Vec<u8> {
    let mut out = crate::support::tarball::Tarball::new();
    let text = String::from_utf8_lossy(archive);
    let config = text.find('{').unwrap();
    let config_end = config + text[config..].find('\0').unwrap();
    let items = text.find("[{\"Config\"").unwrap();
    let items_end = items + text[items..].find('\0').unwrap();
    let name = format!("{}.json", crate::support::tarball::hex(&archive[config..config_end]));
    out.file(&name, &archive[config..config_end]).file("manifest.json", &archive[items..items_end]);
    out.bytes()
}
