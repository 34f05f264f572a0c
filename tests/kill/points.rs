//! The system calls of a command, and strace at one of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Scenario;
use crate::support::{Sandbox, peer, run};

/// Calls that change a name or make something durable: there are few, and every one of them counts.
const STEPS: [&str; 13] = [
    "rename",
    "renameat",
    "renameat2",
    "link",
    "linkat",
    "unlink",
    "unlinkat",
    "rmdir",
    "mkdir",
    "mkdirat",
    "fsync",
    "fdatasync",
    "fallocate",
];
/// Calls that change something else, or may: many of them only read.
const OTHERS: [&str; 11] = [
    "openat",
    "write",
    "pwrite64",
    "writev",
    "pwritev",
    "ftruncate",
    "fchmod",
    "fchmodat",
    "fchown",
    "fchownat",
    "copy_file_range",
];
/// In the short form, one of so many others is taken.
const EVERY: usize = 14;

/// How many points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    Short,
    Long,
}

/// The when-th call of its kind.
#[derive(Debug, Clone)]
pub(super) struct Point {
    pub(super) call: String,
    pub(super) when: usize,
}

impl Point {
    /// The command in this store, with something done to it at this point.
    pub(super) fn strace(&self, sandbox: &Sandbox, args: &[String], store: &Path, what: &str) -> Command {
        let inject = format!("inject={}:{what}:when={}", self.call, self.when);
        strace(sandbox, args, store, Path::new("/dev/null"), &["-e", &inject]).unwrap()
    }
}

fn strace(sandbox: &Sandbox, args: &[String], store: &Path, log: &Path, more: &[&str]) -> Option<Command> {
    let larder = sandbox.command(args);
    let mut strace = sandbox.enclose(peer::tool("strace")?);
    strace.args(["-f", "-qq", "-o"]).arg(log).args(more);
    strace.arg(larder.get_program()).args(larder.get_args()).env("LARDER_STORE", store);
    Some(strace)
}

/// How often the command's own thread makes each of these calls when it is left alone.
pub(super) fn count(
    sandbox: &Sandbox,
    scenario: &Scenario,
    calls: &[&str],
) -> Option<BTreeMap<String, usize>> {
    let (store, log) = (sandbox.path("counted"), sandbox.path("calls.log"));
    scenario.prepare(sandbox, &store);
    // Not every machine has every call: `?` passes over those that it does not know.
    let trace =
        format!("trace={}", calls.iter().map(|call| format!("?{call}")).collect::<Vec<_>>().join(","));
    run(&mut strace(sandbox, &scenario.command(&store), &store, &log, &["-e", &trace])?);
    let log = std::fs::read_to_string(log).unwrap();
    let own = log.split(' ').next().unwrap();
    let mut counts = BTreeMap::new();
    for line in log.lines().filter_map(|line| line.strip_prefix(own)) {
        if let Some((call, _)) = line.trim_start().split_once('(').filter(|(call, _)| calls.contains(call)) {
            *counts.entry(call.to_owned()).or_default() += 1;
        }
    }
    std::fs::remove_dir_all(store).unwrap();
    Some(counts)
}

/// The points at which a command is to be ended.
pub(super) fn points(sandbox: &Sandbox, scenario: &Scenario, length: Length) -> Option<Vec<Point>> {
    let calls: Vec<_> = STEPS.into_iter().chain(OTHERS).collect();
    let mut points = Vec::new();
    for (call, count) in count(sandbox, scenario, &calls)? {
        let step = if length == Length::Long || STEPS.contains(&call.as_str()) { 1 } else { EVERY };
        points.extend((1..=count).step_by(step).map(|when| Point { call: call.clone(), when }));
    }
    let renames =
        points.iter().filter(|point| point.call.starts_with("rename") || point.call.starts_with("link"));
    assert!(renames.count() > 0 && points.len() > 5, "{points:?}");
    Some(points)
}

/// Does this for every point, several at a time: most of the time is waiting for the disk.
pub(super) fn for_every(points: &[Point], work: impl Fn(usize, &Point) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let Some(point) = points.get(number) else { return };
                        work(number, point);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}
