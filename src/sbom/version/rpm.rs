//! The order of rpm's versions and releases (rpm-version(7)), and of pacman's, which comes from it.

use std::cmp::Ordering;

use super::{leading, numbers};

/// Compares two versions, or two releases, as rpm does.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        a = separators(a);
        b = separators(b);
        // A tilde sorts before everything, also the end; a caret after the end, and before everything else.
        match (a.first(), b.first()) {
            (Some(b'~'), Some(b'~')) | (Some(b'^'), Some(b'^')) => {
                (a, b) = (&a[1..], &b[1..]);
                continue;
            }
            (Some(b'~'), _) => return Ordering::Less,
            (_, Some(b'~')) => return Ordering::Greater,
            (Some(b'^'), None) => return Ordering::Greater,
            (None, Some(b'^')) => return Ordering::Less,
            (Some(b'^'), _) => return Ordering::Less,
            (_, Some(b'^')) => return Ordering::Greater,
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(_), Some(_)) => {}
        }
        match segment(&mut a, &mut b) {
            Ordering::Equal => {}
            order => return order,
        }
    }
}

/// Compares two versions, or two releases, as pacman does: no tilde, and letters at the end are older than nothing.
pub(super) fn compare_as_pacman(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while !a.is_empty() && !b.is_empty() {
        let behind = (alphanumeric(a), alphanumeric(b));
        let skipped = (a.len() - behind.0.len(), b.len() - behind.1.len());
        (a, b) = behind;
        if a.is_empty() || b.is_empty() {
            break;
        }
        let order = skipped.0.cmp(&skipped.1).then_with(|| segment(&mut a, &mut b));
        if order.is_ne() {
            return order;
        }
    }
    let is_word = |rest: &[u8]| rest.first().is_some_and(u8::is_ascii_alphabetic);
    match (a.is_empty(), b.is_empty()) {
        (true, true) => Ordering::Equal,
        (true, false) if !is_word(b) => Ordering::Less,
        _ if is_word(a) => Ordering::Less,
        _ => Ordering::Greater,
    }
}

/// Takes a number or a word off both and compares them; a number is newer than a word.
fn segment<'a>(a: &mut &'a [u8], b: &mut &'a [u8]) -> Ordering {
    let is_number = a.first().is_some_and(u8::is_ascii_digit);
    let is_such = |byte: &u8| if is_number { byte.is_ascii_digit() } else { byte.is_ascii_alphabetic() };
    let (left, right) = (leading(a, is_such), leading(b, is_such));
    match (is_number, right.is_empty()) {
        (true, true) => Ordering::Greater,
        (false, true) => Ordering::Less,
        (true, false) => numbers(left, right),
        (false, false) => left.cmp(right),
    }
}

fn separators(text: &[u8]) -> &[u8] {
    let end = text.iter().position(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'~' | b'^'));
    &text[end.unwrap_or(text.len())..]
}

fn alphanumeric(text: &[u8]) -> &[u8] {
    &text[text.iter().position(u8::is_ascii_alphanumeric).unwrap_or(text.len())..]
}
