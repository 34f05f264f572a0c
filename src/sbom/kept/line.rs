//! A package as a line: what a question is about in columns, divided by tabs, and the rest, which nobody asks for by name, as JSON.

use std::str::FromStr as _;

use serde::{Deserialize, Serialize};

use super::json;
use crate::sbom::inventory::Found;
use crate::sbom::kind::Kind;
use crate::sbom::package::{MAX_WORD, Package, is_word};

/// Columns that are never empty, and the one that may have anything in it.
const KEY: usize = 0;
const KIND: usize = 1;
const VERSION: usize = 3;
const REST: usize = 7;

/// What is kept of a package that has no column.
#[derive(Serialize, Deserialize)]
struct Rest {
    architecture: Option<String>,
    licences: Vec<String>,
    path: String,
    layer: usize,
}

/// A package as it is kept, as far as it is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Line<'a> {
    pub(crate) kind: Kind,
    /// The name that it goes by in questions.
    pub(crate) key: &'a str,
    /// The name that it has.
    pub(crate) name: &'a str,
    pub(crate) version: &'a str,
    /// The source that it was built from, with its version where that is another one.
    pub(crate) source: Option<(&'a str, Option<&'a str>)>,
    /// Bytes that it takes when it is installed.
    pub(crate) size: Option<u64>,
    rest: &'a str,
}

impl<'a> Line<'a> {
    /// Reads a line, whatever stands in its columns.
    pub(super) fn parse(line: &'a str) -> Option<Line<'a>> {
        let mut columns = line.splitn(8, '\t');
        let mut next = || columns.next();
        let (key, kind, name, version) = (next()?, next()?, next()?, next()?);
        let (source, source_version, size, rest) = (next()?, next()?, next()?, next()?);
        let some = |word: &'a str| Some(word).filter(|word| !word.is_empty());
        Some(Line {
            kind: Kind::from_str(kind).ok()?,
            key,
            name: some(name).unwrap_or(key),
            version,
            source: some(source).map(|name| (name, some(source_version))),
            size: some(size).and_then(|size| size.parse().ok()),
            rest,
        })
    }

    /// Whether a line is one, of words: all columns but the last. In one pass, because every question asks it of every line.
    pub(super) fn is_good(line: &str) -> bool {
        let (mut column, mut begin) = (0, 0);
        for (at, byte) in line.bytes().enumerate() {
            if byte == b'\t' {
                let fits = match (column, &line[begin..at]) {
                    (KIND, word) => Kind::from_str(word).is_ok(),
                    (KEY | VERSION, word) => (1..=MAX_WORD).contains(&word.len()),
                    (_, word) => word.len() <= MAX_WORD,
                };
                (column, begin) = (column + 1, at + 1);
                if !fits || column == REST {
                    return fits;
                }
            } else if !byte.is_ascii_graphic() {
                return false;
            }
        }
        false
    }
}

/// A package's line, with its end. No word has a tab or a control character in it.
pub(super) fn line(Found { package, path, layer }: &Found) -> String {
    let Package { kind, name, version, architecture, source, licences, size } = package;
    let key = kind.key(name);
    let own_name = if key == *name { "" } else { name };
    let (source, source_version) = match source {
        Some((name, version)) => (name.as_str(), version.as_deref().unwrap_or("")),
        None => ("", ""),
    };
    let size = size.map_or(String::new(), |size| size.to_string());
    let (architecture, licences) = (architecture.clone(), licences.clone());
    let rest = json(&Rest { architecture, licences, path: path.clone(), layer: *layer });
    let kind = kind.word();
    format!("{key}\t{kind}\t{own_name}\t{version}\t{source}\t{source_version}\t{size}\t{rest}\n")
}

/// All that a line says; `None` where the rest of it is not what it should be.
pub(super) fn found(line: &Line<'_>) -> Option<Found> {
    let Rest { architecture, licences, path, layer } = serde_json::from_str(line.rest).ok()?;
    let mut package = Package::new(line.kind, line.name, line.version)?;
    package.architecture = architecture.filter(|word| is_word(word));
    if let Some((name, version)) = line.source {
        package = package.with_source(name, version);
    }
    package.add_licences(licences.iter().map(String::as_str));
    package.size = line.size;
    Some(Found { package, path, layer })
}
