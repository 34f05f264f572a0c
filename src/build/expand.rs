//! Variables, quotes and escapes in a word, as BuildKit's `shell.Lex` has them.
//!
//! `$NAME`, `${NAME}`, `${NAME:-word}`, `:+`, `:?` and the same without the colon (then only an unset name counts, not an empty
//! one), and `${NAME#pattern}`, `##`, `%`, `%%`, `/pattern/word`, `//`. Single quotes keep all, double quotes all but `$`.

mod strip;

use std::iter::Peekable;
use std::str::Chars;

/// How deep `${…${…` may go: more is no Dockerfile.
const MAX_DEPTH: usize = 32;

/// What quotes are in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quotes {
    /// They hold a word together, and go.
    Shell,
    /// Characters as others: in a heredoc.
    Text,
}

/// One text on its way.
struct Lexer<'a, F> {
    chars: Peekable<Chars<'a>>,
    escape: char,
    quotes: Quotes,
    variable: &'a F,
    depth: usize,
}

/// What has been read: characters, each with whether it was plain. Blanks that are plain end a word of a list.
type Read = Vec<(char, bool)>;

/// Expands a word.
pub(crate) fn word(
    text: &str,
    escape: char,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    Ok(text_of(&read(text, escape, Quotes::Shell, variable)?))
}

/// Expands a text that is split at its blanks afterwards, also at those that a variable brings.
pub(crate) fn words(
    text: &str,
    escape: char,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Vec<String>, String> {
    let read = read(text, escape, Quotes::Shell, variable)?;
    let words = read.split(|(c, plain)| *plain && c.is_whitespace());
    Ok(words.map(text_of).filter(|word| !word.is_empty()).collect())
}

/// Expands the body of a heredoc: its quotes stay.
pub(crate) fn heredoc(
    text: &str,
    escape: char,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<String, String> {
    Ok(text_of(&read(text, escape, Quotes::Text, variable)?))
}

fn read(
    text: &str,
    escape: char,
    quotes: Quotes,
    variable: &impl Fn(&str) -> Option<String>,
) -> Result<Read, String> {
    Lexer { chars: text.chars().peekable(), escape, quotes, variable, depth: 0 }.until(None, false)
}

fn text_of(read: &[(char, bool)]) -> String {
    read.iter().map(|(c, _)| c).collect()
}

impl<F: Fn(&str) -> Option<String>> Lexer<'_, F> {
    /// Reads up to a character, which is taken, or to the end. `keeps_escapes` where they are for a pattern.
    fn until(&mut self, stop: Option<char>, keeps_escapes: bool) -> Result<Read, String> {
        let mut read = Vec::new();
        let hold = |read: &mut Read, text: String| read.extend(text.chars().map(|c| (c, false)));
        while let Some(&c) = self.chars.peek() {
            if stop == Some(c) {
                self.chars.next();
                return Ok(read);
            }
            match c {
                '$' => {
                    let value = self.dollar()?;
                    read.extend(value.chars().map(|c| (c, true)));
                }
                '\'' if self.quotes == Quotes::Shell => hold(&mut read, self.single_quoted()?),
                '"' if self.quotes == Quotes::Shell => hold(&mut read, self.double_quoted(keeps_escapes)?),
                c => {
                    self.chars.next();
                    if c != self.escape {
                        read.push((c, true));
                        continue;
                    }
                    if keeps_escapes {
                        read.push((c, false));
                    }
                    let Some(escaped) = self.chars.next() else { break };
                    read.push((escaped, false));
                }
            }
        }
        match stop {
            None => Ok(read),
            Some(stop) => Err(format!("{stop} is missing")),
        }
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.next() {
                None => return Err("a single quote has no end".to_owned()),
                Some('\'') => return Ok(text),
                Some(c) => text.push(c),
            }
        }
    }

    fn double_quoted(&mut self, keeps_escapes: bool) -> Result<String, String> {
        self.chars.next();
        let mut text = String::new();
        loop {
            match self.chars.peek().copied() {
                None => return Err("a double quote has no end".to_owned()),
                Some('$') => text += &self.dollar()?,
                Some('"') => {
                    self.chars.next();
                    return Ok(text);
                }
                Some(c) => {
                    self.chars.next();
                    let escape = self.escape;
                    let is_escaped = |next: &char| ['"', '$', escape].contains(next);
                    match self.chars.next_if(|next| c == escape && is_escaped(next)) {
                        Some(escaped) => {
                            text.extend(keeps_escapes.then_some(c));
                            text.push(escaped);
                        }
                        // At the very end it escapes nothing.
                        None if c == escape && self.chars.peek().is_none() => {}
                        None => text.push(c),
                    }
                }
            }
        }
    }

    /// A name; or digits alone, or one of the shell's own parameters, which are always unset here.
    fn name(&mut self) -> String {
        let mut name = String::new();
        if self.chars.peek().is_some_and(|c| c.is_numeric()) {
            while let Some(digit) = self.chars.next_if(|c| c.is_numeric()) {
                name.push(digit);
            }
            return name;
        }
        if let Some(special) = self.chars.next_if(|c| "@*#?-$!".contains(*c)) {
            return special.to_string();
        }
        while let Some(c) = self.chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
            name.push(c);
        }
        name
    }

    fn dollar(&mut self) -> Result<String, String> {
        self.chars.next();
        if self.chars.next_if_eq(&'{').is_none() {
            let name = self.name();
            return Ok(if name.is_empty() { "$".to_owned() } else { self.value(&name).unwrap_or_default() });
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(format!("more than {MAX_DEPTH} ${{ in one another"));
        }
        let value = self.braced();
        self.depth -= 1;
        value
    }

    fn value(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    fn braced(&mut self) -> Result<String, String> {
        match self.chars.peek() {
            None => return Err("} is missing".to_owned()),
            Some('{' | '}' | ':') => return Err("${…} without a name".to_owned()),
            _ => {}
        }
        let name = self.name();
        let value = self.value(&name);
        let mut modifier = match self.chars.next() {
            None => return Err(format!("}} is missing after ${{{name}")),
            Some('}') => return Ok(value.unwrap_or_default()),
            Some(c) => c,
        };
        let empty_is_unset = modifier == ':';
        if empty_is_unset {
            modifier = self.chars.next().ok_or_else(|| format!("}} is missing after ${{{name}:"))?;
        }
        let set = value.clone().filter(|value| !(empty_is_unset && value.is_empty()));
        match modifier {
            '-' | '+' | '?' => {
                let word = text_of(&self.until(Some('}'), false)?);
                match (modifier, set) {
                    ('-', set) => Ok(set.unwrap_or(word)),
                    ('+', set) => Ok(set.map_or_else(String::new, |_| word)),
                    (_, Some(set)) => Ok(set),
                    (_, None) if word.is_empty() => Err(format!("{name} is not set")),
                    (_, None) => Err(format!("{name}: {word}")),
                }
            }
            '#' | '%' if !empty_is_unset => {
                let is_longest = self.chars.next_if_eq(&modifier).is_some();
                let pattern = text_of(&self.until(Some('}'), true)?);
                let value = value.unwrap_or_default();
                Ok(match modifier {
                    '#' => strip::prefix(&value, &pattern, is_longest),
                    _ => strip::suffix(&value, &pattern, is_longest),
                })
            }
            '/' if !empty_is_unset => {
                let is_every = self.chars.next_if_eq(&'/').is_some();
                let pattern = text_of(&self.until(Some('/'), true)?);
                let with = text_of(&self.until(Some('}'), true)?);
                Ok(strip::replace(&value.unwrap_or_default(), &pattern, &with, is_every))
            }
            other => Err(format!(
                "${{{name}{}{other}…}} is no form of a variable",
                if empty_is_unset { ":" } else { "" }
            )),
        }
    }
}

#[cfg(test)]
mod tests;
