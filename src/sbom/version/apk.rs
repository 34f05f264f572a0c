//! The order of apk's versions: `digits{.digits}…{letter}{_suffix{digits}}…{~hash}{-rdigits}` (apk-package(5)).

use std::cmp::Ordering;

use super::{leading, numbers};

/// A part of a version. Where two versions go on differently, the part that stands further up here is the newer one.
#[derive(Debug, PartialEq, Eq)]
enum Part<'a> {
    First(&'a [u8]),
    Number(&'a [u8]),
    Letter(u8),
    /// Below zero before a release, above after it; and its number.
    Suffix(i8, &'a [u8]),
    Hash(&'a [u8]),
    Revision(&'a [u8]),
}

/// Suffixes in their order, with what none of them is in the middle.
const BEFORE: [&[u8]; 4] = [b"alpha", b"beta", b"pre", b"rc"];
const AFTER: [&[u8]; 5] = [b"cvs", b"svn", b"git", b"hg", b"p"];

/// Compares two versions; `None` where one is none. What is asked without a revision is compared without one.
pub(super) fn compare(have: &str, asked: &str) -> Option<Ordering> {
    let (mut have, asked) = (parse(have.as_bytes())?, parse(asked.as_bytes())?);
    if !matches!(asked.last(), Some(Part::Revision(_))) {
        have.retain(|part| !matches!(part, Part::Revision(_)));
    }
    Some(parts(&have, &asked))
}

/// The order of two versions as they stand there.
pub(super) fn order(a: &str, b: &str) -> Option<Ordering> {
    Some(parts(&parse(a.as_bytes())?, &parse(b.as_bytes())?))
}

fn parts(a: &[Part<'_>], b: &[Part<'_>]) -> Ordering {
    let rest = || match (a.get(b.len()), b.get(a.len())) {
        (Some(more), _) => beside_nothing(more),
        (_, Some(more)) => beside_nothing(more).reverse(),
        (None, None) => Ordering::Equal,
    };
    let mut parts = a.iter().zip(b).map(|(a, b)| part(a, b));
    parts.find(|order| order.is_ne()).unwrap_or_else(rest)
}

fn part(a: &Part<'_>, b: &Part<'_>) -> Ordering {
    match (a, b) {
        (Part::First(a), Part::First(b)) | (Part::Revision(a), Part::Revision(b)) => numbers(a, b),
        // A number that begins with zero is the digits behind a decimal point.
        (Part::Number(a), Part::Number(b)) if a.starts_with(b"0") || b.starts_with(b"0") => a.cmp(b),
        (Part::Number(a), Part::Number(b)) => numbers(a, b),
        (Part::Letter(a), Part::Letter(b)) => a.cmp(b),
        (Part::Suffix(a, m), Part::Suffix(b, n)) => a.cmp(b).then_with(|| numbers(m, n)),
        (Part::Hash(a), Part::Hash(b)) => a.cmp(b),
        (Part::Suffix(rank, _), _) if *rank < 0 => Ordering::Less,
        (_, Part::Suffix(rank, _)) if *rank < 0 => Ordering::Greater,
        (a, b) => place(b).cmp(&place(a)),
    }
}

/// How a version that goes on with this stands to one that has ended.
fn beside_nothing(more: &Part<'_>) -> Ordering {
    match more {
        Part::Suffix(rank, _) if *rank < 0 => Ordering::Less,
        _ => Ordering::Greater,
    }
}

fn place(part: &Part<'_>) -> u8 {
    match part {
        Part::First(_) => 0,
        Part::Number(_) => 1,
        Part::Letter(_) => 2,
        Part::Suffix(..) => 3,
        Part::Hash(_) => 4,
        Part::Revision(_) => 5,
    }
}

fn parse(mut rest: &[u8]) -> Option<Vec<Part<'_>>> {
    let mut parts = vec![Part::First(some(digits(&mut rest))?)];
    while let Some(behind) = rest.strip_prefix(b".") {
        rest = behind;
        parts.push(Part::Number(some(digits(&mut rest))?));
    }
    if let [letter @ b'a'..=b'z', behind @ ..] = rest {
        parts.push(Part::Letter(*letter));
        rest = behind;
    }
    while let Some(behind) = rest.strip_prefix(b"_") {
        rest = behind;
        let word = leading(&mut rest, u8::is_ascii_lowercase);
        let before = BEFORE.iter().position(|known| *known == word).map(|at| at as i8 - BEFORE.len() as i8);
        let rank = before.or_else(|| AFTER.iter().position(|known| *known == word).map(|at| at as i8 + 1))?;
        parts.push(Part::Suffix(rank, digits(&mut rest)));
    }
    if let Some(behind) = rest.strip_prefix(b"~") {
        rest = behind;
        parts.push(Part::Hash(some(leading(&mut rest, u8::is_ascii_hexdigit))?));
    }
    if let Some(behind) = rest.strip_prefix(b"-r") {
        rest = behind;
        parts.push(Part::Revision(some(digits(&mut rest))?));
    }
    rest.is_empty().then_some(parts)
}

fn digits<'a>(rest: &mut &'a [u8]) -> &'a [u8] {
    leading(rest, u8::is_ascii_digit)
}

fn some(word: &[u8]) -> Option<&[u8]> {
    (!word.is_empty()).then_some(word)
}
