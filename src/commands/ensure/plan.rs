//! What is to be built, under which name, and from what text.

use std::fmt;
use std::path::{Path, PathBuf};

use larder_store::reference::Reference;
use serde_json::{Value, json};

use crate::build::{engine, ensure};
use crate::catalog::{Declared, Requirements, Word};
use crate::cli::{Outcome, fail};

/// An image to be made.
pub(super) struct Plan {
    /// Its name.
    pub(super) reference: Reference,
    /// What is declared of it.
    pub(super) declared: Declared,
    pub(super) source: Source,
    /// What a generated Dockerfile begins with.
    pub(super) base: Option<String>,
    /// What it has to have, with what was asked of the image whose place it takes.
    pub(super) job: Requirements,
    /// What earlier jobs asked for of its name beside that. Where it comes from its own Dockerfile none of it has to be there.
    pub(super) earlier: Words,
    /// Why it is made.
    pub(super) why: String,
    /// What the base lacks.
    pub(super) missing: String,
}

/// Packages and tools.
#[derive(Debug, Default)]
pub(super) struct Words {
    pub(super) packages: Vec<Word>,
    pub(super) tools: Vec<Word>,
}

impl Words {
    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.tools.is_empty()
    }

    /// Without what a job asks for itself.
    pub(super) fn leave_out(&mut self, job: &Requirements) {
        self.packages.retain(|word| !job.packages.contains(word));
        self.tools.retain(|word| !job.tools.contains(word));
    }
}

/// `cmake, libssl-dev`.
impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = self.packages.iter().chain(&self.tools).map(Word::as_str).collect();
        f.write_str(&words.join(", "))
    }
}

/// Where the Dockerfile comes from.
pub(super) enum Source {
    /// The project has one for this image.
    Own { path: PathBuf, text: String },
    /// From what is missing.
    Generated(String),
}

impl Source {
    pub(super) fn text(&self) -> &str {
        match self {
            Source::Own { text, .. } | Source::Generated(text) => text,
        }
    }

    /// The file, where there is one.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Source::Own { path, .. } => Some(path),
            Source::Generated(_) => None,
        }
    }
}

impl Plan {
    /// What is done, for people.
    pub(super) fn said(&self) -> String {
        let name = self.reference.familiar();
        let how = match (&self.source, &self.base) {
            (Source::Own { path, .. }, _) => format!("by {}", path.display()),
            (_, Some(base)) if self.missing.is_empty() => format!("on {base}, which has all"),
            (_, base) => format!("on {}, which lacks {}", base.as_deref().unwrap_or_default(), self.missing),
        };
        format!("{}: {name} is built {how}", self.why)
    }

    /// For programs; docs/json.md has the fields.
    pub(super) fn value(&self) -> Value {
        json!({
            "name": self.reference.familiar(),
            "built": false,
            "base": self.base,
            "definition": self.source.path().map(|path| path.display().to_string()),
            "dockerfile": self.source.text(),
            "why": self.why,
        })
    }
}

/// Whether what is asked for are words that a package or a tool could be found by, of whatever manager.
pub(super) fn check(job: &Requirements) -> Outcome {
    let packages = job.packages.iter().map(|word| ensure::is_package(word.as_str()));
    let tools = job.tools.iter().map(|word| ensure::is_tool(word.as_str()));
    packages.chain(tools).collect::<Result<(), String>>().map_err(|why| fail(why).usage())
}

/// The project's own Dockerfile, where it has one.
pub(super) fn own(path: &Path) -> Outcome<Option<String>> {
    if matches!(path.try_exists(), Ok(false)) {
        return Ok(None);
    }
    Ok(Some(engine::Source::read(directory(path), path)?.text))
}

/// Where an own Dockerfile stands, which is what it copies from.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
