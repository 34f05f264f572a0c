//! What becomes of images that are there: handed over to an engine, written to a folder.

use larder_store::store::Store;

use super::super::export;
use super::super::to_docker::{HandOvers, hand_over_all};
use super::super::to_tree;
use super::Args;
use crate::cli::{Context, Outcome};
use crate::docker::Engine;

/// Where images go.
pub(super) struct Give<'a> {
    context: &'a Context,
    args: &'a Args,
    store: &'a Store,
    engine: Option<Engine>,
}

impl<'a> Give<'a> {
    /// Looks whether the engine, and the folder, are there before anything is built for them.
    pub(super) fn prepared(context: &'a Context, args: &'a Args, store: &'a Store) -> Outcome<Give<'a>> {
        args.to_tree.iter().try_for_each(|dir| to_tree::check(dir))?;
        let engine = args.to_docker.then(|| Engine::connect(&context.cancel)).transpose()?;
        Ok(Give { context, args, store, engine })
    }

    /// Gives them away; what they are called in the engine, in the same order, where there is one.
    pub(super) fn give(&self, names: &[String]) -> Outcome<Vec<String>> {
        let mut handed = Vec::new();
        if names.is_empty() || self.args.dry_run {
            return Ok(handed);
        }
        if let Some(dir) = &self.args.to_tree {
            let wanted = export::Args::of_tree(names, self.args.jobs);
            to_tree::run(self.context, &wanted, self.store, dir, to_tree::Said::ToPeople)?;
        }
        if let Some(engine) = &self.engine {
            let (_protection, entries) = self.store.protect(names, "ensure --to-docker")?;
            let wanted = HandOvers {
                images: names,
                names: &[],
                platform: None,
                jobs: super::super::jobs(self.args.jobs),
                lease: None,
            };
            let mut done = |one: super::super::to_docker::Handed<'_>| handed.push(one.name.familiar());
            hand_over_all(self.context, self.store, engine, &entries, &wanted, &mut done)?;
        }
        Ok(handed)
    }
}
