//! `larder prune --tree`: the same policy for a folder of archives beside the store.

mod held;
mod kept;
mod listed;
mod places;

use super::*;
use crate::support::tarball::sha256;

/// A store with versions of `app` on one base, each in `tree/app/<tag>.tar`, exported 30, 20, … days ago, and not used since.
fn world(tags: &[&str]) -> Sandbox {
    let sandbox = versions(tags);
    std::fs::create_dir_all(sandbox.path("tree/app")).unwrap();
    for (at, tag) in tags.iter().enumerate() {
        export(&sandbox, &format!("app:{tag}"), &format!("app/{tag}.tar"));
        exported(&sandbox, &format!("app/{tag}.tar"), (10 * (tags.len() - at)) as i64);
    }
    sandbox
}

fn export(sandbox: &Sandbox, name: &str, file: &str) {
    sandbox.ok(["export", name, "-o", &format!("tree/{file}")]);
}

/// Where the export of a file is recorded.
fn record(sandbox: &Sandbox, file: &str) -> std::path::PathBuf {
    let path = sandbox.root().canonicalize().unwrap().join("tree").join(file);
    let name = sha256(path.to_str().unwrap().as_bytes());
    sandbox.store().join(".larder/exports").join(name.trim_start_matches("sha256:"))
}

/// Makes an export one of some days ago.
fn exported(sandbox: &Sandbox, file: &str, days_ago: i64) {
    let path = record(sandbox, file);
    let mut record: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    record["exported"] = json!(now() - days_ago * DAY);
    std::fs::write(path, record.to_string()).unwrap();
}

fn prune_tree(sandbox: &Sandbox, args: &[&str]) -> Value {
    prune(sandbox, &[&["--tree", "tree"], args].concat())
}

/// What is said of a file: its code and its reason.
fn said(pruned: &Value, file: &str) -> (String, String) {
    let files = pruned["files"].as_array().unwrap();
    let found = files.iter().find(|found| found["file"] == file);
    let found = found.unwrap_or_else(|| panic!("{file}: {pruned}"));
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("code"), text("reason"))
}

fn code_of(pruned: &Value, file: &str) -> String {
    said(pruned, file).0
}

/// The archives that are there.
fn files(sandbox: &Sandbox) -> BTreeSet<String> {
    let root = sandbox.path("tree");
    let all = store::tree(&root);
    let files = all.keys().map(|path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned());
    files.filter(|path| path.ends_with(".tar")).collect()
}

fn set(files: &[&str]) -> BTreeSet<String> {
    files.iter().map(|file| (*file).to_owned()).collect()
}

/// What goes can be had again: that is why it may go.
#[test]
fn what_larder_exported_goes_when_nobody_uses_it_and_the_store_gives_it_again() {
    let sandbox = world(&["1", "2", "3"]);
    let before = (index_text(&sandbox.store()), blobs(&sandbox.store()));
    let size = std::fs::metadata(sandbox.path("tree/app/1.tar")).unwrap().len();
    let bytes = std::fs::read(sandbox.path("tree/app/1.tar")).unwrap();
    let pruned = prune_tree(&sandbox, &["--unused-for", "25d"]);
    assert_eq!(files(&sandbox), set(&["app/2.tar", "app/3.tar"]), "{pruned}");
    assert_eq!(
        (code_of(&pruned, "app/1.tar"), code_of(&pruned, "app/2.tar")),
        ("unused".into(), "within-limits".into())
    );
    assert_eq!(
        (&pruned["freed_bytes"], &pruned["files"][0]["references"]),
        (&json!(size), &json!(["app:1"]))
    );
    assert_eq!((index_text(&sandbox.store()), blobs(&sandbox.store())), before, "the store is not looked at");
    assert!(!record(&sandbox, "app/1.tar").exists() && record(&sandbox, "app/2.tar").exists());

    export(&sandbox, "app:1", "app/1.tar");
    assert_eq!(std::fs::read(sandbox.path("tree/app/1.tar")).unwrap(), bytes);
    let image_id = |sandbox: &Sandbox| sandbox.json(["inspect", "app:1"])[0]["image_id"].clone();
    let other = Sandbox::new();
    std::fs::copy(sandbox.path("tree/app/1.tar"), other.path("again.tar")).unwrap();
    other.ok(["import", "again.tar"]);
    assert!(image_id(&other).is_string());
    assert_eq!(image_id(&other), image_id(&sandbox));
}

/// G10: what a dry run says is what a run does, to the byte; and it changes nothing.
#[test]
fn a_dry_run_predicts_exactly() {
    for args in [
        &["--max-size", "900kB"][..],
        &["--max-size", "1kB"],
        &["--unused-for", "15d"],
        &["--max-age", "25d", "--keep-last", "2"],
        &["--max-size", "900kB", "--protect", "app/2"],
        &["--min-free", "100%", "--reserve", "1MB"],
    ] {
        let sandbox = world(&["1", "2", "3", "4"]);
        std::fs::copy(sandbox.path("tree/app/1.tar"), sandbox.path("tree/app/copy.tar")).unwrap();
        let json = |more: &[&str]| {
            let output = sandbox
                .larder(["prune", "--tree", "tree", "--format", "json"].iter().chain(args).chain(more));
            assert!(matches!(output.status.code(), Some(0 | 4)), "{args:?}: {output:?}");
            (output.status.code(), serde_json::from_slice::<Value>(&output.stdout).unwrap())
        };
        let whole =
            (store::tree(&sandbox.path("tree")), store::tree(&sandbox.store().join(".larder/exports")));
        let (planned_code, planned) = json(&["--dry-run"]);
        let after =
            (store::tree(&sandbox.path("tree")), store::tree(&sandbox.store().join(".larder/exports")));
        assert_eq!(whole, after, "{args:?}");
        let (code, done) = json(&[]);
        assert_eq!(code, planned_code, "{args:?}");
        // (What is free is others' doing as well.)
        for key in ["files", "refused", "freed_bytes", "stored_bytes", "over_size"] {
            assert_eq!(done[key], planned[key], "{args:?}: {key}");
        }
        let bytes: u64 = files(&sandbox)
            .iter()
            .map(|file| sandbox.path("tree").join(file).metadata().unwrap().len())
            .sum();
        assert_eq!(done["stored_bytes"], bytes, "{args:?}");
        assert!(done["freed_bytes"].as_u64().unwrap() > 0, "{args:?}: {done}");
        for file in done["files"].as_array().unwrap() {
            let path = sandbox.path("tree").join(file["file"].as_str().unwrap());
            assert_eq!(path.exists(), file["verdict"] == "keep", "{args:?}: {file}");
        }
        assert_eq!(json(&[]).1["freed_bytes"], 0, "{args:?}: and that is all");
    }
}

#[test]
fn limits_are_those_of_the_store_and_flags_win() {
    let sandbox = world(&["1", "2", "3"]);
    let size = std::fs::metadata(sandbox.path("tree/app/1.tar")).unwrap().len();
    let policy = format!(
        "max_size = \"{}\"\n[[rule]]\npattern = \"app/1\"\nkeep_last = 1\nmin_age = \"40d\"\n",
        2 * size
    );
    std::fs::write(sandbox.store().join(".larder/larder.toml"), policy).unwrap();
    let pruned = prune_tree(&sandbox, &["--dry-run"]);
    assert_eq!(code_of(&pruned, "app/1.tar"), "young", "a rule by the name in the folder: {pruned}");
    assert_eq!(code_of(&pruned, "app/2.tar"), "size");
    let most = (3 * size).to_string();
    assert_eq!(prune_tree(&sandbox, &["--max-size", &most])["freed_bytes"], 0);
    let said = sandbox.fail(["prune", "--tree", "tree", "--max-size", "1kB"], 4);
    for word in [
        "the folder is",
        "app/1.tar",
        "came in",
        "app/3.tar",
        "newest of app",
        "the same with --dry-run --explain",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert_eq!(files(&sandbox), set(&["app/1.tar", "app/3.tar"]), "what helps went");
    let said = sandbox.ok(["prune", "--tree", "tree", "--explain", "--max-size", "1GB"]);
    assert!(said.contains("app/3.tar") && said.contains("among the newest of app"), "{said}");
}

/// The last export of a file counts, and each file of an image for itself.
#[test]
fn a_file_that_is_exported_again_is_new() {
    let sandbox = world(&["1", "2", "3"]);
    export(&sandbox, "app:1", "app/second.tar");
    export(&sandbox, "app:2", "app/1.tar");
    let pruned = prune_tree(&sandbox, &["--unused-for", "15d", "--min-age", "0s"]);
    assert_eq!(files(&sandbox), set(&["app/1.tar", "app/3.tar", "app/second.tar"]), "{pruned}");
    assert_eq!(pruned["files"][0]["references"], json!(["app:2"]));
    std::fs::remove_file(sandbox.path("tree/app/second.tar")).unwrap();
    let record = record(&sandbox, "app/second.tar");
    assert!(record.exists());
    prune_tree(&sandbox, &["--dry-run"]);
    assert!(record.exists());
    prune_tree(&sandbox, &[]);
    assert!(!record.exists(), "nothing is kept of a file that is gone");
}

#[test]
fn a_folder_may_have_more_projects_than_a_process_may_open_files() {
    let sandbox = world(&["1"]);
    for project in 0..40 {
        std::fs::create_dir(sandbox.path(format!("tree/p{project}"))).unwrap();
        export(&sandbox, "app:1", &format!("p{project}/1.tar"));
    }
    let mut shell = sandbox.enclose(std::process::Command::new("sh"));
    let script = "ulimit -n 32; exec \"$0\" prune --tree tree --unused-for 0s --min-age 0s --keep-last 1";
    shell.args(["-c", script]).arg(sandbox.command::<&str>([]).get_program());
    assert!(crate::support::run(&mut shell).contains("40 files gone"));
    assert_eq!(files(&sandbox).len(), 1);
}
