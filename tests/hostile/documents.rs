//! JSON that two readers read in two ways, that is too large or too deep, or that is none.

use serde_json::{Value, json};

use super::{Case, NAME, bad, docker, layers, oci, tools, try_all};
use crate::support::need;
use crate::support::tarball::{Oci, Tarball, config, hex, members, sha256};

/// An oci-archive whose manifest has these bytes.
pub(super) fn with_manifest(manifest: &[u8]) -> Vec<u8> {
    let mut oci = oci();
    let old = hex_of(&oci.index["manifests"][0]);
    oci.blobs.remove(&old);
    oci.add(manifest);
    oci.index["manifests"][0]["digest"] = sha256(manifest).into();
    oci.index["manifests"][0]["size"] = manifest.len().into();
    oci.archive()
}

/// An oci-archive whose config has these bytes, which its manifest names rightly.
pub(super) fn with_config(config: &[u8]) -> Vec<u8> {
    let mut oci = oci();
    let mut manifest = oci.manifest();
    manifest["config"]["digest"] = sha256(config).into();
    manifest["config"]["size"] = config.len().into();
    oci.add(config);
    oci.root(NAME, &manifest);
    oci.archive()
}

/// An oci-archive with this `index.json`.
pub(super) fn with_index(index: &[u8]) -> Vec<u8> {
    let mut archive = Tarball::new();
    for (path, bytes) in members(&oci().archive()).iter().filter(|(path, _)| *path != "index.json") {
        archive.file(path, bytes);
    }
    archive.file("index.json", index);
    archive.bytes()
}

/// A docker-archive with this `manifest.json`.
pub(super) fn with_items(items: &[u8]) -> Vec<u8> {
    let mut archive = Tarball::new();
    for (path, bytes) in members(&docker()).iter().filter(|(path, _)| *path != "manifest.json") {
        archive.file(path, bytes);
    }
    archive.file("manifest.json", items);
    archive.bytes()
}

pub(super) fn hex_of(descriptor: &Value) -> String {
    descriptor["digest"].as_str().unwrap().trim_start_matches("sha256:").to_owned()
}

/// An archive around the text of a document.
type Wrap = fn(&[u8]) -> Vec<u8>;

/// The four kinds of documents: what to call it, its good text, and an archive around another text.
fn kinds() -> [(&'static str, String, Wrap); 4] {
    let items = String::from_utf8(members(&docker())["manifest.json"].clone()).unwrap();
    [
        ("a manifest", oci().manifest().to_string(), with_manifest),
        ("a config", config("linux", "amd64", &layers()).to_string(), with_config),
        ("index.json", oci().index.to_string(), with_index),
        ("manifest.json", items, with_items),
    ]
}

/// The text with this in front of its last bracket's content: `{…}` becomes `{…,MORE}`.
fn plus(text: &str, more: &str) -> Vec<u8> {
    let at = text.rfind('}').unwrap();
    format!("{},{more}{}", &text[..at], &text[at..]).into_bytes()
}

#[test]
fn what_is_no_json() {
    need!(tools(), "strace or prlimit");
    let mut cases: Vec<Case> = Vec::new();
    for (what, text, archive) in kinds() {
        let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        for (how, bytes) in [
            ("is empty", Vec::new()),
            ("is cut", text.as_bytes()[..text.len() - 1].to_vec()),
            ("is zeros", vec![0; 100]),
            ("begins with a byte order mark", [b"\xef\xbb\xbf", text.as_bytes()].concat()),
            ("is UTF-16", utf16),
            (
                "has no UTF-8",
                plus(&text, "\"x\":\"\u{0}\"").iter().map(|b| if *b == 0 { 0xff } else { *b }).collect(),
            ),
            ("has a control character", plus(&text, "\"x\":\"\u{1b}[2J\"")),
            ("has half a surrogate", plus(&text, r#""x":"\ud800""#)),
            ("has a number that is none", plus(&text, r#""x":NaN"#)),
            ("has a number beyond all", plus(&text, r#""x":1e999"#)),
            ("has a comma too many", plus(&text, "")),
            ("is a string", b"\"x\"".to_vec()),
            ("is null", b"null".to_vec()),
            ("has text behind it", format!("{text} x").into_bytes()),
            ("is there twice", format!("{text}{text}").into_bytes()),
            ("has NUL behind it", format!("{text}\0").into_bytes()),
        ] {
            cases.push(bad(format!("{what} {how}"), archive(&bytes), &["entry \""]));
        }
    }
    try_all(cases);
}

#[test]
fn what_is_too_large_or_too_deep_or_there_twice() {
    need!(tools(), "strace or prlimit");
    let mut cases: Vec<Case> = Vec::new();
    for (what, text, archive) in kinds() {
        let key = text.split('"').nth(1).unwrap();
        let escaped: String = key.chars().map(|c| format!("\\u{:04x}", u32::from(c))).collect();
        let deep = |depth: usize| format!("\"x\":{}{}", "[".repeat(depth), "]".repeat(depth));
        let objects = format!("\"x\":{}1{}", "{\"a\":".repeat(5000), "}".repeat(5000));
        for (how, bytes) in [
            (
                "has 4 MiB and a byte",
                format!("{text}{}", " ".repeat((4 << 20) + 1 - text.len())).into_bytes(),
            ),
            ("has 20 MiB", plus(&text, &format!("\"x\":\"{}\"", "x".repeat(20 << 20)))),
            ("is 65 levels deep", plus(&text, &deep(65))),
            ("is a million levels deep", plus(&text, &deep(1_000_000))),
            ("is 5000 objects deep", plus(&text, &objects)),
            ("never closes", format!("{}{}", &text[..text.len() - 1], ",[".repeat(500_000)).into_bytes()),
            ("has a key twice", plus(&text, &format!("\"{key}\":null"))),
            ("has a key twice, escaped", plus(&text, &format!("\"{escaped}\":null"))),
            ("has a key twice far below", plus(&text, r#""x":[{"y":{"a":1,"b":2,"a":1}}]"#)),
        ] {
            cases.push(bad(format!("{what} {how}"), archive(&bytes), &["entry \""]));
        }
    }
    try_all(cases);
}

#[test]
fn documents_that_blow_up_in_memory() {
    need!(tools(), "strace or prlimit");
    let limit = 4 << 20;
    let fill = |head: &str, piece: &str, tail: &str| {
        let count = (limit - head.len() - tail.len()) / (piece.len() + 1);
        format!("{head}{}{tail}", vec![piece; count].join(",")).into_bytes()
    };
    let image = oci().manifest();
    let head = format!("{{\"schemaVersion\":2,\"config\":{},\"layers\":[", image["config"]);
    let index = oci().index.to_string();
    let mut cases: Vec<Case> = Vec::new();
    for (how, piece) in [
        ("empty objects", "{}"),
        ("objects of one field", "{\"\":0}"),
        ("empty lists", "[]"),
        ("numbers", "0"),
        ("lists of a list", "[[]]"),
        ("nothing", "null"),
    ] {
        cases.push(bad(
            format!("layers that are {how}"),
            with_manifest(&fill(&head, piece, "]}")),
            &["entry \""],
        ));
        let manifests = fill("{\"schemaVersion\":2,\"manifests\":[", piece, "]}");
        cases.push(bad(format!("index.json of {how}"), with_index(&manifests), &["entry \""]));
        let extra = fill(&format!("{},\"x\":[", &index[..index.len() - 1]), piece, "]}");
        cases.push(super::good(format!("{how} beside the images"), with_index(&extra)));
        cases.push(bad(format!("manifest.json of {how}"), with_items(&fill("[", piece, "]")), &["entry \""]));
    }
    // Descriptors are larger in memory than on paper, and these are legion.
    let small = format!("{{\"digest\":\"{}\",\"size\":1}}", sha256(b"absent"));
    cases.push(bad("a manifest of absent layers", with_manifest(&fill(&head, &small, "]}")), &["entry \""]));
    let index = |seed: usize| {
        let numbered = (0..30_000).map(|n| {
            json!({"mediaType": image["mediaType"], "digest": sha256(&(seed * 100_000 + n).to_le_bytes()), "size": 1})
        });
        let all = numbered.map(|child| child.to_string()).take(limit / 170).collect::<Vec<_>>().join(",");
        format!("{{\"schemaVersion\":2,\"manifests\":[{all}]}}").into_bytes()
    };
    let many: Vec<_> = (1..=11).map(index).collect();
    cases.push(bad("eleven indexes of 4 MiB", of_indexes(&many), &[]));
    let padded = |n: usize| {
        let padding = format!("{n:02}").repeat(limit / 2 - 100);
        format!("{{\"schemaVersion\":2,\"manifests\":[],\"annotations\":{{\"x\":\"{padding}\"}}}}")
            .into_bytes()
    };
    let padded: Vec<_> = (0..14).map(padded).collect();
    cases.push(bad("fourteen indexes with an annotation of 4 MiB", of_indexes(&padded), &[]));
    try_all(cases);
}

/// An archive of an index that holds all these indexes.
fn of_indexes(indexes: &[Vec<u8>]) -> Vec<u8> {
    let media_type = "application/vnd.oci.image.index.v1+json";
    let mut oci = Oci { index: Value::Null, blobs: Default::default() };
    let children: Vec<_> = indexes
        .iter()
        .map(|bytes| json!({"mediaType": media_type, "digest": sha256(bytes), "size": bytes.len()}))
        .collect();
    indexes.iter().for_each(|bytes| oci.add(bytes));
    oci.root(NAME, &json!({"schemaVersion": 2, "mediaType": media_type, "manifests": children}));
    assert!(oci.blobs.keys().all(|name| name.len() == hex(b"").len()));
    oci.archive()
}
