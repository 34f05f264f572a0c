//! What is no store, is broken, or is too new: an error, and not a byte is changed.

use std::os::unix::fs::symlink;
use std::path::Path;

use larder_store::error::Kind;
use larder_store::layout::Layout;
use larder_store::{Error, Result, Store};

use crate::support::{PATIENCE, image, open, quick_directory, tree};

const OCI_LAYOUT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;

/// Something to do to a directory or file.
type Prepare<'a> = &'a dyn Fn(&Path);

/// Does something to a fresh directory, opens it, and sees that it is refused and unchanged.
fn refused(why: &str, prepare: impl FnOnce(&Path)) -> Error {
    let dir = quick_directory();
    let path = dir.path().join("store");
    std::fs::create_dir(&path).unwrap();
    prepare(&path);
    let before = tree::of(&path);
    let error = Layout::open(&path).expect_err(why);
    assert_eq!(tree::of(&path), before, "{why}: something was changed");
    assert!(error.to_string().contains(path.to_str().unwrap()), "{why}: {error}");
    error
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap();
}

#[test]
fn directories_that_are_no_layout() {
    let no_layout: [(&str, Prepare<'_>); 9] = [
        ("somebody's files", &|dir| write(dir, "thesis.tex", "…")),
        ("an index without oci-layout, and more", &|dir| {
            write(dir, "index.json", r#"{"schemaVersion":2,"manifests":[]}"#);
            write(dir, "thesis.tex", "…");
        }),
        ("an extracted docker-archive", &|dir| write(dir, "manifest.json", "[]")),
        ("no index", &|dir| write(dir, "oci-layout", OCI_LAYOUT)),
        ("an empty oci-layout", &|dir| write(dir, "oci-layout", "")),
        ("a cut oci-layout", &|dir| write(dir, "oci-layout", r#"{"imageLayoutVersion":"#)),
        ("another oci-layout", &|dir| write(dir, "oci-layout", "{}")),
        ("a later oci-layout", &|dir| write(dir, "oci-layout", r#"{"imageLayoutVersion":"2.0.0"}"#)),
        ("a doubled key", &|dir| {
            write(dir, "oci-layout", r#"{"imageLayoutVersion":"1.0.0","imageLayoutVersion":"1.0.0"}"#);
        }),
    ];
    for (why, prepare) in no_layout {
        let error = refused(why, prepare);
        assert!(matches!(error, Error::NotALayout { .. }), "{why}: {error}");
    }
    refused("oci-layout is a directory", |dir| std::fs::create_dir(dir.join("oci-layout")).unwrap());
    refused("oci-layout is a link", |dir| {
        write(dir, "real", OCI_LAYOUT);
        symlink("real", dir.join("oci-layout")).unwrap();
    });
}

#[test]
fn paths_that_are_no_directory() {
    let dir = quick_directory();
    let file = dir.path().join("file");
    std::fs::write(&file, "a file").unwrap();
    for path in [file.clone(), file.join("below")] {
        let error = Layout::open(&path).unwrap_err();
        assert!(error.to_string().contains(file.to_str().unwrap()), "{error}");
    }
    assert_eq!(std::fs::read(&file).unwrap(), b"a file");
}

fn newer(path: &Path) -> Error {
    let dir = path.join(".larder");
    std::fs::create_dir_all(&dir).unwrap();
    write(&dir, "version", "2\n");
    let before = tree::of(path);
    let error = Layout::open(path).unwrap_err();
    assert_eq!(tree::of(path), before, "a newer store was changed");
    error
}

#[test]
fn a_newer_store_is_left_alone() {
    let dir = quick_directory();
    image::add(&open(dir.path()), "image", 1, 100).unwrap();
    let error = newer(dir.path());
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
    assert!(error.to_string().contains(dir.path().to_str().unwrap()), "{error}");
}

#[test]
fn a_newer_store_that_is_only_begun_is_left_alone() {
    let dir = quick_directory();
    let error = newer(dir.path());
    assert!(matches!(error, Error::NewerFormat { found: 2, known: 1, .. }), "{error}");
}

#[test]
fn a_version_that_is_none() {
    for text in ["", "one", "-1", "1.5", "99999999999999999999", "1\n2\n"] {
        refused(text, |dir| {
            open(dir);
            write(&dir.join(".larder"), "version", text);
        });
    }
}

/// Opens the store and reads the index; then tries to change it.
fn use_index(path: &Path) -> (Error, Result<()>) {
    let read = Store::open(path, PATIENCE).and_then(|store| store.index());
    let edited = Store::open(path, PATIENCE).and_then(|store| {
        store.edit(|index| {
            index.entries_mut().clear();
            Ok(())
        })
    });
    (read.expect_err("read as an index"), edited)
}

#[test]
fn a_damaged_index_is_never_an_empty_one() {
    let damages: [(&str, Prepare<'_>); 12] = [
        ("missing", &|path| std::fs::remove_file(path).unwrap()),
        ("empty", &|path| std::fs::write(path, "").unwrap()),
        ("cut", &|path| {
            let whole = std::fs::read(path).unwrap();
            std::fs::write(path, &whole[..whole.len() - 1]).unwrap();
        }),
        ("zeros", &|path| std::fs::write(path, [0; 512]).unwrap()),
        ("null", &|path| std::fs::write(path, "null").unwrap()),
        ("a list", &|path| std::fs::write(path, "[]").unwrap()),
        ("an empty object", &|path| std::fs::write(path, "{}").unwrap()),
        ("an older schema", &|path| std::fs::write(path, r#"{"schemaVersion":1,"manifests":[]}"#).unwrap()),
        ("two documents", &|path| std::fs::write(path, r#"{"schemaVersion":2,"manifests":[]}{}"#).unwrap()),
        ("a broken entry", &|path| std::fs::write(path, r#"{"schemaVersion":2,"manifests":[{}]}"#).unwrap()),
        ("a directory", &|path| {
            std::fs::remove_file(path).unwrap();
            std::fs::create_dir(path).unwrap();
        }),
        ("larger than any index", &|path| {
            std::fs::File::options().write(true).open(path).unwrap().set_len((256 << 20) + 1).unwrap();
        }),
    ];
    for (why, damage) in damages {
        let dir = quick_directory();
        image::add(&open(dir.path()), "image", 1, 100).unwrap();
        damage(&dir.path().join("index.json"));
        let before = if why.starts_with("larger") { None } else { Some(tree::of(dir.path())) };
        let (error, edited) = use_index(dir.path());
        assert!(error.to_string().contains("index.json"), "{why}: {error}");
        assert!(why == "missing" || error.kind() == Kind::Damaged, "{why}: {error}");
        assert!(edited.is_err(), "{why}: was edited");
        assert!(before.is_none_or(|before| before == tree::of(dir.path())), "{why}: something was changed");
    }
}

/// Required by the specification; where it is missing, nobody knows what the index held.
#[test]
fn an_index_without_its_list_is_damaged() {
    let dir = quick_directory();
    image::add(&open(dir.path()), "image", 1, 100).unwrap();
    write(dir.path(), "index.json", r#"{"schemaVersion":2}"#);
    let (error, edited) = use_index(dir.path());
    assert_eq!(error.kind(), Kind::Damaged, "{error}");
    assert!(edited.is_err());
}
