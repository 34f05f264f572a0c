//! The verdicts of container-structure-test, by both of its drivers, on the very image and files.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use super::cases::{COMMANDS, CONTENTS, Case, Differs, FILES, LICENSES, METADATA};
use super::{image, report, write};
use crate::support::{Docker, Sandbox, need, peer, say};

const HEAD: &str = "schemaVersion: 2.0.0\n";
const GLOBAL: &str =
    "globalEnvVars: [{key: GLOBAL, value: '/x:$PATH'}, {key: GLOBAL_DIR, value: $HOME_DIR}]\n";

/// The test files: the tests that have names in one, and one for each of the others.
fn files(sandbox: &Sandbox, with_commands: bool) -> Vec<PathBuf> {
    let named = |key: &str, cases: &[Case]| {
        let tests = cases.iter().enumerate().map(|(n, (fields, ..))| format!("- {{name: {n}, {fields}}}\n"));
        format!("{key}:\n{}", tests.collect::<String>())
    };
    let mut text = format!(
        "{HEAD}{GLOBAL}{}{}",
        named("fileExistenceTests", &FILES),
        named("fileContentTests", &CONTENTS)
    );
    if with_commands {
        text += &named("commandTests", &COMMANDS);
    }
    let mut files = vec![write(sandbox, "named.yml", &text)];
    let metadata = METADATA.iter().map(|(fields, ..)| format!("metadataTest: {{{fields}}}\n"));
    let licenses = LICENSES.iter().map(|(fields, ..)| format!("licenseTests: [{{{fields}}}]\n"));
    for (number, test) in metadata.chain(licenses).enumerate() {
        files.push(write(sandbox, &format!("{number}.yaml"), &format!("{HEAD}{test}")));
    }
    files
}

/// What became of each test, by its name, and of those of one name in their order.
fn verdicts(report: &Value) -> Vec<(String, bool)> {
    let results = report["Results"].as_array().unwrap().iter();
    let mut all: Vec<_> =
        results.map(|one| (one["Name"].as_str().unwrap().to_owned(), one["Pass"] == true)).collect();
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

/// What is expected of larder, and who says otherwise.
fn expected(with_commands: bool) -> Vec<(String, bool, &'static str, Differs)> {
    let named = |kind: &str, cases: &'static [Case]| {
        let kind = kind.to_owned();
        cases
            .iter()
            .enumerate()
            .map(move |(n, (fields, passes, differs))| (format!("{kind}: {n}"), *passes, *fields, *differs))
    };
    let alone = |name: &'static str, cases: &'static [Case]| {
        cases.iter().map(move |(fields, passes, differs)| (name.to_owned(), *passes, *fields, *differs))
    };
    let mut all: Vec<_> = named("File Existence Test", &FILES).collect();
    all.extend(named("File Content Test", &CONTENTS));
    if with_commands {
        all.extend(named("Command Test", &COMMANDS));
    }
    all.extend(alone("Metadata Test", &METADATA));
    all.extend(alone("License Test", &LICENSES));
    all.sort_by(|one, other| one.0.cmp(&other.0));
    all
}

fn reference(
    sandbox: &Sandbox,
    driver: &str,
    image: &str,
    files: &[PathBuf],
    docker: &Docker,
) -> Option<Value> {
    let mut command: Command = sandbox.enclose(peer::structure_test()?);
    command.env("DOCKER_HOST", docker.host());
    command.args(["test", "--driver", driver, "--image", image, "--output", "json"]);
    for file in files {
        command.arg("--config").arg(file);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let report = text.lines().find_map(|line| serde_json::from_str(line).ok());
    Some(report.unwrap_or_else(|| panic!("{text}\n{}", String::from_utf8_lossy(&output.stderr))))
}

/// All that differs from what is expected, told at once.
fn compare(who: &str, report: &Value, with_commands: bool, differs: fn(&Differs) -> bool) -> Vec<String> {
    let (found, expected) = (verdicts(report), expected(with_commands));
    assert_eq!(found.len(), expected.len(), "{who}: {report}");
    let mut wrong = Vec::new();
    for ((name, passes), (case, expects, fields, who_differs)) in found.iter().zip(&expected) {
        assert_eq!(name, case, "{who}");
        if *passes != (*expects != differs(who_differs)) {
            let said = report["Results"].as_array().unwrap().iter().filter(|one| one["Name"] == **name);
            let said: Vec<_> =
                said.map(|one| one["Errors"].to_string().chars().take(300).collect::<String>()).collect();
            wrong.push(format!("{who}: {name} {{{fields}}} passes: {passes} {}", said.join(" | ")));
        }
    }
    wrong
}

#[test]
fn verdicts_are_those_of_container_structure_test() {
    let sandbox = Sandbox::new();
    need!(peer::root(), "root");
    need!(peer::structure_test(), "container-structure-test");
    let docker = need!(peer::docker20(), "Docker 20.10");
    let archive = need!(image::build(&sandbox, &docker), "busybox");
    let count = expected(true).len();
    assert!(count >= 60, "{count}");
    let (all, no_commands) = (files(&sandbox, true), Sandbox::new());
    let plain = files(&no_commands, false);
    let mut wrong = ours(&sandbox, &archive, &all, &plain);
    let by_docker = reference(&sandbox, "docker", image::NAME, &all, &docker).unwrap();
    wrong.extend(compare("docker driver", &by_docker, true, |differs| {
        matches!(differs, Differs::Docker(_) | Differs::Both(_))
    }));
    let by_tar = reference(&sandbox, "tar", archive.to_str().unwrap(), &plain, &docker).unwrap();
    wrong.extend(compare("tar driver", &by_tar, false, |differs| {
        matches!(differs, Differs::Tar(_) | Differs::Both(_))
    }));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    say(format_args!("{count} verdicts compared with both drivers of container-structure-test"));
}

/// The same from the store, with commands; from the archive where it lies, without; and from the archive with commands.
fn ours(sandbox: &Sandbox, archive: &Path, all: &[PathBuf], plain: &[PathBuf]) -> Vec<String> {
    let flags = |files: &[PathBuf]| {
        files.iter().flat_map(|file| ["-f".into(), file.display().to_string()]).collect::<Vec<_>>()
    };
    let test = |head: &[&str], files: &[PathBuf]| {
        let args = head.iter().map(|arg| (*arg).to_owned()).chain(flags(files));
        report(&sandbox.command(args).output().unwrap(), 1)
    };
    let lying = test(&["test", "--format", "json", "--archive", archive.to_str().unwrap()], plain);
    assert!(!sandbox.store().exists(), "the archive was not imported");
    let mut wrong = compare("larder --archive", &lying, false, |_| false);
    let unpacked = test(&["test", "--format", "json", "--archive", archive.to_str().unwrap()], all);
    assert!(!sandbox.store().exists() && std::fs::read_dir(sandbox.path("tmp")).unwrap().next().is_none());
    wrong.extend(compare("larder --archive with commands", &unpacked, true, |_| false));
    sandbox.ok(["import", archive.to_str().unwrap()]);
    let stored = test(&["test", "--format", "json", image::NAME], all);
    wrong.extend(compare("larder", &stored, true, |_| false));
    wrong
}
