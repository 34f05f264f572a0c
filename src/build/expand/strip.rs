//! What `${NAME#…}`, `%` and `/` take from a value: patterns of the shell with `*`, `?` and `\`.

/// A part of a pattern.
enum Part {
    Any,
    One,
    Char(char),
}

fn parts(pattern: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut chars = pattern.chars();
    while let Some(c) = chars.next() {
        parts.push(match c {
            '*' => Part::Any,
            '?' => Part::One,
            '\\' => Part::Char(chars.next().unwrap_or('\\')),
            c => Part::Char(c),
        });
    }
    parts
}

/// The lengths, in characters, of all beginnings of a text that a pattern matches: one pass, whatever the pattern.
fn lengths(parts: &[Part], text: &[char]) -> Vec<usize> {
    // Which places of the pattern can have been come to after the characters so far.
    let mut places = vec![false; parts.len() + 1];
    places[0] = true;
    let pass_any = |places: &mut Vec<bool>| {
        for (at, part) in parts.iter().enumerate() {
            if places[at] && matches!(part, Part::Any) {
                places[at + 1] = true;
            }
        }
    };
    pass_any(&mut places);
    let mut found = Vec::new();
    for length in 0..=text.len() {
        if places[parts.len()] {
            found.push(length);
        }
        let Some(c) = text.get(length) else { break };
        let mut next = vec![false; parts.len() + 1];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| places[*at]) {
            match part {
                Part::Any => next[at] = true,
                Part::One => next[at + 1] = true,
                Part::Char(expected) if expected == c => next[at + 1] = true,
                Part::Char(_) => {}
            }
        }
        pass_any(&mut next);
        places = next;
    }
    found
}

fn pick(lengths: &[usize], is_longest: bool) -> Option<usize> {
    if is_longest { lengths.last() } else { lengths.first() }.copied()
}

/// A value without the beginning that a pattern matches.
pub(super) fn prefix(value: &str, pattern: &str, is_longest: bool) -> String {
    let text: Vec<char> = value.chars().collect();
    let cut = pick(&lengths(&parts(pattern), &text), is_longest).unwrap_or(0);
    text[cut..].iter().collect()
}

/// A value without the end that a pattern matches.
pub(super) fn suffix(value: &str, pattern: &str, is_longest: bool) -> String {
    let text: Vec<char> = value.chars().rev().collect();
    let mut parts = parts(pattern);
    parts.reverse();
    let cut = pick(&lengths(&parts, &text), is_longest).unwrap_or(0);
    text[cut..].iter().rev().collect()
}

/// A value with what a pattern matches, at its longest, replaced: the first place or each.
pub(super) fn replace(value: &str, pattern: &str, with: &str, is_every: bool) -> String {
    let text: Vec<char> = value.chars().collect();
    let parts = parts(pattern);
    let mut replaced = String::new();
    let mut at = 0;
    while at < text.len() {
        match lengths(&parts, &text[at..]).last() {
            // What matches nothing is nowhere.
            Some(length) if *length > 0 => {
                replaced += with;
                at += length;
                if !is_every {
                    break;
                }
            }
            _ => {
                replaced.push(text[at]);
                at += 1;
            }
        }
    }
    replaced.extend(&text[at..]);
    replaced
}
