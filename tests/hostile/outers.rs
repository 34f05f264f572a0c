//! Archives that are compressed as a whole and cut, followed by something, or not what they look like.

use super::bombs::packed;
use super::raw::file;
use super::{Case, bad, docker, good, oci, tools, try_all};
use crate::support::need;
use crate::support::tarball::noise;

const TOOLS: [&str; 4] = ["gzip", "zstd", "xz", "bzip2"];

#[test]
fn compressed_archives_that_are_cut_or_go_on() {
    need!(tools(), "strace or prlimit");
    let mut cases: Vec<Case> = Vec::new();
    for tool in TOOLS {
        for (form, archive) in [("docker", docker()), ("oci", oci().archive())] {
            let whole = need!(packed(tool, &[], &archive), tool);
            let title = |what: &str| format!("{tool} of a {form}-archive {what}");
            cases.push(good(title("as it should be"), whole.clone()));
            for (what, at) in [
                ("cut behind its first bytes", 6),
                ("cut in its head", 12),
                ("cut in the middle", whole.len() / 2),
                ("without its last byte", whole.len() - 1),
                ("without its last bytes", whole.len() - 4),
            ] {
                cases.push(bad(title(what), whole[..at].to_vec(), &[]));
            }
            for (what, rest) in [
                ("with text behind it", b"rubbish, and more of it".to_vec()),
                ("with an archive behind it", archive.clone()),
                ("with half of itself behind it", whole[..whole.len() / 2].to_vec()),
                ("with itself behind it", whole.clone()),
            ] {
                cases.push(bad(title(what), [&whole[..], &rest].concat(), &[]));
            }
            let mut flipped = whole.clone();
            let middle = flipped.len() / 2;
            flipped[middle] ^= 0x10;
            cases.push(bad(title("with a flipped bit"), flipped, &[]));
            let mut unsure = whole.clone();
            let last = unsure.len() - if tool == "xz" { 30 } else { 5 };
            unsure[last] ^= 1;
            // zstd without a checksum at its end has content there.
            cases.push(bad(title("with a flipped bit near its end"), unsure, &[]));
            let cut = archive[..archive.len() / 2].to_vec();
            cases.push(bad(title("that is cut within"), packed(tool, &[], &cut).unwrap(), &["cut off"]));
            let evil = [file(b"../evil", b"x"), archive.clone()].concat();
            cases.push(bad(title("that climbs"), packed(tool, &[], &evil).unwrap(), &["climbs out"]));
        }
    }
    try_all(cases);
}

#[test]
fn what_looks_compressed_and_is_not() {
    need!(tools(), "strace or prlimit");
    let mut cases: Vec<Case> = Vec::new();
    for (what, magic) in [
        ("gzip", &b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03"[..]),
        ("zstd", b"\x28\xb5\x2f\xfd\x04\x58"),
        ("xz", b"\xfd7zXZ\0\0\x04\xe6\xd6\xb4\x46"),
        ("bzip2", b"BZh9\x31\x41\x59\x26\x53\x59"),
        ("an old lzma", b"\x5d\x00\x00\x80\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
        ("lz4", b"\x04\x22\x4d\x18\x64\x40\xa7"),
        ("zip", b"PK\x03\x04\x14\x00\x00\x00\x08\x00"),
        ("a skippable frame", b"\x50\x2a\x4d\x18\xff\xff\xff\xff"),
    ] {
        cases.push(bad(format!("{what}, and nothing"), magic.to_vec(), &[]));
        cases.push(bad(format!("{what}, and noise"), [magic, &noise(7, 100_000)].concat(), &[]));
        cases.push(bad(format!("{what}, and zeros"), [magic, &vec![0; 100_000]].concat(), &[]));
        cases.push(bad(format!("{what}, and an archive"), [magic, &docker()].concat(), &[]));
    }
    try_all(cases);
}
