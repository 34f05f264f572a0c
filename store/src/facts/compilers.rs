//! The C and C++ compilers among an image's programs, with their versions.
//!
//! Nothing is run, so the version is what the package says that the compiler came in, and else what names say: of the
//! program itself (`gcc-12`), of what it is a link to, or of other names of the same file (`x86_64-linux-gnu-gcc-14.2.0`).

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::databases::Package;
use super::listing::name;
use super::programs::Program;
use super::view::{Node, View};

/// Its drivers, that for C first.
const FAMILIES: [(&str, [&str; 2]); 2] = [("gcc", ["gcc", "g++"]), ("clang", ["clang", "clang++"])];

/// A compiler that is installed in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Compiler {
    /// `gcc` or `clang`.
    pub family: String,
    /// `12.2.0`, or as much as can be told.
    pub version: Option<String>,
    /// The program, that for C where there is one.
    pub path: String,
}

/// One file, under all its names.
#[derive(Default)]
struct Driver<'a> {
    /// Names that are a driver's, with a version or without: (rank in the family, version, path).
    found: Vec<(usize, Option<&'a str>, &'a str)>,
    /// Versions in names of other shapes.
    hints: Vec<String>,
}

/// Finds them, sorted.
pub(super) fn compilers(view: &View, programs: &[Program], packages: &[Package]) -> Vec<Compiler> {
    let mut drivers: BTreeMap<(usize, usize, String), Driver<'_>> = BTreeMap::new();
    for program in programs {
        let Some((family, rank, version, is_bare)) = driver(&program.name) else { continue };
        let mut hints = Vec::new();
        let mut see = |path: &str| hints.push(path.to_owned());
        let Some((end, node)) = view.follow(&program.path, &mut see) else { continue };
        hints.push(end.clone());
        // Hard links are one file too.
        let identity = match node {
            Some(Node::File(layer, place)) => format!("{layer} {}", place.offset),
            _ => end,
        };
        let driver = drivers.entry((family, rank, identity)).or_default();
        if is_bare {
            driver.found.push((rank, version, &program.path));
        }
        driver.hints.extend(version.map(str::to_owned));
        driver.hints.extend(hints.iter().filter_map(|path| version_in(path)));
    }
    let mut compilers: BTreeMap<(usize, Option<String>), (usize, String)> = BTreeMap::new();
    for ((family, rank, _), driver) in drivers {
        // `gcc-12` says more than `gcc`, and of two that say the same the first path is taken.
        let best = driver.found.iter().min_by_key(|(_, version, path)| (version.is_none(), *path));
        let Some((_, _, path)) = best else { continue };
        let hint = driver.hints.iter().max_by_key(|hint| hint.len());
        let version = packaged(FAMILIES[family].1, rank, hint, path, packages).or(hint.cloned());
        let known = compilers.entry((family, version)).or_insert_with(|| (rank, (*path).to_owned()));
        if rank < known.0 {
            *known = (rank, (*path).to_owned());
        }
    }
    let all = compilers.into_iter().map(|((family, version), (_, path))| {
        let family = FAMILIES[family].0.to_owned();
        Compiler { family, version, path }
    });
    let mut all: Vec<_> = all.collect();
    all.sort();
    all
}

/// Takes a driver's name apart: family, rank, version, and whether it has no target before it (`x86_64-linux-gnu-`).
fn driver(name: &str) -> Option<(usize, usize, Option<&str>, bool)> {
    let (rest, version) = match name.rsplit_once('-') {
        Some((rest, version)) if is_version(version) => (rest, Some(version)),
        _ => (name, None),
    };
    FAMILIES.iter().enumerate().find_map(|(family, (_, names))| {
        let rank = names.iter().position(|driver| {
            rest.strip_suffix(driver).is_some_and(|before| before.is_empty() || before.ends_with('-'))
        })?;
        Some((family, rank, version, rest.len() == names[rank].len()))
    })
}

/// The version in a path of a compiler: in its name, or in the directory that it has for itself (`llvm-14`).
fn version_in(path: &str) -> Option<String> {
    let of_name = driver(name(path)).and_then(|(_, _, version, _)| version);
    let mut directories = path.split('/').filter_map(|part| part.strip_prefix("llvm-"));
    of_name.or_else(|| directories.find(|version| is_version(version))).map(str::to_owned)
}

fn is_version(text: &str) -> bool {
    text.len() <= 32
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
}

/// What the package says that the program came in. What stands in `/usr/local` came in none.
fn packaged(
    names: [&str; 2],
    rank: usize,
    hint: Option<&String>,
    path: &str,
    packages: &[Package],
) -> Option<String> {
    if !["/usr/bin/", "/bin/"].iter().any(|directory| path.starts_with(directory)) {
        return None;
    }
    let mut candidates = Vec::new();
    // The driver for C++ may come in the package of that for C.
    for driver in [names[rank], names[0]] {
        if let Some(hint) = hint {
            candidates.extend([format!("{driver}-{hint}"), format!("{driver}{hint}")]);
        }
        candidates.push(driver.to_owned());
    }
    candidates.iter().find_map(|candidate| {
        let at = packages.partition_point(|package| package.name < *candidate);
        let package = packages.get(at).filter(|package| package.name == *candidate)?;
        let version = upstream(&package.version)?;
        let fits = hint.is_none_or(|hint| version == hint || version.starts_with(&format!("{hint}.")));
        fits.then(|| version.to_owned())
    })
}

/// `12.2.0` of `4:12.2.0-14+deb12u1`, `14.2.1+r753-1`, `13.2.1_git20231014-r0`.
fn upstream(version: &str) -> Option<&str> {
    let version = version.split_once(':').map_or(version, |(_, version)| version);
    let end = version.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(version.len());
    Some(version[..end].trim_end_matches('.')).filter(|version| is_version(version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        for (name, expected) in [
            ("gcc", Some((0, 0, None, true))),
            ("g++-15", Some((0, 1, Some("15"), true))),
            ("clang++-20", Some((1, 1, Some("20"), true))),
            ("clang-14", Some((1, 0, Some("14"), true))),
            ("x86_64-linux-gnu-gcc-12", Some((0, 0, Some("12"), false))),
            ("x86_64-linux-gnu-g++", Some((0, 1, None, false))),
            ("gcc-ar-12", None),
            ("gcc-ar", None),
            ("clang-format-14", None),
            ("clangd", None),
            ("egcc", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(driver(name), expected, "{name}");
        }
        for (version, expected) in [
            ("4:12.2.0-3", Some("12.2.0")),
            ("14.2.1+r753+g1cd744a6828f-1", Some("14.2.1")),
            ("13.2.1_git20231014-r0", Some("13.2.1")),
            ("1:14.0-55.7~deb12u1", Some("14.0")),
            ("rolling", None),
            ("", None),
        ] {
            assert_eq!(upstream(version), expected, "{version}");
        }
    }
}
