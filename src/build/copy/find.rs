//! The words of a COPY or ADD to what they mean: paths, and patterns of paths.

use larder_store::cancel::Cancel;
use larder_store::digest::{Digest, Hasher};
use larder_store::error::{Error, Result};
use larder_store::place::{Counts, LeftOut, Source, Tree};
use larder_store::tree::{Kind, Level, join, split};

use super::{Context, From};
use crate::build::dockerfile::Copy;
use crate::build::path::{in_context, in_stage};
use crate::build::pattern::Pattern;

/// Names in a pattern with `/` between: for each a directory is open.
const MOST_PARTS: usize = 100;

/// What the words of a COPY or ADD lead to, in their order.
pub(crate) struct Found {
    pub(super) sources: Vec<Named>,
    pub(super) counts: Counts,
}

/// A source, and the name that it has in a directory.
pub(super) struct Named {
    pub(super) name: Vec<u8>,
    pub(super) source: Source,
    /// Whether ADD unpacks it.
    pub(super) is_archive: bool,
}

impl Found {
    /// What this step reads, for the cache: names, kinds, modes, links and contents (of layers owners and attributes too), and
    /// not the times. All files are read; what is placed afterwards has these contents, or is refused.
    pub(crate) fn digest(&mut self, cancel: &Cancel) -> Result<Digest> {
        let mut hasher = Hasher::new();
        for Named { name, source, is_archive } in &mut self.sources {
            let is_directory = source.kind() == Kind::Directory;
            // The content of a directory is copied, and its name is not.
            let name: &[u8] = if is_directory { b"" } else { name };
            hasher.update(&(name.len() as u64).to_be_bytes());
            hasher.update(name);
            hasher.update(&[u8::from(is_directory), u8::from(*is_archive)]);
            hasher.update(source.digest(self.counts, cancel)?.to_string().as_bytes());
        }
        Ok(hasher.finish())
    }
}

/// Finds what an expanded COPY (or ADD) means. An error names the word that means nothing.
pub(crate) fn find(from: From<'_>, copy: &Copy, is_add: bool, cancel: &Cancel) -> Result<Found> {
    let tree = from.tree()?;
    let mut sources = Vec::new();
    for word in &copy.sources {
        let path = match from {
            From::Context(_) => in_context(word).ok_or_else(|| outside(word))?,
            From::Layers(_) => in_stage(word),
        };
        let is_plain = !path.contains(['*', '?', '[']);
        let mut named: Vec<_> = match is_plain {
            true => named(&tree, from, path.as_bytes(), cancel)?.into_iter().collect(),
            false => Vec::new(),
        };
        // Docker 20.10 takes a backslash as it is where there is nothing else of a pattern, BuildKit as in a pattern.
        if named.is_empty() && (!is_plain || path.contains('\\')) {
            named = matching(&tree, from, &path, cancel).map_err(|e| e.within(format!("{word:?}")))?;
        }
        if named.is_empty() {
            return Err(missing(word, from));
        }
        sources.extend(named);
    }
    if is_add {
        for named in &mut sources {
            named.is_archive = named.source.is_archive()?;
        }
    }
    let counts = if matches!(from, From::Context(_)) { Counts::Content } else { Counts::Owners };
    Ok(Found { sources, counts })
}

/// What can be said against a source of the context before it is its turn: of one that is no pattern, whether it is there. No directory is gone through.
pub(crate) fn check_source(context: &Context, word: &str) -> Result<()> {
    let path = in_context(word).ok_or_else(|| outside(word))?;
    if path.contains(['*', '?', '[', '\\']) {
        return Ok(());
    }
    let from = From::Context(context);
    let hides = |path: &[u8], kind| from.leaves_out(path, kind) == LeftOut::All;
    let at = from.tree()?.resolve(path.as_bytes(), &hides)?;
    at.found.map(drop).ok_or_else(|| missing(word, from))
}

fn outside(word: &str) -> Error {
    Error::invalid(format!("{word:?}"), "leads out of the context")
}

fn missing(word: &str, from: From<'_>) -> Error {
    let why = match from {
        From::Context(_) => "there is no such file in the context, or .dockerignore leaves it out",
        From::Layers(_) => "there is no such file in what it is copied from",
    };
    Error::invalid(format!("{word:?}"), why)
}

/// What is at a path, links followed.
fn named(tree: &Tree, from: From<'_>, path: &[u8], cancel: &Cancel) -> Result<Option<Named>> {
    let at = tree.resolve(path, &|path, kind| from.leaves_out(path, kind) == LeftOut::All)?;
    let source = Source::look(tree, &at, &|path, kind| from.leaves_out(path, kind), cancel)?;
    Ok(source.map(|source| Named { name: split(path).1.to_vec(), source, is_archive: false }))
}

/// What matches a pattern. As in Docker no link is followed on the way to a match; a match itself may be one.
fn matching(tree: &Tree, from: From<'_>, pattern: &str, cancel: &Cancel) -> Result<Vec<Named>> {
    let wrong = |why: String| Error::invalid("the pattern", why);
    let parts = pattern.split('/').map(|part| Pattern::of_source(part).map_err(wrong));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    if parts.len() > MOST_PARTS {
        return Err(wrong(format!("has more than {MOST_PARTS} parts")));
    }
    let mut paths = Vec::new();
    walk(&tree.root()?, b"", &parts, from, cancel, &mut paths)?;
    let found = paths.iter().map(|path| named(tree, from, path, cancel));
    // One that leads nowhere is an error, and not left out in silence.
    let broken = |path: &[u8]| {
        let why = "is a link to what is not in the context, or is left out by .dockerignore";
        Error::invalid(format!("{:?}", String::from_utf8_lossy(path)), why)
    };
    let mut named = Vec::new();
    for (found, path) in found.zip(&paths) {
        match found? {
            Some(found) => named.push(found),
            None if is_link(tree, path)? => return Err(broken(path)),
            // A directory of which nothing is seen.
            None => {}
        }
    }
    Ok(named)
}

fn is_link(tree: &Tree, path: &[u8]) -> Result<bool> {
    let (parent, name) = split(path);
    let mut level = tree.root()?;
    for part in parent.split(|byte| *byte == b'/').filter(|part| !part.is_empty()) {
        match level.child(part)? {
            Some(child) => level = child,
            None => return Ok(false),
        }
    }
    Ok(level.find(name)?.is_some_and(|(_, node)| node.kind == Kind::Symlink))
}

fn walk(
    level: &Level,
    path: &[u8],
    parts: &[Pattern],
    from: From<'_>,
    cancel: &Cancel,
    paths: &mut Vec<Vec<u8>>,
) -> Result<()> {
    cancel.check()?;
    let Some((part, rest)) = parts.split_first() else { return Ok(()) };
    for (name, _, node) in level.entries()? {
        let whole = join(path, &name);
        let is_match = part.matches(&String::from_utf8_lossy(&name));
        if !is_match || from.leaves_out(&whole, node.kind) == LeftOut::All {
            continue;
        }
        if rest.is_empty() {
            paths.push(whole);
        } else if let Some(child) = level.child(&name)? {
            walk(&child, &whole, rest, from, cancel, paths)?;
        }
    }
    Ok(())
}
