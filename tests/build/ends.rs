//! How a command ends: by itself, too late, or because it is not wanted any more.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::Builder;
use crate::support::need;
use crate::support::store::{index_text, named};

#[test]
fn a_command_that_fails_is_told_with_its_code_and_its_last_lines_and_changes_nothing() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let before = builder.ok("FROM busybox:1\nRUN echo old > /old\n", &[]);
    let index = index_text(&builder.sandbox.store());
    for (script, code, says) in [
        ("echo out; echo err >&2; exit 3", 3, "out\n  err"),
        ("sh -c 'kill -9 $$'; exit $?", 137, "Killed"),
        ("nothing-of-that-name", 127, "/bin/sh: nothing-of-that-name: not found"),
        ("printf '\\033[31mred\\033[0m\\033]0;title\\007'; exit 1", 1, "red\\u{1b}]0;title\\u{7}"),
    ] {
        let told = builder.fail(&format!("FROM busybox:1\nRUN {script}\n"), &[], 1);
        let end = format!(
            "The last lines of what failed:\n  {says}\nlarder: context/Dockerfile:2: RUN {script}: ended with exit code {code}\n\
             hint: its last lines are above; nothing was registered\n"
        );
        assert!(told.ends_with(&end.replace('\u{1b}', "")), "{told}\n--- expected\n{end}");
        assert_eq!(index_text(&builder.sandbox.store()), index, "{script}");
    }
    let told = builder.fail("FROM busybox:1\nRUN [\"nothing-of-that-name\"]\n", &[], 1);
    assert!(told.contains("runc cannot run the step: ") && told.contains("not found"), "{told}");
    assert!(told.ends_with("\nhint: the command, or its shell, is looked for in the image: is it there, and on the PATH of the image?\n"), "{told}");
    let told = builder.fail("FROM scratch\nRUN ls\n", &[], 1);
    assert!(told.contains("\"/bin/sh\"") && told.contains("\nhint: the command, or its shell"), "{told}");
    assert_eq!(named(&builder.sandbox.store(), "made:1"), Some(before.digest));
    builder.assert_gone(&[]);
    builder.assert_clean();
}

#[test]
fn much_output_passes_whole_and_the_last_forty_lines_are_repeated() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let told = builder.fail("FROM busybox:1\nRUN seq 0 29999; exit 1\n", &[], 1);
    let (passed, repeated) = told.split_once("\n\nThe last lines of what failed:\n").unwrap();
    let passed = passed.split_once("exit 1\n").unwrap().1;
    let all: Vec<_> = (0..30000).map(|n| n.to_string()).collect();
    assert!(passed.lines().eq(&all), "{} bytes", passed.len());
    let repeated: Vec<_> =
        repeated.lines().take_while(|line| line.starts_with("  ")).map(str::trim).collect();
    assert_eq!(repeated, all[29960..]);
}

#[test]
fn two_outputs_are_told_in_the_order_in_which_they_were_written() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let made = builder.ok("FROM busybox:1\nRUN for n in $(seq 500); do echo $n; echo $n >&2; done\n", &[]);
    let expected: String = (1..=500).map(|n| format!("{n}\n{n}\n")).collect();
    assert_eq!(made.said("RUN for"), expected);
}

#[test]
fn an_instruction_without_end_is_shortened_where_it_fails() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let told = builder.fail(&format!("FROM busybox:1\nRUN exit 1; {}\n", "true; ".repeat(1000)), &[], 1);
    let error = told.lines().find(|line| line.starts_with("larder: ")).unwrap();
    assert!(error.len() < 250 && error.contains("…: ended with exit code 1"), "{error}");
}

#[test]
fn what_a_command_leaves_running_ends_with_it() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let since = Instant::now();
    let script = "RUN setsid sleep 600 >/dev/null 2>&1 & setsid sleep 600 & echo started\n";
    let made = builder.ok(&format!("{}{script}", builder.marked()), &[]);
    assert_eq!(made.said("RUN setsid"), "started\n");
    assert!(since.elapsed() < Duration::from_secs(60));
    builder.assert_gone(&[]);
    builder.assert_clean();
}

/// Reached with the limit of every build it would be 4096 processes, an eighth of what a machine has at the least; so it is lowered from outside.
#[test]
fn a_command_that_forks_for_ever_reaches_its_limit() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let script = "RUN mknod /pipe p; echo ready; \
        until cat /sys/fs/cgroup/pids.max /sys/fs/cgroup/pids/pids.max 2>/dev/null | grep -q '^300$'; do :; done; \
        while :; do read line </pipe & done\n";
    let mut command = builder.command(&format!("{}{script}", builder.marked()), &["--timeout", "5m"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut told = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(told.any(|line| line == "ready"));
    let limit = limit_of(&builder.ids()[0]);
    assert_eq!(std::fs::read_to_string(&limit).unwrap(), "4096\n");
    std::fs::write(&limit, "300").unwrap();
    let told: Vec<_> = told.collect();
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(
        told.iter().any(|line| line.contains("can't fork: Resource temporarily unavailable")),
        "{told:?}"
    );
    assert!(told.iter().any(|line| line.ends_with("ended with exit code 2")), "{told:?}");
    builder.assert_gone(&[]);
    builder.assert_clean();
    assert_eq!(builder.says("FROM busybox:1", "echo the machine lives", &[]), "the machine lives\n");
}

/// The file with a command's limit on processes.
fn limit_of(id: &str) -> PathBuf {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let groups = mounts.lines().filter(|line| line.contains(" - cgroup"));
    let groups = groups.map(|line| Path::new(line.split(' ').nth(4).unwrap()).join("larder").join(id));
    groups.map(|group| group.join("pids.max")).find(|file| file.exists()).unwrap()
}

#[test]
#[ignore = "long: 4096 processes slow down all other tests"]
fn a_command_that_forks_for_ever_reaches_the_limit_of_every_build() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let script = "RUN mknod /pipe p; while :; do read line </pipe & done\n";
    let told = builder.fail(&format!("{}{script}", builder.marked()), &["--timeout", "5m"], 1);
    assert!(told.contains("can't fork: Resource temporarily unavailable"), "{told}");
    builder.assert_gone(&[]);
    builder.assert_clean();
}

#[test]
fn a_command_that_hangs_is_ended_in_time() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let script = "RUN trap '' TERM INT HUP; echo before; setsid sleep 600 & sleep 600; sleep 600\n";
    let since = Instant::now();
    let told = builder.fail(&format!("{}{script}", builder.marked()), &["--timeout", "2s"], 1);
    assert!(since.elapsed() < Duration::from_secs(60));
    let end = format!(
        "The last lines of what failed:\n  before\nlarder: context/Dockerfile:3: {}: the step ran longer than 2 s and was ended\n\
         hint: --timeout sets how long a step may take\n",
        script.trim()
    );
    assert!(told.ends_with(&end), "{told}");
    builder.assert_gone(&[]);
    builder.assert_clean();
    // Also one that never stops writing; and no time is too long.
    let mut command =
        builder.command("FROM busybox:1\nRUN while :; do echo more; done\n", &["--timeout", "1s"]);
    assert_eq!(command.stderr(Stdio::null()).status().unwrap().code(), Some(1));
    builder.ok("FROM busybox:1\nRUN true\n", &["--timeout", "213503982334601d"]);
}

#[test]
fn a_signal_ends_the_command_and_all_that_is_the_builds() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let dockerfile = format!(
        "{}RUN echo done > /done\nRUN trap '' TERM INT HUP; echo ready; setsid sleep 600 & sleep 600; sleep 600\n",
        builder.marked()
    );
    let index = index_text(&builder.sandbox.store());
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let larder = builder.command(&dockerfile, &[]);
        // A test that was started in the background hands on that a signal is ignored.
        let mut command = builder.sandbox.enclose(Command::new("env"));
        command.arg("--default-signal").arg(larder.get_program()).args(larder.get_args());
        // As a terminal does it: all of the group get it.
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(told.any(|line| line.unwrap() == "ready"));
        let ids = builder.ids();
        assert_eq!(ids.len(), 1);
        rustix::process::kill_process_group(Pid::from_child(&child), signal).unwrap();
        let last: Vec<_> = told.map(|line| line.unwrap()).collect();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{last:?}");
        assert!(last.iter().any(|line| line.ends_with(": interrupted")), "{last:?}");
        assert_eq!(index_text(&builder.sandbox.store()), index);
        builder.assert_gone(&ids);
        builder.assert_clean();
    }
}
