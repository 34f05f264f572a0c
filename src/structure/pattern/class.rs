//! Classes of characters: every range is written out, so that nothing in them means something else here than in Go.

use super::{Source, single};

/// A Perl class as the inside of a class: ASCII, and negated ones as a class in it.
pub(super) fn perl(c: char) -> &'static str {
    match c {
        'd' => "0-9",
        'D' => "[^0-9]",
        'w' => "0-9A-Za-z_",
        'W' => "[^0-9A-Za-z_]",
        's' => "\\t\\n\\x0c\\r\\x20",
        _ => "[^\\t\\n\\x0c\\r\\x20]",
    }
}

/// `\pL`, `\p{Greek}`, `\p{^Greek}`; the `p` is still to come.
pub(super) fn unicode(source: &mut Source<'_>, out: &mut String) -> Result<(), String> {
    let mut is_negated = source.next() == Some('P');
    let name = match source.next() {
        Some('{') => {
            let rest = source.rest();
            let (name, _) = rest.split_once('}').ok_or("\\p{ without its end")?;
            source.skip(name.chars().count() + 1);
            name.to_owned()
        }
        Some(c) => c.to_string(),
        None => return Err("\\p without a name".into()),
    };
    let name = match name.strip_prefix('^') {
        Some(name) => {
            is_negated = !is_negated;
            name.to_owned()
        }
        None => name,
    };
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || "_ -".contains(c)) {
        return Err("\\p with a name that is none".into());
    }
    out.push_str(if is_negated { "\\P{" } else { "\\p{" });
    out.push_str(&name);
    out.push('}');
    Ok(())
}

/// A class; its bracket has passed.
pub(super) fn translate(source: &mut Source<'_>, out: &mut String) -> Result<(), String> {
    out.push('[');
    if source.eat('^') {
        out.push('^');
    }
    let mut is_first = true;
    loop {
        let Some(c) = source.peek() else { return Err("a [ without its ]".into()) };
        if c == ']' && !is_first {
            source.skip(1);
            out.push(']');
            return Ok(());
        }
        is_first = false;
        if c == '[' && posix(source, out)? {
            continue;
        }
        let rest = source.rest();
        if c == '\\' {
            match rest.chars().nth(1) {
                Some(name @ ('d' | 'D' | 'w' | 'W' | 's' | 'S')) => {
                    source.skip(2);
                    out.push_str(perl(name));
                    continue;
                }
                Some('p' | 'P') => {
                    source.skip(1);
                    unicode(source, out)?;
                    continue;
                }
                _ => {}
            }
        }
        let low = character(source)?;
        let rest = source.rest();
        let is_range = rest.starts_with('-') && rest.len() > 1 && !rest.starts_with("-]");
        let high = if is_range {
            source.skip(1);
            character(source)?
        } else {
            low
        };
        if high < low {
            return Err("a range that ends before it begins".into());
        }
        out.push_str(&format!("\\x{{{:x}}}-\\x{{{:x}}}", u32::from(low), u32::from(high)));
    }
}

fn character(source: &mut Source<'_>) -> Result<char, String> {
    match source.next() {
        Some('\\') => single(source),
        Some(c) => Ok(c),
        None => Err("a [ without its ]".into()),
    }
}

/// `[:alpha:]`; whether there is one.
fn posix(source: &mut Source<'_>, out: &mut String) -> Result<bool, String> {
    const NAMES: [&str; 14] = [
        "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct", "space",
        "upper", "word", "xdigit",
    ];
    let rest = source.rest();
    let Some((inside, _)) = rest.strip_prefix("[:").and_then(|rest| rest.split_once(":]")) else {
        return Ok(false);
    };
    if !NAMES.contains(&inside.strip_prefix('^').unwrap_or(inside)) {
        return Err(format!("[:{inside}:] is no class"));
    }
    source.skip(inside.chars().count() + 4);
    out.push_str(&format!("[:{inside}:]"));
    Ok(true)
}
