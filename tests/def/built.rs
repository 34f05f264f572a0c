//! `def build`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{copy_fixture, put};
use crate::build::Builder;
use crate::support::{describe, need, peer, run, store};

/// A sandbox with the fixture's folder and its base image.
fn builder() -> Option<Builder> {
    let builder = Builder::new()?;
    copy_fixture(&builder.sandbox);
    Some(builder)
}

/// What was built and what was not: `name:tag` of each.
fn done(builder: &Builder, args: &[&str]) -> (Vec<String>, Vec<String>) {
    let rows = builder.sandbox.json([&["def", "build"], args].concat());
    let rows = rows.as_array().unwrap().clone();
    let name = |row: &Value| row["reference"].as_str().unwrap().to_owned();
    let of = |built: bool| rows.iter().filter(|row| row["built"] == built).map(name).collect();
    (of(true), of(false))
}

#[test]
fn all_images_are_built_with_their_names_and_labels() {
    let builder = need!(builder(), "runc or crun, and busybox");
    let sandbox = &builder.sandbox;
    run(sandbox.enclose(peer::tool("git").unwrap()).args(["init", "-q", "."]));
    let git = |args: &[&str]| {
        let mut git = sandbox.enclose(peer::tool("git").unwrap());
        run(git.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args)).trim().to_owned()
    };
    git(&["remote", "add", "origin", "https://token:secret@git.example.com/team/images.git"]);
    git(&["commit", "-q", "--allow-empty", "-m", "x"]);
    let said = sandbox.ok(["def", "build", "--all"]);
    assert_eq!(said.lines().count(), 13);
    assert!(said.lines().all(|line| line.ends_with(" built")), "{said}");
    let named = |name: &str| store::named(&sandbox.store(), name).unwrap_or_else(|| panic!("no {name}"));
    for (alias, tag) in [
        ("1", "1.5.1"),
        ("1.4", "1.4.0"),
        ("1.5-debug", "1.5.1-debug"),
        ("2", "2.0.0"),
        ("1-slim", "1.5.1-slim"),
    ] {
        assert_eq!(named(&format!("tool:{alias}")), named(&format!("tool:{tag}")), "{alias}");
    }
    assert_ne!(named("tool:1.5.1"), named("tool:1.5.0"));
    let config = builder.config("tool:1.5.1");
    let labels = &config["config"]["Labels"];
    let label = |name: &str| {
        labels[format!("org.opencontainers.image.{name}")].as_str().unwrap_or_default().to_owned()
    };
    assert_eq!(label("ref.name"), "tool");
    assert_eq!(label("title"), "tool");
    assert_eq!(label("version"), "1.5.1");
    assert_eq!(label("vendor"), "Example");
    assert_eq!(label("url"), "https://images.example.com/tool/1.5.1");
    assert_eq!(label("licenses"), "MIT");
    assert_eq!(label("base.name"), "base:2025.09");
    assert_eq!(label("base.digest"), named("base:2025.09"));
    assert_eq!(label("revision"), git(&["rev-parse", "HEAD"]));
    assert_eq!(label("source"), "https://git.example.com/team/images");
    assert!(label("created").starts_with("20"), "{labels}");
    let base = builder.config("base:2025.09");
    let labels = &base["config"]["Labels"];
    assert_eq!(labels["org.opencontainers.image.licenses"], "Apache-2.0");
    assert_eq!(labels["org.opencontainers.image.description"], "What all images of this folder begin with");
    assert_eq!(labels["org.opencontainers.image.base.name"], "busybox:1");
    // The overlay is behind FROM, with its owner, and not where rootfs_copy is false.
    let all = |name: &str| builder.layers(name).concat_sets();
    assert!(all("tool:1.4.0").contains("etc/tool-link") && all("tool:1.4.0").contains("etc/image-only"));
    assert!(!all("tool:1.5.0").contains("etc/image-only"));
    assert!(!store::index_text(&sandbox.store()).contains("secret"));
}

trait Sets {
    fn concat_sets(self) -> BTreeSet<String>;
}

impl Sets for Vec<BTreeSet<String>> {
    fn concat_sets(self) -> BTreeSet<String> {
        self.into_iter().flatten().collect()
    }
}

#[test]
fn what_did_not_change_is_not_built_again() {
    let builder = need!(builder(), "runc or crun, and busybox");
    let sandbox = &builder.sandbox;
    let (built, _) = done(&builder, &["--all"]);
    assert_eq!(built.len(), 13);
    let before = store::index_text(&sandbox.store());
    let (built, kept) = done(&builder, &["--all"]);
    assert_eq!((built.len(), kept.len()), (0, 13));
    assert_eq!(store::index_text(&sandbox.store()), before);
    // A file of one variant.
    put(sandbox, &[("images/tool/1/debug/rootfs/etc/tool-info", "level=another\n")]);
    let (built, _) = done(&builder, &["tool"]);
    assert_eq!(built, ["tool:1.4.0-debug", "tool:1.5.1-debug", "tool:1.5.0-debug"]);
    // What a base is made of, and with it all that is on it.
    put(
        sandbox,
        &[(
            "images/base/tiny/Dockerfile.jinja2",
            "FROM busybox:1\nRUN mkdir -p /opt && echo new > /opt/base\n",
        )],
    );
    let (built, _) = done(&builder, &["tool:2.0.0-slim"]);
    assert_eq!(built, ["base:2025.09", "tool:2.0.0-slim"]);
    let (built, kept) = done(&builder, &["--all"]);
    assert_eq!((built.len(), kept), (11, vec!["base:2025.09".to_owned(), "tool:2.0.0-slim".to_owned()]));
    // The base of another place is another image now.
    std::fs::write(sandbox.path("base/etc/other"), "other").unwrap();
    builder.import("busybox:1", &["base"]);
    let (built, _) = done(&builder, &["--affected-by", "busybox:1"]);
    assert_eq!(built.len(), 13);
    // A label is part of it.
    put(sandbox, &[(".image-manager.yml", "labels: {vendor: Other}\n")]);
    let (built, _) = done(&builder, &["base"]);
    assert_eq!(built, ["base:2025.09"]);
}

#[test]
fn what_is_affected_is_built_with_what_it_needs() {
    let builder = need!(builder(), "runc or crun, and busybox");
    // Nothing is there yet: what is missing is built as well.
    let (built, _) = done(&builder, &["app"]);
    assert_eq!(built.first().unwrap(), "base:2025.09");
    assert_eq!(built.last().unwrap(), "app:latest");
    assert!(built.contains(&"tool:1.5.1".to_owned()));
    let (built, kept) = done(&builder, &["--affected-by", "tool:1.5.1-debug"]);
    assert!(built.is_empty() && kept.contains(&"app:latest".to_owned()), "{built:?} {kept:?}");
    let (built, kept) = done(&builder, &["--affected-by", "nothing:1"]);
    assert!(built.is_empty() && kept.is_empty());
}

#[test]
fn an_alias_follows_without_a_build() {
    let builder = need!(builder(), "runc or crun, and busybox");
    let sandbox = &builder.sandbox;
    done(&builder, &["tool:1.4.0", "tool:1.5.1"]);
    let named = |name: &str| store::named(&sandbox.store(), name);
    assert_eq!(named("tool:1"), named("tool:1.5.1"));
    let text = std::fs::read_to_string(sandbox.path("images/tool/1/image.yml")).unwrap();
    let text = text.replace("name: 1.5.1", "name: 1.3.1") + "\naliases: {stable: 1.4.0}\n";
    let text = text.replace("  - name: 1.5.0", "  - name: 1.3.0");
    put(
        sandbox,
        &[
            ("images/tool/1/image.yml", &text),
            ("images/app/templates/Dockerfile.app.jinja2", "FROM scratch\nCMD x\n"),
        ],
    );
    let (built, kept) = done(&builder, &["tool:1.4.0"]);
    assert_eq!((built, kept), (vec![], vec!["base:2025.09".to_owned(), "tool:1.4.0".to_owned()]));
    assert_eq!(named("tool:1"), named("tool:1.4.0"));
    assert_eq!(named("tool:stable"), named("tool:1.4.0"));
    // The tag that no definition makes any more is nobody's to remove.
    assert!(named("tool:1.5.1").is_some());
}

#[test]
fn a_build_that_fails_gives_no_name_and_what_was_done_stays() {
    let builder = need!(builder(), "runc or crun, and busybox");
    let sandbox = &builder.sandbox;
    put(
        sandbox,
        &[("images/tool/2/Dockerfile.jinja2", "FROM {{ 'base' | resolve_base_image }}\nRUN exit 3\n")],
    );
    let output = sandbox.larder(["def", "build", "tool:2.0.0"]);
    assert_eq!(output.status.code(), Some(7), "{}", describe(&sandbox.command(["def"]), &output));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("tool:2.0.0: ") && told.contains("RUN exit 3"), "{told}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("base:2025.09 sha256:"));
    let names = store::names(&sandbox.store());
    assert!(
        names.contains("base:2025.09") && !names.iter().any(|name| name.starts_with("tool:")),
        "{names:?}"
    );
    // Where nothing was done before it, it has failed and that is all.
    sandbox.fail(["def", "build", "tool:2.0.0"], 1);
    store::assert_sound(&sandbox.store());
}

#[test]
fn names_go_with_the_image_all_or_none() {
    let builder = need!(builder(), "runc or crun, and busybox");
    let sandbox = &builder.sandbox;
    done(&builder, &["base"]);
    // Every moment of the build of one image: its tag is there with its aliases, or none of them is.
    let mut child = sandbox
        .command(["def", "build", "tool:1.5.1"])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let own = ["tool:1.5.1", "tool:1", "tool:1.5"];
    loop {
        let names = store::names(&sandbox.store());
        let there = own.iter().filter(|name| names.contains(**name)).count();
        assert!(there == 0 || there == own.len(), "{names:?}");
        if child.try_wait().unwrap().is_some() {
            break;
        }
    }
    assert!(own.iter().all(|name| store::names(&sandbox.store()).contains(*name)));
}

#[test]
fn archives_and_a_registry_get_them() {
    let builder = need!(builder(), "runc or crun, and busybox");
    let registry = need!(peer::registry(), "docker-registry");
    let sandbox = &builder.sandbox;
    let place = format!("{}/def-{}", registry.address, std::process::id());
    let push = format!("--push={place}");
    let rows = sandbox.json(["def", "build", "tool:2.0.0", "--tar", &push]);
    let pushed: Vec<_> =
        rows[1]["pushed"].as_array().unwrap().iter().map(|name| name.as_str().unwrap().to_owned()).collect();
    assert_eq!(pushed, ["2.0.0", "2", "2.0"].map(|tag| format!("{place}/tool:{tag}")));
    let there = sandbox.ok(["pull", "--name", "again:1", &format!("{place}/tool:2.0")]);
    let named = |name: &str| store::named(&sandbox.store(), name).unwrap();
    assert!(there.contains(&named("tool:2.0.0")), "{there}");
    let archive = sandbox.path("dist/tool/2.0.0/image.tar");
    let time = || std::fs::metadata(&archive).unwrap().modified().unwrap();
    let before = time();
    let (built, _) = done(&builder, &["tool:2.0.0", "--tar"]);
    assert!(built.is_empty() && time() == before);
    // It is no part of the image, even where the image copies all.
    put(sandbox, &[("images/tool/2/Dockerfile.jinja2", "FROM busybox:1\nCOPY . /all\n")]);
    done(&builder, &["tool:2.0.0", "--tar"]);
    assert!(!builder.layers("tool:2.0.0").concat_sets().contains("all/image.tar"));
    assert!(done(&builder, &["tool:2.0.0", "--tar"]).0.is_empty());
    std::fs::write(&archive, "changed").unwrap();
    done(&builder, &["tool:2.0.0", "--tar"]);
    let mut other = sandbox.command(["import", "dist/tool/2.0.0/image.tar"]);
    other.env("LARDER_STORE", sandbox.path("other"));
    let said = run(&mut other);
    assert!(said.contains("tool:2.0.0") && said.contains(&named("tool:2.0.0")), "{said}");
}
