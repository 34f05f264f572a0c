//! Long have-lists: that of a large store is taken, one that means harm ends before it is read.

use std::fmt::Write;
use std::time::{Duration, Instant};

use super::Gap;
use crate::support::tarball::sha256;
use crate::support::{describe, need, peer};

/// A list of so many blobs, all of them layers, with a name for each tenth.
fn list(count: u32) -> String {
    let digests: Vec<_> = (0..count).map(|at| sha256(&at.to_le_bytes())).collect();
    let (mut blobs, mut layers, mut images) = (String::new(), String::new(), String::new());
    for (at, digest) in digests.iter().enumerate() {
        let comma = if at == 0 { "" } else { "," };
        write!(blobs, "{comma}{{\"digest\":\"{digest}\",\"size\":{}}}", 100_000_000 + at).unwrap();
        write!(layers, "{comma}{{\"diffId\":\"{digest}\",\"digest\":\"{digest}\"}}").unwrap();
        if at % 10 == 0 {
            let name = format!("registry.example.com/team/project-{at}/image:2026-11-22");
            write!(images, "{comma}{{\"name\":\"{name}\",\"digest\":\"{digest}\"}}").unwrap();
        }
    }
    format!(
        "{{\"larderHave\":1,\"store\":\"1ac50cb678d2\",\"encoder\":\"other\",\"freeBytes\":1,\
         \"images\":[{images}],\"blobs\":[{blobs}],\"layers\":[{layers}]}}\n"
    )
}

/// Creating with a list within 300 MB of memory: the exit code and what a person sees.
fn create(gap: &Gap, list: &str) -> (Option<i32>, String) {
    let words = ["--store", "out", "bundle", "create", "ci:1", "--jobs", "1", "--have", list, "-o", "made"];
    let larder = gap.sandbox.command(words);
    let mut limited = gap.sandbox.enclose(peer::tool("prlimit").unwrap());
    limited.arg("--data=300000000").arg(larder.get_program()).args(larder.get_args());
    let output = limited.output().unwrap();
    (output.status.code(), describe(&limited, &output))
}

#[test]
fn the_list_of_a_large_store_is_taken_and_a_million_digests_are_not() {
    need!(peer::tool("prlimit"), "prlimit");
    let gap = Gap::new();
    gap.image("out", "ci:1", &[1]);
    let large = list(100_000);
    assert!(large.len() > 27_000_000, "{}", large.len());
    std::fs::write(gap.path("large.json"), large).unwrap();
    let (code, said) = create(&gap, "large.json");
    assert_eq!(code, Some(0), "{said}");
    assert!(gap.path("made").exists());
    std::fs::remove_file(gap.path("made")).unwrap();

    std::fs::write(gap.path("million.json"), list(1_000_000)).unwrap();
    let begun = Instant::now();
    let (code, said) = create(&gap, "million.json");
    assert!(code == Some(1) && said.contains("more than"), "{said}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
    assert!(!gap.path("made").exists());
}
