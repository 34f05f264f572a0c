//! RUN.

use std::io;
use std::path::PathBuf;

use larder_store::Error as StoreError;
use larder_store::changes::Form;
use larder_store::fs::Dir;
use larder_store::layers::LayerFacts;
use larder_store::snapshots::{NewSnapshot, Snapshot};
use larder_store::tree::{Directory, Stack, copy_stack};

use super::error::{Error, Result};
use super::layer::directories;
use super::stage::Stage;
use super::work::{At, Work};
use crate::build::dockerfile::Run;
use crate::build::run::{self, Ended, Root, SCRIPTS, Script};

/// What a step calls its machine.
const HOSTNAME: &str = "larder";
/// Bytes: with less than that free a disk is called full.
const FULL: u64 = 1 << 20;
/// Inodes: what a command needs beside its own files is less.
const FEW: u64 = 64;
/// Said once a build.
const COPIES: &str =
    "overlayfs cannot be mounted here: each RUN works on a copy of all files, which takes longer";

impl<'a> Work<'a, '_> {
    /// Runs a command, and keeps what it changed.
    pub(super) fn command(&mut self, stage: &Stage, run: &Run, at: &At) -> Result<Option<LayerFacts>> {
        let below = self.unpacked(&stage.layers).map_err(at.failed())?;
        let failed = |source| Error::Run { place: at.place.clone(), text: at.text.clone(), source };
        let (ended, new, form) = match self.can_stack {
            false => self.in_a_copy(stage, run, &below, at)?,
            true => {
                let new = self.fresh().map_err(at.failed())?;
                // Overlayfs takes the root directory from the uppermost layer.
                if let Some(lower) = below.last() {
                    let like = || Directory::of(&new.files()?)?.describe_as(&Directory::of(&lower.files)?);
                    like().map_err(at.failed())?;
                }
                match self.stacked(stage, run, &below, &new) {
                    Err(run::Error::NoOverlay(why)) => {
                        self.can_stack = false;
                        self.tell(&format!("{COPIES} ({why})"));
                        drop(new);
                        self.in_a_copy(stage, run, &below, at)?
                    }
                    ended => (ended.map_err(failed)?, new, Form::Upper),
                }
            }
        };
        for note in &ended.notes {
            self.tell(note);
        }
        if ended.code != 0 {
            return Err(Error::Failed {
                place: at.place.clone(),
                text: at.text.clone(),
                code: ended.code,
                last_lines: ended.last_lines,
                is_full: new.files().is_ok_and(|files| is_full(&files)),
            });
        }
        self.keep(new, form, stage, &below).map_err(at.failed())
    }

    /// Over the layers, so that only changes are in the new directory.
    fn stacked(
        &mut self,
        stage: &Stage,
        run: &Run,
        below: &[Snapshot],
        new: &NewSnapshot<'a>,
    ) -> run::Result<Ended> {
        let root = Root::Overlay {
            lowers: below.iter().rev().map(|snapshot| absolute(&snapshot.files)).collect::<Result<_, _>>()?,
            upper: absolute(&new.files()?)?,
            work: absolute(&new.work()?)?,
        };
        self.in_root(stage, run, root)
    }

    /// In a directory with all files.
    fn in_a_copy(
        &mut self,
        stage: &Stage,
        run: &Run,
        below: &[Snapshot],
        at: &At,
    ) -> Result<(Ended, NewSnapshot<'a>, Form)> {
        let copied = || {
            let new = self.fresh()?;
            let files = new.files()?;
            copy_stack(Stack::new(directories(below)?), &Directory::of(&files)?, self.cancel)?;
            let root = Root::Directory(absolute(&files)?);
            Ok((new, root))
        };
        let (new, root) = copied().map_err(at.failed())?;
        let failed = |source| Error::Run { place: at.place.clone(), text: at.text.clone(), source };
        Ok((self.in_root(stage, run, root).map_err(failed)?, new, Form::Whole))
    }

    fn in_root(&mut self, stage: &Stage, run: &Run, root: Root) -> run::Result<Ended> {
        let state = &stage.state;
        let mut env = state.environment();
        let set = |(name, value): (&str, &str)| format!("{name}={value}");
        let args: Vec<_> = state.args().for_command(&env).into_iter().map(set).collect();
        let proxies: Vec<_> = self.given.proxies(&env).map(set).collect();
        env.extend(args.into_iter().chain(proxies));
        let (args, scripts) = match run {
            Run::Command(command) => (command.words(&state.shell()), Vec::new()),
            Run::Script { name, content } => {
                let script = Script { name: name.clone(), content: content.clone() };
                (vec![format!("{SCRIPTS}/{name}")], vec![script])
            }
        };
        let step = run::Step {
            root,
            args,
            env,
            cwd: state.directory().to_owned(),
            user: state.user().unwrap_or_default().to_owned(),
            hostname: HOSTNAME.to_owned(),
            network: self.request.network,
            timeout: self.request.timeout,
            pids: run::default_pids(),
            scripts,
        };
        let observer = &mut *self.observer;
        let runner = self.runner.as_ref().ok_or(run::Error::NoRuntime)?;
        runner.run(&step, &mut |bytes| observer.output(bytes), self.cancel)
    }
}

/// The step is run by another process.
fn absolute(dir: &Dir) -> Result<PathBuf, StoreError> {
    std::path::absolute(dir.path()).map_err(|error: io::Error| StoreError::io("look at", dir.path())(error))
}

/// Whether a disk has no room, or no inodes, for what a command writes.
fn is_full(dir: &Dir) -> bool {
    rustix::fs::statvfs(dir.path()).is_ok_and(|stat| {
        stat.f_bavail.saturating_mul(stat.f_frsize) < FULL || stat.f_files > 0 && stat.f_favail < FEW
    })
}
