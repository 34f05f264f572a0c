//! `larder images`: what is there.

use clap::ValueEnum;
use larder_store::freshness::{Freshness, Stale};
use larder_store::policy::NamePattern;
use larder_store::settings::settings_of;
use larder_store::summary::{Summary, summarise};
use serde_json::{Value, json};

use super::base;
use super::with_package::{Answer, Match, Sought};
use crate::catalog::Project;
use crate::cli::{Context, Format, Outcome, Table, fail, human, note, print_json};
use crate::sbom::query::Query;

/// List the images
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only names like this (short, with or without the tag); `*` stands for any characters, `?` for one, [ab] for a or b
    pattern: Option<NamePattern>,

    /// Only those that were declared to be for this project
    #[arg(long)]
    project: Option<Project>,

    /// Only those that should be made anew, and why: as old as `rebuild_after` of the store's larder.toml allows, or made on
    /// a base whose name means another image by now
    #[arg(long)]
    stale: bool,

    /// Only those that have this package: openssl, 'openssl<3.0.14', 'deb:libssl3>=3,<3.0.14', 'src:openssl', 'libssl*'; given
    /// several times, those that have all of them. Each kind of package has its own order of versions, and documents of other
    /// tools that are attached to an image are asked too (docs/sbom.md)
    #[arg(long, value_name = "PACKAGE")]
    with_package: Vec<Query>,

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

/// An image, and why it is stale and what it has of the packages that were asked for, where that was asked.
struct Row {
    image: Summary,
    stale: Option<Stale>,
    packages: Vec<Match>,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let used = store.usage()?;
    let policy = if args.stale { Some(settings_of(&store)?.policy) } else { None };
    let now = super::now();
    let sought = Sought::new(&store, &args.with_package, &context.cancel)?;
    let ((mut rows, unknown), damaged) = super::look(&store, |index| {
        let (mut rows, mut unknown, mut damaged) = (Vec::new(), Vec::new(), Vec::new());
        let attached = sought.attached(index);
        let mut freshness = policy.as_ref().map(|policy| Freshness::new(&store, index, policy, now));
        for entry in index.entries() {
            let (image, looked) = summarise(&store, entry, &used);
            let is_asked = matches(&image, args);
            let stale = match freshness.as_mut().filter(|_| is_asked && looked.is_ok()) {
                Some(freshness) => freshness.of(entry),
                None => Ok(None),
            };
            let is_asked = is_asked && (!args.stale || matches!(stale, Ok(Some(_))));
            let packages = match args.with_package.is_empty() || !is_asked || looked.is_err() {
                true => Ok(Answer::default()),
                false => sought.of(entry, &attached),
            };
            let name = image.reference.clone().unwrap_or_else(|| image.digest.short());
            let mut damaged_in =
                |why: Option<String>| damaged.extend(why.map(|why| format!("{name}: {why}")));
            let packages = match packages {
                Ok(packages) => Some(packages),
                Err(error) => {
                    damaged_in(super::if_damaged(Err(error))?);
                    None
                }
            };
            if let Some(Answer { found: packages, problems, damaged }) = packages {
                damaged.into_iter().for_each(|why| damaged_in(Some(why)));
                if !problems.is_empty() {
                    unknown.push((name.clone(), problems));
                }
                if is_asked && (args.with_package.is_empty() || !packages.is_empty()) {
                    rows.push(Row { image, stale: stale.as_ref().ok().cloned().flatten(), packages });
                }
            }
            damaged.extend(super::if_damaged(looked.and(stale.map(drop)))?);
        }
        Ok(((rows, unknown), damaged))
    })?;
    sort(&mut rows, args.sort);
    match args.format {
        Format::Json => print_json(&rows.iter().map(Row::value).collect::<Vec<_>>())?,
        Format::Table => table(&rows, args)?,
    }
    for (name, problems) in &unknown {
        problems.iter().for_each(|problem| note(format_args!("{name}: {problem}")));
    }
    super::damaged_images(&damaged)?;
    if unknown.is_empty() {
        return Ok(());
    }
    let names = unknown.into_iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ");
    let why = format!("not all that is in {names} is known, and they may have what was asked for");
    Err(fail(why).in_part())
}

impl Row {
    fn value(&self) -> Value {
        let mut value = value(&self.image);
        if let Some(stale) = &self.stale {
            value["stale"] = json!(stale.to_string());
        }
        if !self.packages.is_empty() {
            value["with_packages"] = self.packages.iter().map(Match::value).collect();
        }
        value
    }
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

fn sort(rows: &mut [Row], by: Sort) {
    let name = |Row { image, .. }: &Row| {
        (image.reference.is_none(), image.reference.clone().or(image.was.clone()), image.digest)
    };
    rows.sort_by_cached_key(name);
    match by {
        Sort::Name => {}
        Sort::Size => rows.sort_by_key(|row| std::cmp::Reverse(row.image.size)),
        Sort::Imported => rows.sort_by(|a, b| b.image.imported.cmp(&a.image.imported)),
        Sort::Used => rows.sort_by_key(|row| std::cmp::Reverse(row.image.usage.map(|usage| usage.last))),
    }
}

fn table(rows: &[Row], args: &Args) -> Outcome {
    let mut headings = vec!["REFERENCE", "DIGEST", "PLATFORM", ">SIZE", "IMPORTED", "LAST USED", "PINNED"];
    headings.extend(args.stale.then_some("STALE"));
    headings.extend((!args.with_package.is_empty()).then_some("PACKAGES"));
    let mut table = Table::new(&headings);
    for Row { image, stale, packages } in rows {
        let name = match (&image.reference, &image.was) {
            (Some(name), _) => name.clone(),
            (None, Some(was)) => format!("(was {was})"),
            (None, None) => "(nameless)".to_owned(),
        };
        let cells = [
            name,
            image.digest.short(),
            image.platforms.join(","),
            human(image.size),
            image.imported.as_deref().map_or("-".to_owned(), |time| time.replace('T', " ").replace('Z', "")),
            shown_time(image.usage.map(|usage| usage.last)),
            if image.pinned { "yes".to_owned() } else { String::new() },
        ];
        let packages = packages.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let packages = (!args.with_package.is_empty()).then_some(packages);
        table.row(cells.into_iter().chain(stale.as_ref().map(ToString::to_string)).chain(packages));
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
        "base": base::value(image.base.as_ref()),
        "project": image.declared.get("project"),
        "os": image.declared.get("os"),
        "arch": image.declared.get("arch"),
        "variant": image.declared.get("variant"),
        "compilers": list("compilers"),
        "packages": list("packages"),
        "tools": list("tools"),
    })
}
