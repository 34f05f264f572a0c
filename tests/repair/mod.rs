//! `verify --repair`: what is damaged goes aside, what is good comes in, and the index stays as it is.

mod origin;
mod refused;
mod sources;
mod together;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::Sandbox;
use crate::support::store::{assert_nothing_pending, blob_path, blobs, index_text};

/// What can become of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Harm {
    Flip,
    Cut,
    Grow,
    Remove,
    Directory,
    Link,
}

const HARMS: [Harm; 6] = [Harm::Flip, Harm::Cut, Harm::Grow, Harm::Remove, Harm::Directory, Harm::Link];

impl Harm {
    /// Does it; the bytes that stand there afterwards, where there are any.
    fn befall(self, path: &Path) -> Option<Vec<u8>> {
        let mut bytes = std::fs::read(path).unwrap();
        let middle = bytes.len() / 2;
        match self {
            Harm::Flip => bytes[middle] ^= 1,
            Harm::Cut => bytes.truncate(middle),
            Harm::Grow => bytes.push(0),
            Harm::Remove | Harm::Directory | Harm::Link => std::fs::remove_file(path).unwrap(),
        }
        match self {
            Harm::Directory => std::fs::create_dir(path).unwrap(),
            Harm::Link => std::os::unix::fs::symlink("/etc/passwd", path).unwrap(),
            Harm::Remove => {}
            Harm::Flip | Harm::Cut | Harm::Grow => {
                std::fs::set_permissions(path, PermissionsExt::from_mode(0o644)).unwrap();
                std::fs::write(path, &bytes).unwrap();
                return Some(bytes);
            }
        }
        None
    }
}

/// The content of all blobs, without what stepped aside; and the index.
fn state(store: &Path) -> (BTreeMap<String, Vec<u8>>, String) {
    let names = blobs(store).into_keys().filter(|name| !name.contains('.'));
    let all = names.map(|name| (name.clone(), std::fs::read(blob_path(store, &name)).unwrap())).collect();
    (all, index_text(store))
}

/// What is in the quarantine, by name.
fn quarantine(store: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(dir) = std::fs::read_dir(store.join(".larder/quarantine")) else { return BTreeMap::new() };
    let files = dir.map(|file| file.unwrap());
    files.map(|file| (file.file_name().into_string().unwrap(), std::fs::read(file.path()).unwrap())).collect()
}

/// `verify --repair` from these sources; exit code and JSON.
fn repair(sandbox: &Sandbox, from: &[PathBuf], args: &[&str]) -> (i32, Value) {
    let mut all: Vec<OsString> = ["verify", "--repair", "--format", "json"].map(OsString::from).to_vec();
    for path in from {
        all.extend(["--from".into(), path.into()]);
    }
    all.extend(args.iter().map(OsString::from));
    let output = sandbox.larder(all);
    let said = String::from_utf8_lossy(&output.stderr);
    let done = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"));
    assert_nothing_pending(&sandbox.store());
    (output.status.code().unwrap(), done)
}

/// A list in an answer, one field of each.
fn column(done: &Value, list: &str, key: &str) -> Vec<String> {
    let list = done[list].as_array().unwrap();
    list.iter().map(|row| row[key].as_str().unwrap().to_owned()).collect()
}
