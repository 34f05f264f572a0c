//! Signals: passed on, once, and larder ends when its command ends.

use std::io::Write;
use std::process::Command;

use rustix::process::Signal;

use super::{Running, WAITS};
use crate::roundtrip::{GCC, imported};
use crate::support::store::assert_nothing_pending;
use crate::support::{need, peer, wait_for};

const FORWARDED: [(Signal, &str, i32); 6] = [
    (Signal::INT, "INT", 130),
    (Signal::TERM, "TERM", 143),
    (Signal::HUP, "HUP", 129),
    (Signal::QUIT, "QUIT", 131),
    (Signal::USR1, "USR1", 138),
    (Signal::USR2, "USR2", 140),
];

#[test]
fn every_signal_reaches_the_command() {
    let sandbox = imported("docker20.tar");
    for (signal, name, code) in FORWARDED {
        let handled = format!("trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        let mut running = Running::hold(&sandbox, GCC, &handled);
        running.signal(signal);
        assert_eq!(running.line(), "got", "{name}");
        assert_eq!(running.end(), Some(9), "{name}");
        // Where the command does nothing about it, it ends it; larder ends by itself, and says so.
        let running = Running::hold(&sandbox, GCC, "ulimit -c 0; echo ready; exec sleep 60");
        wait_for(|| is_sleeping(&running).then_some(()));
        running.signal(signal);
        assert_eq!(running.end(), Some(code), "{name}");
        assert_nothing_pending(&sandbox.store());
    }
}

/// Whether the shell has become the program.
fn is_sleeping(running: &Running) -> bool {
    let pid = running.child.id();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap();
    let name = |child: &str| std::fs::read_to_string(format!("/proc/{child}/comm")).unwrap_or_default();
    children.split_whitespace().any(|child| name(child) == "sleep\n")
}

#[test]
fn larder_waits_for_a_command_that_takes_its_time() {
    let sandbox = imported("docker20.tar");
    let script = "n=0; trap 'n=$((n+1)); echo $n; [ $n -lt 4 ] || exit 4' TERM INT
        echo ready; while :; do sleep 0.02; done";
    let mut running = Running::hold(&sandbox, GCC, script);
    for (number, signal) in [Signal::TERM, Signal::INT, Signal::TERM, Signal::INT].into_iter().enumerate() {
        running.signal(signal);
        assert_eq!(running.line(), (number + 1).to_string());
    }
    assert_eq!(running.end(), Some(4));
}

/// The terminal gives ctrl-C to the whole group: who has it already must not get it from larder as well. (act takes a
/// second one for "kill at once".)
#[test]
fn a_terminals_signal_is_not_passed_on_and_another_is() {
    let sandbox = imported("docker20.tar");
    let script = need!(peer::tool("script"), "script");
    let strace = need!(peer::tool("strace"), "strace");
    let larder = sandbox.command::<&str>([]);
    let [strace, larder] = [&strace, &larder].map(|command| command.get_program().display().to_string());
    let child = "trap 'exit 3' INT; echo ready; while :; do sleep 0.02; done";
    for (key, passed_on) in [(Some(b"\x03"), 0), (None, 1)] {
        let line = format!(
            "exec {strace} -qq -o kills -e trace=kill -e signal=none {larder} hold {GCC} -- sh -c \"{child}\""
        );
        let mut command = sandbox.enclose(Command::new(script.get_program()));
        command.args(["-qefc", &line, "/dev/null"]);
        let mut running = Running::start(command);
        match key {
            Some(key) => running.stdin.as_mut().unwrap().write_all(key).unwrap(),
            None => {
                let process = super::holds(&sandbox)[0]["process"].as_i64().unwrap();
                let pid = rustix::process::Pid::from_raw(process as i32).unwrap();
                rustix::process::kill_process(pid, Signal::INT).unwrap();
            }
        }
        assert_eq!(running.child.wait().unwrap().code(), Some(3), "{key:?}");
        let kills = std::fs::read_to_string(sandbox.path("kills")).unwrap();
        assert_eq!(kills.matches("SIGINT)").count(), passed_on, "{key:?}: {kills}");
    }
}

/// `docker exec`, a CI runner in namespaces of its own: session and process group are led from outside.
#[test]
fn in_another_pid_namespace_signals_reach_the_command_too() {
    let sandbox = imported("docker20.tar");
    let unshare = need!(peer::root().and_then(|()| peer::tool("unshare")), "unshare");
    for (signal, name, _) in FORWARDED {
        let larder = sandbox.command::<&str>([]);
        let mut command = sandbox.enclose(Command::new(unshare.get_program()));
        command.args(["--pid", "--fork", "--mount-proc", "--kill-child", "env", "--default-signal"]);
        let handled = format!("trap 'echo got; exit 9' {name}; echo ready; while :; do sleep 0.02; done");
        command.arg(larder.get_program()).args(["hold", GCC, "--", "sh", "-c", &handled]);
        let mut running = Running::start(command);
        let children = format!("/proc/{0}/task/{0}/children", running.child.id());
        let inside = std::fs::read_to_string(children).unwrap().trim().parse().unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(inside).unwrap(), signal).unwrap();
        assert_eq!(running.line(), "got", "{name}");
        assert_eq!(running.end(), Some(9), "{name}");
        assert_nothing_pending(&sandbox.store());
    }
}

/// `nohup`, and the background jobs of a shell.
#[test]
fn what_was_ignored_stays_ignored() {
    let sandbox = imported("docker20.tar");
    let larder = sandbox.command::<&str>([]);
    let mut command = sandbox.enclose(Command::new("sh"));
    let line = r#"trap "" HUP; exec "$0" hold "$1" -- sh -c "$2""#;
    command.args(["-c", line]).arg(larder.get_program()).args([GCC, WAITS]);
    let mut running = Running::start(command);
    running.signal(Signal::HUP);
    // It had its chance: this one comes later, and is passed on.
    assert_eq!(super::holds(&sandbox).len(), 1);
    running.signal(Signal::TERM);
    // Not by end(): with its stdin closed the command would end by itself.
    assert_eq!(running.child.wait().unwrap().code(), Some(143));
}
