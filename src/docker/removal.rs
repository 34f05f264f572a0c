//! Taking copies out of an engine that larder gave it: the only thing that larder ever removes there.
//!
//! A copy goes if larder brought it in, if all its names are names that larder gave, and if nobody uses it: no container,
//! running or not, no live hold, no hand-over of late. The hand-over lock is held exclusively from the decision to the
//! removal, so that no hand-over finds an image that is just about to go; one that begins later asks the engine and
//! finds it gone. Names and holds are looked at again just before an image goes (`take`). Nothing is forced: what the
//! engine does not let go stays.
//!
//! Not seen: users of other stores and other tools before they have a container; and on a graph driver an image that
//! somebody removed and loaded again from a file, while larder did not look.

use std::fmt;

use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::lease;
use larder_store::store::Store;

use super::engine::{Engine, ImageStore, Inspected};
use super::error::Result;
use super::record::{Effect, Record, Records, summed};
use super::take::{Taken, Taking};
use super::uses::{Uses, last_use};

/// What may be taken, and how.
pub(crate) struct Removal<'a> {
    pub(crate) store: &'a Store,
    pub(crate) engine: &'a Engine,
    /// Seconds since 1970.
    pub(crate) now: i64,
    /// Seconds for which a hand-over counts as a use, by the names of the copy.
    pub(crate) min_age: &'a dyn Fn(&[String]) -> u64,
    pub(crate) uses: Uses,
    /// Whether nothing goes as long as a hold lives, and one does.
    pub(crate) is_waiting: bool,
    /// Whether the store could give an image (by its manifest) once more. It is asked under the hand-over lock, which
    /// comes before the store's locks.
    pub(crate) can_give_again: &'a dyn Fn(&Digest) -> bool,
    pub(crate) mode: Mode,
    pub(crate) cancel: &'a Cancel,
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
    /// Names that mean again what they meant before larder came, and the engine's ID of that.
    pub(crate) given_back: Vec<(String, Digest)>,
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
    /// No record knows of it.
    NotNoted,
    /// It was there before larder gave it anything.
    NotOurs,
    /// Since larder gave it a name, somebody else did.
    TaggedSince,
    /// It has a name that larder did not give.
    Named(String),
    /// A container has it; its name.
    Container(String),
    /// A live hold leases it; which program it runs.
    Held(String),
    /// The hold that it is for has ended, and something that its command started has not.
    LeftRunning,
    /// A hold lives, of whatever image.
    Busy,
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
            Why::NotNoted => f.write_str("it is not noted that larder brought it"),
            Why::NotOurs => f.write_str("the engine had it before larder came"),
            Why::TaggedSince => f.write_str("it was loaded or tagged again since larder gave it"),
            Why::Named(name) => write!(f, "it has a name that larder did not give, {name}"),
            Why::Container(name) => write!(f, "the container {name} uses it"),
            Why::Held(program) => write!(f, "another hold uses it: {program}"),
            Why::LeftRunning => f.write_str("what CMD left running uses it"),
            Why::Busy => f.write_str("a hold lives"),
            Why::Young(seconds) => write!(f, "it was handed over {seconds} s ago"),
            Why::OnlyCopy => f.write_str("the store could not give it again"),
            Why::Refused(why) => f.write_str(why),
        }
    }
}

/// What the decision looks at.
struct Facts<'a> {
    records: Vec<Record>,
    summed: Vec<Record>,
    /// Image ID and name of each container.
    containers: Vec<(String, String)>,
    holds: Vec<lease::Seen>,
    /// The lease of the hold whose images these are.
    lease: Option<&'a str>,
}

impl Facts<'_> {
    fn of(&self, id: &Digest) -> impl Iterator<Item = &Record> {
        self.summed.iter().filter(move |record| record.id == *id)
    }
}

impl Removal<'_> {
    /// All copies that the engine has by larder.
    pub(crate) fn of_all(&self) -> Result<Vec<LoadedCopy>> {
        self.run(None)
    }

    /// What was handed over for a hold that has ended: these, by the engine's IDs, and what is noted for its lease.
    pub(crate) fn of_hold(&self, handed: &[Digest], lease: &str) -> Result<Vec<LoadedCopy>> {
        let mut ids = Records::of_lease(self.store, &self.engine.id, lease)?;
        ids.extend(handed);
        if ids.is_empty() { Ok(Vec::new()) } else { self.run(Some((ids, lease))) }
    }

    fn run(&self, of_hold: Option<(Vec<Digest>, &str)>) -> Result<Vec<LoadedCopy>> {
        let records = match self.mode {
            Mode::Take => Records::open_alone(self.store, &self.engine.id)?,
            Mode::DryRun => Records::open(self.store, &self.engine.id)?,
        };
        let all = records.read()?;
        let facts = Facts {
            summed: summed(all.clone()),
            records: all,
            containers: self.engine.containers(self.cancel)?,
            holds: self.holds()?,
            lease: of_hold.as_ref().map(|(_, lease)| *lease),
        };
        let known = facts.summed.iter().filter(|record| record.effect != Effect::Taken);
        let mut ids = of_hold.map_or_else(|| known.map(|record| record.id).collect(), |(ids, _)| ids);
        ids.sort();
        ids.dedup();
        let mut copies = Vec::new();
        for id in &ids {
            let Some(found) = self.engine.inspect(&id.to_string(), self.cancel)? else {
                // Somebody else removed it. What comes under this ID from now on is not by us.
                if self.mode == Mode::Take {
                    records.forget(id, &facts.summed, self.now)?;
                }
                continue;
            };
            let mut given_back = Vec::new();
            let fate = match self.reason(id, &found, &facts) {
                Some(why) => Fate::Kept(why),
                None if self.mode == Mode::DryRun => Fate::Removed,
                None => self.take(id, &facts, &records, &mut given_back)?,
            };
            let mine = facts.summed.iter().rfind(|record| record.id == *id);
            let manifest = mine.map_or(*id, |record| record.manifest);
            copies.push(LoadedCopy {
                names: names(&found),
                id: *id,
                manifest,
                size: found.size,
                fate,
                given_back,
            });
        }
        Ok(copies)
    }

    /// Without the store lock: a hold that is only being made asks the engine once it has the hand-over lock.
    fn holds(&self) -> Result<Vec<lease::Seen>> {
        let leases = lease::glance(&self.store.layout().private().ensure_dir("leases")?)?;
        Ok(leases.into_iter().filter(lease::Seen::is_hold).collect())
    }

    /// Why the copy has to stay, if it has.
    fn reason(&self, id: &Digest, found: &Inspected, facts: &Facts<'_>) -> Option<Why> {
        let of_it = || facts.of(id);
        if !of_it().any(|record| record.effect != Effect::Taken) {
            return Some(Why::NotNoted);
        }
        if !of_it().any(|record| record.effect == Effect::Loaded) {
            return Some(Why::NotOurs);
        }
        if let Some(why) = self.foreign(found, facts, id) {
            return Some(why);
        }
        let text = id.to_string();
        if let Some((_, name)) = facts.containers.iter().find(|(image, _)| *image == text) {
            return Some(Why::Container(name.clone()));
        }
        if let Some(why) = held(id, &facts.holds, facts) {
            return Some(why);
        }
        let last = last_use(id, self.uses, &facts.records);
        // A clock that was set back must not make it look old.
        let age = last.map(|last| u64::try_from(self.now.saturating_sub(last)).unwrap_or(0));
        let mut names = names(found);
        if names.is_empty() {
            names = of_it().map(|record| record.name.clone()).collect();
        }
        if let Some(age) = age.filter(|age| *age < (self.min_age)(&names)) {
            return Some(Why::Young(age));
        }
        if !of_it().any(|record| (self.can_give_again)(&record.manifest)) {
            return Some(Why::OnlyCopy);
        }
        self.is_waiting.then_some(Why::Busy)
    }

    /// Whether somebody else gave it a name.
    fn foreign(&self, found: &Inspected, facts: &Facts<'_>, id: &Digest) -> Option<Why> {
        let given = || facts.of(id).filter(|record| matches!(record.effect, Effect::Loaded | Effect::Tagged));
        let is_ours = |name: &String| match name.split_once('@') {
            // A graph driver has a digest of what was pulled, or pushed; containerd has one of each repository.
            Some((repository, _)) => {
                self.engine.image_store == ImageStore::Containerd
                    && given().any(|given| repository_of(&given.name) == repository)
            }
            None => given().any(|given| given.name == *name),
        };
        let names = names(found);
        if let Some(name) = names.iter().chain(&found.digests).find(|name| !is_ours(name)) {
            return Some(Why::Named(name.clone()));
        }
        // Times that a graph driver does not have of what it loads.
        let mut times = given().filter_map(|record| record.tagged.as_ref()).peekable();
        let is_known =
            self.engine.image_store == ImageStore::Graph || names.is_empty() || times.peek().is_none();
        let last = found.last_tagged.as_ref()?;
        (!is_known && !times.any(|time| time == last)).then_some(Why::TaggedSince)
    }

    /// Looks once more, since all else took its time, and takes it. A hold that begins after this look loses the copy.
    fn take(
        &self,
        id: &Digest,
        facts: &Facts<'_>,
        records: &Records,
        given_back: &mut Vec<(String, Digest)>,
    ) -> Result<Fate> {
        let Some(found) = self.engine.inspect(&id.to_string(), self.cancel)? else {
            records.forget(id, &facts.summed, self.now)?;
            return Ok(Fate::Removed);
        };
        let why = self.foreign(&found, facts, id);
        if let Some(why) = why.or(held(id, &self.holds()?, facts)) {
            return Ok(Fate::Kept(why));
        }
        let Removal { engine, now, cancel, .. } = *self;
        let taking = Taking { engine, records, known: &facts.summed, now, cancel };
        Ok(match taking.take(id, &names(&found))? {
            Taken::Gone(names) => {
                *given_back = names;
                Fate::Removed
            }
            Taken::Refused(why) => Fate::Kept(Why::Refused(why)),
        })
    }
}

/// The hold that leases an image, if one does.
fn held(id: &Digest, holds: &[lease::Seen], facts: &Facts<'_>) -> Option<Why> {
    let is_it = |digest: &Digest| digest == id || facts.of(id).any(|record| record.manifest == *digest);
    let uses_it = |hold: &&lease::Seen| hold.digests.iter().any(is_it);
    // Another's is the better reason.
    let (own, others): (Vec<_>, Vec<_>) =
        holds.iter().filter(uses_it).partition(|hold| Some(hold.id.as_str()) == facts.lease);
    match others.first() {
        Some(hold) => Some(Why::Held(hold.program.clone())),
        None => (!own.is_empty()).then_some(Why::LeftRunning),
    }
}

/// The names of an image; one without any has a placeholder in some engines.
fn names(found: &Inspected) -> Vec<String> {
    let mut names: Vec<_> = found.names.iter().filter(|name| !name.starts_with("<none>")).cloned().collect();
    names.sort();
    names
}

/// `host:5000/app` of `host:5000/app:1`.
fn repository_of(name: &str) -> &str {
    name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/')).map_or(name, |(repository, _)| repository)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_no_tag() {
        for (name, repository) in
            [("app:1", "app"), ("host:5000/app", "host:5000/app"), ("host:5000/app:1", "host:5000/app")]
        {
            assert_eq!(repository_of(name), repository);
        }
    }
}
