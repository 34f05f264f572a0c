//! Ctrl-C and SIGTERM in the middle of an import: the exit code of the signal, and nothing half done.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal};

use super::Before;
use crate::support::store::assert_sound;
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, holder, need, peer, wait_for};

const SIGNALS: [(Signal, i32); 3] = [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)];

/// A file in an ingest: larder is at work.
fn ingested(sandbox: &Sandbox) -> Option<std::path::PathBuf> {
    let ingest = sandbox.store().join(".larder/ingest");
    let dir = std::fs::read_dir(ingest).unwrap().next()?.unwrap().path();
    // Beside what is written stands a claim of room, which nobody has open.
    let is_blob = |path: &std::path::PathBuf| !path.to_string_lossy().contains("/expects.");
    std::fs::read_dir(dir).ok()?.flatten().map(|entry| entry.path()).find(is_blob)
}

/// Whether the process handles the signal by now, by the word of the kernel.
fn catches(child: &Child, signal: Signal) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(mask.trim(), 16).unwrap() & (1 << (signal.as_raw() - 1)) != 0
}

/// Whether the process has this open.
fn has_open(child: &Child, path: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap();
    open.flatten().any(|fd| std::fs::read_link(fd.path()).is_ok_and(|open| open == path))
}

fn assert_interrupted(before: &Before, child: Child, code: i32, context: &str) {
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(code), "{context}: {output:?}");
    assert!(output.stdout.is_empty(), "{context}: {output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "larder: interrupted\n", "{context}");
    before.assert_unchanged(context);
    assert_sound(&before.sandbox.store());
}

#[test]
fn a_slow_pipe_is_not_waited_for() {
    let archive = docker_archive("big:1", &[layer("a", &noise(1, 3 << 20)), layer("b", &noise(2, 3 << 20))]);
    // Before the first header, in the middle of a large layer, and with everything there but the end.
    for fed in [0, 100, archive.len() / 2, archive.len() - 1024] {
        for (signal, code) in SIGNALS {
            let before = Before::new();
            let mut command = before.sandbox.command(["import", "-"]);
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            let mut pipe = child.stdin.take().unwrap();
            pipe.write_all(&archive[..fed]).unwrap();
            wait_for(|| catches(&child, signal).then_some(()));
            // Its handlers are all there once it has gone on to the store.
            wait_for(|| has_open(&child, &before.sandbox.store()).then_some(()));
            if fed > 0 {
                let leases = before.sandbox.store().join(".larder/leases");
                wait_for(|| std::fs::read_dir(&leases).unwrap().next().map(Result::unwrap));
            }
            if fed > 1 << 20 {
                wait_for(|| ingested(&before.sandbox));
            }
            rustix::process::kill_process(Pid::from_child(&child), signal).unwrap();
            assert_interrupted(&before, child, code, &format!("{signal:?} after {fed} bytes"));
            drop(pipe);
        }
    }
}

#[test]
fn a_large_file_is_not_read_to_its_end() {
    for (signal, code) in &SIGNALS[..2] {
        for jobs in ["1", "2"] {
            let before = Before::new();
            let sandbox = &before.sandbox;
            let archive = docker_archive("big:1", &[layer("a", &noise(3, 24 << 20))]);
            std::fs::write(sandbox.path("bad.tar"), archive).unwrap();
            // Slow writes, so that the signal finds it at work.
            let larder = sandbox.command(["import", "bad.tar", "--jobs", jobs]);
            let mut strace = sandbox.enclose(need!(peer::tool("strace"), "strace"));
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=write:delay_exit=150000"]);
            strace.arg(larder.get_program()).args(larder.get_args());
            let child = strace.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            let pid = wait_for(|| holder(&ingested(sandbox)?));
            rustix::process::kill_process(pid, *signal).unwrap();
            assert_interrupted(&before, child, *code, &format!("{signal:?} with {jobs} jobs"));
            // And it can be done again.
            sandbox.ok(["import", "bad.tar"]);
            assert_sound(&sandbox.store());
        }
    }
}
