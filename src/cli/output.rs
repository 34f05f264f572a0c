//! Rendering: tables, lines, JSON. Control characters from outside never reach a terminal.

use std::fmt::{Arguments, Write as _};
use std::io::{self, Write};

use serde::Serialize;

use super::Outcome;

/// Whether a character steers a terminal, or turns text around.
fn is_bad(c: char) -> bool {
    c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces control characters (and those that turn text around) by visible ones.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if is_bad(c) {
            let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Bytes for people: `926.1 MB` (powers of 1000, as disks and registries count).
pub(crate) fn human(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["kB", "MB", "GB", "TB", "PB", "EB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit < UNITS.len() - 1 {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// A count with its noun: `1 layer`, `3 layers`.
pub(crate) fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// Writes one line of data.
pub(crate) fn line(text: impl AsRef<str>) -> Outcome {
    print(&format!("{}\n", safe(text.as_ref())))
}

/// Writes data that is already made safe. Whoever read our answer may have gone away: that is no failure of ours, and what the
/// exit code says is said all the same. (An archive that could not be written whole is another matter.)
pub(crate) fn print(text: &str) -> Outcome {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written?),
    }
}

/// Writes a line for people, to stderr; if nobody listens, nobody misses it.
pub(crate) fn note(text: Arguments<'_>) {
    let text: Vec<_> = text.to_string().lines().map(safe).collect();
    let _ = writeln!(io::stderr().lock(), "{}", text.join("\n"));
}

/// Writes JSON.
pub(crate) fn print_json(value: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(value).map_err(io::Error::from)?;
    print(&(safe_json(&text) + "\n"))
}

/// JSON that says the same, without characters that steer a terminal.
pub(crate) fn safe_json(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 1);
    for c in text.chars() {
        // Outside strings JSON has none of these but line ends, and inside they may be escaped.
        if is_bad(c) && c != '\n' {
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// A table with as much room for each column as its widest cell needs.
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
    right: Vec<bool>,
}

impl Table {
    /// Columns; a heading with a leading `>` stands to the right.
    pub(crate) fn new(headings: &[&str]) -> Table {
        let right = headings.iter().map(|heading| heading.starts_with('>')).collect();
        let row = headings.iter().map(|heading| heading.trim_start_matches('>').to_owned()).collect();
        Table { rows: vec![row], right }
    }

    /// Adds a row.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|cell| safe(&cell)).collect());
    }

    /// Writes it.
    pub(crate) fn print(&self) -> Outcome {
        print(&self.text())
    }

    /// Its lines, made safe.
    pub(crate) fn text(&self) -> String {
        let mut out = String::new();
        let widths: Vec<usize> = (0..self.right.len())
            .map(|column| {
                self.rows
                    .iter()
                    .map(|row| row.get(column).map_or(0, |cell| cell.chars().count()))
                    .max()
                    .unwrap_or(0)
            })
            .collect();
        for row in &self.rows {
            let mut text = String::new();
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                let (before, after) =
                    if self.right[column] { (gap.as_str(), "") } else { ("", gap.as_str()) };
                let _ = write!(text, "{}{before}{cell}{after}", if column == 0 { "" } else { "  " });
            }
            out.push_str(text.trim_end());
            out.push('\n');
        }
        out
    }
}

/// Writes aligned `name  value` lines.
pub(crate) fn pairs(rows: &[(&str, String)]) -> Outcome {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let text: String = rows.iter().map(|(name, value)| format!("{name:width$}  {}\n", safe(value))).collect();
    print(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, shown) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (926_123_456, "926.1 MB"),
            (999_960_000, "1.0 GB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(human(bytes), shown);
        }
    }

    #[test]
    fn control_characters_are_shown_and_not_sent() {
        assert_eq!(safe("a\u{1b}[2Jb\nc\u{202e}d"), "a\\u{1b}[2Jb\\u{a}c\\u{202e}d");
        assert_eq!(safe("größe"), "größe");
    }
}
