//! The order of Debian's versions and revisions (deb-version(7), "Sorting algorithm").

use std::cmp::Ordering;

use super::{leading, numbers};

/// Compares two upstream versions, or two revisions.
pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    loop {
        let letters =
            (leading(&mut a, |byte| !byte.is_ascii_digit()), leading(&mut b, |byte| !byte.is_ascii_digit()));
        let digits = (leading(&mut a, u8::is_ascii_digit), leading(&mut b, u8::is_ascii_digit));
        let order = words(letters.0, letters.1).then_with(|| numbers(digits.0, digits.1));
        if order.is_ne() || a.is_empty() && b.is_empty() {
            return order;
        }
    }
}

/// What is not a number, each character by its rank and the end before all but `~`.
fn words(a: &[u8], b: &[u8]) -> Ordering {
    let rank = |word: &[u8], at: usize| match word.get(at) {
        Some(b'~') => -1,
        None => 0,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(*letter),
        Some(other) => i32::from(*other) + 256,
    };
    (0..a.len().max(b.len()))
        .map(|at| rank(a, at).cmp(&rank(b, at)))
        .find(|order| order.is_ne())
        .unwrap_or(Ordering::Equal)
}
