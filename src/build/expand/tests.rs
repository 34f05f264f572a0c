use proptest::prelude::*;

use super::*;

fn variable(name: &str) -> Option<String> {
    let value = match name {
        "A" => "aa b",
        "EMPTY" => "",
        "PATH" => "/usr/bin:/bin",
        "V" => "foo.tar.gz",
        _ => return None,
    };
    Some(value.to_owned())
}

#[test]
fn words_are_expanded_as_buildkit_expands_them() {
    for (text, expected) in [
        ("x$A.y", Ok("xaa b.y")),
        ("${A}y", Ok("aa by")),
        ("$NONE", Ok("")),
        ("a$", Ok("a$")),
        ("$.", Ok("$.")),
        ("$1a", Ok("a")),
        ("$$A", Ok("A")),
        (r"\$A \\", Ok(r"$A \")),
        (r#""$A" '$A' "\$A" "\x""#, Ok(r#"aa b $A $A \x"#)),
        ("${NONE:-w}", Ok("w")),
        ("${EMPTY:-w}", Ok("w")),
        ("${EMPTY-w}", Ok("")),
        ("${A:+w}${NONE:+w}${EMPTY:+w}${EMPTY+v}", Ok("wv")),
        ("${NONE:-${A}x}", Ok("aa bx")),
        (r#"${NONE:-"a b"}"#, Ok("a b")),
        ("${V#*.}", Ok("tar.gz")),
        ("${V##*.}", Ok("gz")),
        ("${V%.*}", Ok("foo.tar")),
        ("${V%%.*}", Ok("foo")),
        ("${V#x}", Ok("foo.tar.gz")),
        ("${A/a/x}", Ok("xa b")),
        ("${A//a/x}", Ok("xx b")),
        ("${PATH//:/,}", Ok("/usr/bin,/bin")),
        ("${A:?no}", Ok("aa b")),
        ("${NONE:?no}", Err("NONE: no")),
        ("${EMPTY?}", Ok("")),
        ("${EMPTY:?}", Err("EMPTY is not set")),
        ("${A", Err("} is missing after ${A")),
        ("${}", Err("${…} without a name")),
        ("${A:x}", Err("${A:x…} is no form of a variable")),
        ("'a", Err("a single quote has no end")),
        ("\"a", Err("a double quote has no end")),
        ("a\\", Ok("a")),
    ] {
        let done = word(text, '\\', &variable);
        assert_eq!(done.as_deref().map_err(String::as_str), expected, "{text}");
    }
}

#[test]
fn another_character_may_escape() {
    assert_eq!(word(r"`$A \x", '`', &variable), Ok(r"$A \x".to_owned()));
}

#[test]
fn a_list_is_split_where_blanks_are_plain() {
    let split = words(r#"80 $A "x y" z\ z $EMPTY"#, '\\', &variable);
    assert_eq!(split, Ok(["80", "aa", "b", "x y", "z z"].map(String::from).to_vec()));
}

/// As Docker 28 with BuildKit wrote it into a file.
#[test]
fn a_heredoc_keeps_its_quotes() {
    let text = "a\\n \"$A\" \\$A 'q' \\\\ ${A:-x} \\\ncont\n";
    let expected = "an \"aa b\" $A 'q' \\ aa b \ncont\n";
    assert_eq!(heredoc(text, '\\', &variable), Ok(expected.to_owned()));
}

#[test]
fn what_goes_too_deep_is_refused_and_not_followed() {
    let text = "${a:-".repeat(100_000);
    assert!(word(&text, '\\', &variable).is_err());
}

proptest! {
    #[test]
    fn no_text_panics(text in "[${}:+\\-?#%/*'\"\\\\ aA_\u{e4}]{0,40}") {
        let _ = word(&text, '\\', &variable);
        let _ = words(&text, '\\', &variable);
        let _ = heredoc(&text, '\\', &variable);
    }

    #[test]
    fn a_text_without_anything_special_stays(text in "[^$'\"\\\\]{0,40}") {
        let once = word(&text, '\\', &variable).unwrap();
        prop_assert_eq!(&once, &text);
        prop_assert_eq!(word(&once, '\\', &variable).unwrap(), text);
    }

    #[test]
    fn what_is_cut_is_what_a_naive_matcher_finds(value in "[ab.]{0,8}", pattern in "[ab.*?]{0,5}") {
        fn matches(pattern: &[char], text: &[char]) -> bool {
            match pattern {
                [] => text.is_empty(),
                ['*', rest @ ..] => (0..=text.len()).any(|at| matches(rest, &text[at..])),
                [c, rest @ ..] => text.first().is_some_and(|t| *c == '?' || c == t) && matches(rest, &text[1..]),
            }
        }
        let text: Vec<char> = value.chars().collect();
        let chars: Vec<char> = pattern.chars().collect();
        let fits: Vec<usize> = (0..=text.len()).filter(|end| matches(&chars, &text[..*end])).collect();
        let rest = |cut: Option<&usize>| text[cut.copied().unwrap_or(0)..].iter().collect::<String>();
        prop_assert_eq!(strip::prefix(&value, &pattern, false), rest(fits.first()));
        prop_assert_eq!(strip::prefix(&value, &pattern, true), rest(fits.last()));
        let fits: Vec<usize> = (0..=text.len()).filter(|at| matches(&chars, &text[*at..])).collect();
        let rest = |cut: Option<&usize>| text[..cut.copied().unwrap_or(text.len())].iter().collect::<String>();
        prop_assert_eq!(strip::suffix(&value, &pattern, false), rest(fits.last()));
        prop_assert_eq!(strip::suffix(&value, &pattern, true), rest(fits.first()));
    }
}
