//! What a misspelt word was to be.

/// The one of the known words that is nearest; nobody means what takes more than two changes.
pub(crate) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.into_iter().map(|name| {
        // Letters that changed places are more likely than some that are left out.
        (changes(word, name), word.len().abs_diff(name.len()), name)
    });
    near.min().filter(|(changes, ..)| *changes <= 2 && word.len() > 2).map(|(.., name)| name)
}

/// How many letters have to be added, removed or replaced (Levenshtein).
fn changes(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.bytes().enumerate() {
        let mut before = std::mem::replace(&mut row[0], at + 1);
        for (next, y) in b.bytes().enumerate() {
            let same = before + usize::from(x != y);
            before = row[next + 1];
            row[next + 1] = same.min(row[next] + 1).min(before + 1);
        }
    }
    row[b.len()]
}
