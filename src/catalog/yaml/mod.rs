//! YAML with all that its readers may see: the order of keys, which scalars are quoted, tags, and where each value stands.
//!
//! What `25.04`, `yes` or `2025-09-01` means differs from reader to reader, so plain scalars stay the text that they are: written
//! back plain, they mean to every reader what they meant before. Aliases are expanded. Bounds: one document, no key twice in a
//! mapping, [`MAX_NODES`] values ([`MAX_COPIES`] by aliases), [`MAX_TEXT`] bytes of text and [`MAX_DEPTH`] levels, aliases included.
//! Limits: comments are kept by [`rewrite`] alone, names of anchors by nothing.

mod rewrite;
mod write;

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Options, Parser, ScalarStyle, ScanError, Span, StructureStyle, Tag};

pub(crate) use rewrite::rewrite;
pub(crate) use write::{block, flow};

/// Values in a text: more than one has in earnest. Of each some hundred bytes are needed.
const MAX_NODES: usize = 4 << 20;
/// Of these, such that anchors and aliases make: they cost a text next to nothing.
const MAX_COPIES: usize = 1 << 20;
const MAX_TEXT: usize = 64 << 20;
const MAX_DEPTH: usize = 64;

/// A value. Two are equal if they mean the same to every reader that keeps the order of keys.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) what: What,
    /// Of an explicit tag, its full form.
    pub(crate) tag: Option<String>,
    /// Where it stands; nowhere if it was made.
    pub(crate) place: Place,
    /// Whether it is in brackets.
    pub(crate) is_flow: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    /// Not quoted, and whatever its reader makes of it.
    Plain(String),
    /// A text.
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Node, Node)>),
}

/// Where a value stands in its text: bytes, and line and column from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) bytes: Range<usize>,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl PartialEq for Node {
    fn eq(&self, other: &Node) -> bool {
        self.what == other.what && self.tag == other.tag
    }
}

impl Eq for Node {}

impl Node {
    fn made(what: What, is_flow: bool) -> Node {
        Node { what, tag: None, place: Place::default(), is_flow }
    }

    /// A value that is written without quotes: a number.
    pub(crate) fn plain(text: impl ToString) -> Node {
        Node::made(What::Plain(text.to_string()), false)
    }

    /// A text in quotes.
    pub(crate) fn quoted(text: &str) -> Node {
        Node::made(What::Text(text.to_owned()), false)
    }

    /// A text; without quotes where no reader takes it for anything else.
    pub(crate) fn text(text: &str) -> Node {
        let what = if write::is_plainly_text(text) { What::Plain } else { What::Text };
        Node::made(what(text.to_owned()), false)
    }

    /// A list in brackets.
    pub(crate) fn list(items: Vec<Node>) -> Node {
        Node::made(What::List(items), true)
    }

    /// A mapping of lines.
    pub(crate) fn map(pairs: Vec<(Node, Node)>) -> Node {
        Node::made(What::Map(pairs), false)
    }

    /// The text of a scalar that is not null.
    pub(crate) fn scalar(&self) -> Option<&str> {
        match &self.what {
            What::Text(text) => Some(text),
            What::Plain(text) => Some(text.as_str()).filter(|_| !self.is_null()),
            What::List(_) | What::Map(_) => None,
        }
    }

    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.what, What::Plain(text) if matches!(text.as_str(), "null" | "~" | "Null" | "NULL"))
    }

    /// The items of a list.
    pub(crate) fn items(&self) -> Option<&[Node]> {
        match &self.what {
            What::List(items) => Some(items),
            _ => None,
        }
    }

    /// The pairs of a mapping.
    pub(crate) fn pairs(&self) -> Option<&[(Node, Node)]> {
        match &self.what {
            What::Map(pairs) => Some(pairs),
            _ => None,
        }
    }

    /// The value of a key, also of one that was merged in (`<<`).
    pub(crate) fn get(&self, key: &str) -> Option<&Node> {
        let pairs = self.pairs()?;
        let own = pairs.iter().find(|(name, _)| name.scalar() == Some(key));
        let merged = || {
            let merges =
                pairs.iter().filter(|(name, _)| matches!(&name.what, What::Plain(name) if name == "<<"));
            let mut sources = merges.flat_map(|(_, from)| from.items().unwrap_or(std::slice::from_ref(from)));
            sources.find_map(|from| from.get(key))
        };
        own.map(|(_, value)| value).or_else(merged)
    }

    /// Gives a key a value, in its place or at the end.
    pub(crate) fn set(&mut self, key: &str, value: Node) {
        let What::Map(pairs) = &mut self.what else { return };
        match pairs.iter_mut().find(|(name, _)| name.scalar() == Some(key)) {
            Some((_, old)) => *old = value,
            None => pairs.push((Node::text(key), value)),
        }
    }

    /// The error of this place.
    pub(crate) fn refuse(&self, why: &str) -> String {
        refusal(self.place.line, self.place.column, why)
    }
}

fn refusal(line: usize, column: usize, why: &str) -> String {
    format!("line {line}, column {column}: {why}")
}

/// Reads a text; an empty one is null. The error has line and column.
pub(crate) fn parse(text: &str) -> Result<Node, String> {
    let options: Options =
        granit_parser::options! { flow_nesting_limit: MAX_DEPTH, block_nesting_limit: MAX_DEPTH };
    let mut reader = Reader::default();
    for event in Parser::new_from_str_with_options(text, options) {
        let (event, span) = event.map_err(|error| said(&error))?;
        reader.take(event, &span).map_err(|why| refusal(span.start.line(), span.start.col() + 1, &why))?;
    }
    let mut root = reader.root.unwrap_or_else(|| Node::plain("null"));
    place_empty(&mut root, text);
    Ok(root)
}

/// The parser has a value that is left out where the next one begins; its place is behind its key.
fn place_empty(node: &mut Node, text: &str) {
    match &mut node.what {
        What::List(items) => items.iter_mut().for_each(|item| place_empty(item, text)),
        What::Map(pairs) => {
            for (key, value) in pairs {
                place_empty(value, text);
                let is_empty = value.is_null() && value.place.bytes.is_empty();
                if let Some(at) = behind_colon(text, key).filter(|_| is_empty) {
                    value.place.bytes = at..at;
                }
            }
        }
        What::Plain(_) | What::Text(_) => {}
    }
}

/// The place behind the `:` of a key that has it in its line.
fn behind_colon(text: &str, key: &Node) -> Option<usize> {
    let behind = text.get(key.place.bytes.end..)?;
    let colon = behind.trim_start_matches(' ');
    colon.starts_with(':').then(|| text.len() - colon.len() + 1)
}

fn said(error: &ScanError) -> String {
    refusal(error.marker().line(), error.marker().col() + 1, &error.info())
}

#[derive(Default)]
struct Reader {
    root: Option<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, Node>,
    nodes: usize,
    copies: usize,
    text: usize,
    documents: usize,
}

/// A list or mapping that is not at its end yet.
struct Open {
    node: Node,
    /// The key whose value comes next.
    key: Option<Node>,
    /// Its scalar keys: quoted or not, one is the same.
    seen: HashSet<String>,
    anchor: usize,
}

impl Reader {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), String> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err("a second document begins, and one is read".into());
                }
            }
            Event::Alias(id) => {
                let target = self.anchors.get(&id).ok_or("is an alias of what it stands in")?;
                let size = measure(target);
                let node = Node { place: place(span), ..target.clone() };
                self.copies = self.copies.saturating_add(size.0);
                self.count(size)?;
                self.put(node)?;
            }
            Event::Scalar(text, style, anchor, tag) => {
                let what = match style {
                    ScalarStyle::Plain if text.is_empty() || span.is_empty() => What::Plain("null".into()),
                    // No reader takes what has such characters for anything but a text.
                    ScalarStyle::Plain if write::is_plain(&text) => What::Plain(text.into_owned()),
                    _ => What::Text(text.into_owned()),
                };
                self.close(node(what, tag.as_deref(), span, false), anchor)?;
            }
            Event::SequenceStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                self.begin(node(What::List(Vec::new()), tag.as_deref(), span, flow), anchor)?;
            }
            Event::MappingStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                self.begin(node(What::Map(Vec::new()), tag.as_deref(), span, flow), anchor)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(mut open) = self.open.pop() else { return Ok(()) };
                if open.node.is_flow {
                    open.node.place.bytes.end = bytes(span).end;
                }
                self.close(open.node, open.anchor)?;
            }
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if self.open.len() >= MAX_DEPTH {
            return Err("is nested too deep".into());
        }
        self.open.push(Open { node, key: None, seen: HashSet::new(), anchor });
        Ok(())
    }

    fn close(&mut self, node: Node, anchor: usize) -> Result<(), String> {
        if anchor > 0 {
            // A copy, which counts as one.
            let size = measure(&node);
            self.copies = self.copies.saturating_add(size.0);
            self.count(size)?;
            self.anchors.insert(anchor, node.clone());
        }
        // What lists and mappings hold was counted when it came.
        let text = node.scalar().map_or(0, str::len);
        self.count((1, text, 0))?;
        self.put(node)
    }

    fn put(&mut self, node: Node) -> Result<(), String> {
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match (&mut open.node.what, open.key.take()) {
            (What::List(items), _) => items.push(node),
            (What::Map(pairs), Some(key)) => pairs.push((key, node)),
            (_, None) => {
                if let What::Plain(key) | What::Text(key) = &node.what
                    && key != "<<"
                    && !open.seen.insert(key.clone())
                {
                    return Err(format!("the key {key:?} is there twice"));
                }
                open.key = Some(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn count(&mut self, (nodes, text, depth): (usize, usize, usize)) -> Result<(), String> {
        self.nodes = self.nodes.saturating_add(nodes);
        self.text = self.text.saturating_add(text);
        if self.nodes > MAX_NODES || self.copies > MAX_COPIES || self.text > MAX_TEXT {
            return Err(format!(
                "more than {MAX_NODES} values, {MAX_COPIES} by aliases, or {MAX_TEXT} bytes in them"
            ));
        }
        match depth + self.open.len() > MAX_DEPTH {
            true => Err("is nested too deep".into()),
            false => Ok(()),
        }
    }
}

/// Values, bytes of text, levels. No deeper than [`MAX_DEPTH`], for a copy is measured before it is put anywhere.
fn measure(node: &Node) -> (usize, usize, usize) {
    let sum = |all: &mut dyn Iterator<Item = &Node>| {
        let sum = all.map(measure).fold((1, 0, 0), |a, b| (a.0 + b.0, a.1 + b.1, a.2.max(b.2)));
        (sum.0, sum.1, sum.2 + 1)
    };
    match &node.what {
        What::Plain(text) | What::Text(text) => (1, text.len(), 0),
        What::List(items) => sum(&mut items.iter()),
        What::Map(pairs) => sum(&mut pairs.iter().flat_map(|(key, value)| [key, value])),
    }
}

fn node(what: What, tag: Option<&Tag>, span: &Span, is_flow: bool) -> Node {
    let tag = tag.map(|tag| format!("{}{}", tag.handle(), tag.suffix()));
    // What a tag says of a text, quotes say as well.
    let (what, tag) = match (what, tag.as_deref()) {
        (What::Plain(text) | What::Text(text), Some("tag:yaml.org,2002:str")) => (What::Text(text), None),
        (what, _) => (what, tag),
    };
    Node { what, tag, place: place(span), is_flow }
}

fn bytes(span: &Span) -> Range<usize> {
    span.byte_range().unwrap_or_default()
}

fn place(span: &Span) -> Place {
    Place { bytes: bytes(span), line: span.start.line(), column: span.start.col() + 1 }
}

#[cfg(test)]
pub(super) mod tests;
