//! Changing a text where its values change, so that comments and forms stay around them.
//!
//! What comes of it is read again: where it does not mean what was wanted (aliases, odd indentation), all is written anew, with the
//! comments at the head.

use std::ops::Range;

use super::{Node, What, block, flow, parse};

/// The text that means `wanted`, as like to `text` as can be, which means `have`.
pub(crate) fn rewrite(text: &str, have: &Node, wanted: &Node) -> String {
    if have == wanted {
        return text.to_owned();
    }
    let mut edits = Edits { text, all: Vec::new() };
    let spliced = move || edits.between(have, wanted).and_then(|()| edits.apply());
    let means_it = |text: &String| parse(text).is_ok_and(|read| read == *wanted);
    if let Some(spliced) = have.pairs().and_then(|_| spliced()).filter(means_it) {
        return spliced;
    }
    let is_head = |line: &&str| line.starts_with('#') || line.trim().is_empty();
    let head: String = text.split_inclusive('\n').take_while(is_head).collect();
    let end = if head.is_empty() || head.ends_with('\n') { "" } else { "\n" };
    format!("{head}{end}{}", block(wanted, 0))
}

struct Edits<'t> {
    text: &'t str,
    all: Vec<(Range<usize>, String)>,
}

impl Edits<'_> {
    /// The text with the edits; none where two of them are about one place, as those of an anchor and its aliases are.
    fn apply(mut self) -> Option<String> {
        // Of those at one place the first comes first.
        self.all.sort_by_key(|(range, _)| range.start);
        let (mut out, mut at) = (String::new(), 0);
        for (range, new) in self.all {
            out += self.text.get(at..range.start)?;
            out += &new;
            at = range.end;
        }
        out += self.text.get(at..)?;
        Some(out)
    }

    /// Notes what differs; `None` where it cannot be changed in place.
    fn between(&mut self, have: &Node, wanted: &Node) -> Option<()> {
        if have == wanted {
            return Some(());
        }
        match (&have.what, &wanted.what) {
            (What::Map(old), What::Map(new)) if !old.is_empty() && have.tag == wanted.tag => {
                let keys = old.iter().zip(new).all(|((a, _), (b, _))| a == b);
                if !keys || new.len() < old.len() {
                    return None;
                }
                for ((_, old), (_, new)) in old.iter().zip(new) {
                    self.between(old, new)?;
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
                    self.between(old, new)?;
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
            _ if have.tag.is_some() || self.text.get(have.place.bytes.clone())?.starts_with(['|', '>']) => {
                None
            }
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

/// Where the last thing of a value ends that has an end.
fn end(node: &Node) -> usize {
    match &node.what {
        What::List(items) if !node.is_flow => items.last().map(end),
        What::Map(pairs) if !node.is_flow => pairs.last().map(|(_, value)| end(value)),
        _ => None,
    }
    .unwrap_or(node.place.bytes.end)
}
