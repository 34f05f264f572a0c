//! What is looked at before anything runs: images, triggers, what steps need of the machine, files of the context.
//!
//! What is found here is found in time: before minutes of commands, and while an image that goes meanwhile can still be leased.

use larder_store::error::{Error as StoreError, Result as StoreResult};

use super::error::{Error, Result};
use super::stage::Stage;
use super::work::{At, Work, shortened};
use crate::build::copy::check_source;
use crate::build::dockerfile::{self, Instruction, Step};
use crate::build::expand;
use crate::build::plan::{Base, Origin, Planned};
use crate::build::problem::Problem;
use crate::build::run;

impl Work<'_, '_> {
    /// Looks at all stages, and protects all images.
    pub(super) fn look_ahead(&mut self) -> Result<()> {
        let plan = self.plan;
        let mut triggers: Vec<(usize, Vec<Step>)> = Vec::new();
        let mut problems = Vec::new();
        for planned in &plan.stages {
            let wanted = match &planned.base {
                Base::Scratch => Vec::new(),
                Base::Image(name) => {
                    let text = format!("FROM {name}");
                    let at = self.at(planned.line, &text);
                    let begun = Stage::on(self.image(name, planned.platform.as_deref(), &at)?);
                    self.triggers(planned, &text, begun)?.1
                }
                Base::Stage(number) => {
                    let before = plan.stages.iter().find(|before| before.number == *number);
                    let own = before.map_or(&[][..], |before| &before.steps);
                    let brought = triggers.iter().find(|(known, _)| known == number);
                    let steps = brought.map_or(&[][..], |(_, steps)| steps).iter().chain(own);
                    self.wanted_by(planned, steps)?
                }
            };
            for step in wanted.iter().chain(&planned.steps) {
                self.needs(step)?;
                if let Some(Origin::Image(name)) = self.origin(planned, step)? {
                    let at = self.at(step.line, &step.text);
                    self.image(&name, None, &at)?;
                }
                problems.extend(self.missing_source(step)?);
            }
            self.count += wanted.len();
            triggers.push((planned.number, wanted));
        }
        if !problems.is_empty() {
            return Err(Error::Problems { file: self.request.source.name.clone(), problems });
        }
        let steps = || triggers.iter().flat_map(|(_, steps)| steps);
        let asks = |name: &str| steps().any(|step| step.declares(name));
        for name in plan.unused.iter().filter(|name| !asks(name)) {
            self.observer.note(&format!("--build-arg {name}: no ARG of the Dockerfile asks for it"));
        }
        Ok(())
    }

    /// The triggers of a stage, for the one that is made from it.
    fn wanted_by<'t>(&self, planned: &Planned, steps: impl Iterator<Item = &'t Step>) -> Result<Vec<Step>> {
        let text = |step: &'t Step| match &step.instruction {
            Instruction::OnBuild(text) => Some(text),
            _ => None,
        };
        let triggers = steps.filter_map(text).map(|text| dockerfile::trigger(planned.line, text));
        triggers.collect::<Result<_, _>>().map_err(|problem| self.wrong(problem))
    }

    /// What a stage begins with, and the steps that its base wants done first.
    pub(super) fn triggers(
        &self,
        planned: &Planned,
        text: &str,
        begun: Result<(Stage, Vec<String>), String>,
    ) -> Result<(Stage, Vec<Step>)> {
        let (stage, triggers) =
            begun.map_err(|why| self.wrong(Problem::new(planned.line, text.to_owned(), why)))?;
        let triggers = triggers.iter().map(|text| dockerfile::trigger(planned.line, text));
        let triggers = triggers.collect::<Result<_, _>>().map_err(|problem| self.wrong(problem))?;
        Ok((stage, triggers))
    }

    /// Whether what a step needs of the machine is there.
    fn needs(&self, step: &Step) -> Result<()> {
        use Instruction::{Add, Copy, Run, Workdir};
        let is_run = matches!(step.instruction, Run(_));
        if !is_run && !matches!(step.instruction, Copy(_) | Add(_) | Workdir(_)) {
            return Ok(());
        }
        if !rustix::process::geteuid().is_root() {
            let problem = Problem::new(step.line, shortened(&step.text), "only root can do this")
                .with_hint("layers have files of all owners; run larder as root, with a store of root's");
            return Err(self.wrong(problem));
        }
        if is_run && self.runner.is_none() {
            let At { place, text } = self.at(step.line, &step.text);
            return Err(Error::Run { place, text, source: run::Error::NoRuntime });
        }
        Ok(())
    }

    /// What is wrong with a source of the context. Where there is a variable in it, or it is a pattern, that is known at its step.
    fn missing_source(&mut self, step: &Step) -> Result<Option<Problem>> {
        let (Instruction::Copy(copy) | Instruction::Add(copy)) = &step.instruction else { return Ok(None) };
        if copy.from.is_some() {
            return Ok(None);
        }
        let at = self.at(step.line, &step.text);
        for word in copy.sources.iter().filter(|word| !word.contains('$')) {
            // What cannot be read was told before.
            let Ok(word) = expand::word(word, self.plan.escape, &|_| None) else { continue };
            match self.check_source(&word) {
                Err(StoreError::Invalid { what, why }) => {
                    return Ok(Some(Problem::new(step.line, at.text, format!("{what}: {why}"))));
                }
                checked => checked.map_err(at.failed())?,
            }
        }
        Ok(None)
    }

    fn check_source(&mut self, word: &str) -> StoreResult<()> {
        check_source(self.context()?, word)
    }
}
