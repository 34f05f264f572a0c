//! Steps that another host has done, by a repository that the host's configuration or the command line names.
//!
//! Asked after the own records. What is there becomes a layer of this store, and a record that says where it came from: it counts for
//! builds that name that place, and is passed on to no other. What is not there, or is not as it should be, is done here.

use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::layers::LayerFacts;
use larder_store::steps::StepRecord;

use super::error::Result;
use super::work::Work;
use crate::build::dockerfile::Instruction;
use crate::registry;
use crate::registry::steps::Step;

/// Whether an instruction may make a layer: to do any other costs less than to ask.
pub(super) fn makes_files(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Workdir(_)
    )
}

impl Work<'_, '_> {
    /// What a step came to elsewhere; its layer is there then, and stays there.
    pub(super) fn done_elsewhere(&mut self, key: &Digest) -> Result<Option<StepRecord>> {
        let Some(cache) = self.request.cache_from else { return Ok(None) };
        let step = match cache.find(key) {
            Ok(Some(step)) => step,
            Ok(None) => return Ok(None),
            Err(error) => return self.done_here(&error),
        };
        // The other host's clock may be ahead.
        let now = (self.request.now)();
        let created = step.created.min(now);
        if self.request.not_before.is_some_and(|least| created < least) {
            return Ok(None);
        }
        let layer = match self.layer_of(&step)? {
            Some(layer) => layer,
            None => {
                let (size, free) = (step.layer.size, self.store.free_space()?);
                if size > free {
                    let path = self.store.path().to_path_buf();
                    return self.done_here(&StoreError::NoSpace { path, needed: size, free }.into());
                }
                let ingest = self.tx.ingest().clone();
                match cache.fetch(&step, &ingest, self.cancel) {
                    Ok((staged, layer)) => {
                        self.tx.publish(staged)?;
                        self.store.layers()?.learn(&layer, false)?;
                        layer
                    }
                    Err(error) => return self.done_here(&error),
                }
            }
        };
        let record = StepRecord { layer: Some(layer), created, from: Some(cache.id()) };
        self.steps.put(key, &record, now)?;
        Ok(Some(record))
    }

    /// The layer of a step, where the store has it and has seen what it unpacks to.
    fn layer_of(&mut self, step: &Step) -> Result<Option<LayerFacts>> {
        let seen = self.store.layers()?.by_blob(&step.layer.digest);
        let is_it = |seen: &LayerFacts| seen.size == step.layer.size && seen.diff_id == step.diff_id;
        let Some(seen) = seen.filter(is_it) else { return Ok(None) };
        let there = self.tx.reuse(&[(seen.blob, seen.size)])?;
        Ok(there.contains(&seen.blob).then_some(seen))
    }

    /// Says why a step is not taken from elsewhere, which is no failure of the build.
    fn done_here(&mut self, error: &registry::Error) -> Result<Option<StepRecord>> {
        if error.is_stop() {
            return Err(StoreError::Interrupted.into());
        }
        self.tell(&format!("{error}; what is not known here is done here"));
        Ok(None)
    }
}
