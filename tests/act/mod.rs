//! The line that larder is for, with the real act: import, hand over, run the job.

mod airgap;
mod definitions;
mod jobs;
mod large;
mod refused;
mod resolved;

use std::path::Path;
use std::process::{Command, Output};

use crate::handover::Desk;
use crate::handover::images::store_config;
use crate::support::tarball::{Tarball, config};
use crate::support::{Docker, describe, peer, succeeded};

/// Makes three tests of one function, each with an engine of its own and a project.
macro_rules! act_on_every_engine {
    ($($(#[$attribute:meta])* $function:ident),+ $(,)?) => {
        $crate::act::act_on_every_engine!(@ docker20, "Docker 20.10", $($(#[$attribute])* $function),+);
        $crate::act::act_on_every_engine!(@ docker28, "Docker 28", $($(#[$attribute])* $function),+);
        $crate::act::act_on_every_engine!(@ docker28c, "Docker 28 with containerd store", $($(#[$attribute])* $function),+);
    };
    (@ $engine:ident, $name:literal, $($(#[$attribute:meta])* $function:ident),+) => {
        mod $engine {
            use crate::support::{need, peer};
            $(#[test] $(#[$attribute])* fn $function() {
                let docker = need!(peer::$engine(), $name);
                let project = need!(crate::act::Project::new(&docker), "act and busybox");
                super::$function(&docker, &project);
            })+
        }
    };
}
use act_on_every_engine;

/// A project whose workflow act runs, with `larder` and `act` on the `PATH` and an engine behind a proxy.
struct Project {
    desk: Desk,
}

impl Project {
    /// `None` where act or busybox is missing.
    fn new(docker: &Docker) -> Option<Self> {
        let act = peer::act()?;
        let mut desk = Desk::new(docker);
        let bin = desk.sandbox.path("bin");
        std::fs::create_dir(&bin).unwrap();
        let larder = desk.sandbox.command::<&str>([]);
        for (name, program) in [("larder", larder.get_program()), ("act", act.get_program())] {
            std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
        }
        let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
        desk.sandbox.set("PATH", path);
        std::fs::create_dir_all(desk.sandbox.path("project/.github/workflows")).unwrap();
        rootfs()?;
        let project = Self { desk };
        project.store("capy-job:1", "amd64", &["sh"]);
        Some(project)
    }

    /// Puts an image with `sh`, `tail`, `wget` and `httpd` into the store; `/etc/greeting` tells which one it is. (act shows
    /// whole lines only.)
    fn store(&self, name: &str, arch: &str, command: &[&str]) {
        let mut files = rootfs().unwrap();
        files.file("etc/greeting", format!("from {name}\n").as_bytes());
        let layers = [files.bytes()];
        let mut config = config("linux", arch, &layers);
        config["config"]["Cmd"] = command.into();
        store_config(&self.desk.sandbox, name, &config, &layers, &[]);
    }

    /// Runs a shell line in the project, with this workflow.
    fn line(&self, workflow: &str, line: &str) -> (Command, Output) {
        std::fs::write(self.desk.sandbox.path("project/.github/workflows/ci.yml"), workflow).unwrap();
        let mut shell = self.desk.sandbox.enclose(Command::new("sh"));
        shell.args(["-c", line]).current_dir(self.desk.sandbox.path("project"));
        let output = shell.output().unwrap();
        (shell, output)
    }

    /// The line must run a job to its good end, in which these words are printed.
    fn succeed(&self, workflow: &str, line: &str, words: &[&str]) -> String {
        let (shell, output) = self.line(workflow, line);
        let printed = succeeded(&shell, &output);
        for word in words.iter().chain(&["Job succeeded"]) {
            assert!(printed.contains(word), "{word:?} is not in {}", describe(&shell, &output));
        }
        String::from_utf8(output.stderr).unwrap()
    }
}

/// What act needs of an image, and what a service needs; `None` where there is no static busybox.
fn rootfs() -> Option<Tarball> {
    let busybox =
        [Path::new("/bin/busybox"), Path::new("/usr/bin/busybox")].into_iter().find(|path| path.exists())?;
    let mut files = Tarball::new();
    files.program("bin/busybox", &std::fs::read(busybox).unwrap());
    for applet in ["sh", "tail", "cat", "mkdir", "env", "echo", "sleep", "wget", "httpd"] {
        files.link(&format!("bin/{applet}"), "busybox");
    }
    Some(files)
}

/// A workflow of one job, with these lines below it, that runs this script.
fn workflow(job: &str, script: &str) -> String {
    format!(
        "on: push\njobs:\n  build:\n    runs-on: ubuntu-latest\n{job}    steps:\n      - shell: sh\n        run: {script}\n"
    )
}
