//! A job: `larder hold` with a hand-over, and a container that runs from what it was given.

use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Stdio};

use super::day::Day;

/// What a job asks for.
#[derive(Clone)]
pub(super) struct Ask {
    /// The image.
    pub(super) image: String,
    /// Its name in the engine: one that no other job has.
    pub(super) name: String,
    /// Whether the copy goes afterwards.
    pub(super) rmi: bool,
    /// How the container ends.
    pub(super) code: i32,
}

/// A job that has its image and waits.
pub(super) struct Job {
    ask: Ask,
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
    /// What `/etc/version` says in the image that the engine was given.
    pub(super) version: String,
    /// What its lease names and the store has.
    held: Vec<PathBuf>,
}

impl Job {
    /// Holds and hands over; what larder says where it fails.
    pub(super) fn begin(day: &Day<'_>, ask: &Ask) -> Result<Job, String> {
        let Ask { image, name, code, .. } = ask;
        let script = "echo ready; read go; docker run --rm --pull=never --network=host $0 sh -c \"$1\"";
        let work = format!("read v </etc/version; echo \"version $v\"; {}; exit {code}", day.length.work);
        let mut args = vec!["hold", image, "--to-docker", "--as", name];
        args.extend(ask.rmi.then_some("--rmi"));
        args.extend(["--", "sh", "-c", script, name, &work]);
        let mut command = day.command(&args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let stdin = child.stdin.take().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        if line != "ready\n" {
            let output = child.wait_with_output().unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert_eq!(output.status.code(), Some(125), "{image}: {said}");
            return Err(said);
        }
        let id = day.docker.image_id(name).unwrap_or_else(|| panic!("{name} is not in the engine"));
        let version = day.archives.versions[&id].clone();
        let held = day.leased(name);
        assert!(held.len() >= 4, "{name}: the lease names {held:?}");
        Ok(Job { ask: ask.clone(), child, stdin, stdout, version, held })
    }

    /// Lets the container run, and looks at what came of it: the output of larder on stderr.
    pub(super) fn end(mut self, day: &Day<'_>) -> String {
        let Ask { image, name, .. } = &self.ask;
        for blob in &self.held {
            assert!(blob.exists(), "{name} ({image}) lost {} while it was held", blob.display());
        }
        self.stdin.write_all(b"go\n").unwrap();
        drop(self.stdin);
        let said: Vec<String> = self.stdout.lines().map(Result::unwrap).collect();
        let output = self.child.wait_with_output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(said.first(), Some(&format!("version {}", self.version)), "{name}: {said:?}: {stderr}");
        assert!(said.iter().any(|line| line.contains("works")), "{name}: {said:?}: {stderr}");
        assert_eq!(output.status.code(), Some(self.ask.code), "{name}: {stderr}");
        day.look_at(&stderr);
        day.record.add("jobs", 1);
        stderr
    }
}
