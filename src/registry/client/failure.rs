//! A try that failed, and whether another one may help.

use std::error::Error as _;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use serde::Deserialize;

use super::super::error::{Error, Failed, Kind, cleaned};
use super::backoff::{Again, MOST};
use super::wire::describe;

/// A try that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: Error,
    pub(super) again: Again,
    cause: Cause,
}

impl Failure {
    /// One that is not the other side's.
    pub(super) fn of(error: Error) -> Failure {
        Failure { error, again: Again::Never, cause: Cause::Other }
    }

    /// The same, with what another try may bring.
    pub(super) fn again(self, again: Again) -> Failure {
        Failure { again, ..self }
    }

    /// Whether the other side said something that is no HTTP: it may want TLS.
    pub(super) fn is_gibberish(&self) -> bool {
        self.cause == Cause::Gibberish
    }

    /// Whether it speaks TLS, and is not trusted.
    pub(super) fn is_distrust(&self) -> bool {
        self.cause == Cause::Distrust
    }

    /// Whether the other side does not know this method.
    pub(super) fn is_not_allowed(&self) -> bool {
        self.cause == Cause::NotAllowed
    }

    /// Whether there is no such part of what was asked for.
    pub(super) fn is_no_range(&self) -> bool {
        self.cause == Cause::NoSuchRange
    }
}

/// What a failure may mean beside what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    Other,
    Gibberish,
    Distrust,
    NotAllowed,
    NoSuchRange,
}

/// Whom something was asked, and what: for messages.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) side: String,
    pub(super) request: String,
}

impl Asked {
    /// A failure that no other try mends.
    pub(super) fn failed(&self, kind: Kind, why: impl Into<String>, hint: impl Into<String>) -> Failure {
        let (side, request) = (self.side.clone(), self.request.clone());
        let failed = Failed { side, request, why: why.into(), hint: hint.into(), kind };
        Failure { error: failed.into(), again: Again::Never, cause: Cause::Other }
    }

    /// What came is not what was announced.
    pub(super) fn damaged(&self, why: impl Into<String>) -> Failure {
        let hint = "what the registry has, or something on the way to it, is damaged; nothing of it was kept";
        self.failed(Kind::Damaged, why, hint)
    }

    /// The connection broke, or never was one.
    pub(super) fn broken(&self, error: &reqwest::Error) -> Failure {
        let tls = find_tls(error);
        let (hint, again) = match &tls {
            Some(rustls::Error::InvalidMessage(_)) => {
                ("it does not speak TLS; --plain-http asks it without", Again::Never)
            }
            Some(rustls::Error::InvalidCertificate(_)) => (
                "its authority is not trusted here: /etc/docker/certs.d/HOST/ca.crt names one that is",
                Again::Never,
            ),
            Some(_) => ("", Again::Never),
            None if error.is_builder() => ("", Again::Never),
            None if error.is_connect() => ("is it running, and can it be reached from here?", Again::Soon),
            None => ("", Again::Soon),
        };
        let cause = match &tls {
            Some(rustls::Error::InvalidCertificate(_)) => Cause::Distrust,
            None if is_gibberish(error) => Cause::Gibberish,
            _ => Cause::Other,
        };
        let why = match &tls {
            Some(error) => error.to_string(),
            None if error.is_timeout() => "it did not answer in time".to_owned(),
            None => cleaned(&describe(error)),
        };
        Failure { again, cause, ..self.failed(Kind::Failed, why, hint) }
    }

    /// It took too long.
    pub(super) fn timed_out(&self, patience: Duration) -> Failure {
        let why = format!("it took more than {} seconds", patience.as_secs());
        self.failed(Kind::Failed, why, "").again(Again::Soon)
    }

    /// An answer that is no success.
    pub(super) fn status(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Failure {
        let said = said(body);
        let mut why = status.to_string();
        if !said.is_empty() {
            why = format!("{why}: {said}");
        }
        match status.as_u16() {
            404 => self.failed(
                Kind::NoSuchImage,
                why,
                "is the name right? the registry has nothing of that name for who asks",
            ),
            416 => Failure { cause: Cause::NoSuchRange, ..self.failed(Kind::Failed, why, "run it again") },
            405 => Failure { cause: Cause::NotAllowed, ..self.failed(Kind::Failed, why, "") },
            401 | 403 => self.failed(Kind::Denied, why, ""),
            429 => {
                let asked = retry_after(headers);
                let hint = match asked {
                    Some(asked) if asked > MOST => {
                        format!("it asks to be left alone for {} seconds; try again then", asked.as_secs())
                    }
                    _ => "it is asked too often; try again later, or as a user of it".to_owned(),
                };
                self.failed(Kind::Failed, why, hint).again(Again::Later(asked))
            }
            408 | 425 | 500 | 502 | 503 | 504 | 507 | 520..=530 => {
                let again = match retry_after(headers) {
                    Some(asked) => Again::Later(Some(asked)),
                    None => Again::Soon,
                };
                let hint = "the registry has a problem of its own; try again later";
                self.failed(Kind::Failed, why, hint).again(again)
            }
            _ => self.failed(Kind::Failed, why, ""),
        }
    }
}

/// Whether something came that is no HTTP.
fn is_gibberish(error: &reqwest::Error) -> bool {
    let mut cause = error.source();
    while let Some(next) = cause {
        if next.downcast_ref::<hyper::Error>().is_some_and(hyper::Error::is_parse) {
            return true;
        }
        cause = next.source();
    }
    false
}

/// What TLS has to say, somewhere below.
fn find_tls(error: &reqwest::Error) -> Option<rustls::Error> {
    let mut cause = error.source();
    while let Some(next) = cause {
        if let Some(tls) = next.downcast_ref::<rustls::Error>() {
            return Some(tls.clone());
        }
        // What is in an error of input or output is not its cause but itself, and may be another one of these.
        let within = next.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
        cause = match within {
            Some(within) => Some(within),
            None => next.source(),
        };
    }
    None
}

/// How long the other side wants to be left alone: seconds, or until a time of its own clock, whatever ours says.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
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
fn said(body: &[u8]) -> String {
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
        return cleaned(
            &one.map(|one| if one.message.is_empty() { one.code } else { one.message }).unwrap_or_default(),
        );
    }
    let text = String::from_utf8_lossy(body);
    if text.trim_start().starts_with(['<', '{', '[']) { String::new() } else { cleaned(&text) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked { side: "host".into(), request: "GET /v2/a/manifests/1".into() }
    }

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
        ] {
            assert_eq!(said(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_may_pass_is_tried_again() {
        let again = |status: u16| {
            asked().status(StatusCode::from_u16(status).expect("a status"), &HeaderMap::new(), b"").again
        };
        assert_eq!([404, 401, 403, 400, 418].map(again), [Again::Never; 5]);
        assert_eq!([500, 502, 503, 504].map(again), [Again::Soon; 4]);
        assert_eq!(again(429), Again::Later(None));
    }
}
