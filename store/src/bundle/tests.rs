//! The format by itself: what is written is read, and nothing else is.

use proptest::prelude::*;

use super::frame::Frames;
use super::manifest::{Blob, Cut, Image, Manifest, Piece, Presumed, Way, sealed};
use super::{MANIFEST, PART, SIGNATURE};
use crate::archive::package::DIRECTORIES;
use crate::archive::tar::Source;
use crate::archive::write::header;
use crate::descriptor::Annotations;
use crate::digest::Digest;
use crate::error::Result;
use crate::media_type::OCI_MANIFEST;

struct Bytes<'a>(&'a [u8]);

impl Source for Bytes<'_> {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let count = buffer.len().min(self.0.len());
        buffer[..count].copy_from_slice(&self.0[..count]);
        self.0 = &self.0[count..];
        Ok(count)
    }
    fn skip(&mut self, count: u64) -> Result<bool> {
        let there = (self.0.len() as u64).min(count);
        self.0 = &self.0[there as usize..];
        Ok(there == count)
    }
}

/// A bundle of one image, whose layer is cut in two, in parts of so many members.
fn manifest(parts: &[usize]) -> (Manifest, Vec<Vec<u8>>) {
    let contents: Vec<Vec<u8>> =
        [&b"layout"[..], b"manifest", b"config", &[7; 700], &[8; 300], b"index"].map(<[u8]>::to_vec).to_vec();
    let layer = contents[3..5].concat();
    let document = |path: &str, content: &[u8]| Piece {
        path: path.to_owned(),
        size: content.len() as u64,
        sha256: Digest::of(content),
    };
    let blob = |content: &[u8], way, pieces| Blob {
        digest: Digest::of(content),
        size: content.len() as u64,
        way,
        images: vec![0],
        pieces,
        made: None,
        delta: None,
    };
    let image = Image {
        name: Some("docker.io/library/ci:1".into()),
        media_type: OCI_MANIFEST.into(),
        digest: Digest::of(b"manifest"),
        size: 8,
        annotations: Annotations::from([("dev.larder.project".into(), "capy".into())]),
    };
    let mut manifest = Manifest::new("larder 1".into(), vec![image]);
    let pieces =
        contents[3..5].iter().map(|piece| Cut { size: piece.len() as u64, sha256: Digest::of(piece) });
    manifest.blobs = vec![
        blob(b"manifest", Way::Whole, Vec::new()),
        blob(b"config", Way::Whole, Vec::new()),
        blob(&layer, Way::Pieces, pieces.collect()),
    ];
    manifest.presumes = vec![Presumed { digest: Digest::of(b"base"), size: 4, images: vec![0], base: false }];
    manifest.documents = vec![document("oci-layout", b"layout"), document("index.json", b"index")];
    manifest.parts = parts.to_vec();
    (manifest, contents)
}

fn member(tar: &mut Vec<u8>, path: &str, content: &[u8]) {
    tar.extend(header(path, content.len() as u64, tar::EntryType::Regular).as_bytes());
    tar.extend(content);
    tar.resize(tar.len().next_multiple_of(512), 0);
}

/// A part as the writer writes it.
fn written(manifest: &Manifest, contents: &[Vec<u8>], part: usize, signature: Option<&[u8]>) -> Vec<u8> {
    let mut tar = Vec::new();
    for directory in DIRECTORIES {
        tar.extend(header(directory, 0, tar::EntryType::Directory).as_bytes());
    }
    member(&mut tar, MANIFEST, &manifest.to_bytes());
    if let Some(signature) = signature {
        member(&mut tar, SIGNATURE, signature);
    }
    if manifest.parts.len() > 1 {
        member(&mut tar, PART, &manifest.part_text(part));
    }
    for one in manifest.members_of(part) {
        let content = contents.iter().find(|content| Digest::of(content) == one.sha256).expect("its content");
        member(&mut tar, &one.path, content);
    }
    tar.extend([0; 1024]);
    tar
}

/// Reads a part to its end; its number.
fn read(bytes: &[u8]) -> Result<usize, String> {
    let said = |e: crate::Error| e.to_string();
    let mut frames = Frames::new(Bytes(bytes));
    let opening = frames.opening().map_err(said)?.ok_or("nothing")?;
    let manifest = Manifest::parse(&opening.manifest)?;
    let part = frames.part(&manifest).map_err(said)?;
    let mut buffer = [0; 100];
    for member in manifest.members_of(part) {
        frames.member(&member).map_err(said)?;
        frames.check(&member, &mut buffer).map_err(said)?;
    }
    frames.end().map_err(said)?;
    match frames.is_over().map_err(said)? {
        true => Ok(part),
        false => Err("goes on".into()),
    }
}

#[test]
fn what_is_written_is_read() {
    let (one, contents) = manifest(&[6]);
    assert_eq!(Manifest::parse(&one.to_bytes()).as_ref(), Ok(&one));
    for signature in [None, Some(&b"untrusted comment: x\n"[..])] {
        assert_eq!(read(&written(&one, &contents, 0, signature)), Ok(0));
    }
    let (many, contents) = manifest(&[3, 1, 2]);
    for part in 0..3 {
        assert_eq!(read(&written(&many, &contents, part, None)), Ok(part));
    }
    // The opening of one and the members of another.
    let mixed =
        [&written(&many, &contents, 0, None)[..4096], &written(&many, &contents, 1, None)[4096..]].concat();
    assert!(read(&mixed).is_err());
}

#[test]
fn only_the_one_form_is_read() {
    let (one, _) = manifest(&[6]);
    let text = String::from_utf8(one.to_bytes()).expect("text");
    let good = format!("{}}}\n", text.split_once(",\"check\"").expect("a check").0);
    assert_eq!(sealed(good.as_bytes()), one.to_bytes());
    for (from, to) in [
        ("\"parts\":[6]", "\"parts\": [6]"),
        ("\"parts\":[6]", "\"parts\":[6],\"more\":1"),
        ("\"parts\":[6]", "\"parts\":[6],\"parts\":[6]"),
        ("\"larderBundle\":1", "\"larderBundle\":1.0"),
        ("\"as\":\"whole\"", "\"as\":\"whole\",\"pieces\":[]"),
        ("}\n", "}\n\n"),
        ("ci:1", "ci\\u003a1"),
        ("\"parts\":[6]", "\"parts\":[5,1,0]"),
        ("\"parts\":[6]", "\"parts\":[7]"),
        ("\"larderBundle\":1", "\"larderBundle\":2"),
    ] {
        let bad = good.replacen(from, to, 1);
        assert_ne!(bad, good, "{from}");
        assert!(Manifest::parse(&sealed(bad.as_bytes())).is_err(), "{to}");
    }
}

#[test]
fn no_bit_can_be_another_one() {
    let (many, contents) = manifest(&[3, 3]);
    let good = written(&many, &contents, 1, Some(b"signature"));
    let signature = good.windows(9).position(|window| window == b"signature").expect("it");
    for at in 0..good.len() * 8 {
        // What the signature is, whoever checks it says.
        if (signature..signature + 9).contains(&(at / 8)) {
            continue;
        }
        let mut bad = good.clone();
        bad[at / 8] ^= 1 << (at % 8);
        assert!(read(&bad).is_err(), "bit {at}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    /// Whatever is cut out, doubled or written over: it is refused, and nothing panics.
    #[test]
    fn what_was_changed_is_refused(
        at in 0usize..8192, length in 1usize..1500, to in 0usize..8192, byte in any::<u8>(), how in 0u8..5,
    ) {
        let (many, contents) = manifest(&[3, 3]);
        let good = written(&many, &contents, 0, None);
        let mut bad = good.clone();
        let at = at % good.len();
        let end = (at + length).min(good.len());
        match how {
            0 => bad.truncate(at),
            1 => drop(bad.drain(at..end)),
            2 => bad[at..end].fill(byte),
            3 => drop(bad.splice(to % good.len()..to % good.len(), good[at..end].to_vec())),
            _ => bad.extend_from_slice(&good[at..end]),
        }
        prop_assert!(bad == good || read(&bad).is_err());
    }
}
