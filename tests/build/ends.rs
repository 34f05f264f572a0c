//! How a step ends: by itself, too late, or because it is not wanted any more.

use std::io::Read;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::json;

use super::Steps;
use crate::support::need;

#[test]
fn the_exit_code_and_the_output_are_the_commands() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    for (script, code, out, err) in [
        ("echo out; echo err >&2; exit 3", 3, "out\n", "err\nlast: out\nlast: err\n"),
        ("echo fine", 0, "fine\n", ""),
        ("sh -c 'kill -9 $$'; exit $?", 137, "", "Killed"),
        ("exec nothing-of-that-name", 127, "", "sh: exec: line 0: nothing-of-that-name: not found\n"),
    ] {
        let output = steps.run(&steps.step(script));
        assert_eq!(output.status.code(), Some(code), "{script}: {output:?}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), out, "{script}");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            said.contains(err) || script.contains("err") && said.contains("last: err"),
            "{script}: {said}"
        );
    }
    let mut step = steps.step("");
    step["args"] = json!(["nothing-of-that-name"]);
    let output = steps.run(&step);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.code() == Some(1) && said.contains("cannot run the step") && said.contains("not found"),
        "{output:?}"
    );
    steps.assert_gone(&[]);
    assert_eq!(steps.ids(), [""; 0]);
}

#[test]
fn much_output_passes_whole_and_the_last_forty_lines_are_repeated() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let output =
        steps.run(&steps.step("i=0; while [ $i -lt 30000 ]; do echo line $i; i=$((i+1)); done; exit 1"));
    let expected: String = (0..30000).map(|n| format!("line {n}\n")).collect();
    assert!(output.stdout == expected.as_bytes(), "{} bytes", output.stdout.len());
    let repeated: String = (29960..30000).map(|n| format!("last: line {n}\n")).collect();
    assert_eq!(String::from_utf8_lossy(&output.stderr), repeated);
}

#[test]
fn what_a_step_leaves_running_ends_with_it() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("setsid sleep 600 >/dev/null 2>&1 & setsid sleep 600 & echo started");
    // So that they are found.
    step["env"] = json!([format!("MARK={}", steps.sandbox.root().display())]);
    let since = Instant::now();
    assert_eq!(steps.ok(&step), "started\n");
    assert!(since.elapsed() < Duration::from_secs(30));
    steps.assert_gone(&[]);
}

#[test]
fn a_step_that_forks_for_ever_reaches_its_limit() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("i=0; while [ $i -lt 300 ]; do sleep 600 & i=$((i+1)); done; echo all of them");
    step["pids"] = json!(40);
    let output = steps.run(&step);
    assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't fork"), "{output:?}");
    steps.assert_gone(&[]);
}

#[test]
fn a_step_that_hangs_is_ended_in_time() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("trap '' TERM INT HUP; echo before; sleep 600; sleep 600");
    step["timeout"] = json!({"secs": 2, "nanos": 0});
    step["env"] = json!([format!("MARK={}", steps.sandbox.root().display())]);
    let since = Instant::now();
    let output = steps.run(&step);
    assert!(since.elapsed() < Duration::from_secs(30));
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(
        said.contains("last: before\nlarder: the step ran longer than 2 s and was ended\nhint: --timeout"),
        "{said}"
    );
    steps.assert_gone(&[]);
    assert_eq!(steps.ids(), [""; 0]);
    // Also one that never stops writing.
    let mut step = steps.step("while :; do echo more; done");
    step["timeout"] = json!({"secs": 1, "nanos": 0});
    let ended = steps.command(&step).stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    assert_eq!(ended.code(), Some(1));
}

#[test]
fn a_signal_ends_the_step_and_all_that_is_its() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("trap '' TERM INT HUP; echo ready; sleep 600; sleep 600");
    step["env"] = json!([format!("MARK={}", steps.sandbox.root().display())]);
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let larder = steps.command(&step);
        // A test that was started in the background hands on that a signal is ignored.
        let mut command = steps.sandbox.enclose(std::process::Command::new("env"));
        command.arg("--default-signal").arg(larder.get_program()).args(larder.get_args());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut ready = [0; 6];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        assert_eq!(&ready, b"ready\n");
        let ids = steps.ids();
        assert_eq!(ids.len(), 1);
        rustix::process::kill_process(Pid::from_child(&child), signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code));
        steps.assert_gone(&ids);
        assert_eq!(steps.ids(), [""; 0]);
    }
}
