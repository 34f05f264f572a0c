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
    let nodes = nodes(definitions);
    let needed: BTreeSet<&String> = nodes.values().flat_map(|node| &node.below).collect();
    let mut lines = Vec::new();
    let mut seen = BTreeSet::new();
    for name in nodes.keys().filter(|name| !needed.contains(name)) {
        unfold(&nodes, name, &mut Vec::new(), &mut seen, &mut lines);
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
    text += name;
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
