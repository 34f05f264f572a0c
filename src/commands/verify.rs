//! `larder verify`: whether the store still is what it says, and putting right what is not.

use std::path::PathBuf;

use larder_store::archive::repair::ArchiveSource;
use larder_store::error::Error;
use larder_store::repair::{self, RepairSource, repair};
use larder_store::store::Store;
use larder_store::verify::{Depth, Finding, Options, Problem, Report, verify};

use super::plain_http::PlainHttp;
use crate::cli::{Bar, Context, Format, Outcome, Table, count, fail, human, line, note, print_json};
use crate::registry::Registries;
use crate::registry::repair::origins;

/// Check that everything an image needs is there and is what its digest says
///
/// Reads every reachable document and blob and hashes it; nothing is changed without --repair. Prints one line for each
/// finding and ends with 5 where an image is affected. Without REF the whole store is checked, and strangers among the
/// blobs (files that are no blobs) are listed too; those alone are no failure.
///
/// --repair puts good blobs in the place of damaged and missing ones, from the sources in their order, and then from the
/// repositories that the images were pulled from: by digest, whatever their tags mean by now. The damaged ones go to .larder/quarantine, also where no source has a good one (but for manifests, which stay then). Ends with 0
/// where everything is whole afterwards.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these images
    #[arg(value_name = "REF")]
    references: Vec<String>,

    /// Put damaged blobs into the quarantine and good ones in their place
    #[arg(long)]
    repair: bool,

    /// Where good blobs may be had: a plain docker-archive or oci-archive, a layout or another store
    #[arg(long, value_name = "PATH", requires = "repair")]
    from: Vec<PathBuf>,

    /// Ask no registry for what the sources do not have
    #[arg(long, requires = "repair")]
    no_origins: bool,

    #[command(flatten)]
    plain_http: PlainHttp,

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
    if args.plain_http.is_given() && !args.repair {
        return Err(fail("--plain-http says how good blobs are fetched: it goes with --repair").usage());
    }
    let store = context.existing_store()?;
    let bar = Bar::new("verify");
    let options = Options {
        queries: &args.references,
        depth: if args.quick { Depth::Quick } else { Depth::Full },
        jobs: super::jobs(args.jobs),
        cancel: &context.cancel,
        watch: &|event| bar.on(event),
    };
    let done = if args.repair {
        mend(context, &store, &options, args)?
    } else {
        (repair::Outcome { report: verify(&store, &options)?, ..repair::Outcome::default() }, Ok(()))
    };
    let (done, ended) = done;
    drop(bar);
    match args.format {
        Format::Json if args.repair => print_json(&done)?,
        Format::Json => print_json(&done.report)?,
        Format::Table => show(&done)?,
    }
    // What was done is said in any case; of what was not looked at there is nothing to say.
    ended?;
    conclude(&store, args, &done.report)
}

/// What was repaired, and how it ended.
type Mended = (repair::Outcome, Result<(), Error>);

fn mend(context: &Context, store: &Store, options: &Options<'_>, args: &Args) -> Outcome<Mended> {
    let open = |path: &PathBuf| ArchiveSource::open(path, store, options.jobs, options.cancel);
    let mut archives = args.from.iter().map(open).collect::<Result<Vec<_>, _>>()?;
    let registries = registries(context, args)?;
    let mut origins = match &registries {
        Some(registries) => origins(&store.index()?, registries),
        None => Vec::new(),
    };
    let archives = archives.iter_mut().map(|archive| archive as &mut dyn RepairSource);
    let origins = origins.iter_mut().map(|origin| origin as &mut dyn RepairSource);
    let mut sources: Vec<_> = archives.chain(origins).collect();
    Ok(repair(store, options, &mut sources))
}

/// How registries are asked, where any may be.
fn registries(context: &Context, args: &Args) -> Outcome<Option<Registries>> {
    if args.no_origins {
        return Ok(None);
    }
    let registries = super::pull::registries(context, &args.plain_http)?;
    Ok(Some(registries).filter(|registries| registries.settings.offline.is_none()))
}

fn conclude(store: &Store, args: &Args, report: &Report) -> Outcome {
    let (images, blobs) = (count(report.images, "image"), count(report.blobs, "blob"));
    note(format_args!("checked {images}, {blobs}, {}", human(report.bytes)));
    if report.quarantine.blobs > 0 {
        let (blobs, bytes) = (count(report.quarantine.blobs, "damaged blob"), human(report.quarantine.bytes));
        note(format_args!("{blobs} ({bytes}) in {}", store.layout().private().at("quarantine").display()));
    }
    if report.is_clean() {
        return Ok(());
    }
    let problems = report.findings.iter().filter(|finding| finding.problem != Problem::Stranger).count();
    let hint = match args.repair {
        false => {
            "--repair puts back what is missing or damaged of images that were pulled; --from ARCHIVE of others"
        }
        true => {
            "--from names an archive or a layout that has it; importing the image again with --verify heals it too"
        }
    };
    let said = format!("{} in {}", count(problems, "problem"), store.path().display());
    Err(fail(said).with_hint(hint).damaged())
}

fn show(done: &repair::Outcome) -> Outcome {
    for repaired in &done.repaired {
        line(format!("repaired {} from {}", repaired.what, repaired.from))?;
    }
    for aside in &done.set_aside {
        line(format!("put aside {} as .larder/quarantine/{}", aside.what, aside.name))?;
    }
    for refused in &done.refused {
        note(format_args!("{}: {}: {}", refused.from, refused.what, refused.why));
    }
    match &done.report.findings[..] {
        [] => Ok(()),
        findings => table(findings),
    }
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
