//! Regular expressions as Go's `regexp` means them, which is what test files are written for.
//!
//! Both engines are of the RE2 kind and take the leftmost match, so that only the syntax differs: `\d`, `\w`, `\s` and `\b` are ASCII in Go,
//! `\Q…\E`, octal escapes and braces that repeat nothing are Go's alone, while set operations in classes, `(?x)` and `a**` are not Go's.
//! A text is read as Go reads it (<https://github.com/google/re2/wiki/Syntax>) and written anew; what Go refuses is refused.

mod class;
mod within;

use std::iter::Peekable;
use std::str::Chars;

use regex::{Regex, RegexBuilder};

use within::Within;

/// Characters of one expression.
const MAX_LENGTH: usize = 64 << 10;
/// The largest count of a repetition, as in Go.
const MAX_REPEAT: u32 = 1000;
/// Levels of groups.
const MAX_DEPTH: u32 = 1000;
/// Bytes that a compiled expression may take.
const MAX_SIZE: usize = 32 << 20;

/// An expression that is looked for somewhere in a text.
#[derive(Debug, Clone)]
pub(crate) struct Pattern {
    text: String,
    regex: Regex,
}

impl Pattern {
    /// Reads one; the error is a phrase.
    pub(crate) fn parse(text: &str) -> Result<Pattern, String> {
        if text.len() > MAX_LENGTH {
            return Err(format!("it has {} bytes, more than {MAX_LENGTH}", text.len()));
        }
        let rust = translate(text)?;
        let built = RegexBuilder::new(&rust).size_limit(MAX_SIZE).nest_limit(MAX_DEPTH).build();
        let regex = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(_) => "it becomes too large".to_owned(),
            // The first lines of a longer message repeat the text that was made of it.
            error => {
                error.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
            }
        })?;
        Ok(Pattern { text: text.to_owned(), regex })
    }

    /// As it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it is found in a text.
    pub(crate) fn is_in(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }
}

/// Bytes as Go's engine sees them: each that belongs to no character is U+FFFD.
pub(crate) fn as_go_reads(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return text.into();
    }
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        text.extend(chunk.invalid().iter().map(|_| char::REPLACEMENT_CHARACTER));
    }
    text.into()
}

/// What is left of an expression.
struct Source<'t> {
    chars: Peekable<Chars<'t>>,
}

impl Source<'_> {
    fn next(&mut self) -> Option<char> {
        self.chars.next()
    }

    fn peek(&mut self) -> Option<char> {
        self.chars.peek().copied()
    }

    fn rest(&self) -> String {
        self.chars.clone().collect()
    }

    fn eat(&mut self, wanted: char) -> bool {
        self.chars.next_if_eq(&wanted).is_some()
    }

    fn skip(&mut self, count: usize) {
        self.chars.by_ref().take(count).for_each(drop);
    }
}

fn translate(text: &str) -> Result<String, String> {
    let mut source = Source { chars: text.chars().peekable() };
    let mut out = String::with_capacity(text.len() + 16);
    // What a repetition would repeat: nothing yet, something, or something that is repeated already.
    let mut last = Last::Nothing;
    let mut within = Within::default();
    while let Some(c) = source.next() {
        last = match c {
            '\\' => escape(&mut source, &mut out)?,
            '[' => {
                class::translate(&mut source, &mut out)?;
                Last::Something
            }
            '(' => {
                let last = group(&mut source, &mut out)?;
                // Flags alone hold nothing.
                if !out.ends_with(')') {
                    within.begin();
                }
                last
            }
            '*' | '+' | '?' => repeat(&c.to_string(), &mut source, &mut out, last)?,
            '{' => match counts(&source.rest()) {
                None => {
                    out.push_str("\\{");
                    Last::Something
                }
                Some((length, least, most)) => {
                    if least > MAX_REPEAT || most.is_some_and(|most| most > MAX_REPEAT || most < least) {
                        return Err(format!(
                            "a repetition of more than {MAX_REPEAT}, or of less than nothing"
                        ));
                    }
                    let written = format!("{{{}", source.rest().chars().take(length).collect::<String>());
                    source.skip(length);
                    let repeated = repeat(&written, &mut source, &mut out, last)?;
                    within.repeat(least, most)?;
                    repeated
                }
            },
            '|' => {
                out.push('|');
                Last::Nothing
            }
            ')' => {
                out.push(c);
                within.end();
                last = Last::Something;
                continue;
            }
            '.' | '^' | '$' => {
                out.push(c);
                Last::Something
            }
            c => {
                literal(c, &mut out);
                Last::Something
            }
        };
        if last == Last::Something {
            within.single();
        }
    }
    Ok(out)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Nothing,
    Something,
    Repeated,
}

fn repeat(what: &str, source: &mut Source<'_>, out: &mut String, last: Last) -> Result<Last, String> {
    match last {
        Last::Nothing => return Err(format!("{what} has nothing to repeat")),
        Last::Repeated => return Err(format!("{what} repeats what is repeated already")),
        Last::Something => {}
    }
    out.push_str(what);
    if source.eat('?') {
        out.push('?');
    }
    Ok(Last::Repeated)
}

/// A count behind its brace: characters up to the end, and the numbers. `None` where Go takes the brace for itself.
fn counts(rest: &str) -> Option<(usize, u32, Option<u32>)> {
    let (inside, _) = rest.split_once('}')?;
    let number = |text: &str| {
        let is_plain = !text.is_empty()
            && text.bytes().all(|b| b.is_ascii_digit())
            && (text.len() == 1 || !text.starts_with('0'));
        // More digits than a number has are more than may be repeated.
        is_plain.then(|| text.parse().unwrap_or(u32::MAX))
    };
    let (least, most) = match inside.split_once(',') {
        None => (number(inside)?, Some(number(inside)?)),
        Some((least, "")) => (number(least)?, None),
        Some((least, most)) => (number(least)?, Some(number(most)?)),
    };
    Some((inside.len() + 1, least, most))
}

/// What stands behind an opening parenthesis.
fn group(source: &mut Source<'_>, out: &mut String) -> Result<Last, String> {
    out.push('(');
    if !source.eat('?') {
        return Ok(Last::Nothing);
    }
    let rest = source.rest();
    for opening in ["P<", "<"] {
        let Some(behind) = rest.strip_prefix(opening) else { continue };
        let name = behind.split_once('>').map(|(name, _)| name).unwrap_or_default();
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err("a group has a name that is none (lookbehind is not known)".into());
        }
        source.skip(opening.len() + name.len() + 1);
        // Names matter to nobody here, and may begin with a digit.
        return Ok(Last::Nothing);
    }
    let flags: String = rest.chars().take_while(|c| "imsU-".contains(*c)).collect();
    let end = rest.chars().nth(flags.len());
    let off = flags.split_once('-').map_or("i", |(_, off)| off);
    if !matches!(end, Some(':' | ')')) || off.is_empty() || off.contains('-') {
        let shown: String = rest.chars().take(4).collect();
        return Err(format!("(?{shown} is no group and no flags (i, m, s and U are known)"));
    }
    source.skip(flags.len() + 1);
    out.push('?');
    out.push_str(&flags);
    match end {
        Some(')') if flags.is_empty() => out.push_str(":)"),
        end => out.extend(end),
    }
    Ok(Last::Nothing)
}

/// What stands behind a backslash, outside of a class.
fn escape(source: &mut Source<'_>, out: &mut String) -> Result<Last, String> {
    match source.peek() {
        Some('Q') => {
            let rest = source.rest();
            let quoted = rest[1..].split("\\E").next().unwrap_or_default().to_owned();
            let count = quoted.chars().count();
            source.skip(1 + count);
            if source.rest().starts_with("\\E") {
                source.skip(2);
            }
            quoted.chars().for_each(|c| literal(c, out));
            return Ok(if count > 0 { Last::Something } else { Last::Nothing });
        }
        Some('A' | 'z') => {
            out.push('\\');
            out.extend(source.next());
        }
        Some('b' | 'B') => {
            out.push_str("(?-u:\\");
            out.extend(source.next());
            out.push(')');
        }
        Some(c @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
            source.skip(1);
            out.push_str(&format!("[{}]", class::perl(c)));
        }
        Some('p' | 'P') => class::unicode(source, out)?,
        _ => literal(single(source)?, out),
    }
    Ok(Last::Something)
}

/// One character behind a backslash.
fn single(source: &mut Source<'_>) -> Result<char, String> {
    let c = source.next().ok_or("it ends with a backslash")?;
    let octal = |source: &mut Source<'_>, first: u32, more: usize| {
        (0..more).fold(first, |value, _| {
            let digit = source.chars.next_if(|c| ('0'..='7').contains(c)).and_then(|c| c.to_digit(8));
            digit.map_or(value, |digit| value * 8 + digit)
        })
    };
    let value = match c {
        '1'..='7' if !matches!(source.peek(), Some('0'..='7')) => {
            return Err(format!("\\{c}: there is nothing that refers back"));
        }
        '0'..='7' => octal(source, c.to_digit(8).unwrap_or(0), 2),
        'x' => return hexadecimal(source),
        'a' => 7,
        'f' => 12,
        't' => 9,
        'n' => 10,
        'r' => 13,
        'v' => 11,
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        c => return Err(format!("\\{c} is not known")),
    };
    char::from_u32(value).ok_or_else(|| "an escape that is no character".into())
}

fn hexadecimal(source: &mut Source<'_>) -> Result<char, String> {
    let wrong = || "\\x without the digits of a character".to_owned();
    let digits: String = if source.eat('{') {
        let rest = source.rest();
        let (inside, _) = rest.split_once('}').ok_or_else(wrong)?;
        source.skip(inside.chars().count() + 1);
        inside.to_owned()
    } else {
        let two: String = source.rest().chars().take(2).collect();
        source.skip(2);
        if two.len() == 2 { two } else { return Err(wrong()) }
    };
    let is_plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_hexdigit());
    let value = if is_plain { u32::from_str_radix(&digits, 16).ok() } else { None };
    value.and_then(char::from_u32).ok_or_else(wrong)
}

/// A character that means itself.
fn literal(c: char, out: &mut String) {
    match c {
        c if c.is_alphanumeric() || c == ' ' => out.push(c),
        c => out.push_str(&format!("\\x{{{:x}}}", u32::from(c))),
    }
}

#[cfg(test)]
mod tests;
