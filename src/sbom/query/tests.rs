use proptest::prelude::*;

use super::*;

fn query(text: &str) -> Query {
    text.parse().unwrap_or_else(|wrong| panic!("{wrong}"))
}

#[test]
fn questions_are_understood() {
    for (text, plain) in [
        ("openssl", "openssl"),
        ("openssl<3.0.14", "openssl<3.0.14"),
        ("openssl << 3.0.14", "openssl<3.0.14"),
        ("deb:libssl3 >= 3.0.11, < 3.0.14", "deb:libssl3>=3.0.11,<3.0.14"),
        ("pypi:requests==2.31.0", "pypi:requests=2.31.0"),
        ("npm:@babel/core!=7.0.0", "npm:@babel/core!=7.0.0"),
        ("src:gcc-12=1:12.2.0-14", "src:gcc-12=1:12.2.0-14"),
        ("libssl*", "libssl*"),
        ("pypi:pytz<1!2024.1", "pypi:pytz<1!2024.1"),
    ] {
        assert_eq!(query(text).to_string(), plain);
        assert_eq!(query(plain), query(text));
    }
}

#[test]
fn questions_that_are_none() {
    for text in [
        "",
        "<3",
        "gem:rails",
        "openssl<",
        "openssl<3<4",
        "openssl<3,4",
        "open ssl",
        "a=1,",
        "a=\x1b[2J",
        "lib[ab]",
        "py?aml",
        "pyyaml@6.0",
        "pyyaml~=5",
        "@babel/core@7",
        &"a".repeat(2000),
    ] {
        assert!(text.parse::<Query>().is_err(), "{text:?}");
    }
    for (text, why) in [
        ("", "there is no name at its head; NAME, NAME<VERSION or NAME>=VERSION,<VERSION are questions"),
        ("<3", "there is no name at its head; NAME, NAME<VERSION or NAME>=VERSION,<VERSION are questions"),
        ("deb:", "there is no name behind the colon, as in deb:openssl"),
        ("deb:<3", "there is no name behind the colon, as in deb:openssl"),
        ("gem:rails<7", "\"gem\" is no kind of package: deb, apk, alpm, rpm, pypi, npm, or src for a source"),
        ("openssl<", "there is no version behind the <"),
        ("openssl>=", "there is no version behind the >="),
        ("openssl>=3,", "each condition is one of < <= = != >= > and a version, with commas between them"),
        ("openssl>=3,4", "each condition is one of < <= = != >= > and a version, with commas between them"),
        ("openssl>3<4", "there are two signs; a comma stands between two conditions, as in >=3,<4"),
        ("openssl=>3", "there are two signs; a comma stands between two conditions, as in >=3,<4"),
        ("openssl<3 4", "a version has no spaces"),
        ("pyyaml~=5", "~= is none of the signs, which are < <= = != >= >"),
        (
            "pyyaml@6.0",
            "a name has none of @ ? [ ] in it; * stands for any characters, = stands before a version",
        ),
        ("open ssl", "a name has no spaces; versions follow it as in openssl<3.0.14"),
    ] {
        let wrong = text.parse::<Query>().unwrap_err();
        assert_eq!(wrong, Wrong { text: text.to_owned(), why: why.to_owned() });
    }
}

#[test]
fn versions_are_judged() {
    let range = query("openssl>=3.0.11,<3.0.14");
    for (version, verdict) in [
        ("3.0.10-1", Verdict::No),
        ("3.0.11-1~deb12u2", Verdict::Yes),
        ("3.0.14-1", Verdict::No),
        ("a:1", Verdict::Unknown),
    ] {
        assert_eq!(range.wants(Rules::Debian, version), verdict, "{version}");
    }
    assert_eq!(query("openssl").wants(Rules::Debian, "a:1"), Verdict::Yes);
    // One condition that is known not to hold is enough.
    assert_eq!(query("x<2,!=what").wants(Rules::Python, "3"), Verdict::No);
    assert_eq!(query("x<2,!=what").wants(Rules::Python, "1"), Verdict::Unknown);
}

#[test]
fn names_have_stars() {
    for (pattern, name, is) in [
        ("libssl*", "libssl3", true),
        ("libssl*", "libssh", false),
        ("*ssl", "openssl", true),
        ("lib*ssl*", "libssl3", true),
        ("lib*ssl*3", "libssl1", false),
        ("a*a", "a", false),
        ("*", "", true),
    ] {
        assert_eq!(query(pattern).is_named(Kind::Deb, name), is, "{pattern} {name}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_question_or_is_refused(text in ".{0,40}") {
        if let Ok(query) = text.parse::<Query>() {
            prop_assert_eq!(query.to_string().parse::<Query>(), Ok(query));
        }
    }
}
