use super::*;

/// Each is what Go 1.26 says of it: whether it is an expression, and whether it is found in the text.
#[test]
fn expressions_mean_what_go_says() {
    let table: &[(&str, &str, Option<bool>)] = &[
        ("a.c", "xabcx", Some(true)),
        ("a.c", "a\nc", Some(false)),
        ("(?s)a.c", "a\nc", Some(true)),
        ("^b", "a\nb", Some(false)),
        ("(?m)^b$", "a\nb\nc", Some(true)),
        ("a$", "a\n", Some(false)),
        ("a\\z", "a", Some(true)),
        ("a\\Z", "a", None),
        ("\\C", "a", None),
        ("\\d", "٣", Some(false)),
        ("^\\w+$", "é", Some(false)),
        ("^\\W$", "é", Some(true)),
        ("\\s", "\u{b}", Some(false)),
        ("^[\\s]$", "\u{c}", Some(true)),
        ("(?i)^\\w$", "\u{17f}", Some(true)),
        ("(?i)^s$", "\u{17f}", Some(true)),
        ("\\bé", "é", Some(false)),
        ("a\\b", "aé", Some(true)),
        ("^\\Bé", "é", Some(true)),
        ("\\Qa.b\\E+", "a.bbb", Some(true)),
        ("\\Qa.b", "axb", Some(false)),
        ("\\Q\\E", "", Some(true)),
        ("\\101", "A", Some(true)),
        ("\\1", "1", None),
        ("\\0", "\0", Some(true)),
        ("\\x41\\x{42}", "AB", Some(true)),
        ("\\x{110000}", "", None),
        ("a{", "a{", Some(true)),
        ("a{,2}", "a{,2}", Some(true)),
        ("a{2}b", "aab", Some(true)),
        ("a{2,1}", "aa", None),
        ("a{1001}", "a", None),
        ("a{01}", "a{01}", Some(true)),
        ("(a{1000}){1000}", "", None),
        ("(a{1000}){2}", "", None),
        ("((a{100}){100}){2}", "", None),
        ("(a{100}){10}", "", Some(false)),
        ("(a{100}){11}", "", None),
        ("(?:a{1000})?", "", Some(true)),
        ("(a{1000})*", "", Some(true)),
        ("(a{500}b{2}){2}", "", Some(false)),
        ("(a{500}b{2}){3}", "", None),
        ("(a{2,}){500}", "", Some(false)),
        ("(a{2,}){501}", "", None),
        ("(a{0}){1000}", "", Some(true)),
        ("(a{0,1000}){2}", "", None),
        ("(a{1000}|b){1}", "", Some(false)),
        ("(a{1000}){0,1}", "", Some(true)),
        ("(a{1000}){0}", "", Some(true)),
        ("(a*){1000}", "", Some(true)),
        ("((a{0}){1000}){1000}", "", None),
        ("(a{31}){32}", "", Some(false)),
        ("(?i)(a{500}){2}b{3}", "", Some(false)),
        ("(a{500}(?i)){3}", "", None),
        ("^\\p{ L }\\p{l u}", "aB", Some(true)),
        ("\\p{ ^L}", "a", None),
        ("\\p{_}", "a", None),
        ("}", "}", Some(true)),
        ("]", "]", Some(true)),
        ("a**", "a", None),
        ("a+?", "aa", Some(true)),
        ("a+?+", "aa", None),
        ("*a", "a", None),
        ("^*", "a", Some(true)),
        ("(*a)", "a", None),
        ("[]a]", "]", Some(true)),
        ("[a&&b]", "&", Some(true)),
        ("[a--z]", "b", None),
        ("[a[b]", "[", Some(true)),
        ("[~~]", "~", Some(true)),
        ("[^a]", "\n", Some(true)),
        ("[a-]", "-", Some(true)),
        ("[a-\\d]", "5", None),
        ("[z-a]", "", None),
        ("[[:alpha:]0]", "0", Some(true)),
        ("[[:nothing:]]", "n", None),
        ("[[:^digit:]]", "5", Some(false)),
        ("[\\D]", "5", Some(false)),
        ("[\\]\\-]", "-", Some(true)),
        ("[a", "a", None),
        ("\\pL", "é", Some(true)),
        ("^\\p{Greek}$", "α", Some(true)),
        ("^\\p{^Greek}$", "α", Some(false)),
        ("\\p{Nobody}", "α", None),
        ("(?P<name>a)", "a", Some(true)),
        ("(?<n>a)", "a", Some(true)),
        ("(?<=a)b", "ab", None),
        ("(?=a)", "a", None),
        ("(?!a)", "a", None),
        ("(?x)a b", "a b", None),
        ("(?u)a", "a", None),
        ("(?i-s:A)", "a", Some(true)),
        ("(?:a|b)c", "bc", Some(true)),
        ("(?-)a", "a", None),
        ("(?)a", "a", Some(true)),
        ("a||b", "", Some(true)),
        ("(a", "a", None),
        ("a)", "a", None),
        ("\\<a", "<a", Some(true)),
        ("\\_\\ \\/", "_ /", Some(true)),
        ("\\e", "e", None),
        ("\\", "", None),
        ("a#b c", "a#b c", Some(true)),
        ("", "anything", Some(true)),
    ];
    for (text, within, expected) in table {
        let found = Pattern::parse(text).map(|pattern| pattern.is_in(within));
        assert_eq!(found.as_ref().ok(), expected.as_ref(), "{text:?} in {within:?}: {found:?}");
    }
}

#[test]
fn bytes_that_are_no_characters_are_each_one() {
    let text = as_go_reads(b"a\xff\xfe\xe2\x82b");
    assert_eq!(text, "a\u{fffd}\u{fffd}\u{fffd}\u{fffd}b");
    assert!(Pattern::parse("^a.{4}b$").expect("a pattern").is_in(&text));
}

proptest::proptest! {
    /// Nothing panics, and what is read as an expression is one.
    #[test]
    fn any_text_is_an_expression_or_an_error(text in "[\\\\\\[\\](){}?*+|^$.:a-zA-Z0-9&~,<>=!Q-]{0,24}", within in ".{0,8}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            pattern.is_in(&within);
        }
    }

    /// What is quoted is found as it stands.
    #[test]
    fn a_literal_is_found(text in ".{1,12}") {
        proptest::prop_assume!(!text.contains("\\E"));
        let quoted = Pattern::parse(&format!("^\\Q{text}\\E$")).expect("a literal");
        proptest::prop_assert!(quoted.is_in(&text), "{text:?}");
    }
}
