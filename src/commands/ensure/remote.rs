//! The remote of the host's configuration: what another host made is taken from there.
//!
//! An image is asked for by the one name that it would get here. It says by its labels what it is, and is taken when that is what
//! is asked for; then it is looked into like one that was built here. One that will not do is as if it were not there, and a remote
//! that fails costs no job: the image is made here.

use std::cell::Cell;

use larder_store::digest::Digest;
use larder_store::ids::ImageId;
use larder_store::reference::Reference;
use serde_json::{Value, json};

use super::super::pull;
use crate::cli::{CommandError, Context, Outcome, note};
use crate::registry::access;
use crate::registry::steps::StepCache;
use crate::registry::{self, Kind, Patience, Registries};

/// Blobs that are sent or fetched at a time.
pub(super) const JOBS: usize = 8;

/// The remote, where there is one.
pub(super) struct Remote {
    pub(super) place: access::Remote,
    pub(super) registries: Registries,
    /// Where steps of builds are shared.
    pub(super) steps: Option<StepCache>,
    /// Whether it said no before: then it is not asked again.
    refused: Cell<bool>,
}

/// An image that another host made.
pub(super) struct Fetched {
    pub(super) reference: Reference,
    /// Its name at the remote.
    pub(super) from: Reference,
    pub(super) digest: Digest,
    pub(super) image_id: ImageId,
    pub(super) displaced: Option<Digest>,
}

impl Fetched {
    /// For programs; docs/json.md has the fields.
    pub(super) fn value(&self) -> Value {
        json!({
            "name": self.reference.familiar(),
            "built": false,
            "stale": null,
            "fetched": self.from.familiar(),
            "digest": self.digest,
            "image_id": self.image_id,
            "displaced": self.displaced,
        })
    }
}

impl Remote {
    /// As the host's configuration has it; none where no request may leave.
    pub(super) fn of(context: &Context) -> Outcome<Option<Remote>> {
        let mut registries = pull::registries(context, &Default::default())?;
        let settings = &registries.settings;
        let Some(place) = settings.remote.clone().filter(|_| settings.offline.is_none()) else {
            return Ok(None);
        };
        registries.patience = Patience::brief();
        let steps = place.cache.clone().map(|at| StepCache::new(at, registries.clone()));
        Ok(Some(Remote { place, registries, steps, refused: Cell::new(false) }))
    }

    /// The host, with its port.
    fn host(&self) -> &str {
        self.place.repository.split('/').next().unwrap_or_default()
    }

    /// Whether it is not asked any more.
    pub(super) fn is_given_up(&self) -> bool {
        self.refused.get() || self.registries.given_up.has(self.host())
    }

    /// Says what went wrong, once where it will go wrong again. A signal ends the job as well.
    pub(super) fn failed(&self, error: registry::Error, what: &str) -> Outcome {
        let (is_silent, is_refused) = match error.kind() {
            Some(kind) => (matches!(kind, Kind::Failed | Kind::Unanswered), kind == Kind::Denied),
            None => (false, matches!(error, registry::Error::Access(_))),
        };
        let error = CommandError::from(error);
        if error.is_stop() {
            return Err(error);
        }
        error.tell("");
        if is_silent {
            self.registries.given_up.note(self.host());
        }
        self.refused.set(self.refused.get() || is_refused);
        match self.is_given_up() {
            true => note(format_args!("{what}; the remote is not asked any more")),
            false => note(format_args!("{what}")),
        }
        Ok(())
    }
}
