//! Taking copies out of an engine that larder gave it: the only thing that larder ever removes there.
//!
//! A copy goes if larder brought it in, if all its names are names that larder gave, and if nobody uses it: no container,
//! running or not, no live hold, no hand-over of late. The hand-over lock is held exclusively from the decision to the
//! removal, so that no hand-over finds an image that is just about to go; one that begins later asks the engine and
//! finds it gone. Nothing is forced: what the engine does not let go stays.
//!
//! Not seen: users of other stores and other tools before they have a container.

use std::collections::BTreeMap;
use std::fmt;

use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::lease;
use larder_store::store::Store;

use super::engine::{Engine, Inspected};
use super::error::{Error, Result};
use super::record::{Effect, Record, Records, summed};

/// What may be taken, and how.
pub(crate) struct Removal<'a> {
    pub(crate) store: &'a Store,
    pub(crate) engine: &'a Engine,
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// Seconds for which a hand-over counts as a use.
    pub(crate) min_age: u64,
    pub(crate) uses: Uses,
    /// Whether the store could give an image (by its manifest) once more. It is asked under the hand-over lock, which
    /// comes before the store's locks.
    pub(crate) can_give_again: &'a dyn Fn(&Digest) -> bool,
    pub(crate) mode: Mode,
    pub(crate) cancel: &'a Cancel,
}

/// Which hand-overs count as uses while they are young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uses {
    /// Every one.
    All,
    /// Those that nothing else speaks for: a hold is seen while it lives, and is over when it has ended.
    NotOfHolds,
}

/// Whether anything is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// All is decided, nothing is changed.
    DryRun,
    /// What is decided is done.
    Take,
}

/// An image in the engine, and what became of it.
#[derive(Debug)]
pub(crate) struct LoadedCopy {
    /// The names that it has there.
    pub(crate) names: Vec<String>,
    /// The engine's ID.
    pub(crate) id: Digest,
    /// The manifest in the store that was handed over last.
    pub(crate) manifest: Digest,
    /// Bytes, as the engine counts them: layers that others share are among them.
    pub(crate) size: Option<u64>,
    pub(crate) fate: Fate,
}

/// What became of a copy.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is gone, or would be.
    Removed,
    Kept(Why),
}

/// Why a copy stays.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// It was there before larder gave it anything.
    NotOurs,
    /// It has a name that larder did not give.
    Named(String),
    /// A container has it; its name.
    Container(String),
    /// A live hold leases it; which program it runs.
    Held(String),
    /// It was handed over a short while ago: so many seconds.
    Young(u64),
    /// The store does not have it whole.
    OnlyCopy,
    /// The engine did not let it go.
    Refused(String),
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::NotOurs => f.write_str("the engine had it before larder came"),
            Why::Named(name) => write!(f, "it has a name that larder did not give, {name}"),
            Why::Container(name) => write!(f, "the container {name} uses it"),
            Why::Held(command) => write!(f, "another hold uses it: {command}"),
            Why::Young(seconds) => write!(f, "it was handed over {seconds} s ago"),
            Why::OnlyCopy => f.write_str("the store could not give it again"),
            Why::Refused(why) => f.write_str(why),
        }
    }
}

/// What the decision looks at.
struct Facts {
    records: Vec<Record>,
    summed: Vec<Record>,
    /// Image ID and name of each container.
    containers: Vec<(String, String)>,
    holds: Vec<lease::Seen>,
}

impl Removal<'_> {
    /// All copies that the engine has by larder.
    pub(crate) fn of_all(&self) -> Result<Vec<LoadedCopy>> {
        self.run(&|_| true)
    }

    /// These copies, by the engine's IDs.
    pub(crate) fn of(&self, ids: &[Digest]) -> Result<Vec<LoadedCopy>> {
        self.run(&|id| ids.contains(id))
    }

    fn run(&self, is_meant: &dyn Fn(&Digest) -> bool) -> Result<Vec<LoadedCopy>> {
        let records = match self.mode {
            Mode::Take => Records::open_alone(self.store, &self.engine.id)?,
            Mode::DryRun => Records::open(self.store, &self.engine.id)?,
        };
        let all = records.read()?;
        // Without the store lock: a hold that is only being made asks the engine once it has the hand-over lock.
        let leases = lease::glance(&self.store.layout().private().ensure_dir("leases")?)?;
        let facts = Facts {
            summed: summed(all.clone()),
            records: all,
            containers: self.engine.containers(self.cancel)?,
            holds: leases.into_iter().filter(lease::Seen::is_hold).collect(),
        };
        let mut ids: Vec<_> = facts.summed.iter().filter(|record| record.effect != Effect::Taken).collect();
        ids.retain(|record| is_meant(&record.id));
        ids.sort_by_key(|record| record.id);
        ids.dedup_by_key(|record| record.id);
        let mut copies = Vec::new();
        for Record { id, .. } in ids {
            // What somebody else removed is no copy any more.
            let Some(found) = self.engine.inspect(&id.to_string(), self.cancel)? else { continue };
            let fate = match self.reason(id, &found, &facts) {
                Some(why) => Fate::Kept(why),
                None if self.mode == Mode::DryRun => Fate::Removed,
                None => self.take(id, &found, &facts, &records)?,
            };
            let mine = facts.summed.iter().rfind(|record| record.id == *id);
            let manifest = mine.map_or(*id, |record| record.manifest);
            copies.push(LoadedCopy { names: names(&found), id: *id, manifest, size: found.size, fate });
        }
        Ok(copies)
    }

    /// Why the copy has to stay, if it has.
    fn reason(&self, id: &Digest, found: &Inspected, facts: &Facts) -> Option<Why> {
        let of_it = || facts.summed.iter().filter(|record| record.id == *id);
        if !of_it().any(|record| record.effect == Effect::Loaded) {
            return Some(Why::NotOurs);
        }
        let given: Vec<_> = of_it()
            .filter(|record| matches!(record.effect, Effect::Loaded | Effect::Tagged))
            .map(|record| record.name.as_str())
            .collect();
        let is_ours = |name: &String| match name.split_once('@') {
            Some((repository, _)) => given.iter().any(|given| repository_of(given) == repository),
            None => given.contains(&name.as_str()),
        };
        if let Some(name) = names(found).iter().chain(&found.digests).find(|name| !is_ours(name)) {
            return Some(Why::Named(name.clone()));
        }
        let text = id.to_string();
        if let Some((_, name)) = facts.containers.iter().find(|(image, _)| *image == text) {
            return Some(Why::Container(name.clone()));
        }
        let is_it = |digest: &Digest| digest == id || of_it().any(|record| record.manifest == *digest);
        if let Some(hold) = facts.holds.iter().find(|hold| hold.digests.iter().any(is_it)) {
            return Some(Why::Held(hold.program.clone()));
        }
        let last = last_use(id, self.uses, &facts.records);
        // A clock that was set back must not make it look old.
        let age = last.map(|last| u64::try_from(self.now.saturating_sub(last)).unwrap_or(0));
        if let Some(age) = age.filter(|age| *age < self.min_age) {
            return Some(Why::Young(age));
        }
        (!of_it().any(|record| (self.can_give_again)(&record.manifest))).then_some(Why::OnlyCopy)
    }

    /// Takes its names away one by one; with the last one the engine removes it.
    fn take(&self, id: &Digest, found: &Inspected, facts: &Facts, records: &Records) -> Result<Fate> {
        let mut handles = names(found);
        if handles.is_empty() {
            // Its names went to other images.
            handles.push(id.to_string());
        }
        for handle in handles {
            match self.engine.untag(&handle, self.cancel) {
                Ok(()) => {}
                // A container, most likely, that came after the look. What is still there is still by larder.
                Err(error @ Error::Request { .. }) => return Ok(Fate::Kept(Why::Refused(error.to_string()))),
                Err(error) => return Err(error),
            }
        }
        if self.engine.inspect(&id.to_string(), self.cancel)?.is_some() {
            return Ok(Fate::Kept(Why::Refused("the engine needs it for other images".into())));
        }
        for record in facts.summed.iter().filter(|record| record.id == *id) {
            // `failed` for older larders: whatever the engine has of it from now on is not by us.
            let taken =
                Record { effect: Effect::Taken, failed: true, at: self.now, lease: None, ..record.clone() };
            records.append(&taken)?;
        }
        Ok(Fate::Removed)
    }
}

/// The latest hand-over of an image that is still in the engine by it.
fn last_use(id: &Digest, uses: Uses, records: &[Record]) -> Option<i64> {
    let mut last = BTreeMap::new();
    for record in records.iter().filter(|record| record.id == *id) {
        if record.effect == Effect::Taken {
            last.remove(&record.name);
        } else if uses == Uses::All || record.lease.is_none() {
            let at = last.entry(&record.name).or_insert(record.at);
            *at = record.at.max(*at);
        }
    }
    last.into_values().max()
}

/// The names of an image; one without any has a placeholder in some engines.
fn names(found: &Inspected) -> Vec<String> {
    found.names.iter().filter(|name| !name.starts_with("<none>")).cloned().collect()
}

/// `host:5000/app` of `host:5000/app:1`.
fn repository_of(name: &str) -> &str {
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(repository, _)| repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_before_a_removal_is_no_use_any_more() {
        let record = |name: &str, at, effect, lease: Option<&str>| Record {
            name: name.into(),
            id: Digest::of(b"id"),
            manifest: Digest::of(b"m"),
            layers: Vec::new(),
            at,
            failed: false,
            effect,
            lease: lease.map(str::to_owned),
        };
        let loaded = |name, at, lease| record(name, at, Effect::Loaded, lease);
        let found = |name, at| record(name, at, Effect::Found, None);
        for (records, all, without_holds) in [
            (vec![], None, None),
            (vec![loaded("a", 5, None)], Some(5), Some(5)),
            (vec![loaded("a", 5, None), loaded("a", 9, Some("hold"))], Some(9), Some(5)),
            (vec![loaded("a", 9, None), found("a", 7), found("b", 8)], Some(9), Some(9)),
            (vec![loaded("a", 5, None), record("a", 6, Effect::Taken, None)], None, None),
            (
                vec![loaded("a", 5, None), found("b", 4), record("a", 6, Effect::Taken, None)],
                Some(4),
                Some(4),
            ),
            (vec![record("a", 6, Effect::Taken, None), loaded("a", 7, Some("hold"))], Some(7), None),
        ] {
            let id = Digest::of(b"id");
            assert_eq!(last_use(&id, Uses::All, &records), all, "{records:?}");
            assert_eq!(last_use(&id, Uses::NotOfHolds, &records), without_holds, "{records:?}");
            assert_eq!(last_use(&Digest::of(b"other"), Uses::All, &records), None);
        }
    }

    #[test]
    fn a_port_is_no_tag() {
        for (name, repository) in
            [("app:1", "app"), ("host:5000/app", "host:5000/app"), ("host:5000/app:1", "host:5000/app")]
        {
            assert_eq!(repository_of(name), repository);
        }
    }
}
