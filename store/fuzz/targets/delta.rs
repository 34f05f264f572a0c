//! Deltas: whatever the bytes, no more comes out than they announce, and what is made of any two layers gives the second one.

#![no_main]

use larder_store::Digest;
use larder_store::cancel::Cancel;
use larder_store::delta::{Base, Header, Settings, Target, apply, make};
use larder_store::ids::DiffId;
use libfuzzer_sys::fuzz_target;

/// What most deltas of the corpus are to.
const BASE: &[u8] = include_bytes!("delta.base");

fuzz_target!(|input: &[u8]| {
    let cancel = Cancel::new();
    // As a delta that came from somewhere; with its header made right, or hardly any would be looked at.
    let mut delta = input.to_vec();
    for is_right in [false, true] {
        if is_right && delta.len() >= 48 {
            delta[..8].copy_from_slice(b"larderd\x01");
            let id = (0..32).map(|at| u8::from_str_radix(&Digest::of(BASE).hex()[2 * at..2 * at + 2], 16));
            delta[8..40].iter_mut().zip(id).for_each(|(byte, digit)| *byte = digit.expect("hex digits"));
            delta[40..48].copy_from_slice(&(BASE.len() as u64).to_le_bytes());
        }
        let mut out = Vec::new();
        if let Ok(id) = apply(&mut Base::of_bytes(BASE.to_vec()), &mut &delta[..], &mut out, &cancel) {
            assert_eq!(id, DiffId(Digest::of(&out)));
        }
        if let Ok(header) = Header::read(&mut &delta[..]) {
            assert!(out.len() as u64 <= header.target_size);
        }
    }
    // As two layers.
    let (base, target) = input.split_at(input.len() / 2);
    let mut delta = Vec::new();
    let announced =
        Target { plain: &mut &target[..], diff_id: DiffId(Digest::of(target)), size: target.len() as u64 };
    let settings = Settings { jobs: 1, level: 1, ..Settings::default() };
    let made = make(&mut Base::of_bytes(base.to_vec()), announced, &settings, None, &mut delta, &cancel);
    assert!(made.expect("made").is_some());
    let mut out = Vec::new();
    apply(&mut Base::of_bytes(base.to_vec()), &mut &delta[..], &mut out, &cancel).expect("applied");
    assert_eq!(out, target);
});
