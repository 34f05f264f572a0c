//! The remote of the host's configuration: what another host made is taken from there.
//!
//! An image is asked for by the one name that it would get here. It says by its labels what it is, and is taken when that is what
//! is asked for; then it is looked into like one that was built here. One that will not do is as if it were not there, and a remote
//! that fails costs no job: the image is made here.

use std::cell::Cell;
use std::time::Duration;

use larder_store::archive::options::Named;
use larder_store::base::Base;
use larder_store::descriptor::{Annotations, Descriptor};
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::freshness::{Freshness, look_into};
use larder_store::ids::ImageId;
use larder_store::index::{self, Index, Tagged};
use larder_store::manifest::ImageConfig;
use larder_store::prune::Judged;
use larder_store::reference::Reference;
use serde_json::{Value, json};

use super::super::import::say_gone;
use super::super::pull;
use super::decide::Look;
use super::plan::{Plan, Words};
use crate::catalog::{Arch, Declared, labels};
use crate::cli::{Bar, CommandError, Context, Outcome, human, note};
use crate::registry::access;
use crate::registry::pull::{Seen, look};
use crate::registry::steps::StepCache;
use crate::registry::{self, Kind, Registries};

/// Blobs that are sent or fetched at a time.
pub(super) const JOBS: usize = 8;
/// A job waits no longer for a host that does not answer at all.
const CONNECT: Duration = Duration::from_secs(5);

/// The remote, where there is one.
pub(super) struct Remote {
    pub(super) place: access::Remote,
    pub(super) registries: Registries,
    /// Where steps of builds are shared.
    pub(super) steps: Option<StepCache>,
    /// Whether it failed before: then it is not asked again.
    pub(super) given_up: Cell<bool>,
}

/// An image that another host made.
pub(super) struct Fetched {
    pub(super) reference: Reference,
    /// Its name at the remote.
    from: Reference,
    digest: Digest,
    image_id: ImageId,
    displaced: Option<Digest>,
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
        let mut registries = pull::registries(context, false)?;
        let settings = &registries.settings;
        let Some(place) = settings.remote.clone().filter(|_| settings.offline.is_none()) else {
            return Ok(None);
        };
        registries.patience.connect = CONNECT;
        let steps = place.cache.clone().map(|at| StepCache::new(at, registries.clone()));
        Ok(Some(Remote { place, registries, steps, given_up: Cell::new(false) }))
    }

    /// Says what went wrong, once where it will go wrong again. A signal ends the job as well.
    pub(super) fn failed(&self, error: registry::Error, what: &str) -> Outcome {
        let again = match error.kind() {
            Some(Kind::Failed | Kind::Denied) => false,
            Some(_) => true,
            None => !matches!(error, registry::Error::Access(_)),
        };
        let error = CommandError::from(error);
        if error.is_stop() {
            return Err(error);
        }
        error.tell("");
        if again {
            note(format_args!("{what}"));
        } else {
            self.given_up.set(true);
            note(format_args!("{what}; the remote is not asked any more"));
        }
        Ok(())
    }
}

impl Look<'_> {
    /// The image at the remote, where it has one that will do.
    pub(super) fn fetch(&self, plan: &Plan) -> Outcome<Option<Fetched>> {
        let Some(remote) = self.remote.as_ref().filter(|remote| !remote.given_up.get()) else {
            return Ok(None);
        };
        let Some(from) = remote.place.place(&plan.reference) else { return Ok(None) };
        let made_here = format!("{}: is made here", plan.reference.familiar());
        let seen = match look(&remote.registries, &from) {
            Ok(Some(seen)) => seen,
            Ok(None) => return Ok(None),
            Err(error) => return remote.failed(error, &made_here).map(|()| None),
        };
        let refused = |why: &str| {
            note(format_args!("{}: {why}; it is not taken", from.familiar()));
            Ok(None)
        };
        let said = labels::said(&seen.config);
        let mut entry = match self.expected(plan, &seen, &said)? {
            Ok(entry) => entry,
            Err(why) => return refused(&why),
        };
        note(format_args!(
            "{} is fetched from {} ({})",
            plan.reference.familiar(),
            from.familiar(),
            human(seen.image.content_size())
        ));
        let image_id = seen.image.image_id();
        if let Err(error) = self.take(seen, &from) {
            return remote.failed(error, &made_here).map(|()| None);
        }
        // Without a name it may be gone already.
        let _protection = match self.store.protect(&[entry.digest.to_string()], "ensure") {
            Ok((protection, _)) => protection,
            Err(error) => return remote.failed(error.into(), &made_here).map(|()| None),
        };
        let declared = Declared::of(&said);
        let mut earlier = Words { packages: declared.packages.clone(), tools: declared.tools.clone() };
        earlier.leave_out(&plan.job);
        let looked = match self.look_into(plan, &earlier, &declared, &entry) {
            Err(error) if error.is_stop() => Err(error),
            Err(error) => Ok(Err(error.to_string())),
            Ok(looked) => Ok(looked.map_err(|fault| fault.why)),
        };
        let seen = match looked {
            Ok(Ok(seen)) => seen,
            // It came for nothing.
            Ok(Err(why)) => {
                self.forget(&entry, &from)?;
                return refused(&why);
            }
            Err(error) => {
                self.forget(&entry, &from)?;
                return Err(error);
            }
        };
        let mut annotations = seen.annotations();
        annotations.extend(said.get(index::DOCKERFILE).map(|by| (index::DOCKERFILE.to_owned(), by.clone())));
        if let Some(base) = Base::of(&said) {
            base.write(&mut annotations);
        }
        entry.annotations.extend(annotations);
        let digest = entry.digest;
        let tagged = self.store.edit(|index| {
            take_nameless(index, digest, &from);
            Ok(index.tag(&plan.reference, entry, super::super::now()))
        })?;
        let displaced = match tagged {
            Tagged::New | Tagged::Same => None,
            Tagged::Displaced(old) => Some(old),
        };
        if let Some(old) = displaced {
            let name = plan.reference.familiar();
            note(format_args!("{name} was {old}, which stays in the store without a name"));
        }
        Ok(Some(Fetched { reference: plan.reference.clone(), from, digest, image_id, displaced }))
    }

    /// The entry of an image that is what it is asked for by its own word; or why it will not do.
    fn expected(&self, plan: &Plan, seen: &Seen, said: &Annotations) -> Outcome<Result<Descriptor, String>> {
        let config = match ImageConfig::parse(&seen.config) {
            Ok(config) => config,
            Err(why) => return Ok(Err(format!("its config {why}"))),
        };
        let declared = Declared::of(said);
        let name = plan.declared.name();
        if name.is_none() || declared.name() != name {
            let asked = plan.reference.familiar_name();
            return Ok(Err(format!("its labels do not say that it is {asked}")));
        }
        let platform = config.platform();
        let is_for = |arch: &Arch| arch.as_str().split('/').next() == Some(platform.architecture.as_str());
        if !is_for(&plan.job.arch) {
            return Ok(Err(format!("is for {platform}, and not for {}", plan.job.arch)));
        }
        let made_by = plan.source.path().map(|_| Digest::of(plan.source.text().as_bytes()).to_string());
        if made_by.is_some() && said.get(index::DOCKERFILE) != made_by.as_ref() {
            return Ok(Err("was made by another Dockerfile".to_owned()));
        }
        let packages = plan.job.packages.iter().filter(|word| !declared.packages.contains(word));
        let tools = plan.job.tools.iter().filter(|word| !declared.tools.contains(word));
        let lacks: Vec<_> = packages.chain(tools).map(ToString::to_string).collect();
        if !lacks.is_empty() {
            return Ok(Err(format!("its labels do not say that it has {}", lacks.join(", "))));
        }
        let base = Base::of(said);
        if let Some(query) = &self.args.base {
            let asked = Base::from_entry(&self.store.resolve(&self.store.index()?, query)?)?.name;
            if base.as_ref().is_none_or(|base| base.name != asked) {
                return Ok(Err(format!("its labels do not say that it is made on {}", asked.familiar())));
            }
        }
        let mut entry = seen.manifest.descriptor();
        entry.platform = Some(platform);
        let now = super::super::now();
        entry.annotations = [
            (index::IMPORTED, index::timestamp(now)),
            (index::ORIGIN, seen.reference.full()),
            (index::SIZE, seen.image.content_size().to_string()),
            (index::IMAGE_ID, seen.image.image_id().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        // By the name that it would have here: rules are by names.
        let mut named = entry.clone();
        named.annotations.insert(index::REF_NAME.to_owned(), plan.reference.familiar());
        if let Some(base) = base {
            base.write(&mut named.annotations);
        }
        let looked = match look_into(&named, &seen.manifest, &seen.config) {
            Ok(looked) => looked,
            Err(error) => return Ok(Err(error.to_string())),
        };
        let index = self.store.index()?;
        // What cannot be read of a base here is not known to have moved.
        let stale = Freshness::new(self.store, &index, self.policy, now).judge(&named, &looked);
        Ok(match stale.ok().flatten() {
            Some(stale) => Err(format!("is stale ({stale})")),
            None => Ok(entry),
        })
    }

    fn take(&self, seen: Seen, from: &Reference) -> Result<(), registry::Error> {
        let bar = Bar::new(&from.familiar());
        let made_room = |gone: &[Judged]| bar.suspended(|| gone.iter().for_each(say_gone));
        let watch = |event| bar.on(event);
        let options = pull::options(self.context, false, &Named::as_it_is, &made_room, &watch);
        let notice = |notice| bar.suspended(|| pull::say(notice));
        seen.take(self.store, JOBS, &notice, &options).map(drop)
    }

    /// Lets an image go that came without a name.
    fn forget(&self, entry: &Descriptor, from: &Reference) -> Result<(), Error> {
        self.store.edit(|index| {
            if take_nameless(index, entry.digest, from) {
                self.store.release(&[entry.digest])?;
            }
            Ok(())
        })
    }
}

/// Takes the nameless entry of an image that came from there; whether there was one.
fn take_nameless(index: &mut Index, digest: Digest, from: &Reference) -> bool {
    let origin = from.full();
    let gone = index.take(|entry| {
        entry.digest == digest
            && entry.annotation(index::REF_NAME).is_none()
            && entry.annotation(index::WAS).is_none()
            && entry.annotation(index::ORIGIN) == Some(&origin)
    });
    !gone.is_empty()
}
