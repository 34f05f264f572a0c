//! Files that have many packages: what the last state has, and which layer brought each.

use std::collections::{BTreeSet, HashSet};

use larder_store::error::Result;
use larder_store::members::{Content, Kind as Node};

use super::Gathering;
use crate::sbom::inventory::Found;
use crate::sbom::package::Package;
use crate::sbom::places::Place;
use crate::sbom::read::rpm;

impl Gathering<'_> {
    /// A file of all packages: what it has at last, and by which layer each came.
    pub(super) fn database(&mut self, place: &Place) -> Result<()> {
        let path = place.path;
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
        let (mut file, mut log) = (None, None);
        let (mut found, mut unchanged): (Vec<Found>, Vec<usize>) = (Vec::new(), Vec::new());
        // The one that counts is read first, and lower ones as long as they say of any package which layer brought it.
        for (age, state) in self.states(place, last).into_iter().rev().enumerate() {
            let called = if age == 0 { path.to_owned() } else { format!("{path} of a lower layer") };
            self.fill(&mut file, Some(&state.file), &called)?;
            self.fill(&mut log, state.log.as_ref(), &called)?;
            let Some((_, bytes)) = &file else { break };
            let ahead = log.as_ref().map_or(&[][..], |(_, bytes)| bytes);
            let (packages, damage) =
                (place.read)(bytes, ahead, self.cancel).map_err(|error| error.within(format!("/{path}")))?;
            if age == 0 {
                unchanged.extend(0..packages.len());
                found.extend(packages.into_iter().map(|package| Found {
                    package,
                    path: path.to_owned(),
                    layer: state.layer,
                }));
                // Of the others it is not told: they are hidden.
                damage.into_iter().for_each(|why| self.problem(format!("/{path}: damaged: {why}")));
            } else {
                let here: HashSet<_> = packages.iter().map(same).collect();
                unchanged.retain(|at| here.contains(&same(&found[*at].package)));
                unchanged.iter().for_each(|at| found[*at].layer = state.layer);
            }
            if unchanged.is_empty() {
                break;
            }
        }
        self.add(found);
        Ok(())
    }

    /// Reads a file, unless it is the one that was read before. Nothing is there afterwards if it is too large.
    fn fill(&mut self, last: &mut Last, content: Option<&Content>, called: &str) -> Result<()> {
        if last.as_ref().map(|(content, _)| content) == content {
            return Ok(());
        }
        *last = None;
        let wanted = self.wanted(called, content.map(|content| (content, 0)));
        self.answer.contents(wanted, self.cancel, &mut |_, bytes| {
            *last = content.map(|content| (content.clone(), bytes.to_vec()));
        })
    }

    /// A database as each layer left it that wrote to it, lowest first.
    fn states(&self, place: &Place, last: Content) -> Vec<State> {
        let real = self.answer.real(place.path.as_bytes()).unwrap_or_default();
        let log = place.log.map(|log| [&real, log.as_bytes()].concat());
        let last_log = log.as_deref().and_then(|log| match &self.answer.leads_to(log)?.kind {
            Node::File(content) => Some(content.clone()),
            _ => None,
        });
        let top = last.layer.max(last_log.as_ref().map_or(0, |log| log.layer));
        let files: Vec<_> = self.answer.versions(&real).collect();
        let logs: Vec<_> = log.iter().flat_map(|log| self.answer.versions(log)).collect();
        let layers: BTreeSet<_> =
            files.iter().chain(&logs).map(|file| file.layer).filter(|at| *at < top).collect();
        let newest = |of: &[&Content], layer: usize| {
            of.iter().rfind(|file| file.layer <= layer).map(|file| (*file).clone())
        };
        let states = layers.into_iter().filter_map(|layer| {
            Some(State { layer, file: newest(&files, layer)?, log: newest(&logs, layer) })
        });
        states.chain([State { layer: top, file: last, log: last_log }]).collect()
    }

    /// Databases of which only their being there can be said.
    pub(super) fn older(&mut self) {
        for path in rpm::OLDER {
            if self.answer.real(path.as_bytes()).is_some() {
                self.problem(format!("/{path}: is a database of rpm in an older form, which is not read"));
            }
        }
    }
}

/// What was read last of a file: the states of a database often have one of its files in common.
type Last = Option<(Content, Vec<u8>)>;

/// A database as a layer left it.
struct State {
    layer: usize,
    file: Content,
    /// What was written ahead.
    log: Option<Content>,
}

/// What makes a package the same one in two layers.
fn same(package: &Package) -> (&str, &str, Option<&str>) {
    (&package.name, &package.version, package.architecture.as_deref())
}
