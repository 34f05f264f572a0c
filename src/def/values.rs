//! Names with their values, in the order in which they were first said.

use std::collections::HashMap;
use std::fmt;

/// Versions or variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Values {
    pairs: Vec<(String, String)>,
    /// Where a name stands in them: a file may have tens of thousands.
    places: HashMap<String, usize>,
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Values").field(&self.pairs).finish()
    }
}

impl Values {
    /// The value of a name.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.places.get(name).and_then(|at| self.pairs.get(*at)).map(|(_, value)| value.as_str())
    }

    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Gives a name a value, in its place or at the end.
    pub(super) fn set(&mut self, name: &str, value: &str) {
        match self.places.get(name).and_then(|at| self.pairs.get_mut(*at)) {
            Some((_, old)) => value.clone_into(old),
            None => {
                self.places.insert(name.to_owned(), self.pairs.len());
                self.pairs.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// These, and over them what is said later.
    pub(super) fn with(&self, later: &Values) -> Values {
        let mut all = self.clone();
        later.iter().for_each(|(name, value)| all.set(name, value));
        all
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Values {
    fn from_iter<T: IntoIterator<Item = (&'a str, &'a str)>>(pairs: T) -> Values {
        let mut all = Values::default();
        pairs.into_iter().for_each(|(name, value)| all.set(name, value));
        all
    }
}
