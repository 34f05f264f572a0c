//! stdout is data: nothing foreign gets through as control characters, and a reader may go away.

use std::collections::BTreeSet;
use std::process::Stdio;

use super::{GCC, two_images};
use crate::support::store::{index_text, named};
use crate::support::{Sandbox, describe, need, peer, run};

/// What a terminal would obey, or would show in another order than it is.
const BAD: [char; 8] = ['\u{1b}', '\u{7}', '\r', '\u{8}', '\u{9b}', '\u{202e}', '\u{2066}', '\u{7f}'];

#[test]
fn control_characters_of_a_foreign_index_stay_inside() {
    let sandbox = two_images();
    let digest = named(&sandbox.store(), GCC).unwrap();
    let bad: String = BAD.iter().map(|c| format!("x{c}[2J")).collect::<String>() + "\n\t";
    let mut index: serde_json::Value = serde_json::from_str(&index_text(&sandbox.store())).unwrap();
    for (number, entry) in index["manifests"].as_array_mut().unwrap().iter_mut().enumerate() {
        let annotations = entry["annotations"].as_object_mut().unwrap();
        for key in ["dev.larder.imported", "dev.larder.origin", "dev.larder.image-id", "dev.larder.was"] {
            annotations.insert(key.into(), bad.clone().into());
        }
        annotations.insert(format!("org.example.{bad}"), bad.clone().into());
        annotations.insert("org.opencontainers.image.ref.name".into(), format!("{bad}{number}").into());
        annotations.remove("io.containerd.image.name");
        if number == 1 {
            entry["platform"] = serde_json::json!({"os": bad, "architecture": bad, "variant": bad});
        }
    }
    std::fs::write(sandbox.store().join("index.json"), index.to_string()).unwrap();
    let name = format!("{bad}0");
    let mut leaks = Vec::new();
    for args in [
        &["images"][..],
        &["images", "--all", "--format", "json"],
        &["df"],
        &["df", "--format", "json"],
        &["inspect", &digest],
        &["inspect", &digest, "--format", "json"],
        &["inspect", &name],
        &["inspect", &bad],
        &["export", &bad, "-o", "x.tar"],
        &["tag", &digest, "clean:1"],
        &["tag", &digest, &bad],
        &["annotate", &digest, &bad],
        &["rm", &bad],
        &["rm", &digest],
        &["pin", &name],
        &["import", &bad],
        &["import", "missing", "--image", &bad, "--name", &bad],
        &["--store", &bad, "images"],
        &[&bad],
    ] {
        let output = sandbox.larder(args);
        for (stream, bytes) in [("stdout", output.stdout), ("stderr", output.stderr)] {
            let text = String::from_utf8(bytes).unwrap();
            let found: BTreeSet<_> = text.chars().filter(|c| BAD.contains(c)).collect();
            if !found.is_empty() {
                leaks.push(format!("{args:?}: {stream} has {found:?}"));
            }
        }
    }
    assert!(leaks.is_empty(), "{leaks:#?}");
}

#[test]
fn control_characters_inside_an_image_stay_inside() {
    let bad = "green\u{1b}[2J\u{202e}";
    let layers = [crate::support::tarball::layer("f", b"x")];
    let mut config = crate::support::tarball::config("linux", "amd64", &layers);
    config["created"] = bad.into();
    config["variant"] = bad.into();
    config["config"] =
        serde_json::json!({"Cmd": [bad], "Env": [bad], "User": bad, "WorkingDir": bad, "Entrypoint": [bad]});
    let archive = crate::support::tarball::docker_archive_with(&config.to_string(), &["evil:1"], &layers);
    let sandbox = Sandbox::new();
    let output = crate::support::feed(&mut sandbox.command(["import", "-"]), &archive);
    assert!(output.status.success(), "{output:?}");
    for args in [&["images"][..], &["inspect", "evil:1"], &["inspect", "evil:1", "--format", "json"], &["df"]]
    {
        let text = sandbox.ok(args);
        assert!(text.chars().all(|c| !BAD.contains(&c)), "{args:?}: {text:?}");
    }
    assert_eq!(
        sandbox.json(["inspect", "evil:1"])[0]["config"]["config"]["User"],
        bad,
        "JSON has it, escaped"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let sandbox = two_images();
    for args in [
        &["images"][..],
        &["images", "--format", "json"],
        &["inspect", GCC],
        &["df"],
        &["--help"],
        &["pin", GCC],
    ] {
        let mut command = sandbox.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}", describe(&command, &output));
    }
    // As people write it.
    let larder = sandbox.command(["images"]);
    let mut shell = sandbox.enclose(need!(peer::tool("bash"), "bash"));
    shell.args(["-c", "set -o pipefail; for i in 1 2 3; do \"$1\" images | head -n 1 || exit; done", "bash"]);
    let printed = run(shell.arg(larder.get_program()));
    assert_eq!(printed.lines().count(), 3);
}

/// `larder verify | head` in a script with pipefail: the exit code is the answer.
#[test]
fn what_the_exit_code_says_it_says_without_a_reader_too() {
    let (whole, (damaged, _)) = (two_images(), super::damaged::damaged());
    for (code, sandbox, args) in [
        (4, &whole, &["prune", "--max-size", "1kB"][..]),
        (4, &whole, &["prune", "--max-size", "1kB", "--format", "json"]),
        (5, &damaged, &["verify"]),
        (5, &damaged, &["verify", "--format", "json"]),
        (5, &damaged, &["images"]),
        (5, &damaged, &["df"]),
        (5, &damaged, &["df", "--format", "json"]),
    ] {
        let mut command = sandbox.command(args);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", describe(&command, &output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("larder: "), "{output:?}");
    }
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let sandbox = two_images();
    for args in [&["images"][..], &["inspect", GCC, "--format", "json"], &["df"]] {
        let mut command = sandbox.command(args);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", describe(&command, &output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("No space left"));
    }
}

#[test]
fn a_bar_fits_the_terminal_and_is_gone_in_the_end() {
    let sandbox = Sandbox::new();
    let archive = crate::support::fixture("docker20-two.tar");
    for columns in [20, 40, 63, 64, 100] {
        let mut script = need!(peer::tool("script"), "script");
        let larder = sandbox.command::<&str>([]).get_program().to_str().unwrap().to_owned();
        // A pipe that is slow makes it draw.
        let line = format!(
            "stty rows 24 cols {columns}; (cat {}; sleep 1) | {larder} --store store-{columns} import - >/dev/null",
            archive.display()
        );
        script.args(["-qec", &line, "/dev/null"]);
        let output = sandbox.enclose(script).env("TERM", "xterm").output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        let mut lines: Vec<String> = Vec::new();
        for line in text.split(['\r', '\n']) {
            // Without what steers the terminal: ESC [ … letter.
            let mut parts = line.split("\u{1b}[");
            let mut plain = parts.next().unwrap_or_default().to_owned();
            plain.extend(parts.map(|part| {
                part.trim_start_matches(|c: char| !c.is_ascii_alphabetic())
                    .chars()
                    .skip(1)
                    .collect::<String>()
            }));
            lines.push(plain);
        }
        assert!(
            lines.iter().any(|line| line.contains(" kB") || line.contains(" MB")),
            "no bar at {columns}: {text:?}"
        );
        for line in &lines {
            assert!(line.chars().count() <= columns, "at {columns}: {line:?}");
        }
        assert!(text.ends_with("\u{1b}[2K") || text.ends_with("\u{1b}[K"), "at {columns} it stays: {text:?}");
    }
}
