//! Reading an image's inventory from its layers. Nothing is unpacked to disk, and nothing of the image is run.
//!
//! What is damaged is named among the inventory's problems, and the rest goes on; a layer that cannot be read is an error.

use std::collections::{BTreeMap, BTreeSet};

use larder_store::cancel::Cancel;
use larder_store::error::Result;
use larder_store::facts::databases::{self, Installed};
use larder_store::facts::os_release;
use larder_store::manifest::ImageManifest;
use larder_store::members::{Answer, Content, Kind as Node, MAX_CONTENT, Search, of_image};
use larder_store::store::Store;

use super::inventory::{Found, Inventory};
use super::kind::Kind;
use super::package::{Package, is_word};
use super::read::{copyright, npm, python, rpm};

/// The first one counts (os-release(5)).
const OS_RELEASE: [&str; 2] = ["etc/os-release", "usr/lib/os-release"];
const STATUS_DIR: &str = "var/lib/dpkg/status.d";
const PACMAN_LOCAL: &str = "var/lib/pacman/local";
/// Files in which a package manager keeps all packages, with what reads them.
const DATABASES: [(&str, Read); 5] = [
    ("var/lib/dpkg/status", dpkg),
    ("lib/apk/db/installed", apk),
    ("usr/lib/apk/db/installed", apk),
    (rpm::PLACES[0], rpm),
    (rpm::PLACES[1], rpm),
];
/// Packages of one image.
const MAX_PACKAGES: usize = 200_000;
/// Bytes of all files together that are read.
const MAX_ALL_CONTENT: u64 = 1 << 30;
/// What is said of damage, in lines.
const MAX_PROBLEMS: usize = 100;

/// Packages, and what is damaged.
type Read = fn(&[u8]) -> (Vec<Package>, Option<String>);

/// Reads the inventory of a container image.
pub(crate) fn inventory(store: &Store, image: &ImageManifest, cancel: &Cancel) -> Result<Inventory> {
    let (_, config) = store.config(image)?;
    let layers = of_image(store, image, &config)?;
    let mut search = Search::new();
    for path in OS_RELEASE.into_iter().chain(DATABASES.map(|(path, _)| path)) {
        search.content(path.as_bytes());
    }
    search.all(&is_wanted);
    let answer = search.look(&layers, cancel)?;
    let mut gathering =
        Gathering { answer, cancel, left: MAX_ALL_CONTENT, found: Vec::new(), problems: Vec::new() };
    let os = gathering.os()?;
    let mut seen = BTreeSet::new();
    for (path, read) in DATABASES {
        // One may be a link to the other.
        if gathering.answer.real(path.as_bytes()).is_none_or(|real| seen.insert(real)) {
            gathering.database(path, read)?;
        }
    }
    gathering.single_files()?;
    gathering.licences()?;
    let Gathering { mut found, problems, .. } = gathering;
    found.sort();
    found.dedup();
    Ok(Inventory { os, layers: config.diff_ids().to_vec(), found, problems })
}

fn is_wanted(path: &[u8]) -> bool {
    std::str::from_utf8(path)
        .is_ok_and(|path| single(path).is_some() || copyright::package_of(path).is_some())
}

/// What reads a file that is one package.
fn single(path: &str) -> Option<Read> {
    let (directory, name) = path.rsplit_once('/')?;
    let is_desc =
        || directory.rsplit_once('/').is_some_and(|(above, _)| name == "desc" && above == PACMAN_LOCAL);
    match () {
        () if python::is_metadata(path) => Some(|bytes| {
            one(python::distribution(bytes)
                .map(Some)
                .ok_or_else(|| "it names no package with a version".to_owned()))
        }),
        () if npm::is_manifest(path) => Some(|bytes| one(npm::package(bytes))),
        () if directory == STATUS_DIR && !name.ends_with(".md5sums") => Some(dpkg),
        () if is_desc() => Some(|bytes| plain(Kind::Alpm, databases::pacman(bytes))),
        () => None,
    }
}

fn dpkg(bytes: &[u8]) -> (Vec<Package>, Option<String>) {
    plain(Kind::Deb, databases::dpkg(bytes))
}

fn apk(bytes: &[u8]) -> (Vec<Package>, Option<String>) {
    plain(Kind::Apk, databases::apk(bytes))
}

fn rpm(bytes: &[u8]) -> (Vec<Package>, Option<String>) {
    let rpm::Database { packages, damage } = rpm::database(bytes);
    (packages, damage)
}

fn one(package: Result<Option<Package>, String>) -> (Vec<Package>, Option<String>) {
    match package {
        Ok(package) => (package.into_iter().collect(), None),
        Err(why) => (Vec::new(), Some(why)),
    }
}

fn plain(kind: Kind, database: databases::Database) -> (Vec<Package>, Option<String>) {
    let skipped = database.skipped;
    let packages = database.packages.into_iter().filter_map(|installed| package(kind, &installed)).collect();
    (packages, (skipped > 0).then(|| format!("{skipped} of its packages cannot be understood")))
}

fn package(kind: Kind, installed: &Installed) -> Option<Package> {
    let Installed { package, source, licences, size } = installed;
    let mut found =
        Package::new(kind, &package.name, &package.version)?.with_architecture(&package.architecture);
    found.add_licences(licences.iter().map(String::as_str));
    // dpkg names it where it has another name or version: `gcc-12 (12.2.0-14)`.
    let (name, version) = source.split_once(' ').map_or((source.as_str(), None), |(name, version)| {
        (name, Some(version.trim_matches(['(', ')', ' '])))
    });
    found.source =
        is_word(name).then(|| (name.to_owned(), version.filter(|word| is_word(word)).map(str::to_owned)));
    found.size = *size;
    Some(found)
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
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(what);
        }
    }

    fn add(&mut self, found: impl IntoIterator<Item = Found>) {
        let room = MAX_PACKAGES.saturating_sub(self.found.len());
        self.found.extend(found.into_iter().take(room));
        if self.found.len() == MAX_PACKAGES {
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

    /// A file of all packages: what it has at last, and by which layer each came.
    fn database(&mut self, path: &str, read: Read) -> Result<()> {
        let Some(node) = self.answer.leads_to(path.as_bytes()) else {
            if self.answer.goes_in_a_circle(path.as_bytes()) {
                self.problem(format!("/{path}: leads to links that go in a circle"));
            }
            return Ok(());
        };
        let Node::File(last) = node.kind.clone() else {
            self.problem(format!("/{path}: is no file"));
            return Ok(());
        };
        let real = self.answer.real(path.as_bytes()).unwrap_or_default();
        let mut versions: Vec<Content> =
            self.answer.versions(&real).filter(|file| file.layer < last.layer).cloned().collect();
        versions.push(last);
        let mut by_layer: BTreeMap<usize, Vec<Package>> = BTreeMap::new();
        let mut damage = None;
        let wanted = self.wanted(path, &versions);
        self.answer.contents(wanted, self.cancel, &mut |number, bytes| {
            let (packages, why) = read(bytes);
            by_layer.insert(number, packages);
            // Only what is there at last is told of: the others are hidden.
            damage = why.filter(|_| number + 1 == versions.len());
        })?;
        let last = by_layer.remove(&(versions.len() - 1)).unwrap_or_default();
        let before: Vec<BTreeSet<_>> = (0..versions.len() - 1)
            .map(|number| by_layer.get(&number).into_iter().flatten().map(same).collect())
            .collect();
        let found = last.into_iter().map(|package| {
            let unchanged =
                before.iter().rev().take_while(|packages| packages.contains(&same(&package))).count();
            let layer = versions[versions.len() - 1 - unchanged].layer;
            Found { package, path: path.to_owned(), layer }
        });
        let found: Vec<_> = found.collect();
        self.add(found);
        if let Some(why) = damage {
            self.problem(format!("/{path}: damaged: {why}"));
        }
        Ok(())
    }

    /// Which of these are not too large to be read, with their numbers.
    fn wanted<'c>(&mut self, path: &str, files: &'c [Content]) -> Vec<(&'c Content, usize)> {
        let mut wanted = Vec::new();
        for (number, file) in files.iter().enumerate() {
            if file.size <= MAX_CONTENT.min(self.left) {
                self.left -= file.size;
                wanted.push((file, number));
            } else {
                self.problem(format!("/{path}: is not read: it has {} bytes", file.size));
            }
        }
        wanted
    }

    /// Files that are a package each.
    fn single_files(&mut self) -> Result<()> {
        let rule = |path: &[u8]| std::str::from_utf8(path).is_ok_and(|path| single(path).is_some());
        let mut files: Vec<(String, Content, Read)> = Vec::new();
        for (path, node) in self.answer.all(&rule) {
            let path = String::from_utf8_lossy(path).into_owned();
            if let (Node::File(content), Some(read)) = (&node.kind, single(&path)) {
                files.push((path, content.clone(), read));
            }
        }
        let mut wanted = Vec::new();
        for (number, (path, content, _)) in files.iter().enumerate() {
            wanted.extend(
                self.wanted(path, std::slice::from_ref(content)).into_iter().map(|(file, _)| (file, number)),
            );
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
        let debian = self.found.iter().enumerate().filter(|(_, found)| found.package.kind == Kind::Deb);
        let files = debian.map(|(at, found)| (at, format!("usr/share/doc/{}/copyright", found.package.name)));
        // A directory may be a link to that of another package.
        let files: Vec<_> = files.filter(|(_, path)| self.answer.real(path.as_bytes()).is_some()).collect();
        let paths: Vec<_> = files.iter().map(|(_, path)| path.as_bytes()).collect();
        let mut licences = Vec::new();
        self.answer.read(&paths, self.cancel, &mut |number, bytes| {
            licences.push((files[number].0, bytes.map(copyright::licences).unwrap_or_default()));
        })?;
        for (at, said) in licences {
            self.found[at].package.add_licences(said.iter().map(String::as_str));
        }
        Ok(())
    }
}

/// What makes a package the same one in two layers.
fn same(package: &Package) -> (String, String, Option<String>) {
    (package.name.clone(), package.version.clone(), package.architecture.clone())
}
