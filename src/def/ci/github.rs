//! A workflow of GitHub Actions. Pure.

use super::jobs::{Job, Kind};
use super::yaml::{Lines, list, quoted};
use super::{Handover, Wanted, head, shell};

/// Where archives lie in a job: the runner empties it afterwards.
const ARTIFACTS: &str = "$RUNNER_TEMP/handover";
/// The same, as actions are told.
const ARTIFACTS_INPUT: &str = "${{ runner.temp }}/handover";
/// Who runs jobs where nobody says it: runners of GitHub have no larder.
const RUNNER: &str = "self-hosted";

/// Triggers. Another workflow may call this one, on its own conditions.
const TOP: &str = "name: images
on:
  push:
  workflow_dispatch:
  workflow_call:
";

/// Rights; no bars where a runner gives a terminal.
const REST: &str = "permissions:
  contents: read
env:
  TERM: dumb
defaults:
  run:
    shell: sh
jobs:
";

/// The commit of the run, for pipelines without actions: in a directory that goes with the job, so that nobody's files are in the way.
const CHECKOUT: &str = r#"export GIT_TERMINAL_PROMPT=0
git init --quiet "$RUNNER_TEMP/source"
cd "$RUNNER_TEMP/source"
git remote add origin "$GITHUB_SERVER_URL/$GITHUB_REPOSITORY"
git fetch --quiet --depth 1 "${LARDER_SOURCE:-origin}" "$GITHUB_SHA"
git checkout --quiet FETCH_HEAD
"#;

pub(super) fn text(jobs: &[Job], wanted: &Wanted) -> String {
    let mut file = File { lines: Lines::new(head(wanted)), wanted };
    file.lines.add(0, TOP);
    if wanted.handover == Handover::Artifact {
        file.outputs(jobs);
    }
    file.lines.add(0, REST);
    if wanted.handover == Handover::Dir {
        file.begin();
    }
    for job in jobs {
        file.job(job, jobs);
    }
    if wanted.handover == Handover::Dir {
        file.end(jobs);
    }
    file.lines.into_text()
}

struct File<'a> {
    lines: Lines,
    wanted: &'a Wanted,
}

impl File<'_> {
    /// What each archive has, for a workflow that calls this one and takes archives.
    fn outputs(&mut self, jobs: &[Job]) {
        self.lines.add(2, "outputs:");
        for job in jobs.iter().filter(|job| job.kind != Kind::Foreign) {
            self.lines.add(3, &format!("{0}:\n  value: ${{{{ jobs.{0}.outputs.images }}}}", job.id));
        }
    }

    /// The head of a job, up to its steps.
    fn head(&mut self, id: &str, name: &str, needs: &[&str], outputs: &str) {
        let runners = match self.wanted.runners.is_empty() {
            true => list(&[RUNNER]),
            false => list(&self.wanted.runners),
        };
        self.lines.add(1, &format!("{id}:"));
        self.lines.add(2, &format!("name: {}", quoted(name)));
        if !needs.is_empty() {
            self.lines.add(2, &format!("needs: {}", list(needs)));
        }
        self.lines.add(2, &format!("runs-on: {runners}"));
        if !outputs.is_empty() {
            self.lines.add(2, "outputs:");
            self.lines.add(3, outputs);
        }
    }

    fn step(&mut self, name: &str, keys: &str, script: &str) {
        self.lines.add(3, &format!("- name: {}", quoted(name)));
        self.lines.add(4, keys);
        self.lines.script(4, "run:", script);
    }

    fn action(&mut self, action: &str, with: &str) {
        self.lines.add(3, &format!("- uses: {action}"));
        if !with.is_empty() {
            self.lines.add(4, "with:");
            self.lines.add(5, with);
        }
    }

    fn begin(&mut self) {
        self.head("begin", "begin", &[], "directory: ${{ steps.begin.outputs.directory }}");
        self.lines.add(2, "steps:");
        let make = shell::begin("$GITHUB_RUN_ID") + "echo \"directory=$directory\" >>\"$GITHUB_OUTPUT\"\n";
        self.step("a directory for this run", "id: begin", &make);
    }

    /// Whatever became of the others.
    fn end(&mut self, jobs: &[Job]) {
        let needs: Vec<_> = std::iter::once("begin").chain(jobs.iter().map(|job| job.id.as_str())).collect();
        self.head("end", "end", &needs, "");
        self.lines.add(2, "if: ${{ always() }}\nsteps:");
        let keys = "env:\n  HANDOVER: ${{ needs.begin.outputs.directory }}";
        self.step("remove the directory of this run", keys, shell::END);
    }

    fn job(&mut self, job: &Job, jobs: &[Job]) {
        let is_dir = self.wanted.handover == Handover::Dir;
        let takes = job.needs.iter().map(|need| &jobs[*need]);
        let begin = is_dir.then_some("begin");
        let needs: Vec<_> = begin.into_iter().chain(takes.clone().map(|need| need.id.as_str())).collect();
        let name = match &job.kind {
            Kind::Foreign => job.references.join(", "),
            Kind::Image(name) => name.clone(),
        };
        self.head(&job.id, &name, &needs, "images: ${{ steps.handover.outputs.images }}");
        if is_dir {
            self.lines.add(2, "env:\n  HANDOVER: ${{ needs.begin.outputs.directory }}");
        }
        self.lines.add(2, "steps:");
        let directory = if is_dir { "$HANDOVER" } else { ARTIFACTS };
        let find = if is_dir { shell::FIND } else { "" };
        match &job.kind {
            Kind::Foreign => self.step("larder", "", &[shell::LOOK, find].concat()),
            Kind::Image(image) => {
                let enter = match self.wanted.handover {
                    Handover::Artifact => {
                        self.action("actions/checkout@v4", "");
                        ""
                    }
                    Handover::Dir => {
                        self.step("the definitions of this commit", "", CHECKOUT);
                        "cd \"$RUNNER_TEMP/source\"\n"
                    }
                };
                let store = "echo \"LARDER_STORE=$RUNNER_TEMP/larder\" >>\"$GITHUB_ENV\"\n";
                self.step("larder, with a store for this job", "", &[shell::LOOK, find, store].concat());
                for need in takes {
                    self.take(need, directory);
                }
                let [build, test] = shell::build(&self.wanted.folder, image);
                self.step("build", "", &(enter.to_owned() + &build));
                self.step("test", "", &(enter.to_owned() + &test));
            }
        }
        let make = if is_dir { String::new() } else { shell::make(directory) };
        let export = make + &shell::export(directory, job) + "echo \"images=$images\" >>\"$GITHUB_OUTPUT\"\n";
        self.step("hand over", "id: handover", &export);
        if !is_dir {
            // The layers are compressed already.
            let with = format!(
                "name: {0}\npath: {ARTIFACTS_INPUT}/{0}.tar\nif-no-files-found: error\ncompression-level: 0\nretention-days: 1",
                job.id
            );
            self.action("actions/upload-artifact@v4", &with);
        }
    }

    /// Takes the archive of another job.
    fn take(&mut self, need: &Job, directory: &str) {
        if self.wanted.handover == Handover::Artifact {
            let with = format!("name: {}\npath: {ARTIFACTS_INPUT}", need.id);
            self.action("actions/download-artifact@v4", &with);
        }
        let told = format!("env:\n  EXPECT: ${{{{ needs.{}.outputs.images }}}}", need.id);
        let import = shell::import(directory, need, "$EXPECT");
        self.step(&format!("take {}", need.id), &told, &import);
    }
}
