//! The programs on an image's PATH: for each name the one that a shell there would run.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::listing::clean;
use super::view::{Node, View};

/// Where programs are looked for if the image's config does not say.
const USUAL: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Directories of a PATH.
const MAX_DIRECTORIES: usize = 64;

/// A program that can be called by its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Where it is found, links on the way to the directory followed.
    pub path: String,
    /// Where the link leads that stands there, if it is one and that can be told.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

/// The directories of the PATH that an image's config sets, as plain relative paths, each once.
pub(super) fn path(config: &[u8]) -> Vec<String> {
    let config: Value = serde_json::from_slice(config).unwrap_or_default();
    let env = config["config"]["Env"].as_array();
    let mut settings = env.into_iter().flatten().filter_map(Value::as_str);
    let path = settings.find_map(|setting| setting.strip_prefix("PATH=")).unwrap_or(USUAL);
    let mut directories = Vec::new();
    let absolute = path.split(':').filter(|directory| directory.starts_with('/'));
    for directory in absolute.filter_map(|directory| clean(directory.as_bytes())) {
        if !directories.contains(&directory) && directories.len() < MAX_DIRECTORIES {
            directories.push(directory);
        }
    }
    directories
}

/// Finds the programs, sorted by name. A link counts unless it is seen to lead to something that cannot be run: where it leads
/// need not have been listed.
pub(super) fn programs(view: &View, path: &[String]) -> Vec<Program> {
    let mut found = BTreeMap::new();
    for directory in path {
        let Some((directory, _)) = view.resolve(directory) else { continue };
        for (name, node) in view.children(&directory) {
            if found.contains_key(name) {
                continue;
            }
            let path = format!("{directory}/{name}");
            let target = match node {
                Node::File(_, place) if place.is_executable => None,
                Node::Link(_) => match view.resolve(&path) {
                    Some((_, Some(Node::Directory))) | None => continue,
                    Some((_, Some(Node::File(_, place)))) if !place.is_executable => continue,
                    Some((target, None)) if view.is_empty_at(&target) => continue,
                    Some((target, _)) => Some(format!("/{target}")),
                },
                // A hard link to what was not listed.
                Node::Other => None,
                Node::File(..) | Node::Directory => continue,
            };
            found
                .insert(name.to_owned(), Program { name: name.to_owned(), path: format!("/{path}"), target });
        }
    }
    found.into_values().collect()
}
