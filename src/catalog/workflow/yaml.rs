//! A YAML document as nodes with their places.
//!
//! A number keeps its written text: as a version, 25.10 is not 25.1. Nodes are shared, so that a clone costs nothing however large
//! what is below it.

use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use serde_saphyr::UserMessageFormatter;
use serde_saphyr::options::NonFiniteFloatPolicy;

/// Nodes of a document, those that aliases repeat among them: more than a workflow has in earnest.
const MAX_NODES: usize = 1 << 16;

/// Where a node stands, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    line: u64,
    column: u64,
}

/// A value, and where it is used.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) kind: Kind,
}

/// What is said there.
#[derive(Debug, Clone)]
pub(super) enum Kind {
    Null,
    Bool(bool),
    /// As it is written.
    Number(Rc<str>),
    Text(Rc<str>),
    List(Rc<[Node]>),
    /// In the order in which it is written; each key once.
    Map(Rc<[(Rc<str>, Node)]>),
}

impl Node {
    /// Reads a document; the error says the line.
    pub(super) fn parse(text: &str) -> Result<Node, String> {
        let budget = serde_saphyr::budget! { max_nodes: MAX_NODES, max_events: 4 * MAX_NODES };
        let aliases = serde_saphyr::alias_limits! { max_total_replayed_events: 2 * MAX_NODES };
        let options = serde_saphyr::options! {
            budget: budget,
            alias_limits: aliases,
            strict_booleans: true,
            non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
            with_snippet: false,
        };
        let raw: Spanned<Raw> = serde_saphyr::from_str_with_options(text, options)
            .map_err(|error| error.render_with_formatter(&UserMessageFormatter))?;
        Ok(raw.value.node(&raw.referenced, &raw.defined, text))
    }

    /// The value of a key of a map.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        let Kind::Map(map) = &self.kind else { return None };
        map.iter().find(|(name, _)| &**name == key).map(|(_, node)| node)
    }

    /// The text of a scalar, as it is written; that of nothing is empty.
    pub(super) fn text(&self) -> Option<Rc<str>> {
        match &self.kind {
            Kind::Null => Some("".into()),
            Kind::Bool(value) => Some(value.to_string().into()),
            Kind::Number(text) | Kind::Text(text) => Some(text.clone()),
            Kind::List(_) | Kind::Map(_) => None,
        }
    }

    /// Another value at the same place.
    pub(super) fn with(&self, kind: Kind) -> Node {
        Node { at: self.at, kind }
    }

    /// The same value, as if all of it stood there.
    pub(super) fn moved(&self, at: Place) -> Node {
        let kind = match &self.kind {
            Kind::List(list) => Kind::List(list.iter().map(|node| node.moved(at)).collect()),
            Kind::Map(map) => {
                Kind::Map(map.iter().map(|(key, node)| (key.clone(), node.moved(at))).collect())
            }
            kind => kind.clone(),
        };
        Node { at, kind }
    }

    /// What it is, for messages.
    pub(super) fn what(&self) -> &'static str {
        match self.kind {
            Kind::Null => "nothing",
            Kind::Bool(_) => "true or false",
            Kind::Number(_) => "a number",
            Kind::Text(_) => "a text",
            Kind::List(_) => "a list",
            Kind::Map(_) => "a mapping",
        }
    }
}

/// The same value, at whatever places: scalars by their text.
impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        match (&self.kind, &other.kind) {
            (Kind::List(a), Kind::List(b)) => a == b,
            (Kind::Map(a), Kind::Map(b)) => {
                a.len() == b.len() && a.iter().all(|(key, node)| other.get(key) == Some(node))
            }
            _ => self.text().is_some() && self.text() == other.text(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What the reader of YAML tells; the text of a number is where it was defined.
enum Raw {
    Null,
    Bool(bool),
    Number,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
}

impl Raw {
    fn node(self, used: &serde_saphyr::Location, defined: &serde_saphyr::Location, text: &str) -> Node {
        let below = |raw: Spanned<Raw>| raw.value.node(&raw.referenced, &raw.defined, text);
        let kind = match self {
            Raw::Null => Kind::Null,
            Raw::Bool(value) => Kind::Bool(value),
            Raw::Number => {
                let span = defined.span();
                let written = span.byte_offset().zip(span.byte_len()).and_then(|(start, len)| {
                    let start = usize::try_from(start).ok()?;
                    text.get(start..start.checked_add(usize::try_from(len).ok()?)?)
                });
                Kind::Number(written.unwrap_or_default().trim().into())
            }
            Raw::Text(text) => Kind::Text(text.into()),
            Raw::List(list) => Kind::List(list.into_iter().map(below).collect()),
            Raw::Map(map) => Kind::Map(map.into_iter().map(|(key, raw)| (key.into(), below(raw))).collect()),
        };
        Node { at: Place { line: used.line(), column: used.column() }, kind }
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(Any)
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Number)
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = seq.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::yaml::tests::laughs;

    #[test]
    fn scalars_keep_their_text_and_their_kind() {
        for (text, kind, written) in [
            ("25.10", "a number", "25.10"),
            ("'25.10'", "a text", "25.10"),
            ("015", "a number", "015"),
            ("1_000", "a number", "1_000"),
            ("-1", "a number", "-1"),
            ("1e999", "a number", "1e999"),
            (".nan", "a number", ".nan"),
            ("99999999999999999999999", "a number", "99999999999999999999999"),
            ("0x1F", "a number", "0x1F"),
            ("&a 25.10", "a number", "25.10"),
            ("!!float 25.10", "a number", "25.10"),
            ("25.10 # why", "a number", "25.10"),
            ("true", "true or false", "true"),
            ("yes", "a text", "yes"),
            ("\"true\"", "a text", "true"),
            ("~", "nothing", ""),
            ("", "nothing", ""),
            ("15.2.0", "a text", "15.2.0"),
            ("*", "", ""),
        ] {
            let document = format!("é: ü\nkey: {text}\n");
            let Ok(node) = Node::parse(&document) else {
                assert_eq!(text, "*", "an alias without a name");
                continue;
            };
            let node = node.get("key").expect("the key");
            assert_eq!((node.what(), node.text().as_deref()), (kind, Some(written)), "{text}");
            assert_eq!(node.at.line, 2, "{text}");
        }
    }

    #[test]
    fn an_alias_is_what_it_repeats_where_it_is_used() {
        let node =
            Node::parse("a: &a {version: 25.10, list: [1.0]}\nb: *a\nc:\n  <<: *a\n  d: 1\n").expect("YAML");
        let (a, b) = (node.get("a").expect("a"), node.get("b").expect("b"));
        assert_eq!(a, b);
        assert_eq!((a.at.line, b.at.line), (1, 2));
        let version = node.get("c").and_then(|c| c.get("version")).and_then(Node::text);
        assert_eq!(version.as_deref(), Some("25.10"));
    }

    #[test]
    fn what_is_damaged_is_said_with_its_line() {
        for (text, line) in [
            ("a: 1\nb: [1\n", 2),
            ("a: 1\na: 2\n", 2),
            ("a: *nothing\n", 1),
            ("a: {b: \"c}\n", 1),
            ("a:\n\tb: 1\n", 2),
            ("a: 1\n[b]: 2\n", 2),
            ("a: 1\n---\nb: 2\n", 3),
            ("a: &a [*a]\n", 1),
        ] {
            let error = Node::parse(text).expect_err(text);
            assert!(error.contains(&format!("line {line}")), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let deep = format!("a: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        let wide = format!("a: [{}]", "x, ".repeat(MAX_NODES));
        for text in [laughs(40), deep, wide] {
            assert!(Node::parse(&text).is_err());
        }
    }
}
