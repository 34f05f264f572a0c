//! The policy as it is written down: `.larder/larder.toml`.

use std::num::NonZeroUsize;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, Unexpected};

use super::{Limits, NamePattern, Policy, Rule, WhenBusy};
use crate::quantity::{self, Amount};

/// Reads a policy; the error says the line. A key that is not known is an error: a limit that is misspelt would not hold.
pub fn parse(text: &str) -> Result<Policy, String> {
    read::<Written>(text).map(Policy::from)
}

/// Reads TOML; the error says the line.
pub(crate) fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map(|span| text[..span.start].matches('\n').count() + 1);
        let message = error.message().trim().replace('\n', "; ");
        line.map_or(message.clone(), |line| format!("line {line}: {message}"))
    })
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    /// Another part of the file: see `crate::settings`.
    #[serde(default, rename = "naming")]
    _naming: IgnoredAny,
    max_size: Option<Bytes>,
    min_free: Option<Share>,
    target_free: Option<Share>,
    reserve: Option<Share>,
    #[serde(default)]
    when_busy: Busy,
    #[serde(default)]
    protect: Vec<Pattern>,
    unused_for: Option<Seconds>,
    max_age: Option<Seconds>,
    keep_last: Option<NonZeroUsize>,
    orphan_age: Option<Seconds>,
    min_age: Option<Seconds>,
    #[serde(default)]
    rule: Vec<WrittenRule>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    pattern: Pattern,
    #[serde(default)]
    protect: bool,
    unused_for: Option<Seconds>,
    max_age: Option<Seconds>,
    keep_last: Option<NonZeroUsize>,
    orphan_age: Option<Seconds>,
    min_age: Option<Seconds>,
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Busy {
    #[default]
    Skip,
    Evict,
}

impl From<Written> for Policy {
    fn from(written: Written) -> Policy {
        let general = Limits::default();
        Policy {
            max_size: written.max_size.map(|size| size.0),
            min_free: written.min_free.map(|share| share.0),
            target_free: written.target_free.map(|share| share.0),
            reserve: written.reserve.map(|share| share.0),
            when_busy: match written.when_busy {
                Busy::Skip => WhenBusy::Skip,
                Busy::Evict => WhenBusy::Evict,
            },
            protect: written.protect.into_iter().map(|pattern| pattern.0).collect(),
            limits: Limits {
                unused_for: written.unused_for.map(|age| age.0),
                max_age: written.max_age.map(|age| age.0),
                keep_last: written.keep_last.unwrap_or(general.keep_last),
                orphan_age: written.orphan_age.map_or(general.orphan_age, |age| age.0),
                min_age: written.min_age.map_or(general.min_age, |age| age.0),
            },
            rules: written.rule.into_iter().map(Rule::from).collect(),
        }
    }
}

impl From<WrittenRule> for Rule {
    fn from(written: WrittenRule) -> Rule {
        Rule {
            pattern: written.pattern.0,
            protect: written.protect,
            unused_for: written.unused_for.map(|age| age.0),
            max_age: written.max_age.map(|age| age.0),
            keep_last: written.keep_last,
            orphan_age: written.orphan_age.map(|age| age.0),
            min_age: written.min_age.map(|age| age.0),
        }
    }
}

/// A text with a meaning of its own.
macro_rules! text {
    ($name:ident, $meaning:ty, $parse:expr) => {
        struct $name($meaning);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                let text = String::deserialize(deserializer)?;
                $parse(text.as_str()).map($name).map_err(|why: String| {
                    D::Error::invalid_value(Unexpected::Str(&text), &why.trim_start_matches("expected "))
                })
            }
        }
    };
}

text!(Bytes, u64, quantity::bytes);
text!(Share, Amount, str::parse);
text!(Seconds, u64, quantity::seconds);
text!(Pattern, NamePattern, str::parse);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_can_be_said_is_read() {
        let policy = parse(
            r#"
            max_size = "20GB"
            min_free = "10%"
            target_free = "15%"
            reserve = "2GiB"
            when_busy = "evict"
            protect = ["base-*", "tools"]
            unused_for = "30d"
            max_age = "90d"
            keep_last = 2
            orphan_age = "1d"
            min_age = "1h"

            [[rule]]
            pattern = "*-asan"
            unused_for = "3d"
            keep_last = 1

            [[rule]]
            pattern = "*"
            protect = true
            "#,
        )
        .expect("a policy");
        assert_eq!(policy.max_size, Some(20_000_000_000));
        assert_eq!(
            (policy.min_free, policy.target_free),
            (Some(Amount::Percent(10)), Some(Amount::Percent(15)))
        );
        assert_eq!((policy.reserve, policy.when_busy), (Some(Amount::Bytes(2 << 30)), WhenBusy::Evict));
        assert!(policy.protect[0].matches("base-12:latest") && !policy.protect[1].matches("tools-2:latest"));
        assert_eq!(policy.limits.unused_for, Some(30 * 86_400));
        assert_eq!(policy.limits.max_age, Some(90 * 86_400));
        assert_eq!((policy.limits.keep_last.get(), policy.limits.orphan_age), (2, 86_400));
        assert_eq!(policy.limits.min_age, 3600);
        assert_eq!((policy.rules[0].unused_for, policy.rules[0].max_age), (Some(3 * 86_400), None));
        assert_eq!(policy.rules[0].keep_last.map(NonZeroUsize::get), Some(1));
        assert!(policy.rules[1].protect && !policy.rules[0].protect);
    }

    #[test]
    fn nothing_said_is_no_limit() {
        assert_eq!(parse(""), Ok(Policy::default()));
        assert_eq!(parse("# nothing\n"), Ok(Policy::default()));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, word) in [
            ("max_size = \"1GB\"\nmax_sise = \"1GB\"\n", 2, "max_sise"),
            ("\n\nmin_free = \"lots\"", 3, "10GB"),
            ("min_free = \"120%\"", 1, "100"),
            ("unused_for = 30", 1, "integer"),
            ("unused_for = \"30\"", 1, "30m"),
            ("keep_last = 0", 1, "nonzero"),
            ("keep_last = -1", 1, "-1"),
            ("when_busy = \"never\"", 1, "evict"),
            ("protect = \"base-*\"", 1, "sequence"),
            ("protect = [\"[a\"]", 1, "pattern"),
            ("[[rule]]\nunused_for = \"1d\"", 1, "pattern"),
            ("[[rule]]\npattern = \"*\"\nmax_size = \"1GB\"", 3, "max_size"),
            ("max_size = \"1GB\"\nmax_size = \"2GB\"", 2, "duplicate"),
            ("max_size = \"1GB", 1, "string"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(
                error.starts_with(&format!("line {line}: ")) && error.contains(word),
                "{text:?}: {error}"
            );
            assert!(!error.contains('\n'), "{error}");
        }
    }
}
