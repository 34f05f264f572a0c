//! A pipeline of GitLab CI. Pure.

use std::collections::BTreeMap;

use super::jobs::{Job, Kind};
use super::yaml::{Lines, list};
use super::{Handover, Wanted, head, shell};

/// Where archives lie in a job; artifacts are below the project's directory.
const ARTIFACTS: &str = "handover";
/// What is this job's alone: gone before and after it.
const OWN: &str = "$CI_PROJECT_DIR/.larder-job";
/// Bytes that a dotenv report may have, where its administrator says nothing else (docs.gitlab.com, instance limits).
const LONGEST_REPORT: usize = 5 << 10;
/// Jobs that a job may need, where its administrator says nothing else.
const MOST_NEEDS: usize = 50;
/// `@sha256:` and the digits, with a comma.
const DIGEST: usize = 8 + 64 + 1;

pub(super) fn text(jobs: &[Job], wanted: &Wanted) -> String {
    let mut file = File { lines: Lines::new(head(wanted)), wanted };
    file.top(jobs);
    if wanted.handover == Handover::Dir {
        file.begin();
    }
    for job in jobs {
        file.job(job, jobs);
    }
    if wanted.handover == Handover::Dir {
        file.end();
    }
    file.lines.into_text()
}

/// What may be more than a GitLab takes.
pub(super) fn notes(jobs: &[Job]) -> Vec<String> {
    let mut notes = Vec::new();
    for job in jobs {
        let told: usize = job.references.iter().map(|reference| reference.len() + DIGEST).sum();
        let report = variable(job).len() + 1 + told;
        if report > LONGEST_REPORT {
            notes.push(format!(
                "{}: tells {} names and digests in {report} bytes; GitLab takes {LONGEST_REPORT}, unless its limit dotenv_size is raised",
                job.id,
                job.references.len()
            ));
        }
        if job.needs.len() > MOST_NEEDS {
            notes.push(format!(
                "{}: needs {} jobs; GitLab takes {MOST_NEEDS}, unless its limit ci_needs_size_limit is raised",
                job.id,
                job.needs.len()
            ));
        }
    }
    notes
}

/// The variable by which a job tells what is in its archive.
fn variable(job: &Job) -> String {
    job.id.replace('-', "_").to_ascii_uppercase()
}

fn stage(job: &Job) -> String {
    match job.level {
        0 => "from".to_owned(),
        level => format!("build-{level}"),
    }
}

struct File<'a> {
    lines: Lines,
    wanted: &'a Wanted,
}

impl File<'_> {
    fn top(&mut self, jobs: &[Job]) {
        let is_dir = self.wanted.handover == Handover::Dir;
        let levels: BTreeMap<_, _> = jobs.iter().map(|job| (job.level, stage(job))).collect();
        let mut stages: Vec<_> = levels.into_values().collect();
        if is_dir {
            stages.insert(0, "begin".to_owned());
            stages.push("end".to_owned());
        }
        self.lines.add(0, &format!("stages: {}\n\n.larder:", list(&stages)));
        if !self.wanted.runners.is_empty() {
            self.lines.add(1, &format!("tags: {}", list(&self.wanted.runners)));
        }
        self.lines.add(1, "before_script:");
        let find = if is_dir { shell::FIND } else { "" };
        self.lines.script(2, "-", &[shell::LOOK, find].concat());
    }

    /// The head of a job, up to its script.
    fn head(&mut self, id: &str, stage: &str, needs: &[&str]) {
        self.lines.add(0, &format!("\n{id}:"));
        self.lines.add(1, &format!("extends: .larder\nstage: {stage}\nneeds: {}", list(needs)));
    }

    /// Neither files of the project nor a hand-over are needed.
    fn bare(&mut self, script: &str) {
        self.lines.add(1, "variables:\n  GIT_STRATEGY: none\nscript:");
        self.lines.script(2, "-", script);
    }

    fn begin(&mut self) {
        self.head("begin", "begin", &[]);
        self.lines.add(1, "before_script: []");
        self.bare(&(shell::begin("$CI_PIPELINE_ID") + "echo \"HANDOVER=$directory\" >handover.env\n"));
        self.lines.add(1, "artifacts:\n  reports:\n    dotenv: handover.env");
    }

    /// Whatever became of the others: without needs, it is behind all of them.
    fn end(&mut self) {
        self.lines.add(0, "\nend:");
        self.lines
            .add(1, "extends: .larder\nstage: end\nwhen: always\ndependencies: [begin]\nbefore_script: []");
        self.bare(shell::END);
    }

    fn job(&mut self, job: &Job, jobs: &[Job]) {
        let is_dir = self.wanted.handover == Handover::Dir;
        let takes = job.needs.iter().map(|need| &jobs[*need]);
        let begin = is_dir.then_some("begin");
        let needs: Vec<_> = begin.into_iter().chain(takes.clone().map(|need| need.id.as_str())).collect();
        self.head(&job.id, &stage(job), &needs);
        let directory = if is_dir { "$HANDOVER" } else { ARTIFACTS };
        let tell = format!("echo \"{}=$images\" >{}.env\n", variable(job), job.id);
        let make = if is_dir { String::new() } else { shell::make(directory) };
        let export = make + &shell::export(directory, job) + &tell;
        match &job.kind {
            Kind::Foreign => self.bare(&export),
            Kind::Image(image) => {
                let mut script =
                    format!("rm -rf \"{OWN}\"\nmkdir \"{OWN}\"\nexport LARDER_STORE=\"{OWN}/store\"\n");
                for need in takes {
                    script += &shell::import(directory, need, &format!("${}", variable(need)));
                }
                script.extend(shell::build(&self.wanted.folder, image));
                self.lines.add(1, "script:");
                self.lines.script(2, "-", &(script + &export));
                self.lines.add(1, &format!("after_script:\n  - rm -rf \"{OWN}\""));
            }
        }
        self.lines.add(1, "artifacts:");
        if !is_dir {
            self.lines.add(2, &format!("paths: {}", list(&[format!("{ARTIFACTS}/{}.tar", job.id)])));
        }
        self.lines.add(2, "expire_in: 1 day\nreports:");
        self.lines.add(3, &format!("dotenv: {}.env", job.id));
    }
}
