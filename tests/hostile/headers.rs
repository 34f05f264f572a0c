//! Headers that two readers would read in two ways, that claim too much, or that end too soon.

use tar::EntryType;

use super::raw::{bare, extended, file, header, long, member, pax, records_of, refused, sized, taken};
use super::{Case, bad, docker, good, oci, tools, try_all};
use crate::support::need;
use crate::support::tarball::members;

/// Base-256 with these last eight bytes, and `high` before them.
fn base256(high: [u8; 4], low: u64) -> [u8; 12] {
    let mut field = [0; 12];
    field[..4].copy_from_slice(&high);
    field[4..].copy_from_slice(&low.to_be_bytes());
    field
}

#[test]
fn sizes_that_can_be_read_two_ways() {
    need!(tools(), "strace or prlimit");
    let three = || file(b"n", b"abc");
    let mut cases: Vec<Case> = Vec::new();
    for (what, members, says) in [
        ("pax says less than ustar", vec![pax(&[("size", "1")]), three()], &["two sizes"][..]),
        ("pax says nothing is there", vec![pax(&[("size", "0")]), three()], &["two sizes"]),
        ("pax says more, over a hidden header", vec![pax(&[("size", "1024")]), three()], &["two sizes"]),
        ("pax says more than there is", vec![pax(&[("size", "99999999999")]), three()], &[]),
        ("pax says more than 64 bits", vec![pax(&[("size", "18446744073709551617")]), three()], &[]),
        ("pax says 2^63 - 1", vec![pax(&[("size", "9223372036854775807")]), three()], &[]),
        ("pax says 2^64 - 1", vec![pax(&[("size", "18446744073709551615")]), three()], &[]),
        ("pax says it in hexadecimal", vec![pax(&[("size", "0x3")]), three()], &["no number"]),
        ("pax says nothing", vec![pax(&[("size", "")]), three()], &["no number"]),
        (
            "pax's size before a long name",
            vec![pax(&[("size", "512")]), long(EntryType::GNULongName, b"smuggled"), three()],
            &["two sizes"],
        ),
        (
            "pax's path before a long name",
            vec![pax(&[("path", "one")]), long(EntryType::GNULongName, b"other"), three()],
            &["two extended names"],
        ),
        (
            "a long name before pax's path",
            vec![long(EntryType::GNULongName, b"other"), pax(&[("path", "one")]), three()],
            &["two extended names"],
        ),
        (
            "two long names",
            vec![long(EntryType::GNULongName, b"one"), long(EntryType::GNULongName, b"other"), three()],
            &["two extended names"],
        ),
        (
            "two extended headers",
            vec![pax(&[("size", "3")]), pax(&[("size", "3")]), three()],
            &["two extended"],
        ),
        (
            "a path for all",
            vec![extended(EntryType::XGlobalHeader, &records_of(&[("path", "manifest.json")])), three()],
            &["other than they look"],
        ),
        (
            "a size for all",
            vec![extended(EntryType::XGlobalHeader, &records_of(&[("size", "3")])), three()],
            &["other than they look"],
        ),
        (
            "sparse by pax",
            vec![pax(&[("GNU.sparse.realsize", "1099511627776")]), three()],
            &["other than they look"],
        ),
        ("a negative size in octal", vec![sized(b"-0000000001\0")], &["not a number"]),
        ("a size in decimal", vec![sized(b"00000000089\0")], &["not a number"]),
        ("a size of spaces", vec![sized(b"            ")], &["not a number"]),
        ("-1 in base 256", vec![sized(&base256([0xff; 4], u64::MAX))], &["negative"]),
        ("2^64 - 1 in base 256", vec![sized(&base256([0x80, 0, 0, 0], u64::MAX))], &["not a number"]),
        ("2^63 - 1 in base 256", vec![sized(&base256([0x80, 0, 0, 0], i64::MAX as u64))], &[]),
        // Cut to 64 bits this is one byte.
        ("2^64 + 1 in base 256", vec![sized(&base256([0x80, 0, 0, 1], 1))], &["impossible size"]),
        ("2^88 in base 256", vec![sized(&base256([0x81, 0, 0, 0], 1))], &["impossible size"]),
        ("a link with content", vec![member(&header(b"l", EntryType::Symlink, b"n", 3), b"abc")], &[]),
        ("a directory with content", vec![member(&header(b"d/", EntryType::Directory, b"", 3), b"abc")], &[]),
    ] {
        cases.extend(refused(what, &members, says));
    }
    cases.extend(taken("pax says the same", &[pax(&[("size", "3")]), three()]));
    cases.extend(taken("one byte in base 256", &[sized(&base256([0x80, 0, 0, 0], 1))]));
    cases.extend(taken(
        "a comment for all",
        &[extended(EntryType::XGlobalHeader, &records_of(&[("comment", "0123456789abcdef")])), three()],
    ));
    cases
        .extend(taken("an extended header that says nothing", &[extended(EntryType::XHeader, b""), three()]));
    try_all(cases);
}

#[test]
fn extended_headers_that_are_malformed_or_huge() {
    need!(tools(), "strace or prlimit");
    let text = |text: &[u8]| vec![extended(EntryType::XHeader, text), file(b"n", b"abc")];
    let claimed = |kind, size| member(&header(b"x", kind, b"", size), b"");
    let mut cases: Vec<Case> = Vec::new();
    for (what, members) in [
        ("a record that is too long", text(b"99 path=a\n")),
        ("a record that is too short", text(b"5 path=a\n")),
        ("a record of no length", text(b"0 path=a\n")),
        ("a length that is no number", text(b"x path=a\n")),
        ("a length beyond all numbers", text(b"99999999999999999999999 path=a\n")),
        ("no equals sign", text(b"9 path a\n")),
        ("no line's end", text(b"10 path=ab")),
        ("no space", text(b"9path=a\n\n")),
        ("a record within a record", text(b"21 a=b\n13 path=evil\n")),
        ("zeros", text(&[0; 512])),
        ("an extended header of a TiB", vec![claimed(EntryType::XHeader, 1 << 40)]),
        ("one for all of a TiB", vec![claimed(EntryType::XGlobalHeader, 1 << 40)]),
        ("a long name of a TiB", vec![claimed(EntryType::GNULongName, 1 << 40)]),
        (
            "a long name of 65 KiB",
            vec![long(EntryType::GNULongName, &vec![b'a'; 65 << 10]), file(b"n", b"abc")],
        ),
        (
            "a long target of 1 MiB",
            vec![long(EntryType::GNULongLink, &vec![b'a'; 1 << 20]), bare("l", EntryType::Symlink, "x")],
        ),
        ("a pax path of 1 MiB", vec![pax(&[("path", &"a".repeat(1 << 20))]), file(b"n", b"abc")]),
    ] {
        cases.extend(refused(what, &members, &[]));
    }
    let longest = "a/".repeat(30 << 10);
    cases.extend(taken(
        "a long name of 60 KiB",
        &[long(EntryType::GNULongName, longest.as_bytes()), file(b"n", b"")],
    ));
    // A great many of them, one behind the other, for no member at all.
    let many = extended(EntryType::XGlobalHeader, b"").repeat(200_001);
    let packed = zstd::bulk::compress(&[many, docker()].concat(), 1).unwrap();
    cases.push(bad("200,001 headers", packed, &["more than 200000 members"]));
    let many: Vec<u8> = (0..200_001).flat_map(|n| file(format!("{n}").as_bytes(), b"")).collect();
    let packed = zstd::bulk::compress(&[many, docker()].concat(), 1).unwrap();
    cases.push(bad("200,001 files", packed, &["more than 200000 members"]));
    // Names that together do not fit into memory.
    let long_ones: Vec<u8> = (0..1100)
        .flat_map(|n| {
            [long(EntryType::GNULongName, format!("{n}/{longest}").as_bytes()), file(b"n", b"")].concat()
        })
        .collect();
    let packed = zstd::bulk::compress(&[long_ones, docker()].concat(), 1).unwrap();
    cases.push(bad("66 MiB of names", packed, &["names have more than"]));
    try_all(cases);
}

#[test]
fn archives_that_end_too_soon_or_too_late() {
    need!(tools(), "strace or prlimit");
    let mut cases = Vec::new();
    for (form, whole) in [("docker", docker()), ("oci", oci().archive())] {
        let end = whole.len() - whole.iter().rev().take_while(|byte| **byte == 0).count();
        let end = end.next_multiple_of(512);
        for (what, at) in [
            ("in a header", 700),
            ("between two members", 512),
            ("in the first content", 1030),
            ("before the last content ends", end - 200),
            ("without its end", end),
            ("with half of its end", end + 512),
        ] {
            cases.push(bad(format!("{form} cut {what}"), whole[..at].to_vec(), &[]));
        }
        let with = |rest: &[u8]| [&whole[..], rest].concat();
        cases.push(bad(format!("{form}, and a byte"), with(b"x"), &["behind its end"]));
        cases.push(bad(
            format!("{form}, and a member"),
            with(&file(b"manifest.json", b"[]")),
            &["behind its end"],
        ));
        cases.push(bad(
            format!("{form}, and 100 MiB of zeros"),
            with(&vec![0; 100 << 20]),
            &["behind its end"],
        ));
        cases.push(good(format!("{form}, filled up to a MiB"), with(&vec![0; (1 << 20) - 1024])));
        for (what, last) in [
            ("an extended header", pax(&[("path", "n")])),
            ("a long name", long(EntryType::GNULongName, b"n")),
        ] {
            let archive = [&whole[..end], &last, &[0; 1024]].concat();
            cases.push(bad(format!("{form}: {what} is the last"), archive, &["no member behind it"]));
        }
    }
    try_all(cases);
}

#[test]
fn members_that_are_there_twice() {
    need!(tools(), "strace or prlimit");
    let mut cases = Vec::new();
    for (form, whole) in [("docker", docker()), ("oci", oci().archive())] {
        let all = members(&whole);
        let blob = all.keys().find(|path| path.len() > 64).unwrap();
        let twice = |put: Vec<u8>| [&put[..], &whole].concat();
        for (path, content) in all.iter().filter(|(path, _)| !path.contains('/') || *path == blob) {
            let same = file(path.as_bytes(), content);
            cases.push(bad(format!("{form}: {path} twice the same"), twice(same), &[path, "twice"]));
            let dotted = file(format!("./{path}").as_bytes(), content);
            cases.push(bad(format!("{form}: {path} in another spelling"), twice(dotted), &[path, "twice"]));
            let other = [pax(&[("path", path)]), file(b"harmless", b"{}")].concat();
            cases.push(bad(format!("{form}: {path} by pax"), twice(other), &[path, "twice"]));
            let link = bare(path, EntryType::Symlink, "oci-layout");
            if !path.contains('/') {
                cases.push(bad(format!("{form}: {path} and a link"), twice(link), &[path, "twice"]));
            }
        }
    }
    try_all(cases);
}
