//! What the tests share: other processes, disks, images, and pictures of directories.

pub mod child;
pub mod disk;
pub mod image;
pub mod skip;
pub mod tree;

use std::path::Path;
use std::time::Duration;

use larder_store::Store;
use tempfile::TempDir;

/// How long a lock is waited for, where the test is not about waiting.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The name of the test that calls it, as `cargo test` prints it.
macro_rules! here {
    () => {{
        fn here() {}
        $crate::support::test_name(std::any::type_name_of_val(&here))
    }};
}
pub(crate) use here;

/// `it::layout::adopts::here` -> `layout::adopts`.
pub fn test_name(here: &'static str) -> &'static str {
    let (_, path) = here.split_once("::").unwrap();
    let path = path.strip_suffix("::here").unwrap();
    path.split("::{{closure}}").next().unwrap()
}

/// A directory that is removed when dropped.
pub fn directory() -> TempDir {
    tempfile::Builder::new().prefix("larder-test.").tempdir().unwrap()
}

/// A directory in memory where there is one, for tests of many steps that are not about what a disk keeps.
pub fn quick_directory() -> TempDir {
    let memory = Path::new("/dev/shm");
    let named = || tempfile::Builder::new().prefix("larder-test.").to_owned();
    named().tempdir_in(memory).unwrap_or_else(|_| directory())
}

/// Opens a store, or makes one.
pub fn open(path: &Path) -> Store {
    Store::open(path, PATIENCE).unwrap()
}

/// What is left of writing: names in `ingest` and `leases`.
pub fn leftovers(store: &Path) -> Vec<String> {
    let mut left = Vec::new();
    for dir in ["ingest", "leases"] {
        let dir = store.join(".larder").join(dir);
        left.extend(std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path().display().to_string()));
    }
    left
}
