//! `larder annotate`: metadata of a name.

use larder_store::base::Base;
use larder_store::index;

use super::base;
use crate::catalog::checked;
use crate::cli::{Context, Outcome, line};

/// Set metadata of an image's name: KEY=VALUE, or KEY= to take it away
///
/// KEY is one of project, os (ubuntu:25.04), arch, variant (gcc15-asan), compilers (gcc-15,clang-20), tools and packages
/// (several with commas), base (an image of the store, with whose layers this one begins), or any key with a dot in it, as
/// OCI annotations have. The image itself does not change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF")]
    image: String,
    /// What to set
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment)]
    assignments: Vec<(String, String)>,
}

/// What stands for the two annotations of a base.
const BASE: &str = "base";

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.chars().any(|c| c.is_control() || c.is_whitespace()) || value.chars().any(char::is_control) {
        return Err("control characters and spaces in a key are not taken".into());
    }
    if key == BASE {
        return Ok((key.to_owned(), value.to_owned()));
    }
    let key = if index::DECLARED.contains(&key) { format!("{}{key}", index::OURS) } else { key.to_owned() };
    let declared = key.strip_prefix(index::OURS).filter(|word| index::DECLARED.contains(word));
    if !key.contains('.') {
        return Err(format!(
            "{key:?} is none of {}, {BASE}; other keys have a dot (org.example.key)",
            index::DECLARED.join(", ")
        ));
    }
    if declared.is_none()
        && (key.starts_with(index::OURS) || key == index::REF_NAME || key == index::FULL_NAME)
    {
        return Err(format!("{key} is larder's own; tag, pin and import change it"));
    }
    let value = match declared {
        Some(word) if !value.is_empty() => checked(word, value)?,
        _ => value.to_owned(),
    };
    Ok((key, value))
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let shown = store.edit(|index| {
        let entry = store.resolve(index, &args.image)?;
        super::several_names(index, &entry, &args.image)?;
        let is_base = |(key, value): &&(String, String)| key == BASE && !value.is_empty();
        let base = args.assignments.iter().rfind(is_base);
        let base = base.map(|(_, value)| base::under(&store, index, &entry, value)).transpose()?;
        for target in index.entries_mut().iter_mut().filter(|other| **other == entry) {
            for (key, value) in &args.assignments {
                if key == BASE {
                    Base::remove(&mut target.annotations);
                } else if value.is_empty() {
                    target.annotations.remove(key);
                } else {
                    target.annotations.insert(key.clone(), value.clone());
                }
            }
            base.iter().for_each(|base| base.write(&mut target.annotations));
        }
        Ok(entry.annotation(index::REF_NAME).unwrap_or(&args.image).to_owned())
    })?;
    line(shown)
}
