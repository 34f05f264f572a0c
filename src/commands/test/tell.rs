//! Saying what became of tests, to people, programs and the caller.

use super::Form;
use crate::cli::{Outcome, fail, plain, print, print_json, safe};
use crate::structure::{Outcome as Became, Report, Suite, Tested, junit};

/// Lines of a command's output that people are shown where its test failed: the last ones.
const LINES: usize = 20;

/// Prints a report; the exit code says what became of all.
pub(crate) fn tell(report: &Report, form: Form) -> Outcome {
    match form {
        Form::Text => report.suites.iter().try_for_each(|suite| print(&text(suite)))?,
        Form::Json => print_json(&report.json())?,
        Form::Junit => print(&junit(report))?,
    }
    let count = report.count();
    if form == Form::Text {
        print(&format!("{} passed, {} failed, {} skipped\n", count.passed, count.failed, count.skipped))?;
    }
    let of = |number: usize| format!("{number} of {} tests", count.total());
    match (count.failed, count.skipped) {
        (0, 0) => Ok(()),
        (0, skipped) => {
            Err(fail(format!("skipped: {}: {}", of(skipped), report.skips().join("; "))).in_part())
        }
        (failed, _) => Err(fail(format!("failed: {}", of(failed)))),
    }
}

fn text(suite: &Suite) -> String {
    let mut out = format!("{} {}\n", safe(&suite.image), safe(&suite.file));
    suite.tests.iter().for_each(|test| out.push_str(&lines(test)));
    out
}

fn lines(test: &Tested) -> String {
    let word = match test.outcome {
        Became::Passed => "PASS",
        Became::Failed(_) => "FAIL",
        Became::Skipped(_) => "SKIP",
    };
    let took = match test.duration.as_millis() {
        0 => String::new(),
        milliseconds => format!(" ({:.2} s)", milliseconds as f64 / 1000.0),
    };
    let mut out = format!("{word}  {}{took}\n", safe(&test.name));
    match &test.outcome {
        Became::Passed => return out,
        Became::Skipped(why) => out.push_str(&format!("      {}\n", safe(why))),
        Became::Failed(wrong) => wrong.iter().for_each(|why| out.push_str(&format!("      {}\n", safe(why)))),
    }
    for (name, text) in [("stdout", &test.stdout), ("stderr", &test.stderr)] {
        let all: Vec<_> = text.lines().collect();
        let hidden = all.len().saturating_sub(LINES);
        if hidden > 0 {
            out.push_str(&format!("      {name}: … {hidden} lines more\n"));
        }
        for line in &all[hidden..] {
            out.push_str(&format!("      {name}: {}\n", shortened(&plain(line))));
        }
    }
    out
}

fn shortened(line: &str) -> String {
    const LONGEST: usize = 400;
    match line.char_indices().nth(LONGEST) {
        Some((at, _)) => format!("{}…", &line[..at]),
        None => line.to_owned(),
    }
}
