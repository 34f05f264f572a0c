//! Commands of tests: what they may take, and what is left of them.

use std::time::{Duration, Instant};

use super::{report, write};
use crate::build::Builder;
use crate::support::need;

fn results(builder: &Builder, tests: &str, args: &[&str], code: i32) -> Vec<serde_json::Value> {
    write(&builder.sandbox, "test.yml", &format!("schemaVersion: 2.0.0\n{tests}"));
    let args = [&["test", "busybox:1", "--format", "json"], args].concat();
    let output = builder.sandbox.command(args).output().unwrap();
    report(&output, code)["Results"].as_array().unwrap().clone()
}

#[test]
fn a_command_that_never_ends_or_never_stops_talking_fails_its_test_alone() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let tests = "commandTests:
- {name: sleeps, command: sleep, args: ['1000']}
- {name: talks, command: dd, args: [if=/dev/zero, bs=1M, count=9], excludedOutput: ['x']}
- {name: acts, command: sh, args: [-c, 'printf \"\\033[2J\\000\\377\"; exit 1']}
- {name: fine, command: 'true'}
";
    let begun = Instant::now();
    let all = results(&builder, tests, &["--timeout", "5s"], 1);
    assert!(begun.elapsed() < Duration::from_secs(60));
    let error = |n: usize| all[n]["Errors"].to_string();
    assert!(error(0).contains("ran longer than 5 s"), "{}", error(0));
    assert!(error(1).contains("stdout has more than the 4194304 bytes that are looked at"), "{}", error(1));
    assert!(error(2).contains("exit code 1, expected 0"), "{}", error(2));
    assert_eq!(all[2]["Stdout"], "\u{1b}[2J\0\u{fffd}");
    assert_eq!(all[3]["Pass"], true);
    let output = builder.sandbox.command(["test", "busybox:1", "--timeout", "5s"]).output().unwrap();
    assert!(!output.stdout.contains(&0x1b) && output.stdout.len() < 20_000);
    builder.assert_clean();
}

#[test]
fn a_test_sees_no_other_and_leaves_nothing() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let tests = "commandTests:
- {name: makes, command: sh, args: [-c, 'echo x > /new; rm /etc/passwd; cat /new'], expectedOutput: [x]}
- {name: sees, command: ls, args: [/new], exitCode: 1}
- {name: 'still there', command: cat, args: [/etc/passwd]}
- {name: net, command: ls, args: [/sys/class/net], expectedOutput: ['^lo\\n$']}
";
    let all = results(&builder, tests, &["--network", "none"], 0);
    assert!(all.iter().all(|one| one["Pass"] == true), "{all:?}");
    builder.assert_clean();
}

#[test]
fn run_options_that_are_known_are_heeded() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    builder.sandbox.set("FROM_OUTSIDE", "yes");
    write(&builder.sandbox, "env", "# a comment\nexport ONE='1 $X'\nTWO=\"$ONE!\" \nTHREE=3 # three\n");
    let tests = "containerRunOptions: {user: build, envVars: [FROM_OUTSIDE, NOT_SET], envFile: env}
commandTests:
- {name: who, command: id, args: [-un], expectedOutput: ['1000|build']}
- {name: env, command: env, envVars: [{key: OWN, value: kept}], expectedOutput: ['(?m)^FROM_OUTSIDE=yes$', '(?m)^ONE=1 \\$X$', '(?m)^TWO=1 \\$X!$', '(?m)^THREE=3$', '(?m)^OWN=kept$'], excludedOutput: [NOT_SET]}
";
    let all = results(&builder, &tests.replace("-un", "-u"), &[], 0);
    assert_eq!(all.len(), 2);
    write(&builder.sandbox, "env", "no pair\n");
    let output = builder.sandbox.command(["test", "busybox:1"]).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && stderr.contains("env: line 1: expected NAME=value"),
        "{stderr}"
    );
}
