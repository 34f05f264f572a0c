//! `--base`: the newest image that was made on one.

use super::*;
use crate::support::need;

#[test]
fn the_newest_image_on_a_base_is_taken() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let asked = |words: &[&str]| sandbox.ok(["ensure", "--base=debian:12"].iter().chain(words));
    let root = || system("debian", "12", &["apt-get", "make"]);
    // Not on it, whatever it says of itself.
    import(&sandbox, "other", root(), &["--project=p", "--name=p-debian-12:other"]);
    let base = ["org.opencontainers.image.base.name=debian:12"];
    for (tag, imported) in [("a", 3), ("b", 5), ("c", 4)] {
        let mut root = root();
        root.file("etc/mark", tag.as_bytes());
        let name = format!("p-debian-12:{tag}");
        import(&sandbox, tag, root, &["--project=p", &format!("--name={name}")]);
        sandbox.ok(["annotate", &name].iter().chain(&base));
        set_imported(&sandbox, &name, imported);
    }
    assert_eq!(asked(&["--tool=make"]), "p-debian-12:b\n");
    assert_eq!(asked(&[]), "p-debian-12:b\n");
    // None of them has it: a new one is made on the base itself.
    let said = sandbox.ok(["ensure", "--base=debian:12", "--project=p", "--package=cmake", "--dry-run"]);
    assert!(said.starts_with("FROM debian:12\n") && said.ends_with("# p-debian-12:latest\n"), "{said}");
    assert_eq!(asked(&["--project=p", "--package=cmake"]), "p-debian-12:latest\n");
    assert_eq!(asked(&["--tool=cmake"]), "p-debian-12:latest\n");
}

/// Says that an entry came in on this day.
fn set_imported(sandbox: &Sandbox, name: &str, day: u32) {
    let path = sandbox.store().join("index.json");
    let mut index: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for entry in index["manifests"].as_array_mut().unwrap() {
        if entry["annotations"]["org.opencontainers.image.ref.name"] == name {
            entry["annotations"]["dev.larder.imported"] = format!("2026-01-0{day}T00:00:00Z").into();
        }
    }
    std::fs::write(path, index.to_string()).unwrap();
}
