//! How a registry's host is asked: with which credentials, which certificates, and which other hosts are asked before it.
//!
//! [`access`] answers that for a host from what this machine's user and administrator wrote down: docker's and podman's
//! files of credentials and their helpers, `certs.d`, and larder's own configuration. It opens no connection. A store's
//! configuration has no part in it: a store that was copied may be hostile.

mod certs;
mod config;
mod edit;
mod error;
mod files;
mod find;
mod helper;
mod host;
mod login;
mod secret;
mod settings;
mod talk;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use larder_store::cancel::Cancel;

pub(crate) use error::{Error, Result};
pub(crate) use find::{Source, sources};
pub(crate) use host::{HUB, is_host, normal};
pub(crate) use login::Keeper;
pub(crate) use secret::Secret;
pub(crate) use settings::{Remote, cache, paths as settings_paths, settings};

/// How a host is asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Access {
    /// Who asks.
    pub(crate) credentials: Credentials,
    /// Where the credentials were found, for messages such as "the credentials of ~/.docker/config.json were refused".
    pub(crate) credentials_from: Option<String>,
    /// Whom to trust, and how to show who is asking.
    pub(crate) tls: Tls,
    /// Whether the host is asked over plain HTTP, and not over TLS: `--plain-http` was given. What a loopback host may
    /// do beyond that is the client's rule.
    pub(crate) plain_http: bool,
    /// Which hosts are asked before this one, in this order; each has an [`Access`] of its own, with no further mirrors.
    pub(crate) mirrors: Vec<Mirror>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Credentials {
    /// Nobody in particular.
    Anonymous,
    /// A user: for basic authentication, and for the service that gives tokens.
    Basic { user: String, password: Secret },
    /// What the service that gives tokens takes for a password: an OAuth 2 refresh token.
    IdentityToken(Secret),
    /// A token that the registry takes as it is.
    Bearer(Secret),
}

impl Credentials {
    /// What nobody else may see.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &str> {
        let secret = match self {
            Credentials::Anonymous => None,
            Credentials::Basic { password: secret, .. }
            | Credentials::IdentityToken(secret)
            | Credentials::Bearer(secret) => Some(secret.reveal()),
        };
        secret.into_iter()
    }
}

/// Certificates and keys, PEM in files that are there.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tls {
    /// Authorities that are trusted beside those of the system.
    pub(crate) authorities: Vec<PathBuf>,
    /// The certificate of the client, and its key.
    pub(crate) client: Option<(PathBuf, PathBuf)>,
}

/// A host that is asked before another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    /// The host, with its port where it has one: `mirror.example.com:5000`.
    pub(crate) host: String,
    /// What stands before the name of each repository there, without slashes at its ends: empty, or `proxy/hub`.
    pub(crate) prefix: String,
}

impl Mirror {
    /// The name that a repository has at the mirror.
    pub(crate) fn repository(&self, repository: &str) -> String {
        match self.prefix.as_str() {
            "" => repository.to_owned(),
            prefix => format!("{prefix}/{repository}"),
        }
    }
}

/// What this host's configuration and the command line say about registries.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Settings {
    /// The file that says `offline = true`, where one does: no request leaves.
    pub(crate) offline: Option<PathBuf>,
    /// By host: which hosts are asked before it, in this order.
    pub(crate) mirrors: BTreeMap<String, Vec<Mirror>>,
    /// Where this host shares images with others.
    pub(crate) remote: Option<Remote>,
    /// Public keys whose signatures are trusted, as they are written, each with the file that says so.
    pub(crate) trusted_keys: Vec<(PathBuf, String)>,
    /// The file that says `require_signature = true`, where one does.
    pub(crate) signatures_required_by: Option<PathBuf>,
    /// `--plain-http`: no file says it.
    pub(crate) plain_http: PlainHttp,
}

/// Which hosts are asked over plain HTTP though they are not on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum PlainHttp {
    #[default]
    None,
    /// All that are asked for; no mirrors.
    All,
    /// These, with their ports where they have some.
    These(Vec<String>),
}

impl PlainHttp {
    /// Whether it was said of this host by its name.
    pub(crate) fn names(&self, host: &str) -> bool {
        matches!(self, PlainHttp::These(hosts) if hosts.iter().any(|named| normal(named) == normal(host)))
    }

    /// Whether it holds for a host that somebody asks for.
    pub(crate) fn holds(&self, host: &str) -> bool {
        *self == PlainHttp::All || self.names(host)
    }
}

impl Settings {
    /// Refuses to ask a host where no request may leave.
    pub(crate) fn may_ask(&self, host: &str) -> Result<()> {
        match &self.offline {
            Some(file) => Err(Error::Offline { host: host.to_owned(), file: file.display().to_string() }),
            None => Ok(()),
        }
    }
}

/// Where the files are that say how hosts are asked: paths and variables of the process, handed in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Environment {
    /// `/etc`.
    pub(crate) etc: PathBuf,
    /// `HOME`.
    pub(crate) home: Option<PathBuf>,
    /// `XDG_CONFIG_HOME`.
    pub(crate) config_home: Option<PathBuf>,
    /// `XDG_RUNTIME_DIR`.
    pub(crate) runtime_dir: Option<PathBuf>,
    /// The user's number.
    pub(crate) user: u32,
    /// `DOCKER_CONFIG`: a directory.
    pub(crate) docker_config: Option<PathBuf>,
    /// `REGISTRY_AUTH_FILE`.
    pub(crate) registry_auth_file: Option<PathBuf>,
    /// `DOCKER_AUTH_CONFIG`: not the name of a file, but what would stand in it.
    pub(crate) docker_auth_config: Option<Secret>,
    /// `PATH`: where credential helpers are.
    pub(crate) path: OsString,
}

impl Environment {
    /// From variables by their names. Empty ones count as not set, and directories of XDG that are not absolute too, as
    /// its specification has it.
    pub(crate) fn new(user: u32, variable: impl Fn(&str) -> Option<OsString>) -> Environment {
        let set = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let absolute = |name| set(name).filter(|path| path.is_absolute());
        Environment {
            user,
            etc: "/etc".into(),
            home: absolute("HOME"),
            config_home: absolute("XDG_CONFIG_HOME"),
            runtime_dir: absolute("XDG_RUNTIME_DIR"),
            docker_config: set("DOCKER_CONFIG"),
            registry_auth_file: set("REGISTRY_AUTH_FILE"),
            docker_auth_config: variable(files::VARIABLE)
                .map(|text| text.to_string_lossy().into_owned())
                .filter(|text| !text.trim().is_empty())
                .map(Secret::new),
            path: variable("PATH").unwrap_or_default(),
        }
    }

    /// Where podman and skopeo keep what holds until the user logs out or the machine is started again.
    fn containers_run(&self) -> PathBuf {
        match &self.runtime_dir {
            Some(dir) => dir.join("containers"),
            None => format!("/run/containers/{}", self.user).into(),
        }
    }
}

/// How a host is asked for a repository. `docker.io` is meant by that name, whatever the host that is really asked is
/// called; `repository` is what follows the host in a reference (`library/debian`), as credentials may be for a part of a
/// host alone. Runs a credential helper where one is configured, for a minute at the most, and not beyond a signal.
///
/// Errors: the host's configuration says `offline = true`; a file is damaged; a helper fails.
pub(crate) fn access(
    host: &str,
    repository: &str,
    settings: &Settings,
    environment: &Environment,
    cancel: &Cancel,
) -> Result<Access> {
    cancel.check()?;
    settings.may_ask(host)?;
    let host = &normal(host);
    let (credentials, credentials_from) = find::credentials(host, repository, environment, cancel)?;
    let mirrors = settings.mirrors.get(host).cloned().unwrap_or_default();
    Ok(Access { credentials_from, mirrors, ..with_credentials(host, credentials, settings, environment)? })
}

/// How a host itself is asked with credentials that are not kept yet; what is kept does not count.
pub(crate) fn with_credentials(
    host: &str,
    credentials: Credentials,
    settings: &Settings,
    environment: &Environment,
) -> Result<Access> {
    settings.may_ask(host)?;
    Ok(Access {
        credentials,
        credentials_from: None,
        tls: certs::of(&normal(host), environment)?,
        plain_http: settings.plain_http.holds(host),
        mirrors: Vec::new(),
    })
}
