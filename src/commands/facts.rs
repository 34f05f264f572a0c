//! What was read from images, for `import` and `inspect`.

use std::collections::BTreeMap;

use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::error::Error;
use larder_store::facts::{self, Facts};
use larder_store::manifest::{Document, RawManifest};
use larder_store::store::Store;
use serde_json::Value;

use crate::cli::{CommandError, Outcome, Table, count, print, safe};

/// The facts of one container image, read now where they are not known; `None` for anything else. Where they cannot be read, why:
/// that is no failure of whoever asks.
pub(super) fn of(
    store: &Store,
    image: &Descriptor,
    cancel: &Cancel,
) -> Result<Result<Option<Facts>, String>, Error> {
    let facts = match store.document(image) {
        Ok(Some(RawManifest { document: Document::Image(document), .. })) if document.is_container() => {
            facts::of_image(store, &document, cancel).map(Some)
        }
        document => document.map(|_| None),
    };
    match facts {
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(error) => {
            let error = CommandError::from(error.within(format!("the facts of {}", image.digest)));
            Ok(Err(error.to_string()))
        }
        Ok(facts) => Ok(Ok(facts)),
    }
}

/// A few lines of them.
pub(super) fn rows(facts: &Value) -> Vec<(&'static str, String)> {
    let mut rows = Vec::new();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let os = &facts["os"];
    let name = text(&os["pretty_name"]).or_else(|| {
        let version = text(&os["version_id"]).map_or(String::new(), |version| format!(" {version}"));
        text(&os["id"]).map(|id| id + &version)
    });
    rows.extend(name.map(|name| ("Os", name)));
    let compilers = list_of(&facts["compilers"]).iter().map(|compiler| {
        let version = text(&compiler["version"]).map_or(String::new(), |version| format!(" {version}"));
        text(&compiler["family"]).unwrap_or_default() + &version
    });
    let compilers = compilers.collect::<Vec<_>>().join(", ");
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for package in list_of(&facts["packages"]) {
        *kinds.entry(package["kind"].as_str().unwrap_or_default()).or_default() += 1;
    }
    let packages =
        kinds.iter().map(|(kind, count)| format!("{count} ({kind})")).collect::<Vec<_>>().join(", ");
    let number = |list: &Value| Some(list_of(list).len()).filter(|count| *count > 0);
    let programs = number(&facts["programs"]).map(|count| count.to_string()).unwrap_or_default();
    let problems =
        number(&facts["problems"]).map(|number| format!("{}; --facts names them", count(number, "problem")));
    for (label, text) in [("Compilers", compilers), ("Packages", packages), ("Programs", programs)] {
        if !text.is_empty() {
            rows.push((label, text));
        }
    }
    rows.extend(problems.map(|problems| ("Not read", problems)));
    rows
}

/// All of them.
pub(super) fn list(facts: &Value) -> Outcome {
    for (key, headings, fields) in [
        ("compilers", ["COMPILER", "VERSION", "PATH"], ["family", "version", "path"]),
        ("packages", ["PACKAGE", "VERSION", "ARCHITECTURE"], ["name", "version", "architecture"]),
        ("programs", ["PROGRAM", "PATH", "LEADS TO"], ["name", "path", "target"]),
    ] {
        let items = list_of(&facts[key]);
        if items.is_empty() {
            continue;
        }
        print("\n")?;
        let mut table = Table::new(&headings);
        for item in items {
            table.row(fields.map(|field| item[field].as_str().unwrap_or("-").to_owned()));
        }
        table.print()?;
    }
    let problems = list_of(&facts["problems"]);
    if !problems.is_empty() {
        print("\nNot read\n")?;
    }
    for problem in problems {
        print(&format!("  {}\n", safe(problem.as_str().unwrap_or_default())))?;
    }
    Ok(())
}

fn list_of(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
