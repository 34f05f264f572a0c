//! What goes in comes out, and a delta of layers that are alike is small.

use larder_store::error::Kind;
use proptest::prelude::*;

use super::*;

/// Makes and applies it with one thread and with more; its size.
fn roundtrip(base: &[u8], target: &[u8]) -> Made {
    let (delta, made) = super::made(base, target, 1);
    assert!(applied(base, &delta).unwrap() == target);
    assert!(super::made(base, target, 3).0 == delta, "the number of threads does not matter");
    made
}

#[test]
fn a_month_later() {
    let (before, after) = month(1);
    let made = roundtrip(&before, &after);
    assert!(made.size < after.len() as u64 / 50, "{made:?} of {}", after.len());
    assert!(made.copied > after.len() as u64 / 2, "{made:?} of {}", after.len());
}

#[test]
fn only_times_differ() {
    let members = |time: u64| {
        (0..2000).map(move |n| file(&format!("d{}/f{n}", n % 9), noise(n, 200), time + n * n % 777))
    };
    let (before, after) =
        (members(1_700_000_000).collect::<Vec<_>>(), members(1_703_000_000).collect::<Vec<_>>());
    let made = roundtrip(&tar(&before), &tar(&after));
    assert!(made.size < 2000 * 24, "{made:?}");
}

#[test]
fn extremes() {
    let layer = tar(&[file("a", noise(1, 100_000), 1)]);
    let large = noise(5, 20 << 20);
    let (zeros, moved) = (vec![0; 40 << 20], [&b"x"[..], &large].concat());
    for (name, base, target, most) in [
        ("both empty", &[][..], &[][..], 88),
        ("nothing to begin with", &[], &layer[..], 110_000),
        ("nothing comes out", &layer, &[], 88),
        ("the same", &layer, &layer, 200),
        ("no tar at all", &large, &moved, 20_000),
        ("a byte", b"a", b"b", 200),
        ("a header that is cut off", &layer, &layer[..300], 600),
        ("a content that is cut off", &layer, &layer[..50_000], 500),
        ("zeros", &[], &zeros, 10_000),
        ("zeros of zeros", &zeros, &zeros[1..], 10_000),
    ] {
        let made = roundtrip(base, target);
        assert!(made.size <= most, "{name}: {made:?}");
    }
}

#[test]
fn a_large_file_is_cut_into_segments_and_still_found() {
    let mut content = noise(3, 45 << 20);
    let before = tar(&[file("small", "1", 5), file("data.db", &content[..], 5), file("z", "last", 5)]);
    // Something goes in the front, something comes in the middle, and a page changes here and there.
    content.drain(100..5000);
    content.splice(20 << 20..20 << 20, noise(4, 70_000));
    for at in (0..40).map(|n| n << 20) {
        content[at..at + 64].fill(at as u8);
    }
    let after = tar(&[file("data.db", &content[..], 6), file("small", "2", 6), file("z", "last", 6)]);
    let made = roundtrip(&before, &after);
    assert!(made.size < 200_000, "{made:?}");
}

#[test]
fn a_large_file_of_another_content_stands_beside_what_was_there() {
    // Every page differs in a few bytes, so that no piece of it is found.
    let before = noise(8, 24 << 20);
    let mut after = before.clone();
    after.iter_mut().step_by(700).for_each(|byte| *byte = byte.wrapping_add(1));
    let layers = [before, after].map(|content| tar(&[file("core", content, 1)]));
    let made = roundtrip(&layers[0], &layers[1]);
    assert!(made.new > 20 << 20 && made.size < 2 << 20, "{made:?}");
}

#[test]
fn links_devices_sparse_and_long_names() {
    let long = format!("{}/deep", "directory-of-a-long-name/".repeat(9));
    let members = |time: u64| {
        vec![
            file("dir/", [], time),
            file("dir/a", noise(1, 5000), time),
            link("dir/hard", EntryType::Link, "dir/a", time),
            link("dir/soft", EntryType::Symlink, &"../elsewhere/".repeat(20), time),
            file(&long, noise(2, 700), time),
            Member { kind: EntryType::Fifo, ..file("pipe", [], time) },
            Member { kind: EntryType::GNUSparse, ..file("sparse", noise(3, 2000), time) },
            Member { kind: EntryType::XHeader, ..file("pax", "30 mtime=1700000000.123456789\n", time) },
            file("behind", noise(4, 3000), time),
        ]
    };
    let made = roundtrip(&tar(&members(1_700_000_000)), &tar(&members(1_702_000_000)));
    assert!(made.size < 900, "{made:?}");
}

#[test]
fn what_repeats_and_what_is_gone() {
    let block = noise(1, 1 << 20);
    let zeros = vec![0; 5 << 20];
    let repeated = block.repeat(6);
    // Between each two pages that stay the base has a MiB that is gone, and a page is new: much beside little.
    let pages: Vec<_> =
        (0..16).map(|n| (noise(n, 40_000), noise(100 + n, 1 << 20), noise(200 + n, 20_000))).collect();
    let base = pages.iter().flat_map(|(stays, goes, _)| [&stays[..], goes].concat()).collect::<Vec<_>>();
    let target =
        pages.iter().rev().flat_map(|(stays, _, new)| [&new[..], stays].concat()).collect::<Vec<_>>();
    let shifted = [&b"x"[..], &repeated].concat();
    for (name, base, target, most) in [
        ("a block of itself", &block[..], &repeated[..], 1000),
        ("less often", &repeated, &block, 1000),
        ("moved by a byte", &repeated, &shifted, 30_000),
        ("zeros among it", &repeated, &[&zeros[..], &block, &zeros].concat(), 40_000),
        // Of the layer itself only what is near is found again.
        ("of zeros", &zeros, &repeated, repeated.len() as u64),
        ("much is gone", &base, &target, 16 * 25_000),
    ] {
        for [base, target] in
            [[base.to_vec(), target.to_vec()], [base, target].map(|c| tar(&[file("a", c, 1)]))]
        {
            let made = roundtrip(&base, &target);
            assert!(made.size <= most, "{name}: {made:?}");
        }
    }
}

#[test]
fn with_less_memory_than_the_layers_have() {
    // The index and a segment are all that is held, so that the setting may be far below the layers.
    let (base, target) = month(4);
    let mut large = base.repeat(12);
    large.extend(noise(6, 20 << 20));
    let (expected, _) = super::made(&base, &large, 2);
    for memory in [0, delta::LEAST_MEMORY, 1 << 40] {
        let settings = Settings { memory, jobs: 4, ..Settings::default() };
        let diff_id = DiffId(Digest::of(&large));
        let announced = Target { plain: &mut &large[..], diff_id, size: large.len() as u64 };
        let mut out = Vec::new();
        let mut base = Base::of_bytes(base.clone());
        delta::make(&mut base, announced, &settings, None, &mut out, &Cancel::new()).unwrap();
        assert!(out == expected, "{memory}");
    }
    assert!(applied(&base, &expected).unwrap() == large && target.len() < large.len());
}

#[test]
fn another_order() {
    let content = |n: u64| noise(n, 2000 + (n as usize % 13) * 900);
    let before: Vec<_> = (0..500).map(|n| file(&format!("f{n}"), content(n), n)).collect();
    let mut after: Vec<_> = before.iter().rev().cloned().collect();
    after.iter_mut().for_each(|member| member.time += 2_000_000);
    let made = roundtrip(&tar(&before), &tar(&after));
    assert!(made.size < 500 * 40, "{made:?}");
}

#[test]
fn what_is_too_large_ends_early() {
    let (base, target) = (tar(&[]), noise(1, 30 << 20));
    let diff_id = DiffId(Digest::of(&target));
    let mut out = Vec::new();
    for jobs in [1, 4] {
        let mut plain = &target[..];
        let announced = Target { plain: &mut plain, diff_id, size: target.len() as u64 };
        let mut base = Base::of_bytes(base.clone());
        let made =
            delta::make(&mut base, announced, &settings(jobs), Some(1 << 20), &mut out, &Cancel::new());
        assert_eq!(made.unwrap(), None);
        assert!(out.len() <= 1 << 20 && !plain.is_empty(), "it stopped at the bound");
        out.clear();
    }
}

#[test]
fn a_target_that_is_not_what_was_announced_is_an_error() {
    let target = noise(1, 5000);
    let diff_id = DiffId(Digest::of(&target));
    for (bytes, size) in [(&target[1..], 5000), (&target[..], 4999), (&[][..], 5000)] {
        let announced = Target { plain: &mut &bytes[..], diff_id, size };
        let mut base = Base::of_bytes(b"base".to_vec());
        let made =
            delta::make(&mut base, announced, &settings(1), None, &mut std::io::sink(), &Cancel::new());
        assert_eq!(made.unwrap_err().kind(), Kind::Damaged);
    }
}

#[test]
fn a_raised_flag_ends_both() {
    let (base, target) = month(2);
    let (delta, _) = super::made(&base, &target, 1);
    let cancel = Cancel::new();
    cancel.raise();
    let diff_id = DiffId(Digest::of(&target));
    for jobs in [1, 3] {
        let announced = Target { plain: &mut &target[..], diff_id, size: target.len() as u64 };
        let mut base = Base::of_bytes(base.clone());
        let made = delta::make(&mut base, announced, &settings(jobs), None, &mut std::io::sink(), &cancel);
        assert!(matches!(made, Err(Error::Interrupted)), "{made:?}");
    }
    let applied = delta::apply(&mut Base::of_bytes(base), &mut &delta[..], &mut std::io::sink(), &cancel);
    assert!(matches!(applied, Err(Error::Interrupted)), "{applied:?}");
}

fn any_member() -> impl Strategy<Value = Member> {
    let name = prop_oneof!["[a-d]{1,2}", r"lib[a-c]/x[0-9]\.so\.[0-9]{1,2}", "[a-z/]{90,130}x"];
    (name, 0u64..6, 0usize..30_000, 0u64..4, 0..3usize).prop_map(|(path, seed, length, time, kind)| {
        let kind = [EntryType::Regular, EntryType::Regular, EntryType::Directory][kind];
        let content = if kind == EntryType::Directory { Vec::new() } else { noise(seed, length) };
        Member { kind, ..file(path.trim_start_matches('/'), content, time * 100_000_000) }
    })
}

/// A change of a layer, as what is in a file changes.
#[derive(Debug, Clone)]
enum Edit {
    Insert(u64, usize),
    Delete(usize),
    Move(usize, prop::sample::Index),
    Repeat(usize, usize),
    Fill(usize),
}

fn any_edit() -> impl Strategy<Value = (prop::sample::Index, Edit)> {
    let edit = prop_oneof![
        (any::<u64>(), 1usize..100_000).prop_map(|(seed, length)| Edit::Insert(seed, length)),
        (1usize..300_000).prop_map(Edit::Delete),
        (1usize..300_000, any::<prop::sample::Index>()).prop_map(|(length, to)| Edit::Move(length, to)),
        (1usize..60_000, 1usize..20).prop_map(|(length, times)| Edit::Repeat(length, times)),
        (1usize..60_000).prop_map(Edit::Fill),
    ];
    (any::<prop::sample::Index>(), edit)
}

fn edited(mut bytes: Vec<u8>, edits: &[(prop::sample::Index, Edit)]) -> Vec<u8> {
    for (at, edit) in edits {
        let at = at.index(bytes.len() + 1);
        let all = bytes.len();
        let part = |length: usize| at..(at + length).min(all);
        match edit {
            Edit::Insert(seed, length) => drop(bytes.splice(at..at, noise(*seed, *length))),
            Edit::Delete(length) => drop(bytes.drain(part(*length))),
            Edit::Move(length, to) => {
                let part: Vec<_> = bytes.drain(part(*length)).collect();
                let to = to.index(bytes.len() + 1);
                bytes.splice(to..to, part);
            }
            Edit::Repeat(length, times) => {
                let part = bytes[part(*length)].repeat(*times);
                bytes.splice(at..at, part);
            }
            Edit::Fill(length) => bytes[part(*length)].fill(0),
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_edits(edits in proptest::collection::vec(any_edit(), 0..8), is_tar in any::<bool>()) {
        let before = noise(77, 1 << 20);
        let after = edited(before.clone(), &edits);
        let [base, target] = [before, after].map(|c| if is_tar { tar(&[file("a", c, 1), file("b", "b", 1)]) } else { c });
        roundtrip(&base, &target);
    }

    #[test]
    fn any_edits_of_a_tar(edits in proptest::collection::vec(any_edit(), 0..8)) {
        let (before, after) = month(5);
        roundtrip(&before, &edited(after, &edits));
    }

    #[test]
    fn any_layers(base in proptest::collection::vec(any_member(), 0..12), target in proptest::collection::vec(any_member(), 0..12), cut in 0usize..2000) {
        let (base, mut target) = (tar(&base), tar(&target));
        target.truncate(target.len() - cut.min(target.len()));
        roundtrip(&base, &target);
    }

    #[test]
    fn any_bytes(base in proptest::collection::vec(any::<u8>(), 0..3000), target in proptest::collection::vec(any::<u8>(), 0..3000), at in 0usize..3000) {
        roundtrip(&base, &target);
        let mut mixed = base.clone();
        mixed.splice(at.min(base.len()).., target.iter().copied());
        roundtrip(&base, &mixed);
    }
}
