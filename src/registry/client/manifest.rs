//! Manifests and indexes, byte for byte.

use larder_store::Digest;
use larder_store::json::MAX_DOCUMENT;
use larder_store::manifest::RawManifest;
use larder_store::media_type::{self, DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST};
use reqwest::Method;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};

use super::super::error::{Kind, Result, cleaned};
use super::Line;
use super::endpoint::{Answer, Ask};
use super::failure::{Asked, Failure};

/// The digest that a registry says its answer has.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// What is wrong with an answer in HTML.
pub(super) const PAGE: &str = "answers with a page for browsers";
pub(super) const PAGE_HINT: &str =
    "is this the registry's address, and is nothing in between that wants a login?";

/// Which manifest is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Which {
    /// What a tag is now.
    Tag(String),
    /// This one.
    Digest(Digest),
}

impl Which {
    pub(super) fn path(&self) -> String {
        match self {
            Which::Tag(tag) => format!("manifests/{tag}"),
            Which::Digest(digest) => format!("manifests/{digest}"),
        }
    }
}

/// What a registry says of a manifest without sending it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Head {
    /// Its digest, where the registry says it.
    pub(crate) digest: Option<Digest>,
}

impl Line {
    /// Asks what a manifest is, in one request.
    pub(crate) fn head(&self, which: &Which) -> Result<Head> {
        self.ask(async |endpoint, wire| {
            let ask = accepting(Method::HEAD, which);
            let patience = self.repository.patience.document;
            let answer = tokio::time::timeout(patience, endpoint.once(wire, &ask)).await;
            let answer = answer.unwrap_or_else(|_| Err(endpoint.asked(&ask).timed_out(patience)));
            match answer {
                Ok(Answer { response, asked }) => {
                    media_type_of(response.headers(), &asked)?;
                    Ok(Head { digest: digest_of(response.headers(), &asked)? })
                }
                // Who does not know HEAD may know GET.
                Err(failure) if failure.is_not_allowed() => Ok(Head { digest: None }),
                Err(failure) => Err(failure),
            }
        })
    }

    /// Fetches a manifest. One that is asked for by its digest has it.
    pub(crate) fn manifest(&self, which: &Which) -> Result<RawManifest> {
        self.ask(async |endpoint, wire| {
            let ask = accepting(Method::GET, which);
            let (answer, bytes) = self.document(endpoint, wire, &ask, MAX_DOCUMENT).await?;
            read(which, &answer, bytes)
        })
    }

    /// Like [`Line::manifest`]; `None` where there is none.
    pub(crate) fn manifest_if_there(&self, which: &Which) -> Result<Option<RawManifest>> {
        match self.manifest(which) {
            Err(error) if error.kind() == Some(Kind::Absent) => Ok(None),
            fetched => fetched.map(Some),
        }
    }
}

pub(super) fn accepting(method: Method, which: &Which) -> Ask {
    let types = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];
    Ask::new(method, which.path()).header(ACCEPT, &types.join(", "))
}

fn read(which: &Which, answer: &Answer, bytes: Vec<u8>) -> Result<RawManifest, Failure> {
    let (asked, headers) = (&answer.asked, answer.response.headers());
    let media_type = media_type_of(headers, asked)?;
    let got = Digest::of(&bytes);
    let announced = match which {
        Which::Digest(digest) => Some(*digest),
        Which::Tag(_) => digest_of(headers, asked)?,
    };
    if let Some(announced) = announced.filter(|announced| *announced != got) {
        return Err(asked.damaged(format!("digest mismatch: asked for {announced}, got {got}")));
    }
    RawManifest::parse(bytes, &media_type).map_err(|why| asked.damaged(why))
}

/// The media type of an answer: of a manifest or an index, or empty where it says none.
pub(super) fn media_type_of(headers: &HeaderMap, asked: &Asked) -> Result<String, Failure> {
    let Some(said) = headers.get(CONTENT_TYPE) else { return Ok(String::new()) };
    let said = String::from_utf8_lossy(said.as_bytes());
    let media_type = said.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if media_type::document_kind(&media_type).is_some() {
        return Ok(media_type);
    }
    let (why, hint) = match media_type.as_str() {
        "text/html" => (PAGE.to_owned(), PAGE_HINT),
        old if old.contains("manifest.v1") => (
            "has a manifest of an older schema (only version 2 is read)".to_owned(),
            "push the image again with a newer tool",
        ),
        other => (
            format!("answers with the media type {:?}, which is no manifest's", cleaned(other)),
            "is this an image?",
        ),
    };
    Err(asked.failed(Kind::Damaged, why, hint))
}

pub(super) fn digest_of(headers: &HeaderMap, asked: &Asked) -> Result<Option<Digest>, Failure> {
    let Some(said) = headers.get(CONTENT_DIGEST) else { return Ok(None) };
    let said = String::from_utf8_lossy(said.as_bytes());
    // A registry may have another algorithm for its own.
    if !said.starts_with("sha256:") {
        return Ok(None);
    }
    let wrong = |_| asked.damaged(format!("announces the digest {:?}, which is none", cleaned(&said)));
    said.trim().parse().map(Some).map_err(wrong)
}
