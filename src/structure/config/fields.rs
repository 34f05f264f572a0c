//! A YAML mapping by its known keys. What is wrong is collected, with line and column; reading goes on, so that all of it is said at once.

use crate::catalog::yaml::{Node, What};

/// Keys that are one letter or two away from a known one are taken for it in a message.
const NEAR: usize = 2;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(super) struct Problems(pub(super) Vec<String>);

impl Problems {
    /// Notes what is wrong at a value.
    pub(super) fn add(&mut self, at: &Node, why: &str) {
        self.0.push(at.refuse(why));
    }
}

/// A mapping, or nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'n> {
    pub(super) node: &'n Node,
}

impl<'n> Fields<'n> {
    /// Takes a mapping that has no other keys than these.
    pub(super) fn of(node: &'n Node, known: &[&str], problems: &mut Problems) -> Fields<'n> {
        check_keys(node, known, problems);
        Fields { node }
    }

    /// The value of a key, unless it is missing or null.
    pub(super) fn get(self, key: &str) -> Option<&'n Node> {
        self.node.get(key).filter(|value| !value.is_null())
    }

    /// A text; empty where it is missing.
    pub(super) fn text(self, key: &str, problems: &mut Problems) -> String {
        self.get(key).and_then(|value| text(value, problems)).unwrap_or_default()
    }

    /// A text that must not be empty.
    pub(super) fn needed(self, key: &str, problems: &mut Problems) -> String {
        let found = self.text(key, problems);
        if found.is_empty() {
            let at = self.get(key).unwrap_or(self.node);
            problems.add(at, &format!("{key:?} is missing or empty"));
        }
        found
    }

    /// Yes or no; `None` where it is missing.
    pub(super) fn truth(self, key: &str, problems: &mut Problems) -> Option<bool> {
        let value = self.get(key)?;
        let found = match &value.what {
            What::Plain(word) => match word.as_str() {
                "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" | "y" | "Y" => {
                    Some(true)
                }
                "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" | "n" | "N" => {
                    Some(false)
                }
                _ => None,
            },
            _ => None,
        };
        if found.is_none() {
            problems.add(value, &format!("{key:?} is true or false"));
        }
        found
    }

    /// A whole number; `None` where it is missing.
    pub(super) fn number(self, key: &str, problems: &mut Problems) -> Option<i64> {
        let value = self.get(key)?;
        let found = match &value.what {
            What::Plain(text) => whole(text),
            _ => None,
        };
        if found.is_none() {
            problems.add(value, &format!("{key:?} is a whole number"));
        }
        found
    }

    /// The items of a list; none where it is missing.
    pub(super) fn list(self, key: &str, problems: &mut Problems) -> &'n [Node] {
        self.get(key).map_or(&[], |value| list(value, problems))
    }

    /// A list of texts.
    pub(super) fn texts(self, key: &str, problems: &mut Problems) -> Vec<String> {
        let items = self.list(key, problems);
        items.iter().filter_map(|item| text(item, problems)).collect()
    }
}

pub(super) fn list<'n>(value: &'n Node, problems: &mut Problems) -> &'n [Node] {
    value.items().unwrap_or_else(|| {
        problems.add(value, "a list is expected here");
        &[]
    })
}

/// A scalar as it is written: `1.10` is a text too where one is expected. Null is an empty one.
pub(super) fn text(value: &Node, problems: &mut Problems) -> Option<String> {
    if value.is_null() {
        return Some(String::new());
    }
    let found = value.scalar().filter(|_| value.tag.is_none());
    if found.is_none() {
        problems.add(value, "a text is expected here");
    }
    found.map(str::to_owned)
}

/// As YAML 1.1 has them, which is what these files are in.
fn whole(text: &str) -> Option<i64> {
    let (sign, digits) = match text.strip_prefix(['-', '+']) {
        Some(digits) => (if text.starts_with('-') { -1 } else { 1 }, digits),
        None => (1, text),
    };
    if digits.starts_with(['-', '+']) {
        return None;
    }
    let digits = digits.replace('_', "");
    let value = match digits.as_bytes() {
        [b'0', b'x', ..] => i64::from_str_radix(&digits[2..], 16),
        [b'0', b'o', ..] => i64::from_str_radix(&digits[2..], 8),
        [b'0', b'b', ..] => i64::from_str_radix(&digits[2..], 2),
        [b'0', _, ..] => i64::from_str_radix(&digits[1..], 8),
        _ => digits.parse(),
    };
    value.ok().and_then(|value| value.checked_mul(sign))
}

fn check_keys(node: &Node, known: &[&str], problems: &mut Problems) {
    let Some(pairs) = node.pairs() else {
        problems.add(node, "a mapping is expected here");
        return;
    };
    for (key, value) in pairs {
        match key.scalar() {
            // What is merged in has the same keys.
            Some("<<") => {
                let sources = value.items().unwrap_or(std::slice::from_ref(value));
                sources.iter().for_each(|source| check_keys(source, known, problems));
            }
            Some(name) if known.contains(&name) => {}
            Some(name) => {
                let near = known.iter().map(|known| (distance(name, known), known)).min();
                let meant = near.filter(|(distance, _)| *distance <= NEAR).map(|(_, known)| known);
                let meant = meant.map_or_else(
                    || format!("known are {}", known.join(", ")),
                    |known| format!("{known:?} is meant?"),
                );
                problems.add(key, &format!("there is no key {name:?}; {meant}"));
            }
            None => problems.add(key, "a key is a text"),
        }
    }
}

/// How many letters must be changed, added or taken away (Levenshtein), capitals aside.
fn distance(one: &str, other: &str) -> usize {
    if one.len().abs_diff(other.len()) > NEAR || one.len() > 64 {
        return usize::MAX;
    }
    let other: Vec<_> = other.to_lowercase().chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.to_lowercase().chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (place, d) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *d);
            diagonal = row[place + 1];
            row[place + 1] = changed.min(diagonal + 1).min(row[place] + 1);
        }
    }
    row.last().copied().unwrap_or(usize::MAX)
}
