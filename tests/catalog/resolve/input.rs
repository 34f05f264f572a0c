//! What is asked: flags, a file, and what is no good.

use super::{JOB, three};
use crate::support::{Sandbox, feed};

#[test]
fn a_file_says_what_flags_say() {
    let sandbox = three();
    let yaml = "os: ubuntu:25.04\narch: x86_64\ncompiler: gcc-15\npackages:\n- libssl-dev\ntools: [cmake]\n";
    let json = r#"{"os": "ubuntu:25.04", "architecture": "amd64", "compiler": "gcc15", "packages": ["libssl-dev"], "tools": ["cmake"]}"#;
    std::fs::write(sandbox.path("job.yml"), yaml).unwrap();
    std::fs::write(sandbox.path("job.json"), json).unwrap();
    let flags =
        sandbox.json(JOB.iter().chain(&["--compiler=gcc-15", "--package=libssl-dev", "--tool=cmake"]));
    for file in ["job.yml", "job.json"] {
        assert_eq!(sandbox.json(["resolve", "--requirements", file]), flags, "{file}");
    }
    let mut command = sandbox.command(["resolve", "--requirements", "-", "--format", "json"]);
    let output = feed(&mut command, yaml.as_bytes());
    assert_eq!(serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(), flags);
    // Together they ask for more; what both say may be the same.
    let more = [
        "resolve",
        "--requirements",
        "job.yml",
        "--os=ubuntu:25.04",
        "--package=zlib1g-dev",
        "--strict-packages",
    ];
    assert!(sandbox.fail(more, 3).contains("zlib1g-dev"));
    std::fs::write(sandbox.path("empty.yml"), "").unwrap();
    sandbox.ok(JOB.iter().chain(&["--requirements", "empty.yml"]));
}

#[test]
fn a_bad_file_is_said_with_its_place() {
    let sandbox = Sandbox::in_memory();
    for (name, text, words) in [
        ("job.yml", "os: ubuntu:25.04\ncompilers: gcc-15\n", ["compilers", "line 2", "column 1"]),
        ("job.yml", "os: ubuntu:25.04\ncompiler: tcc-1\n", ["tcc", "line 2", "column 11"]),
        ("job.yml", "os: ubuntu:*\n", ["\"*\"", "line 1", "column 5"]),
        (
            "job.yml",
            "os: docker.io/library/ubuntu:25.04\n",
            ["docker.io/library/ubuntu", "line 1", "column 5"],
        ),
        ("job.yml", "os: [ubuntu:25.04\n", ["job.yml", "line", "column"]),
        (
            "job.json",
            "{\n  \"os\": \"ubuntu:25.04\",\n  \"arch\": 386, \"compiler\": \"gcc-*\"\n}",
            ["gcc", "line 3", "column 28"],
        ),
        ("job.json", "{\"os\": \"ubuntu:25.04\"", ["job.json", "line 1", "column"]),
        ("job.yml", "os: ubuntu:25.04\nos: debian:12\n", ["os", "line 2", "column 1"]),
    ] {
        std::fs::write(sandbox.path(name), text).unwrap();
        let said = sandbox.fail(["resolve", "--requirements", name], 2);
        assert!(said.contains(name) && words.iter().all(|word| said.contains(word)), "{text}: {said}");
    }
    assert!(sandbox.fail(["resolve", "--requirements", "none.yml"], 2).contains("none.yml"));
    std::fs::write(sandbox.path("large.yml"), vec![b'#'; (1 << 20) + 1]).unwrap();
    assert!(sandbox.fail(["resolve", "--requirements", "large.yml"], 2).contains("more than"));
    assert!(!sandbox.store().exists());
}

#[test]
fn what_contradicts_itself_is_refused_with_both_places() {
    let sandbox = Sandbox::in_memory();
    for (text, flags, words) in [
        (
            "os: debian:12\n",
            &["--os=ubuntu:25.04"][..],
            &["debian:12", "ubuntu:25.04", "the flags", "job.yml"][..],
        ),
        ("compiler: gcc-15\n", &["--compiler=gcc-14"], &["gcc-15", "gcc-14", "the flags", "job.yml"]),
        ("arch: amd64\n", &["--variant=x86"], &["amd64", "386", "the flags", "job.yml"]),
        ("x86: true\n", &["--arch=arm64"], &["arm64", "386", "the flags", "job.yml"]),
        ("project: capy\n", &["--project=other"], &["capy", "other", "the flags", "job.yml"]),
        ("variant: [tsan]\n", &["--variant=asan"], &["asan", "tsan", "the flags", "job.yml"]),
        ("variant: [asan, tsan]\nos: debian:12\n", &[], &["asan", "tsan"]),
        ("x86: true\narch: arm64\n", &[], &["x86", "arm64", "job.yml"]),
        ("compiler: gcc-15\n", &[], &["no os", "--os"]),
    ] {
        std::fs::write(sandbox.path("job.yml"), text).unwrap();
        let said = sandbox.fail(["resolve", "--requirements", "job.yml"].iter().chain(flags), 2);
        assert!(words.iter().all(|word| said.contains(word)), "{text}: {said}");
    }
    for (flags, words) in [
        (&["--os=ubuntu:25.04", "--arch=arm64", "--variant=x86"][..], &["x86", "arm64"][..]),
        (&["--os=ubuntu:25.04", "--arch=amd64", "--variant=x86"], &["x86", "amd64"]),
        (&["--os=ubuntu:25.04", "--variant=asan,tsan"], &["asan", "tsan"]),
        (&["--os=ubuntu:*"], &["ubuntu:*"]),
        (&["--os=ghcr.io/me/ubuntu:25.04"], &["ghcr.io/me/ubuntu"]),
        (&["--os=ubuntu:25.04", "--compiler=tcc-1"], &["tcc", "apple-clang"]),
        (&["--os=ubuntu:25.04", "--compiler=gcc-*"], &["gcc"]),
        (&["--os=ubuntu:25.04", "--package=two words"], &["two words"]),
        (&["--arch=amd64"], &["no os", "--os"]),
        (&["--os=ubuntu:25.04", "--arch=amd46"], &["amd46", "did you mean amd64?"]),
    ] {
        let said = sandbox.fail(["resolve"].iter().chain(flags), 2);
        assert!(words.iter().all(|word| said.contains(word)), "{flags:?}: {said}");
    }
    assert!(!sandbox.store().exists());
    // A hint is of the mistake that was made.
    let said = sandbox.fail(["resolve", "--os=ubuntu:25.04", "--variant=asan,tsan"], 2);
    assert!(!said.contains("hint"), "{said}");
}
