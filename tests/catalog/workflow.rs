//! `larder resolve --workflow`. What a workflow says is read by pure functions with tests of their own (`src/catalog/workflow/`).

use serde_json::json;

use crate::support::Sandbox;
use crate::support::feed;
use crate::support::tarball::{Tarball, config, docker_archive_with};

const WORKFLOW: &str = r#"
on: push
jobs:
  build:
    strategy:
      matrix:
        include:
          - { name: "GCC 15", container: "ubuntu:25.04", compiler: gcc, version: 15, install: "g++-15 libssl-dev", build-cmake: true }
          - { name: "GCC 15 (asan)", container: "ubuntu:25.04", compiler: gcc, version: 15, asan: true }
          - { name: "Clang 20", runs-on: ubuntu-22.04, compiler: clang, version: 20 }
          - { name: "MSVC", runs-on: windows-2022, compiler: msvc, version: "*" }
    runs-on: ${{ matrix.runs-on || 'ubuntu-24.04' }}
    steps: [{ run: make }]
  pinned:
    runs-on: debian-13
    container: { image: "debian:13" }
    steps: [{ run: make }]
  lint:
    runs-on: ubuntu-latest
    steps: [{ run: make }]
"#;

/// A store with these images, whose names declare their compilers, and the workflow.
fn kitchen(images: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in images {
        let [_, os, version, ..] = name.split('-').collect::<Vec<_>>()[..] else { panic!("{name}") };
        let mut files = Tarball::new();
        files.file("etc/os-release", format!("ID={os}\nVERSION_ID=\"{version}\"\n").as_bytes());
        files.file("etc/name", name.as_bytes());
        let layers = [files.bytes()];
        let archive = docker_archive_with(&config("linux", "amd64", &layers).to_string(), &[name], &layers);
        let output =
            feed(sandbox.command(["import", "-", "--project", "capy"]).args(["--tool=cmake"]), &archive);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    std::fs::write(sandbox.path("ci.yml"), WORKFLOW).unwrap();
    sandbox
}

const ALL: [&str; 4] = [
    "capy-ubuntu-25.04-gcc15",
    "capy-ubuntu-25.04-gcc15-asan",
    "capy-ubuntu-22.04-clang20",
    "capy-debian-13",
];

/// The verb's arguments, with the architecture of the images.
fn resolve<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["resolve", "--workflow", "ci.yml", "--arch", "amd64"], more].concat()
}

#[test]
fn an_entry_gets_its_image_as_an_option_of_act() {
    let sandbox = kitchen(&ALL);
    for (more, printed) in [
        (
            &["--job", "build", "--matrix", "name=GCC 15"][..],
            "-P ubuntu-24.04=capy-ubuntu-25.04-gcc15:latest\n",
        ),
        (
            &["--job", "build", "--matrix", "asan=true"],
            "-P ubuntu-24.04=capy-ubuntu-25.04-gcc15-asan:latest\n",
        ),
        (
            &["--job", "build", "--matrix", "compiler=clang"],
            "-P ubuntu-22.04=capy-ubuntu-22.04-clang20:latest\n",
        ),
        (&["--job", "lint", "--os", "debian:13"], "-P ubuntu-latest=capy-debian-13:latest\n"),
        (&["--job", "pinned"], "-P debian-13=capy-debian-13:latest\n"),
        (
            &["--matrix", "compiler=clang"],
            "-P ubuntu-22.04=capy-ubuntu-22.04-clang20:latest\n-P debian-13=capy-debian-13:latest\n",
        ),
    ] {
        assert_eq!(sandbox.ok(resolve(more)), printed, "{more:?}");
    }
    let mut from_stdin =
        sandbox.command(["resolve", "--workflow=-", "--arch=amd64", "--job=build", "--matrix=asan=true"]);
    let output = feed(&mut from_stdin, WORKFLOW.as_bytes());
    assert_eq!(output.stdout, b"-P ubuntu-24.04=capy-ubuntu-25.04-gcc15-asan:latest\n");
}

#[test]
fn what_people_should_know_is_said_for_each_entry() {
    let sandbox = kitchen(&ALL);
    let output = sandbox.larder(resolve(&["--matrix", "compiler=clang"]));
    let said = String::from_utf8(output.stderr).unwrap();
    for words in [
        // The label of a job with a container is act's last resort.
        "job pinned: act takes its container whatever -P says: larder export --to-docker capy-debian-13:latest --as debian:13",
        "passed over: ci.yml: line 19, column 14: job lint: runs on ubuntu-latest, which says no os",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let output = sandbox.larder(resolve(&["--job", "build", "--matrix", "name=GCC 15"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("lacks the package g++-15, the package libssl-dev"), "{said}");
    let said = sandbox.fail(resolve(&["--job", "build", "--matrix", "name=GCC 15", "--strict-packages"]), 3);
    assert!(said.contains("job build (name=GCC 15, "), "{said}");
}

#[test]
fn one_label_is_one_image() {
    let sandbox = kitchen(&ALL);
    let output = sandbox.larder(resolve(&["--job", "build"]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), &*output.stdout), (Some(2), &b""[..]), "{said}");
    for words in [
        "ubuntu-24.04 would have to be two images at once",
        "job build (name=GCC 15, ",
        "job build (name=GCC 15 (asan), ",
        "--matrix 'name=GCC 15' or --matrix 'name=GCC 15 (asan)'",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    // Nothing stands in the way of a list.
    let rows = sandbox.json(resolve(&["--job", "build"]));
    let told: Vec<_> = rows
        .as_array()
        .unwrap()
        .iter()
        .map(|row| {
            json!([row["matrix"]["name"], row["label"], row["container"], row["answer"]["best_image"]])
        })
        .collect();
    assert_eq!(
        json!(told),
        json!([
            ["GCC 15", "ubuntu-24.04", null, "capy-ubuntu-25.04-gcc15:latest"],
            ["GCC 15 (asan)", "ubuntu-24.04", null, "capy-ubuntu-25.04-gcc15-asan:latest"],
            ["Clang 20", "ubuntu-22.04", null, "capy-ubuntu-22.04-clang20:latest"],
        ])
    );
    // One container of two jobs is one image as well.
    let two = "jobs:\n  a: {runs-on: x, container: 'ubuntu:25.04', strategy: {matrix: {compiler: [gcc-15]}}}\n  \
        b: {runs-on: y, container: 'ubuntu:25.04', strategy: {matrix: {compiler: [gcc-15], asan: [true]}}}\n";
    std::fs::write(sandbox.path("ci.yml"), two).unwrap();
    let said = sandbox.fail(resolve(&[]), 2);
    assert!(said.contains("ubuntu:25.04 would") && said.contains("--job a or --job b"), "{said}");
}

#[test]
fn an_entry_without_an_image_is_told_and_the_others_are_printed() {
    let sandbox = kitchen(&ALL[2..]);
    let output = sandbox.larder(resolve(&[]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        "-P ubuntu-22.04=capy-ubuntu-22.04-clang20:latest\n-P debian-13=capy-debian-13:latest\n"
    );
    for words in [
        "job build (name=GCC 15, ",
        "no image here is ubuntu:25.04",
        "windows-2022",
        "no image for 2 of 4 jobs",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let output = sandbox.larder([&resolve(&[])[..], &["--format", "json"]].concat());
    assert_eq!(output.status.code(), Some(3));
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&rows[0]["answer"]["needs_build"], &rows[3]["job"]), (&json!(true), &json!("pinned")));
}

#[test]
fn what_is_wrong_is_a_mistake_of_usage_with_its_place() {
    let sandbox = kitchen(&[]);
    for (more, words) in [
        (&["--job", "lint"][..], ["line 19, column 14", "--os NAME:VERSION"]),
        (&["--job", "lnit"], ["no job \"lnit\"", "build, pinned, lint"]),
        (&["--matrix", "compilr=gcc"], ["compilr", "no entry"]),
        (&["--matrix", "compiler"], ["compiler", "KEY=VALUE"]),
        (&["--job", "build", "--matrix", "name=MSVC"], ["line 12, column 14", "windows-2022"]),
        (
            &["--job", "build", "--compiler", "gcc-14"],
            ["gcc-14 by the flags", "gcc-15 by job build (name=GCC 15, "],
        ),
        (&["--job", "build", "--matrix", "asan=true", "--variant", "tsan"], ["asan", "tsan"]),
        (&["--requirements", "-"], ["--requirements", "--workflow"]),
    ] {
        let said = sandbox.fail(resolve(more), 2);
        assert!(words.iter().all(|word| said.contains(word)), "{more:?}: {said}");
    }
    std::fs::write(sandbox.path("ci.yml"), "jobs:\n  a: [\n").unwrap();
    assert!(sandbox.fail(resolve(&[]), 2).contains("ci.yml: "));
    std::fs::write(sandbox.path("ci.yml"), vec![b' '; (1 << 20) + 1]).unwrap();
    assert!(sandbox.fail(resolve(&[]), 2).contains("1048576"));
    let said = sandbox.fail(["resolve", "--workflow", "none.yml"], 2);
    assert!(said.contains("none.yml"), "{said}");
    for flags in [["--job", "a"], ["--matrix", "a=b"]] {
        assert!(
            sandbox.fail([&["resolve", "--os=debian:13"][..], &flags].concat(), 2).contains("--workflow")
        );
    }
}

/// act runs a job with a container in that: its label claims no image, and gets one where no other job has it.
#[test]
fn a_container_of_its_own_binds_no_label() {
    let sandbox = kitchen(&ALL);
    let say = |text: &str| {
        std::fs::write(sandbox.path("ci.yml"), text).unwrap();
        let output = sandbox.larder(resolve(&[]));
        let [stdout, stderr] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code(), stdout, stderr)
    };
    let a = "a: {runs-on: x, container: 'debian:13'}";
    let b = "b: {runs-on: x, container: 'ubuntu:22.04'}";
    let gcc = "strategy: {matrix: {container: ['ubuntu:25.04'], compiler: [gcc-15]}}";
    let (code, stdout, said) = say(&format!("jobs:\n  {a}\n  {b}\n"));
    assert_eq!((code, &*stdout), (Some(0), "-P x=capy-debian-13:latest\n"), "{said}");
    let (code, stdout, said) = say(&format!("jobs:\n  {a}\n  {b}\n  c: {{runs-on: x, {gcc}}}\n"));
    assert_eq!((code, &*stdout), (Some(0), "-P x=capy-ubuntu-25.04-gcc15:latest\n"), "{said}");
    // A job that would run in it, and has no image, does not get that of a container.
    let (code, stdout, said) =
        say(&format!("jobs:\n  {a}\n  c: {{runs-on: x, {gcc}}}\n").replace("25.04", "23.04"));
    assert_eq!((code, &*stdout), (Some(3), ""), "{said}");
    // Many entries of one job, one line.
    let many = "a: {runs-on: x, container: 'debian:13', strategy: {matrix: {k: [1, 2, 3]}}}";
    let (code, _, said) = say(&format!("jobs:\n  {many}\n"));
    assert_eq!((code, said.matches("act takes its container").count()), (Some(0), 1), "{said}");
}

/// What is shown to be run has nothing of a file in it that a shell would run.
#[test]
fn what_a_file_says_is_no_part_of_a_command() {
    let sandbox = kitchen(&ALL);
    let text = "jobs:\n  a: {runs-on: x, container: 'x/$(touch y)/debian:13'}\n";
    std::fs::write(sandbox.path("ci.yml"), text).unwrap();
    let output = sandbox.larder(resolve(&[]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("cannot give") && !said.contains("export"), "{said}");
    let text = "jobs:\n  build: {runs-on: x, strategy: {matrix: {include: [\n    {k: \"it's $(id)\", container: 'debian:13'},\n    {k: b, container: 'ubuntu:22.04'}]}}}\n";
    std::fs::write(sandbox.path("ci.yml"), text).unwrap();
    let said = sandbox.fail(resolve(&[]), 2);
    assert!(said.contains(r"--matrix 'k=it'\''s $(id)' or --matrix k=b"), "{said}");
    let text =
        "jobs:\n  a: {runs-on: x, container: 'debian:13', strategy: {matrix: {k: [\"1\\nforged\"]}}}\n";
    std::fs::write(sandbox.path("ci.yml"), text).unwrap();
    let output = sandbox.larder(resolve(&[]));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("1\\nforged") && said.lines().all(|line| !line.starts_with("forged")), "{said}");
}

/// Signals are looked at, and entries that ask for the same share an answer: thousands take no time.
#[test]
fn many_entries_are_one_answer() {
    let sandbox = kitchen(&ALL[3..]);
    let axis: String = (0..256).map(|at| format!("{at}, ")).collect();
    let jobs: String = (0..16)
        .map(|job| format!("  j{job}: {{runs-on: debian-13, strategy: {{matrix: {{k: [{axis}]}}}}}}\n"))
        .collect();
    std::fs::write(sandbox.path("ci.yml"), format!("jobs:\n{jobs}")).unwrap();
    assert_eq!(sandbox.ok(resolve(&[])), "-P debian-13=capy-debian-13:latest\n");
}
