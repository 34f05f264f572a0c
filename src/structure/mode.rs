//! Modes as Go prints them (`os.FileMode.String`): `-rw-r--r--`, `dtrwxrwxrwx`, `Lrwxrwxrwx`, `urwxr-xr-x`.

use larder_store::members::{Kind, Node};

/// Letters of the type and of the special bits in Go's order, a dash where there is none, and three times `rwx`.
pub(crate) fn as_go_prints(node: &Node) -> String {
    let (first, is_char) = match node.kind {
        Kind::Directory => ("d", false),
        Kind::Link(_) => ("L", false),
        Kind::Block => ("D", false),
        Kind::Char => ("D", true),
        Kind::Fifo => ("p", false),
        Kind::File(_) => ("", false),
    };
    let has = |bit: u32| node.mode & bit != 0;
    let mut text = first.to_owned();
    for (letter, is_set) in [('u', has(0o4000)), ('g', has(0o2000)), ('c', is_char), ('t', has(0o1000))] {
        text.extend(is_set.then_some(letter));
    }
    if text.is_empty() {
        text.push('-');
    }
    for (place, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if has(0o400 >> place) { letter } else { '-' });
    }
    text
}

#[cfg(test)]
mod tests {
    use super::as_go_prints;
    use larder_store::members::{Kind, Node};

    /// As Go 1.26 prints `os.FileMode`s.
    #[test]
    fn letters_are_those_of_go() {
        for (kind, mode, shown) in [
            (Kind::Fifo, 0o644, "prw-r--r--"),
            (Kind::Fifo, 0o4000, "pu---------"),
            (Kind::Char, 0o660, "Dcrw-rw----"),
            (Kind::Char, 0o1660, "Dctrw-rw----"),
            (Kind::Block, 0o6640, "Dugrw-r-----"),
            (Kind::Directory, 0o1777, "dtrwxrwxrwx"),
            (Kind::Directory, 0o7000, "dugt---------"),
            (Kind::Link(Vec::new()), 0o777, "Lrwxrwxrwx"),
        ] {
            assert_eq!(as_go_prints(&Node::new(kind, mode, 0, 0)), shown);
        }
    }
}
