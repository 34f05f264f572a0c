//! Doing what was planned: images come into the store, or go to another registry.

use larder_store::prune::Judged;
use larder_store::reference::Reference;

use super::super::import::say_gone;
use super::super::pull::{options, say};
use super::Sync;
use super::plan::{Kept, Planned, Sides, Wanted, platforms};
use super::rows::{Failures, Rows, State};
use crate::cli::{Bar, Outcome, note};
use crate::registry::mirror::{Ledger, Mirror};
use crate::registry::pull::{Notice, Source};
use crate::registry::sync::Entry;

impl Sync<'_> {
    /// Brings what is not there.
    pub(super) fn bring(&self, plan: &mut Planned<'_>, rows: &mut Rows, failed: &mut Failures) -> Outcome {
        let mut is_in_vain = false;
        failed.begin();
        for image in &mut plan.images {
            if is_in_vain && image.state != State::There {
                plan.is_whole = false;
                continue;
            }
            if image.state != State::There && !self.args.dry_run {
                let brought = match &mut plan.sides {
                    Sides::Nobody => continue,
                    Sides::Store(source) => self.take(source, plan.entry, image),
                    Sides::Registries(mirror) => self.send(mirror, plan.entry, image),
                };
                if failed.told(&image.reference.familiar(), brought)?.is_none() {
                    plan.is_whole = false;
                    is_in_vain = failed.is_in_vain();
                    if is_in_vain {
                        let shown = plan.entry.repository.familiar_name();
                        note(format_args!("{shown}: no answer; no more of it is brought"));
                    }
                    continue;
                }
            }
            rows.add(&image.row())?;
        }
        Ok(())
    }

    fn take(&self, source: &Source, entry: &Entry, image: &mut Wanted) -> Outcome {
        let platforms = platforms(entry);
        let bar = Bar::new(&image.reference.familiar());
        let made_room = |gone: &[Judged]| bar.suspended(|| gone.iter().for_each(say_gone));
        let (naming, watch) = (|name: &Reference| self.names.take(name), |event| bar.on(event));
        // A name that somebody else gave does not move.
        let options = options(self.context, false, &naming, &made_room, &watch);
        let request = self.request(&image.reference, &platforms);
        let found = match std::mem::replace(&mut image.found, Kept::Nothing) {
            Kept::ForStore(found) => found,
            _ => source.find(self.store, &request)?,
        };
        let notice = |notice| bar.suspended(|| say(notice));
        source.take(self.store, found, request.jobs, &notice, &options)?;
        Ok(())
    }

    fn send(&self, mirror: &mut Mirror, entry: &Entry, image: &mut Wanted) -> Outcome {
        let bar = Bar::new(&image.reference.familiar());
        let made_room = |gone: &[Judged]| bar.suspended(|| gone.iter().for_each(say_gone));
        let (naming, watch) = (|name: &Reference| self.names.take(name), |event| bar.on(event));
        let options = options(self.context, false, &naming, &made_room, &watch);
        let looked = match std::mem::replace(&mut image.found, Kept::Nothing) {
            Kept::ForRegistry(looked) => looked,
            // What it brings is counted by now.
            _ => self.across(mirror, entry, &image.reference, &mut Ledger::default())?.0,
        };
        for (layer, size) in looked.foreign() {
            bar.suspended(|| say(Notice::Foreign { layer, size }));
        }
        let tag = image.reference.tag().unwrap_or("latest");
        mirror.bring(self.store, tag, looked, self.args.fetching.jobs(), &options)?;
        Ok(())
    }
}
