//! The last lines of an output.

use std::collections::VecDeque;

/// So many lines are repeated when a step fails.
const LINES: usize = 40;
/// Of a line that has no end this much is kept, in bytes.
const LONGEST: usize = 4096;

/// Keeps the last lines of what passes; memory is bounded for any input.
#[derive(Debug, Default)]
pub(super) struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

impl Tail {
    /// Takes the next bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, is_whole) = part.strip_suffix(b"\n").map_or((part, false), |text| (text, true));
            let room = LONGEST.saturating_sub(self.open.len());
            self.open.extend(&text[..text.len().min(room)]);
            if is_whole {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        if self.lines.len() == LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(String::from_utf8_lossy(&self.open).into_owned());
        self.open.clear();
    }

    /// The lines, the oldest first.
    pub(super) fn lines(mut self) -> Vec<String> {
        if !self.open.is_empty() {
            self.close();
        }
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_forty_lines_are_kept_however_they_come() {
        let all: String = (0..100).map(|n| format!("line {n}\n")).collect();
        for piece in [1, 7, 1000] {
            let mut tail = Tail::default();
            all.as_bytes().chunks(piece).for_each(|bytes| tail.push(bytes));
            tail.push(b"no end");
            let lines = tail.lines();
            assert_eq!(lines.len(), LINES);
            assert_eq!((&*lines[0], &*lines[38], &*lines[39]), ("line 61", "line 99", "no end"));
        }
    }

    #[test]
    fn a_line_without_end_takes_no_more_memory_than_a_long_one() {
        let mut tail = Tail::default();
        (0..100).for_each(|_| tail.push(&[b'x'; 1000]));
        assert_eq!(tail.lines(), ["x".repeat(LONGEST)]);
    }
}
