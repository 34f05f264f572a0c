//! A stage while its steps are done: its config, its layers, and how they came about.

use larder_store::base::Base;
use larder_store::ids::ChainId;
use larder_store::layers::LayerFacts;
use larder_store::unpack::Layer;
use serde_json::Value;

use super::base::BaseImage;
use crate::build::state::State;

/// What a stage has come to.
#[derive(Debug, Clone)]
pub(super) struct Stage {
    pub(super) state: State,
    /// Lowest first.
    pub(super) layers: Vec<Layer>,
    /// One entry a step, those of the base before.
    pub(super) history: Vec<Value>,
    /// When the youngest of its own steps was done (seconds since 1970).
    pub(super) created: i64,
    /// When the image below all was made, as it says.
    pub(super) base_created: Option<i64>,
    /// The image below all.
    pub(super) base: Option<Base>,
}

impl Stage {
    /// Without anything below.
    pub(super) fn scratch(platform: &str) -> Stage {
        let state = State::scratch(platform);
        Stage { state, layers: Vec::new(), history: Vec::new(), created: 0, base_created: None, base: None }
    }

    /// On an image; and what that wants done first.
    pub(super) fn on(image: &BaseImage) -> Result<(Stage, Vec<String>), String> {
        let (state, triggers) = State::from_base(&image.document)?;
        let history = image.document["history"].as_array().cloned().unwrap_or_default();
        let created =
            image.document["created"].as_str().and_then(|time| time.parse::<jiff::Timestamp>().ok());
        let stage = Stage {
            state,
            layers: image.layers.clone(),
            history,
            created: 0,
            base_created: created.map(jiff::Timestamp::as_second),
            base: image.base.clone(),
        };
        Ok((stage, triggers))
    }

    /// On another stage; and what that wants done first.
    pub(super) fn after(stage: &Stage) -> Result<(Stage, Vec<String>), String> {
        let (state, triggers) = State::after(&stage.state)?;
        Ok((Stage { state, ..stage.clone() }, triggers))
    }

    /// What all its layers together are called; `None` where it has none.
    pub(super) fn chain(&self) -> Option<ChainId> {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| layer.diff_id).collect();
        ChainId::stack(&diff_ids).pop()
    }

    /// Puts a layer on top.
    pub(super) fn push(&mut self, facts: &LayerFacts) {
        self.layers.push(Layer { descriptor: facts.descriptor(), diff_id: facts.diff_id });
    }
}
