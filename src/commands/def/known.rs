//! Whether an image is what its definition would make of it now.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::index::{self, Index};
use larder_store::reference::Reference;
use larder_store::store::Store;
use serde_json::json;

use crate::build::engine::{self, Request};
use crate::cli::Outcome;
use crate::def::labels::Origin;

/// Changes when larder makes another image of the same definition.
const VERSION: u32 = 1;

/// What an image of a definition is made of: its Dockerfile and files, labels that are said, and the images that it begins with or copies from
/// as the store has them. `None` where one of those is missing.
pub(super) fn key(
    request: &Request<'_>,
    labels: &BTreeMap<String, String>,
    index: &Index,
    cancel: &Cancel,
) -> Outcome<Option<Digest>> {
    let mut bases = Vec::new();
    for name in engine::images(request)? {
        match index.resolve(&name) {
            Ok(entry) => bases.push((name, entry.digest.to_string())),
            Err(_) => return Ok(None),
        }
    }
    let made_of = engine::made_of(request, cancel)?.to_string();
    let text = json!([VERSION, made_of, labels, bases]);
    Ok(Some(Digest::of(text.to_string().as_bytes())))
}

/// The image that was made of the same under this name, if it is whole.
pub(super) fn unchanged(
    store: &Store,
    index: &Index,
    reference: &Reference,
    key: Option<&Digest>,
) -> Result<Option<Descriptor>, Error> {
    let Some(key) = key.map(Digest::to_string) else { return Ok(None) };
    let is_it = |entry: &&Descriptor| entry.annotation(index::DEFINITION) == Some(&key);
    let Some(entry) = index.named(reference).find(is_it) else { return Ok(None) };
    Ok(store.is_whole(&entry.digest)?.then(|| entry.clone()))
}

/// What git says of the folder's history, where there is git and a history.
pub(super) fn origin(project: &Path) -> Origin {
    let is_history = |dir: &Path| dir.join(".git").exists();
    if !project.canonicalize().is_ok_and(|project| project.ancestors().any(is_history)) {
        return Origin::default();
    }
    let ask = |args: &[&str]| {
        let mut git = Command::new("git");
        git.arg("-C").arg(project).args(args).stdin(Stdio::null()).stderr(Stdio::null());
        let output = git.output().ok().filter(|output| output.status.success())?;
        let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
        Some(text).filter(|text| !text.is_empty() && text.len() < 4096 && !text.chars().any(char::is_control))
    };
    Origin { revision: ask(&["rev-parse", "HEAD"]), remote: ask(&["remote", "get-url", "origin"]) }
}
