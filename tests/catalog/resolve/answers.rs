//! What is answered, and how.

use serde_json::{Value, json};

use super::{JOB, best, import, root, three, ubuntu};
use crate::support::Sandbox;
use crate::support::store::{index_text, named, tree};
use crate::support::tarball::{Oci, config};

#[test]
fn the_name_of_the_best_image_is_all_that_stdout_gets() {
    let sandbox = three();
    let before = index_text(&sandbox.store());
    for (words, name) in [
        (&["--compiler", "gcc-15", "--package", "libssl-dev", "--tool", "cmake"][..], "full:latest"),
        (&["--compiler", "gcc-15.2"], "gcc:latest"),
        (&["--package", "libssl-dev,ninja"], "full:latest"),
        (&["--tool", "ninja"], "full:latest"),
    ] {
        let output = sandbox.larder(JOB.iter().chain(words));
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{name}\n"), "{words:?}");
        assert_eq!((output.status.code(), output.stderr), (Some(0), vec![]), "{words:?}");
    }
    // A look is no use, and changes nothing.
    assert_eq!(before, index_text(&sandbox.store()));
    let files = tree(&sandbox.store());
    best(&sandbox, &["--tool", "cmake"]);
    assert_eq!(files, tree(&sandbox.store()));
    assert_eq!(sandbox.json(["images", "full"])[0]["last_used"], Value::Null);
    // Among equals the last one used comes first.
    sandbox.ok(["export", "base", "-o", "base.tar"]);
    assert_eq!(best(&sandbox, &["--package", "libssl-dev"]), "base:latest");
}

#[test]
fn what_a_full_match_lacks_is_said_and_is_a_matter_of_strictness() {
    let sandbox = three();
    let job = |more: &[&'static str]| {
        [&JOB[..], &["--compiler", "gcc-15", "--package", "libssl-dev,zlib1g-dev"], more].concat()
    };
    let output = sandbox.larder(job(&[]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "full:latest\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(said, "full:latest lacks the package zlib1g-dev\n");
    let said = sandbox.fail(job(&["--strict-packages"]), 3);
    for words in ["full:latest", "the package zlib1g-dev", "without --strict-packages"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(sandbox.larder(job(&["--strict-packages"])).stdout.is_empty());
}

#[test]
fn json_says_all_of_it() {
    let sandbox = three();
    let answer =
        sandbox.json(JOB.iter().chain(&["--compiler=gcc-15", "--package=libssl-dev", "--tool=cmake"]));
    let digest = |name| named(&sandbox.store(), name).unwrap();
    let nothing = json!({"compiler": null, "variant": [], "packages": [], "tools": []});
    let expected = json!({
        "needs_build": false, "best_image": "full:latest", "best_base_image": null, "official_base": null,
        "missing": nothing, "stale": null, "candidate_count": 3,
        "candidates": [
            {"name": "full:latest", "names": ["full:latest"], "digest": digest("full:latest"), "essential": 100, "extra": 30,
             "missing": nothing, "problems": 0},
            {"name": "gcc:latest", "names": ["gcc:latest"], "digest": digest("gcc:latest"), "essential": 100, "extra": 0,
             "missing": {"compiler": null, "variant": [], "packages": ["libssl-dev"], "tools": ["cmake"]}, "problems": 0},
            {"name": "base:latest", "names": ["base:latest"], "digest": digest("base:latest"), "essential": 70, "extra": 30,
             "missing": {"compiler": "gcc-15", "variant": [], "packages": [], "tools": []}, "problems": 0},
        ],
    });
    assert_eq!(answer, expected);
}

#[test]
fn what_has_to_be_built_is_exit_3_with_the_base_and_what_it_lacks() {
    let sandbox = three();
    let with_base = ["--compiler", "clang-20", "--tool", "cmake,gdb"];
    let said = sandbox.fail(JOB.iter().chain(&with_base), 3);
    for words in [
        "ubuntu:25.04 for amd64",
        "clang-20",
        "base:latest is the best base",
        "the tool gdb",
        "hint: `larder ensure`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let without = ["resolve", "--os", "debian:12", "--arch", "arm64", "--package", "x"];
    let said = sandbox.fail(without, 3);
    assert!(
        said.contains("no image here is debian:12 for arm64") && said.contains("official debian:12"),
        "{said}"
    );
    let json = |words: &[&str]| {
        let output = sandbox.larder(words.iter().chain(&["--format", "json"]));
        assert_eq!(output.status.code(), Some(3));
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let built = json(&[&JOB[..], &with_base].concat());
    let best =
        ["needs_build", "best_image", "best_base_image", "official_base"].map(|key| built[key].clone());
    assert_eq!(best, [json!(true), json!(null), json!("base:latest"), json!(null)]);
    assert_eq!(
        built["missing"],
        json!({"compiler": "clang-20", "variant": [], "packages": [], "tools": ["gdb"]})
    );
    let none = json(&without);
    let best = ["needs_build", "best_image", "best_base_image", "official_base"].map(|key| none[key].clone());
    assert_eq!(best, [json!(true), json!(null), json!(null), json!("debian:12")]);
    assert_eq!((&none["candidates"], &none["missing"]["packages"]), (&json!([]), &json!(["x"])));
}

#[test]
fn the_marks_are_explained_beside_the_answer() {
    let sandbox = three();
    import(&sandbox, &["other"], "amd64", root(Some(("debian", "12")), &[], &[]), &[]);
    import(&sandbox, &["arm"], "arm64", ubuntu(&[], &[]), &[]);
    let output = sandbox.larder(JOB.iter().chain(&["--compiler", "gcc-15", "--tool", "cmake", "--explain"]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "full:latest\n");
    let said = String::from_utf8(output.stderr).unwrap();
    let rows: Vec<_> =
        said.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect();
    for row in [
        "CANDIDATE ESSENTIAL EXTRA LAST USED USES LACKS",
        "full:latest 100 20 never 0 -",
        "gcc:latest 100 0 never 0 the tool cmake",
        "base:latest 70 20 never 0 gcc-15",
        "other:latest is debian:12",
        "arm:latest its architecture is arm64",
    ] {
        assert!(rows.iter().any(|have| have == row), "{row}:\n{said}");
    }
}

#[test]
fn names_and_what_they_declare_count() {
    let sandbox = Sandbox::in_memory();
    let layer = ubuntu(&["libc6:i386", "zlib1g"], &[]);
    import(&sandbox, &["old"], "amd64", ubuntu(&["gcc-15"], &["gcc-15"]), &[]);
    import(&sandbox, &["old"], "amd64", layer, &["--replace"]);
    // What has lost its name is no candidate.
    let said = sandbox.fail(JOB.iter().chain(&["--compiler", "gcc-15"]), 3);
    assert!(said.contains("old:latest is the best base"), "{said}");
    sandbox.ok(["tag", "old", "alias"]);
    let answer = sandbox.json(JOB.iter().chain(&["--package", "libc6:i386,zlib1g:amd64,libc6"]));
    assert_eq!(answer["candidates"][0]["names"], json!(["alias:latest", "old:latest"]));
    assert_eq!((&answer["candidate_count"], &answer["missing"]["packages"]), (&json!(1), &json!(["libc6"])));
    // Declared of one name it is there for both.
    sandbox.ok(["annotate", "old", "compilers=gcc-15", "tools=cmake", "variant=gcc15-x86", "project=capy"]);
    let x86 = ["resolve", "--os=ubuntu:25.04", "--variant=x86", "--compiler=gcc-15", "--tool=cmake"];
    assert_eq!(sandbox.ok(x86), "alias:latest\n");
    assert_eq!(sandbox.ok([&x86[..], &["--project", "capy"]].concat()), "old:latest\n");
    let said = sandbox.fail([&x86[..], &["--project", "other"]].concat(), 3);
    assert!(said.contains("of other"), "{said}");
    let said = sandbox.fail(JOB.iter().chain(&["--explain"]), 3);
    assert!(said.contains("declared to be for x86"), "{said}");
}

#[test]
fn each_image_of_an_index_is_a_candidate_under_its_name() {
    let sandbox = Sandbox::in_memory();
    let mut oci = Oci::image("multi", &[ubuntu(&[], &[])]);
    let mut children = Vec::new();
    for (arch, layer) in [("amd64", ubuntu(&["one"], &[])), ("arm64", ubuntu(&["two:arm64"], &[]))] {
        let config = config("linux", arch, std::slice::from_ref(&layer)).to_string().into_bytes();
        let blob = |kind: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": crate::support::tarball::sha256(bytes), "size": bytes.len()});
        let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": blob("config.v1+json", &config), "layers": [blob("layer.v1.tar", &layer)]})
        .to_string()
        .into_bytes();
        let mut child = blob("manifest.v1+json", &manifest);
        child["platform"] = json!({"os": "linux", "architecture": arch});
        children.push(child);
        [config, layer, manifest].iter().for_each(|bytes| oci.add(bytes));
    }
    let index = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": children});
    oci.root("multi", &index);
    std::fs::write(sandbox.path("multi.tar"), oci.archive()).unwrap();
    sandbox.ok(["import", "multi.tar"]);
    for (arch, package, child) in [("amd64", "one", 0), ("arm64", "two", 1)] {
        let answer = sandbox.json([
            "resolve",
            "--os",
            "ubuntu:25.04",
            "--arch",
            arch,
            "--package",
            package,
            "--strict-packages",
        ]);
        assert_eq!(answer["best_image"], "multi:latest", "{arch}");
        assert_eq!(answer["candidate_count"], 1, "{arch}");
        let digest = answer["candidates"][0]["digest"].as_str().unwrap().to_owned();
        assert!(
            named(&sandbox.store(), "multi:latest").unwrap() != digest,
            "the {child}. child, not the index"
        );
    }
}

#[test]
fn that_the_image_is_stale_is_told_and_it_is_used_all_the_same() {
    let sandbox = three();
    assert_eq!(sandbox.json(JOB)["stale"], Value::Null);
    let policy = sandbox.store().join(".larder/larder.toml");
    std::fs::write(&policy, "rebuild_after = '0s'\n").unwrap();
    let output = sandbox.larder(JOB.iter().chain(&["--tool=cmake", "--compiler=gcc-15"]));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "full:latest\n");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.starts_with("full:latest is stale: made ") && said.contains("rebuild_after is 0s"),
        "{said}"
    );
    let answer = sandbox.json(JOB);
    assert!(answer["stale"].as_str().unwrap().contains("rebuild_after is 0s"), "{answer}");
    // So is a base that something is to be built on.
    let said = sandbox.fail(JOB.iter().chain(&["--compiler=clang-20"]), 3);
    assert!(said.contains(" is stale: ") && said.contains("best base"), "{said}");
    std::fs::write(&policy, "rebuild_after = 'soon'\n").unwrap();
    let said = sandbox.fail(JOB, 1);
    assert!(said.contains("line 1: rebuild_after"), "{said}");
}

/// Names under free naming declare nothing, and yet tell what a variant is for.
#[test]
fn a_variant_that_is_not_there_is_said() {
    let sandbox = Sandbox::in_memory();
    let said = |words: &[&'static str], code: i32| {
        let output = sandbox.larder(JOB.iter().chain(words));
        assert_eq!(output.status.code(), Some(code), "{words:?}");
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    import(&sandbox, &["capy-ubuntu-25.04-gcc15-asan"], "amd64", ubuntu(&["gcc-15"], &["a"]), &[]);
    // Whatever declared something of it is not there: names of other tools say so, too.
    let mut index: Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    let annotations = index["manifests"][0]["annotations"].as_object_mut().unwrap();
    for key in ["project", "os", "variant", "compilers"] {
        annotations.remove(&format!("dev.larder.{key}"));
    }
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    assert_eq!(said(&["--variant", "asan"], 0), ["capy-ubuntu-25.04-gcc15-asan:latest\n", ""]);
    let [stdout, stderr] = said(&[], 0);
    assert_eq!(stdout, "capy-ubuntu-25.04-gcc15-asan:latest\n");
    assert_eq!(stderr, "capy-ubuntu-25.04-gcc15-asan:latest is for asan, which nobody asked for\n");
    import(&sandbox, &["plain"], "amd64", ubuntu(&["gcc-15"], &["b"]), &[]);
    assert_eq!(said(&[], 0), ["plain:latest\n", ""]);
    assert_eq!(said(&["--variant", "asan"], 0), ["capy-ubuntu-25.04-gcc15-asan:latest\n", ""]);
    let [stdout, stderr] = said(&["--variant", "tsan"], 0);
    assert_eq!((&*stdout, &*stderr), ("plain:latest\n", "plain:latest lacks the variant tsan\n"));
    let [stdout, stderr] = said(&["--variant", "tsan", "--strict-packages"], 3);
    assert!(stdout.is_empty() && stderr.contains("lacks the variant tsan"), "{stderr}");
    let answer = sandbox.json(JOB.iter().chain(&["--variant", "tsan"]));
    assert_eq!(answer["missing"]["variant"], json!(["tsan"]));
}
