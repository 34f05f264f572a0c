//! What the jobs of a GitHub workflow need of an image: read from `runs-on`, `container` and the entries of the matrix.
//!
//! Nothing is run and nothing guessed: what only a run knows is unknown, and an error where it matters, with its place. Where what
//! is read stands, and what is not read, is `docs/workflow.md`.

mod expression;
mod grammar;
mod matrix;
mod needs;
#[cfg(test)]
mod tests;
mod yaml;

use std::fmt;

use larder_store::cancel::Cancel;

pub(crate) use matrix::Entry;
pub(crate) use needs::JobNeeds;

use super::compiler::Compiler;
use yaml::{Kind, Node, Place};

/// Bytes of a file; GitHub takes no larger one.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Entries of all jobs together.
const MAX_NEEDS: usize = 4096;

/// Which jobs are asked about.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Choice<'a> {
    /// By its ID; without one, all that can be told.
    pub(crate) job: Option<&'a str>,
    /// What stands in for a compiler that an entry does not say in full.
    pub(crate) compiler: Option<&'a Compiler>,
    /// Keys and values of the entries that count; of a key that is here twice, either value.
    pub(crate) matrix: &'a [(String, String)],
}

/// What a file says.
#[derive(Debug)]
pub(crate) struct Workflow {
    /// The entries that were chosen, in the order of the file.
    pub(crate) needs: Vec<JobNeeds>,
    /// What was passed over, and why.
    pub(crate) passed_over: Vec<Fault>,
}

/// What is wrong, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault {
    at: Option<Place>,
    /// The job, and what its entry has.
    of: String,
    why: String,
    hint: Option<&'static str>,
    kind: FaultKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FaultKind {
    Wrong,
    /// The file alone does not tell, or not in words that are known here.
    Unknown,
    /// The entry runs on a system that no image serves.
    Foreign,
}

impl Workflow {
    /// Reads a file. What was cancelled ends with some fault, which nobody has to see.
    pub(crate) fn read(text: &str, choice: &Choice<'_>, cancel: &Cancel) -> Result<Workflow, Fault> {
        if text.len() > MAX_BYTES {
            return Err(Fault::plain(format!("is larger than {MAX_BYTES} bytes: no workflow is")));
        }
        let root = Node::parse(text).map_err(Fault::plain)?;
        let jobs = root
            .get("jobs")
            .ok_or_else(|| Fault::wrong(&root, "is no workflow: it has no jobs".to_owned()))?;
        let Kind::Map(jobs) = &jobs.kind else {
            return Err(Fault::wrong(jobs, format!("jobs are a mapping, and this is {}", jobs.what())));
        };
        if let Some(job) = choice.job.filter(|job| !jobs.iter().any(|(name, _)| **name == **job)) {
            let names = list(jobs.iter().map(|(name, _)| &**name));
            return Err(Fault::plain(format!("there is no job {job:?}: there are {names}")));
        }
        let mut workflow = Workflow { needs: Vec::new(), passed_over: Vec::new() };
        let mut known = Vec::new();
        for (name, job) in jobs.iter().filter(|(name, _)| choice.job.is_none_or(|job| **name == *job)) {
            workflow.take(name, job, choice, &mut known, cancel)?;
        }
        match (workflow.needs.is_empty(), workflow.passed_over.first()) {
            (true, Some(fault)) => return Err(fault.clone()),
            (true, None) if choice.matrix.is_empty() => {
                return Err(Fault::plain("has no job with an entry".to_owned()));
            }
            _ => {}
        }
        if let Some((key, _)) = choice.matrix.iter().find(|(key, _)| !known.contains(&key.as_str())) {
            return Err(Fault::plain(format!("--matrix {key}: no entry of a matrix has this key")));
        }
        if workflow.needs.is_empty() {
            let pairs = choice.matrix.iter().map(|(key, value)| format!("{key}={value}"));
            return Err(Fault::plain(format!("no entry of a matrix has {}", list(pairs))));
        }
        Ok(workflow)
    }

    /// Adds what a job needs. Of jobs that nobody asked for by name, what cannot be told is passed over.
    fn take<'a>(
        &mut self,
        name: &str,
        job: &Node,
        choice: &Choice<'a>,
        known: &mut Vec<&'a str>,
        cancel: &Cancel,
    ) -> Result<(), Fault> {
        let passed_over = &mut self.passed_over;
        let mut pass = |fault: Fault| match (fault.kind, choice.job) {
            (FaultKind::Foreign, _) | (FaultKind::Unknown, None) => {
                passed_over.push(fault);
                Ok(())
            }
            _ => Err(fault),
        };
        let mut entries = match needs::check(job).and_then(|()| matrix::entries(job, choice)) {
            Ok(entries) => entries,
            Err(fault) => return pass(fault.of(name, &Entry::default())),
        };
        known.extend(matrix::keep(&mut entries, choice));
        for entry in entries {
            cancel.check().map_err(|error| Fault::plain(error.to_string()))?;
            match needs::read(name, job, &entry, choice) {
                Ok(needs) if self.needs.len() < MAX_NEEDS => self.needs.push(needs),
                Ok(_) => return Err(Fault::plain(format!("has more than {MAX_NEEDS} entries in all"))),
                Err(fault) => pass(fault.of(name, &entry))?,
            }
        }
        Ok(())
    }
}

impl Fault {
    fn plain(why: String) -> Fault {
        Fault { at: None, of: String::new(), why, hint: None, kind: FaultKind::Wrong }
    }

    fn wrong(node: &Node, why: String) -> Fault {
        Fault { at: Some(node.at), ..Fault::plain(why) }
    }

    fn unknown(node: &Node, why: String) -> Fault {
        Fault { kind: FaultKind::Unknown, ..Fault::wrong(node, why) }
    }

    fn foreign(node: &Node, why: String) -> Fault {
        Fault { kind: FaultKind::Foreign, ..Fault::wrong(node, why) }
    }

    fn hinted(self, hint: &'static str) -> Fault {
        Fault { hint: Some(hint), ..self }
    }

    fn of(self, job: &str, entry: &Entry) -> Fault {
        Fault { of: format!("{}: ", needs::shown(job, entry)), ..self }
    }

    fn is_unknown(&self) -> bool {
        self.kind == FaultKind::Unknown
    }

    /// What to do about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        self.hint
    }
}

/// Place, job and what is wrong; the name of the file goes before it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(at) = self.at {
            write!(f, "{at}: ")?;
        }
        f.write_str(&visible(&format!("{}{}", self.of, self.why)))
    }
}

/// On one line, whatever somebody has put into a file.
fn visible(text: &str) -> String {
    let shown = |c: char| if c.is_control() { c.escape_default().collect() } else { c.to_string() };
    text.chars().map(shown).collect()
}

/// Some of many, for a message.
fn list<T: AsRef<str>>(items: impl Iterator<Item = T>) -> String {
    let mut items = items.peekable();
    let mut made = String::new();
    while let Some(item) = items.next() {
        if made.len() > 200 {
            return made + "…";
        }
        made.push_str(item.as_ref());
        if items.peek().is_some() {
            made.push_str(", ");
        }
    }
    made
}
