//! Facts of images, against what the tools themselves say in their roots.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::support::store::{blob_path, document, named};
use crate::support::tarball::{Tarball, docker_archive, layer};
use crate::support::{Sandbox, need, peer};

const STATUS: &[u8] =
    b"Package: gcc-15\nStatus: install ok installed\nArchitecture: amd64\nVersion: 15.1.0-3\n\n\
    Package: broken\nStatus: install ok installed\n\n";

/// A base with everything, and a layer that takes some of it away.
fn layers() -> Vec<Vec<u8>> {
    let mut base = Tarball::new();
    base.file("usr/lib/os-release", b"ID=ubuntu\nVERSION_ID=\"25.04\"\nPRETTY_NAME=\"Ubuntu 25.04\"\n")
        .link("etc/os-release", "../usr/lib/os-release")
        .file("var/lib/dpkg/status", STATUS)
        .file("usr/share/filler", &crate::support::tarball::noise(1, 9 << 20))
        .file("lib/apk/db/installed", b"P:musl\nV:1.2.5-r0\nA:x86_64\n\n")
        .file(
            "var/lib/pacman/local/make-4.4.1-2/desc",
            b"%NAME%\nmake\n\n%VERSION%\n4.4.1-2\n\n%ARCH%\nx86_64\n",
        )
        .program("usr/bin/gcc-15", b"#!")
        .link("usr/bin/gcc", "gcc-15")
        .file("usr/bin/readme", b"not a program")
        .program("usr/bin/gone", b"#!");
    let mut upper = Tarball::new();
    upper.file("usr/bin/.wh.gone", b"");
    vec![base.bytes(), upper.bytes()]
}

fn import(sandbox: &Sandbox, name: &str, layers: &[Vec<u8>], options: &[&str]) {
    std::fs::write(sandbox.path("image.tar"), docker_archive(name, layers)).unwrap();
    sandbox.ok(["import", "image.tar"].iter().chain(options));
}

fn facts(sandbox: &Sandbox, name: &str) -> Value {
    sandbox.json(["inspect", name])[0]["facts"].clone()
}

fn cached(sandbox: &Sandbox, kind: &str) -> Vec<PathBuf> {
    let dir = std::fs::read_dir(sandbox.store().join(".larder/cache").join(kind)).unwrap();
    dir.map(|file| file.unwrap().path()).collect()
}

#[test]
fn an_image_says_what_is_in_it() {
    let sandbox = Sandbox::new();
    import(&sandbox, "capy:1", &layers(), &[]);
    let expected = json!({
        "architecture": "amd64",
        "os": {"id": "ubuntu", "version_id": "25.04", "version_codename": null, "pretty_name": "Ubuntu 25.04"},
        "compilers": [{"family": "gcc", "version": "15.1.0", "path": "/usr/bin/gcc-15"}],
        "packages": [
            {"name": "gcc-15", "version": "15.1.0-3", "architecture": "amd64", "kind": "dpkg"},
            {"name": "make", "version": "4.4.1-2", "architecture": "x86_64", "kind": "pacman"},
            {"name": "musl", "version": "1.2.5-r0", "architecture": "x86_64", "kind": "apk"},
        ],
        "programs": [
            {"name": "gcc", "path": "/usr/bin/gcc", "target": "/usr/bin/gcc-15"},
            {"name": "gcc-15", "path": "/usr/bin/gcc-15"},
        ],
        "problems": ["var/lib/dpkg/status: damaged: 1 of its packages cannot be understood"],
    });
    assert_eq!(facts(&sandbox, "capy:1"), expected);
    let shown = sandbox.ok(["inspect", "capy:1"]);
    for line in
        ["Ubuntu 25.04", "gcc 15.1.0", "1 (apk), 1 (dpkg), 1 (pacman)", "1 problem; --facts names them"]
    {
        assert!(shown.contains(line), "{line}: {shown}");
    }
    let listed = sandbox.ok(["inspect", "--facts", "capy:1"]);
    for line in ["15.1.0-3", "/usr/bin/gcc-15", "cannot be understood"] {
        assert!(listed.contains(line) && !shown.contains("15.1.0-3"), "{line}: {listed}");
    }
    // However the layers are kept, and with or without what was learned on the way in.
    for compression in ["gzip", "none", "zstd:1"] {
        let sandbox = Sandbox::new();
        import(&sandbox, "capy:1", &layers(), &["--no-facts", "--compression", compression]);
        assert_eq!((cached(&sandbox, "facts").len(), cached(&sandbox, "listings").len()), (0, 2));
        assert_eq!(facts(&sandbox, "capy:1"), expected, "{compression}");
        std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
        assert_eq!(facts(&sandbox, "capy:1"), expected, "{compression}, from nothing");
    }
}

#[test]
fn facts_are_kept_believed_only_where_they_are_ours_and_go_with_the_image() {
    let sandbox = Sandbox::new();
    import(&sandbox, "capy:1", &layers(), &[]);
    let expected = facts(&sandbox, "capy:1");
    let kept = cached(&sandbox, "facts").pop().unwrap();
    let whole = std::fs::read(&kept).unwrap();
    // What is kept is what is shown; damaged or of another version it is read again.
    let changed = String::from_utf8(whole.clone()).unwrap().replace("Ubuntu 25.04", "Ubuntu 99.04");
    std::fs::write(&kept, &changed).unwrap();
    assert_eq!(facts(&sandbox, "capy:1")["os"]["pretty_name"], "Ubuntu 99.04");
    for bad in
        [b"".to_vec(), whole[..whole.len() / 2].to_vec(), changed.replacen("[1,", "[2,", 1).into_bytes()]
    {
        std::fs::write(&kept, bad).unwrap();
        assert_eq!(facts(&sandbox, "capy:1"), expected);
    }
    // A listing that lies about where the files are is found out.
    for listing in cached(&sandbox, "listings") {
        std::fs::write(listing, b"nothing of ours").unwrap();
    }
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(facts(&sandbox, "capy:1"), expected);

    sandbox.ok(["rm", "capy:1"]);
    sandbox.ok(["gc"]);
    assert_eq!((cached(&sandbox, "facts"), cached(&sandbox, "listings")), (vec![], vec![]));
}

#[test]
fn what_cannot_be_read_fails_neither_the_import_nor_the_look() {
    let sandbox = Sandbox::new();
    // No tar archives at all, and no os-release.
    import(&sandbox, "odd:1", &[b"no tar archive".to_vec(), layer("etc/hostname", b"x")], &[]);
    let odd = facts(&sandbox, "odd:1");
    assert_eq!((&odd["os"], &odd["packages"], &odd["programs"]), (&Value::Null, &json!([]), &json!([])));
    assert_eq!(odd["problems"].as_array().unwrap().len(), 1, "{odd}");

    import(&sandbox, "capy:1", &layers(), &["--no-facts"]);
    let manifest = document(&sandbox.store(), &named(&sandbox.store(), "capy:1").unwrap());
    std::fs::remove_file(blob_path(&sandbox.store(), manifest["layers"][0]["digest"].as_str().unwrap()))
        .unwrap();
    let mut command = sandbox.command(["inspect", "capy:1", "--format", "json"]);
    let output = command.output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && said.contains("the facts of sha256:") && said.contains("is missing"),
        "{said}"
    );
    let shown: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(shown[0]["facts"], Value::Null);
}

#[test]
fn a_path_through_unusual_directories_is_followed() {
    let sandbox = Sandbox::new();
    let mut tools = Tarball::new();
    tools.program("opt/vendor/1.2/tools/run", b"#!").link("opt/vendor/current", "1.2/tools");
    let layers = [tools.bytes()];
    let mut config = crate::support::tarball::config("linux", "amd64", &layers);
    config["config"]["Env"] = json!(["PATH=/opt/vendor/current:/usr/bin"]);
    let archive = crate::support::tarball::docker_archive_with(&config.to_string(), &["vendor:1"], &layers);
    std::fs::write(sandbox.path("image.tar"), archive).unwrap();
    sandbox.ok(["import", "image.tar"]);
    assert_eq!(
        facts(&sandbox, "vendor:1")["programs"],
        json!([{"name": "run", "path": "/opt/vendor/1.2/tools/run"}])
    );
}

/// A root that pacman made. What `pacman -Q` says there is below.
#[test]
fn what_pacman_installed_is_read_from_its_database() {
    let sandbox = Sandbox::new();
    let root = std::fs::read(crate::support::fixture("roots/pacman.tar")).unwrap();
    import(&sandbox, "arch:1", &[root], &[]);
    let facts = facts(&sandbox, "arch:1");
    let package =
        |name, version| json!({"name": name, "version": version, "architecture": "x86_64", "kind": "pacman"});
    assert_eq!(
        facts["packages"],
        json!([package("gcc", "14.2.1+r753+g1cd744a6828f-1"), package("make", "4.4.1-2")])
    );
    assert_eq!(facts["compilers"], json!([{"family": "gcc", "version": "14.2.1", "path": "/usr/bin/gcc"}]));
    assert_eq!((&facts["os"]["id"], &facts["os"]["version_id"]), (&json!("arch"), &Value::Null));
    assert_eq!(facts["problems"], json!([]));
}

/// A root whose database go-apk wrote.
#[test]
fn what_apk_installed_is_read_from_its_database() {
    let sandbox = Sandbox::new();
    let root = std::fs::read(crate::support::fixture("roots/apk.tar")).unwrap();
    import(&sandbox, "alpine:1", &[root], &[]);
    let facts = facts(&sandbox, "alpine:1");
    let package =
        |name, version| json!({"name": name, "version": version, "architecture": "x86_64", "kind": "apk"});
    assert_eq!(
        facts["packages"],
        json!([package("gcc", "13.2.1_git20231014-r0"), package("make", "4.4.1-r2")])
    );
    assert_eq!(facts["compilers"], json!([{"family": "gcc", "version": "13.2.1", "path": "/usr/bin/gcc"}]));
    assert_eq!((&facts["os"]["id"], &facts["os"]["version_id"]), (&json!("alpine"), &json!("3.19.1")));
    assert_eq!(facts["problems"], json!([]));
}

/// The Debian root that the newest peers are in: what dpkg and `ls` say there is what larder reads from its image.
#[test]
fn a_debian_root_says_the_same_as_its_own_tools() {
    let root = need!(peer::forky_root(), "the forky root");
    let mut dpkg_query = need!(peer::tool("dpkg-query"), "dpkg-query");
    let sandbox = Sandbox::new();
    let mut tar = Command::new("tar");
    // What is not read is left out for speed; the rest is the root as it is, in two layers.
    tar.args([
        "--create",
        "--file",
        "a.tar",
        "--one-file-system",
        "--exclude=./usr/share",
        "--exclude=./usr/lib/*/*",
    ]);
    tar.args([
        "--exclude=./var/cache",
        "--exclude=./var/lib/apt",
        "--exclude=./root",
        "--exclude=./tmp",
        "--exclude=./run",
    ]);
    crate::support::run(sandbox.enclose(tar).arg("--directory").arg(&root).arg("."));
    let all = std::fs::read(sandbox.path("a.tar")).unwrap();
    import(&sandbox, "forky:1", &[all], &[]);
    let facts = facts(&sandbox, "forky:1");

    let format = "${db:Status-Status} ${Package} ${Version} ${Architecture}\n";
    let dpkg = dpkg_query
        .arg(format!("--admindir={}", root.join("var/lib/dpkg").display()))
        .args(["-W", "-f", format]);
    let said = crate::support::run(dpkg);
    let mut installed: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    let packages = facts["packages"].as_array().unwrap();
    let mut read: Vec<_> = packages
        .iter()
        .map(|p| ["name", "version", "architecture"].map(|key| p[key].as_str().unwrap()).join(" "))
        .collect();
    installed.sort_unstable();
    read.sort_unstable();
    assert!(installed.len() > 50);
    assert_eq!(read, installed);

    let mut expected = std::collections::BTreeSet::new();
    for directory in ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin"] {
        expected.extend(runnable(&root.join(directory)));
    }
    let programs = facts["programs"].as_array().unwrap();
    let programs: Vec<_> = programs.iter().map(|p| p["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(programs, expected.into_iter().collect::<Vec<_>>());

    let release = std::fs::read_to_string(root.join("usr/lib/os-release")).unwrap();
    let id = release.lines().find_map(|line| line.strip_prefix("ID=")).unwrap();
    assert_eq!(facts["os"]["id"], id);
    assert_eq!(facts["problems"], json!([]));
}

/// The names in a directory that are links, or files that can be run.
fn runnable(directory: &Path) -> Vec<String> {
    use std::os::unix::fs::PermissionsExt;
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap());
    let runs = entries.filter(|entry| {
        let meta = entry.metadata().unwrap();
        meta.is_symlink() || meta.is_file() && meta.permissions().mode() & 0o111 != 0
    });
    runs.map(|entry| entry.file_name().into_string().unwrap()).collect()
}
