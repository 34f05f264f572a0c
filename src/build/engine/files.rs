//! COPY, ADD and WORKDIR.

use larder_store::changes::Form;
use larder_store::digest::Digest;
use larder_store::error::Result as StoreResult;
use larder_store::ids::{ChainId, DiffId};
use larder_store::layers::LayerFacts;
use larder_store::tree::Directory;
use larder_store::unpack::Layer;

use super::error::Result;
use super::layer::directories;
use super::stage::Stage;
use super::work::{At, Work};
use crate::build::copy::{Context, Found, From, Target, find, make_directory, place};
use crate::build::dockerfile::{Copy, Instruction, Step};
use crate::build::plan::{Origin, Planned};

/// The files that a step reads.
pub(super) enum Files {
    /// Of the context: they are found and read.
    Context(Found, Digest),
    /// Of a stage or an image; which they are is looked up when they are needed.
    Layers(Vec<Layer>),
}

impl Files {
    /// What the step's result depends on.
    pub(super) fn digest(&self) -> Digest {
        match self {
            Files::Context(_, digest) => *digest,
            Files::Layers(layers) => {
                let diff_ids: Vec<DiffId> = layers.iter().map(|layer| layer.diff_id).collect();
                ChainId::stack(&diff_ids).pop().map_or_else(|| Digest::of(b""), |chain| chain.0)
            }
        }
    }
}

impl Work<'_, '_> {
    /// What a COPY or ADD reads; `None` for all other steps.
    pub(super) fn files(
        &mut self,
        planned: &Planned,
        step: &Step,
        instruction: &Instruction,
        at: &At,
    ) -> Result<Option<Files>> {
        let (Instruction::Copy(copy) | Instruction::Add(copy)) = instruction else { return Ok(None) };
        let is_add = matches!(instruction, Instruction::Add(_));
        let layers = match self.origin(planned, step)? {
            Some(Origin::Stage(number)) => {
                self.stages.get(&number).map(|stage| stage.layers.clone()).unwrap_or_default()
            }
            Some(Origin::Image(name)) => self.image(&name, None, at)?.layers.clone(),
            None => {
                let cancel = self.cancel;
                let context = self.context().map_err(at.failed())?;
                let mut found = find(From::Context(context), copy, is_add, cancel).map_err(at.failed())?;
                let digest = found.digest(cancel).map_err(at.failed())?;
                return Ok(Some(Files::Context(found, digest)));
            }
        };
        Ok(Some(Files::Layers(layers)))
    }

    /// The context, open.
    pub(super) fn context(&mut self) -> StoreResult<&Context> {
        let context = match self.context.take() {
            Some(context) => context,
            None => Context::open(self.request.context, self.request.source.ignore.clone())?,
        };
        Ok(self.context.insert(context))
    }

    /// Copies files into a layer of their own.
    pub(super) fn copied(
        &mut self,
        stage: &Stage,
        copy: &Copy,
        is_add: bool,
        files: &Files,
        at: &At,
    ) -> Result<Option<LayerFacts>> {
        let (found, origin);
        let found = match files {
            Files::Context(found, _) => found,
            Files::Layers(layers) => {
                origin = self.unpacked(layers).and_then(|all| directories(&all)).map_err(at.failed())?;
                found = find(From::Layers(&origin), copy, is_add, self.cancel).map_err(at.failed())?;
                &found
            }
        };
        self.put(stage, at, |target| place(found, copy, target))
    }

    /// Makes the directory of the steps that follow.
    pub(super) fn directory(&mut self, stage: &Stage, at: &At) -> Result<Option<LayerFacts>> {
        let path = stage.state.directory().to_owned();
        self.put(stage, at, |target| make_directory(&path, target))
    }

    fn put(
        &mut self,
        stage: &Stage,
        at: &At,
        write: impl FnOnce(Target<'_>) -> StoreResult<()>,
    ) -> Result<Option<LayerFacts>> {
        let layer = || {
            let below = self.unpacked(&stage.layers)?;
            let new = self.fresh()?;
            write(Target {
                into: &Directory::of(&new.files()?)?,
                below: directories(&below)?,
                workdir: stage.state.directory(),
                now: self.request.epoch.unwrap_or_else(self.request.now),
                cancel: self.cancel,
            })?;
            self.keep(new, Form::Upper, stage, &below)
        };
        layer().map_err(at.failed())
    }
}
