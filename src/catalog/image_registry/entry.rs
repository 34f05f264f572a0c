//! An entry of a registry, as loose as programs write it, and what it declares.
//!
//! Liberal in reading: a compiler is `gcc-15`, `{family: gcc, version: 15}` or `{gcc: "15"}`, an os `Ubuntu 25.04` or `ubuntu:25.04`. What
//! is not understood is told and declares nothing; the entry itself is kept as it is by whoever imports it.

use larder_store::descriptor::Annotations;
use larder_store::index;
use larder_store::reference::Reference;

use super::time::time;
use super::{parts, project_of};
use crate::catalog::arch::Arch;
use crate::catalog::compiler::Compiler;
use crate::catalog::declared::Declared;
use crate::catalog::name::{Name, Suffix, Variant};
use crate::catalog::os::Os;
use crate::catalog::yaml::{Node, flow, parse};

/// What is not understood is shown so far.
const SHOWN: usize = 60;

/// One entry of `images`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry<'a>(pub(super) &'a Node);

/// What an entry says of its image.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Said {
    /// What it declares.
    pub(crate) declared: Annotations,
    /// When the image was last used (seconds since 1970); a record that says no more than how often has the time of `created`.
    pub(crate) last_used: Option<i64>,
    pub(crate) usage_count: u64,
    /// Keys with values that are not understood.
    pub(crate) unread: Vec<String>,
}

impl<'a> Entry<'a> {
    /// The text of a key, if it is one.
    pub(crate) fn text(self, key: &str) -> Option<&'a str> {
        self.0.get(key)?.scalar()
    }

    /// The same, for whoever must not take a list for nothing.
    pub(super) fn strict(self, key: &str) -> Result<Option<&'a str>, String> {
        match self.0.get(key) {
            Some(node) if node.scalar().is_none() && !node.is_null() => {
                Err(node.refuse(&format!("{key} is no text")))
            }
            node => Ok(node.and_then(Node::scalar)),
        }
    }

    /// Its name and line, for messages.
    pub(crate) fn shown(self) -> String {
        let name = self.text("name").or_else(|| self.text("docker_tag")).unwrap_or("(nameless)");
        format!("{} (line {})", cut(name), self.0.place.line)
    }

    /// What the image is called: its `docker_tag`, else its `name`.
    pub(crate) fn reference(self) -> Result<Reference, String> {
        let reference =
            |text: &str| text.parse::<Reference>().ok().filter(|reference| reference.digest().is_none());
        let texts = ["docker_tag", "name"].map(|key| self.text(key));
        texts
            .into_iter()
            .flatten()
            .find_map(reference)
            .ok_or_else(|| "neither its docker_tag nor its name can be the name of an image".to_owned())
    }

    /// The path of its archive, part by part.
    pub(crate) fn parts(self) -> Result<Vec<&'a str>, String> {
        let file = self.text("file").ok_or("names no file")?;
        parts(file).map_err(|why| format!("its file {:?} {why}", cut(file)))
    }

    /// Its text in one line; none where it could not be read again as it is.
    pub(crate) fn kept(self) -> Option<String> {
        let text = flow(self.0);
        parse(&text).is_ok_and(|again| again == *self.0).then_some(text)
    }

    /// What it says of the image of this name.
    pub(crate) fn said(self, reference: &Reference) -> Said {
        let mut said = Said::default();
        let mut declared = Declared {
            os: self.0.get("os").and_then(|os| said.take("os", os, os_of(os))),
            ..Declared::default()
        };
        for (item, read) in self.items("compilers").into_iter().flat_map(compilers_of) {
            declared.compilers.extend(said.take("compilers", &item, read));
        }
        for (item, read) in self.items("variants").into_iter().flat_map(suffixes_of) {
            declared.suffixes.extend(said.take("variants", &item, read).into_iter().flatten());
        }
        for (key, words) in [("packages", &mut declared.packages), ("tools", &mut declared.tools)] {
            for item in self.items(key) {
                let word = name_of(&item).map(str::parse).and_then(Result::ok);
                words.extend(said.take(key, &item, word));
            }
        }
        let directory = || project_of(&self.parts().ok()?)?.parse().ok();
        let mut annotations = match Name::of(reference) {
            Ok(name) => match declared.with(&name) {
                Ok(both) => both.annotations(),
                Err(why) => {
                    said.unread.push(why);
                    Declared { project: Some(name.project().clone()), ..declared }.annotations()
                }
            },
            Err(_) => Declared { project: directory(), ..declared }.annotations(),
        };
        if let Some(arch) = self.0.get("architecture").filter(|arch| !arch.is_null()) {
            let read = arch.scalar().and_then(|text| text.parse::<Arch>().ok());
            annotations.extend(
                said.take("architecture", arch, read)
                    .map(|arch| (format!("{}arch", index::OURS), arch.to_string())),
            );
        }
        said.declared = annotations;
        let mut times = ["last_used", "created"].map(|key| {
            let node = self.0.get(key).filter(|node| !node.is_null())?;
            said.take(key, node, node.scalar().and_then(time))
        });
        if let Some(count) = self.0.get("usage_count").filter(|count| !count.is_null()) {
            let read = count.scalar().and_then(|text| text.parse().ok());
            said.usage_count = said.take("usage_count", count, read).unwrap_or(0);
        }
        said.last_used = times[0].take().or(times[1].filter(|_| said.usage_count > 0));
        if let Some(size) = self.0.get("size_mb").filter(|size| !size.is_null()) {
            let read = size.scalar().and_then(|text| text.parse::<f64>().ok()).filter(|size| *size >= 0.0);
            said.take("size_mb", size, read);
        }
        said
    }

    /// What a key lists: items of a list, pairs of a mapping as mappings, words between commas.
    fn items(self, key: &str) -> Vec<Node> {
        let Some(node) = self.0.get(key).filter(|node| !node.is_null()) else { return Vec::new() };
        let single = |pair: &(Node, Node)| Node::map(vec![pair.clone()]);
        match (node.items(), node.pairs(), node.scalar()) {
            (Some(items), ..) => items.to_vec(),
            (_, Some(pairs), _) => pairs.iter().map(single).collect(),
            (_, _, Some(text)) => text.split(',').map(|word| Node::text(word.trim())).collect(),
            _ => Vec::new(),
        }
    }
}

impl Said {
    /// What was read of a value; else it is noted.
    fn take<T>(&mut self, key: &str, node: &Node, read: Option<T>) -> Option<T> {
        if read.is_none() && !node.is_null() {
            self.unread.push(format!("{key}: {}", cut(&flow(node))));
        }
        read
    }
}

/// What an entry that was kept declared of the image of this name.
pub(crate) fn declared_by(kept: &str, reference: &Reference) -> Option<Annotations> {
    let kept = parse(kept).ok()?;
    let entry = Entry(&kept);
    (entry.reference().as_ref() == Ok(reference)).then(|| entry.said(reference).declared)
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// `ubuntu:25.04`, `Ubuntu 25.04 LTS`, `ubuntu-25.04`, `{name: ubuntu, version: 25.04}`.
fn os_of(node: &Node) -> Option<Os> {
    if node.pairs().is_some() {
        let word = |key| Some(node.get(key)?.scalar()?.to_lowercase());
        return Os::new(&word("name")?, &word("version")?).ok();
    }
    let text = node.scalar()?.trim().to_lowercase();
    let text = text.strip_suffix(" lts").unwrap_or(&text);
    let split = |(at, _)| Os::new(&text[..at].replace(' ', "-"), &text[at + 1..]).ok();
    text.match_indices([':', ' ', '-']).find_map(split)
}

/// Each compiler of an item, or what cannot be read of it.
fn compilers_of(item: Node) -> Vec<(Node, Option<Compiler>)> {
    let Some(pairs) = item.pairs() else {
        let read = item.scalar().and_then(|text| text.trim().replace(' ', "-").parse().ok());
        return vec![(item, read)];
    };
    let family = ["family", "name", "compiler"].into_iter().find_map(|key| item.get(key)?.scalar());
    if let Some(family) = family {
        let version = item.get("version").and_then(Node::scalar);
        let read = version.and_then(|version| Compiler::new(family, version).ok());
        // `{name: gcc-15}`.
        let read = read.or_else(|| family.parse().ok().filter(|_| version.is_none()));
        return vec![(item, read)];
    }
    let mut found = Vec::new();
    for (family, versions) in pairs {
        for version in versions.items().unwrap_or(std::slice::from_ref(versions)) {
            let read = family.scalar().zip(version.scalar());
            let read = read.and_then(|(family, version)| Compiler::new(family, version).ok());
            found.push((Node::map(vec![(family.clone(), version.clone())]), read));
        }
    }
    found
}

/// `asan`, `gcc15-asan`, `{asan: true}`.
fn suffixes_of(item: Node) -> Vec<(Node, Option<Vec<Suffix>>)> {
    let Some(pairs) = item.pairs() else {
        let variant = item.scalar().and_then(|text| text.parse::<Variant>().ok());
        return vec![(item, variant.map(|variant| variant.suffixes.into_iter().collect()))];
    };
    let mut found = Vec::new();
    for (key, value) in pairs {
        let read = match value.scalar() {
            Some("true" | "True" | "yes") => key.scalar().and_then(|text| Some(vec![text.parse().ok()?])),
            Some("false" | "False" | "no") => Some(Vec::new()),
            _ => None,
        };
        found.push((Node::map(vec![(key.clone(), value.clone())]), read));
    }
    found
}

/// The name in an item of packages or tools: `cmake`, `{cmake: 3.28}`, `{name: cmake, version: 3.28}`.
fn name_of(item: &Node) -> Option<&str> {
    let Some(pairs) = item.pairs() else { return item.scalar() };
    item.get("name").and_then(Node::scalar).or_else(|| match pairs {
        [(name, _)] => name.scalar(),
        _ => None,
    })
}
