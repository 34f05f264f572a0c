//! File content tests. Pure.

use super::config::ContentTest;
use super::pattern::{Pattern, as_go_reads};

/// What is not as it should be in a file with this content.
pub(crate) fn judge(test: &ContentTest, content: &[u8]) -> Vec<String> {
    matches(&as_go_reads(content), &test.path, &test.expected, &test.excluded)
}

/// What a text lacks of what is expected in it, and has of what is excluded.
pub(crate) fn matches(text: &str, name: &str, expected: &[Pattern], excluded: &[Pattern]) -> Vec<String> {
    let missing = expected.iter().filter(|pattern| !pattern.is_in(text));
    let missing = missing.map(|pattern| format!("{name} has nothing that matches {:?}", pattern.text()));
    let there = excluded.iter().filter(|pattern| pattern.is_in(text));
    missing
        .chain(there.map(|pattern| format!("{name} matches {:?}, which is excluded", pattern.text())))
        .collect()
}
