//! Deltas that mean harm: an error, never another layer, never more memory than the format's bounds come to.

use larder_store::delta::Header;
use larder_store::error::Kind;
use proptest::prelude::*;

use super::*;

/// Where the fields of a delta's header and of its first segment are.
const BASE_SIZE: usize = 40;
const TARGET: usize = 48;
const TARGET_SIZE: usize = 80;
const PLAIN: usize = 88;
const REFERENCE: usize = 92;
const NEW: usize = 96;
const PLAN: usize = 100;
const PLAN_CODED: usize = 104;
const NEW_CODED: usize = 108;

/// A base, a target that copies and brings new bytes, and the delta between them.
fn small() -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let base = tar(&[file("a", noise(1, 3000), 1), file("b", noise(2, 3000), 1)]);
    let mut content = noise(2, 3000);
    content[1500] ^= 1;
    let target = tar(&[file("a", noise(1, 3000), 2), file("b", content, 2), file("c", "new", 2)]);
    let (delta, _) = made(&base, &target, 1);
    assert!(delta.len() < 700, "{}", delta.len());
    (base, target, delta)
}

/// How the delta is refused.
fn refused(base: &[u8], delta: &[u8]) -> Error {
    applied(base, delta).expect_err("refused")
}

#[test]
fn a_lie_in_any_field() {
    let (base, _, delta) = small();
    let mut checked = 0;
    for field in [PLAIN, REFERENCE, NEW, PLAN, PLAN_CODED, NEW_CODED] {
        let honest = u32::from_le_bytes(delta[field..field + 4].try_into().unwrap());
        for lie in
            [0, 1, honest - 1, honest + 1, 1 << 20, 16 << 20, (16 << 20) + 1, i32::MAX as u32, u32::MAX]
        {
            if lie == honest {
                continue;
            }
            let mut delta = delta.clone();
            delta[field..field + 4].copy_from_slice(&lie.to_le_bytes());
            let error = refused(&base, &delta);
            assert_eq!(error.kind(), Kind::Damaged, "{field}: {lie}: {error}");
            checked += 1;
        }
    }
    for lie in [0, 1, 511, 1 << 20, u64::MAX >> 1, u64::MAX] {
        for field in [BASE_SIZE, TARGET_SIZE] {
            let mut delta = delta.clone();
            delta[field..field + 8].copy_from_slice(&lie.to_le_bytes());
            refused(&base, &delta);
            checked += 1;
        }
    }
    assert!(checked > 50);
    let mut other = delta.clone();
    other[TARGET] ^= 1;
    assert!(refused(&base, &other).to_string().contains("was to give"), "another target than it names");
    let mut newer = delta.clone();
    newer[7] = 2;
    assert!(refused(&base, &newer).to_string().contains("version 2"));
    assert!(refused(&base, &[b'x'; 100]).to_string().contains("is none"));
}

#[test]
fn cut_anywhere_and_longer_than_it_is() {
    let (base, _, delta) = small();
    for cut in 0..delta.len() {
        let error = refused(&base, &delta[..cut]);
        assert_eq!(error.kind(), Kind::Damaged, "{cut}: {error}");
    }
    let mut longer = delta.clone();
    longer.push(0);
    assert!(refused(&base, &longer).to_string().contains("behind its end"));
    assert!(refused(&base, &[&delta[..], &delta[..]].concat()).to_string().contains("behind its end"));
}

#[test]
fn any_flipped_bit_gives_an_error_or_the_target() {
    let (base, target, delta) = small();
    for bit in 0..delta.len() * 8 {
        let mut flipped = delta.clone();
        flipped[bit / 8] ^= 1 << (bit % 8);
        if let Ok(got) = applied(&base, &flipped) {
            assert!(got == target, "bit {bit}");
        }
    }
}

#[test]
fn another_base() {
    let (base, _, delta) = small();
    let mut other = base.clone();
    other[700] ^= 1;
    for other in [&other[..], &base[1..], b""] {
        let error = refused(other, &delta);
        assert!(error.to_string().contains("needs the layer that it was made from"), "{error}");
    }
    // A layer that is not what its facts say is found by what comes out.
    let (blob, mut facts) = stored(&other, &base, false);
    facts.compression = Compression::None;
    let scratch = larder_store::fs::Dir::open(&std::env::temp_dir()).unwrap();
    let mut lying = Base::open(&blob, &facts, &scratch, &Cancel::new()).unwrap();
    let applied = delta::apply(&mut lying, &mut &delta[..], &mut Vec::new(), &Cancel::new());
    let error = applied.unwrap_err();
    assert_eq!(error.kind(), Kind::Damaged);
    assert!(
        error.to_string().contains("the stored blob is damaged"),
        "the base is named, and not the delta: {error}"
    );
    // Nor is a delta made to it, which could be applied nowhere.
    let announced = Target { plain: &mut &b"new"[..], diff_id: DiffId(Digest::of(b"new")), size: 3 };
    let made = delta::make(&mut lying, announced, &settings(1), None, &mut Vec::new(), &Cancel::new());
    assert!(made.unwrap_err().to_string().contains("the stored blob is damaged"));
}

/// A delta with this plan for its only segment, of this target size, and these new bytes.
fn with_plan(base: &[u8], target: u64, sums: [u32; 3], plan: &[u8], new: &[u8]) -> Vec<u8> {
    let (mut delta, _) = made(base, b"", 1);
    delta[TARGET_SIZE..].copy_from_slice(&target.to_le_bytes());
    let plan_coded = zstd::bulk::compress(plan, 1).unwrap();
    let new_coded = if new.is_empty() { Vec::new() } else { zstd::bulk::compress(new, 1).unwrap() };
    let sizes = [plan.len() as u32, plan_coded.len() as u32, new_coded.len() as u32];
    delta.extend(sums.into_iter().chain(sizes).flat_map(u32::to_le_bytes));
    delta.extend([plan_coded, new_coded].concat());
    delta
}

#[test]
fn plans_that_lie() {
    let base = noise(1, 1000);
    // What stands in them: ranges (number; distance and length of each), steps (new, copied, distance of the copy).
    for (name, sums, plan, new) in [
        ("no steps", [5, 0, 5], &[0][..], 5),
        ("fewer than announced", [5, 0, 5], &[0, 4, 0], 5),
        ("more than announced", [5, 0, 5], &[0, 6, 0], 5),
        ("a copy behind the end", [5, 0, 0], &[0, 0, 5, 0xd0, 0x0f], 0),
        ("a copy over the end", [5, 0, 0], &[0, 0, 5, 0xc8, 0x0f], 0),
        ("a copy before the beginning", [5, 0, 0], &[0, 0, 5, 1], 0),
        ("a step of nothing", [5, 0, 5], &[0, 0, 0, 5, 0], 5),
        ("a step behind the last", [5, 0, 5], &[0, 3, 0, 2, 0], 5),
        ("a range outside", [5, 5, 5], &[1, 0xe4, 0x07, 5, 5, 0], 5),
        ("a range of nothing", [5, 0, 5], &[1, 7, 0, 5, 0], 5),
        ("ranges that touch", [5, 8, 5], &[2, 0, 4, 0, 4, 5, 0], 5),
        ("ranges that are not there", [5, 4, 5], &[2, 0, 4], 5),
        ("a million ranges", [5, 4, 5], &[1 | 0x80, 0x84, 0x3d, 0, 4, 5, 0], 5),
        ("a number of two forms", [5, 0, 5], &[0, 0x85, 0, 0], 5),
        ("a number that is too large", [5, 0, 5], &[0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 2, 0], 5),
        ("sums that wrap", [5, 0, 5], &[0, 255, 255, 255, 255, 255, 255, 255, 255, 255, 1, 6, 0], 5),
        ("a number that is cut off", [5, 0, 5], &[0, 5, 0x80], 5),
        ("a copy byte by byte", [9, 0, 0], &[0, 0, 3, 0, 0, 3, 2, 0, 3, 4], 0),
        ("new bytes that are not used", [5, 0, 3], &[0, 0, 5, 0], 3),
    ] {
        let delta = with_plan(&base, sums[0].into(), sums, plan, &noise(2, new));
        let error = refused(&base, &delta);
        assert_eq!(error.kind(), Kind::Damaged, "{name}: {error}");
        assert!(
            !error.to_string().contains("was to give"),
            "{name} is seen before anything is written: {error}"
        );
    }
    // The same with nothing wrong but the digest, so that the table says what it seems to.
    let good = with_plan(&base, 5, [5, 4, 3], &[1, 7, 4, 3, 2, 8], &noise(2, 3));
    assert!(refused(&base, &good).to_string().contains("was to give"));
}

#[test]
fn a_bomb_ends_where_it_began() {
    let base = noise(1, 1000);
    let bomb = vec![0; 4 << 20];
    // What unpacks to more than announced; what announces more than there is; a size that no segment comes to.
    for (target, sums, plan, new) in [
        (5, [5, 0, 5], &[0, 5, 0][..], &bomb[..]),
        (1 << 40, [5, 0, 5], &[0, 5, 0], &bomb[..5]),
        (1 << 40, [16 << 20, 0, 16 << 20], &[0, 0x80, 0x80, 0x80, 8, 0], &bomb),
    ] {
        let delta = with_plan(&base, target, sums, plan, new);
        let mut out = Vec::new();
        let mut base = Base::of_bytes(base.clone());
        let applied = delta::apply(&mut base, &mut &delta[..], &mut out, &Cancel::new());
        assert_eq!(applied.unwrap_err().kind(), Kind::Damaged);
        assert!(out.len() <= 5);
    }
}

/// A delta of many segments that are all alike.
fn repeated(base: &[u8], times: u64, sums: [u32; 3], plan: &[u8], new: &[u8]) -> Vec<u8> {
    let one = with_plan(base, times * u64::from(sums[0]), sums, plan, new);
    let (header, segment) = one.split_at(PLAIN);
    [header, &segment.repeat(times as usize)].concat()
}

#[test]
fn the_work_goes_by_the_target() {
    let base = noise(1, 3 << 20);
    // A byte of the target for each segment; a byte with 3 MiB of the base beside it.
    let most: [u8; 4] = [0x80, 0x80, 0xc0, 1];
    let beside: Vec<_> = [&[1, 0][..], &most, &[1, 0]].concat();
    for (name, plan, reference, honest, refused_from) in
        [("tiny segments", &[0, 1, 0][..], 0u32, 64, 65), ("much beside little", &beside, 3 << 20, 21, 22)]
    {
        for (times, is_refused) in [(honest, false), (refused_from, true), (5000, true)] {
            let delta = repeated(&base, times, [1, reference, 1], plan, b"x");
            let error = refused(&base, &delta).to_string();
            assert_eq!(
                error.contains("more work than its target is worth"),
                is_refused,
                "{name}, {times}: {error}"
            );
            assert!(is_refused || error.contains("was to give"), "{name}, {times}: {error}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    /// What is changed, cut out, put in, or said twice of a delta of several segments: never another layer.
    #[test]
    fn any_mutation_gives_an_error_or_the_target(at in any::<proptest::sample::Index>(), length in 0usize..40, with in proptest::collection::vec(any::<u8>(), 0..40), again in any::<bool>()) {
        static MADE: std::sync::LazyLock<(Vec<u8>, Vec<u8>, Vec<u8>)> = std::sync::LazyLock::new(|| {
            let (base, mut target) = month(3);
            target.splice(1_000_000..1_000_000, noise(9, 5 << 20));
            let (delta, _) = made(&base, &target, 1);
            (base, target, delta)
        });
        let (base, target, delta) = &*MADE;
        let at = at.index(delta.len());
        let end = (at + length).min(delta.len());
        let mut mutated = delta.clone();
        let with = if again { delta[at..end].repeat(2) } else { with };
        mutated.splice(at..end, with);
        if let Ok(got) = applied(base, &mutated) {
            prop_assert!(got == *target && (mutated == *delta || mutated.len() == delta.len()));
        }
    }
}

#[test]
fn the_header_alone_can_be_read() {
    let (base, target, delta) = small();
    let header = Header::read(&mut &delta[..]).unwrap();
    assert_eq!((header.base.0, header.base_size), (Digest::of(&base), base.len() as u64));
    assert_eq!((header.target.0, header.target_size), (Digest::of(&target), target.len() as u64));
}
