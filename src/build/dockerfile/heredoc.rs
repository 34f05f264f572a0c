//! Heredocs: which words of a line begin one, and the lines up to the word that ends it.

use std::iter::Peekable;

use super::step::HereDoc;

/// What a word such as `<<-"EOF"` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    name: String,
    expand: bool,
    cuts_tabs: bool,
}

/// The words of a shell's line with their quotes; `<<` and the word after it are one. None where a quote has no end.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_whitespace() => {
                // `<< EOF` is the same as `<<EOF`.
                if !opens(&word) {
                    words.push(std::mem::take(&mut word));
                }
            }
            '\\' => {
                word.push(c);
                word.extend(chars.next());
            }
            '"' | '\'' => {
                word.push(c);
                loop {
                    let inner = chars.next()?;
                    word.push(inner);
                    match inner {
                        '\\' if c == '"' => word.extend(chars.next()),
                        inner if inner == c => break,
                        _ => {}
                    }
                }
            }
            c => word.push(c),
        }
    }
    words.push(word);
    Some(words)
}

/// Whether a word is `<<` or `<<-`, maybe with the number of a file before it.
fn opens(word: &str) -> bool {
    let word = word.trim_start_matches(|c: char| c.is_ascii_digit());
    word == "<<" || word == "<<-"
}

/// What one word asks for.
pub(super) fn asked(word: &str) -> Option<Asked> {
    let rest = word.trim_start_matches(|c: char| c.is_ascii_digit()).strip_prefix("<<")?;
    let (rest, cuts_tabs) = rest.strip_prefix('-').map_or((rest, false), |rest| (rest, true));
    // BuildKit takes `$((1 << 2))` for a heredoc, and says that it has no end; Docker 20.10 leaves it to the shell.
    let is_shift = rest.starts_with(|c: char| c.is_ascii_digit() || c == '=') || rest.contains(')');
    if rest.is_empty() || rest.contains('<') || is_shift {
        return None;
    }
    let mut name = String::new();
    let mut quote = None;
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(q)) if c == q => quote = None,
            ('\\', None | Some('"')) => name.extend(chars.next()),
            (c, _) => name.push(c),
        }
    }
    Some(Asked { name, expand: !rest.contains(['"', '\'']), cuts_tabs })
}

/// What a line asks for, in its order.
pub(super) fn asked_for(line: &str) -> Vec<Asked> {
    if !line.contains("<<") {
        return Vec::new();
    }
    words(line).unwrap_or_default().iter().filter_map(|word| asked(word)).collect()
}

/// The name of the file that a heredoc is: its word, without `/` at its head. As with BuildKit it lies in no directory.
pub(super) fn file_name(word: &str) -> Option<&str> {
    let name = word.trim_start_matches('/');
    (!name.contains('/') && !["", ".", ".."].contains(&name)).then_some(name)
}

/// The text up to the line that ends it. The word that is missing is the error.
pub(super) fn body<'a>(
    asked: Asked,
    lines: &mut Peekable<impl Iterator<Item = &'a str>>,
    read: &mut usize,
) -> Result<HereDoc, String> {
    let Asked { name, expand, cuts_tabs } = asked;
    let mut content = String::new();
    for line in lines {
        *read += 1;
        let line = if cuts_tabs { line.trim_start_matches('\t') } else { line };
        if line.trim_end_matches(['\r', '\n']) == name {
            return Ok(HereDoc { name, expand, content });
        }
        content.push_str(line);
    }
    Err(name)
}
