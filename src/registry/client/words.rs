//! What the other side says when it does not answer as it should: why, and how long it wants to be left alone.

use std::time::Duration;

use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::super::error::cleaned;

/// How long the other side wants to be left alone: seconds, or until a time of its own clock, whatever ours says.
pub(super) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let time = |text: &str| jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp().as_second());
    let then = time(text)?;
    let now = time(headers.get(DATE)?.to_str().ok()?)?;
    Some(Duration::from_secs(then.saturating_sub(now).max(0).unsigned_abs()))
}

/// What an error's body says: of the specification's list of errors the first message, else its first words. Pages for
/// browsers say nothing.
pub(super) fn said(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Envelope {
        errors: Vec<One>,
    }
    #[derive(Deserialize)]
    struct One {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    if let Ok(Envelope { errors }) = serde_json::from_slice(body) {
        let one = errors.into_iter().next();
        let text = one.map(|one| if one.message.is_empty() { one.code } else { one.message });
        return cleaned(&without_queries(&text.unwrap_or_default()));
    }
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with(['<', '{', '[']) {
        String::new()
    } else {
        cleaned(&without_queries(&text))
    }
}

/// A text without the queries of the addresses in it: there may be a signature in one.
fn without_queries(text: &str) -> String {
    let shown = |word: &str| match word.split_once('?') {
        Some((address, query)) if address.contains('/') && query.contains('=') => format!("{address}?…"),
        _ => word.to_owned(),
    };
    text.split_whitespace().map(shown).collect::<Vec<_>>().join(" ")
}

/// A time in a message.
pub(super) fn lasting(time: Duration) -> String {
    let seconds = time.as_secs();
    match seconds {
        ..120 => format!("{seconds} seconds"),
        120..7200 => format!("{seconds} seconds ({} min)", seconds.div_ceil(60)),
        _ => format!("{seconds} seconds ({} h)", seconds.div_ceil(3600)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&str, &str)]) -> HeaderMap {
        let pairs = list.iter().map(|(name, value)| {
            (name.parse::<reqwest::header::HeaderName>().expect("a name"), value.parse().expect("a value"))
        });
        pairs.collect()
    }

    #[test]
    fn a_clock_years_off_changes_nothing() {
        let list =
            [("date", "Mon, 01 Jan 1990 00:00:00 GMT"), ("retry-after", "Mon, 01 Jan 1990 00:00:07 GMT")];
        assert_eq!(retry_after(&headers(&list)), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers(&list[1..])), None, "nobody knows what time it is there");
        assert_eq!(retry_after(&headers(&[("retry-after", "3")])), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
    }

    #[test]
    fn what_is_said_is_the_registrys_own_message() {
        for (body, expected) in [
            (r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#, "manifest unknown"),
            (r#"{"errors":[{"code":"DENIED"}]}"#, "DENIED"),
            (r#"{"errors":[]}"#, ""),
            ("<html><body>Bad gateway", ""),
            ("{\"x\":1}", ""),
            ("busy\u{1b}[31m\n", "busy [31m"),
            (
                "no https://b.example/x?sig=abc&k=1 is known, is it?",
                "no https://b.example/x?… is known, is it?",
            ),
            (r#"{"errors":[{"message":"GET /x?sig=abc: no"}]}"#, "GET /x?… no"),
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn a_time_is_said_so_that_people_see_how_long_it_is() {
        for (seconds, expected) in
            [(61, "61 seconds"), (601, "601 seconds (11 min)"), (86400, "86400 seconds (24 h)")]
        {
            assert_eq!(lasting(Duration::from_secs(seconds)), expected);
        }
    }
}
