//! What of an output is larder's own: what the list of an earlier run has. All else is somebody's, and is neither replaced nor removed.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fs::{self, Metadata};
use std::io::ErrorKind;
use std::path::Path;

use larder_store::Error as StoreError;

use super::Definitions;
use super::error::{Error, Result};
use super::generate::{Made, directory};
use super::write::is_there;

/// Paths that were made, a line each.
pub(super) const LIST: &str = ".larder-generated";
/// Bytes of it.
const LONGEST_LIST: u64 = 64 << 20;

/// What stands there, be it a link.
pub(super) fn look(path: &Path) -> Result<Option<Metadata>> {
    match path.symlink_metadata() {
        Ok(meta) => Ok(Some(meta)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(error) => Err(StoreError::io("stat", path)(error).into()),
    }
}

/// What an earlier run made.
pub(super) fn listed(out: &Path) -> Result<BTreeSet<String>> {
    let path = out.join(LIST);
    let Some(meta) = look(&path)? else { return Ok(BTreeSet::new()) };
    let wrong = |why: String| Error::InTheWay(vec![format!("{}: {why}", path.display())]);
    if !meta.is_file() || meta.len() > LONGEST_LIST {
        return Err(wrong("is no list that larder wrote".to_owned()));
    }
    let text = fs::read(&path).map_err(StoreError::io("read", &path))?;
    let text = String::from_utf8(text).map_err(|_| wrong("is no list that larder wrote".to_owned()))?;
    parse(&text).map_err(|line| wrong(format!("line {line}: larder did not write this; it is no list")))
}

/// The paths of a list; else the line that is none. What somebody else wrote into it says nothing about who made a file.
fn parse(text: &str) -> Result<BTreeSet<String>, usize> {
    let mut found = BTreeSet::new();
    for (at, line) in text.split_inclusive('\n').enumerate() {
        let path = line.strip_suffix('\n').ok_or(at + 1)?;
        let is_name = |name: &str| !["", ".", ".."].contains(&name);
        if path == LIST || path.contains(char::is_control) || !path.split('/').all(is_name) {
            return Err(at + 1);
        }
        found.insert(path.to_owned());
    }
    Ok(found)
}

/// What is in the way of these files and an earlier run did not make: an error that names all of it. What is there by somebody's hand just as
/// it would be made is left to them: the paths of that.
pub(super) fn foreign(
    definitions: &Definitions,
    out: &Path,
    files: &BTreeMap<String, Made<'_>>,
    before: &BTreeSet<String>,
) -> Result<BTreeSet<String>> {
    let (mut wrong, mut same, mut known) = (BTreeSet::new(), BTreeSet::new(), HashSet::new());
    let say = |path: &str, why: &str| format!("{}: {why}", out.join(path).display());
    for (path, made) in files {
        if let Some(above) = no_directory(out, path, &mut known)? {
            // Else it goes, or becomes a directory.
            if !before.contains(above) {
                wrong.insert(say(above, "is in the way: a directory is to be there"));
            }
            continue;
        }
        if before.contains(path) {
            continue;
        }
        let at = out.join(path);
        let Some(meta) = look(&at)? else { continue };
        let below = format!("{path}/");
        let is_emptied = || before.range(below.clone()..).next().is_some_and(|next| next.starts_with(&below));
        if is_there(definitions, *made, &at, &meta)? {
            same.insert(path.clone());
        } else if !(meta.is_dir() && is_emptied()) {
            wrong.insert(say(path, "is there already, and larder did not make it"));
        }
    }
    for tag in definitions.tags.iter().filter(|tag| tag.rootfs.is_some()) {
        let mut open = vec![format!("{}/rootfs", directory(tag))];
        while let Some(dir) = open.pop() {
            for name in names(&out.join(&dir))? {
                let path = format!("{dir}/{name}");
                match files.get(&path) {
                    Some(made) if !made.is_directory() => {}
                    // A directory that goes may have more in it than what was made.
                    Some(_) => open.push(path),
                    None if before.contains(&path) => open.push(path),
                    None => {
                        wrong.insert(say(&path, "would go into the image, and no definition has it"));
                    }
                }
            }
        }
    }
    match wrong.is_empty() {
        true => Ok(same),
        false => Err(Error::InTheWay(wrong.into_iter().collect())),
    }
}

/// The first of the paths above that is there and no directory.
fn no_directory<'a>(out: &Path, path: &'a str, known: &mut HashSet<&'a str>) -> Result<Option<&'a str>> {
    for (at, _) in path.match_indices('/') {
        let above = &path[..at];
        if known.contains(above) {
            continue;
        }
        match look(&out.join(above))? {
            Some(meta) if !meta.is_dir() => return Ok(Some(above)),
            Some(_) => {
                known.insert(above);
            }
            None => return Ok(None),
        }
    }
    Ok(None)
}

/// The names in a directory, without following a link; none where there is no directory.
fn names(dir: &Path) -> Result<Vec<String>> {
    if !look(dir)?.is_some_and(|meta| meta.is_dir()) {
        return Ok(Vec::new());
    }
    let failed = |error| Error::from(StoreError::io("read", dir)(error));
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        found.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_read_whole_or_not_at_all() {
        let list = |paths: &[&str]| Ok(paths.iter().map(|path| (*path).to_owned()).collect());
        for (text, expected) in [
            ("", list(&[])),
            ("a/1/Dockerfile\na/2\n", list(&["a/1/Dockerfile", "a/2"])),
            ("a/1\na/2", Err(2)),
            ("a\n\nb\n", Err(2)),
            ("/etc/passwd\n", Err(1)),
            ("a\n../b\n", Err(2)),
            ("a/./b\n", Err(1)),
            ("a//b\n", Err(1)),
            ("a\tb\n", Err(1)),
            ("a\r\n", Err(1)),
            (".larder-generated\n", Err(1)),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
