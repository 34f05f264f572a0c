//! The pipeline that `def ci` makes of the fixture's folder, run by act: steps on this machine, archives in a directory, no engine.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Output;

use crate::build::Builder;
use crate::support::store::names;
use crate::support::{Sandbox, need, peer, run};

/// The fixture's folder as a project, a runner's store with the image that it begins with, and `larder` and `act` on the `PATH`.
struct Runner {
    builder: Builder,
}

impl Runner {
    /// `None` where act, runc, busybox or root's rights are missing.
    fn new() -> Option<Runner> {
        let act = peer::act()?;
        let mut sandbox = Sandbox::new();
        let bin = sandbox.path("bin");
        std::fs::create_dir(&bin).unwrap();
        let larder = sandbox.command::<&str>([]);
        for (name, program) in [("larder", larder.get_program()), ("act", act.get_program())] {
            std::os::unix::fs::symlink(program, bin.join(name)).unwrap();
        }
        sandbox.set("PATH", format!("{}:{}", bin.display(), std::env::var("PATH").unwrap()));
        // Whoever asked an engine or a registry would be seen to fail.
        sandbox.set("DOCKER_HOST", format!("unix://{}", sandbox.path("nobody.sock").display()));
        let builder = Builder::within(sandbox)?;
        let runner = Runner { builder };
        let project = runner.path("project");
        std::fs::create_dir_all(project.join(".github/workflows")).unwrap();
        let mut cp = std::process::Command::new("cp");
        run(cp.arg("-r").arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/def/.")).arg(&project));
        let git = peer::tool("git")?.get_program().to_owned();
        for args in [&["init", "-q", "-b", "main"][..], &["add", "."], &["commit", "-q", "-m", "images"]] {
            let mut git = runner.sandbox().enclose(std::process::Command::new(&git));
            git.args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args);
            run(git.current_dir(&project));
        }
        Some(runner)
    }

    fn sandbox(&self) -> &Sandbox {
        &self.builder.sandbox
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.sandbox().path(name)
    }

    /// The pipeline.
    fn pipeline(&self) -> String {
        let mut larder = self.sandbox().command(["def", "ci", "github", "--handover", "dir"]);
        run(larder.current_dir(self.path("project")))
    }

    /// Makes this the project's pipeline.
    fn write(&self, pipeline: &str) {
        std::fs::write(self.path("project/.github/workflows/images.yml"), pipeline).unwrap();
    }

    /// Has act run the pipeline.
    fn act(&self) -> (Output, String) {
        let mut act = self.sandbox().enclose(std::process::Command::new("act"));
        act.args(["push", "-P", "self-hosted=-self-hosted", "--pull=false", "--env"]);
        act.arg(format!("LARDER_SOURCE={}", self.path("project").display()));
        let output = act.current_dir(self.path("project")).output().unwrap();
        let said = format!(
            "{}\n{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        (output, said)
    }

    /// Directories of runs that are there.
    fn runs(&self) -> Vec<String> {
        let there = std::fs::read_dir(self.path("home/.cache/larder-handover")).into_iter().flatten();
        there.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }
}

/// What steps of a job printed.
fn printed<'a>(said: &'a str, job: &str) -> Vec<&'a str> {
    // act shows a job by its name, filled up with spaces.
    let name = match job.split_once('-') {
        Some(("build", name)) => name,
        _ => "busybox:1",
    };
    let lines = said.lines().filter(|line| {
        line.split_once(']').is_some_and(|(head, _)| head.trim_end() == format!("[images/{name}"))
    });
    lines.filter_map(|line| Some(line.split_once("| ")?.1.trim_end())).collect()
}

/// Names and digests that a job printed when it wrote its archive.
fn handed_over(said: &str, job: &str) -> BTreeMap<String, String> {
    let lines = printed(said, job).into_iter().filter_map(|line| line.split_once("@sha256:"));
    lines
        .filter(|(_, digest)| digest.len() == 64)
        .map(|(name, digest)| (name.into(), digest.into()))
        .collect()
}

/// Names and digests that a job printed when it imported others' archives.
fn imported(said: &str, job: &str) -> BTreeMap<String, String> {
    let lines = printed(said, job).into_iter().filter(|line| line.contains(" new="));
    let words = lines.map(|line| line.split(' ').collect::<Vec<_>>());
    words.map(|words| (words[0].to_owned(), words[1].trim_start_matches("sha256:").to_owned())).collect()
}

#[test]
fn images_are_built_tested_and_handed_from_job_to_job() {
    let runner = need!(Runner::new(), "act, runc and busybox");
    let others = runner.path("home/.cache/larder-handover/run-1-another");
    std::fs::create_dir_all(&others).unwrap();
    let before = names(&runner.sandbox().store());
    // Two runs at once, to which act gives the same number.
    runner.write(&runner.pipeline());
    let runs = std::thread::scope(|scope| {
        [scope.spawn(|| runner.act()), scope.spawn(|| runner.act())].map(|run| run.join().unwrap())
    });
    for (output, said) in &runs {
        assert!(output.status.success(), "{said}");
        check(said);
    }
    // They have left nothing, and have touched neither another run's directory nor the runner's store.
    assert_eq!(runner.runs(), ["run-1-another"]);
    assert_eq!(names(&runner.sandbox().store()), before);
}

/// Each job has tested what it made, and took just what others made.
fn check(said: &str) {
    let of = |job| handed_over(said, job);
    let both: BTreeMap<_, _> = of("build-base").into_iter().chain(of("build-tool")).collect();
    // Each job took just what the others made, name by name.
    assert_eq!(imported(said, "build-base"), of("from-busybox-1"), "{said}");
    assert_eq!(imported(said, "build-tool"), of("build-base"), "{said}");
    assert_eq!(imported(said, "build-app"), both, "{said}");
    assert_eq!(of("build-base").keys().collect::<Vec<_>>(), ["base:2025.09"]);
    let tool = of("build-tool");
    assert_eq!(tool["tool:1.5-debug"], tool["tool:1.5.1-debug"]);
    assert_eq!(tool.len(), 11 + 13, "{tool:?}");
    assert_eq!(of("build-app").keys().collect::<Vec<_>>(), ["app:latest"]);
    // And tested what it made.
    for (job, tests) in
        [("build-base", "1 passed, 0 failed, 0 skipped"), ("build-app", "2 passed, 0 failed, 0 skipped")]
    {
        assert!(printed(said, job).contains(&tests), "{said}");
    }
}

#[test]
fn an_archive_that_is_another_one_or_missing_ends_the_run() {
    let runner = need!(Runner::new(), "act, runc and busybox");
    let pipeline = runner.pipeline();
    // What build-base hands over is gone, or another archive, or what it tells got lost, before others take it.
    let told = "echo \"images=$images\" >>\"$GITHUB_OUTPUT\"\n";
    let (first, last) = pipeline.split_once("  build-tool:").unwrap();
    let at = first.rfind(told).unwrap();
    for (instead, code, word) in [
        (format!("{told}          rm \"$HANDOVER/build-base.tar\"\n"), 1, "build-base.tar: No such file"),
        (
            format!("{told}          cp \"$HANDOVER/from-busybox-1.tar\" \"$HANDOVER/build-base.tar\"\n"),
            5,
            "is not what was expected: base:2025.09 is not in it; busybox:1 was not expected",
        ),
        ("true\n".to_owned(), 2, "nobody said what the archive has"),
    ] {
        let broken = format!("{}{instead}{}  build-tool:{last}", &first[..at], &first[at + told.len()..]);
        runner.write(&broken);
        let (output, said) = runner.act();
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(word) && said.contains(&format!("exit status {code}\n")), "{said}");
        assert!(
            handed_over(&said, "build-tool").is_empty() && printed(&said, "build-app").is_empty(),
            "{said}"
        );
        assert_eq!(runner.runs(), [""; 0], "{said}");
    }
}

#[test]
fn what_a_runner_lacks_is_said() {
    let runner = need!(Runner::new(), "act, runc and busybox");
    runner.write(&runner.pipeline());
    runner.sandbox().ok(["rm", "busybox:1"]);
    let (output, said) = runner.act();
    assert!(!output.status.success() && said.contains("busybox:1: no such image"), "{said}");
    std::fs::remove_file(runner.path("bin/larder")).unwrap();
    let (output, said) = runner.act();
    assert!(!output.status.success() && said.contains("larder is not on the PATH of this runner"), "{said}");
    assert_eq!(runner.runs(), [""; 0]);
}
