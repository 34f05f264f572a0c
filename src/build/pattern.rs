//! Patterns of paths: those of Go's `filepath.Match` for COPY, and with `**` those of `.dockerignore`.
//!
//! `*` and `?` match no `/`, `[a-z]` and `[^a-z]` one character, `\` takes the next as it is. One pass over the path, whatever
//! the pattern.

/// A pattern that can be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Char(char),
    /// `?`
    One,
    /// `*`
    Some,
    /// `**` at the end, or at the head of a plain text: all there is.
    All,
    /// `**` elsewhere: any directories, or none.
    Directories,
    /// `[…]`: whether it is of all others, and the ranges.
    Class(bool, Vec<(char, char)>),
}

impl Pattern {
    /// A pattern of COPY.
    pub(crate) fn of_source(text: &str) -> Result<Pattern, String> {
        Pattern::read(text, false)
    }

    /// A pattern of `.dockerignore`.
    pub(super) fn of_ignore(text: &str) -> Result<Pattern, String> {
        Pattern::read(text, true)
    }

    fn read(text: &str, knows_directories: bool) -> Result<Pattern, String> {
        let wrong = |why: &str| format!("{text:?} is no pattern: {why}");
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' if knows_directories && chars.next_if_eq(&'*').is_some() => {
                    chars.next_if_eq(&'/');
                    if chars.peek().is_some() { Part::Directories } else { Part::All }
                }
                '*' => Part::Some,
                '?' => Part::One,
                '\\' => Part::Char(chars.next().ok_or_else(|| wrong("nothing follows its last \\"))?),
                '[' => {
                    let negated = chars.next_if_eq(&'^').is_some();
                    let mut ranges = Vec::new();
                    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
                        let mut end = || match chars.next() {
                            None => Err(wrong("a [ has no ]")),
                            Some('-' | ']') => Err(wrong("a range in [] has no end, or [] is empty")),
                            Some('\\') => chars.next().ok_or_else(|| wrong("a [ has no ]")),
                            Some(c) => Ok(c),
                        };
                        let low = end()?;
                        let high = if chars.next_if_eq(&'-').is_some() {
                            match chars.next() {
                                None => return Err(wrong("a [ has no ]")),
                                Some('-' | ']') => return Err(wrong("a range in [] has no end")),
                                Some('\\') => chars.next().ok_or_else(|| wrong("a [ has no ]"))?,
                                Some(c) => c,
                            }
                        } else {
                            low
                        };
                        ranges.push((low, high));
                    }
                    Part::Class(negated, ranges)
                }
                c => Part::Char(c),
            });
        }
        // As in Docker: `**foo` is all that ends so, and not only a file of that name, unless there is more than that to match.
        if knows_directories
            && text.starts_with("**")
            && !text.starts_with("**/")
            && parts[1..].iter().all(|part| matches!(part, Part::Char(_)))
        {
            parts[0] = Part::All;
        }
        Ok(Pattern(parts))
    }

    /// Whether a whole path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        // Most paths are told by their ends.
        if matches!(self.0.last(), Some(Part::Char(last)) if !path.ends_with(*last)) {
            return false;
        }
        let mut chars = path.chars();
        let head = self.0.iter().take_while(|part| matches!(part, Part::Char(_)));
        for part in head.clone() {
            if !chars.next().is_some_and(|c| part.takes(c)) {
                return false;
            }
        }
        let parts = &self.0[head.count()..];
        // Which places of the pattern can have been come to; and inside of which `**/`.
        let mut places = vec![false; parts.len() + 1];
        let mut inside = vec![false; parts.len()];
        let (mut next, mut next_inside) = (places.clone(), inside.clone());
        places[0] = true;
        pass(parts, &mut places);
        for c in chars {
            next.fill(false);
            next_inside.fill(false);
            let mut is_alive = false;
            for (at, part) in parts.iter().enumerate() {
                let here = places[at];
                match part {
                    Part::Directories if here || inside[at] => {
                        next_inside[at] = true;
                        next[at + 1] |= c == '/';
                        is_alive = true;
                    }
                    Part::Some | Part::All if here => next[at] |= c != '/' || *part == Part::All,
                    part if here => next[at + 1] |= part.takes(c),
                    _ => {}
                }
            }
            if !is_alive && !next.contains(&true) {
                return false;
            }
            pass(parts, &mut next);
            std::mem::swap(&mut places, &mut next);
            std::mem::swap(&mut inside, &mut next_inside);
        }
        places[parts.len()]
    }
}

/// What can be nothing is passed.
fn pass(parts: &[Part], places: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        if places[at] && matches!(part, Part::Some | Part::All | Part::Directories) {
            places[at + 1] = true;
        }
    }
}

impl Part {
    /// Whether this part of one character is that character.
    fn takes(&self, c: char) -> bool {
        match self {
            Part::Char(expected) => *expected == c,
            Part::One => c != '/',
            Part::Class(negated, ranges) => {
                ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *negated
            }
            Part::Some | Part::All | Part::Directories => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The table of Go's own tests of `path/filepath.Match`, as far as it is about what is matched.
    #[test]
    fn sources_match_as_in_go() {
        for (pattern, path, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-x]", "-", true),
            ("[x\\-]", "z", false),
            ("*x", "xxx", true),
            ("**", "a/b", false),
        ] {
            let is_match = Pattern::of_source(pattern).map(|pattern| pattern.matches(path));
            assert_eq!(is_match, Ok(expected), "{pattern} {path}");
        }
        for wrong in ["[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "a\\"] {
            assert!(Pattern::of_source(wrong).is_err(), "{wrong}");
        }
    }

    /// The same by trying all: slow, and as the rules are written.
    fn naive(parts: &[Part], path: &[char]) -> bool {
        let Some((part, rest)) = parts.split_first() else { return path.is_empty() };
        match part {
            Part::All => (0..=path.len()).any(|at| naive(rest, &path[at..])),
            Part::Some => {
                let end = path.iter().position(|c| *c == '/').unwrap_or(path.len());
                (0..=end).any(|at| naive(rest, &path[at..]))
            }
            Part::Directories => {
                let after = |at: &usize| path[*at] == '/';
                naive(rest, path) || (0..path.len()).filter(after).any(|at| naive(rest, &path[at + 1..]))
            }
            part => path.first().is_some_and(|c| part.takes(*c)) && naive(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn a_path_matches_as_it_does_by_trying(pattern in "[ab*?/.]{0,7}(\\[\\^?ab?\\])?[ab*/]{0,4}", path in "[ab/.]{0,9}") {
            let pattern = Pattern::of_ignore(&pattern).unwrap();
            let chars: Vec<char> = path.chars().collect();
            prop_assert_eq!(pattern.matches(&path), naive(&pattern.0, &chars));
        }

        #[test]
        fn no_text_panics(pattern in ".{0,20}", path in ".{0,20}") {
            for pattern in [Pattern::of_source(&pattern), Pattern::of_ignore(&pattern)].into_iter().flatten() {
                pattern.matches(&path);
            }
        }
    }
}
