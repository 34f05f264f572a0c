//! Lines of YAML. Pure.

use std::fmt::Write as _;

/// Whether a text may stand in a line of YAML, also by the rules of YAML 1.1: nothing in it ends a line or steers a terminal.
pub(super) fn fits(text: &str) -> bool {
    let is_bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
    };
    !text.chars().any(is_bad)
}

/// A text that [`fits`], in double quotes.
pub(super) fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

/// A list in one line.
pub(super) fn list<T: AsRef<str>>(items: &[T]) -> String {
    let items: Vec<_> = items.iter().map(|item| quoted(item.as_ref())).collect();
    format!("[{}]", items.join(", "))
}

/// A document that is written line by line.
#[derive(Debug)]
pub(super) struct Lines(String);

impl Lines {
    /// Begins with a head of whole lines.
    pub(super) fn new(head: String) -> Lines {
        Lines(head)
    }

    /// Writes lines so deep; empty ones stay empty.
    pub(super) fn add(&mut self, depth: usize, lines: &str) {
        for line in lines.lines() {
            let indent = if line.is_empty() { 0 } else { depth * 2 };
            let _ = writeln!(self.0, "{:indent$}{line}", "");
        }
    }

    /// Writes a key (or a dash) with a script as its value, as it stands. The script's first line begins with no space.
    pub(super) fn script(&mut self, depth: usize, key: &str, script: &str) {
        self.add(depth, &format!("{key} |"));
        self.add(depth + 1, script);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}
