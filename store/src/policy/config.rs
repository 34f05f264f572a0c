//! The policy as it is written down: `.larder/larder.toml`.

use std::fmt;
use std::num::NonZeroUsize;

use serde::de::{Deserialize, DeserializeOwned, Deserializer, Error, IgnoredAny, SeqAccess, Visitor};

use super::{BaseRule, BuildLimits, Limits, NamePattern, Policy, Rule, WhenBusy};
use crate::quantity::{self, Amount};
use crate::reference::Reference;

/// Reads a policy; the error says the line. A key that is not known is an error: a limit that is misspelt would not hold.
pub fn parse(text: &str) -> Result<Policy, String> {
    let policy = Policy::from(read::<Written>(text)?);
    policy.check()?;
    Ok(policy)
}

/// Reads TOML; the error says the line, and the key of a value that cannot be read.
pub fn read<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    toml::from_str(text).map_err(|error| {
        let message = error.message().trim().replace('\n', "; ");
        let Some(span) = error.span() else { return message };
        let before = &text[..span.start];
        let line = before.matches('\n').count() + 1;
        let key = before.rsplit('\n').next().and_then(|before| before.split_once('='));
        let key = key.map(|(key, _)| format!("{}: ", key.trim())).unwrap_or_default();
        format!("line {line}: {key}{message}")
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
    protect: Patterns,
    unused_for: Option<Seconds>,
    max_age: Option<Seconds>,
    keep_last: Option<Count>,
    orphan_age: Option<Seconds>,
    min_age: Option<Seconds>,
    rebuild_after: Option<Seconds>,
    #[serde(default)]
    rule: Vec<WrittenRule>,
    #[serde(default)]
    base: Vec<WrittenBase>,
    #[serde(default)]
    build: WrittenBuild,
}

#[derive(Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBuild {
    steps_max_size: Option<Bytes>,
    steps_unused_for: Option<Seconds>,
    snapshots_max_size: Option<Share>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRule {
    pattern: Pattern,
    #[serde(default)]
    protect: bool,
    unused_for: Option<Seconds>,
    max_age: Option<Seconds>,
    keep_last: Option<Count>,
    orphan_age: Option<Seconds>,
    min_age: Option<Seconds>,
    rebuild_after: Option<Seconds>,
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenBase {
    name: Name,
    rebuild_after: Seconds,
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
            protect: written.protect.0.into_iter().map(|pattern| pattern.0).collect(),
            limits: Limits {
                unused_for: written.unused_for.map(|age| age.0),
                max_age: written.max_age.map(|age| age.0),
                keep_last: written.keep_last.map_or(general.keep_last, |count| count.0),
                orphan_age: written.orphan_age.map_or(general.orphan_age, |age| age.0),
                min_age: written.min_age.map_or(general.min_age, |age| age.0),
            },
            rules: written.rule.into_iter().map(Rule::from).collect(),
            rebuild_after: written.rebuild_after.map(|age| age.0),
            bases: written
                .base
                .into_iter()
                .map(|base| BaseRule { name: base.name.0, rebuild_after: base.rebuild_after.0 })
                .collect(),
            build: BuildLimits::from(written.build),
        }
    }
}

impl From<WrittenBuild> for BuildLimits {
    fn from(written: WrittenBuild) -> BuildLimits {
        let usual = BuildLimits::default();
        BuildLimits {
            steps_max_size: written.steps_max_size.map_or(usual.steps_max_size, |size| size.0),
            steps_unused_for: written.steps_unused_for.map_or(usual.steps_unused_for, |age| age.0),
            snapshots_max_size: written.snapshots_max_size.map_or(usual.snapshots_max_size, |size| size.0),
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
            keep_last: written.keep_last.map(|count| count.0),
            orphan_age: written.orphan_age.map(|age| age.0),
            min_age: written.min_age.map(|age| age.0),
            rebuild_after: written.rebuild_after.map(|age| age.0),
        }
    }
}

/// A text with a meaning of its own.
macro_rules! text {
    ($name:ident, $meaning:ty, $parse:expr, $expected:literal) => {
        struct $name($meaning);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$name, D::Error> {
                struct Text;

                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        $parse(text).map($name).map_err(|why| E::custom(format!("{text:?}: {why}")))
                    }
                }

                deserializer.deserialize_str(Text)
            }
        }
    };
}

text!(Bytes, u64, quantity::bytes, "bytes in quotes, such as \"20GB\"");
text!(Share, Amount, str::parse, "bytes or a share of the disk in quotes, such as \"10GB\" or \"10%\"");
text!(Seconds, u64, quantity::seconds, "a time in quotes, such as \"30m\" or \"30d\"");
text!(Pattern, NamePattern, str::parse, "a pattern in quotes, such as \"base-*\"");
text!(Name, Reference, str::parse, "an image's name in quotes, such as \"ubuntu:25.04\"");

/// A list of patterns.
#[derive(Default)]
struct Patterns(Vec<Pattern>);

impl<'de> Deserialize<'de> for Patterns {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Patterns, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Patterns;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of patterns, such as [\"base-*\"]")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Patterns, A::Error> {
                let mut patterns = Vec::new();
                while let Some(pattern) = list.next_element()? {
                    patterns.push(pattern);
                }
                Ok(Patterns(patterns))
            }
        }

        deserializer.deserialize_seq(List)
    }
}

/// A number that is not zero.
struct Count(NonZeroUsize);

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Count, D::Error> {
        let wrong = |_| D::Error::custom("expected a whole number, 1 or more");
        NonZeroUsize::deserialize(deserializer).map(Count).map_err(wrong)
    }
}

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
            rebuild_after = "30d"

            [[rule]]
            pattern = "*-asan"
            unused_for = "3d"
            rebuild_after = "7d"
            keep_last = 1

            [[rule]]
            pattern = "*"
            protect = true

            [[base]]
            name = "ubuntu:25.04"
            rebuild_after = "14d"

            [build]
            steps_max_size = "1GB"
            steps_unused_for = "2d"
            snapshots_max_size = "5%"
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
        assert_eq!(
            (policy.rebuild_after, policy.rules[0].rebuild_after),
            (Some(30 * 86_400), Some(7 * 86_400))
        );
        assert_eq!(policy.bases[0].name.full(), "docker.io/library/ubuntu:25.04");
        assert_eq!(policy.bases[0].rebuild_after, 14 * 86_400);
        let build = BuildLimits {
            steps_max_size: 1_000_000_000,
            steps_unused_for: 2 * 86_400,
            snapshots_max_size: Amount::Percent(5),
        };
        assert_eq!(policy.build, build);
    }

    #[test]
    fn nothing_said_is_no_limit() {
        assert_eq!(parse(""), Ok(Policy::default()));
        assert_eq!(parse("# nothing\n"), Ok(Policy::default()));
    }

    #[test]
    fn limits_that_do_not_go_together_are_refused() {
        for (text, word) in [
            ("target_free = \"10%\"", "it needs min_free"),
            ("min_free = \"10%\"\ntarget_free = \"5%\"", "target_free (5%) is less than min_free (10%)"),
            ("min_free = \"2GB\"\ntarget_free = \"1GB\"", "is less than min_free"),
        ] {
            let error = parse(text).expect_err(text);
            assert!(error.contains(word), "{text:?}: {error}");
        }
        for text in ["min_free = \"10%\"\ntarget_free = \"10%\"", "min_free = \"2GB\"\ntarget_free = \"1%\""]
        {
            assert!(parse(text).is_ok(), "{text:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        for (text, line, word) in [
            ("max_size = \"1GB\"\nmax_sise = \"1GB\"\n", 2, "max_sise"),
            ("\n\nmin_free = \"lots\"", 3, "10GB"),
            ("min_free = \"120%\"", 1, "100"),
            (
                "unused_for = 30",
                1,
                "unused_for: invalid type: integer `30`, expected a time in quotes, such as \"30m\"",
            ),
            ("unused_for = \"30\"", 1, "30m"),
            ("keep_last = 0", 1, "keep_last: expected a whole number, 1 or more"),
            ("keep_last = 99999999999999999999", 1, "keep_last: expected a whole number"),
            (
                "max_size = 20",
                1,
                "max_size: invalid type: integer `20`, expected bytes in quotes, such as \"20GB\"",
            ),
            (
                "max_size = \"99999999999EB\"",
                1,
                "max_size: \"99999999999EB\": that is more than any disk has",
            ),
            ("protect = [\"[\"]", 1, "protect: \"[\": no pattern: "),
            ("keep_last = -1", 1, "whole number"),
            ("when_busy = \"never\"", 1, "evict"),
            (
                "protect = \"base-*\"",
                1,
                "protect: invalid type: string \"base-*\", expected a list of patterns",
            ),
            ("protect = [\n\"[a\"]", 2, "pattern"),
            ("[[rule]]\nunused_for = \"1d\"", 1, "pattern"),
            ("[[rule]]\npattern = \"*\"\nmax_size = \"1GB\"", 3, "max_size"),
            ("[[base]]\nname = \"a\"", 1, "rebuild_after"),
            ("[[base]]\nname = \"A b\"\nrebuild_after = \"1d\"", 2, "name: \"A b\": "),
            ("[[base]]\nname = 1", 2, "such as \"ubuntu:25.04\""),
            ("[[base]]\npattern = \"a\"", 2, "pattern"),
            ("rebuild_after = 30", 1, "rebuild_after: "),
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
