//! Variables in paths and commands, as Go's `os.Expand` replaces them: `$NAME`, `${NAME}`; what is not set is nothing.

/// Replaces what `value` says of each name. Braces that make no sense are taken away, and a lone `$` stays.
pub(crate) fn expand(text: &str, value: &dyn Fn(&str) -> Option<String>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, behind)) = rest.split_once('$') {
        out.push_str(before);
        rest = behind;
        let (name, length) = name(behind);
        match (name, length) {
            _ if behind.is_empty() => out.push('$'),
            ("", 0) => out.push('$'),
            ("", _) => {}
            (name, _) => out.push_str(&value(name).unwrap_or_default()),
        }
        rest = &rest[length..];
    }
    out.push_str(rest);
    out
}

/// The name at the beginning of what follows a `$`, and how many bytes it takes.
fn name(text: &str) -> (&str, usize) {
    let is_special = |byte: u8| b"*#$@!?-0123456789".contains(&byte);
    let is_plain = |byte: u8| byte == b'_' || byte.is_ascii_alphanumeric();
    let bytes = text.as_bytes();
    match bytes.first() {
        None => ("", 0),
        Some(b'{') => match (bytes.get(1), text.find('}')) {
            (Some(byte), _) if is_special(*byte) && bytes.get(2) == Some(&b'}') => (&text[1..2], 3),
            (_, Some(1)) => ("", 2),
            (_, Some(end)) => (&text[1..end], end + 1),
            (_, None) => ("", 1),
        },
        Some(byte) if is_special(*byte) => (&text[..1], 1),
        Some(_) => {
            let end = bytes.iter().position(|byte| !is_plain(*byte)).unwrap_or(bytes.len());
            (&text[..end], end)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn it_is_what_go_makes_of_it() {
        let value = |name: &str| match name {
            "HOME" => Some("/root".to_owned()),
            "1" => Some("one".to_owned()),
            "a b" => Some("odd".to_owned()),
            _ => None,
        };
        for (text, expected) in [
            ("$HOME/x", "/root/x"),
            ("${HOME}x$", "/rootx$"),
            ("$NONE.$ HOME", ".$ HOME"),
            ("$1${1}$12", "oneoneone2"),
            ("${a b}", "odd"),
            ("${}x${HOME", "xHOME"),
            ("$é", "$é"),
            ("a$$b", "ab"),
            ("$HOME$HOME", "/root/root"),
        ] {
            assert_eq!(expand(text, &value), expected, "{text}");
        }
    }
}
