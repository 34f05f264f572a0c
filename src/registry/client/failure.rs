//! A try that failed, and whether another one may help.

use std::error::Error as _;
use std::time::Duration;

use reqwest::StatusCode;
use reqwest::header::HeaderMap;

use super::super::error::{Error, Failed, Kind, cleaned};
use super::backoff::{Again, MOST};
use super::wire::describe;
use super::words::{lasting, retry_after, said};

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

    /// The error, where there is no other try.
    pub(super) fn exhausted(mut self) -> Error {
        if let (Error::Request(failed), false) = (&mut self.error, self.again == Again::Never)
            && failed.kind == Kind::Failed
        {
            failed.kind = Kind::Unanswered;
        }
        self.error
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

    /// Whether it is not there, be it at the registry or where that sends to.
    pub(super) fn is_absent(&self) -> bool {
        self.cause == Cause::Absent
    }

    /// The same, where what was asked for is not there. At the registry itself there is something to do about it, as `hint`
    /// says; where that sends to, it has told where its blob is, and there it is not.
    pub(super) fn absent(mut self, hint: Option<&str>) -> Failure {
        self.cause = Cause::Absent;
        if let Error::Request(failed) = &mut self.error {
            failed.kind = if hint.is_some() { Kind::Absent } else { Kind::Failed };
            let elsewhere = "the registry sends there for it: its storage has lost it";
            hint.unwrap_or(elsewhere).clone_into(&mut failed.hint);
        }
        self
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
    Absent,
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
        let asked = retry_after(headers);
        let is_too_long = asked.is_some_and(|asked| asked > MOST);
        if let (true, Some(asked)) = (is_too_long, asked) {
            why = format!("{why}; it asks to be left alone for {}", lasting(asked));
        }
        match status.as_u16() {
            416 => Failure { cause: Cause::NoSuchRange, ..self.failed(Kind::Failed, why, "run it again") },
            405 => Failure { cause: Cause::NotAllowed, ..self.failed(Kind::Failed, why, "") },
            401 | 403 => self.failed(Kind::Denied, why, ""),
            429 => {
                let hint = match is_too_long {
                    true => "it is asked too often; try again then, or as a user of it",
                    false => "it is asked too often; try again later, or as a user of it",
                };
                self.failed(Kind::Failed, why, hint).again(Again::Later(asked))
            }
            408 | 425 | 500 | 502 | 503 | 504 | 507 | 520..=530 => {
                let again = match asked {
                    Some(asked) => Again::Later(Some(asked)),
                    None => Again::Soon,
                };
                let hint = match is_too_long {
                    true => "the registry has a problem of its own; try again then",
                    false => "the registry has a problem of its own; try again later",
                };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> Asked {
        Asked { side: "host".into(), request: "GET /v2/a/manifests/1".into() }
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
