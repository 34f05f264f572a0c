//! `image-registry.yml`: what other programs keep of a folder of `<project>/<name>.tar`.
//!
//! It comes from outside: paths that lead anywhere but to such a file are refused, each by name, and a text that is no YAML of
//! this kind is an error with its line. Keys that larder does not know are passed over in reading and stay in writing.

mod entry;
mod stored;
mod text;
mod time;
mod update;

use std::collections::BTreeMap;

use larder_store::error::Result;
use larder_store::fs::Dir;

pub(crate) use entry::{Entry, Said, declared_by};
pub(crate) use stored::{Placed, Stored, placed};
pub(crate) use text::{KEPT, Kept, Registry, reads};
pub(crate) use update::{Archive, is_current, updated};

/// Its name in the folder.
pub(crate) const NAME: &str = "image-registry.yml";

/// What it lists.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct ImageRegistry {
    /// By path, `<project>/<name>.tar`.
    pub(crate) files: BTreeMap<String, Listed>,
    /// Entries that name no such file.
    pub(crate) refused: Vec<Refused>,
}

/// What it says of a file. Times are seconds since 1970; one that cannot be read lies in the future.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) created: Option<i64>,
    pub(crate) last_used: Option<i64>,
}

/// An entry that is passed over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// Its name and what it has for a file.
    pub(crate) what: String,
    pub(crate) why: &'static str,
}

impl ImageRegistry {
    /// Reads the one of a folder; without one nothing is listed.
    pub(crate) fn read(dir: &Dir) -> Result<ImageRegistry> {
        reads(dir, NAME, ImageRegistry::parse)
    }

    /// Reads its text; the error says the line.
    fn parse(text: &str) -> Result<ImageRegistry, String> {
        let read = Registry::parse(text)?;
        let mut registry = ImageRegistry::default();
        for entry in read.entries() {
            let file = entry.strict("file")?.unwrap_or_default();
            match place(file) {
                Ok(path) => {
                    // What lists a file twice says the later of both.
                    let listed = registry.files.entry(path).or_default();
                    // A file must not look older than it is: nonsense is the future.
                    let seconds = |text| time::time(text).unwrap_or(i64::MAX);
                    listed.created = listed.created.max(entry.strict("created")?.map(seconds));
                    listed.last_used = listed.last_used.max(entry.strict("last_used")?.map(seconds));
                }
                Err(why) => {
                    let name = entry.strict("name")?.unwrap_or("(nameless)");
                    registry.refused.push(Refused { what: format!("{name}: {file:?}"), why });
                }
            }
        }
        Ok(registry)
    }
}

/// The path below the folder, or why there is none.
pub(crate) fn place(file: &str) -> Result<String, &'static str> {
    match parts(file)?[..] {
        [project, name] => Ok(format!("{project}/{name}")),
        _ => Err("is not <project>/<name>.tar"),
    }
}

/// The parts of a path that leads to an archive below its start, and to nothing hidden.
fn parts(file: &str) -> Result<Vec<&str>, &'static str> {
    if file.starts_with('/') {
        return Err("is an absolute path");
    }
    let parts: Vec<_> = file.split('/').filter(|part| *part != ".").collect();
    if parts.contains(&"..") {
        return Err("leads out of the folder");
    }
    if parts.contains(&NAME) {
        return Err("leads where the registry lies");
    }
    match parts.iter().all(|part| is_plain(part)) && parts.last().is_some_and(|name| name.ends_with(".tar")) {
        true => Ok(parts),
        false => Err("is not <project>/<name>.tar"),
    }
}

/// The directory of an archive.
fn project_of<'a>(parts: &[&'a str]) -> Option<&'a str> {
    parts.len().checked_sub(2).map(|at| parts[at])
}

/// Whether a name in the folder is neither hidden nor empty: temporary files are hidden.
pub(crate) fn is_plain(name: &str) -> bool {
    !name.starts_with('.') && !name.is_empty() && !name.contains('\0')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::yaml::tests::laughs;

    const NOON: i64 = 1_756_728_000;

    #[test]
    fn reads_what_matters_and_passes_over_the_rest() {
        let registry = ImageRegistry::parse(
            "version: 1\nowner: {name: x, list: [1, 2]}\nimages:\n- name: capy-gcc15\n  file: capy/gcc15.tar\n  docker_tag: capy:gcc15\n  \
             size_mb: 1.5\n  created: 2025-09-01T12:00:00Z\n  last_used: 2025-09-02T12:00:00+00:00\n  usage_count: 3\n  packages: [a, b]\n  \
             compilers: [{family: gcc}]\n- {name: 25.04, file: ./capy/old.tar, last_used: null}\n- {file: capy/gcc15.tar, last_used: 5}\n",
        )
        .expect("a registry");
        let listed = Listed { created: Some(NOON), last_used: Some(NOON + 86_400) };
        let expected = [("capy/gcc15.tar", listed), ("capy/old.tar", Listed::default())];
        assert_eq!(registry.files, expected.map(|(path, listed)| (path.to_owned(), listed)).into());
        assert_eq!(registry.refused, []);
        for empty in ["", "version: 1\n", "images:\n", "images: []\n", "---\n# nothing\n"] {
            assert_eq!(ImageRegistry::parse(empty), Ok(ImageRegistry::default()), "{empty:?}");
        }
    }

    #[test]
    fn paths_that_lead_elsewhere_are_refused_by_name_and_the_rest_goes_on() {
        for (file, why) in [
            ("../capy/a.tar", "out"),
            ("capy/../../a.tar", "out"),
            ("capy/..", "out"),
            ("/etc/a.tar", "absolute"),
            ("a.tar", "<project>"),
            ("x/capy/a.tar", "<project>"),
            ("capy//a.tar", "<project>"),
            ("capy/a.zip", "<project>"),
            ("capy/.a.tar", "<project>"),
            (".git/a.tar", "<project>"),
            ("capy/a\\0.tar", "<project>"),
            ("", "<project>"),
            ("image-registry.yml/a.tar", "registry"),
            ("./image-registry.yml/a.tar", "registry"),
        ] {
            let text =
                format!("images:\n- {{name: odd, file: \"{file}\"}}\n- {{name: b, file: capy/b.tar}}\n");
            let registry = ImageRegistry::parse(&text).expect(file);
            assert_eq!(registry.files.keys().collect::<Vec<_>>(), ["capy/b.tar"], "{file}");
            let [refused] = &registry.refused[..] else { panic!("{file}: {:?}", registry.refused) };
            assert!(refused.what.starts_with("odd: ") && refused.why.contains(why), "{refused:?}");
        }
        let registry = ImageRegistry::parse("images: [{name: a}]").expect("a registry");
        assert_eq!(registry.refused.len(), 1);
    }

    #[test]
    fn what_is_damaged_is_said_with_its_line() {
        for (text, line) in [
            ("version: 1\nimages:\n- name: a\n  file: [capy/a.tar]\n", 4),
            ("version: 1\nimages: {a: b}\n", 2),
            ("images:\n- name: a\n  file: capy/a.tar\n  file: capy/b.tar\n", 4),
            ("images:\n- {name: a, file: \"capy/a.tar}\n", 2),
            ("images:\n- name: a\n\tfile: b\n", 2),
            ("images:\n- just text\n", 2),
            ("images: *nothing\n", 1),
        ] {
            let error = ImageRegistry::parse(text).expect_err(text);
            assert!(error.contains(&format!("line {line}")), "{text:?}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
    }

    #[test]
    fn bombs_are_refused() {
        let laughs = laughs(40) + "images: *a39\n";
        let deep = format!("images: {}{}", "[".repeat(100_000), "]".repeat(100_000));
        for text in [laughs, deep] {
            assert!(ImageRegistry::parse(&text).is_err());
        }
    }

    #[test]
    fn times_are_never_read_as_earlier_than_they_may_be() {
        for (text, expected) in [
            ("2025-09-01T12:00:00Z", NOON),
            ("2025-09-01T14:00:00+02:00", NOON),
            ("1756728000", NOON),
            ("1756727999.5", NOON),
            ("2025-09-01T12:00:00.123456", NOON + 12 * 3600),
            ("2025-09-01 12:00:00", NOON + 12 * 3600),
            ("2025-09-01", NOON),
            ("yesterday", i64::MAX),
            ("", i64::MAX),
        ] {
            assert_eq!(time::time(text).unwrap_or(i64::MAX), expected, "{text:?}");
        }
    }
}
