//! A Dockerfile of the corpus: what is said at its head, and its context.
//!
//! `# --peer newer`, `# --build-arg NAME=VALUE` and `# --target NAME` are lines of the Dockerfile. What git does not keep (owners,
//! modes, links, archives …) is made by the shell script `prepare` beside it, which is no part of the context.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::run;

/// When the files of a context were last changed: later than `EPOCH`.
const CHANGED: &str = "@1750000000";

/// A Dockerfile with what belongs to it.
#[derive(Debug, Clone)]
pub(super) struct Recipe {
    pub(super) name: String,
    pub(super) context: PathBuf,
    /// Whether Docker 20.10 does not know all of it.
    pub(super) is_newer: bool,
    /// Options that mean the same to all builders.
    pub(super) options: Vec<String>,
}

impl Recipe {
    /// Where the built image is kept by those that build.
    pub(super) fn reference(&self) -> String {
        format!("localhost/corpus/{}:1", self.name)
    }
}

/// All recipes, sorted by name, with their contexts made below `dir`. `tool` is the program that `prepare` may run.
pub(super) fn all(dir: &Path, tool: &Path) -> Vec<Recipe> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/build/corpus");
    let mut names: Vec<_> = fs::read_dir(corpus).unwrap().map(|entry| entry.unwrap().path()).collect();
    names.sort();
    names.iter().filter(|path| path.is_dir()).map(|path| recipe(path, dir, tool)).collect()
}

fn recipe(folder: &Path, dir: &Path, tool: &Path) -> Recipe {
    let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
    let context = dir.join(&name);
    run(Command::new("cp").arg("-r").arg(folder).arg(&context));
    run(Command::new("chown").args(["-R", "0:0"]).arg(&context));
    // Whatever umask the repository was cloned with.
    run(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(&context));
    let prepare = context.join("prepare");
    if prepare.exists() {
        let script = fs::read_to_string(&prepare).unwrap();
        fs::remove_file(&prepare).unwrap();
        let mut shell = Command::new("sh");
        run(shell.args(["-euc", &format!("umask 022\n{script}")]).env("TOOL", tool).current_dir(&context));
    }
    let everything = ["-exec", "touch", "-h", "-d", CHANGED, "{}", "+"];
    run(Command::new("find").arg(&context).arg("-depth").args(everything));
    let text = fs::read_to_string(context.join("Dockerfile")).unwrap();
    let said = |option: &str| {
        text.lines()
            .filter_map(move |line| line.strip_prefix(&format!("# --{option} ")).map(str::to_owned))
            .collect::<Vec<_>>()
    };
    let mut options = Vec::new();
    for option in ["build-arg", "target"] {
        options.extend(said(option).into_iter().flat_map(|value| [format!("--{option}"), value]));
    }
    Recipe { name, context, is_newer: said("peer") == ["newer"], options }
}
