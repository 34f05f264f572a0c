//! Taking an image that another host made: seen, judged by what it says of itself, fetched, and looked into.

use larder_store::archive::options::Named;
use larder_store::base::Base;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error;
use larder_store::index::{self, Index, Tagged};
use larder_store::prune::Judged;
use larder_store::reference::Reference;

use super::super::import::say_gone;
use super::super::pull;
use super::decide::{Decision, Earlier, Look};
use super::expected::Expected;
use super::plan::{Plan, Words};
use super::remote::{Fetched, JOBS};
use crate::catalog::{Declared, Requirements, labels};
use crate::cli::{Bar, Outcome, human, note};
use crate::registry;
use crate::registry::pull::{Seen, look};

impl Look<'_> {
    /// The image at the remote, where it has one that will do.
    pub(super) fn fetch(&self, plan: &Plan) -> Outcome<Option<Fetched>> {
        let Some(remote) = self.remote.as_ref().filter(|remote| !remote.is_given_up()) else {
            return Ok(None);
        };
        let Some(from) = remote.place.place(&plan.reference) else { return Ok(None) };
        self.clear_up(&from)?;
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
            Expected::Entry(entry) => *entry,
            Expected::Refused(why) => return refused(&why),
            Expected::Lacks(why, has) => {
                *self.theirs.borrow_mut() = Some((plan.reference.clone(), has.checked()));
                return refused(&why);
            }
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
                self.forget(entry.digest, &from)?;
                return refused(&why);
            }
            Err(error) => {
                self.forget(entry.digest, &from)?;
                return Err(error);
            }
        };
        let mut annotations = seen.annotations();
        for key in [index::DOCKERFILE, index::MADE_OF] {
            annotations.extend(said.get(key).map(|by| (key.to_owned(), by.clone())));
        }
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

    /// The plan with what the image at the remote has, where that can be had too.
    pub(super) fn with_theirs(
        &self,
        job: &Requirements,
        earlier: Earlier,
        plan: Box<Plan>,
    ) -> Outcome<Box<Plan>> {
        if self.theirs_of(&plan.reference).is_empty() {
            return Ok(plan);
        }
        match self.decide_here(job, earlier) {
            Ok(Decision::Build(more)) if more.reference == plan.reference => Ok(more),
            Err(error) if error.is_stop() => Err(error),
            _ => {
                self.theirs.take();
                Ok(plan)
            }
        }
    }

    /// What the image of a name has at the remote, for people.
    pub(super) fn theirs_of(&self, reference: &Reference) -> String {
        let theirs = self.theirs.borrow();
        let theirs = theirs.as_ref().filter(|(of, _)| of == reference);
        theirs.map(|(_, words)| words.to_string()).unwrap_or_default()
    }

    /// Lets an image go that came from there and never got its name: whoever fetched it was killed.
    fn clear_up(&self, from: &Reference) -> Result<(), Error> {
        let origin = from.full();
        let is_left = |entry: &&Descriptor| is_nameless(entry, &origin);
        let left: Vec<_> =
            self.store.index()?.entries().iter().filter(is_left).map(|entry| entry.digest).collect();
        left.into_iter().try_for_each(|digest| self.forget(digest, from))
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
    fn forget(&self, digest: Digest, from: &Reference) -> Result<(), Error> {
        self.store.edit(|index| {
            if take_nameless(index, digest, from) {
                self.store.release(&[digest])?;
            }
            Ok(())
        })
    }
}

/// Takes the nameless entry of an image that came from there; whether there was one.
fn take_nameless(index: &mut Index, digest: Digest, from: &Reference) -> bool {
    let origin = from.full();
    let gone = index.take(|entry| entry.digest == digest && is_nameless(entry, &origin));
    !gone.is_empty()
}

/// Whether an entry is of an image that came from there and has no name yet. Nobody has pinned it, either.
fn is_nameless(entry: &Descriptor, origin: &str) -> bool {
    let lacks = |key: &str| entry.annotation(key).is_none();
    [index::REF_NAME, index::WAS, index::PINNED].into_iter().all(lacks)
        && entry.annotation(index::ORIGIN).is_some_and(|from| from == origin)
}
