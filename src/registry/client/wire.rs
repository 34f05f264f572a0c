//! What requests go out by: connections with their timeouts, proxies and certificates.
//!
//! The host itself is asked with what `certs.d` has for it; whoever a redirect or a realm leads to, without. A loopback host
//! is never asked by way of a proxy.

use std::cell::OnceCell;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::Client;
use rustls::client::WebPkiServerVerifier;
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::super::access::Tls;
use super::super::host::is_loopback;
use super::backoff::{MOST, TRIES};
use super::pinned::Pinned;

/// How long the other side may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patience {
    /// To accept a connection.
    pub(crate) connect: Duration,
    /// To say anything at all.
    pub(crate) silence: Duration,
    /// To answer with a document, from the request to its last byte.
    pub(crate) document: Duration,
    /// To send [`Patience::WINDOW`] bytes of a blob.
    pub(crate) window: Duration,
    /// For another process that fetches a blob which is wanted here too to get on with it.
    pub(crate) rival: Duration,
    /// How often it is asked in a row without getting anything.
    pub(crate) tries: u32,
    /// The longest that it may ask to be left alone.
    pub(crate) leave: Duration,
}

impl Patience {
    /// Bytes of a blob that must come within [`Patience::window`].
    pub(crate) const WINDOW: u64 = 64 << 10;

    /// Where a job waits that gets on without: half a minute at the most for a host that says nothing.
    pub(crate) fn brief() -> Patience {
        Patience {
            connect: Duration::from_secs(5),
            silence: Duration::from_secs(10),
            document: Duration::from_secs(10),
            window: Duration::from_secs(30),
            tries: 2,
            leave: Duration::from_secs(2),
            ..Patience::default()
        }
    }
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            connect: Duration::from_secs(15),
            silence: Duration::from_secs(60),
            document: Duration::from_secs(120),
            window: Duration::from_secs(120),
            rival: Duration::from_secs(30),
            tries: TRIES,
            leave: MOST,
        }
    }
}

/// The certificates of a host, read when they are first needed, and for all of its connections at once: one may go on with
/// the session of another.
#[derive(Debug, Default)]
pub(super) struct Certificates {
    own: OnceLock<Result<ClientConfig, String>>,
    others: OnceLock<Result<ClientConfig, String>>,
}

/// The connections of one thread to one host and to those that it leads to.
#[derive(Debug)]
pub(super) struct Wire {
    patience: Patience,
    is_loopback: bool,
    plain: OnceCell<Client>,
    secured: OnceCell<Client>,
    others: OnceCell<Client>,
    /// For others on this machine, who are never asked by way of a proxy.
    neighbours: OnceCell<Client>,
}

impl Wire {
    pub(super) fn new(patience: Patience, is_loopback: bool) -> Wire {
        Wire {
            patience,
            is_loopback,
            plain: OnceCell::new(),
            secured: OnceCell::new(),
            others: OnceCell::new(),
            neighbours: OnceCell::new(),
        }
    }

    /// For the host itself.
    pub(super) fn own(
        &self,
        is_https: bool,
        tls: &Tls,
        certificates: &Certificates,
    ) -> Result<&Client, String> {
        if !is_https {
            return once(&self.plain, || self.client(none()?, !self.is_loopback));
        }
        let config = || certificates.own.get_or_init(|| config(Some(tls))).clone();
        once(&self.secured, || self.client(config()?, !self.is_loopback))
    }

    /// For any other host.
    pub(super) fn others(&self, certificates: &Certificates, host: &str) -> Result<&Client, String> {
        let config = || certificates.others.get_or_init(|| config(None)).clone();
        match is_loopback(host) {
            true => once(&self.neighbours, || self.client(config()?, false)),
            false => once(&self.others, || self.client(config()?, true)),
        }
    }

    fn client(&self, config: ClientConfig, by_proxy: bool) -> Result<Client, String> {
        let mut builder = Client::builder()
            .tls_backend_preconfigured(config)
            // Followed by ourselves: credentials stay here.
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .user_agent(concat!("larder/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(self.patience.connect)
            .read_timeout(self.patience.silence)
            .pool_max_idle_per_host(1);
        if !by_proxy {
            builder = builder.no_proxy();
        }
        builder.build().map_err(|error| describe(&error))
    }
}

fn once(cell: &OnceCell<Client>, make: impl FnOnce() -> Result<Client, String>) -> Result<&Client, String> {
    match cell.get() {
        Some(client) => Ok(client),
        None => make().map(|client| cell.get_or_init(|| client)),
    }
}

/// Trusts nobody: nothing is asked over TLS with it.
fn none() -> Result<ClientConfig, String> {
    Ok(builder()?.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

/// Trusts the system's authorities and those of the host.
fn config(own: Option<&Tls>) -> Result<ClientConfig, String> {
    let (mut roots, mut pinned) = (RootCertStore::empty(), Vec::new());
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    for path in own.iter().flat_map(|tls| &tls.authorities) {
        let wrong = |why: String| format!("{}: {why}", path.display());
        for authority in certificates(path).map_err(wrong)? {
            pinned.push(authority.clone());
            roots.add(authority).map_err(|error| wrong(error.to_string()))?;
        }
    }
    let usual =
        WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::new(ring::default_provider()));
    let nobody = "no authority is trusted: the system has none (ca-certificates), nor has the host's certs.d";
    let usual = usual.build().map_err(|_| nobody.to_owned())?;
    let verifier = Pinned { usual, certificates: pinned };
    let builder = builder()?.dangerous().with_custom_certificate_verifier(Arc::new(verifier));
    let Some((certificate, key)) = own.and_then(|tls| tls.client.as_ref()) else {
        return Ok(builder.with_no_client_auth());
    };
    let wrong = |why: String| format!("{}: {why}", certificate.display());
    let chain = certificates(certificate).map_err(wrong)?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| format!("{}: {error}", key.display()))?;
    builder.with_client_auth_cert(chain, key).map_err(|error| wrong(error.to_string()))
}

fn builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>, String> {
    ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())
}

fn certificates(path: &std::path::Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates: Result<Vec<_>, _> =
        CertificateDer::pem_file_iter(path).and_then(|certificates| certificates.collect());
    match certificates {
        Ok(none) if none.is_empty() => Err("has no certificate in it".into()),
        Ok(some) => Ok(some),
        Err(error) => Err(error.to_string()),
    }
}

/// What went wrong, from the outside in; without the address, whose query may be a secret.
pub(super) fn describe(error: &reqwest::Error) -> String {
    let mut parts = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        let text = next.to_string();
        // Each layer repeats what is below it.
        if parts.last() != Some(&text) {
            parts.push(text);
        }
        cause = next.source();
    }
    match parts.pop() {
        Some(innermost) => innermost,
        None if error.is_timeout() => "did not answer in time".into(),
        None if error.is_builder() => "the request cannot be made".into(),
        None => "the connection failed".into(),
    }
}
