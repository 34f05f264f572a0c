//! What tools wrote, changed by chance: nothing panics, nothing takes long, and no word comes out that is none. The databases of
//! dpkg, apk and pacman are read in the library, where fuzzers reach them (`store/fuzz`, target `facts`).

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::sample::Index;

use super::package::{Package, is_word};
use super::query::Query;
use super::read::{copyright, npm, python};

const METADATA: &[u8] = b"Metadata-Version: 2.1\nName: requests\nVersion: 2.31.0\nLicense: Apache 2.0\nLicense-Expression: Apache-2.0 OR MIT\n\
    Classifier: License :: OSI Approved :: Apache Software License\nRequires-Dist: idna (<4,>=2.5)\n        more of it\n\nName: in the text\n";
const MANIFEST: &[u8] = br#"{"name":"@babel/core","version":"7.1.0","license":"(MIT OR Apache-2.0)","licenses":[{"type":"MIT","url":"x"}],"dependencies":{"a":"^1"}}"#;
const COPYRIGHT: &[u8] = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nCopyright: x\nLicense: GPL-2+ and BSD-3-clause\n Text\n .\n more\n\n\
    Files: debian/*\nLicense: Expat\n\nLicense: Expat\n Permission is hereby granted\n";
const QUESTION: &[u8] = b"deb:libssl3>=3.0.11,<3.0.14,!=1:3.0.12-1~deb12u2";

/// How long one input may take: a thousand times as long as it does, on a machine with other work.
const LONG: Duration = Duration::from_secs(2);

#[derive(Debug, Clone)]
enum Change {
    Byte(Index, u8),
    Cut(Index),
    Remove(Index, usize),
    Insert(Index, Vec<u8>),
    /// A part, so many times.
    Repeat(Index, usize, usize),
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let at = any::<Index>;
    // What parsers turn on, beside anything else.
    let pieces = proptest::sample::select(vec![
        &b"\n\n"[..],
        b":",
        b"\0",
        b"\x1b[2J",
        b"\"",
        b"\\u0000",
        b"[[[[",
        b"{\"a\":",
        b"\xff\xfe",
        b"\r\n",
        b" ",
        b"\t",
        b"Name: x\n",
        b"<!=>",
    ]);
    let change = prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Change::Byte(at, byte)),
        at().prop_map(Change::Cut),
        (at(), 1..20usize).prop_map(|(at, length)| Change::Remove(at, length)),
        (at(), pieces).prop_map(|(at, piece)| Change::Insert(at, piece.to_vec())),
        (at(), 1..60usize, 2..2000usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
    ];
    proptest::collection::vec(change, 1..5)
}

fn changed(text: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = text.to_vec();
    for change in changes {
        let place = |at: &Index| at.index(bytes.len() + 1);
        match change {
            Change::Byte(at, byte) => {
                let at = place(at).min(bytes.len().saturating_sub(1));
                bytes.get_mut(at).into_iter().for_each(|old| *old = *byte);
            }
            Change::Cut(at) => bytes.truncate(place(at)),
            Change::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Change::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece.iter().copied());
            }
            Change::Repeat(at, length, times) => {
                let at = place(at);
                let part = bytes[at..(at + length).min(bytes.len())].repeat(*times);
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

/// Whether a package has nothing but words.
pub(super) fn is_sound(package: &Package) -> bool {
    let source = package.source.iter().flat_map(|(name, version)| [Some(name), version.as_ref()]);
    let words = [Some(&package.name), Some(&package.version), package.architecture.as_ref()];
    let is_said = |licence: &String| licence.len() <= 512 && !licence.chars().any(char::is_control);
    words.into_iter().chain(source).flatten().all(|word| is_word(word))
        && package.licences.iter().all(is_said)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn whatever_becomes_of_it_is_read_or_refused(changes in changes()) {
        let begun = Instant::now();
        if let Some(package) = python::distribution(&changed(METADATA, &changes)) {
            prop_assert!(is_sound(&package), "{:?}", package);
        }
        if let Ok(package) = npm::package(&changed(MANIFEST, &changes)) {
            prop_assert!(is_sound(&package), "{:?}", package);
        }
        let mut package = Package::new(super::kind::Kind::Deb, "x", "1").expect("a package");
        let licences = copyright::licences(&changed(COPYRIGHT, &changes));
        package.add_licences(licences.iter().map(String::as_str));
        prop_assert!(is_sound(&package), "{:?}", package);
        let question = String::from_utf8_lossy(&changed(QUESTION, &changes)).into_owned();
        match question.parse::<Query>() {
            Ok(query) => prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query)),
            Err(wrong) => prop_assert!(wrong.to_string().len() < 4096),
        }
        prop_assert!(begun.elapsed() < LONG, "{:?}", begun.elapsed());
    }
}

#[test]
fn what_is_changed_is_what_is_read() {
    assert_eq!(python::distribution(METADATA).map(|package| package.version), Some("2.31.0".to_owned()));
    assert_eq!(npm::package(MANIFEST).map(|package| package.version), Ok("7.1.0".to_owned()));
    assert!(copyright::licences(COPYRIGHT).len() > 1);
    assert!(String::from_utf8_lossy(QUESTION).parse::<Query>().is_ok());
}
