//! Imports go down only: the floors of `docs/architecture.md`, checked on the source itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Modules of the library, floor by floor.
const STORE: &[(u32, &[&str])] = &[
    (
        0,
        &[
            "cancel",
            "descriptor",
            "digest",
            "error",
            "ids",
            "json",
            "manifest",
            "media_type",
            "progress",
            "quantity",
            "reference",
        ],
    ),
    (1, &["abilities", "blob", "fs", "open_files", "tree"]),
    (2, &["base", "index", "layout", "overlay", "walk"]),
    (
        3,
        &[
            "briefs",
            "building",
            "elsewhere",
            "exports",
            "have",
            "journal",
            "layers",
            "lease",
            "lock",
            "owned",
            "quarantine",
            "snapshots",
            "steps",
            "store",
            "transaction",
            "usage",
        ],
    ),
    (4, &["choose", "df", "freshness", "gc", "policy", "prune", "repair", "settings", "summary", "verify"]),
    (5, &["archive", "bundle", "changes", "codec", "delta", "facts", "members", "place", "unpack"]),
];
/// Modules of the program, above all of the library.
const PROGRAM: &[(u32, &[&str])] = &[
    (6, &["registry"]),
    (7, &["docker"]),
    (8, &["build", "bundle", "catalog", "def", "report", "sbom", "structure", "trust"]),
    (9, &["cli", "commands"]),
];

fn floor(floors: &[(u32, &[&str])], module: &str) -> Option<u32> {
    floors.iter().find(|(_, modules)| modules.contains(&module)).map(|(floor, _)| *floor)
}

fn sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).expect("a source directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

/// The first module of a file below a source directory: `blob/files.rs` belongs to `blob`.
fn module(root: &Path, file: &Path) -> String {
    let first = file.strip_prefix(root).expect("below it").components().next().expect("a name");
    Path::new(first.as_os_str()).file_stem().expect("a stem").to_string_lossy().into_owned()
}

/// What stands behind each `crate::` of the code (comments aside).
fn imports(text: &str) -> BTreeSet<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let mut found = BTreeSet::new();
    for line in code {
        for rest in line.split("crate::").skip(1) {
            let word = |text: &str| {
                text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>()
            };
            match rest.strip_prefix('{') {
                Some(list) => found.extend(list.split(',').map(|item| word(item.trim()))),
                None => drop(found.insert(word(rest))),
            }
        }
    }
    // Names that the library's root re-exports, and what the macro of visibility leaves.
    found.retain(|name| name.chars().next().is_some_and(char::is_lowercase));
    found
}

fn check(root: &Path, floors: &[(u32, &[&str])]) -> usize {
    let mut checked = 0;
    for file in sources(root) {
        let module = module(root, &file);
        if ["lib", "main", "floors"].contains(&module.as_str()) {
            continue;
        }
        let here = floor(floors, &module)
            .unwrap_or_else(|| panic!("{module} has no floor; docs/architecture.md lists them"));
        for import in imports(&fs::read_to_string(&file).expect("source")) {
            let there = floor(floors, &import)
                .unwrap_or_else(|| panic!("{}: imports {import}, which has no floor", file.display()));
            assert!(there <= here, "{}: floor {here} imports {import} of floor {there}", file.display());
            checked += 1;
        }
    }
    checked
}

#[test]
fn imports_go_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(check(&root.join("store/src"), STORE) > 100);
    assert!(check(&root.join("src"), PROGRAM) > 10);
}

#[test]
fn the_library_knows_no_network_no_runtime_and_no_terminal() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("store");
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the library's manifest");
    for forbidden in ["tokio", "hyper", "bollard", "clap", "indicatif"] {
        assert!(!manifest.contains(forbidden), "larder-store depends on {forbidden}");
    }
    for file in sources(&root.join("src")) {
        let text = fs::read_to_string(&file).expect("source");
        for forbidden in ["std::net", "println!", "eprintln!", "std::env::var", "SystemTime::now"] {
            assert!(!text.contains(forbidden), "{}: {forbidden}", file.display());
        }
    }
}

#[test]
fn the_check_can_fail() {
    assert_eq!(
        imports("use crate::{fs, blob::Blob};\nlet x = crate::error::Error;\n// crate::nothing\n"),
        BTreeSet::from(["fs", "blob", "error"].map(String::from))
    );
    let caught = std::panic::catch_unwind(|| {
        check(&Path::new(env!("CARGO_MANIFEST_DIR")).join("store/src"), &[(0, &["archive"])])
    });
    assert!(caught.is_err());
}
