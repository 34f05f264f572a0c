//! Who is asking: the answer to a registry's challenge.
//!
//! Nothing is said unasked. A token is used until the registry refuses it; no clock has a part in that. Passwords go to the
//! registry and to the service that it names for tokens, over TLS, to a loopback host or to the very host that `--plain-http` was
//! given for, and to nobody else.

use std::sync::{Mutex, PoisonError};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;

use super::super::access::{Access, Credentials, Secret};
use super::super::error::{Kind, short_path};
use super::super::host::is_loopback;
use super::body::read_capped;
use super::challenge::{Challenge, Service};
use super::failure::{Asked, Failure};
use super::wire::{Certificates, Wire};

/// The most of a service's answer that is read, bytes.
const MAX_TOKEN: u64 = 256 << 10;

/// What was found out about how to ask.
#[derive(Debug)]
pub(super) struct Auth {
    found: Mutex<Option<Authorization>>,
}

#[derive(Debug, Clone)]
enum Authorization {
    Basic,
    Token(Secret),
}

impl Auth {
    pub(super) fn new() -> Auth {
        Auth { found: Mutex::new(None) }
    }

    /// What to send along; nothing before the registry has asked for it.
    pub(super) fn header(&self, access: &Access) -> Option<HeaderValue> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = match (found?, &access.credentials) {
            (Authorization::Token(token), _) => format!("Bearer {}", token.reveal()),
            (Authorization::Basic, credentials) => basic(credentials)?,
        };
        let mut value = HeaderValue::from_str(&text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Answers a challenge: from now on [`Auth::header`] has what was asked for.
    pub(super) async fn answer(
        &self,
        challenge: Option<Challenge>,
        how: &How<'_>,
        asked: &Asked,
    ) -> Result<(), Failure> {
        let access = how.access;
        let authorization = match (challenge, &access.credentials) {
            (Some(Challenge::Bearer(_)), Credentials::Bearer(token)) => Authorization::Token(token.clone()),
            (Some(Challenge::Bearer(service)), _) => Authorization::Token(token(&service, how).await?),
            (Some(Challenge::Basic), Credentials::Basic { .. }) => Authorization::Basic,
            (Some(Challenge::Basic), Credentials::Anonymous) => {
                return Err(asked.failed(Kind::Denied, "it wants a user and a password", how.login()));
            }
            (Some(Challenge::Basic), _) => {
                let why = "it wants a user and a password, and there is only a token for it";
                return Err(asked.failed(Kind::Denied, why, how.login()));
            }
            (None, _) => {
                let why = "401 Unauthorized, and it does not say what it wants";
                return Err(asked.failed(Kind::Denied, why, how.login()));
            }
        };
        *self.found.lock().unwrap_or_else(PoisonError::into_inner) = Some(authorization);
        Ok(())
    }
}

/// With what a challenge is answered.
pub(super) struct How<'a> {
    /// The registry, as people name it.
    pub(super) host: &'a str,
    pub(super) repository: &'a str,
    /// What a token must be good for; empty where the registry says it.
    pub(super) scopes: &'a [String],
    pub(super) access: &'a Access,
    /// By what whoever gives tokens is asked.
    pub(super) wire: &'a Wire,
    pub(super) certificates: &'a Certificates,
}

impl How<'_> {
    /// What to do where credentials are missing or refused.
    pub(super) fn login(&self) -> String {
        match &self.access.credentials_from {
            Some(from) => {
                format!("the credentials of {from} were refused; `larder login {}` stores others", self.host)
            }
            None => format!("there are no credentials for it here; `larder login {}` stores some", self.host),
        }
    }
}

fn basic(credentials: &Credentials) -> Option<String> {
    let Credentials::Basic { user, password } = credentials else { return None };
    Some(format!("Basic {}", STANDARD.encode(format!("{user}:{}", password.reveal()))))
}

/// Asks the service for a token (distribution, docs/spec/auth/token.md and oauth.md).
async fn token(service: &Service, how: &How<'_>) -> Result<Secret, Failure> {
    let url = Url::parse(&service.realm).ok();
    let shown = url.as_ref().map_or_else(|| "?".to_owned(), |url| short_path(url.path()));
    let host = url.as_ref().and_then(host_of).unwrap_or_else(|| how.host.to_owned());
    let is_identity = matches!(how.access.credentials, Credentials::IdentityToken(_));
    let method = if is_identity { Method::POST } else { Method::GET };
    let asked =
        Asked { side: host.clone(), request: format!("{method} {shown}, for a token for {}", how.host) };
    let Some(mut url) =
        url.filter(|url| matches!(url.scheme(), "https" | "http") && url.host_str().is_some())
    else {
        let why = format!("{} names a service for tokens that is no address", how.host);
        return Err(asked.failed(Kind::Failed, why, ""));
    };
    if url.scheme() == "http" {
        how.may_be_asked_plainly(&host, &asked)?;
    }
    let scopes = match (how.scopes, &service.scope) {
        ([], Some(scope)) => vec![scope.clone()],
        ([], None) if how.repository.is_empty() => Vec::new(),
        ([], None) => vec![format!("repository:{}:pull", how.repository)],
        (scopes, _) => scopes.to_vec(),
    };
    // One parameter for each in a query, and one for all in a form (distribution, docs/spec/auth/token.md and oauth.md).
    let scopes = if is_identity && scopes.len() > 1 { vec![scopes.join(" ")] } else { scopes };
    let mut parameters: Vec<_> = scopes.iter().map(|scope| ("scope", scope.as_str())).collect();
    parameters.extend(service.service.as_deref().map(|name| ("service", name)));
    let client = how.wire.others(how.certificates, &host);
    let client = client.map_err(|why| asked.failed(Kind::Failed, why, ""))?;
    let mut request = match &how.access.credentials {
        Credentials::IdentityToken(token) => {
            parameters.extend([
                ("grant_type", "refresh_token"),
                ("client_id", "larder"),
                ("refresh_token", token.reveal()),
            ]);
            // The library writes queries only; a form is one.
            let mut form =
                Url::parse("http://form/").map_err(|_| asked.failed(Kind::Failed, "cannot be asked", ""))?;
            form.query_pairs_mut().extend_pairs(&parameters);
            let form = form.query().unwrap_or_default().to_owned();
            client.post(url).header(CONTENT_TYPE, "application/x-www-form-urlencoded").body(form)
        }
        _ => {
            url.query_pairs_mut().extend_pairs(&parameters);
            client.get(url)
        }
    };
    if let Some(text) = basic(&how.access.credentials)
        && let Ok(mut value) = HeaderValue::from_str(&text)
    {
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let mut response = request.send().await.map_err(|error| asked.broken(&error))?;
    let (status, headers) = (response.status(), response.headers().clone());
    let body = read_capped(&mut response, MAX_TOKEN, &asked).await;
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST) {
        return Err(asked.failed(Kind::Denied, status.to_string(), how.login()));
    }
    if status.is_redirection() {
        return Err(asked.failed(Kind::Denied, format!("{status}: credentials do not follow redirects"), ""));
    }
    if !status.is_success() {
        return Err(asked.status(status, &headers, &[]));
    }
    let token = read_token(&body?);
    token.ok_or_else(|| asked.failed(Kind::Failed, "its answer has no token in it", ""))
}

impl How<'_> {
    /// Whether a service may be asked over plain HTTP. Where something is said that is nobody else's business, only the
    /// registry's own host may, if somebody named it with `--plain-http`: it says in its challenge who the service is, and
    /// anybody on the way may have written that.
    fn may_be_asked_plainly(&self, service: &str, asked: &Asked) -> Result<(), Failure> {
        let is_own = name_of(service).eq_ignore_ascii_case(name_of(self.host));
        let is_nobody = matches!(self.access.credentials, Credentials::Anonymous);
        if is_loopback(service) || self.access.plain_http && (is_own || is_nobody) {
            return Ok(());
        }
        let why = format!("{} sends there for a token, over plain HTTP", self.host);
        let hint = match self.access.plain_http {
            true => "credentials go over plain HTTP to the host alone that --plain-http was given for",
            false => {
                "--plain-http allows it, where the network is trusted and the service is on the same host"
            }
        };
        Err(asked.failed(Kind::Denied, why, hint))
    }
}

/// A host without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The token of an answer; what cannot be sent in a header is none.
fn read_token(body: &[u8]) -> Option<Secret> {
    #[derive(Deserialize)]
    struct Answer {
        token: Option<String>,
        access_token: Option<String>,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let token = answer.token.filter(|token| !token.is_empty()).or(answer.access_token);
    token.filter(|token| !token.is_empty() && HeaderValue::from_str(token).is_ok()).map(Secret::new)
}

/// The host of an address, with its port where it has one.
pub(super) fn host_of(url: &Url) -> Option<String> {
    let host = url.host_str()?;
    Some(url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_the_same_on_another_port() {
        for (host, expected) in [
            ("r.example:5000", "r.example"),
            ("r.example", "r.example"),
            ("[fd00::1]:5000", "[fd00::1]"),
            ("[fd00::1]", "[fd00::1]"),
        ] {
            assert_eq!(name_of(host), expected);
        }
    }

    #[test]
    fn tokens_have_two_names() {
        for (body, expected) in [
            (r#"{"token":"a","access_token":"b"}"#, Some("a")),
            (r#"{"access_token":"b"}"#, Some("b")),
            (r#"{"token":"","access_token":"b","expires_in":300}"#, Some("b")),
            (r#"{"token":"a\nb"}"#, None),
            ("{}", None),
            ("<html>", None),
        ] {
            assert_eq!(read_token(body.as_bytes()).as_ref().map(Secret::reveal), expected, "{body}");
        }
    }
}
