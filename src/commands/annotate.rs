//! `larder annotate`: metadata of a name.

use larder_store::index;

use crate::cli::{Context, Outcome, line};

/// Set metadata of an image's name: KEY=VALUE, or KEY= to take it away
///
/// KEY is one of project, os, arch, variant, compilers, tools, packages, or any key with a dot in it, as OCI
/// annotations have. The image itself does not change.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    #[arg(value_name = "REF")]
    image: String,
    /// What to set
    #[arg(required = true, value_name = "KEY=VALUE", value_parser = assignment)]
    assignments: Vec<(String, String)>,
}

const DECLARED: [&str; 7] = ["project", "os", "arch", "variant", "compilers", "tools", "packages"];

fn assignment(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    if key.chars().any(|c| c.is_control() || c.is_whitespace()) || value.chars().any(char::is_control) {
        return Err("control characters and spaces in a key are not taken".into());
    }
    let key = if DECLARED.contains(&key) { format!("{}{key}", index::OURS) } else { key.to_owned() };
    let is_declared = key.strip_prefix(index::OURS).is_some_and(|word| DECLARED.contains(&word));
    if !key.contains('.') {
        return Err(format!(
            "{key:?} is none of {}; other keys have a dot (org.example.key)",
            DECLARED.join(", ")
        ));
    }
    if !is_declared && (key.starts_with(index::OURS) || key == index::REF_NAME || key == index::FULL_NAME) {
        return Err(format!("{key} is larder's own; tag, pin and import change it"));
    }
    Ok((key, value.to_owned()))
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let store = context.store()?;
    let shown = store.edit(|index| {
        let entry = store.resolve(index, &args.image)?;
        super::several_names(index, &entry, &args.image)?;
        for target in index.entries_mut().iter_mut().filter(|other| **other == entry) {
            for (key, value) in &args.assignments {
                if value.is_empty() {
                    target.annotations.remove(key);
                } else {
                    target.annotations.insert(key.clone(), value.clone());
                }
            }
        }
        Ok(entry.annotation(index::REF_NAME).unwrap_or(&args.image).to_owned())
    })?;
    line(shown)
}
