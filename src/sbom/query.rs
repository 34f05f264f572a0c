//! What `--with-package` asks for: `openssl`, `openssl<3.0.14`, `deb:libssl3>=3.0.11,<3.0.14`, `src:openssl=3.0.11`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use super::kind::{Kind, normal};
use super::version::{Rules, compare};

/// Bytes of a question; a name and a few versions take a hundred.
const MAX_LENGTH: usize = 1024;

/// A package that images are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Query {
    /// The ecosystem, where it matters.
    pub(crate) kind: Option<Kind>,
    /// Whose name it is.
    pub(crate) of: Whose,
    /// The name; `*` stands for any characters.
    name: String,
    /// The name as Python's packages go by it.
    normal: String,
    /// All of these hold of the version.
    conditions: Vec<(Relation, String)>,
}

/// What a name names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// A package that is installed.
    Package,
    /// The source that packages were built from.
    Source,
}

/// How a version stands to another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relation {
    Less,
    LessEqual,
    Equal,
    NotEqual,
    GreaterEqual,
    Greater,
}

/// Whether a package is one that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    No,
    Yes,
    /// It has the name, and a version that cannot be compared with the one that was asked for.
    Unknown,
}

/// What is wrong with a question.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{text:?}: {why}")]
pub(crate) struct Wrong {
    text: String,
    why: String,
}

/// Longer ones first: `<=` is not `<` and `=3`.
const RELATIONS: [(&str, Relation); 8] = [
    ("<=", Relation::LessEqual),
    (">=", Relation::GreaterEqual),
    ("==", Relation::Equal),
    ("!=", Relation::NotEqual),
    ("<<", Relation::Less),
    ("<", Relation::Less),
    (">", Relation::Greater),
    ("=", Relation::Equal),
];

impl Relation {
    fn holds(self, order: std::cmp::Ordering) -> bool {
        match self {
            Relation::Less => order.is_lt(),
            Relation::LessEqual => order.is_le(),
            Relation::Equal => order.is_eq(),
            Relation::NotEqual => order.is_ne(),
            Relation::GreaterEqual => order.is_ge(),
            Relation::Greater => order.is_gt(),
        }
    }
}

impl Query {
    /// Whether a package goes by the name that was asked for, or its source where that is asked for.
    pub(crate) fn is_named(&self, kind: Kind, key: &str) -> bool {
        let asked = match kind {
            Kind::Pypi => &self.normal,
            _ => &self.name,
        };
        match asked.contains('*') {
            false => asked == key,
            true => matches(asked, key),
        }
    }

    /// All names that a package may go by which was asked for, where those are names and no patterns.
    pub(crate) fn exact(&self) -> Option<impl Iterator<Item = &str>> {
        let other = (self.normal != self.name).then_some(self.normal.as_str());
        (!self.name.contains('*')).then(|| std::iter::once(self.name.as_str()).chain(other))
    }

    /// Whether a version is one that was asked for.
    pub(crate) fn wants(&self, rules: Rules, version: &str) -> Verdict {
        let mut verdict = Verdict::Yes;
        for (relation, asked) in &self.conditions {
            match compare(rules, version, asked) {
                Some(order) if relation.holds(order) => {}
                Some(_) => return Verdict::No,
                None => verdict = Verdict::Unknown,
            }
        }
        verdict
    }
}

/// A name against a pattern whose `*` stand for any characters; takes no longer than the product of both lengths.
fn matches(pattern: &str, name: &str) -> bool {
    let (mut parts, mut rest) = (pattern.split('*'), name);
    let Some(behind) = rest.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    rest = behind;
    let mut parts = parts.peekable();
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    true
}

impl FromStr for Query {
    type Err = Wrong;

    fn from_str(text: &str) -> Result<Query, Wrong> {
        let wrong = |why: &str| Wrong { text: text.chars().take(100).collect(), why: why.to_owned() };
        if text.len() > MAX_LENGTH {
            return Err(wrong("that is too long for a package and its versions"));
        }
        let end = text.find(['<', '>', '=', '!']).unwrap_or(text.len());
        let (named, asked) = text.split_at(end);
        let named = named.trim();
        let (prefix, name) = match named.split_once(':') {
            Some((prefix, name)) => (Some(prefix), name),
            None => (None, named),
        };
        let (kind, of) = match prefix {
            None => (None, Whose::Package),
            Some("src") => (None, Whose::Source),
            Some(word) => {
                let kind = word.parse().map_err(|_| {
                    let words: Vec<_> = Kind::ALL.iter().map(|kind| kind.word()).collect();
                    wrong(&format!(
                        "{word:?} is no kind of package: {}, or src for a source",
                        words.join(", ")
                    ))
                })?;
                (Some(kind), Whose::Package)
            }
        };
        if name.is_empty() {
            return Err(wrong(match prefix {
                Some(_) => "there is no name behind the colon, as in deb:openssl",
                None => {
                    "there is no name at its head; NAME, NAME<VERSION or NAME>=VERSION,<VERSION are questions"
                }
            }));
        }
        if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(wrong("a name has no spaces; versions follow it as in openssl<3.0.14"));
        }
        // A scope of npm begins with its sign.
        if name.strip_prefix('@').unwrap_or(name).contains(['@', '?', '[', ']']) {
            return Err(wrong(
                "a name has none of @ ? [ ] in it; * stands for any characters, = stands before a version",
            ));
        }
        if name.ends_with('~') && asked.starts_with('=') {
            return Err(wrong("~= is none of the signs, which are < <= = != >= >"));
        }
        let mut conditions = Vec::new();
        for condition in asked.split(',').filter(|_| !asked.is_empty()) {
            let condition = condition.trim();
            let found = RELATIONS
                .iter()
                .find_map(|(sign, relation)| Some((*sign, *relation, condition.strip_prefix(sign)?)));
            let Some((sign, relation, version)) = found else {
                return Err(wrong(
                    "each condition is one of < <= = != >= > and a version, with commas between them",
                ));
            };
            let version = version.trim();
            if version.is_empty() {
                return Err(wrong(&format!("there is no version behind the {sign}")));
            }
            // PEP 440 has a `!` inside of a version.
            if version.contains(['<', '>', '=']) || version.starts_with('!') || version.ends_with('!') {
                return Err(wrong(
                    "there are two signs; a comma stands between two conditions, as in >=3,<4",
                ));
            }
            if version.contains(|c: char| c.is_whitespace() || c.is_control()) {
                return Err(wrong("a version has no spaces"));
            }
            conditions.push((relation, version.to_owned()));
        }
        Ok(Query { kind, of, name: name.to_owned(), normal: normal(name), conditions })
    }
}

impl fmt::Display for Relation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign =
            RELATIONS.iter().find(|(sign, relation)| relation == self && *sign != "==" && *sign != "<<");
        f.write_str(sign.map_or("", |(sign, _)| sign))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let prefix = match (self.of, self.kind) {
            (Whose::Source, _) => "src:",
            (Whose::Package, Some(kind)) => &format!("{}:", kind.word()),
            (Whose::Package, None) => "",
        };
        write!(f, "{prefix}{}", self.name)?;
        for (number, (relation, version)) in self.conditions.iter().enumerate() {
            write!(f, "{}{relation}{version}", if number > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}
