//! Small bundles, changed at random, under limits: no crash, and nothing is written.

use super::Gap;
use crate::support::store::{blobs, entries};
use crate::support::tarball::noise;
use crate::support::{describe, need, peer};

/// Changes a few bytes: flips, cuts, doubles, moves.
fn mutate(bytes: &[u8], seed: u64) -> Vec<u8> {
    let random = noise(seed.wrapping_mul(2).wrapping_add(77), 64);
    let word = |at: usize| u64::from_le_bytes(random[at * 8..at * 8 + 8].try_into().unwrap()) as usize;
    let mut bad = bytes.to_vec();
    for round in 0..=word(0) % 3 {
        let at = word(1 + round) % bad.len();
        let length = 1 + word(4) % 600;
        let end = (at + length).min(bad.len());
        match word(5 + round % 3) % 6 {
            0 => bad[at] ^= 1 << (word(4) % 8),
            1 => bad[at] = word(4) as u8,
            2 => drop(bad.drain(at..end)),
            3 => {
                let piece = bad[at..end].to_vec();
                bad.splice(at..at, piece);
            }
            4 => bad[at..end].fill(b'9'),
            _ => bad.truncate(at.max(1)),
        }
    }
    bad
}

fn try_many(count: u64) {
    let gap = Gap::new();
    gap.image_of("out", "ci:1", &[1], 1_000, &[]);
    gap.at("out", ["bundle", "create", "--all", "-o", "bundle"]);
    gap.at("in", ["init"]);
    let bytes = std::fs::read(gap.path("bundle")).unwrap();
    need!(peer::tool("prlimit"), "prlimit");
    for seed in 0..count {
        let bad = mutate(&bytes, seed);
        if bad == bytes {
            continue;
        }
        std::fs::write(gap.path("bad"), &bad).unwrap();
        let larder = gap.sandbox.command(["--store", "in", "bundle", "apply", "bad", "--jobs", "1"]);
        let mut limited = gap.sandbox.enclose(peer::tool("prlimit").unwrap());
        limited.args(["--as=600000000", "--cpu=10", "--fsize=4000000"]);
        limited.arg(larder.get_program()).args(larder.get_args());
        let output = limited.output().unwrap();
        assert!(matches!(output.status.code(), Some(1 | 5)), "seed {seed}: {}", describe(&limited, &output));
        assert!(!String::from_utf8_lossy(&output.stderr).contains("panicked"), "seed {seed}");
    }
    assert!(
        entries(&gap.store("in")).is_empty() && blobs(&gap.store("in")).is_empty(),
        "something was written"
    );
}

#[test]
fn some() {
    try_many(150);
}

#[test]
#[ignore = "long: 10,000 processes"]
fn ten_thousand() {
    try_many(10_000);
}
