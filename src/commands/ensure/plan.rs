//! What is to be built, under which name, and from what text.

use std::fmt;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use larder_store::reference::Reference;
use serde_json::{Value, json};

use crate::build::{engine, ensure};
use crate::catalog::resolve::Missing;
use crate::catalog::{Declared, Requirements, Word};
use crate::cli::{Outcome, fail, note};

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
    /// Whether any of that is installed with the rest.
    pub(super) installs_earlier: bool,
    /// Why it is made.
    pub(super) why: String,
    /// What the base lacks.
    pub(super) missing: String,
    /// What people should know of the base.
    pub(super) notes: Vec<String>,
}

/// Words of others that are put into an image beside what is asked for.
const MOST: usize = 200;

/// Packages and tools.
#[derive(Debug, Default, Clone)]
pub(super) struct Words {
    pub(super) packages: Vec<Word>,
    pub(super) tools: Vec<Word>,
}

impl Words {
    pub(super) fn is_empty(&self) -> bool {
        self.packages.is_empty() && self.tools.is_empty()
    }

    /// Whether any of them is one of these.
    pub(super) fn are_among(&self, words: &[String]) -> bool {
        self.packages.iter().chain(&self.tools).any(|word| words.iter().any(|other| other == word.as_str()))
    }

    /// And these.
    pub(super) fn add(&mut self, more: &Words) {
        let new = |words: &[Word], more: &[Word]| -> Vec<Word> {
            more.iter().filter(|word| !words.contains(word)).cloned().collect()
        };
        self.packages.extend(new(&self.packages, &more.packages));
        self.tools.extend(new(&self.tools, &more.tools));
    }

    /// Those by which a package or a tool could be found, of whatever manager; none where there are more of them than jobs ask for.
    pub(super) fn checked(mut self) -> Words {
        self.packages.retain(|word| ensure::is_package(word.as_str()).is_ok());
        self.tools.retain(|word| ensure::is_tool(word.as_str()).is_ok());
        if self.packages.len() + self.tools.len() > MOST { Words::default() } else { self }
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
    fn said(&self) -> String {
        let name = self.reference.familiar();
        let how = match (&self.source, &self.base) {
            (Source::Own { path, .. }, _) => format!("by {}", path.display()),
            (_, Some(base)) if self.missing.is_empty() => format!("on {base}, which has all"),
            (_, base) => format!("on {}, which lacks {}", base.as_deref().unwrap_or_default(), self.missing),
        };
        format!("{}: {name} is built {how}", self.why)
    }

    /// Whether it is only what earlier jobs asked for that is missing.
    pub(super) fn lacks_earlier_alone(&self, missing: &Missing<'_>) -> bool {
        let Missing { compiler, suffixes, packages, tools } = missing;
        let are_earlier = packages.iter().all(|word| self.earlier.packages.contains(word))
            && tools.iter().all(|word| self.earlier.tools.contains(word));
        compiler.is_none() && suffixes.is_empty() && are_earlier
    }

    /// Tells people what is done.
    pub(super) fn tell(&self) {
        note(format_args!("{}", self.said()));
        self.notes.iter().for_each(|text| note(format_args!("{text}")));
    }

    /// For programs; docs/json.md has the fields.
    pub(super) fn value(&self) -> Value {
        json!({
            "name": self.reference.familiar(),
            "built": false,
            "stale": null,
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
    // A link to nowhere is a mistake, and not a file that is not there.
    if matches!(path.symlink_metadata(), Err(error) if error.kind() == ErrorKind::NotFound) {
        return Ok(None);
    }
    if path.is_dir() {
        return Err(fail(format!("{}: is a directory, and no Dockerfile", path.display())));
    }
    Ok(Some(engine::Source::read(directory(path), path)?.text))
}

/// Where an own Dockerfile stands, which is what it copies from.
pub(super) fn directory(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new("."))
}
