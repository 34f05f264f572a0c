//! Credentials of a host: file by file, and in each its helper before its own entries, as docker and podman look.

use std::path::{Path, PathBuf};

use larder_store::cancel::Cancel;

use super::config::{self, Asked, Config};
use super::helper::Helper;
use super::{Credentials, Environment, Error, Result, files};

/// What is there for a repository of a host, and where it was found.
pub(super) fn credentials(
    host: &str,
    repository: &str,
    environment: &Environment,
    cancel: &Cancel,
) -> Result<(Credentials, Option<String>)> {
    let of = |path: &Path, config: &Config| -> Result<_> {
        let asked = config.helper(host).map_err(|why| damaged(path, why))?;
        let own = || config.entry(host, repository).map_err(|why| damaged(path, why));
        let is_missing = |asked: &Asked| Helper::is_missing(&asked.helper, &environment.path);
        if let Some(asked) = asked.as_ref().filter(|asked| is_missing(asked)) {
            // What stands there was meant for whoever has no helper. Docker itself reads nothing else of the variable.
            let is_for_others = path == Path::new(files::VARIABLE) && !asked.alone;
            match own()? {
                Some(found) => return Ok(Some((found, Some(path.display().to_string())))),
                None if is_for_others => return Ok(None),
                None => {}
            }
        }
        if let Some(asked) = &asked {
            let helper = Helper::find(&asked.helper, host, &environment.path, cancel)?;
            if let Some(found) = helper.get(&asked.server)? {
                return Ok(Some((found, Some(format!("{} ({})", helper.program(), path.display())))));
            }
        }
        if asked.is_some_and(|asked| asked.alone) {
            return Ok(None);
        }
        Ok(own()?.map(|found| (found, Some(path.display().to_string()))))
    };
    if let Some(config) = variable(environment)?
        && let Some(found) = of(Path::new(files::VARIABLE), &config)?
    {
        return Ok(found);
    }
    for path in files::credentials(environment) {
        let Some(config) = read(&path)? else { continue };
        if let Some(found) = of(&path, &config)? {
            return Ok(found);
        }
    }
    Ok((Credentials::Anonymous, None))
}

/// Reads the variable that has credentials; `None` where it is not set, or not asked.
pub(super) fn variable(environment: &Environment) -> Result<Option<Config>> {
    let Some(text) = files::variable(environment) else { return Ok(None) };
    config::parse(text.reveal().as_bytes()).map(Some).map_err(|why| damaged(Path::new(files::VARIABLE), why))
}

/// Reads a file of credentials; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Config>> {
    let Some(bytes) = files::read(path)? else { return Ok(None) };
    config::parse(&bytes).map(Some).map_err(|why| damaged(path, why))
}

/// A file of credentials that is not what it should be.
pub(super) fn damaged(path: &Path, why: String) -> Error {
    Error::File {
        file: path.display().to_string(),
        why,
        hint: match path == Path::new(files::VARIABLE) {
            true => {
                "it has to be the JSON of a config.json, or empty (nothing of it is shown, as it holds secrets)"
            }
            false => {
                "put it right, or move it away and log in again (nothing of it is shown, as it holds secrets)"
            }
        },
    }
}

/// A file of credentials that is there, or the variable that has them, and what it is good for.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Source {
    /// Which.
    pub(crate) file: PathBuf,
    /// Of how many hosts, and parts of them, it has credentials itself.
    pub(crate) entries: usize,
    /// Programs that keep those of others.
    pub(crate) helpers: Vec<String>,
    /// Why it cannot be read.
    pub(crate) error: Option<String>,
}

/// Where credentials are, in the order in which they are asked. No helper is run.
pub(crate) fn sources(environment: &Environment) -> Vec<Source> {
    let look = |file: PathBuf, read: Result<Option<Config>>| match read {
        Ok(None) => None,
        Ok(Some(config)) => {
            let helpers = config.programs().iter().map(|name| format!("docker-credential-{name}")).collect();
            Some(Source { file, entries: config.count(), helpers, error: None })
        }
        Err(error) => Some(Source { file, entries: 0, helpers: Vec::new(), error: Some(error.to_string()) }),
    };
    let named = look(files::VARIABLE.into(), variable(environment));
    let files = files::credentials(environment).into_iter();
    named.into_iter().chain(files.filter_map(|file| look(file.clone(), read(&file)))).collect()
}
