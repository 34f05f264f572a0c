//! A folder of archives with its registry, into a store and out again: nothing is lost.

use std::path::Path;

use serde_json::Value;

use super::{archive, declared};
use crate::support::store::{assert_sound, entries, named, tree};
use crate::support::{Sandbox, need, peer, run};

/// What programs write into such files, in all forms that were seen.
const REGISTRY: &str = r#"# Kept by hand and by programs.
version: 1.0
owner: {team: ci, since: 2024-01-01}
images:
- name: capy-ubuntu-25.04-gcc15
  file: capy/gcc15.tar
  docker_tag: capy-ubuntu-25.04-gcc15:latest
  os: Ubuntu 25.04
  architecture: x86_64
  size_mb: 1843.20
  created: 2025-09-01T12:00:00Z
  last_used: '2025-09-02T12:00:00.123456'
  usage_count: 7
  packages: [libssl-dev, "zlib1g-dev"]
  compilers: [gcc-15]
  tools: [cmake, ninja]
  variants: []
- docker_tag: capy-ubuntu-25.04-clang20-asan:latest   # the sanitizer's
  name: asan
  x-notes: |
    Made by hand.
    Keep.
  file: ./capy/asan.tar
  os: ubuntu:25.04
  architecture: x86
  last_used: 2025-09-03 08:00:00
  usage_count: "2"
  packages: {libssl-dev: 3.4, curl: ~}
  compilers: [{family: clang, version: 20}, {gcc: "15"}]
  variants: [asan]
- {name: tool, file: images/other/tool.tar, os: ubuntu-25.04, architecture: i386, compilers: {gcc: [14, 15]}, usage_count: 0}
- name: others/base:v1
  file: other/base.tar
  os: {name: debian, version: 12}
  last_used: 1756728000
  variants: {cov: true, asan: false}
  tools: cmake, git
- name: quoted
  file: "other/quoted.tar"
  docker_tag: 'quoted:1.10'
  on: yes
  25.04: 1e3
- name: odd
  file: other/odd.tar
  os: ghcr.io/library/ubuntu:25.04
  compilers: [tcc-1, gcc 15]
  packages: ["two words", fine]
  created: !!timestamp 2025-01-01
  last_used: yesterday
  usage_count: -3
  size_mb: huge
- &base
  name: anchored
  file: other/anchored.tar
  tools: &tools [make]
- <<: *base
  name: "größe 😀"
  docker_tag: merged
  file: other/merged.tar
  packages: *tools
"#;

/// Each file with the name that its archive has.
const FILES: [(&str, &str); 8] = [
    ("capy/gcc15.tar", "capy-ubuntu-25.04-gcc15:latest"),
    ("capy/asan.tar", "localhost/capy-ubuntu-25.04-clang20-asan:latest"),
    ("other/tool.tar", "tool:latest"),
    ("other/base.tar", "others/base:v1"),
    ("other/quoted.tar", "quoted:1.10"),
    ("other/odd.tar", "odd:latest"),
    ("other/anchored.tar", "anchored:latest"),
    ("other/merged.tar", "merged:latest"),
];

fn folder() -> Sandbox {
    let sandbox = Sandbox::new();
    for (file, name) in FILES {
        let path = sandbox.path("images").join(file);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        archive(&sandbox, &format!("images/{file}"), &[&[name]]);
    }
    std::fs::write(sandbox.path("images/image-registry.yml"), REGISTRY).unwrap();
    sandbox
}

/// What PyYAML reads in a file, in order; without these keys of its images. `None` without PyYAML.
fn read(path: &Path, but: &[&str]) -> Option<String> {
    let script = "import sys, yaml, json
        d = yaml.safe_load(open(sys.argv[1]))
        for i in d['images']:
            for k in sys.argv[2:]: i.pop(k, None)
        print(repr(d).replace('}, {', '},\\n {'))";
    let script = script.replace("\n        ", "\n");
    peer::tool("python3")?.args(["-c", "import yaml"]).output().ok().filter(|done| done.status.success())?;
    let mut python = peer::tool("python3")?;
    Some(run(python.args(["-c", &script]).arg(path).args(but)))
}

#[test]
fn eight_images_come_in_with_all_that_is_said_of_them() {
    let sandbox = folder();
    let output = sandbox.larder(["catalog", "import", "images/image-registry.yml"]);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{said}");
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 8);
    // Of two entries something is not understood: once each.
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 1, "{said}");
    for word in [
        "odd (line ",
        "os: ",
        "compilers: tcc-1",
        "two words",
        "last_used: yesterday",
        "usage_count: -3",
        "size_mb: huge",
    ] {
        assert!(lines[0].contains(word), "{word}: {said}");
    }
    for (name, expected) in [
        (
            "capy-ubuntu-25.04-gcc15:latest",
            "project=capy os=ubuntu:25.04 arch=amd64 variant=gcc15 compilers=gcc-15 packages=libssl-dev,zlib1g-dev tools=cmake,ninja",
        ),
        (
            "capy-ubuntu-25.04-clang20-asan:latest",
            "project=capy os=ubuntu:25.04 arch=386 variant=clang20-asan compilers=clang-20,gcc-15 packages=libssl-dev,curl",
        ),
        ("tool:latest", "project=other os=ubuntu:25.04 arch=386 variant=gcc14 compilers=gcc-14,gcc-15"),
        ("others/base:v1", "project=other os=debian:12 variant=cov tools=cmake,git"),
        ("quoted:1.10", "project=other"),
        ("odd:latest", "project=other variant=gcc15 compilers=gcc-15 packages=fine"),
        ("merged:latest", "project=other packages=make tools=make"),
    ] {
        assert_eq!(declared(&sandbox, name), expected, "{name}");
    }
    let uses = |name: &str| {
        let image = sandbox.json(["images", name])[0].clone();
        (image["last_used"].as_str().map(str::to_owned), image["use_count"].as_u64())
    };
    // Without a zone it is the latest that it can mean.
    assert_eq!(uses("capy-ubuntu-25.04-gcc15"), (Some("2025-09-03T00:00:00Z".into()), Some(7)));
    assert_eq!(uses("capy-ubuntu-25.04-clang20-asan"), (Some("2025-09-03T20:00:00Z".into()), Some(2)));
    assert_eq!(uses("others/base:v1"), (Some("2025-09-01T12:00:00Z".into()), Some(0)));
    // That it was created is no use of it.
    assert_eq!(uses("odd"), (None, Some(0)));
    // Once more changes nothing.
    let before = tree(&sandbox.store());
    let rows = sandbox.json(["catalog", "import", "images/image-registry.yml"]);
    assert!(rows.as_array().unwrap().iter().all(|row| row["status"] == "unchanged"), "{rows}");
    assert_eq!(before, tree(&sandbox.store()));
    assert_sound(&sandbox.store());
}

#[test]
fn a_registry_goes_out_as_it_came_in() {
    let mut sandbox = folder();
    sandbox.ok(["catalog", "import", "images/image-registry.yml"]);
    // There is nothing new to say of what is there.
    std::fs::copy(sandbox.path("images/image-registry.yml"), sandbox.path("same.yml")).unwrap();
    sandbox.ok(["catalog", "export", "same.yml"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("same.yml")).unwrap(), REGISTRY);
    sandbox.ok(["catalog", "export", "out.yml"]);
    let out = std::fs::read_to_string(sandbox.path("out.yml")).unwrap();
    assert_eq!(sandbox.ok(["catalog", "export", "-"]), out);
    // The folder out of one store into another, and out of that.
    sandbox.ok(["export", "--to-tree", "new"]);
    let listed = std::fs::read_to_string(sandbox.path("new/image-registry.yml")).unwrap();
    sandbox.ok(["export", "--to-tree", "new"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("new/image-registry.yml")).unwrap(), listed);
    let first = sandbox.store();
    sandbox.set("LARDER_STORE", sandbox.path("second"));
    sandbox.ok(["catalog", "import", "new/image-registry.yml"]);
    sandbox.ok(["catalog", "export", "again.yml"]);
    assert_eq!(std::fs::read_to_string(sandbox.path("again.yml")).unwrap(), listed);
    for (_, name) in FILES {
        let name = name.trim_start_matches("localhost/");
        let id = |store: &Path| {
            let entry = entries(store)
                .into_iter()
                .find(|entry| entry["digest"] == named(store, name).unwrap())
                .unwrap();
            entry["annotations"]["dev.larder.image-id"].clone()
        };
        assert_ne!(id(&first), Value::Null);
        assert_eq!(id(&first), id(&sandbox.path("second")), "{name}");
    }
    // By the word of the reader that others use.
    let all = need!(read(&sandbox.path("images/image-registry.yml"), &[]), "PyYAML");
    assert_eq!(read(&sandbox.path("out.yml"), &[]).unwrap(), all);
    // Files have other sizes and places there, and nothing else is different.
    let moved = ["file", "size_mb"];
    let all = read(&sandbox.path("images/image-registry.yml"), &moved).unwrap();
    assert_eq!(read(&sandbox.path("new/image-registry.yml"), &moved).unwrap(), all);
}

#[test]
fn only_what_changed_in_the_store_changes_in_a_registry() {
    let sandbox = folder();
    sandbox.ok(["catalog", "import", "images/image-registry.yml"]);
    sandbox.ok(["annotate", "capy-ubuntu-25.04-gcc15", "packages=libssl-dev,curl", "arch=arm64"]);
    sandbox.ok(["hold", "tool", "--", "true"]);
    archive(&sandbox, "new.tar", &[&["ghcr.io/me/deep/new:v2"], &["capy-debian-12-gcc12-cov"]]);
    sandbox.ok(["import", "new.tar"]);
    // Somebody else has been there meanwhile.
    let theirs = REGISTRY
        .replace("usage_count: 7", "usage_count: 9")
        .replace("tools: [cmake, ninja]", "tools: [cmake, ninja, ccache]")
        .replace("images:\n", "images:\n- {name: theirs, file: theirs/x.tar} # not ours\n");
    std::fs::write(sandbox.path("images/image-registry.yml"), &theirs).unwrap();
    sandbox.ok(["catalog", "export", "images/image-registry.yml"]);
    let new = std::fs::read_to_string(sandbox.path("images/image-registry.yml")).unwrap();
    let is_same = |line: &&str| new.lines().any(|other| other == *line);
    let gone: Vec<_> = theirs.lines().filter(|line| !is_same(line)).collect();
    assert_eq!(gone.len(), 2, "{gone:?}\n{new}");
    assert!(gone[0].contains("packages: [libssl-dev") && gone[1].contains("name: tool"));
    for line in [
        "  architecture: arm64",
        "  packages: [libssl-dev, curl]",
        "- name: deep-new-v2",
        "  file: me/deep-new-v2.tar",
        "  docker_tag: ghcr.io/me/deep/new:v2",
        "  file: capy/capy-debian-12-gcc12-cov.tar",
        "  architecture: x86_64",
        "  os: debian:12",
        "  compilers: [gcc-12]",
        "  variants: [cov]",
    ] {
        assert!(new.lines().any(|other| other == line), "{line}: {new}");
    }
    let tool = new.lines().find(|line| line.contains("name: tool")).unwrap();
    assert!(tool.contains("usage_count: 1") && tool.contains("last_used: \"20"), "{tool}");
    let read = need!(read(&sandbox.path("images/image-registry.yml"), &[]), "PyYAML");
    assert_eq!(read.matches("'name': ").count(), 12, "{read}");
}

#[test]
fn what_came_with_a_name_stays_with_it() {
    let sandbox = folder();
    sandbox.ok(["catalog", "import", "images/image-registry.yml"]);
    sandbox.ok(["export", "--to-tree", "own", "tool"]);
    let out = sandbox.ok(["catalog", "export", "-"]);
    sandbox.fail(["annotate", "tool", "dev.larder.registry=x"], 2);
    // A name beside it has an entry of its own, and what it came with comes back without it.
    sandbox.ok(["tag", "others/base:v1", "second"]);
    let both = sandbox.ok(["catalog", "export", "-"]);
    assert!(both.contains("docker_tag: second") && both.contains("file: other/second.tar"), "{both}");
    sandbox.ok(["rm", "second"]);
    assert_eq!(sandbox.ok(["catalog", "export", "-"]), out);
    // Other tools that write the index keep all of it.
    let mut umoci = need!(peer::tool("umoci"), "umoci");
    run(umoci
        .args(["tag", "--image"])
        .arg(format!("{}:tool:latest", sandbox.store().display()))
        .arg("other"));
    let mut umoci = peer::tool("umoci").unwrap();
    run(umoci.args(["rm", "--image"]).arg(format!("{}:other", sandbox.store().display())));
    assert_eq!(sandbox.ok(["catalog", "export", "-"]), out);
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    let place = |name: &str| format!("oci:{}:{name}", sandbox.store().display());
    run(skopeo
        .args(["--insecure-policy", "copy", "--quiet"])
        .arg(place("tool:latest"))
        .arg(place("third:latest")));
    sandbox.ok(["rm", "third"]);
    assert_eq!(sandbox.ok(["catalog", "export", "-"]), out);
}

#[test]
fn what_was_annotated_since_stays_when_the_registry_comes_again() {
    let sandbox = folder();
    let import = ["catalog", "import", "images/image-registry.yml"];
    sandbox.ok(import);
    sandbox.ok(["annotate", "capy-ubuntu-25.04-gcc15", "packages=curl", "tools=", "org.example.note=mine"]);
    let mended = "project=capy os=ubuntu:25.04 arch=amd64 variant=gcc15 compilers=gcc-15 packages=curl";
    let before = tree(&sandbox.store());
    sandbox.ok(import);
    assert_eq!(tree(&sandbox.store()), before);
    assert_eq!(declared(&sandbox, "capy-ubuntu-25.04-gcc15:latest"), mended);
    // What the registry says anew counts, and no more: here a tool, and a compiler that is gone.
    let theirs = REGISTRY
        .replace("tools: [cmake, ninja]", "tools: [ccache]")
        .replace("variants: {cov: true, asan: false}\n  tools: cmake, git", "variants: {}");
    std::fs::write(sandbox.path("images/image-registry.yml"), &theirs).unwrap();
    sandbox.ok(["annotate", "others/base:v1", "tools=git"]);
    sandbox.ok(import);
    assert_eq!(declared(&sandbox, "capy-ubuntu-25.04-gcc15:latest"), format!("{mended} tools=ccache"));
    assert_eq!(declared(&sandbox, "others/base:v1"), "project=other os=debian:12 tools=git");
    // And so it goes out, beside what the store knows better.
    let out = sandbox.ok(["catalog", "export", "-"]);
    assert!(out.contains("\n  packages: [curl]\n") && out.contains("\n  tools: [ccache]\n"), "{out}");
}

#[test]
fn what_was_taken_away_and_when_it_was_used_goes_out_in_the_form_that_it_had() {
    let sandbox = folder();
    let theirs = REGISTRY
        .replace("last_used: '2025-09-02T12:00:00.123456'", &format!("last_used: '{}'", hours_ago(3)))
        .replace("usage_count: \"2\"", "usage_count: \"0\"");
    std::fs::write(sandbox.path("images/image-registry.yml"), theirs).unwrap();
    sandbox.ok(["catalog", "import", "images/image-registry.yml"]);
    sandbox.ok(["annotate", "capy-ubuntu-25.04-gcc15", "packages=", "os=", "compilers="]);
    sandbox.ok(["hold", "capy-ubuntu-25.04-gcc15", "capy-ubuntu-25.04-clang20-asan", "--", "true"]);
    sandbox.ok(["catalog", "export", "images/image-registry.yml"]);
    let new = std::fs::read_to_string(sandbox.path("images/image-registry.yml")).unwrap();
    for line in ["  packages: []", "  os: null", "  usage_count: 8", "  usage_count: \"1\""] {
        assert!(new.lines().any(|other| other == line), "{line}: {new}");
    }
    // Three hours later, and in UTC as it was: not only once it is twelve hours.
    let used = new.lines().find(|line| line.starts_with("  last_used: \"20") && !line.contains('Z')).unwrap();
    assert!(used > format!("  last_used: \"{}\"", hours_ago(1)).as_str(), "{used}");
}

/// A time without a zone.
fn hours_ago(hours: i64) -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    let then = larder_store::index::timestamp(now - hours * 3600);
    then.trim_end_matches('Z').to_owned()
}
