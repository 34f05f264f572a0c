//! Times as registries have them.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{TimeZone, offset};
use larder_store::index::timestamp;

use crate::catalog::yaml::{Node, What};

/// Seconds since 1970, if this is a time, where one without a zone is UTC, as larder writes them.
pub(super) fn time_in_utc(text: &str) -> Option<i64> {
    let unzoned = text.trim().parse::<DateTime>().ok().filter(|_| text.trim().parse::<Timestamp>().is_err());
    match unzoned {
        Some(unzoned) => Some(unzoned.to_zoned(TimeZone::UTC).ok()?.timestamp().as_second()),
        None => time(text),
    }
}

/// Seconds since 1970, if this is a time. One without a zone is the latest that it can mean: a file must not look older than it is.
pub(super) fn time(text: &str) -> Option<i64> {
    let text = text.trim();
    let zoned = || text.parse().map(Timestamp::as_second).ok();
    let latest = TimeZone::fixed(offset(-12));
    let unzoned = || Some(text.parse::<DateTime>().ok()?.to_zoned(latest).ok()?.timestamp().as_second());
    // Up to the next second: a file must not look older than it is.
    let fraction = || {
        text.parse::<f64>().ok().filter(|seconds| seconds.abs() < 1e15).map(|seconds| seconds.ceil() as i64)
    };
    text.parse().ok().or_else(zoned).or_else(unzoned).or_else(fraction)
}

/// A time in the form of another one, which a program wrote that will read this: seconds, with a zone or without, quoted or not.
pub(super) fn like(old: Option<&Node>, seconds: i64) -> Node {
    let utc = timestamp(seconds);
    let form = |old: &str| {
        let bare = utc.trim_end_matches('Z');
        let zoned = old.parse::<Timestamp>().is_ok();
        let end = match zoned {
            true if old.ends_with(['Z', 'z']) => "Z",
            true => "+00:00",
            false => "",
        };
        let between = if old.contains(' ') { " " } else { "T" };
        format!("{}{end}", bare.replacen('T', between, 1))
    };
    match old.map(|old| &old.what) {
        Some(What::Plain(old)) if old.parse::<f64>().is_ok() => Node::plain(seconds),
        Some(What::Text(old)) if old.parse::<f64>().is_ok() => Node::quoted(&seconds.to_string()),
        Some(What::Plain(old)) if time(old).is_some() => Node::plain(form(old)),
        Some(What::Text(old)) if time(old).is_some() => Node::quoted(&form(old)),
        _ => Node::quoted(&utc),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_time_has_the_form_of_the_old_one() {
        for (old, expected) in [
            (Some(Node::plain("2025-09-01T12:00:00Z")), Node::plain("2025-09-02T12:00:00Z")),
            (Some(Node::plain("2025-09-01 12:00:00")), Node::plain("2025-09-02 12:00:00")),
            (Some(Node::quoted("2025-09-01T12:00:00.123456")), Node::quoted("2025-09-02T12:00:00")),
            (Some(Node::quoted("2025-09-01T14:00:00+02:00")), Node::quoted("2025-09-02T12:00:00+00:00")),
            (Some(Node::plain("1756728000")), Node::plain("1756814400")),
            (Some(Node::plain("1756728000.5")), Node::plain("1756814400")),
            (Some(Node::quoted("1756728000")), Node::quoted("1756814400")),
            (Some(Node::plain("yesterday")), Node::quoted("2025-09-02T12:00:00Z")),
            (None, Node::quoted("2025-09-02T12:00:00Z")),
        ] {
            assert_eq!(like(old.as_ref(), 1_756_814_400), expected, "{old:?}");
        }
    }
}
