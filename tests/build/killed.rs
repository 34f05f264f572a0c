//! Kill -9, of larder or of the process that attends its step, at any moment.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal};
use serde_json::json;

use super::Steps;
use crate::support::{need, wait_for};

/// Until the command runs there are about ten of them.
const APART: Duration = Duration::from_millis(9);

#[test]
fn a_larder_that_is_killed_leaves_no_process_no_mount_and_no_directory() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut ids = Vec::new();
    for moment in 0..20 {
        ids.extend(kill_at(&steps, APART * moment, |larder| larder));
        // The attendant clears up.
        wait_for(|| steps.ids().is_empty().then_some(()));
    }
    steps.assert_gone(&ids);
    assert!(!ids.is_empty());
    steps.renew("last");
    assert_eq!(steps.ok(&steps.step("echo works")), "works\n");
}

#[test]
fn what_an_attendant_leaves_that_is_killed_is_taken_by_the_next_run() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut ids = Vec::new();
    for moment in 0..20 {
        ids.extend(kill_at(&steps, APART * moment, attendant));
    }
    assert!(!steps.ids().is_empty(), "the last one had begun");
    steps.renew("last");
    assert_eq!(steps.ok(&steps.step("echo works")), "works\n");
    steps.assert_gone(&ids);
    assert_eq!(steps.ids(), [""; 0]);
}

/// The first child of larder, or larder itself where there is none yet.
fn attendant(larder: Pid) -> Pid {
    let pid = larder.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().unwrap())).unwrap_or(larder)
}

/// Starts a step and kills a process of it after a while; the IDs that were there. All processes have ended.
fn kill_at(steps: &Steps, after: Duration, whom: impl Fn(Pid) -> Pid) -> Vec<String> {
    let mut step = steps.step("trap '' TERM INT HUP; setsid sleep 600 & sleep 600");
    step["env"] = json!([format!("MARK={}", steps.sandbox.root().display())]);
    steps.renew(&format!("{after:?}"));
    let mut child = steps.command(&step).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    let ids = steps.ids();
    rustix::process::kill_process(whom(Pid::from_child(&child)), Signal::KILL).unwrap();
    let status = child.wait().unwrap();
    assert!(!status.success());
    wait_for(|| steps.processes().is_empty().then_some(()));
    ids
}
