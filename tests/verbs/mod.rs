//! The verbs that look at a store and change its names, and what all verbs have in common.

mod annotate;
mod damaged;
mod df;
mod general;
mod images;
mod inspect;
mod location;
mod output;
mod pin;
mod readonly;
mod rm;
mod setup;
mod shared;
mod tag;
mod verify;

pub(crate) use self::readonly::larder as read_only;
use crate::import::{CLANG, GCC};
use crate::roundtrip::imported;
use crate::support::Sandbox;

/// Both images of `docker20-two.tar`.
fn two_images() -> Sandbox {
    imported("docker20-two.tar")
}

/// Replaces what differs from run to run: times, and digests by the order in which they come.
fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut seen: Vec<String> = Vec::new();
    let is_word = |c: char| c.is_ascii_alphanumeric() || "-:".contains(c);
    for word in text.split_inclusive(|c: char| !is_word(c)) {
        let (body, end) = word.split_at(word.trim_end_matches(|c: char| !is_word(c)).len());
        let hex = body.trim_start_matches("sha256:");
        let is_hex = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        if [12, 64].contains(&hex.len()) && hex.chars().all(is_hex) {
            let key = &hex[..12];
            let at = seen.iter().position(|other| other == key).unwrap_or_else(|| {
                seen.push(key.to_owned());
                seen.len() - 1
            });
            let number = format!("digest-{:-<1$}", at + 1, hex.len().min(20) - "digest-".len());
            out += &body.replace(hex, &number[..hex.len().min(20)]);
        } else {
            out += &time(body);
        }
        out += end;
    }
    out
}

/// Digits of what looks like a date or a time become zeros.
fn time(word: &str) -> String {
    let shape: String = word.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    match shape.as_str() {
        "0000-00-00" | "00:00:00" | "0000-00-00T00:00:00Z" if !word.starts_with("2023-11-14") => shape,
        _ => word.to_owned(),
    }
}

/// The value at a key in all rows of a JSON answer.
fn column<'v>(rows: &'v serde_json::Value, key: &str) -> Vec<&'v str> {
    rows.as_array().unwrap().iter().map(|row| row[key].as_str().unwrap_or("-")).collect()
}

#[test]
fn redacting_leaves_everything_else() {
    let text = "a sha256:3d1999cc4add640daaab15b531ac886a4c27d6db55c7c6bbf7fb558c4ffe4b92 3d1999cc4add, 2026-11-21 03:31:24 v1";
    assert_eq!(redact(text), "a sha256:digest-1------------ digest-1----, 0000-00-00 00:00:00 v1");
}
