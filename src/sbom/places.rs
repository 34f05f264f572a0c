//! Which files of an image say what is installed, and what reads each.

use larder_store::cancel::Cancel;
use larder_store::error::Result;
use larder_store::facts::databases::{self, Installed};

use super::kind::Kind;
use super::package::Package;
use super::read::{npm, python, rpm};

/// Packages, and what is damaged.
pub(crate) type Packages = (Vec<Package>, Option<String>);
/// Takes a file apart that is one package.
pub(crate) type Read = fn(&[u8]) -> Packages;

/// A file in which a package manager keeps all packages.
pub(crate) struct Place {
    /// Where it lies.
    pub(crate) path: &'static str,
    /// What its name has more where something is written ahead that belongs to it.
    pub(crate) log: Option<&'static str>,
    /// Takes it apart, and what was written ahead. An error where this machine cannot.
    pub(crate) read: fn(&[u8], &[u8], &Cancel) -> Result<Packages>,
}

/// All of them.
pub(crate) const DATABASES: [Place; 6] = [
    Place { path: "var/lib/dpkg/status", log: None, read: |bytes, _, _| Ok(dpkg(bytes)) },
    Place { path: "lib/apk/db/installed", log: None, read: |bytes, _, _| Ok(apk(bytes)) },
    Place { path: "usr/lib/apk/db/installed", log: None, read: |bytes, _, _| Ok(apk(bytes)) },
    Place { path: rpm::PLACES[0], log: Some(rpm::LOG), read: rpm },
    Place { path: rpm::PLACES[1], log: Some(rpm::LOG), read: rpm },
    Place { path: rpm::PLACES[2], log: Some(rpm::LOG), read: rpm },
];
const STATUS_DIR: &str = "var/lib/dpkg/status.d";
const PACMAN_LOCAL: &str = "var/lib/pacman/local";

/// What reads a file that is one package.
pub(crate) fn single(path: &str) -> Option<Read> {
    let (directory, name) = path.rsplit_once('/')?;
    let is_desc =
        || directory.rsplit_once('/').is_some_and(|(above, _)| name == "desc" && above == PACMAN_LOCAL);
    match () {
        () if python::is_metadata(path) => Some(|bytes| {
            one(python::distribution(bytes).ok_or_else(|| "it names no package with a version".to_owned()))
        }),
        () if npm::is_manifest(path) => Some(|bytes| one(npm::package(bytes))),
        () if directory == STATUS_DIR && !name.ends_with(".md5sums") => Some(dpkg),
        () if is_desc() => Some(|bytes| plain(Kind::Alpm, databases::pacman(bytes))),
        () => None,
    }
}

fn dpkg(bytes: &[u8]) -> Packages {
    plain(Kind::Deb, databases::dpkg(bytes))
}

fn apk(bytes: &[u8]) -> Packages {
    plain(Kind::Apk, databases::apk(bytes))
}

fn rpm(bytes: &[u8], log: &[u8], cancel: &Cancel) -> Result<Packages> {
    let rpm::Database { packages, damage } = rpm::database(bytes, log, cancel)?;
    Ok((packages, damage))
}

fn one(package: Result<Package, String>) -> Packages {
    match package {
        Ok(package) => (vec![package], None),
        Err(why) => (Vec::new(), Some(why)),
    }
}

fn plain(kind: Kind, database: databases::Database) -> Packages {
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
    found.size = *size;
    Some(found.with_source(name, version))
}
