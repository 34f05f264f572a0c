//! One host that is asked for one repository: the registry itself, or a mirror of it.

use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION, WWW_AUTHENTICATE};
use reqwest::{Body, Method, Response, StatusCode, Url};

use super::super::access::Access;
use super::super::error::{Kind, short_path};
use super::super::host::{address, is_loopback};
use super::auth::{Auth, How, host_of};
use super::body::read_some;
use super::challenge::{best, challenges};
use super::failure::{Asked, Failure};
use super::wire::{Certificates, Wire};

/// Redirects that are followed, one after the other.
const MAX_REDIRECTS: usize = 5;

/// A host, a repository there, and what was found out about both.
#[derive(Debug)]
pub(super) struct Endpoint {
    /// As people name it.
    pub(super) host: String,
    pub(super) repository: String,
    pub(super) access: Access,
    /// What a token is asked for; empty where the registry says it.
    scopes: Vec<String>,
    auth: Auth,
    certificates: Certificates,
    /// Whether it is asked over TLS; of a loopback host that is found out.
    is_https: Mutex<Option<bool>>,
    is_loopback: bool,
}

/// A request without its host.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    pub(super) method: Method,
    /// What stands behind `/v2/REPOSITORY/`: `manifests/latest`.
    pub(super) path: String,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the registry said that this goes, which may be another host; else the path says it.
    pub(super) at: Option<Url>,
    pub(super) content: Option<Content>,
}

/// What a request carries: made anew for each time that it is asked.
#[derive(Clone)]
pub(super) struct Content(pub(super) Arc<dyn Fn() -> Body + Send + Sync>);

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Content")
    }
}

impl Ask {
    pub(super) fn new(method: Method, path: String) -> Ask {
        Ask { method, path, headers: Vec::new(), at: None, content: None }
    }

    pub(super) fn at(self, url: Url) -> Ask {
        Ask { at: Some(url), ..self }
    }

    pub(super) fn carrying(self, content: impl Fn() -> Body + Send + Sync + 'static) -> Ask {
        Ask { content: Some(Content(Arc::new(content))), ..self }
    }

    pub(super) fn header(mut self, name: HeaderName, value: &str) -> Ask {
        self.headers.extend(HeaderValue::from_str(value).ok().map(|value| (name, value)));
        self
    }
}

/// An answer that is a success, and who gave it.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) response: Response,
    pub(super) asked: Asked,
}

impl Endpoint {
    pub(super) fn new(host: &str, repository: String, access: Access) -> Endpoint {
        let is_loopback = is_loopback(host);
        let has_certificates = !access.tls.authorities.is_empty() || access.tls.client.is_some();
        let is_https = match (access.plain_http, is_loopback) {
            (true, _) => Some(false),
            (false, true) if !has_certificates => None,
            (false, _) => Some(true),
        };
        Endpoint {
            host: host.to_owned(),
            repository,
            access,
            scopes: Vec::new(),
            auth: Auth::new(),
            certificates: Certificates::default(),
            is_https: Mutex::new(is_https),
            is_loopback,
        }
    }

    /// The same, where a token must be good for this.
    pub(super) fn for_scopes(self, scopes: Vec<String>) -> Endpoint {
        Endpoint { scopes, ..self }
    }

    /// The same host and repository, with a token of its own.
    pub(super) fn beside(&self, scopes: Vec<String>) -> Endpoint {
        let is_https = *self.is_https.lock().unwrap_or_else(PoisonError::into_inner);
        let other = Endpoint::new(&self.host, self.repository.clone(), self.access.clone());
        Endpoint { is_https: Mutex::new(is_https), scopes, ..other }
    }

    pub(super) fn is_loopback(&self) -> bool {
        self.is_loopback
    }

    /// Of the registry itself where no repository is meant: `/v2/`.
    fn path(&self, below: &str) -> String {
        match self.repository.as_str() {
            "" => format!("/v2/{below}"),
            repository => format!("/v2/{repository}/{below}"),
        }
    }

    /// Whether the registry wanted to know who is asking.
    pub(super) fn was_answered(&self) -> bool {
        self.auth.header(&self.access).is_some()
    }

    pub(super) fn asked(&self, ask: &Ask) -> Asked {
        let path = ask.path.split('?').next().unwrap_or_default();
        let request = format!("{} {}", ask.method, self.path(path));
        Asked { side: self.host.clone(), request }
    }

    /// Asks once. What the registry wants to know is answered once; redirects are followed.
    pub(super) async fn once(&self, wire: &Wire, ask: &Ask) -> Result<Answer, Failure> {
        let mut was_answered = false;
        loop {
            let mut answer = self.by_its_scheme(wire, ask).await?;
            let response = &mut answer.response;
            let status = response.status();
            if status.is_success() {
                return Ok(answer);
            }
            let is_own = answer.asked.side == self.host;
            if status != StatusCode::UNAUTHORIZED || !is_own {
                let headers = response.headers().clone();
                let body = if ask.method == Method::HEAD { Vec::new() } else { read_some(response).await };
                let failure = answer.asked.status(status, &headers, self.without_secrets(&body).as_bytes());
                return Err(match status {
                    StatusCode::NOT_FOUND => failure.absent(is_own.then(|| lacking(&ask.path))),
                    _ => failure,
                });
            }
            let lines: Vec<_> = response.headers().get_all(WWW_AUTHENTICATE).iter().cloned().collect();
            let challenge = best(challenges(lines.iter().filter_map(|line| line.to_str().ok())));
            let how = How {
                host: &self.host,
                repository: &self.repository,
                scopes: &self.scopes,
                access: &self.access,
                wire,
                certificates: &self.certificates,
            };
            if was_answered {
                let why = "401 Unauthorized, with what it asked for";
                return Err(answer.asked.failed(Kind::Denied, why, how.login()));
            }
            self.auth.answer(challenge, &how, &answer.asked).await?;
            was_answered = true;
        }
    }

    /// What the other side says, without what it was told in confidence: some repeat it in their errors.
    fn without_secrets(&self, said: &[u8]) -> String {
        let mut secrets: Vec<String> = self.access.credentials.secrets().map(str::to_owned).collect();
        let header = self.auth.header(&self.access);
        let header = header.as_ref().and_then(|header| header.to_str().ok());
        secrets.extend(header.and_then(|header| header.split(' ').next_back()).map(str::to_owned));
        let mut said = String::from_utf8_lossy(said).into_owned();
        for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
            said = said.replace(secret.as_str(), "***");
        }
        said
    }

    /// Asks by TLS or without. Whether a loopback host wants it is found out by asking without first, which tells nobody
    /// anything: who wants TLS says that it does not understand.
    async fn by_its_scheme(&self, wire: &Wire, ask: &Ask) -> Result<Answer, Failure> {
        let known = *self.is_https.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(is_https) = known {
            return self.follow(wire, ask, is_https).await;
        }
        let plain = self.follow(wire, ask, false).await;
        let may_want_tls = match &plain {
            Ok(answer) => answer.response.status() == StatusCode::BAD_REQUEST,
            Err(failure) => failure.is_gibberish(),
        };
        if !may_want_tls {
            if plain.is_ok() {
                *self.is_https.lock().unwrap_or_else(PoisonError::into_inner) = Some(false);
            }
            return plain;
        }
        let secured = self.follow(wire, ask, true).await;
        match &secured {
            Ok(_) => *self.is_https.lock().unwrap_or_else(PoisonError::into_inner) = Some(true),
            // A server that speaks TLS and is not trusted must not pass for one that speaks nothing.
            Err(failure) if failure.is_distrust() => {}
            Err(_) => return plain,
        }
        secured
    }

    async fn follow(&self, wire: &Wire, ask: &Ask, is_https: bool) -> Result<Answer, Failure> {
        let first = self.asked(ask);
        let scheme = if is_https { "https" } else { "http" };
        let text = format!("{scheme}://{}{}", address(&self.host), self.path(&ask.path));
        let start = Url::parse(&text).map_err(|error| first.failed(Kind::Failed, error.to_string(), ""))?;
        let (mut url, mut asked) = (start.clone(), first);
        if let Some(at) = &ask.at {
            self.check_redirect(&start, at, &asked)?;
            asked = self.asked_at(ask, at, &start);
            url = at.clone();
        }
        for _ in 0..=MAX_REDIRECTS {
            let is_own = is_same_origin(&url, &start);
            let client = match is_own {
                true => wire.own(is_https, &self.access.tls, &self.certificates),
                false => wire.others(&self.certificates, &host_of(&url).unwrap_or_default()),
            };
            let client = client.map_err(|why| asked.failed(Kind::Failed, why, ""))?;
            let mut request = client.request(ask.method.clone(), url.clone());
            request = request.headers(ask.headers.iter().cloned().collect::<HeaderMap>());
            if let Some(Content(content)) = &ask.content {
                request = request.body(content());
            }
            if is_own && let Some(authorization) = self.auth.header(&self.access) {
                request = request.header(AUTHORIZATION, authorization);
            }
            let response = request.send().await.map_err(|error| asked.broken(&error))?;
            let is_redirect = matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308);
            if !is_redirect {
                return Ok(Answer { response, asked });
            }
            let next = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            let next = next.and_then(|to| url.join(to).ok()).filter(|next| next.host_str().is_some());
            let Some(next) = next else {
                let why = format!("{}, and it does not say where to", response.status());
                return Err(asked.failed(Kind::Failed, why, ""));
            };
            self.check_redirect(&url, &next, &asked)?;
            asked = self.asked_at(ask, &next, &start);
            url = next;
        }
        Err(asked.failed(Kind::Failed, format!("it sends on more than {MAX_REDIRECTS} times"), ""))
    }

    fn asked_at(&self, ask: &Ask, url: &Url, start: &Url) -> Asked {
        match (is_same_origin(url, start), host_of(url)) {
            (false, Some(host)) => Asked {
                side: format!("{host} (where {} sends)", self.host),
                request: format!(
                    "{} {} (for {})",
                    ask.method,
                    short_path(url.path()),
                    ask.path.split('?').next().unwrap_or_default()
                ),
            },
            _ => self.asked(ask),
        }
    }

    /// Nothing that began by TLS goes on without; plain HTTP is for loopback hosts, and where it was asked for.
    fn check_redirect(&self, from: &Url, to: &Url, asked: &Asked) -> Result<(), Failure> {
        let host = host_of(to).unwrap_or_default();
        let is_fine = match to.scheme() {
            "https" => true,
            "http" => from.scheme() == "http" && (self.access.plain_http || is_loopback(&host)),
            _ => false,
        };
        if is_fine {
            return Ok(());
        }
        let why = format!("it sends to {}://{host}, which is not asked", to.scheme());
        Err(asked.failed(Kind::Failed, why, "the registry has to send to an address that is asked over TLS"))
    }
}

/// What to do where the registry does not have what stands under this path.
fn lacking(path: &str) -> &'static str {
    match path.split('/').next() {
        Some("blobs") => "the registry has lost a part of the image: push the image again",
        Some("manifests") if path.contains("/sha256:") => {
            "what lists it is there, and this is not: push the image again; --platform takes another one of an index"
        }
        _ => "is the name right? the registry has nothing of that name for who asks",
    }
}

fn is_same_origin(one: &Url, other: &Url) -> bool {
    one.origin() == other.origin()
}
