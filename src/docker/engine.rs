//! A Docker engine, over its API on a socket.

use std::future::Future;
use std::io::ErrorKind;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use bollard::errors::Error as ApiError;
use bollard::query_parameters::{
    ListContainersOptions, ListImagesOptions, RemoveImageOptions, TagImageOptions,
};
use larder_store::Error as StoreError;
use larder_store::cancel::Cancel;
use larder_store::descriptor::Platform;
use larder_store::digest::Digest;
use larder_store::ids::DiffId;
use larder_store::reference::Reference;
use tokio::runtime::Runtime;

use super::error::{Error, Result};

/// For everything but a load.
const TIMEOUT: Duration = Duration::from_secs(120);
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";

/// How an engine keeps images.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ImageStore {
    /// Graph driver: images are known by their config, layers by their chain ID.
    Graph,
    /// containerd: images are known by their manifest, layers by the digest of the compressed blob.
    Containerd,
}

impl std::fmt::Display for ImageStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            ImageStore::Graph => "graph driver",
            ImageStore::Containerd => "containerd",
        })
    }
}

/// A connected engine.
pub(crate) struct Engine {
    pub(super) api: bollard::Docker,
    pub(super) runtime: Runtime,
    /// Where it answers.
    pub(crate) host: String,
    /// Its own identity, which outlives a restart.
    pub(crate) id: String,
    /// `28.5.2`.
    pub(crate) version: String,
    /// How it keeps images.
    pub(crate) image_store: ImageStore,
    /// What it runs.
    pub(crate) platform: Platform,
}

/// An image as an engine sees it.
#[derive(Debug, Clone)]
pub(crate) struct Inspected {
    /// Config digest on a graph driver, manifest digest on containerd.
    pub(crate) id: String,
    pub(crate) os: String,
    pub(crate) architecture: String,
    pub(crate) diff_ids: Vec<DiffId>,
    /// Its names, as people type them.
    pub(crate) names: Vec<String>,
    /// What it was pulled by: `NAME@DIGEST`.
    pub(crate) digests: Vec<String>,
    /// Bytes that the engine says it has.
    pub(crate) size: Option<u64>,
    /// When its newest name was given, in the engine's words; a graph driver does not count what it loads.
    pub(crate) last_tagged: Option<String>,
}

impl Engine {
    /// Connects where act would: `DOCKER_HOST`, else the default socket.
    pub(crate) fn connect(cancel: &Cancel) -> Result<Engine> {
        Engine::connect_within(TIMEOUT, cancel)
    }

    /// The same for those who are not to wait long where it hangs: its first answers must come so soon.
    pub(crate) fn connect_within(patience: Duration, cancel: &Cancel) -> Result<Engine> {
        let host = std::env::var("DOCKER_HOST")
            .ok()
            .filter(|host| !host.is_empty())
            .unwrap_or_else(|| DEFAULT_HOST.into());
        let wrong = |e: ApiError| unreachable(&host, &e);
        let seconds = patience.as_secs();
        let version = bollard::API_DEFAULT_VERSION;
        let api = if let Some(path) = host.strip_prefix("unix://") {
            knock(path, &host)?;
            bollard::Docker::connect_with_unix(path, seconds, version).map_err(wrong)?
        } else if host.starts_with("tcp://") || host.starts_with("http://") {
            if std::env::var("DOCKER_TLS_VERIFY").is_ok_and(|value| !value.is_empty()) {
                let hint = "use the engine's unix socket, or forward it: ssh -L /tmp/docker.sock:/var/run/docker.sock HOST";
                return Err(Error::Unreachable {
                    host,
                    why: "TLS (DOCKER_TLS_VERIFY) is not supported yet".into(),
                    hint,
                });
            }
            bollard::Docker::connect_with_http(&host, seconds, version).map_err(wrong)?
        } else {
            let hint = "DOCKER_HOST may be unix:///PATH or tcp://HOST:PORT";
            return Err(Error::Unreachable {
                host,
                why: "this form of address is not supported".into(),
                hint,
            });
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(StoreError::io("start the runtime for", &host))?;
        let api = within(&runtime, cancel, api.negotiate_version())?.map_err(wrong)?;
        let info = within(&runtime, cancel, api.info())?.map_err(wrong)?;
        let api = api.with_timeout(TIMEOUT);
        let status = info.driver_status.unwrap_or_default();
        let is_containerd = status.iter().flatten().any(|text| text.starts_with("io.containerd.snapshotter"));
        let architecture = match info.architecture.unwrap_or_default().as_str() {
            "x86_64" => "amd64".to_owned(),
            "aarch64" => "arm64".to_owned(),
            "armv6l" | "armv7l" => "arm".to_owned(),
            "i386" | "i686" => "386".to_owned(),
            other => other.to_owned(),
        };
        Ok(Engine {
            api,
            runtime,
            host,
            id: info.id.filter(|id| !id.is_empty()).unwrap_or_else(|| "unknown".into()),
            version: info.server_version.unwrap_or_default(),
            image_store: if is_containerd { ImageStore::Containerd } else { ImageStore::Graph },
            platform: Platform {
                architecture,
                os: info.os_type.unwrap_or_else(|| "linux".into()),
                ..Platform::default()
            },
        })
    }

    /// Whether its `docker load` reads zstd layers: since 23.0.
    pub(crate) fn reads_zstd(&self) -> bool {
        self.version
            .split('.')
            .next()
            .and_then(|major| major.parse().ok())
            .is_some_and(|major: u32| major >= 23)
    }

    /// Looks an image up by name or ID; `None` where it is not there. Never pulls.
    pub(crate) fn inspect(&self, name: &str, cancel: &Cancel) -> Result<Option<Inspected>> {
        match within(&self.runtime, cancel, self.api.inspect_image(name))? {
            Ok(image) => {
                let layers = image.root_fs.and_then(|root| root.layers).unwrap_or_default();
                Ok(Some(Inspected {
                    id: image.id.unwrap_or_default(),
                    os: image.os.unwrap_or_default(),
                    architecture: image.architecture.unwrap_or_default(),
                    diff_ids: layers.iter().filter_map(|layer| layer.parse().ok().map(DiffId)).collect(),
                    names: image.repo_tags.unwrap_or_default(),
                    digests: image.repo_digests.unwrap_or_default(),
                    size: image.size.and_then(|size| u64::try_from(size).ok()),
                    last_tagged: image.metadata.and_then(|metadata| metadata.last_tag_time),
                }))
            }
            Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Ok(None),
            Err(error) => Err(self.failed(&format!("inspect {name}"), &error)),
        }
    }

    /// The IDs of all its images.
    pub(crate) fn image_ids(&self, cancel: &Cancel) -> Result<Vec<Digest>> {
        let all = ListImagesOptions { all: true, ..ListImagesOptions::default() };
        let images = within(&self.runtime, cancel, self.api.list_images(Some(all)))?
            .map_err(|e| self.failed("list images", &e))?;
        Ok(images.iter().filter_map(|image| image.id.parse().ok()).collect())
    }

    /// The images of all its containers, running or not: the name of a container by the ID of its image.
    pub(crate) fn containers(&self, cancel: &Cancel) -> Result<Vec<(String, String)>> {
        let all = ListContainersOptions { all: true, ..ListContainersOptions::default() };
        let listed = within(&self.runtime, cancel, self.api.list_containers(Some(all)))?
            .map_err(|e| self.failed("list containers", &e))?;
        let mut found = Vec::new();
        for container in listed {
            let name = container.names.and_then(|names| names.into_iter().next()).or(container.id);
            let name = name.unwrap_or_default().trim_start_matches('/').to_owned();
            let manifest = container.image_manifest_descriptor.and_then(|manifest| manifest.digest);
            let images = [container.image_id, manifest].into_iter().flatten();
            found.extend(images.map(|image| (image, name.clone())));
        }
        Ok(found)
    }

    /// Takes a name away; the image goes with its last one, unless a container uses it. By its ID an image goes with
    /// the one name that it has; where it has more, or a container, the engine refuses, and nothing changes.
    pub(crate) fn remove(&self, name: &str, cancel: &Cancel) -> Result<()> {
        // Images that it was built on are not ours to take.
        let gently = RemoveImageOptions { force: false, noprune: true, platforms: None };
        match within(&self.runtime, cancel, self.api.remove_image(name, Some(gently), None))? {
            Ok(_) | Err(ApiError::DockerResponseServerError { status_code: 404, .. }) => Ok(()),
            Err(error) => Err(self.failed(&format!("remove {name}"), &error)),
        }
    }

    /// Gives an image that is there a name.
    pub(crate) fn tag(&self, id: &str, name: &Reference, cancel: &Cancel) -> Result<()> {
        let tag = TagImageOptions { repo: Some(name.familiar_name()), tag: name.tag().map(str::to_owned) };
        within(&self.runtime, cancel, self.api.tag_image(id, Some(tag)))?
            .map_err(|e| self.failed(&format!("tag {name}"), &e))
    }

    /// A request that the engine did not fulfil.
    pub(super) fn failed(&self, what: &str, error: &ApiError) -> Error {
        Error::Request { host: self.host.clone(), what: what.to_owned(), why: describe(error) }
    }
}

/// Runs one request, unless a signal comes first.
pub(super) fn within<F: Future>(runtime: &Runtime, cancel: &Cancel, work: F) -> Result<F::Output> {
    runtime.block_on(async {
        let raised = async {
            while !cancel.is_raised() {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            done = work => Ok(done),
            () = raised => Err(StoreError::Interrupted.into()),
        }
    })
}

/// The API's error without its own preamble.
pub(super) fn describe(error: &ApiError) -> String {
    match error {
        ApiError::DockerResponseServerError { status_code, message } => {
            format!("{message} (HTTP {status_code})")
        }
        ApiError::DockerStreamError { error } => error.clone(),
        ApiError::RequestTimeoutError => "it did not answer in time".into(),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(next) = cause {
                text = format!("{text}: {next}");
                cause = next.source();
            }
            text
        }
    }
}

fn unreachable(host: &str, error: &ApiError) -> Error {
    Error::Unreachable {
        host: host.to_owned(),
        why: describe(error),
        hint: "is it running? DOCKER_HOST says where it is",
    }
}

/// Opens the socket once, because the reason why it cannot be opened is what people need to know.
fn knock(path: &str, host: &str) -> Result<()> {
    let Err(error) = UnixStream::connect(path) else { return Ok(()) };
    let hint = match error.kind() {
        ErrorKind::PermissionDenied => {
            "this user may not use it: add it to the group `docker`, or run as root"
        }
        ErrorKind::NotFound => "there is no such socket: start the engine, or say in DOCKER_HOST where it is",
        _ => "the engine is not running: start it, or say in DOCKER_HOST where it is",
    };
    Err(Error::Unreachable { host: host.to_owned(), why: error.to_string(), hint })
}
