//! `larder verify`: whether the store still is what it says.

use larder_store::verify::{Depth, Finding, Problem, verify};

use crate::cli::{Bar, Context, Format, Outcome, Table, count, fail, human, note, print_json};

/// Check that everything an image needs is there and is what its digest says
///
/// Reads every reachable document and blob and hashes it; nothing is changed. Prints one line for each finding and
/// ends with 5 where an image is affected. Without REF the whole store is checked, and strangers among the blobs
/// (files that are no blobs) are listed too; those alone are no failure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these images
    #[arg(value_name = "REF")]
    references: Vec<String>,

    /// Read the documents only; blobs must be there with the right size
    #[arg(long)]
    quick: bool,

    /// Threads [default: one for each core, at most 6]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How to print the findings
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let depth = if args.quick { Depth::Quick } else { Depth::Full };
    let bar = Bar::new("verify");
    let jobs = super::jobs(args.jobs);
    let report = verify(&store, &args.references, depth, jobs, &context.cancel, &|event| bar.on(event))?;
    drop(bar);
    match args.format {
        Format::Json => print_json(&report)?,
        Format::Table if report.findings.is_empty() => {}
        Format::Table => table(&report.findings)?,
    }
    let (images, blobs) = (count(report.images, "image"), count(report.blobs, "blob"));
    note(format_args!("checked {images}, {blobs}, {}", human(report.bytes)));
    if report.is_clean() {
        return Ok(());
    }
    let problems = report.findings.iter().filter(|finding| finding.problem != Problem::Stranger).count();
    let hint = "importing an affected image again with --verify puts back what is missing or damaged";
    let said = format!("{} in {}", count(problems, "problem"), store.path().display());
    Err(fail(said).with_hint(hint).damaged())
}

fn table(findings: &[Finding]) -> Outcome {
    let mut table = Table::new(&["PROBLEM", "WHAT", "WHY", "IMAGES"]);
    for finding in findings {
        let problem = match finding.problem {
            Problem::Missing => "missing",
            Problem::WrongSize => "wrong size",
            Problem::Damaged => "damaged",
            Problem::Unreadable => "unreadable",
            Problem::Stranger => "stranger",
        };
        let images = finding.images.join(", ");
        table.row([problem.to_owned(), finding.what.clone(), finding.why.clone(), images]);
    }
    table.print()
}
