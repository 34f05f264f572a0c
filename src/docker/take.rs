//! The removal itself, once it is decided: an image goes by its ID, together with its last name, in one step.
//!
//! Never by that name: it may mean another image by now, and the engine would remove that one. By its ID, and without
//! force, the engine refuses where the image has a second name or a container, and nothing has changed.
//!
//! Where larder gave it several names, all but one go first, by name, because the API has no other way: each only if a
//! look has just shown that it means this image. What remains is the time between that look and the engine's deed, one
//! request: whoever moves such a name just then can lose it, and its image if it has no other name. If the engine
//! refuses in the end, the names are given again.

use larder_store::cancel::Cancel;
use larder_store::digest::Digest;
use larder_store::reference::Reference;

use super::engine::Engine;
use super::error::{Error, Result};
use super::record::{Effect, Record, Records};

/// What the removal works with.
pub(super) struct Taking<'a> {
    pub(super) engine: &'a Engine,
    pub(super) records: &'a Records,
    /// The records, summed up.
    pub(super) known: &'a [Record],
    /// Seconds since 1970.
    pub(super) now: i64,
    pub(super) cancel: &'a Cancel,
}

/// What became of it.
pub(super) enum Taken {
    /// It is gone; these names mean again what they meant before larder came.
    Gone(Vec<(String, Digest)>),
    /// The engine keeps it, with all its names, and says why.
    Refused(String),
}

impl Taking<'_> {
    /// Takes an image that has these names, and no others a moment ago.
    pub(super) fn take(&self, id: &Digest, names: &[String]) -> Result<Taken> {
        let mut untagged = Vec::new();
        let taken = self.take_all(id, names, &mut untagged);
        if matches!(taken, Ok(None)) {
            self.records.forget(id, self.known, self.now)?;
            return Ok(Taken::Gone(self.give_back(id, names)));
        }
        // A signal does not keep the names from coming back: it may have come between two of them.
        let lost = untagged.into_iter().filter(|name| self.give(name, id).is_err()).cloned();
        let lost = lost.collect::<Vec<_>>().join(", ");
        let why = match taken {
            Ok(why) => why.unwrap_or_default(),
            Err(error @ Error::Request { .. }) => error.to_string(),
            Err(error) => return Err(error),
        };
        let lost = if lost.is_empty() { lost } else { format!("; without its name {lost}") };
        Ok(Taken::Refused(why + &lost))
    }

    /// Why it is still there, if it is.
    fn take_all<'n>(
        &self,
        id: &Digest,
        names: &'n [String],
        untagged: &mut Vec<&'n String>,
    ) -> Result<Option<String>> {
        let text = id.to_string();
        let others = names.split_last().map_or(&[][..], |(_, others)| others);
        for name in others {
            if self.engine.inspect(name, self.cancel)?.is_some_and(|found| found.id == text) {
                untagged.push(name);
                self.engine.remove(name, self.cancel)?;
            }
        }
        self.engine.remove(&text, self.cancel)?;
        let is_there = self.engine.inspect(&text, self.cancel)?.is_some();
        Ok(is_there.then(|| "the engine needs it for other images".into()))
    }

    /// Gives names back to those who had them before larder came, and who are still there.
    fn give_back(&self, id: &Digest, names: &[String]) -> Vec<(String, Digest)> {
        let of_it = self.known.iter().filter(|record| record.id == *id && names.contains(&record.name));
        let had = of_it.filter_map(|record| Some((record.name.clone(), record.displaced?)));
        had.filter(|(name, other)| matches!(self.give(name, other), Ok(true))).collect()
    }

    /// Gives an image a name that nobody has by now; whether it did.
    fn give(&self, name: &str, id: &Digest) -> Result<bool> {
        let (text, never) = (id.to_string(), Cancel::new());
        if self.engine.inspect(name, &never)?.is_some() || self.engine.inspect(&text, &never)?.is_none() {
            return Ok(false);
        }
        let reference: Reference =
            name.parse().map_err(|e| larder_store::Error::invalid("a name in the engine", e))?;
        self.engine.tag(&text, &reference, &never)?;
        // A name that larder gave is larder's again: the engine's time of it is another one now.
        let given = |record: &&Record| matches!(record.effect, Effect::Loaded | Effect::Tagged);
        let mut given = self.known.iter().filter(given);
        if let Some(record) = given.find(|record| record.name == name && record.id == *id) {
            let tagged = self.engine.inspect(&text, &never)?.and_then(|found| found.last_tagged);
            self.records.append(&Record { effect: Effect::Tagged, tagged, ..record.clone() })?;
        }
        Ok(true)
    }
}
