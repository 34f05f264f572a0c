//! Policies: no text panics, and with what is taken a store is decided on, twice with the same result.

#![no_main]

use std::collections::HashSet;

use larder_store::digest::Digest;
use larder_store::policy::{Candidate, Membership, Occasion, State, Verdict, decide, parse};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let Ok(policy) = parse(text) else { return };
    let images: Vec<Candidate> = (0..4).map(image).collect();
    let kept = HashSet::from([Digest::of(b"leased")]);
    for (now, free) in [(1_000_000, 0), (1_000_000, 1 << 40), (i64::MIN, 0), (i64::MAX, 0)] {
        for occasion in [Occasion::Prune, Occasion::Incoming(1 << 30), Occasion::Incoming(u64::MAX)] {
            let state = State {
                images: &images,
                kept: &kept,
                other: 7,
                free,
                total: 1 << 40,
                is_busy: free > 0,
                now,
            };
            let decision = decide(&policy, &state, occasion);
            assert_eq!(decide(&policy, &state, occasion), decision);
            assert!(matches!(decision.verdicts[0], Verdict::Keep(_)), "what is in use went");
            assert!(decision.freed <= 3 << 20, "leased or used blobs are counted as freed");
        }
    }
});

/// One in use, one of two names, two that lost theirs; they share a layer.
fn image(number: u8) -> Candidate {
    let names = ["capy-debian-12-gcc12:latest", "registry.example:5000/team/base:1.2"].map(str::to_owned);
    let (names, lost) = if number < 2 { (names.into(), Vec::new()) } else { (Vec::new(), names.into()) };
    let time = 1_000_000 - 100_000 * i64::from(number);
    Candidate {
        digest: Digest::of(&[number]),
        groups: vec![Membership { group: "capy".into(), is_named: number < 2 }],
        names,
        lost,
        imported: time,
        last_used: time,
        nameless_since: time,
        is_pinned: false,
        used_by: (number == 0).then(|| "hold".into()),
        parts: [&b"shared"[..], b"leased", &[number]].map(|blob| (Digest::of(blob), 1 << 20)).into(),
    }
}
