//! Other processes: this very test binary, run again to play one part of one test.
//!
//! A test begins with `if let Some(part) = child::part() { … }`: that is what its other processes do. They report
//! what they have reached with [`say`], and wait for the test, where it wants that, with [`wait`].

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child as Process, ChildStderr, ChildStdin, Command, ExitStatus, Stdio};

const MARK: &str = "@larder-test ";

/// What a process was started for.
#[derive(Debug, Clone)]
pub struct Part {
    /// Which part it plays.
    pub role: String,
    /// Which of several of the same role it is.
    pub number: usize,
    /// The directory that all of them work in.
    pub dir: PathBuf,
}

/// The part that this process plays; `None` in the test itself.
pub fn part() -> Option<Part> {
    let role = std::env::var("LARDER_TEST_ROLE").ok()?;
    let number = std::env::var("LARDER_TEST_NUMBER").unwrap().parse().unwrap();
    Some(Part { role, number, dir: std::env::var_os("LARDER_TEST_DIR").unwrap().into() })
}

/// Tells the test something, in one line.
pub fn say(what: impl std::fmt::Display) {
    // One write for the line, past the harness, which keeps the output of the macros.
    let _ = std::io::stderr().write_all(format!("{MARK}{what}\n").as_bytes());
}

/// Waits until the test says to go on. If the test is gone, so is this process.
pub fn wait() {
    if std::io::stdin().read(&mut [0]).unwrap_or(0) == 0 {
        std::process::exit(99);
    }
}

/// The command that runs `test` of this binary alone, on one thread.
pub fn command(test: &str, program: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(arguments(test));
    command
}

/// The harness's arguments for running one test alone.
pub fn arguments(test: &str) -> [&str; 5] {
    [test, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]
}

/// A running process; it is killed when dropped.
pub struct Child {
    process: Process,
    stdin: Option<ChildStdin>,
    stderr: BufReader<ChildStderr>,
    heard: String,
}

impl Child {
    /// Starts a process for a part of `test`.
    pub fn start(test: &str, role: &str, number: usize, dir: &Path) -> Child {
        Child::start_as(command(test, &std::env::current_exe().unwrap()), role, number, dir)
    }

    /// Starts a process by a command that ends in running this binary.
    pub fn start_as(mut command: Command, role: &str, number: usize, dir: &Path) -> Child {
        command
            .env("LARDER_TEST_ROLE", role)
            .env("LARDER_TEST_NUMBER", number.to_string())
            .env("LARDER_TEST_DIR", dir);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let (stdin, stderr) = (process.stdin.take(), BufReader::new(process.stderr.take().unwrap()));
        Child { process, stdin, stderr, heard: String::new() }
    }

    /// Its process ID.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for the next thing that it says; `None` when it has ended.
    pub fn next(&mut self) -> Option<String> {
        loop {
            let mut line = String::new();
            if self.stderr.read_line(&mut line).unwrap() == 0 {
                return None;
            }
            self.heard += &line;
            if let Some(said) = line.trim_end().strip_prefix(MARK) {
                return Some(said.to_owned());
            }
        }
    }

    /// Waits until it says `what`.
    pub fn expect(&mut self, what: &str) {
        while let Some(said) = self.next() {
            if said == what {
                return;
            }
        }
        panic!("the process ended without saying {what:?}:\n{}", self.heard);
    }

    /// Lets it go on from its [`wait`].
    pub fn go(&mut self) {
        self.stdin.as_mut().unwrap().write_all(b"g").unwrap();
    }

    /// Kills it with SIGKILL and waits until it is gone.
    pub fn kill(mut self) {
        self.process.kill().unwrap();
        let status = self.process.wait().unwrap();
        assert!(!status.success(), "it had ended before it was killed:\n{}", self.heard);
    }

    /// Kills it, wherever it is; how it ended and all that it has said.
    pub fn stop(&mut self) -> (ExitStatus, Vec<String>) {
        self.process.kill().unwrap();
        self.end()
    }

    /// Waits for its end, which must be a good one; all that it has said.
    pub fn finish(mut self) -> Vec<String> {
        let (status, said) = self.end();
        let mut stdout = String::new();
        self.process.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        // A harness that finds no test of the name is content as well.
        let ran = stdout.contains("test result: ok. 1 passed");
        assert!(status.success() && ran, "{status}\n{stdout}\n{}", self.heard);
        said
    }

    /// Waits for its end, whatever that is; how it ended and all that it has said.
    pub fn end(&mut self) -> (ExitStatus, Vec<String>) {
        while self.next().is_some() {}
        let said = self.heard.lines().filter_map(|line| line.strip_prefix(MARK)).map(str::to_owned).collect();
        (self.process.wait().unwrap(), said)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
