//! Taking tags and manifests away (distribution specification, "Content Management"). Registries may know none of it, tags alone, or
//! manifests alone.

use std::sync::Arc;

use larder_store::reference::Reference;
use reqwest::{Method, StatusCode};

use super::super::Registries;
use super::super::error::{Error, Result};
use super::backoff::Again;
use super::endpoint::Ask;
use super::manifest::Which;
use super::push::refused;
use super::{Line, Repository};

/// What became of a tag or a manifest that was to go.
#[derive(Debug)]
pub(crate) enum Deletion {
    /// It is gone.
    Done,
    /// It was gone before.
    NotThere,
    /// The registry deletes nothing that is named so.
    Unsupported(Error),
    /// It does not delete this: it is protected, or this user may not.
    Refused(Error),
}

impl Repository {
    /// A repository to take something away from: a token has to be good for that too. Nobody but the registry itself is asked.
    pub(crate) fn for_deletion(reference: &Reference, registries: &Registries) -> Result<Arc<Repository>> {
        let scope = format!("repository:{}:pull,push,delete", reference.path());
        Repository::alone(reference, registries, scope)
    }
}

impl Line {
    /// Takes a tag away, or a manifest with all tags that mean it.
    pub(crate) fn delete_manifest(&self, which: &Which) -> Result<Deletion> {
        self.ask(async |endpoint, wire| {
            let failure = match self.short(endpoint, wire, &Ask::new(Method::DELETE, which.path())).await {
                Ok(_) => return Ok(Deletion::Done),
                Err(failure) => failure,
            };
            if failure.is_absent() {
                return Ok(Deletion::NotThere);
            }
            // Docker's registry calls a tag a wrong digest.
            let unknown =
                [StatusCode::BAD_REQUEST, StatusCode::METHOD_NOT_ALLOWED, StatusCode::NOT_IMPLEMENTED];
            let is_unknown = match &failure.error {
                Error::Request(failed) => {
                    unknown.iter().any(|status| failed.why.starts_with(status.as_str()))
                }
                _ => false,
            };
            match (is_unknown, failure.again) {
                (true, _) => Ok(Deletion::Unsupported(failure.error)),
                (false, Again::Never) if matches!(failure.error, Error::Request(_)) => {
                    Ok(Deletion::Refused(refused(failure, endpoint).error))
                }
                (false, _) => Err(refused(failure, endpoint)),
            }
        })
    }
}
