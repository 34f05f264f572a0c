//! The `name=value` lists of ENV, LABEL and ARG. Quotes and escapes hold words together, and stay for the expansion.

/// The words of a list.
fn words(text: &str, escape: char) -> Vec<String> {
    let mut found = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match quote {
            None if c.is_whitespace() => {
                found.extend(Some(std::mem::take(&mut word)).filter(|word| !word.is_empty()));
                continue;
            }
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(q) if c == q => quote = None,
            _ => {}
        }
        if c == escape && quote != Some('\'') {
            // One that escapes nothing is none.
            let Some(next) = chars.next() else { break };
            word.push(c);
            word.push(next);
        } else {
            word.push(c);
        }
    }
    found.extend(Some(word).filter(|word| !word.is_empty()));
    found
}

/// The pairs of ENV and LABEL: `name=value …`, or the old form `name value`, which is the rest of the line.
pub(super) fn pairs(keyword: &str, text: &str, escape: char) -> Result<Vec<(String, String)>, String> {
    let words = words(text, escape);
    let first = words.first().ok_or_else(|| format!("{keyword} needs at least one argument"))?;
    let pairs = if first.contains('=') {
        let pair = |word: &String| {
            let (name, value) = word.split_once('=').ok_or_else(|| format!("there is no = in {word:?}"))?;
            Ok((name.to_owned(), value.to_owned()))
        };
        words.iter().map(pair).collect::<Result<Vec<_>, String>>()?
    } else {
        let (name, value) = text
            .split_once(char::is_whitespace)
            .ok_or_else(|| format!("{keyword} needs a name and a value: {keyword} name=value"))?;
        vec![(name.to_owned(), value.trim_start().to_owned())]
    };
    match pairs.iter().any(|(name, _)| name.is_empty()) {
        true => Err("a name is empty".to_owned()),
        false => Ok(pairs),
    }
}

/// The names of ARG, with the defaults that they have.
pub(super) fn names(text: &str, escape: char) -> Result<Vec<(String, Option<String>)>, String> {
    let named = |word: String| match word.split_once('=') {
        Some((name, value)) => (name.to_owned(), Some(value.to_owned())),
        None => (word, None),
    };
    let names: Vec<_> = words(text, escape).into_iter().map(named).collect();
    match names.iter().any(|(name, _)| name.is_empty()) {
        true => Err("a name is empty".to_owned()),
        false => Ok(names),
    }
}
