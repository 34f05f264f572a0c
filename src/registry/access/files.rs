//! Small files of the user's own: which ones, and how they are read and replaced. Links are followed: they are the user's.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use larder_store::Error as StoreError;
use rustix::fs::OFlags;

use super::{Environment, Error, Result, Secret};

/// No file of credentials or settings has more, bytes.
const MAX_SIZE: u64 = 1 << 20;

/// A variable that has credentials as a file has them: GitLab gives them to jobs so.
pub(super) const VARIABLE: &str = "DOCKER_AUTH_CONFIG";

/// What that variable has, where it is asked: before all files, but not where `REGISTRY_AUTH_FILE` names one.
pub(super) fn variable(environment: &Environment) -> Option<&Secret> {
    environment.docker_auth_config.as_ref().filter(|_| environment.registry_auth_file.is_none())
}

/// Files of credentials in the order in which they are asked: `REGISTRY_AUTH_FILE` alone where it is set; else those of
/// podman, then docker's.
pub(super) fn credentials(environment: &Environment) -> Vec<PathBuf> {
    if let Some(file) = &environment.registry_auth_file {
        return vec![file.clone()];
    }
    let config_home = config_home(environment);
    // Below /run it is root's, and often closed to others: they have nothing there.
    let run =
        Some(environment.containers_run()).filter(|dir| environment.runtime_dir.is_some() || dir.is_dir());
    let podman = [run, config_home.map(|dir| dir.join("containers"))];
    let podman = podman.into_iter().flatten().map(|dir| dir.join("auth.json"));
    podman.chain(docker(environment)).collect()
}

/// The file that `login` writes: `REGISTRY_AUTH_FILE` where it is set, as nothing else is read then; else docker's.
pub(super) fn login(environment: &Environment) -> Option<PathBuf> {
    environment.registry_auth_file.clone().or_else(|| docker(environment))
}

fn docker(environment: &Environment) -> Option<PathBuf> {
    let home = || Some(environment.home.as_ref()?.join(".docker"));
    Some(environment.docker_config.clone().or_else(home)?.join("config.json"))
}

/// `XDG_CONFIG_HOME`, else `~/.config`.
pub(super) fn config_home(environment: &Environment) -> Option<PathBuf> {
    environment.config_home.clone().or_else(|| Some(environment.home.as_ref()?.join(".config")))
}

/// Reads a file whole; `None` where there is none.
pub(super) fn read(path: &Path) -> Result<Option<Vec<u8>>> {
    // A pipe would be waited for.
    let opened = OpenOptions::new().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(StoreError::io("open", path)(error).into()),
    };
    let wrong = |why: &str, hint| Error::File { file: path.display().to_string(), why: why.into(), hint };
    let meta = file.metadata().map_err(StoreError::io("look at", path))?;
    if !meta.is_file() {
        return Err(wrong("is not a regular file", "put a file there, or nothing"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut bytes).map_err(StoreError::io("read", path))?;
    if bytes.len() as u64 > MAX_SIZE {
        return Err(wrong("has more than 1 MiB", "no such file has: look what came into it"));
    }
    Ok(Some(bytes))
}

/// Where a file really is: behind its symbolic links, whether it is there or not.
pub(super) fn behind_links(path: &Path) -> Result<PathBuf> {
    let mut path = path.to_path_buf();
    for _ in 0..40 {
        match std::fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // It is no link, or it is not there.
            Err(_) => return Ok(path),
        }
    }
    Err(Error::File {
        file: path.display().to_string(),
        why: "leads through more than 40 symbolic links".into(),
        hint: "put the file itself there",
    })
}

/// Replaces a file durably in one step: readers see the old one or the new one. Nobody but its owner can read it; it
/// stays that owner's as far as this user may say so.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let dir = parent(path);
    let temporary = dir.join(format!(".larder-{}.tmp", std::process::id()));
    let written = write_new(&temporary, path, bytes)
        .and_then(|()| std::fs::rename(&temporary, path).map_err(StoreError::io("rename", &temporary)));
    if let Err(error) = written {
        let _ = std::fs::remove_file(&temporary);
        return Err(error.into());
    }
    let synced = File::open(dir).and_then(|dir| dir.sync_all());
    Ok(synced.map_err(StoreError::io("fsync", dir))?)
}

/// The directory of a file.
pub(super) fn parent(path: &Path) -> &Path {
    path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn write_new(temporary: &Path, replaced: &Path, bytes: &[u8]) -> larder_store::error::Result<()> {
    let mut options = OpenOptions::new();
    let _ = std::fs::remove_file(temporary);
    let mut file = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(temporary)
        .map_err(StoreError::io("create", temporary))?;
    if let Ok(old) = std::fs::metadata(replaced) {
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.set_permissions(Permissions::from_mode(0o600)).map_err(StoreError::io("chmod", temporary))?;
    file.write_all(bytes).map_err(StoreError::io("write", temporary))?;
    file.sync_all().map_err(StoreError::io("fsync", temporary))
}
