//! Image definitions: files that come of them, images that are built from them, and what is wrong with them.

mod built;
mod ci;
mod generated;
mod refused;
mod tested;

use std::path::Path;

use crate::support::{Sandbox, run};

/// Copies the fixture's folder of definitions, and what is beside it, into a sandbox.
fn copy_fixture(sandbox: &Sandbox) {
    let mut cp = std::process::Command::new("cp");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/def/.");
    run(cp.arg("-r").arg(folder).arg(sandbox.root()));
}

/// Writes files of a sandbox.
fn put(sandbox: &Sandbox, files: &[(&str, &str)]) {
    for (path, text) in files {
        let path = sandbox.path(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// All that is below a directory, as one text: paths, kinds and content.
fn listing(root: &Path) -> String {
    let mut found = Vec::new();
    let mut open = vec![root.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let (path, kind) = (entry.as_ref().unwrap().path(), entry.unwrap().file_type().unwrap());
            let shown = path.strip_prefix(root).unwrap().display().to_string();
            if kind.is_dir() {
                open.push(path);
            } else if kind.is_symlink() {
                found.push(format!("== {shown} -> {}\n", std::fs::read_link(&path).unwrap().display()));
            } else {
                use std::os::unix::fs::PermissionsExt;
                let mode = path.metadata().unwrap().permissions().mode();
                let mark = if mode & 0o111 != 0 { " (executable)" } else { "" };
                found.push(format!("== {shown}{mark}\n{}\n", std::fs::read_to_string(&path).unwrap()));
            }
        }
    }
    found.sort();
    found.concat()
}
