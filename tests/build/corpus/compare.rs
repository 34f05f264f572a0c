//! What is different between two images: every file with its type, content, mode, owner, xattrs, link's target, device
//! numbers and hard links; and the config with its history.

use std::collections::BTreeMap;

use serde_json::Value;

use super::tree::{Kind, Name, Node, Tree, show};

/// An image, as far as it is compared.
#[derive(Debug)]
pub(super) struct Image {
    pub(super) tree: Tree,
    /// As the image has it, all of it.
    pub(super) config: Value,
}

/// Where, what of it, and both sides: `/etc/motd: mode: 644, expected 600`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Difference {
    /// A path of the tree, or `config` with the way to a value.
    pub(super) place: String,
    pub(super) aspect: &'static str,
    pub(super) found: String,
    pub(super) expected: String,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}: {}, expected {}", self.place, self.aspect, self.found, self.expected)
    }
}

/// All differences, by their places.
pub(super) fn differences(found: &Image, expected: &Image) -> Vec<Difference> {
    let mut all = trees(&found.tree, &expected.tree);
    values("config", &comparable(&found.config), &comparable(&expected.config), &mut all);
    all.sort();
    all
}

/// All differences between two trees.
pub(super) fn trees(found: &Tree, expected: &Tree) -> Vec<Difference> {
    let mut all = Vec::new();
    let mut add = |path: &Name, aspect, found: String, expected: String| {
        if found != expected {
            all.push(Difference { place: show(path), aspect, found, expected });
        }
    };
    let links = (found.hard_links(), expected.hard_links());
    let group = |links: &BTreeMap<Name, _>, path| match links.get(path) {
        Some(group) => {
            let group: &std::collections::BTreeSet<Name> = group;
            group.iter().map(|path| show(path)).collect::<Vec<_>>().join(" ")
        }
        None => "none".to_owned(),
    };
    for (path, ours) in found.files() {
        let Some(theirs) = expected.get(path) else {
            add(path, "file", kind(ours).to_owned(), "none".to_owned());
            continue;
        };
        add(path, "type", kind(ours).to_owned(), kind(theirs).to_owned());
        if kind(ours) == kind(theirs) {
            add(path, "content", content(ours), content(theirs));
        }
        add(path, "mode", format!("{:o}", ours.mode), format!("{:o}", theirs.mode));
        add(path, "owner", owner(ours), owner(theirs));
        add(path, "xattrs", xattrs(ours), xattrs(theirs));
        add(path, "hard links", group(&links.0, path), group(&links.1, path));
    }
    for (path, theirs) in expected.files().filter(|(path, _)| found.get(path).is_none()) {
        add(path, "file", "none".to_owned(), kind(theirs).to_owned());
    }
    all
}

fn kind(node: &Node) -> &'static str {
    match node.kind {
        Kind::Directory => "directory",
        Kind::File(..) => "regular file",
        Kind::Link(_) => "symbolic link",
        Kind::Fifo => "fifo",
        Kind::Device('c', ..) => "character device",
        Kind::Device(..) => "block device",
    }
}

fn content(node: &Node) -> String {
    match &node.kind {
        Kind::Directory | Kind::Fifo => String::new(),
        Kind::File(size, digest, begin) => format!("{size} bytes {digest} {}", begin.escape_ascii()),
        Kind::Link(target) => target.escape_ascii().to_string(),
        Kind::Device(_, major, minor) => format!("{major}:{minor}"),
    }
}

fn owner(node: &Node) -> String {
    format!("{}:{}", node.owner.0, node.owner.1)
}

fn xattrs(node: &Node) -> String {
    let all = node.xattrs.iter().map(|(name, value)| format!("{name}={}", value.escape_ascii()));
    all.collect::<Vec<_>>().join(" ")
}

/// What of a config is the Dockerfile's: not the time, the builder, the container of the last step, nor the layers' digests.
fn comparable(config: &Value) -> Value {
    let mut comparable = super::super::config::comparable(config);
    for name in ["architecture", "os", "variant"] {
        if !config[name].is_null() && config[name] != "" {
            comparable[name] = config[name].clone();
        }
    }
    let with_layer =
        config["history"].as_array().unwrap().iter().filter(|entry| entry["empty_layer"] != true).count();
    let layers = config["rootfs"]["diff_ids"].as_array().unwrap().len();
    comparable["layers_are_told"] = Value::from(with_layer == layers);
    comparable
}

/// Differences of two documents, as deep as they go. `place` is where they are.
pub(super) fn values(place: &str, found: &Value, expected: &Value, all: &mut Vec<Difference>) {
    match (found, expected) {
        (Value::Object(ours), Value::Object(theirs)) => {
            let names = ours.keys().chain(theirs.keys().filter(|name| !ours.contains_key(*name)));
            for name in names {
                values(&format!("{place}.{name}"), &found[name], &expected[name], all);
            }
        }
        (Value::Array(ours), Value::Array(theirs)) if ours.len() == theirs.len() => {
            for (number, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
                values(&format!("{place}.{number}"), ours, theirs, all);
            }
        }
        _ if found == expected => {}
        _ => all.push(Difference {
            place: place.to_owned(),
            aspect: "value",
            found: found.to_string(),
            expected: expected.to_string(),
        }),
    }
}
