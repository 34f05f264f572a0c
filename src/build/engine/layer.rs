//! What a step changes, as a layer.

use larder_store::changes::{Changes, Form, Options, settle, store_changes};
use larder_store::error::Result as StoreResult;
use larder_store::gc::Mode;
use larder_store::ids::ChainId;
use larder_store::layers::LayerFacts;
use larder_store::prune::{Incoming, make_room};
use larder_store::quantity;
use larder_store::snapshots::{NewSnapshot, Snapshot};
use larder_store::tree::{Directory, Stack};
use larder_store::unpack::{Layer, unpack_image};

use super::error::Result;
use super::files::Files;
use super::stage::Stage;
use super::work::{At, Work};
use crate::build::dockerfile::Instruction;

impl<'a> Work<'a, '_> {
    /// Does to the files what an instruction says; `None` where that changes nothing.
    pub(super) fn layer(
        &mut self,
        stage: &Stage,
        instruction: &Instruction,
        files: Option<Files>,
        at: &At,
    ) -> Result<Option<LayerFacts>> {
        match (instruction, files) {
            (Instruction::Run(run), _) => self.command(stage, run, at),
            (Instruction::Copy(copy), Some(files)) => self.copied(stage, copy, false, &files, at),
            (Instruction::Add(copy), Some(files)) => self.copied(stage, copy, true, &files, at),
            (Instruction::Workdir(_), _) => self.directory(stage, at),
            _ => Ok(None),
        }
    }

    /// The layers of a stage or an image as directories, the lowest first. Room for them is made before, or it is refused.
    pub(super) fn unpacked(&mut self, layers: &[Layer]) -> StoreResult<Vec<Snapshot>> {
        let (now, cancel) = ((self.request.now)(), self.cancel);
        let incoming = Incoming { store: self.store, ingest: self.tx.ingest().clone() };
        let mut gone = Vec::new();
        let mut room = |bytes| {
            gone = make_room(&incoming, bytes, now, Mode::Sweep, cancel)?;
            Ok(())
        };
        let unpacked =
            unpack_image(self.store, self.snapshots, layers, &mut self.lease, now, &mut room, cancel);
        // It is on the disk by now, or will not be.
        let ended = incoming.ingest.expect_no_more();
        for image in gone {
            let unused = now.saturating_sub(image.image.last_used).max(0).unsigned_abs();
            let name = image.image.shown_name();
            self.observer
                .note(&format!("made room: {name} (not used for {}) went", quantity::shown_seconds(unused)));
        }
        let unpacked = unpacked?;
        ended.map(|()| unpacked)
    }

    /// A place for what a step changes.
    pub(super) fn fresh(&self) -> StoreResult<NewSnapshot<'a>> {
        self.snapshots.begin_changes(&self.store.locks().shared()?)
    }

    /// Keeps what a step changed above the layers of its stage.
    pub(super) fn keep(
        &mut self,
        new: NewSnapshot<'a>,
        form: Form,
        stage: &Stage,
        below: &[Snapshot],
    ) -> StoreResult<Option<LayerFacts>> {
        let stack = || directories(below).map(Stack::new);
        let options = Options { form, epoch: self.request.epoch, cancel: self.cancel };
        let changes = Changes::new(&Directory::of(&new.files()?)?, stack()?, options)?;
        let facts = store_changes(&mut self.tx, changes, self.request.encoding, self.request.jobs)?;
        if let (Some(facts), Form::Upper) = (&facts, form) {
            let diff_ids = stage.layers.iter().map(|layer| layer.diff_id).chain([facts.diff_id]);
            if let Some(chain) = ChainId::stack(&diff_ids.collect::<Vec<_>>()).pop() {
                self.lease.add(&[chain.0], &self.store.locks().shared()?)?;
                // The steps that follow see the same as after an unpack.
                settle(&Directory::of(&new.files()?)?, stack()?, &options)?;
                new.finish_as(&chain, &facts.blob, (self.request.now)())?;
            }
        }
        Ok(facts)
    }
}

/// The uppermost first.
pub(super) fn directories(snapshots: &[Snapshot]) -> StoreResult<Vec<Directory>> {
    snapshots.iter().rev().map(|snapshot| Directory::of(&snapshot.files)).collect()
}
