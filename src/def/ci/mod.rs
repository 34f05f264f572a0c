//! Pipelines that build the images of a folder: a job an image, which hands it to the others as an archive. Pure: definitions in, YAML out.
//!
//! A job gets the archives of what its image needs, checks names and digests that the jobs told which made them, builds, tests, and
//! writes an archive itself. No job asks a registry, and none runs but behind those whose archives it takes. Images of other places come
//! into a run by a job each, which takes them out of the runner's own store.
//!
//! What comes from definitions is a name by the grammar of references, or stands in no line; what comes from the command line is quoted.

mod github;
mod gitlab;
mod jobs;
mod shell;
#[cfg(test)]
mod tests;
mod yaml;

use super::Definitions;

/// Who runs the pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    GitHub,
    GitLab,
}

/// How archives get from job to job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handover {
    /// As artifacts of the jobs.
    Artifact,
    /// In a directory of the one machine that runs all jobs.
    Dir,
}

/// What a pipeline is made for.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) provider: Provider,
    pub(crate) handover: Handover,
    /// Labels (GitHub) or tags (GitLab) of the runner.
    pub(crate) runners: Vec<String>,
    /// Arguments by which larder finds the folder, as words.
    pub(crate) folder: Vec<String>,
    /// The words that make this pipeline.
    pub(crate) command: Vec<String>,
}

/// A pipeline, and what people should know of it.
#[derive(Debug)]
pub(crate) struct Pipeline {
    pub(crate) text: String,
    /// How many jobs hand something over.
    pub(crate) jobs: usize,
    pub(crate) notes: Vec<String>,
}

/// Why there can be no pipeline.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// Names whose tags need each other.
    #[error("{}: tags of these need each other's, and a pipeline has one job for all tags of a name", .0.join(" -> "))]
    Cycle(Vec<String>),
    /// A Dockerfile begins with what is no name.
    #[error("{tag}: its Dockerfile names {name:?}, which is no image: {why}")]
    Foreign { tag: String, name: String, why: String },
    /// A word of the command line that no pipeline can have.
    #[error("{0:?}: has a character that cannot stand in a pipeline")]
    Word(String),
}

/// Makes the pipeline.
pub(crate) fn pipeline(definitions: &Definitions, wanted: &Wanted) -> Result<Pipeline, Error> {
    let words = wanted.runners.iter().chain(&wanted.folder).chain(&wanted.command);
    if let Some(word) = words.into_iter().find(|word| !yaml::fits(word)) {
        return Err(Error::Word(word.clone()));
    }
    // GitHub looks for its expressions wherever they stand.
    if let Some(word) = wanted.folder.iter().find(|word| word.contains("${{")) {
        return Err(Error::Word(word.clone()));
    }
    let jobs = jobs::jobs(definitions)?;
    let (text, notes) = match wanted.provider {
        Provider::GitHub => (github::text(&jobs, wanted), Vec::new()),
        Provider::GitLab => (gitlab::text(&jobs, wanted), gitlab::notes(&jobs)),
    };
    Ok(Pipeline { text, jobs: jobs.len(), notes })
}

/// The head of the file: who made it, and how it is made anew.
fn head(wanted: &Wanted) -> String {
    format!(
        "# Made by larder from image definitions. Not to be edited; made anew by\n#   {}\n",
        shell::words(&wanted.command)
    )
}
