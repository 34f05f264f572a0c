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
        let sign = sign(child.id());
        #[expect(clippy::print_stderr)] // Nobody else would say it.
        std::thread::spawn(move || {
            if wait.recv_timeout(LIMIT) == Err(RecvTimeoutError::Timeout) {
                let family = family(&sign);
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

/// What tells the processes of one test: the store in their environment.
fn sign(pid: u32) -> Option<Vec<u8>> {
    let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
    environment
        .split(|byte| *byte == 0)
        .find(|variable| variable.starts_with(b"LARDER_STORE="))
        .map(<[u8]>::to_vec)
}

/// All that have the sign, oldest first: also those whose parent is gone.
fn family(wanted: &Option<Vec<u8>>) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = processes.filter_map(|process| process.file_name().to_str()?.parse().ok());
    let mut all: Vec<u32> = pids.filter(|pid| wanted.is_some() && sign(*pid) == *wanted).collect();
    all.sort_unstable();
    all
}

#[test]
fn what_a_program_started_is_ended_with_it() {
    let mut command = Command::new("sh");
    command.args(["-c", "sh -c 'sleep 60 & wait' & exit"]).env("LARDER_STORE", "/nowhere/watchdog");
    let child = command.spawn().unwrap();
    let sign = Some(b"LARDER_STORE=/nowhere/watchdog".to_vec());
    drop(child.wait_with_output());
    let all = super::wait_for(|| Some(family(&sign)).filter(|all| all.len() == 2));
    for pid in all {
        drop(Command::new("kill").args(["-KILL", &pid.to_string()]).status());
    }
    super::wait_for(|| family(&sign).is_empty().then_some(()));
}
