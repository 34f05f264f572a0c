//! Test files: schema 2.0.0 of container-structure-test, in YAML or JSON.

mod fields;
mod read;
#[cfg(test)]
mod tests;

use super::pattern::Pattern;

pub(crate) use read::read;

/// A test file.
#[derive(Debug, Clone, Default)]
pub(crate) struct TestFile {
    /// Set for commands and in paths, beside the image's own.
    pub(crate) env: Vec<(String, String)>,
    pub(crate) commands: Vec<CommandTest>,
    pub(crate) contents: Vec<ContentTest>,
    pub(crate) files: Vec<FileTest>,
    pub(crate) licenses: Vec<LicenseTest>,
    pub(crate) metadata: Option<MetadataTest>,
    pub(crate) options: RunOptions,
}

/// How commands are run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RunOptions {
    pub(crate) user: String,
    pub(crate) privileged: bool,
    pub(crate) terminal: bool,
    /// Variables that are taken from larder's own environment.
    pub(crate) env: Vec<String>,
    pub(crate) env_file: String,
    pub(crate) capabilities: Vec<String>,
    pub(crate) binds: Vec<String>,
}

/// A command, and what must come of it.
#[derive(Debug, Clone)]
pub(crate) struct CommandTest {
    pub(crate) name: String,
    pub(crate) setup: Vec<Vec<String>>,
    pub(crate) env: Vec<(String, String)>,
    pub(crate) exit_code: i32,
    /// The program and its arguments.
    pub(crate) args: Vec<String>,
    pub(crate) expected_output: Vec<Pattern>,
    pub(crate) excluded_output: Vec<Pattern>,
    pub(crate) expected_error: Vec<Pattern>,
    pub(crate) excluded_error: Vec<Pattern>,
}

/// A path, and what must be there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FileTest {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) should_exist: bool,
    /// As Go prints them.
    pub(crate) permissions: Option<String>,
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
    pub(crate) executable_by: Option<Who>,
}

/// Who can run a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    Owner,
    Group,
    Other,
    Any,
}

/// A file, and what must and must not be found in it.
#[derive(Debug, Clone)]
pub(crate) struct ContentTest {
    pub(crate) name: String,
    pub(crate) path: String,
    pub(crate) expected: Vec<Pattern>,
    pub(crate) excluded: Vec<Pattern>,
}

/// Files whose licenses are looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LicenseTest {
    /// Those of all packages of Debian.
    pub(crate) is_debian: bool,
    pub(crate) files: Vec<String>,
}

/// What the config must say.
#[derive(Debug, Clone, Default)]
pub(crate) struct MetadataTest {
    pub(crate) env: Vec<(String, Value)>,
    pub(crate) unbound_env: Vec<String>,
    pub(crate) labels: Vec<(String, Value)>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) cmd: Option<Vec<String>>,
    pub(crate) exposed_ports: Vec<String>,
    pub(crate) unexposed_ports: Vec<String>,
    pub(crate) volumes: Vec<String>,
    pub(crate) unmounted_volumes: Vec<String>,
    pub(crate) workdir: Option<String>,
    pub(crate) user: Option<String>,
}

/// What a value must be.
#[derive(Debug, Clone)]
pub(crate) enum Value {
    Text(String),
    Pattern(Pattern),
}

impl TestFile {
    /// How many tests there are.
    pub(crate) fn count(&self) -> usize {
        let lists = self.commands.len() + self.contents.len() + self.files.len() + self.licenses.len();
        lists + usize::from(self.metadata.is_some())
    }
}
