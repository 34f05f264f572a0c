//! Workflows as C++ projects write them.

mod bad;
mod odd;
mod values;

use larder_store::cancel::Cancel;

use super::{Choice, Fault, JobNeeds, Workflow};

fn pairs(matrix: &[&str]) -> Vec<(String, String)> {
    let pair = |text: &&str| text.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
    matrix.iter().filter_map(pair).collect()
}

fn workflow(text: &str, job: Option<&str>, matrix: &[&str]) -> Result<Workflow, Fault> {
    Workflow::read(text, &Choice { job, compiler: None, matrix: &pairs(matrix) }, &Cancel::new())
}

/// One line for each entry.
fn read(text: &str, job: Option<&str>, matrix: &[&str]) -> Vec<String> {
    let workflow = workflow(text, job, matrix).unwrap_or_else(|fault| panic!("{fault}\n{text}"));
    workflow.needs.iter().map(line).collect()
}

fn line(needs: &JobNeeds) -> String {
    let asked = &needs.asked;
    let mut words = vec![format!("{} {}:", needs.job, needs.label)];
    words.extend(needs.container.iter().map(|container| format!("[{container}]")));
    words.push(asked.os.as_ref().map_or("-".to_owned(), ToString::to_string));
    words.extend(asked.arch.iter().map(ToString::to_string));
    words.extend(asked.compiler.iter().map(ToString::to_string));
    words.extend(asked.suffixes.iter().map(ToString::to_string));
    words.extend(asked.packages.iter().map(|word| format!("+{word}")));
    words.extend(asked.tools.iter().map(|word| format!("!{word}")));
    assert_eq!(asked.os.is_none(), needs.no_os.is_some());
    assert_eq!(asked.project, None);
    words.join(" ")
}

/// The message of what is wrong.
fn wrong(text: &str, job: Option<&str>, matrix: &[&str]) -> String {
    match workflow(text, job, matrix) {
        Err(fault) => format!("{fault} / {}", fault.hint().unwrap_or_default()),
        Ok(workflow) => panic!("{:?}\n{text}", workflow.needs.iter().map(line).collect::<Vec<_>>()),
    }
}

/// A workflow of one job with these lines.
fn job(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("    {line}\n")).collect();
    format!("on: [push, pull_request]\njobs:\n  build:\n{lines}    steps:\n      - run: make\n")
}

/// A job with one entry, with these keys.
fn entry(keys: &str) -> String {
    job(&format!("strategy: {{matrix: {{include: [{{{keys}}}]}}}}\nruns-on: ubuntu-24.04"))
}

const LIBRARY: &str = r#"name: CI
on:
  push: {branches: [master, develop]}
env:
  UBSAN_OPTIONS: print_stacktrace=1
jobs:
  build:
    defaults: {run: {shell: bash}}
    strategy:
      fail-fast: false
      matrix:
        include:
          - { name: "GCC 15: C++23", runs-on: ubuntu-24.04, container: "ubuntu:25.04", compiler: gcc, version: "15", cxx: "g++-15",
              install: "g++-15 libssl-dev, zlib1g-dev", shared: true, build-cmake: true }
          - { name: "GCC 15 (asan+ubsan)", runs-on: ubuntu-24.04, container: "ubuntu:25.04", compiler: gcc, version: "15",
              install: "g++-15 g++-15-multilib", asan: true, ubsan: true }
          - { name: "GCC 14 (x86)", runs-on: ubuntu-24.04, container: "ubuntu:24.04", compiler: gcc, version: 14, install: gcc-14-multilib, x86: true }
          - name: Clang 20
            runs-on: ubuntu-24.04
            container: "docker.io/library/ubuntu:24.04"
            compiler: clang
            version: 20
            coverage: "true"
          - { name: "Clang 18 (tsan)", runs-on: ubuntu-22.04, compiler: clang, version: 18.1, tsan: true, x86: false }
          - { name: MSVC, runs-on: windows-2022, compiler: msvc, version: "*" }
          - { name: Apple-Clang, runs-on: macos-15, compiler: apple-clang, version: "*" }
    name: ${{ matrix.name }}
    runs-on: ${{ matrix.runs-on }}
    container:
      image: ${{ matrix.container }}
      options: --privileged
    timeout-minutes: 120
    steps:
      - uses: actions/checkout@v4
      - run: b2 toolset=${{ matrix.compiler }}
  docs:
    runs-on: ubuntu-latest
    steps: [{run: "true"}]
  release:
    needs: build
    uses: ./.github/workflows/release.yml
"#;

#[test]
fn the_entries_of_a_library() {
    let lines = read(LIBRARY, Some("build"), &[]);
    assert_eq!(
        lines,
        [
            "build ubuntu-24.04: [ubuntu:25.04] ubuntu:25.04 gcc-15 +g++-15 +libssl-dev +zlib1g-dev !cmake",
            "build ubuntu-24.04: [ubuntu:25.04] ubuntu:25.04 gcc-15 asan ubsan +g++-15 +g++-15-multilib",
            "build ubuntu-24.04: [ubuntu:24.04] ubuntu:24.04 386 gcc-14 +gcc-14-multilib",
            "build ubuntu-24.04: [docker.io/library/ubuntu:24.04] ubuntu:24.04 clang-20 cov",
            "build ubuntu-22.04: ubuntu:22.04 clang-18.1 tsan",
        ]
    );
    assert_eq!(
        read(LIBRARY, None, &["compiler=clang", "version=20"]),
        [lines[3].as_str(), "docs ubuntu-latest: -"]
    );
    assert_eq!(
        read(LIBRARY, Some("build"), &["version=14", "version=18.1"]),
        lines[2..=2].iter().chain(&lines[4..]).cloned().collect::<Vec<_>>()
    );
    // An entry without the key does not have the value.
    assert_eq!(read(LIBRARY, Some("build"), &["asan=true"]), lines[1..2]);
    let all = workflow(LIBRARY, None, &[]).expect("a workflow");
    let passed: Vec<_> = all.passed_over.iter().map(ToString::to_string).collect();
    for (said, expected) in passed.iter().zip(["windows-2022", "macos-15", "release.yml"]) {
        assert!(said.contains(expected) && said.starts_with("line "), "{said}");
    }
    assert_eq!((all.needs.len(), passed.len()), (6, 3), "{passed:?}");
    let docs = all.needs[5].no_os.as_ref().expect("no os");
    assert_eq!(
        docs.to_string(),
        "line 37, column 14: job docs: runs on ubuntu-latest, which says no os with its version"
    );
    assert!(docs.hint().is_some_and(|hint| hint.contains("--os")));
    assert_eq!(
        all.needs[2].shown(),
        "job build (name=GCC 14 (x86), runs-on=ubuntu-24.04, container=ubuntu:24.04, compiler=gcc, version=14, install=gcc-14-multilib, x86=true)"
    );
}

#[test]
fn jobs_are_chosen_by_name() {
    assert_eq!(read(LIBRARY, Some("docs"), &[]), ["docs ubuntu-latest: -"]);
    for (name, words) in
        [("release", ["release.yml", "--job"]), ("biuld", ["no job \"biuld\"", "build, docs, release"])]
    {
        let said = wrong(LIBRARY, Some(name), &[]);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
    for (matrix, words) in [
        (["compilr=gcc"], ["--matrix compilr", "has this key"]),
        (["compiler=tcc"], ["no entry", "compiler=tcc"]),
        (["compiler=msvc"], ["windows-2022", "MSVC"]),
    ] {
        let said = wrong(LIBRARY, Some("build"), &matrix);
        assert!(words.iter().all(|word| said.contains(word)), "{said}");
    }
}

#[test]
fn the_os_is_the_containers_else_the_labels() {
    for (lines, expected) in [
        ("runs-on: ubuntu-24.04", "ubuntu-24.04: ubuntu:24.04"),
        ("runs-on: Ubuntu-24.04", "Ubuntu-24.04: ubuntu:24.04"),
        ("runs-on: ubuntu-24.04-arm", "ubuntu-24.04-arm: ubuntu:24.04 arm64"),
        ("runs-on: [self-hosted, linux, ARM64]", "self-hosted: - arm64"),
        ("runs-on: [self-hosted, X64, debian-13]", "self-hosted: debian:13 amd64"),
        ("runs-on: {group: big, labels: [ubuntu-22.04]}", "ubuntu-22.04: ubuntu:22.04"),
        ("runs-on: {labels: ubuntu-22.04}", "ubuntu-22.04: ubuntu:22.04"),
        ("runs-on: ubuntu-latest\ncontainer: ubuntu:25.04", "ubuntu-latest: [ubuntu:25.04] ubuntu:25.04"),
        (
            "runs-on: ubuntu-24.04\ncontainer: debian:bookworm-slim",
            "ubuntu-24.04: [debian:bookworm-slim] debian:12",
        ),
        (
            "runs-on: ubuntu-24.04\ncontainer: {image: 'quay.io/fedora/fedora:41@sha256:00'}",
            "ubuntu-24.04: [quay.io/fedora/fedora:41@sha256:00] fedora:41",
        ),
        ("runs-on: ubuntu-24.04\ncontainer: archlinux", "ubuntu-24.04: [archlinux] arch:rolling"),
        (
            "runs-on: ubuntu-24.04\ncontainer: archlinux:latest",
            "ubuntu-24.04: [archlinux:latest] arch:rolling",
        ),
        (
            "runs-on: ubuntu-24.04\ncontainer: quay.io/centos/centos:stream9",
            "ubuntu-24.04: [quay.io/centos/centos:stream9] centos:9",
        ),
        (
            "runs-on: ubuntu-24.04\ncontainer: gentoo/stage3:latest",
            "ubuntu-24.04: [gentoo/stage3:latest] gentoo:rolling",
        ),
        (
            "runs-on: ubuntu-24.04\ncontainer: opensuse/tumbleweed:latest",
            "ubuntu-24.04: [opensuse/tumbleweed:latest] opensuse-tumbleweed:rolling",
        ),
        ("runs-on: ubuntu-24.04\ncontainer: oraclelinux:9", "ubuntu-24.04: [oraclelinux:9] ol:9"),
        (
            "runs-on: ubuntu-24.04\ncontainer: rockylinux/rockylinux:9.6",
            "ubuntu-24.04: [rockylinux/rockylinux:9.6] rocky:9.6",
        ),
        (
            "runs-on: ubuntu-24.04\ncontainer: opensuse/leap:15.6",
            "ubuntu-24.04: [opensuse/leap:15.6] opensuse-leap:15.6",
        ),
        (
            "runs-on: ubuntu-24.04\ncontainer: localhost:5000/ubuntu",
            "ubuntu-24.04: [localhost:5000/ubuntu] -",
        ),
        ("runs-on: ubuntu-24.04\ncontainer: ubuntu:rolling", "ubuntu-24.04: [ubuntu:rolling] ubuntu:rolling"),
        ("runs-on: ubuntu-24.04\ncontainer: ghcr.io/me/gcc:15", "ubuntu-24.04: [ghcr.io/me/gcc:15] -"),
        ("runs-on: ubuntu-24.04\ncontainer: ''", "ubuntu-24.04: ubuntu:24.04"),
        ("runs-on: ubuntu-24.04\ncontainer:", "ubuntu-24.04: ubuntu:24.04"),
        (
            "runs-on: ubuntu-24.04\ncontainer: 'ghcr.io/${{ github.repository }}/ci:1'",
            "ubuntu-24.04: [ghcr.io/${{ github.repository }}/ci:1] -",
        ),
        ("strategy: {matrix: {container: ['debian:13']}}\nruns-on: ubuntu-24.04", "ubuntu-24.04: debian:13"),
        ("strategy: {matrix: {container: ['']}}\nruns-on: ubuntu-24.04", "ubuntu-24.04: ubuntu:24.04"),
        ("strategy: {matrix: {os: [ubuntu-22.04]}}\nruns-on: ${{ matrix.os }}", "ubuntu-22.04: ubuntu:22.04"),
        (
            "strategy: {matrix: {config: [{os: ubuntu-22.04}]}}\nruns-on: ${{ matrix.config.os }}",
            "ubuntu-22.04: ubuntu:22.04",
        ),
        (
            "strategy: {matrix: {on: [[self-hosted, ubuntu-20.04]]}}\nruns-on: ${{ matrix.on }}",
            "self-hosted: ubuntu:20.04",
        ),
        ("runs-on: windows-2022\ncontainer: debian:12", "windows-2022: [debian:12] debian:12"),
    ] {
        assert_eq!(read(&job(lines), Some("build"), &[]), [format!("build {expected}")], "{lines}");
    }
}

#[test]
fn a_number_is_what_is_written() {
    let text =
        job("strategy:\n  matrix:\n    release: [25.10, 24.04]\nruns-on: ubuntu-${{ matrix.release }}");
    assert_eq!(read(&text, None, &["release=25.10"]), ["build ubuntu-25.10: ubuntu:25.10"]);
    let said = wrong(&text, None, &["release=25.1"]);
    assert!(said.contains("release=25.1"), "{said}");
}

#[test]
fn compilers_are_told_in_many_ways() {
    for (keys, expected) in [
        ("compiler: gcc, version: 15", "gcc-15"),
        ("compiler: g++, version: '15'", "gcc-15"),
        ("compiler: GCC, version: ' 15.2 '", "gcc-15.2"),
        ("compiler: gcc-15", "gcc-15"),
        ("compiler: g++-15, version: '*'", "gcc-15"),
        ("compiler: clang++-20", "clang-20"),
        ("compiler: clang20", "clang-20"),
        ("compiler: clang-cl, version: 19", "clang-cl-19"),
        ("compiler: gcc-15, version: 15.2", "gcc-15.2"),
        ("compiler: gcc-15.2, version: 15", "gcc-15.2"),
        ("version: 1.88", ""),
        ("compiler: '', version: '*'", ""),
        ("compiler: , version: 3", ""),
    ] {
        let line = read(&entry(keys), None, &[]).remove(0);
        assert_eq!(
            line.strip_prefix("build ubuntu-24.04: ubuntu:24.04").map(str::trim),
            Some(expected),
            "{keys}"
        );
    }
    for (keys, words) in [
        ("compiler: gcc", ["gcc has no version", "column 46"]),
        ("compiler: gcc, version: '*'", ["gcc has no version", "column 60"]),
        ("compiler: tcc, version: 1", ["\"tcc\" is no family", "clang-cl"]),
        ("compiler: tcc", ["\"tcc\" is no family", "clang-cl"]),
        ("compiler: tcc-1", ["\"tcc-1\" is no family", "clang-cl"]),
        ("compiler: gcc, version: latest", ["version: \"latest\"", "15.2"]),
        ("compiler: gcc-15, version: 14", ["gcc-15 contradicts", "14"]),
        ("compiler: {cc: gcc}", ["compiler is a text", "a mapping"]),
        ("compiler: gcc, version: [1]", ["version is a text", "a list"]),
        ("compiler: '${{ env.CC }}'", ["env.CC", "cannot be told"]),
    ] {
        let said = wrong(&entry(keys), Some("build"), &[]);
        assert!(words.iter().all(|word| said.contains(word)), "{keys}: {said}");
        assert!(said.starts_with("line 4, column "), "{said}");
    }
}

#[test]
fn keys_that_are_wrong_are_said_with_their_place() {
    for (keys, words) in [
        ("asan: maybe", ["asan is true or false", "\"maybe\""]),
        ("ubsan: 2", ["ubsan is true or false", "\"2\""]),
        ("coverage: [true]", ["coverage is a text", "a list"]),
        ("install: 'g++-15 && make'", ["\"&&\"", "no name of a package"]),
        ("install: '=1'", ["\"\"", "no name of a package"]),
        ("install: 'g++-15 lib$ssl'", ["lib$ssl", "no name of a package"]),
        ("install: [a, b]", ["install is a text", "a list"]),
        ("container: [a]", ["container", "name of an image"]),
        ("container: {}", ["container", "name of an image"]),
    ] {
        let said = wrong(&entry(keys), None, &[]);
        assert!(words.iter().all(|word| said.contains(word)), "{keys}: {said}");
        assert!(said.starts_with("line 4, column "), "{said}");
    }
    let line = read(
        &entry("install: '-y --no-install-recommends a,b\tc', asan: , ubsan: false, x86: 'false'"),
        None,
        &[],
    );
    assert_eq!(line, ["build ubuntu-24.04: ubuntu:24.04 +a +b +c"]);
    let line = read(
        &entry(
            "install: 'cmake=3.28* ninja', asan: yes, ubsan: On, coverage: 1, x86: 0, tsan: no, build-cmake: off",
        ),
        None,
        &[],
    );
    assert_eq!(line, ["build ubuntu-24.04: ubuntu:24.04 cov asan ubsan +cmake +ninja"]);
    let arm = job("strategy: {matrix: {x86: [true]}}\nruns-on: ubuntu-24.04-arm");
    assert!(wrong(&arm, None, &[]).contains("x86 contradicts ubuntu-24.04-arm"));
}
