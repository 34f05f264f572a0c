//! `larder bundle apply`: takes a bundle in.

use std::path::PathBuf;

use serde_json::json;

use super::super::import::{row, say_gone, say_replaced, value};
use super::super::signed::trust;
use crate::bundle::Input;
use crate::bundle::apply::{Applied, Failure, Options, apply, open};
use crate::cli::{Bar, CommandError, Context, Format, Outcome, count, fail, line, note, print_json};
use crate::trust::Signed;

/// Take a bundle in: all of it, or the parts that are there
///
/// What the bundle presumes and the space that it needs are checked before anything is written. An image gets its names when all of
/// it is there; what was broken off goes on with the same command. Prints a line for each image, as `import` does: reference,
/// digest, image ID, bytes written (new=), bytes that were there (reused=). Ends with 1 where parts are missing, or blobs that
/// it presumes, and with 5 where something does not verify.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The bundle, or its parts in any order; `-` is stdin, in which parts may come one behind the other
    #[arg(required = true, value_name = "FILE|PART|-")]
    files: Vec<PathBuf>,

    /// Let a name move here from an image that did not come by a bundle; that one stays in the store without a name
    #[arg(long)]
    replace: bool,

    /// Read and hash what the store has of it already, and put right what is damaged there
    #[arg(long)]
    verify: bool,

    /// Free the files' space while they are read, and remove them in the end; a broken-off apply is run again
    #[arg(long)]
    consume: bool,

    /// Threads [default: one for each core, at most 6]
    #[arg(long, value_name = "N")]
    jobs: Option<usize>,

    /// How to print what came in
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let mut inputs = Vec::new();
    for path in &args.files {
        inputs.push(super::open(context, path, args.consume)?);
    }
    let trust = trust()?;
    let bar = Bar::new(&args.files.first().map(|path| path.to_string_lossy()).unwrap_or_default());
    let authority = |what: &str, manifest: &[u8], signature: Option<&[u8]>| {
        let signed = trust.check_inner(what, manifest, signature)?;
        if let Signed::By { key, comment } = signed {
            bar.suspended(|| note(format_args!("{what}: signed with {key} ({comment})")));
        }
        Ok(())
    };
    let options = Options {
        authority: &authority,
        replace: args.replace,
        verify: args.verify,
        consume: args.consume,
        jobs: super::super::jobs(args.jobs),
        now: super::super::now,
        made_room: &|gone| bar.suspended(|| gone.iter().for_each(say_gone)),
        notice: &|text| bar.suspended(|| note(format_args!("{text}"))),
        cancel: &context.cancel,
        watch: &|event| bar.on(event),
    };
    let applied = take_in(context, inputs, &options);
    drop(bar);
    let applied = applied?;
    let said = say(args, &applied);
    match missing(&applied) {
        Some(error) => Err(error),
        None => said,
    }
}

/// No store is made for what it would refuse.
fn take_in(context: &Context, inputs: Vec<Input>, options: &Options<'_>) -> Outcome<Applied> {
    let mut opened = open(inputs, options).map_err(failed)?;
    if !context.has_store() {
        opened.fits_a_new_store(&context.store_path, options).map_err(failed)?;
    }
    let store = context.store()?;
    apply(&store, opened, options).map_err(failed)
}

fn say(args: &Args, applied: &Applied) -> Outcome {
    applied.images.iter().for_each(say_replaced);
    match args.format {
        Format::Table => applied.images.iter().try_for_each(|image| line(row(image))),
        Format::Json => print_json(&json!({
            "bundle": applied.bundle,
            "images": applied.images.iter().map(value).collect::<Vec<_>>(),
            "new_bytes": applied.new_bytes,
            "read_bytes": applied.read_bytes,
            "missing_parts": applied.missing.iter().map(|(part, images)| json!({"part": part, "images": images})).collect::<Vec<_>>(),
        })),
    }
}

/// Parts that were not given.
fn missing(applied: &Applied) -> Option<CommandError> {
    if applied.missing.is_empty() {
        return None;
    }
    let parts = applied.parts;
    let mut lines: Vec<_> = applied
        .missing
        .iter()
        .map(|(part, images)| format!("part {part} of {parts} is missing: {} for it", wait(images)))
        .collect();
    let first = lines.remove(0);
    let hint = "what came stays; apply the missing parts, which `bundle create --part` makes again";
    Some(fail(first).with_lines(lines).with_hint(hint))
}

fn wait(images: &[String]) -> String {
    match images {
        [one] => format!("{one} waits"),
        [first, .., last] if images.len() < 4 => {
            let middle = &images[1..images.len() - 1];
            let all: Vec<_> =
                std::iter::once(first).chain(middle).chain([last]).map(String::as_str).collect();
            format!("{} wait", all.join(", "))
        }
        _ => format!("{} wait", count(images.len(), "image")),
    }
}

fn failed(failure: Failure) -> CommandError {
    match failure {
        Failure::Store(error) => error.into(),
        Failure::Untrusted(error) => error.into(),
        Failure::Presumed { lines, blobs, targets } => {
            let hint = match &targets[..] {
                [] => "it was made for a store that has applied an earlier bundle: apply that first, or create one with this store's `bundle have`".to_owned(),
                targets => format!(
                    "it was made for the store {}; `bundle have` of this one, and `bundle create --have`, make one for it",
                    targets.join(", ")
                ),
            };
            let first = format!(
                "the store lacks {} that the bundle presumes; nothing was written",
                count(blobs, "blob")
            );
            fail(first).with_lines(lines).with_hint(hint)
        }
    }
}
