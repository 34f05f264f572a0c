//! The steps of a build on stderr: a header for each, and what its command says, made safe.

use std::io::{self, Write};

use super::output::safe;
use crate::build::engine::{Header, Observer};

/// Bytes of a line that has no end yet; then what there is of it is shown.
const LONGEST: usize = 8 << 10;

/// Shows steps.
#[derive(Debug, Default)]
pub(crate) struct Steps {
    /// The line that a command has begun.
    line: Vec<u8>,
}

impl Steps {
    /// Shows what has come of a line.
    pub(crate) fn finish(&mut self) {
        if !self.line.is_empty() {
            show(&std::mem::take(&mut self.line));
        }
    }
}

impl Observer for Steps {
    fn step(&mut self, header: &Header<'_>) {
        self.finish();
        let Header { number, count, stage, text, is_cached } = header;
        let stage = stage.map(|stage| format!("{stage} ")).unwrap_or_default();
        let cached = if *is_cached { " (cached)" } else { "" };
        super::note(format_args!("{}", safe(&format!("[{stage}{number}/{count}] {text}{cached}"))));
    }

    fn output(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|byte| *byte == b'\n' || *byte == b'\r') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || piece.ends_with(b"\r") || self.line.len() > LONGEST {
                self.finish();
            }
        }
    }

    fn note(&mut self, text: &str) {
        self.finish();
        super::note(format_args!("note: {text}"));
    }
}

/// A line of a command, without what steers a terminal. One that ends in a carriage return alone is a progress bar's: it
/// gets a line too, unless it is empty.
fn show(line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    let text = plain(text.trim_end_matches(['\n', '\r']));
    if text.is_empty() && line != b"\n" && line != b"\r\n" {
        return;
    }
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Takes colours and the like away (ECMA-48: ESC [ … letter), and shows what else steers a terminal.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("\u{1b}[") {
        out.push_str(&rest[..at]);
        let tail = &rest[at + 2..];
        match tail.find(|c: char| !(' '..='?').contains(&c)) {
            Some(end) if tail[end..].starts_with(|c: char| ('@'..='~').contains(&c)) => {
                rest = &tail[end + 1..]
            }
            _ => {
                out.push('\u{1b}');
                rest = &rest[at + 1..];
            }
        }
    }
    out.push_str(rest);
    out.split('\t').map(safe).collect::<Vec<_>>().join("\t")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_go_and_the_rest_is_shown() {
        for (text, shown) in [
            ("\u{1b}[1;31merror\u{1b}[0m: x\ty", "error: x\ty"),
            ("\u{1b}[", "\\u{1b}["),
            ("\u{1b}]0;title\u{7}", "\\u{1b}]0;title\\u{7}"),
            ("\u{1b}[12", "\\u{1b}[12"),
            ("a\u{1b}[Kb", "ab"),
            ("\u{1b}\u{1b}[0mx", "\\u{1b}x"),
            ("\u{1b}[\u{e4}", "\\u{1b}[ä"),
        ] {
            assert_eq!(plain(text), shown, "{text:?}");
        }
    }
}
