//! A search: what is asked for, as many passes over the layers as links on the ways to it need, and the answers.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use super::held::Held;
use super::layer::Layer;
use super::scan::{Keep, Scan};
use super::state::{Content, Kind, Node, State, below, names};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::tree::{join, split};

/// Passes over the layers: each one finds at least one link more on the way.
const MAX_PASSES: usize = 45;
/// Files that are kept for their names alone, counted each time that one is asked about: a million files may be called `index.js`.
const MAX_GUESSES: usize = 100_000;

/// Says of a path (components with `/` between, no links on the way) whether its content matters.
pub type Rule<'a> = &'a dyn Fn(&[u8]) -> bool;

/// What is searched for in an image's layers.
pub struct Search<'a> {
    /// By their names as they were asked for.
    asked: BTreeMap<Vec<u8>, Keep>,
    /// Directories whose names are asked for.
    directories: BTreeSet<Vec<u8>>,
    rule: Option<Rule<'a>>,
}

impl std::fmt::Debug for Search<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Search").field("asked", &self.asked).finish_non_exhaustive()
    }
}

/// What was found.
#[derive(Debug)]
pub struct Answer<'l> {
    pub(super) layers: &'l [Layer],
    pub(super) state: State,
    passed: BTreeMap<Vec<u8>, Vec<Content>>,
    pub(super) held: Held,
}

impl<'a> Search<'a> {
    /// For nothing yet.
    #[expect(clippy::new_without_default, reason = "a search for nothing is nothing by default")]
    pub fn new() -> Search<'a> {
        Search { asked: BTreeMap::new(), directories: BTreeSet::new(), rule: None }
    }

    /// Asks what is at a path. It is taken as it stands, from the root; `..` goes up where the links on the way have led.
    pub fn node(&mut self, path: &[u8]) {
        self.ask(path, Keep::Node);
    }

    /// Asks what is in the file that a path leads to.
    pub fn content(&mut self, path: &[u8]) {
        self.ask(path, Keep::Content);
    }

    /// Asks which names a directory has.
    pub fn directory(&mut self, path: &[u8]) {
        self.directories.insert(plain(path));
    }

    /// Asks for all files that a rule takes, with their content.
    pub fn all(&mut self, rule: Rule<'a>) {
        self.rule = Some(rule);
    }

    fn ask(&mut self, path: &[u8], keep: Keep) {
        let entry = self.asked.entry(plain(path)).or_insert(keep);
        *entry = (*entry).max(keep);
    }

    /// Goes through the layers, lowest first, until all that was asked for is found or known not to be there.
    pub fn look<'l>(&self, layers: &'l [Layer], cancel: &Cancel) -> Result<Answer<'l>> {
        // What the names say, without links.
        let mut wanted: BTreeMap<Vec<u8>, Keep> = BTreeMap::new();
        for (path, keep) in &self.asked {
            raise(&mut wanted, lexical(path), *keep);
        }
        let mut inside: BTreeSet<_> = self.directories.iter().map(|path| lexical(path)).collect();
        // Links mostly lead to another directory, where the file has the same name.
        let mut last_names: BTreeMap<Vec<u8>, Keep> = BTreeMap::new();
        for (path, keep) in &wanted {
            raise(&mut last_names, split(path).1.to_vec(), *keep);
        }
        for _ in 0..MAX_PASSES {
            let guesses = Cell::new(0);
            let said =
                |all: &BTreeMap<Vec<u8>, Keep>, key: &[u8]| all.get(key).copied().unwrap_or(Keep::Nothing);
            let sure = |path: &[u8]| {
                let by_rule =
                    if self.rule.is_some_and(|rule| rule(path)) { Keep::Content } else { Keep::Nothing };
                let listed = if inside.contains(split(path).0) { Keep::Node } else { Keep::Nothing };
                by_rule.max(listed).max(said(&wanted, path))
            };
            let keep = |path: &[u8]| {
                let (sure, guess) = (sure(path), said(&last_names, split(path).1));
                if guess <= sure || guesses.get() > MAX_GUESSES {
                    return sure;
                }
                guesses.set(guesses.get() + 1);
                guess
            };
            let mut scan = Scan::new(&keep);
            for layer in layers {
                scan.layer(layer, cancel)?;
            }
            let Scan { state, lacking, passed, held, .. } = scan;
            if guesses.get() > MAX_GUESSES {
                // Of some only a part was kept.
                last_names.clear();
            }
            let known = |path: &[u8]| sure(path).max(said(&last_names, split(path).1));
            let mut more: Vec<_> = lacking.into_iter().map(|path| (path, Keep::Content)).collect();
            more.extend(self.ends(&state).into_iter().filter(|(path, needed)| known(path) < *needed));
            let listed = self.directories.iter().filter_map(|path| state.resolve(path, true).ok());
            let new: Vec<_> = listed.filter(|path| !inside.contains(path)).collect();
            let before = wanted.clone();
            more.into_iter().for_each(|(path, needed)| raise(&mut wanted, path, needed));
            if wanted == before && new.is_empty() {
                return Ok(Answer { layers, state, passed, held });
            }
            inside.extend(new);
        }
        Err(Error::invalid("the image", "has more links on the ways to what is asked for than are followed"))
    }

    /// Where what was asked for leads: itself, and the file that its content is in.
    fn ends(&self, state: &State) -> Vec<(Vec<u8>, Keep)> {
        let ends = self.asked.iter().flat_map(|(path, keep)| {
            let itself = state.resolve(path, false).ok().map(|path| (path, Keep::Node));
            let file = (*keep == Keep::Content).then(|| state.resolve(path, true).ok()).flatten();
            [itself, file.map(|path| (path, Keep::Content))]
        });
        ends.flatten().collect()
    }
}

impl Answer<'_> {
    /// What `lstat` says of a path that was asked for; `None` where nothing is there, or links on the way go in a circle.
    pub fn node(&self, path: &[u8]) -> Option<&Node> {
        let at = self.state.resolve(path, false).ok()?;
        self.state.links.get(&at).or_else(|| self.state.nodes.get(&at))
    }

    /// The same with the last link followed.
    pub fn leads_to(&self, path: &[u8]) -> Option<&Node> {
        self.state.nodes.get(&self.state.resolve(path, true).ok()?)
    }

    /// Whether links on the way to a path, or at its end, go in a circle.
    pub fn goes_in_a_circle(&self, path: &[u8]) -> bool {
        self.state.resolve(path, true).is_err()
    }

    /// What is directly in a directory that was asked for, by name; `None` where it is none.
    pub fn names(&self, directory: &[u8]) -> Option<Vec<(&[u8], &Node)>> {
        let at = self.state.resolve(directory, true).ok()?;
        let prefix = if at.is_empty() { 0 } else { at.len() + 1 };
        let inside = below(&self.state.nodes, &at).map(|(path, node)| (&path[prefix..], node));
        let names: Vec<_> = inside.filter(|(name, _)| !name.contains(&b'/')).collect();
        let is_there =
            !names.is_empty() || self.state.nodes.get(&at).is_some_and(|node| node.kind == Kind::Directory);
        is_there.then_some(names)
    }

    /// Where the file is that a path leads to, without links on the way; `None` where there is none.
    pub fn real(&self, path: &[u8]) -> Option<Vec<u8>> {
        let at = self.state.resolve(path, true).ok()?;
        matches!(self.state.nodes.get(&at)?.kind, Kind::File(_)).then_some(at)
    }

    /// Every file at a path (without links on the way) that a layer brought and whose content was asked for, lowest first:
    /// also those that later layers hide.
    pub fn versions(&self, real: &[u8]) -> impl Iterator<Item = &Content> {
        self.passed.get(real).into_iter().flatten()
    }

    /// Where symbolic links are, by path.
    pub fn links(&self) -> impl Iterator<Item = &[u8]> {
        self.state.links.keys().map(Vec::as_slice)
    }

    /// All files that the rule takes, by path.
    pub fn all<'s>(&'s self, rule: Rule<'s>) -> impl Iterator<Item = (&'s [u8], &'s Node)> {
        let files = self.state.nodes.iter().map(|(path, node)| (path.as_slice(), node));
        files.filter(move |(path, node)| matches!(node.kind, Kind::File(_)) && rule(path))
    }
}

fn raise(all: &mut BTreeMap<Vec<u8>, Keep>, path: Vec<u8>, keep: Keep) {
    let entry = all.entry(path).or_insert(keep);
    *entry = (*entry).max(keep);
}

/// Without what makes no difference.
fn plain(path: &[u8]) -> Vec<u8> {
    names(path).fold(Vec::new(), |path, name| join(&path, name))
}

/// Where a path would lead if no link were on its way.
fn lexical(path: &[u8]) -> Vec<u8> {
    names(path).fold(
        Vec::new(),
        |path, name| if name == b".." { split(&path).0.to_vec() } else { join(&path, name) },
    )
}
