//! A program that a test waits for and that does not end: what it does is told, and it is ended, so that the test fails.

use std::process::{Child, Command};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::time::Duration;

/// Longer than anything that is waited for takes on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// Watches until it is dropped.
pub struct Watchdog {
    _ended: Sender<()>,
}

impl Watchdog {
    /// Watches a program and those that it started.
    pub fn over(child: &Child) -> Self {
        let (ended, wait) = channel();
        let pid = child.id();
        #[expect(clippy::print_stderr)] // Nobody else would say it.
        std::thread::spawn(move || {
            if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let family = family(pid);
                for pid in &family {
                    let read =
                        |what| std::fs::read_to_string(format!("/proc/{pid}/{what}")).unwrap_or_default();
                    let (line, place, status) = (read("cmdline"), read("wchan"), read("status"));
                    let signals: Vec<_> = status
                        .lines()
                        .filter(|line| line.contains("Sig") || line.contains("ShdPnd"))
                        .collect();
                    eprintln!("it hangs: {pid}: {line:?} in {place}: {signals:?}");
                }
                for pid in family.iter().rev() {
                    drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status());
                }
            }
        });
        Self { _ended: ended }
    }
}

/// A process and all below it, itself first.
fn family(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while let Some(pid) = all.get(at) {
        let below = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        all.extend(below.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        at += 1;
    }
    all
}

#[test]
fn what_a_program_started_is_ended_with_it() {
    let child = Command::new("sh").args(["-c", "sleep 60 & wait"]).spawn().unwrap();
    let all = super::wait_for(|| Some(family(child.id())).filter(|all| all.len() == 2));
    assert_eq!(all[0], child.id());
    for pid in all {
        drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status());
    }
    drop(child.wait_with_output());
}
