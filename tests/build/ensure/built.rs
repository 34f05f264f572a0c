//! What is built, registered and found again.

use serde_json::Value;

use super::*;
use crate::support::need;
use crate::support::store::{REF_NAME, assert_sound};

fn entry(sandbox: &Sandbox, name: &str) -> Value {
    let entries = entries(&sandbox.store());
    let found = entries.into_iter().find(|entry| entry["annotations"][REF_NAME] == name);
    found.unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn an_image_is_built_described_and_found_the_next_time() {
    let sandbox = need!(desk(), "root, runc and busybox");
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!(out, format!("{NAME}\n"));
    assert!(
        said.contains("which lacks gcc-12, the package cmake") && said.contains("installs g++-12"),
        "{said}"
    );
    assert_eq!(ran(&said), 1, "{said}");
    let base = entry(&sandbox, "debian:12");
    let made = entry(&sandbox, NAME);
    let said: Vec<_> = ["project", "os", "variant", "compilers", "packages"]
        .iter()
        .map(|key| made["annotations"][format!("dev.larder.{key}")].as_str().unwrap())
        .collect();
    assert_eq!(said, ["p", "debian:12", "gcc12", "gcc-12", "cmake"]);
    assert_eq!(made["annotations"]["org.opencontainers.image.base.name"], "docker.io/library/debian:12");
    assert_eq!(made["annotations"]["org.opencontainers.image.base.digest"], base["digest"]);
    let config = &sandbox.json(["inspect", NAME])[0]["config"]["config"];
    let env: Vec<_> = config["Env"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    assert!(env.contains(&"CC=gcc-12") && env.contains(&"CXX=g++-12"), "{env:?}");
    assert!(!env.iter().any(|set| set.contains("DEBIAN_FRONTEND")), "{env:?}");
    assert_sound(&sandbox.store());

    let before = entries(&sandbox.store());
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!((out.as_str(), said.as_str()), (&*format!("{NAME}\n"), ""));
    assert_eq!(sandbox.ok(["resolve", "--strict-packages"].iter().chain(&JOB[1..])), format!("{NAME}\n"));
    assert_eq!(entries(&sandbox.store()), before);
    let found = sandbox.json(JOB);
    assert_eq!((&found["name"], &found["built"]), (&Value::from(NAME), &Value::from(false)));
}

#[test]
fn what_another_job_lacks_is_put_upon_it_and_nothing_gets_lost() {
    let sandbox = need!(desk(), "root, runc and busybox");
    ensured(&sandbox, &[]);
    let first = entry(&sandbox, NAME);
    let made = sandbox.json(JOB.iter().chain(&["--package=zlib1g-dev", "--tool=ninja-build"]));
    assert_eq!((&made["name"], &made["built"]), (&Value::from(NAME), &Value::from(true)));
    assert_eq!((&made["base"], &made["displaced"]), (&Value::from(NAME), &first["digest"]));
    assert!(!made["dockerfile"].as_str().unwrap().contains("gcc-12"), "{made}");
    let second = entry(&sandbox, NAME);
    assert_eq!(second["digest"], made["digest"]);
    assert_eq!(second["annotations"]["dev.larder.packages"], "cmake,zlib1g-dev");
    assert_eq!(second["annotations"]["dev.larder.tools"], "ninja-build");
    // It was made on itself, and that on Debian, by which it gets old.
    for key in ["org.opencontainers.image.base.name", "org.opencontainers.image.base.digest"] {
        assert_eq!(second["annotations"][key], first["annotations"][key]);
    }
    let (_, said) = ensured(&sandbox, &[]);
    assert_eq!(said, "");
    // The one before has lost its name, and is there.
    let was = entries(&sandbox.store()).into_iter().find(|entry| entry["digest"] == first["digest"]).unwrap();
    assert_eq!(was["annotations"]["dev.larder.was"], NAME);
}

#[test]
fn names_are_by_the_convention_in_a_strict_store_too() {
    let sandbox = need!(desk(), "root, runc and busybox");
    std::fs::write(sandbox.store().join(".larder/larder.toml"), "naming = \"strict\"\n").unwrap();
    let (out, _) = ensured(&sandbox, &["--variant=ubsan,asan"]);
    assert_eq!(out, "p-debian-12-gcc12-asan-ubsan:latest\n");
    // As resolve has it, it does for a plain job, which is told.
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!(out, "p-debian-12-gcc12-asan-ubsan:latest\n");
    assert!(said.contains("is for asan, ubsan, which nobody asked for"), "{said}");
}

#[test]
fn a_projects_own_dockerfile_is_built_and_has_to_bring_what_is_asked_for() {
    let sandbox = need!(desk(), "root, runc and busybox");
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-12\n");
    let said = sandbox.fail(JOB, 1);
    let words = [
        "images/p/Dockerfile.p-debian-12-gcc12 was built",
        "lacks the package cmake",
        "nothing was registered",
    ];
    assert!(words.iter().all(|word| said.contains(word)), "{said}");
    assert_nothing_registered(&sandbox);
    own(&sandbox, "FROM debian:12\nRUN apt-get install gcc-12 cmake\nLABEL own=yes\n");
    let made = sandbox.json(JOB);
    assert_eq!(made["definition"], "images/p/Dockerfile.p-debian-12-gcc12");
    assert_eq!(sandbox.json(["inspect", NAME])[0]["config"]["config"]["Labels"]["own"], "yes");
    let base = entry(&sandbox, NAME)["annotations"]["org.opencontainers.image.base.name"].clone();
    assert_eq!(base, "docker.io/library/debian:12");
}

#[test]
fn its_dockerfile_copies_from_where_it_stands() {
    let sandbox = need!(desk(), "root, runc and busybox");
    own(
        &sandbox,
        "FROM debian:12\nCOPY greeting /etc/\nRUN apt-get install gcc-12 cmake && cat /etc/greeting\n",
    );
    std::fs::write(sandbox.path("images/p/greeting"), "hello from here\n").unwrap();
    let (out, said) = ensured(&sandbox, &[]);
    assert!(out == format!("{NAME}\n") && said.contains("hello from here"), "{said}");
}
