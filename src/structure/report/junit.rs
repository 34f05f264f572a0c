//! JUnit's XML, as tools of CI systems read it: a suite for each image and test file.

use std::fmt::Write;

use super::{Report, count};
use crate::structure::tested::Outcome;

/// The report as one XML document with a line end.
pub(crate) fn junit(report: &Report) -> String {
    let all = report.count();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites failures=\"{}\" tests=\"{}\" skipped=\"{}\" time=\"{}\">\n",
        all.failed,
        all.total(),
        all.skipped,
        report.duration().as_secs_f64()
    );
    for suite in &report.suites {
        let here = count(suite.tests.iter());
        let name = escape(&format!("{} {}", suite.image, suite.file));
        // Writing to a text cannot fail.
        let _ = writeln!(
            out,
            "<testsuite name=\"{name}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\">",
            here.total(),
            here.failed,
            here.skipped
        );
        for test in &suite.tests {
            let time = test.duration.as_secs_f64();
            let _ = write!(
                out,
                "<testcase name=\"{}\" classname=\"{name}\" time=\"{time}\">",
                escape(&test.name)
            );
            match &test.outcome {
                Outcome::Passed => {}
                Outcome::Failed(errors) => {
                    errors.iter().for_each(|error| {
                        let _ = write!(out, "<failure>{}</failure>", escape(error));
                    });
                }
                Outcome::Skipped(why) => {
                    let _ = write!(out, "<skipped message=\"{}\"/>", escape(why));
                }
            }
            for (element, text) in [("system-out", &test.stdout), ("system-err", &test.stderr)] {
                if !text.is_empty() {
                    let _ = write!(out, "<{element}>{}</{element}>", escape(text));
                }
            }
            out.push_str("</testcase>\n");
        }
        out.push_str("</testsuite>\n");
    }
    out.push_str("</testsuites>\n");
    out
}

/// Text and attributes: what XML cannot have is U+FFFD, and what does things to terminals is written as a number.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\r' | '\t' => out.push_str(&format!("&#{};", u32::from(c))),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push(char::REPLACEMENT_CHARACTER),
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push_str(&format!("&#{};", u32::from(c)));
            }
            c if c.is_control() => out.push_str(&format!("&#{};", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}
