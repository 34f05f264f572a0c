//! A point in a command's run, and strace there.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::support::{Sandbox, peer, run};

/// The when-th call of its kind on the command's own thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Point {
    pub(crate) call: String,
    pub(crate) when: usize,
}

impl Point {
    /// The command in this store, with something done to it at this point.
    pub(crate) fn strace(&self, sandbox: &Sandbox, args: &[String], store: &Path, what: &str) -> Command {
        let inject = format!("inject={}:{what}:when={}", self.call, self.when);
        let more = ["-e".to_owned(), format!("trace={}", self.call), "-e".to_owned(), inject];
        strace(sandbox, args, store, Path::new("/dev/null"), &more).unwrap()
    }
}

fn strace(sandbox: &Sandbox, args: &[String], store: &Path, log: &Path, more: &[String]) -> Option<Command> {
    let larder = sandbox.command(args);
    let mut strace = sandbox.enclose(peer::tool("strace")?);
    strace.args(["-f", "-qq", "-o"]).arg(log).args(more);
    strace.arg(larder.get_program()).args(larder.get_args()).env("LARDER_STORE", store);
    Some(strace)
}

/// Runs the command, which must succeed, and writes down every call of it; `None` without strace.
pub(crate) fn watch(sandbox: &Sandbox, args: &[String], store: &Path) -> Option<String> {
    let log = store.with_extension("calls");
    run(&mut strace(sandbox, args, store, &log, &["-y".to_owned()])?);
    Some(std::fs::read_to_string(log).unwrap())
}

/// Does this for every item, several at a time.
pub(crate) fn for_every<T: Sync>(items: &[T], work: impl Fn(usize, &T) + Sync) {
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    loop {
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        let Some(item) = items.get(number) else { return };
                        work(number, item);
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
}
