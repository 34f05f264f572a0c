//! The graph of images for people, and for Graphviz. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::Definitions;

/// Levels that are drawn, at two columns each: what goes deeper is named and not unfolded.
const DEEPEST: usize = 20;

/// An image by its name, or one of another place.
#[derive(Debug, Default)]
struct Node {
    tags: usize,
    is_foreign: bool,
    below: BTreeSet<String>,
}

/// All images by their names, and by which they are needed.
fn nodes(definitions: &Definitions) -> BTreeMap<String, Node> {
    let mut nodes: BTreeMap<String, Node> = BTreeMap::new();
    for tag in &definitions.tags {
        nodes.entry(tag.name.clone()).or_default().tags += 1;
        for foreign in &tag.foreign {
            let node = nodes.entry(foreign.clone()).or_default();
            node.is_foreign = true;
            node.below.insert(tag.name.clone());
        }
    }
    for image in &definitions.images {
        for need in &image.needs {
            if let Some(node) = nodes.get_mut(need) {
                node.below.insert(image.name.clone());
            }
        }
    }
    nodes
}

/// A tree: below each image those that need it. What was unfolded further up is marked and not unfolded again.
pub(crate) fn tree(definitions: &Definitions) -> Vec<String> {
    draw(&nodes(definitions))
}

fn draw(nodes: &BTreeMap<String, Node>) -> Vec<String> {
    let needed: BTreeSet<&String> = nodes.values().flat_map(|node| &node.below).collect();
    let mut lines = Vec::new();
    let mut seen = BTreeSet::new();
    for name in nodes.keys().filter(|name| !needed.contains(name)) {
        unfold(nodes, name, &mut Vec::new(), &mut seen, &mut lines);
    }
    lines
}

fn unfold<'a>(
    nodes: &'a BTreeMap<String, Node>,
    name: &'a str,
    last: &mut Vec<bool>,
    seen: &mut BTreeSet<&'a str>,
    lines: &mut Vec<String>,
) {
    let Some(node) = nodes.get(name) else { return };
    let mut text = String::new();
    for (depth, is_last) in last.iter().enumerate() {
        text += match (depth + 1 == last.len(), is_last) {
            (true, true) => "└ ",
            (true, false) => "├ ",
            (false, true) => "  ",
            (false, false) => "│ ",
        };
    }
    text += &short(name);
    if !node.is_foreign {
        let _ = write!(text, " ({})", node.tags);
    }
    let is_again = !seen.insert(name);
    if !node.below.is_empty() && (is_again || last.len() >= DEEPEST) {
        lines.push(text + " …");
        return;
    }
    lines.push(text);
    for (at, below) in node.below.iter().enumerate() {
        last.push(at + 1 == node.below.len());
        unfold(nodes, below, last, seen, lines);
        last.pop();
    }
}

/// A digest by its first digits.
fn short(name: &str) -> String {
    const DIGITS: usize = 12;
    match name.split_once("@sha256:") {
        Some((image, hex)) if hex.len() > DIGITS && hex.is_ascii() => {
            format!("{image}@sha256:{}…", &hex[..DIGITS])
        }
        _ => name.to_owned(),
    }
}

/// DOT, <https://graphviz.org/doc/info/lang.html>: from what is needed to what needs it.
pub(crate) fn dot(definitions: &Definitions) -> String {
    let mut text = String::from("digraph images {\n  rankdir=LR;\n  node [shape=box];\n");
    let nodes = nodes(definitions);
    for (name, node) in &nodes {
        let _ = match node.is_foreign {
            true => writeln!(text, "  {} [style=dashed];", quoted(name)),
            false => {
                writeln!(text, "  {} [label={}];", quoted(name), quoted(&format!("{name} ({})", node.tags)))
            }
        };
    }
    for (name, node) in &nodes {
        for below in &node.below {
            let _ = writeln!(text, "  {} -> {};", quoted(name), quoted(below));
        }
    }
    text + "}\n"
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_unfolded_is_not_unfolded_again() {
        let node = |below: &[&str], is_foreign| Node {
            tags: 2,
            is_foreign,
            below: below.iter().map(|name| (*name).to_owned()).collect(),
        };
        let nodes = BTreeMap::from([
            (format!("u@sha256:{}", "ab".repeat(32)), node(&["a", "b"], true)),
            ("a".to_owned(), node(&["c"], false)),
            ("b".to_owned(), node(&["c"], false)),
            ("c".to_owned(), node(&["d"], false)),
            ("d".to_owned(), node(&[], false)),
        ]);
        let expected = "u@sha256:abababababab…|├ a (2)|│ └ c (2)|│   └ d (2)|└ b (2)|  └ c (2) …";
        assert_eq!(draw(&nodes).join("|"), expected);
    }

    #[test]
    fn names_are_quoted() {
        assert_eq!(quoted("a\"b\\c"), "\"a\\\"b\\\\c\"");
    }
}
