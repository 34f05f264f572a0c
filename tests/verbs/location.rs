//! Where the store is, and that it is made on first use.

use std::path::Path;

use crate::support::{Sandbox, describe, fixture};

/// Runs larder with exactly these variables of where things are.
fn larder(sandbox: &Sandbox, variables: &[(&str, &Path)], args: &[&str]) -> std::process::Output {
    let mut command = sandbox.command(args);
    command.env_remove("LARDER_STORE").env_remove("HOME").envs(variables.iter().copied());
    let output = command.output().unwrap();
    assert!(output.status.code().is_some(), "{}", describe(&command, &output));
    output
}

fn is_store(path: &Path) -> bool {
    path.join("oci-layout").is_file()
        && path.join("index.json").is_file()
        && path.join(".larder/version").is_file()
}

#[test]
fn the_option_wins_over_the_variable_and_the_variable_over_the_default() {
    let sandbox = Sandbox::new();
    let (option, variable, data, home) =
        (sandbox.path("option"), sandbox.path("variable"), sandbox.path("data"), sandbox.path("home"));
    let all = [("LARDER_STORE", variable.as_path()), ("XDG_DATA_HOME", &data), ("HOME", &home)];
    assert!(larder(&sandbox, &all, &["--store", "option", "images"]).status.success());
    assert!(is_store(&option) && !variable.exists() && !data.exists());
    std::fs::remove_dir_all(&option).unwrap();
    assert!(
        larder(&sandbox, &all, &["images", "--store", "option"]).status.success(),
        "behind the verb as well"
    );
    assert!(is_store(&option) && !variable.exists());
    assert!(larder(&sandbox, &all, &["images"]).status.success());
    assert!(is_store(&variable) && !data.exists());
    assert!(larder(&sandbox, &all[1..], &["images"]).status.success());
    assert!(is_store(&data.join("larder")) && !home.join(".local").exists());
    assert!(larder(&sandbox, &all[2..], &["images"]).status.success());
    assert!(is_store(&home.join(".local/share/larder")));
    // An empty variable is none, and a relative XDG path is to be ignored.
    let nothing = Path::new("");
    std::fs::remove_dir_all(home.join(".local")).unwrap();
    let odd = [("LARDER_STORE", nothing), ("XDG_DATA_HOME", Path::new("relative")), ("HOME", &home)];
    assert!(larder(&sandbox, &odd, &["images"]).status.success());
    assert!(is_store(&home.join(".local/share/larder")) && !sandbox.path("relative").exists());
    let output = larder(&sandbox, &[], &["images"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("--store") && said.contains("LARDER_STORE"), "{said}");
}

#[test]
fn other_verbs_make_the_store_and_only_the_store() {
    for args in [&["images"][..], &["df"], &["init"], &["inspect", "x"], &["rm", "x"]] {
        let sandbox = Sandbox::new();
        sandbox.larder(args);
        assert!(is_store(&sandbox.store()), "{args:?}");
        let mut names: Vec<_> = std::fs::read_dir(sandbox.root())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["home", "store", "tmp"], "{args:?}");
    }
    let sandbox = Sandbox::new();
    let deep = sandbox.path("a/b/c");
    sandbox.ok([
        "--store".as_ref(),
        deep.as_os_str(),
        "import".as_ref(),
        fixture("docker20.tar").as_os_str(),
    ]);
    assert!(is_store(&deep));
}

/// A path that is misspelt, in a nightly job: nothing to do in a new store would be the answer for ever.
#[test]
fn what_looks_after_a_store_makes_none() {
    let sandbox = Sandbox::new();
    for args in [&["holds"][..], &["verify"], &["prune", "--max-size", "1GB"], &["prune", "--tree", "home"]] {
        let said = sandbox.fail(args, 1);
        let store = sandbox.store().display().to_string();
        assert!(said.contains("there is no store at") && said.contains(&store), "{args:?}: {said}");
        assert!(said.contains("hint: ") && !sandbox.store().exists(), "{args:?}: {said}");
    }
    sandbox.ok(["init"]);
    assert_eq!(sandbox.json(["holds"]), serde_json::json!([]));
}

#[test]
fn an_empty_directory_becomes_a_store_and_init_may_come_again() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.store()).unwrap();
    let output = sandbox.larder(["init"]);
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains(&sandbox.store().display().to_string()));
    sandbox.ok(["import".as_ref(), fixture("docker20.tar").as_os_str()]);
    let before = crate::support::store::index_text(&sandbox.store());
    sandbox.ok(["init"]);
    assert_eq!(before, crate::support::store::index_text(&sandbox.store()));
}

#[test]
fn a_new_store_is_a_plain_oci_layout() {
    let sandbox = Sandbox::new();
    sandbox.ok(["init"]);
    let read = |name: &str| std::fs::read_to_string(sandbox.store().join(name)).unwrap();
    assert_eq!(read("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#);
    let index: serde_json::Value = serde_json::from_str(&read("index.json")).unwrap();
    assert_eq!((&index["schemaVersion"], &index["manifests"]), (&2.into(), &serde_json::json!([])));
    assert_eq!(read(".larder/version").trim(), "1");
    assert!(sandbox.store().join("blobs/sha256").is_dir());
}
