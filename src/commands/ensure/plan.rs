//! What is to be built, under which name, and from what text.

use std::path::{Path, PathBuf};

use larder_store::reference::Reference;
use serde_json::{Value, json};

use crate::build::engine;
use crate::catalog::{Declared, Requirements};
use crate::cli::Outcome;

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
    /// Why it is made.
    pub(super) why: String,
    /// What the base lacks.
    pub(super) missing: String,
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
