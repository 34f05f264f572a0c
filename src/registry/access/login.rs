//! Credentials of a host are kept, or forgotten, as docker does it: in the file of credentials, or by the helper that the file
//! names for the host; then an empty entry stays in the file.

use std::fs::{DirBuilder, File};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use larder_store::Error as StoreError;
use larder_store::cancel::Cancel;
use serde_json::json;

use super::config::{Asked, Config, encoded};
use super::find::{self, damaged, read};
use super::helper::Helper;
use super::host::normal;
use super::{Environment, Error, Result, Secret, edit, files};

/// Where credentials are kept now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stored {
    /// The file that has them, or that names the helper.
    pub(crate) file: PathBuf,
    /// The helper that has them; without one they stand in the file, and are not encrypted.
    pub(crate) helper: Option<String>,
    /// A file with others for the same host, or the variable, which is asked before.
    pub(crate) hidden_by: Option<PathBuf>,
}

/// What was forgotten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Forgotten {
    /// The file that had them, or that names the helper that had them.
    pub(crate) file: PathBuf,
    /// Whether there were any.
    pub(crate) was_there: bool,
    /// Files of another program, and the variable, that have some for the same host.
    pub(crate) others: Vec<PathBuf>,
}

/// Who changes files of credentials, and how long is waited for another larder that does.
pub(crate) struct Keeper<'a> {
    pub(crate) environment: &'a Environment,
    pub(crate) lock_timeout: Duration,
    pub(crate) cancel: &'a Cancel,
}

impl Keeper<'_> {
    /// Keeps a user's password for a host.
    pub(crate) fn login(&self, host: &str, user: &str, password: &Secret) -> Result<Stored> {
        let (file, host) = (self.file()?, &normal(host));
        let asked = asked(&file, host)?;
        let entry = match &asked {
            None => json!({"auth": encoded(user, password)}),
            Some(asked) => {
                self.helper(asked, host)?.store(&asked.server, user, password)?;
                json!({})
            }
        };
        self.edit(&file, |bytes| edit::with(bytes, host, &entry).map(Some))?;
        let before = files::credentials(self.environment).into_iter().take_while(|path| *path != file);
        let hidden_by = self.variable(host).or_else(|| before.into_iter().find(|path| has(path, host)));
        let helper = asked.map(|asked| format!("docker-credential-{}", asked.helper));
        Ok(Stored { file, helper, hidden_by })
    }

    /// Forgets what there is for a host as a whole.
    pub(crate) fn logout(&self, host: &str) -> Result<Forgotten> {
        let (file, host) = (self.file()?, &normal(host));
        let mut was_there = match asked(&file, host)? {
            Some(asked) => self.helper(&asked, host)?.erase(&asked.server)?,
            None => false,
        };
        if file.exists() {
            self.edit(&file, |bytes| {
                let (text, was) = edit::without(bytes, host)?;
                was_there |= was;
                Ok(was.then_some(text))
            })?;
        }
        let others = files::credentials(self.environment).into_iter().filter(|path| *path != file);
        let others = self.variable(host).into_iter().chain(others.filter(|path| has(path, host)));
        Ok(Forgotten { others: others.collect(), file, was_there })
    }

    /// The variable that has credentials, where it has some for a host.
    fn variable(&self, host: &str) -> Option<PathBuf> {
        let config = find::variable(self.environment).ok().flatten()?;
        knows(&config, host).then(|| files::VARIABLE.into())
    }

    fn file(&self) -> Result<PathBuf> {
        files::login(self.environment).ok_or_else(|| Error::File {
            file: "config.json".into(),
            why: "there is no home directory to keep credentials in".into(),
            hint: "set HOME, DOCKER_CONFIG or REGISTRY_AUTH_FILE",
        })
    }

    fn helper(&self, asked: &Asked, host: &str) -> Result<Helper<'_>> {
        Helper::find(&asked.helper, host, &self.environment.path, self.cancel)
    }

    /// Changes a file, behind its links, while no other larder does; `None` leaves it as it is.
    fn edit(&self, path: &Path, edit: impl FnOnce(&[u8]) -> Result<Option<String>, String>) -> Result<()> {
        let file = files::behind_links(path)?;
        let dir = files::parent(&file);
        let made = DirBuilder::new().recursive(true).mode(0o700).create(dir);
        made.map_err(StoreError::io("create", dir))?;
        let _lock = self.lock(dir)?;
        let bytes = files::read(&file)?.unwrap_or_default();
        match edit(&bytes).map_err(|why| damaged(path, why))? {
            Some(text) => files::replace(&file, text.as_bytes()),
            None => Ok(()),
        }
    }

    fn lock(&self, dir: &Path) -> Result<File> {
        let lock = File::open(dir).map_err(StoreError::io("open", dir))?;
        let start = Instant::now();
        loop {
            match lock.try_lock() {
                Ok(()) => return Ok(lock),
                // Where nothing can be locked, docker does not lock either.
                Err(std::fs::TryLockError::Error(_)) => return Ok(lock),
                Err(std::fs::TryLockError::WouldBlock) if start.elapsed() >= self.lock_timeout => {
                    let holder = format!("another process that changes {}", dir.display());
                    let waited = self.lock_timeout;
                    return Err(
                        StoreError::LockTimeout { lock: "lock of credentials", waited, holder }.into()
                    );
                }
                Err(std::fs::TryLockError::WouldBlock) => self.cancel.check()?,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Which helper a file names for a host.
fn asked(file: &Path, host: &str) -> Result<Option<Asked>> {
    let Some(config) = read(file)? else { return Ok(None) };
    config.helper(host).map_err(|why| damaged(file, why))
}

/// Whether a file has credentials for a host as a whole, or a helper for it.
fn has(file: &Path, host: &str) -> bool {
    read(file).is_ok_and(|config| config.is_some_and(|config| knows(&config, host)))
}

fn knows(config: &Config, host: &str) -> bool {
    let has_helper = config.helper(host).is_ok_and(|asked| asked.is_some_and(|asked| asked.alone));
    has_helper || config.keys(host).next().is_some()
}
