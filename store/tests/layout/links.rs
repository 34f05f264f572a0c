//! Links planted in a store lead nowhere: nothing outside is read, written or made.

use std::os::unix::fs::symlink;
use std::path::Path;

use larder_store::{Error, Result, Store};

use crate::support::{image, open, quick_directory, tree};

/// Everything that the store's users do, one after the other; what each of them said.
fn use_all(path: &Path) -> Vec<(&'static str, Result<()>)> {
    let patience = std::time::Duration::from_millis(200);
    let store = match Store::open(path, patience) {
        Ok(store) => store,
        Err(error) => return vec![("open", Err(error))],
    };
    let digest = larder_store::Digest::of(b"used");
    vec![
        ("index", store.index().map(drop)),
        ("edit", image::name(&store, "new", b"new").map(drop)),
        ("add", image::add(&store, "added", 99, 2000).map(drop)),
        ("protect", store.protect(&["image".to_owned()], "a test").map(drop)),
        ("record", store.record_use(&digest, 1_700_000_000)),
        ("layers", store.layers().map(drop)),
        ("exclusive", store.locks().exclusive().map(drop)),
    ]
}

/// Moves a part of a good store outside and plants a link in its place; then the link's target is taken away too.
fn planted(part: &str) -> Vec<(&'static str, Result<()>)> {
    let dir = quick_directory();
    let (path, outside) = (dir.path().join("store"), dir.path().join("outside"));
    let store = open(&path);
    image::add(&store, "image", 1, 1000).unwrap();
    store.record_use(&larder_store::Digest::of(b"used"), 1_700_000_000).unwrap();
    drop((store.layers().unwrap(), store.locks().exclusive().unwrap(), store));
    std::fs::create_dir(&outside).unwrap();
    let target = outside.join("target");
    std::fs::rename(path.join(part), &target).unwrap();
    symlink(&target, path.join(part)).unwrap();
    let before = tree::of(&outside);
    let said = use_all(&path);
    assert_eq!(tree::of(&outside), before, "{part}: written through the link");

    std::fs::rename(&target, dir.path().join("away")).unwrap();
    use_all(&path);
    assert!(std::fs::read_dir(&outside).unwrap().next().is_none(), "{part}: made through the dangling link");
    said
}

fn failed<'a>(said: &'a [(&'static str, Result<()>)]) -> Vec<(&'a str, &'a Error)> {
    said.iter().filter_map(|(what, result)| result.as_ref().err().map(|error| (*what, error))).collect()
}

#[test]
fn planted_links_are_not_followed() {
    let used = format!(".larder/usage/{}", larder_store::Digest::of(b"used").hex());
    for (part, must_fail) in [
        ("oci-layout", "open"),
        ("index.json", "index"),
        ("blobs", "open"),
        ("blobs/sha256", "open"),
        (".larder", "open"),
        (".larder/version", "open"),
        (".larder/leases", "add"),
        (".larder/ingest", "add"),
        (".larder/usage", "record"),
        (&used, "record"),
        (".larder/cache", "layers"),
        (".larder/cache/home", "layers"),
        (".larder/cache/diffs", "layers"),
        (".larder/gate", "exclusive"),
        (".larder/lock", "exclusive"),
        (".larder/index.lock", "edit"),
    ] {
        let said = planted(part);
        assert!(failed(&said).iter().any(|(what, _)| *what == must_fail), "{part}: {:?}", failed(&said));
    }
}

#[test]
fn a_link_for_the_reserve_is_no_reserve() {
    assert_eq!(failed(&planted(".larder/reserve")).len(), 0, "it is only a reserve");
}

#[test]
fn blobs_are_not_read_through_links() {
    let dir = quick_directory();
    let path = dir.path().join("store");
    let store = open(&path);
    let entry = image::add(&store, "image", 1, 1000).unwrap();
    let blob = path.join("blobs/sha256").join(entry.digest.hex());
    let outside = dir.path().join("outside");
    std::fs::rename(&blob, &outside).unwrap();
    symlink(&outside, &blob).unwrap();
    assert!(store.document(&entry).unwrap().is_none());
    assert!(store.protect(&["image".to_owned()], "a test").is_err());
    // What is brought in again stands in the link's place.
    image::add(&store, "image", 1, 1000).unwrap();
    assert!(std::fs::symlink_metadata(&blob).unwrap().is_file());
    assert_eq!(image::verify(&store).len(), 1);
}

/// A pipe that nobody writes to would make whoever opens it wait for ever.
#[test]
fn a_pipe_in_the_place_of_a_file_makes_nobody_wait() {
    let used = larder_store::Digest::of(b"used");
    for name in ["released", "lock", "gate", "index.lock", &format!("usage/{}", used.hex())] {
        let dir = quick_directory();
        let store = open(dir.path());
        let path = dir.path().join(".larder").join(name);
        let _ = std::fs::remove_file(&path);
        let made = std::process::Command::new("mkfifo").arg(&path).status().unwrap();
        assert!(made.success());
        let done = match name {
            "released" => store.release(&[used]),
            "lock" | "gate" => store.locks().exclusive().map(drop),
            "index.lock" => store.locks().index().map(drop),
            _ => store.record_use(&used, 1),
        };
        assert!(done.is_err_and(|error| error.to_string().contains(name)), "{name}");
    }
}
