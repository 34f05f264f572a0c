//! Reading an image's inventory from its layers. Nothing of the image is run, and of its files none goes to disk but what rpm wrote ahead.
//!
//! What is damaged is named among the inventory's problems, and the rest goes on; a layer that cannot be read is an error.

mod databases;

use std::collections::{BTreeMap, BTreeSet};

use larder_store::cancel::Cancel;
use larder_store::error::Result;
use larder_store::facts::os_release;
use larder_store::manifest::ImageManifest;
use larder_store::members::{Answer, Content, Kind as Node, MAX_CONTENT, Search, of_image};
use larder_store::store::Store;

use crate::sbom::inventory::{Found, Inventory};
use crate::sbom::kind::Kind;
use crate::sbom::places::{DATABASES, Place, Read, single};
use crate::sbom::read::{copyright, rpm};

/// The first one counts (os-release(5)).
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
/// Packages of one image.
const MAX_PACKAGES: usize = 200_000;
/// Bytes of all files together that are read.
const MAX_ALL_CONTENT: u64 = 1 << 30;
/// What is read of a directory that a package's link leads to.
const LINKED: [&str; 3] = ["/package.json", "/METADATA", "/PKG-INFO"];
/// Bytes of what all packages of an image together say of their licences: one file may be that of very many.
const MAX_ALL_LICENCES: usize = 16 << 20;
/// Packages that are links to elsewhere.
const MAX_LINKED: usize = 10_000;
/// What is said of damage, in lines.
const MAX_PROBLEMS: usize = 100;

/// Reads the inventory of a container image.
pub(crate) fn inventory(store: &Store, image: &ImageManifest, cancel: &Cancel) -> Result<Inventory> {
    let (_, config) = store.config(image)?;
    let layers = of_image(store, image, &config)?;
    let mut search = Search::new();
    OS_RELEASE.iter().for_each(|path| search.content(path.as_bytes()));
    for Place { path, log, .. } in DATABASES {
        search.content(path.as_bytes());
        log.into_iter().for_each(|log| search.content(format!("{path}{log}").as_bytes()));
    }
    rpm::OLDER.iter().for_each(|path| search.node(path.as_bytes()));
    search.all(&is_wanted);
    let answer = search.look(&layers, cancel)?;
    let linked = linked(&answer);
    let mut gathering =
        Gathering { answer, cancel, left: MAX_ALL_CONTENT, found: Vec::new(), problems: Vec::new() };
    let os = gathering.os()?;
    let mut seen = BTreeSet::new();
    for place in DATABASES {
        // One may be a link to the other.
        if gathering.answer.real(place.path.as_bytes()).is_none_or(|real| seen.insert(real)) {
            gathering.database(&place)?;
        }
    }
    gathering.older();
    gathering.single_files(&linked)?;
    gathering.licences()?;
    let Gathering { mut found, problems, .. } = gathering;
    found.sort();
    found.dedup();
    Ok(Inventory { os, layers: config.diff_ids().to_vec(), found, problems })
}

/// Also what only has the name of what is read: a link may lead there.
fn is_wanted(path: &[u8]) -> bool {
    let path = String::from_utf8_lossy(path);
    single(&path).is_some()
        || LINKED.iter().any(|name| path.ends_with(name))
        || copyright::package_of(&path).is_some()
}

fn is_single(path: &[u8]) -> bool {
    single(&String::from_utf8_lossy(path)).is_some()
}

/// Packages that are links to files or directories elsewhere, as `npm install` and `npm link` make of a directory.
fn linked(answer: &Answer<'_>) -> Vec<Vec<u8>> {
    let below = |link| std::iter::once("").chain(LINKED).map(move |name| [link, name.as_bytes()].concat());
    let paths = answer.links().flat_map(below).filter(|path| is_single(path));
    let is_elsewhere = |path: &Vec<u8>| match answer.real(path) {
        Some(real) => !is_single(&real),
        None => answer.goes_in_a_circle(path),
    };
    paths.filter(is_elsewhere).collect()
}

struct Gathering<'l> {
    answer: Answer<'l>,
    cancel: &'l Cancel,
    /// Bytes that may still be read.
    left: u64,
    found: Vec<Found>,
    problems: Vec<String>,
}

impl Gathering<'_> {
    fn problem(&mut self, what: String) {
        // A path may have any characters; what is said of it is one line.
        let what = what.replace('\n', "\\u{a}");
        if self.problems.len() < MAX_PROBLEMS && !self.problems.contains(&what) {
            self.problems.push(what);
        }
    }

    fn add(&mut self, found: impl IntoIterator<Item = Found>) {
        let room = MAX_PACKAGES.saturating_sub(self.found.len());
        let mut found = found.into_iter();
        self.found.extend(found.by_ref().take(room));
        if found.next().is_some() {
            self.problem(format!("there are more than {MAX_PACKAGES} packages"));
        }
    }

    fn os(&mut self) -> Result<Option<(String, Option<String>)>> {
        let Some(path) = OS_RELEASE.into_iter().find(|path| self.answer.real(path.as_bytes()).is_some())
        else {
            return Ok(None);
        };
        let mut os = None;
        self.answer
            .read(&[path.as_bytes()], self.cancel, &mut |_, bytes| os = bytes.ok().map(os_release::parse))?;
        Ok(os.map(|os| (os.id, os.version_id)))
    }

    /// Which of these are not too large to be read, with their numbers.
    fn wanted<'c>(
        &mut self,
        path: &str,
        files: impl IntoIterator<Item = (&'c Content, usize)>,
    ) -> Vec<(&'c Content, usize)> {
        let mut wanted = Vec::new();
        for (file, number) in files {
            if file.size <= MAX_CONTENT.min(self.left) {
                self.left -= file.size;
                wanted.push((file, number));
            } else {
                self.problem(format!("/{path}: is not read: it has {} bytes", file.size));
            }
        }
        wanted
    }

    /// Files that are a package each: those at places for that, and those that links at such places lead to.
    fn single_files(&mut self, linked: &[Vec<u8>]) -> Result<()> {
        let mut files: Vec<(String, Content, Read)> = Vec::new();
        for (path, node) in self.answer.all(&is_single) {
            let path = String::from_utf8_lossy(path).into_owned();
            if let (Node::File(content), Some(read)) = (&node.kind, single(&path)) {
                files.push((path, content.clone(), read));
            }
        }
        let mut seen = BTreeSet::new();
        for path in linked.iter().take(MAX_LINKED) {
            let called = String::from_utf8_lossy(path);
            if self.answer.goes_in_a_circle(path) {
                self.problem(format!("/{called}: leads to links that go in a circle"));
            }
            let Some(real) = self.answer.real(path).filter(|real| !is_single(real)) else {
                continue;
            };
            let node = self.answer.leads_to(path);
            if let (Some(Node::File(content)), Some(read)) = (node.map(|node| &node.kind), single(&called))
                && seen.insert(real.clone())
            {
                files.push((String::from_utf8_lossy(&real).into_owned(), content.clone(), read));
            }
        }
        if linked.len() > MAX_LINKED {
            self.problem(format!("there are more than {MAX_LINKED} packages that are links"));
        }
        let mut wanted = Vec::new();
        for (number, (path, content, _)) in files.iter().enumerate() {
            wanted.extend(self.wanted(path, [(content, number)]));
        }
        let (mut found, mut damaged) = (Vec::new(), Vec::new());
        self.answer.contents(wanted, self.cancel, &mut |number, bytes| {
            let (path, content, read) = &files[number];
            let (packages, damage) = read(bytes);
            found.extend(packages.into_iter().map(|package| Found {
                package,
                path: path.clone(),
                layer: content.layer,
            }));
            damaged.extend(damage.map(|why| format!("/{path}: damaged: {why}")));
        })?;
        damaged.sort();
        damaged.into_iter().for_each(|problem| self.problem(problem));
        self.add(found);
        Ok(())
    }

    /// What Debian's packages say of their licences.
    fn licences(&mut self) -> Result<()> {
        // A directory may be a link to that of another package, and one file that of many.
        let mut packages: BTreeMap<Vec<u8>, Vec<usize>> = BTreeMap::new();
        for (at, found) in self.found.iter().enumerate().filter(|(_, found)| found.package.kind == Kind::Deb)
        {
            let path = format!("usr/share/doc/{}/copyright", found.package.name);
            if let Some(real) = self.answer.real(path.as_bytes()) {
                packages.entry(real).or_default().push(at);
            }
        }
        let mut files = Vec::new();
        for (real, packages) in packages {
            if let Some(Node::File(content)) = self.answer.leads_to(&real).map(|node| node.kind.clone()) {
                files.push((String::from_utf8_lossy(&real).into_owned(), content, packages));
            }
        }
        let mut wanted = Vec::new();
        for (number, (path, content, _)) in files.iter().enumerate() {
            wanted.extend(self.wanted(path, [(content, number)]));
        }
        let Gathering { answer, found, .. } = self;
        let mut left = MAX_ALL_LICENCES;
        answer.contents(wanted, self.cancel, &mut |number, bytes| {
            let said = copyright::licences(bytes);
            let bytes = said.iter().map(String::len).sum::<usize>();
            for at in &files[number].2 {
                left = left.saturating_sub(bytes);
                if left > 0 {
                    found[*at].package.add_licences(said.iter().map(String::as_str));
                }
            }
        })?;
        if left == 0 {
            self.problem(format!("licences of more than {MAX_ALL_LICENCES} bytes are not told"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory may have any bytes for a name.
    #[test]
    fn packages_are_found_wherever_they_lie() {
        for path in [&b"\xff/node_modules/x/package.json"[..], b"\xfe/site-packages/x-1.dist-info/METADATA"] {
            assert!(is_wanted(path) && is_single(path));
        }
        assert!(!is_wanted(b"\xff/x") && !is_single(b"\xff/package.json"));
    }
}
