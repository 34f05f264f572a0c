//! `larder images`: what is there.

use clap::ValueEnum;
use larder_store::policy::NamePattern;
use larder_store::summary::{Summary, summarise};
use serde_json::{Value, json};

use crate::catalog::Project;
use crate::cli::{Context, Format, Outcome, Table, human, print_json};

/// List the images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only names like this (short, with or without the tag); `*` stands for any characters, `?` for one, [ab] for a or b
    pattern: Option<NamePattern>,

    /// Only those that were declared to be for this project
    #[arg(long)]
    project: Option<Project>,

    /// The order of the rows
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,

    /// Also images that have lost their name
    #[arg(long, short)]
    all: bool,

    /// How to print them
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// By name
    #[default]
    Name,
    /// Largest first
    Size,
    /// Newest first
    Imported,
    /// Last used first
    Used,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let used = store.usage()?;
    let (mut images, damaged) = super::look(&store, |index| {
        let (mut images, mut damaged) = (Vec::new(), Vec::new());
        for entry in index.entries() {
            let (image, looked) = summarise(&store, entry, &used);
            damaged.extend(super::if_damaged(looked)?);
            if matches(&image, args) {
                images.push(image);
            }
        }
        Ok((images, damaged))
    })?;
    sort(&mut images, args.sort);
    match args.format {
        Format::Json => print_json(&images.iter().map(value).collect::<Vec<_>>())?,
        Format::Table => table(&images)?,
    }
    super::damaged_images(&damaged)
}

fn matches(image: &Summary, args: &Args) -> bool {
    let (pattern, all) = (args.pattern.as_ref(), args.all);
    let is_for = |project: &Project| image.declared.get("project") == Some(&project.to_string());
    if args.project.as_ref().is_some_and(|project| !is_for(project)) {
        return false;
    }
    let name = match (&image.reference, &image.was) {
        (Some(name), _) => name,
        (None, Some(was)) if all => was,
        (None, _) => return all && pattern.is_none(),
    };
    pattern.is_none_or(|pattern| pattern.matches(name))
}

fn sort(images: &mut [Summary], by: Sort) {
    let name = |image: &Summary| {
        (image.reference.is_none(), image.reference.clone().or(image.was.clone()), image.digest)
    };
    images.sort_by_cached_key(name);
    match by {
        Sort::Name => {}
        Sort::Size => images.sort_by_key(|image| std::cmp::Reverse(image.size)),
        Sort::Imported => images.sort_by(|a, b| b.imported.cmp(&a.imported)),
        Sort::Used => images.sort_by_key(|image| std::cmp::Reverse(image.usage.map(|usage| usage.last))),
    }
}

fn table(images: &[Summary]) -> Outcome {
    let mut table =
        Table::new(&["REFERENCE", "DIGEST", "PLATFORM", ">SIZE", "IMPORTED", "LAST USED", "PINNED"]);
    for image in images {
        let name = match (&image.reference, &image.was) {
            (Some(name), _) => name.clone(),
            (None, Some(was)) => format!("(was {was})"),
            (None, None) => "(nameless)".to_owned(),
        };
        table.row([
            name,
            image.digest.short(),
            image.platforms.join(","),
            human(image.size),
            image.imported.as_deref().map_or("-".to_owned(), |time| time.replace('T', " ").replace('Z', "")),
            shown_time(image.usage.map(|usage| usage.last)),
            if image.pinned { "yes".to_owned() } else { String::new() },
        ]);
    }
    table.print()
}

/// The last use as RFC 3339.
pub(super) fn last_used(image: &Summary) -> Option<String> {
    formatted(image.usage?.last, "%Y-%m-%dT%H:%M:%SZ")
}

/// A last use (seconds since 1970), for people.
pub(super) fn shown_time(last: Option<i64>) -> String {
    last.and_then(|last| formatted(last, "%Y-%m-%d %H:%M:%S")).unwrap_or_else(|| "never".to_owned())
}

fn formatted(seconds: i64, form: &str) -> Option<String> {
    Some(jiff::Timestamp::from_second(seconds).ok()?.strftime(form).to_string())
}

pub(super) fn value(image: &Summary) -> Value {
    let list = |word| match image.declared.get(word) {
        Some(items) => items.split(',').map(str::trim).collect::<Vec<_>>(),
        None => Vec::new(),
    };
    json!({
        "reference": image.reference,
        "was": image.was,
        "digest": image.digest,
        "image_id": image.image_id,
        "platforms": image.platforms,
        "size": image.size,
        "imported": image.imported,
        "last_used": last_used(image),
        "use_count": image.usage.map_or(0, |usage| usage.count),
        "pinned": image.pinned,
        "project": image.declared.get("project"),
        "os": image.declared.get("os"),
        "arch": image.declared.get("arch"),
        "variant": image.declared.get("variant"),
        "compilers": list("compilers"),
        "packages": list("packages"),
        "tools": list("tools"),
    })
}
