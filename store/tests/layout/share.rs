//! Stores that a group shares: whoever writes, the others can go on.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use larder_store::layout::Layout;
use larder_store::{Digest, Store};
use rustix::fs::Mode;
use rustix::process::{getegid, geteuid, umask};
use tempfile::TempDir;

use crate::support::child::{self, Child, Part};
use crate::support::{PATIENCE, here, image, leftovers, open, quick_directory, skip, tree};

/// A group and a user that need not have names.
const GROUP: u32 = 42_421;
const MEMBER: u32 = 42_422;

/// The group to share with: one of no name for root, else the only one that a user surely has.
fn group() -> u32 {
    if geteuid().is_root() { GROUP } else { getegid().as_raw() }
}

fn shared(path: &Path) -> Store {
    Store::on(Layout::create_shared(path, group()).unwrap(), PATIENCE)
}

fn use_it(store: &Store, number: u64) {
    image::add(store, &format!("image{number}"), number, 2000).unwrap();
    store.record_use(&Digest::of(b"used"), 1_700_000_000).unwrap();
    drop(store.protect(&[format!("image{number}")], "a test").unwrap());
    drop(store.locks().exclusive().unwrap());
    assert_eq!(image::verify(store).len(), number as usize);
}

/// Directories 2775, files 0664, blobs 0444, and all of the group.
fn assert_shared(path: &Path) {
    for (name, is) in tree::of(path) {
        let group = group();
        let (blob, directory) = (name.starts_with("blobs/sha256/"), is.starts_with("directory"));
        let must = if directory {
            "directory 2775"
        } else if blob {
            "file 444"
        } else {
            "file 664"
        };
        assert!(is.starts_with(&format!("{must} {group}")), "{name}: {is}, must be {must} {group}");
    }
}

#[test]
fn a_shared_store_belongs_to_the_group() {
    let dir = quick_directory();
    let path = dir.path().join("store");
    use_it(&shared(&path), 1);
    use_it(&open(&path), 2);
    assert_eq!(leftovers(&path), Vec::<String>::new());
    // What is there while somebody works, and what a killed one leaves, is the group's as well.
    let store = open(&path);
    let tx = store.begin("a test").unwrap();
    let writer = tx.writer().unwrap();
    assert_eq!(leftovers(&path).len(), 2);
    assert_shared(&path);
    drop((writer, tx));
}

#[test]
fn mode_and_owner_of_the_index_survive_its_replacement() {
    let dir = quick_directory();
    let path = dir.path().join("store");
    let store = open(&path);
    let index = path.join("index.json");
    let (owner, group) = if geteuid().is_root() { (MEMBER, GROUP) } else { (geteuid().as_raw(), group()) };
    for mode in [0o600, 0o640, 0o660, 0o644, 0o664] {
        chown(&index, Some(owner), Some(group)).unwrap();
        std::fs::set_permissions(&index, Permissions::from_mode(mode)).unwrap();
        let before = index.metadata().unwrap().ino();
        image::name(&store, &format!("name{mode}"), b"content").unwrap();
        let meta = index.metadata().unwrap();
        assert_ne!(meta.ino(), before, "it is replaced by a rename");
        assert_eq!((meta.mode() & 0o7777, meta.uid(), meta.gid()), (mode, owner, group));
    }
}

#[test]
fn a_store_is_not_made_a_shared_one_later() {
    let dir = quick_directory();
    open(dir.path());
    let before = tree::of(dir.path());
    let error = Layout::create_shared(dir.path(), group()).unwrap_err();
    assert!(error.to_string().contains("is a store already"), "{error}");
    assert_eq!(tree::of(dir.path()), before);
}

/// A directory that others can enter, a store in it, and this program where they can run it.
struct Common {
    dir: TempDir,
    program: PathBuf,
}

impl Common {
    fn new() -> Common {
        let dir = quick_directory();
        std::fs::set_permissions(dir.path(), Permissions::from_mode(0o755)).unwrap();
        let program = dir.path().join("it");
        std::fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        Common { dir, program }
    }

    fn store(&self) -> PathBuf {
        self.dir.path().join("store")
    }

    /// Uses the store as a user that is in the group and in no other.
    fn member(&self, test: &str, number: usize) {
        let mut command = child::command(test, &self.program);
        command.uid(MEMBER).gid(GROUP).current_dir(self.dir.path());
        Child::start_as(command, "member", number, &self.store()).finish();
    }

    /// Uses the store as root.
    fn root(&self, test: &str, number: usize) {
        Child::start(test, "root", number, &self.store()).finish();
    }
}

/// Uses the store with a umask that would keep everybody else out.
fn play(part: &Part, mask: u32) {
    umask(Mode::from_raw_mode(mask));
    let store = if part.number == 1 { shared(&part.dir) } else { open(&part.dir) };
    use_it(&store, part.number as u64);
}

fn root_and_member_take_turns(test: &'static str, mask: u32) {
    if let Some(part) = child::part() {
        return play(&part, mask);
    }
    if !geteuid().is_root() {
        return skip::record(test, "root", "is needed to be two users");
    }
    let common = Common::new();
    common.root(test, 1);
    common.member(test, 2);
    common.root(test, 3);
    common.member(test, 4);
    let store = open(&common.store());
    assert_eq!(image::verify(&store).len(), 4);
    let used = store.usage().unwrap().remove(&Digest::of(b"used")).unwrap();
    assert_eq!(used.count, 4, "a use was lost");
    assert_shared(&common.store());
}

#[test]
fn root_and_a_member_take_turns() {
    root_and_member_take_turns(here!(), 0o022);
}

#[test]
fn root_and_a_member_take_turns_whatever_their_umask() {
    root_and_member_take_turns(here!(), 0o077);
}

/// Killed while it was made, and finished by who does not know that it was to be shared.
#[test]
fn a_shared_store_that_is_only_begun_stays_shared() {
    let dir = quick_directory();
    let path = dir.path().join("store");
    shared(&path);
    for name in ["oci-layout", "index.json", ".larder/version", ".larder/reserve"] {
        std::fs::remove_file(path.join(name)).unwrap();
    }
    for name in [".larder/leases", ".larder/cache", "blobs/sha256", "blobs"] {
        std::fs::remove_dir(path.join(name)).unwrap();
    }
    Layout::open(&path).unwrap();
    let mut tree = tree::of(&path);
    tree.remove(".larder/reserve");
    for (name, is) in tree {
        let must = if is.starts_with("directory") { "directory 2775" } else { "file 664" };
        assert!(is.starts_with(&format!("{must} {}", group())), "{name}: {is}, must be {must}");
    }
}

#[test]
fn a_file_that_was_there_keeps_its_mode() {
    let dir = quick_directory();
    let store = shared(dir.path());
    let released = dir.path().join(".larder/released");
    std::fs::set_permissions(&released, Permissions::from_mode(0o600)).unwrap();
    store.release(&[Digest::of(b"a")]).unwrap();
    assert_eq!(released.metadata().unwrap().mode() & 0o777, 0o600);
    std::fs::remove_file(&released).unwrap();
    store.release(&[Digest::of(b"a")]).unwrap();
    assert_eq!(released.metadata().unwrap().mode() & 0o777, 0o664, "a new one is the group's");
}
