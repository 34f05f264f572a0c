//! Changing a text where its values change, so that comments and forms stay around them.
//!
//! Of what cannot be changed in place (lists of lines that get shorter) the smallest value is written anew. What comes of it is read again:
//! where it does not mean what was wanted (anchors whose aliases stay, odd indentation), all is written anew, with the comments at the head.

use std::ops::Range;

use super::{Node, What, behind_colon, block, flow, parse};

/// The text that means `wanted`, as like to `text` as can be, which means `have`.
pub(crate) fn rewrite(text: &str, have: &Node, wanted: &Node) -> String {
    if have == wanted {
        return text.to_owned();
    }
    let is_json = is_json(text);
    let quoted;
    let wanted = if is_json {
        quoted = json(wanted);
        &quoted
    } else {
        wanted
    };
    let ends = |new: String| if text.contains("\r\n") { new.replace('\n', "\r\n") } else { new };
    let mut edits = Edits { text, all: Vec::new() };
    let spliced = move || edits.between(have, wanted).and_then(|()| edits.apply(ends));
    let means_it = |text: &String| parse(text).is_ok_and(|read| read == *wanted);
    if let Some(spliced) = have.pairs().and_then(|_| spliced()).filter(means_it) {
        return spliced;
    }
    if is_json {
        return flow(wanted) + "\n";
    }
    let is_head = |line: &&str| line.starts_with('#') || line.trim().is_empty();
    let head: String = text.split_inclusive('\n').take_while(is_head).collect();
    let end = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    format!("{head}{}", ends(format!("{end}{}", block(wanted, 0))))
}

/// Whether readers of JSON may read it.
pub(super) fn is_json(text: &str) -> bool {
    text.trim_start().starts_with('{') && serde_json::from_str::<serde_json::Value>(text).is_ok()
}

/// The same for readers of JSON, to whom a bare text is none.
fn json(node: &Node) -> Node {
    let is_bare = |text: &str| {
        ["true", "false", "null"].contains(&text)
            || text.starts_with(|c: char| c == '-' || c.is_ascii_digit()) && text.parse::<f64>().is_ok()
    };
    let pair = |(key, value): &(Node, Node)| (json(key), json(value));
    let what = match &node.what {
        What::Plain(text) if !is_bare(text) => What::Text(text.clone()),
        What::List(items) => What::List(items.iter().map(json).collect()),
        What::Map(pairs) => What::Map(pairs.iter().map(pair).collect()),
        what => what.clone(),
    };
    Node { what, is_flow: true, ..node.clone() }
}

struct Edits<'t> {
    text: &'t str,
    all: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    /// The text with the edits; none where two of them are about one place, as those of an anchor and its aliases are.
    fn apply(mut self, ends: impl Fn(String) -> String) -> Option<String> {
        // Of those at one place the first comes first.
        self.all.sort_by_key(|(range, _)| range.start);
        let (mut out, mut at) = (String::new(), 0);
        for (range, new) in self.all {
            out += self.text.get(at..range.start)?;
            out += &ends(new);
            at = range.end;
        }
        out += self.text.get(at..)?;
        Some(out)
    }

    /// Notes what differs of what a mapping or list holds. What cannot be changed in place is written anew, and nothing around it.
    fn within(&mut self, parent: &Node, key: Option<&Node>, have: &Node, wanted: &Node) -> Option<()> {
        let before = self.all.len();
        if self.between(have, wanted).is_some() {
            return Some(());
        }
        self.all.truncate(before);
        let start = have.place.bytes.start;
        let end = self.text.get(..end(have))?.trim_end().len();
        if parent.is_flow {
            self.all.push((start..end, flow(wanted)));
            return Some(());
        }
        let is_in_lines = |node: &Node| {
            !node.is_flow && (node.items().is_some_and(|all| !all.is_empty()) || node.pairs().is_some())
        };
        let Some(key) = key else {
            let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
            let new = block(wanted, start - line);
            self.all.push((start..end, new.trim().to_owned()));
            return Some(());
        };
        let colon = behind_colon(self.text, key)?;
        // A comment may stand behind the key of what is in lines.
        let line = self.text[colon..].find(['\r', '\n']).map_or(self.text.len(), |at| colon + at);
        let is_block = have.items().is_some() || have.pairs().is_some();
        let kept = if line < start && is_block { line } else { colon };
        let indent = key.place.column - 1 + if wanted.pairs().is_some() { 2 } else { 0 };
        if is_in_lines(wanted) {
            self.all.push((kept..end, format!("\n{}", block(wanted, indent).trim_end())));
        } else {
            self.all.push((colon..colon, format!(" {}", flow(wanted))));
            self.all.push((kept..end, String::new()));
        }
        Some(())
    }

    /// Notes what differs; `None` where it cannot be changed in place.
    fn between(&mut self, have: &Node, wanted: &Node) -> Option<()> {
        if have == wanted {
            return Some(());
        }
        if is_alias(have) {
            return None;
        }
        match (&have.what, &wanted.what) {
            (What::Map(old), What::Map(new)) if !old.is_empty() && have.tag == wanted.tag => {
                let keys = old.iter().zip(new).all(|((a, _), (b, _))| a == b);
                if !keys || new.len() < old.len() {
                    return None;
                }
                for ((key, old), (_, new)) in old.iter().zip(new) {
                    self.within(have, Some(key), old, new)?;
                }
                let more = &new[old.len()..];
                if have.is_flow {
                    let more: String =
                        more.iter().map(|(key, value)| format!(", {}: {}", flow(key), flow(value))).collect();
                    let (_, last) = old.last()?;
                    self.insert(end(last), more);
                } else if !more.is_empty() {
                    let column = self.column(have)?;
                    self.after(have, &block(&Node::map(more.to_vec()), column))?;
                }
                Some(())
            }
            (What::List(old), What::List(new))
                if !old.is_empty() && new.len() >= old.len() && have.tag == wanted.tag =>
            {
                for (old, new) in old.iter().zip(new) {
                    self.within(have, None, old, new)?;
                }
                let more = &new[old.len()..];
                if have.is_flow {
                    let more: String = more.iter().map(|item| format!(", {}", flow(item))).collect();
                    self.insert(end(old.last()?), more);
                } else if !more.is_empty() {
                    let mut list = Node::list(more.to_vec());
                    list.is_flow = false;
                    let dash = self.dash(&old[0])?;
                    self.after(have, &block(&list, dash))?;
                }
                Some(())
            }
            // A block of lines has no end of its own.
            (What::List(old), _) if !have.is_flow && !old.is_empty() => None,
            (What::Map(old), _) if !have.is_flow && !old.is_empty() => None,
            // Nor has a text in lines, and a tag stands before its value.
            _ if have.tag.is_some() || self.is_in_lines(have)? => None,
            _ => {
                let Range { start, end } = have.place.bytes;
                let in_lines = !wanted.is_flow && wanted.items().is_some_and(|items| !items.is_empty());
                let new = if in_lines { format!("\n{}", block(wanted, 0).trim_end()) } else { flow(wanted) };
                let before = self.text[..start].ends_with(':') && !in_lines;
                self.all.push((start..end, if before { format!(" {new}") } else { new }));
                Some(())
            }
        }
    }

    /// Whether a scalar begins on a line of its own, as those of `|` do: the place of what stands before it is not known.
    fn is_in_lines(&self, scalar: &Node) -> Option<bool> {
        let before = self.text.get(..scalar.place.bytes.start)?;
        Some(matches!(scalar.what, What::Text(_)) && before.trim_end_matches(' ').ends_with('\n'))
    }

    fn insert(&mut self, at: usize, text: String) {
        if !text.is_empty() {
            self.all.push((at..at, text));
        }
    }

    /// Adds lines behind the last line of a block.
    fn after(&mut self, block: &Node, lines: &str) -> Option<()> {
        let end = end(block);
        // A text in lines ends on the line after it.
        if self.text[..end].ends_with('\n') {
            self.insert(end, lines.to_owned());
            return Some(());
        }
        match self.text[end..].find('\n') {
            Some(line) => self.insert(end + line + 1, lines.to_owned()),
            None => self.insert(self.text.len(), format!("\n{lines}")),
        }
        Some(())
    }

    /// How far the keys of a mapping are from the margin.
    fn column(&self, map: &Node) -> Option<usize> {
        Some(map.pairs()?.first()?.0.place.column - 1)
    }

    /// How far the dash before an item is from the margin.
    fn dash(&self, item: &Node) -> Option<usize> {
        let start = item.place.bytes.start;
        let line = self.text[..start].rfind('\n').map_or(0, |at| at + 1);
        let before = &self.text[line..start];
        before
            .trim_start_matches(' ')
            .starts_with('-')
            .then(|| before.len() - before.trim_start_matches(' ').len())
    }
}

/// Whether it is somewhere else, and stands here by its name: what it holds came before it.
fn is_alias(node: &Node) -> bool {
    let first = match &node.what {
        What::List(items) => items.first(),
        What::Map(pairs) => pairs.first().map(|(key, _)| key),
        _ => None,
    };
    first.is_some_and(|first| first.place.bytes.start < node.place.bytes.start)
}

/// Where the last thing of a value ends that has an end.
fn end(node: &Node) -> usize {
    match &node.what {
        _ if node.is_flow || is_alias(node) => None,
        What::List(items) => items.last().map(end),
        What::Map(pairs) => pairs.last().map(|(_, value)| end(value)),
        _ => None,
    }
    .unwrap_or(node.place.bytes.end)
}
