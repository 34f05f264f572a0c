//! A Dockerfile's text as one line an instruction: continued lines joined, comments gone, bodies of heredocs put aside.
//!
//! As BuildKit does it: a comment or an empty line between continued lines is passed over, leading blanks of a continued line
//! stay, and two escape characters at the end of a line do not continue it.

use super::heredoc;
use super::step::HereDoc;
use crate::build::problem::Problem;

/// An instruction's text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    /// Where it begins, counted from 1.
    pub(super) number: usize,
    /// The last of its lines, without the texts below it.
    pub(super) end: usize,
    /// Its lines, joined and trimmed.
    pub(super) text: String,
    /// The texts below it.
    pub(super) heredocs: Vec<HereDoc>,
}

/// All instructions of a text. What is wrong with a heredoc is told, and the text goes on to its end.
pub(super) fn split(text: &str, escape: char, problems: &mut Vec<Problem>) -> Vec<Line> {
    let mut found = Vec::new();
    let mut lines = text.split_inclusive('\n').peekable();
    let mut read = 0;
    while let Some(line) = lines.next() {
        read += 1;
        let number = read;
        if is_comment(line) {
            continue;
        }
        let (first, mut continues) = continued(line.trim_start(), escape);
        let mut text = first.to_owned();
        while continues {
            let Some(line) = lines.next() else { break };
            read += 1;
            if is_comment(line) || line.trim().is_empty() {
                continue;
            }
            let (more, again) = continued(line, escape);
            text.push_str(more);
            continues = again;
        }
        let text = text.trim().to_owned();
        if text.is_empty() {
            continue;
        }
        let end = read;
        let mut heredocs = Vec::new();
        for asked in heredoc::asked_for(if has_heredocs(&text) { &text } else { "" }) {
            match heredoc::body(asked, &mut lines, &mut read) {
                Ok(heredoc) => heredocs.push(heredoc),
                Err(name) => {
                    problems.push(
                        Problem::new(
                            number,
                            "a heredoc without an end",
                            format!("no line is {name:?} alone"),
                        )
                        .with_hint("end it with a line that is that word and nothing else"),
                    );
                    // Its body is no instruction, whatever it says.
                    return found;
                }
            }
        }
        found.push(Line { number, end, text, heredocs });
    }
    found
}

fn is_comment(line: &str) -> bool {
    line.trim_start().starts_with('#')
}

/// A line without its end, and whether the next one belongs to it.
fn continued(line: &str, escape: char) -> (&str, bool) {
    let line = line.trim_end_matches(['\r', '\n']);
    let bare = line.trim_end_matches([' ', '\t']);
    match bare.strip_suffix(escape) {
        Some(rest) if !rest.ends_with(escape) => (rest, true),
        _ => (line, false),
    }
}

/// Whether `<<` in this instruction begins a heredoc: not in others, and not in a list of words.
fn has_heredocs(text: &str) -> bool {
    let (mut keyword, mut rest) = word(text);
    if keyword.eq_ignore_ascii_case("ONBUILD") {
        (keyword, rest) = word(rest);
    }
    let takes = ["RUN", "COPY", "ADD"].iter().any(|known| keyword.eq_ignore_ascii_case(known));
    let mut arguments = rest;
    while arguments.starts_with("--") {
        arguments = word(arguments).1;
    }
    takes && serde_json::from_str::<Vec<String>>(arguments).is_err()
}

/// The first word, and what follows.
pub(super) fn word(text: &str) -> (&str, &str) {
    text.split_once(char::is_whitespace).map_or((text, ""), |(word, rest)| (word, rest.trim_start()))
}
