//! Writing YAML that every reader takes for the same values.

use super::{Node, What};

/// From this length on a key must be announced.
const LONG_KEY: usize = 100;

/// A value in one line.
pub(crate) fn flow(node: &Node) -> String {
    let bare = match &node.what {
        What::Plain(text) if is_plain(text) => text.clone(),
        What::Plain(text) | What::Text(text) => quoted(text),
        What::List(items) => format!("[{}]", items.iter().map(flow).collect::<Vec<_>>().join(", ")),
        What::Map(pairs) => format!("{{{}}}", pairs.iter().map(pair).collect::<Vec<_>>().join(", ")),
    };
    tagged(node, bare)
}

fn pair((key, value): &(Node, Node)) -> String {
    let key = flow(key);
    let mark = if key.len() > LONG_KEY || key.starts_with(['[', '{']) { "? " } else { "" };
    let between = if mark.is_empty() { ":" } else { " :" };
    format!("{mark}{key}{between} {}", flow(value))
}

fn tagged(node: &Node, bare: String) -> String {
    node.tag.as_ref().map_or_else(|| bare.clone(), |tag| format!("!<{tag}> {bare}"))
}

/// A mapping or list in lines with an end each, so far from the margin; what was in brackets stays so.
pub(crate) fn block(node: &Node, indent: usize) -> String {
    let margin = " ".repeat(indent);
    let mut out = String::new();
    match &node.what {
        What::Map(pairs) if is_in_lines(node) => {
            for (key, value) in pairs {
                let key = flow(key);
                match (&value.what, is_in_lines(value)) {
                    (What::Map(_), true) => out += &format!("{margin}{key}:\n{}", block(value, indent + 2)),
                    (What::List(_), true) => out += &format!("{margin}{key}:\n{}", block(value, indent)),
                    _ => out += &format!("{margin}{key}: {}\n", flow(value)),
                }
            }
        }
        What::List(items) if is_in_lines(node) => {
            for item in items {
                let text = block(item, indent + 2);
                out += &format!("{margin}- {}", text.trim_start_matches(' '));
            }
        }
        _ => out += &format!("{margin}{}\n", flow(node)),
    }
    out
}

/// Whether it is written in lines: not what is empty, tagged or in brackets, nor what has keys that need brackets.
fn is_in_lines(node: &Node) -> bool {
    let is_simple = |key: &Node| {
        let text = flow(key);
        !text.starts_with(['[', '{', '!']) && text.len() <= LONG_KEY
    };
    !node.is_flow
        && node.tag.is_none()
        && match &node.what {
            What::Map(pairs) => !pairs.is_empty() && pairs.iter().all(|(key, _)| is_simple(key)),
            What::List(items) => !items.is_empty(),
            What::Plain(_) | What::Text(_) => false,
        }
}

/// Whether a text may stand without quotes anywhere, and may be more than a text: a number, a time, a word of its reader's.
pub(super) fn is_plain(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"_.:+-~/<=% ".contains(&b);
    let begins = |b: u8| b.is_ascii_alphanumeric() || b"_.+~/".contains(&b);
    let starts_well = match text.as_bytes() {
        [b'-', next, ..] => next.is_ascii_digit() || *next == b'.',
        [b'<', b'<'] => true,
        // The end of a document.
        [b'.', b'.', ..] => false,
        [first, ..] => begins(*first),
        [] => false,
    };
    starts_well && text.bytes().all(fits) && !text.contains(": ") && !text.ends_with([':', ' '])
}

/// Whether no reader takes the bare text for anything but a text.
pub(super) fn is_plainly_text(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "n", "yes", "no", "on", "off", "true", "false", "null"];
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && is_plain(text)
        && !WORDS.contains(&text.to_ascii_lowercase().as_str())
}

fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out += "\\n",
            '\t' => out += "\\t",
            c if is_shown(c) => out.push(c),
            c if u32::from(c) <= 0xffff => out += &format!("\\u{:04x}", u32::from(c)),
            c => out += &format!("\\U{:08x}", u32::from(c)),
        }
    }
    out + "\""
}

/// Whether readers and terminals take it as it is.
fn is_shown(c: char) -> bool {
    let turns =
        matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    !c.is_control() && !turns && !matches!(c, '\u{fffe}' | '\u{ffff}')
}
