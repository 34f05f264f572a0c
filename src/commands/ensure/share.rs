//! What is made here goes to the remote, where the host's configuration says so. Whether that goes well is nothing to the job.

use larder_store::digest::Digest;
use larder_store::reference::Reference;

use super::super::build::share;
use super::decide::Look;
use super::remote::{JOBS, Remote};
use crate::cli::{Bar, Outcome, fail, human, note};
use crate::registry::push::{Delivery, Layers, Parcel, Request};
use crate::registry::steps::{Known, StepCache};

impl Look<'_> {
    /// Where steps come from that other hosts have done.
    pub(super) fn steps(&self) -> Option<&StepCache> {
        self.remote.as_ref()?.steps.as_ref()
    }

    /// Shares steps of a build, where the configuration says so.
    pub(super) fn share_steps(&self, known: &[Known]) -> Outcome {
        match (self.steps(), &self.remote) {
            (Some(steps), Some(remote)) if remote.place.push => {
                share(self.store, steps, known, &self.context.cancel)
            }
            _ => Ok(()),
        }
    }

    /// Shares the image of this digest, which was made here for this name, where the configuration says so: the name may mean another
    /// one by now. Whether that goes well is nothing to the job.
    pub(super) fn share(&self, reference: &Reference, digest: &Digest) -> Outcome {
        let is_on = |remote: &&Remote| remote.place.push;
        let Some(remote) = self.remote.as_ref().filter(is_on) else { return Ok(()) };
        let Some(to) = remote.place.place(reference) else { return Ok(()) };
        let name = reference.familiar();
        if remote.is_given_up() {
            note(format_args!("{name}: is not shared, as the remote is not asked any more"));
            return Ok(());
        }
        let not_shared = format!("{name}: is not shared");
        let protected = self.store.protect(&[digest.to_string()], "ensure");
        let (_protection, root) = match protected {
            Ok((protection, mut entries)) => (protection, entries.pop()),
            Err(error) => return remote.failed(error.into(), &not_shared),
        };
        let root = root.ok_or_else(|| fail(format!("{name}: is not there any more")))?;
        let request = Request { root: &root, layers: Layers::Stored, referrers: false };
        let bar = Bar::new(&to.familiar());
        let watch = |event| bar.on(event);
        let how = Delivery { registries: &remote.registries, jobs: JOBS, watch: &watch };
        let packed = Parcel::pack(self.store, &request, &|_| {}, &self.context.cancel);
        let pushed = packed.and_then(|mut parcel| parcel.deliver(&to, how));
        drop(bar);
        match pushed {
            Ok(pushed) => {
                note(format_args!(
                    "{name} is shared as {} ({} sent)",
                    to.familiar(),
                    human(pushed.sent.bytes)
                ));
                Ok(())
            }
            Err(error) => remote.failed(error, &not_shared),
        }
    }
}
