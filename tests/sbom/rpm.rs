//! Packages that rpm itself built and installed: what `rpm -qa` says is what larder lists, also what was only written ahead.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use super::{assert_same, document, import, listed};
use crate::support::tarball::Tarball;
use crate::support::{Sandbox, need, peer, run};

/// Of nobody: what belongs to it was thrown away.
const KEY: &str = "\
-----BEGIN PGP PUBLIC KEY BLOCK-----

mDMEawM0TxYJKwYBBAHaRw8BAQdAiHKhaHS8JXFusfkJHPZUVgPvtUUD998B+g9w
2EU/2820IGxhcmRlciB0ZXN0cyA8dGVzdHNAZXhhbXBsZS5vcmc+iJAEExYIADgW
IQR5bXwVvahMo+FA5vztqay3YDggFAUCawM0TwIbAwULCQgHAgYVCgkICwIEFgID
AQIeAQIXgAAKCRDtqay3YDggFNPbAQD7JbVSh8T8KFWZR6yVKXPF3ktcR0mm3kKP
DyocaxnqVQEAs+5vS5kK6QyTRcE8QtxBPn6ouATpaSFMCMldDB88dAc=
=Ds6P
-----END PGP PUBLIC KEY BLOCK-----
";

/// A package to be built: name, epoch, version, release, architecture.
type Build = (&'static str, &'static str, &'static str, &'static str, &'static str);

const FIRST: [Build; 4] = [
    ("plain", "", "1.0", "1.fc41", "noarch"),
    ("epoch", "2", "1.0~rc1", "3", "x86_64"),
    ("Caret_C++", "0", "1.0^20240101git", "1", "noarch"),
    ("gone", "", "5", "5", "noarch"),
];
const SECOND: [Build; 2] = [("plain", "", "1.1", "2.fc41", "noarch"), ("new", "", "3", "1", "noarch")];

fn build(dir: &Path, (name, epoch, version, release, architecture): Build) -> String {
    let epoch = if epoch.is_empty() { String::new() } else { format!("Epoch: {epoch}\n") };
    let spec = dir.join(format!("{name}.spec"));
    let text = format!(
        "Name: {name}\n{epoch}Version: {version}\nRelease: {release}\nSummary: a test\nLicense: GPL-2.0-or-later AND MIT\n\
         %description\nA test.\n%files\n"
    );
    std::fs::write(&spec, text).unwrap();
    let mut command = peer::tool("rpmbuild").expect("asked for before");
    command.arg("-bb").arg("--define").arg(format!("_topdir {}", dir.display()));
    run(command.args(["--target", architecture]).arg(&spec));
    format!("{}/RPMS/{architecture}/{name}-{version}-{release}.{architecture}.rpm", dir.display())
}

fn rpm(root: &Path, arguments: &[&str]) -> String {
    let mut command = peer::tool("rpm").expect("asked for before");
    run(command.arg("--root").arg(root).args(["--dbpath", "/var/lib/rpm"]).args(arguments))
}

fn said(root: &Path) -> BTreeSet<String> {
    let format = "%{NAME} %|EPOCH?{%{EPOCH}:}:{}|%{VERSION}-%{RELEASE} %{ARCH}\\n";
    rpm(root, &["-qa", "--qf", format]).lines().map(|line| line.replace(" (none)", " -")).collect()
}

fn layer(root: &Path, names: &[&str]) -> Vec<u8> {
    let mut layer = Tarball::new();
    for name in names {
        let path = format!("var/lib/rpm/{name}");
        layer.file(&path, &std::fs::read(root.join(&path)).unwrap());
    }
    layer.bytes()
}

fn rows(sandbox: &Sandbox, image: &str) -> (BTreeSet<String>, Vec<super::Listed>) {
    let (spdx, code, errors) = document(sandbox, &[image]);
    assert_eq!(code, 0, "{errors}");
    let all = listed(&spdx);
    assert!(all.iter().all(|found| found.kind == "rpm"));
    let row = |found: &super::Listed| {
        format!("{} {} {}", found.name, found.version, found.architecture.as_deref().unwrap_or("-"))
    };
    (all.iter().map(row).collect(), all)
}

#[test]
fn an_rpm_root_has_what_rpm_says() {
    need!(peer::tool("rpmbuild"), "rpmbuild");
    need!(peer::root(), "root");
    let sandbox = Sandbox::new();
    let (dir, root) = (sandbox.path("build"), sandbox.path("root"));
    std::fs::create_dir_all(root.join("var/lib/rpm")).unwrap();
    std::fs::create_dir_all(&dir).unwrap();
    let install = |packages: &[Build]| {
        let files: Vec<_> = packages.iter().map(|package| build(&dir, *package)).collect();
        let files = files.iter().map(String::as_str);
        rpm(&root, &["-U", "--nodeps", "--ignorearch"].into_iter().chain(files).collect::<Vec<_>>());
    };
    install(&FIRST);
    import_key(&sandbox, &root);
    let (first, before) = (layer(&root, &["rpmdb.sqlite"]), said(&root));
    // Who looks at a database keeps rpm from putting into it what it wrote ahead, as it is where a build ends while somebody looks.
    let looking = Connection::open(root.join("var/lib/rpm/rpmdb.sqlite")).unwrap();
    let mut statement = looking.prepare("SELECT hnum FROM Packages").unwrap();
    let mut held = statement.query([]).unwrap();
    assert!(held.next().unwrap().is_some());
    install(&SECOND);
    rpm(&root, &["-e", "gone"]);
    let ahead = root.join("var/lib/rpm/rpmdb.sqlite-wal");
    assert!(ahead.metadata().unwrap().len() > 0);
    let second = layer(&root, &["rpmdb.sqlite-wal"]);
    let whole = layer(&root, &["rpmdb.sqlite", "rpmdb.sqlite-wal"]);
    let now = said(&root);
    assert!(now.len() == 5 && before.len() == 5, "{now:?} {before:?}");

    import(&sandbox, "whole:1", &[whole]);
    assert_same(&rows(&sandbox, "whole:1").0, &now);
    // The same in layers, of which the upper has nothing but what was written ahead.
    import(&sandbox, "layers:1", &[first.clone(), second]);
    let (packages, all) = rows(&sandbox, "layers:1");
    assert_same(&packages, &now);
    let inspected = sandbox.json(["inspect", "layers:1"]);
    for (name, layer) in [("epoch", 0), ("Caret_C++", 0), ("gpg-pubkey", 0), ("plain", 1), ("new", 1)] {
        let found = all.iter().find(|found| found.name == name).unwrap();
        assert_eq!(found.layer, inspected[0]["layers"][layer]["diff_id"].as_str().unwrap(), "{name}");
    }
    import(&sandbox, "before:1", &[first]);
    assert_same(&rows(&sandbox, "before:1").0, &before);
}

/// A key that rpm trusts is a package to it.
fn import_key(sandbox: &Sandbox, root: &Path) {
    let key = sandbox.path("key");
    std::fs::write(&key, KEY).unwrap();
    let mut command = peer::tool("rpmkeys").expect("it comes with rpm");
    run(command.arg("--root").arg(root).args(["--dbpath", "/var/lib/rpm", "--import"]).arg(key));
}
