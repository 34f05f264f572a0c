//! Credential helpers: programs `docker-credential-NAME` that keep credentials (github.com/docker/docker-credential-helpers).
//!
//! The verb is the argument (`get`, `store`, `erase`), what it is about comes on stdin, and the answer, or what is wrong, on
//! stdout. What a helper prints is never shown: nobody knows what is in it. It gets no more than a minute, and a signal ends
//! it with all that it has started.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use larder_store::Error as StoreError;
use larder_store::cancel::Cancel;
use larder_store::open_files;
use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;

use super::talk::{Silence, talk};
use super::{Credentials, Error, Result, Secret};

/// Some ask a service for a token that it makes.
const LIMIT: Duration = Duration::from_secs(60);
/// How the protocol says that there is nothing.
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user of an answer whose secret is an identity token.
const TOKEN: &str = "<token>";

/// A helper, and what is wanted of it.
pub(super) struct Helper<'a> {
    /// `docker-credential-NAME`.
    program: String,
    path: PathBuf,
    host: String,
    limit: Duration,
    cancel: &'a Cancel,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    #[serde(default)]
    username: String,
    #[serde(default)]
    secret: String,
}

struct Ended {
    status: ExitStatus,
    stdout: Vec<u8>,
}

impl<'a> Helper<'a> {
    /// Finds the program below `path`, the variable `PATH`.
    pub(super) fn find(name: &str, host: &str, path: &OsStr, cancel: &'a Cancel) -> Result<Helper<'a>> {
        let program = format!("docker-credential-{name}");
        let wrong = |why: &str, hint| Error::Helper {
            host: host.to_owned(),
            program: program.clone(),
            why: why.to_owned(),
            hint,
        };
        if name.contains(['/', '\0']) {
            return Err(wrong(
                "is no name of a program",
                "a helper is named by what follows docker-credential-",
            ));
        }
        let path = installed(&program, path).ok_or_else(|| {
            wrong("is not below PATH", "install it, or take it out of the file of credentials that names it")
        })?;
        Ok(Helper { program, path, host: host.to_owned(), limit: LIMIT, cancel })
    }

    /// Whether there is such a program below `path`. What is no name of one is not missing, but wrong.
    pub(super) fn is_missing(name: &str, path: &OsStr) -> bool {
        !name.contains(['/', '\0']) && installed(&format!("docker-credential-{name}"), path).is_none()
    }

    /// What it is called.
    pub(super) fn program(&self) -> &str {
        &self.program
    }

    /// What it has for a server; `None` where that is nothing.
    pub(super) fn get(&self, server: &str) -> Result<Option<Credentials>> {
        let Ended { status, stdout } = self.run("get", server.as_bytes())?;
        if is_not_found(status, &stdout) {
            return Ok(None);
        }
        self.succeeded("get", status)?;
        let answer: Answer = serde_json::from_slice(&stdout).map_err(|_| {
            self.wrong(
                "its answer is not the JSON object of the protocol".into(),
                "look whether it is the right program",
            )
        })?;
        Ok(match (answer.username.as_str(), answer.secret) {
            ("", secret) if secret.is_empty() => None,
            (TOKEN, secret) => Some(Credentials::IdentityToken(Secret::new(secret))),
            (user, secret) => {
                Some(Credentials::Basic { user: user.to_owned(), password: Secret::new(secret) })
            }
        })
    }

    /// Has it keep a password.
    pub(super) fn store(&self, server: &str, user: &str, password: &Secret) -> Result<()> {
        let input = serde_json::json!({"ServerURL": server, "Username": user, "Secret": password.reveal()});
        let ended = self.run("store", input.to_string().as_bytes())?;
        self.succeeded("store", ended.status)
    }

    /// Has it forget a server; whether it knew it.
    pub(super) fn erase(&self, server: &str) -> Result<bool> {
        let is_known = self.get(server)?.is_some();
        let Ended { status, stdout } = self.run("erase", server.as_bytes())?;
        if is_not_found(status, &stdout) {
            return Ok(false);
        }
        self.succeeded("erase", status).map(|()| is_known)
    }

    fn succeeded(&self, verb: &str, status: ExitStatus) -> Result<()> {
        if status.success() {
            return Ok(());
        }
        let why = match status.code() {
            Some(code) => format!("{verb:?} failed with exit code {code}"),
            None => format!("{verb:?} was ended by a signal"),
        };
        Err(self.wrong(why, "what it prints is not shown, as it may be a secret: run it by hand, the host's name on its stdin"))
    }

    fn wrong(&self, why: String, hint: &'static str) -> Error {
        Error::Helper { host: self.host.clone(), program: self.program.clone(), why, hint }
    }

    fn run(&self, verb: &str, input: &[u8]) -> Result<Ended> {
        self.cancel.check()?;
        let mut command = Command::new(&self.path);
        command
            .arg(verb)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            // So that all that it starts ends with it.
            .process_group(0);
        let mut child = open_files::as_started(|| command.spawn()).map_err(|error| {
            self.wrong(format!("cannot be run: {error}"), "look at the program, and at its first line")
        })?;
        let talked = talk(&mut child, input, self.limit, self.cancel);
        if talked.is_err() {
            // It is not reaped yet, so the number is its group's and nobody else's.
            let _ = kill_process_group(Pid::from_child(&child), Signal::KILL);
        }
        let status = child.wait().map_err(StoreError::io("wait for", &self.path))?;
        let stdout = talked.map_err(|silence| match silence {
            Silence::Store(error) => error.into(),
            Silence::Late => self.wrong(
                format!("has not answered within {:?} and was stopped", self.limit),
                "run it by hand, the host's name on its stdin: it may be asking somebody",
            ),
            Silence::Long => {
                self.wrong("answers with more than 1 MiB".into(), "look whether it is the right program")
            }
        })?;
        Ok(Ended { status, stdout })
    }
}

fn installed(program: &str, path: &OsStr) -> Option<PathBuf> {
    let below = std::env::split_paths(path).filter(|dir| dir.is_absolute()).map(|dir| dir.join(program));
    below.into_iter().find(|path| path.is_file())
}

fn is_not_found(status: ExitStatus, stdout: &[u8]) -> bool {
    !status.success() && stdout.trim_ascii() == NOT_FOUND.as_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A helper of this script. Another process writes it: what is open for writing here, other tests' children could have
    /// open for a moment too, and then it cannot be run.
    fn install(dir: &Path, script: &str) {
        let path = dir.join("docker-credential-test");
        let write = r#"printf '#!/bin/sh\n%s\n' "$1" >"$0" && chmod 755 "$0""#;
        let status = Command::new("sh").args(["-c", write]).arg(path).arg(script).status().expect("sh");
        assert!(status.success());
    }

    fn find<'a>(dir: &Path, cancel: &'a Cancel) -> Helper<'a> {
        Helper::find("test", "r.io", dir.as_os_str(), cancel).expect("the helper")
    }

    #[test]
    fn answers_are_read_as_docker_reads_them() {
        let (dir, cancel) = (tempfile::tempdir().expect("a directory"), Cancel::new());
        let basic = Credentials::Basic { user: "u".into(), password: Secret::new("p") };
        for (script, expected) in [
            (
                r#"read s; echo "{\"ServerURL\":\"$s\",\"Username\":\"u\",\"Secret\":\"p\"}""#,
                Some(basic.clone()),
            ),
            // It need not read, and what it started may live on with its pipes.
            (r#"echo '{"Username":"u","Secret":"p"}'; sleep 5 &"#, Some(basic)),
            (
                r#"echo '{"Username":"<token>","Secret":"t"}'"#,
                Some(Credentials::IdentityToken(Secret::new("t"))),
            ),
            (r#"echo '{"Username":"","Secret":""}'"#, None),
            ("echo credentials not found in native keychain; exit 1", None),
        ] {
            install(dir.path(), script);
            assert_eq!(find(dir.path(), &cancel).get("r.io").expect(script), expected, "{script}");
        }
    }

    #[test]
    fn what_a_helper_prints_is_never_shown() {
        let (dir, cancel) = (tempfile::tempdir().expect("a directory"), Cancel::new());
        for (script, word) in [
            ("echo hunter2; echo hunter2 >&2; exit 3", "exit code 3"),
            ("echo hunter2", "not the JSON object"),
            (r#"echo '{"Secret":["hunter2"]}'"#, "not the JSON object"),
            ("echo credentials not found in native keychain", "not the JSON object"),
            ("kill -9 $$", "a signal"),
            ("head -c 2000000 /dev/zero", "1 MiB"),
        ] {
            install(dir.path(), script);
            let error = find(dir.path(), &cancel).get("r.io").expect_err(script);
            let all = format!("{error} {error:?} {:?}", error.hint());
            assert!(all.contains(word) && all.contains("docker-credential-test"), "{script}: {all}");
            assert!(!all.contains("hunter2"), "{all}");
        }
    }

    #[test]
    fn one_that_hangs_is_ended_with_what_it_started() {
        let (dir, cancel) = (tempfile::tempdir().expect("a directory"), Cancel::new());
        let fifo = dir.path().join("fifo");
        install(dir.path(), &format!("mkfifo {0}; cat {0}", fifo.display()));
        let mut helper = find(dir.path(), &cancel);
        helper.limit = Duration::from_millis(200);
        let error = helper.get("r.io").expect_err("nobody writes").to_string();
        assert!(error.contains("within 200ms"), "{error}");
        // `cat` waited for a writer; one that does not wait finds no reader once it is gone.
        let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK;
        while rustix::fs::open(&fifo, flags, rustix::fs::Mode::empty()).is_ok() {
            std::thread::yield_now();
        }

        helper.limit = LIMIT;
        std::fs::remove_file(&fifo).expect("the pipe");
        let error = std::thread::scope(|scope| {
            let asking = scope.spawn(|| helper.get("r.io"));
            while !fifo.exists() {
                std::thread::yield_now();
            }
            cancel.raise();
            asking.join().expect("an answer").expect_err("interrupted")
        });
        assert!(matches!(error, Error::Store(StoreError::Interrupted)), "{error}");
    }

    #[test]
    fn what_is_stored_passes_through_stdin_alone() {
        let (dir, cancel) = (tempfile::tempdir().expect("a directory"), Cancel::new());
        install(dir.path(), &format!("echo \"$@\" >{0}/args; cat >{0}/input", dir.path().display()));
        // More than a pipe holds.
        let long = "p".repeat(200_000);
        find(dir.path(), &cancel).store("r.io", "u", &Secret::new(long.as_str())).expect("stored");
        let read = |name| std::fs::read_to_string(dir.path().join(name)).expect(name);
        assert_eq!(read("args"), "store\n");
        let input: serde_json::Value = serde_json::from_str(&read("input")).expect("JSON");
        assert_eq!(input, serde_json::json!({"ServerURL": "r.io", "Username": "u", "Secret": long}));
    }

    #[test]
    fn a_helper_is_a_program_below_path() {
        let (dir, cancel) = (tempfile::tempdir().expect("a directory"), Cancel::new());
        for (name, word) in [("none", "is not below PATH"), ("../x", "is no name of a program")] {
            let found = Helper::find(name, "r.io", dir.path().as_os_str(), &cancel);
            let error = found.err().expect(name).to_string();
            assert!(error.contains(word) && error.contains("r.io"), "{error}");
        }
    }
}
