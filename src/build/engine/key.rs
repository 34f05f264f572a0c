//! What a step is known by: all that its layer depends on. Pure.

use larder_store::digest::Digest;
use larder_store::ids::ChainId;
use serde_json::json;

use crate::build::args::Given;
use crate::build::dockerfile::Instruction;
use crate::build::run::Network;
use crate::build::state::State;

/// Changes when larder does something else for the same instruction.
const VERSION: u32 = 2;

/// What a step begins with, and what it does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depends<'a> {
    /// The layers below; `None` for none.
    pub(super) chain: Option<&'a ChainId>,
    /// The config and arguments before it.
    pub(super) before: &'a State,
    /// With its variables expanded.
    pub(super) instruction: &'a Instruction,
    /// What commands see of the network.
    pub(super) network: Network,
    /// What is given from outside: proxies for commands.
    pub(super) given: &'a Given,
    /// The files that it reads.
    pub(super) reads: Option<Digest>,
    /// No time of its layer is later.
    pub(super) epoch: Option<i64>,
}

/// The key of a step.
pub(super) fn key(on: &Depends<'_>) -> Digest {
    let document = on.before.document();
    let environment = on.before.environment();
    let is_command = matches!(on.instruction, Instruction::Run(_));
    let of_commands = is_command.then(|| {
        let proxies: Vec<_> = on.given.proxies(&environment).collect();
        json!({"network": on.network, "proxies": proxies, "args": on.before.args().for_command(&environment)})
    });
    let text = json!([
        VERSION,
        on.chain.map(ChainId::to_string),
        [&document["os"], &document["architecture"], &document["variant"]],
        on.before.config(),
        of_commands,
        format!("{:?}", on.instruction),
        on.reads,
        on.epoch,
    ]);
    Digest::of(text.to_string().as_bytes())
}
