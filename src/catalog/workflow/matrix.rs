//! The entries of a matrix, by GitHub's rules: the product of its axes, without what `exclude` names, with what `include` adds.

use std::rc::Rc;

use super::expression;
use super::yaml::{Kind, Node};
use super::{Choice, Fault};

/// Jobs that GitHub makes of a matrix at most; no list in one has more.
const MAX_ENTRIES: usize = 256;
/// Values of a product before anything is excluded from it.
const MAX_VALUES: usize = 1 << 16;
/// Keys of an entry.
const MAX_KEYS: usize = 256;
/// Comparisons that `include` and `exclude` may take in one matrix: half a second's.
const MAX_COMPARISONS: usize = 1 << 27;

/// One combination: the values of a matrix for one run of its job.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Entry(Vec<(Rc<str>, Node)>);

impl Entry {
    /// The value of a key; upper and lower case are one, as on GitHub.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, node)| node)
    }

    /// Keys and values as they are written, for messages; values that are no scalars are left out.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, Rc<str>)> {
        self.0.iter().filter_map(|(key, node)| Some((&**key, node.text()?)))
    }

    /// A key that both have and with other values, and these: words rather than sentences.
    pub(crate) fn apart(&self, other: &Entry) -> Option<(&str, [Rc<str>; 2])> {
        let differ = self.pairs().filter_map(|(key, value)| {
            let theirs = other.get(key)?.text()?;
            (value != theirs).then_some((key, [value, theirs]))
        });
        differ.min_by_key(|(_, values)| values.iter().map(|value| value.len()).max())
    }

    fn set(&mut self, key: &Rc<str>, node: &Node) {
        match self.0.iter_mut().find(|(name, _)| name == key) {
            Some((_, value)) => *value = node.clone(),
            None => self.0.push((key.clone(), node.clone())),
        }
    }
}

/// The entries of a job's matrix that are chosen; a job without one has one empty entry. What cannot be told from the file is
/// taken from the choice.
pub(super) fn entries(job: &Node, choice: &Choice<'_>) -> Result<Vec<Entry>, Fault> {
    let Some(strategy) = job.get("strategy") else { return Ok(vec![Entry::default()]) };
    let unknown = |fault: Fault| match choice.matrix {
        [] => Err(fault.hinted("--matrix KEY=VALUE, once for each key, says what the matrix would have")),
        _ => Ok(None),
    };
    let Some(known) = expression::value(strategy, None).map(Some).or_else(unknown)? else {
        return Ok(vec![given(strategy, choice)]);
    };
    let written = match &known.kind {
        Kind::Map(_) => known.get("matrix"),
        Kind::Null => None,
        _ => {
            let why = format!("a strategy is a mapping, and this is {}", known.what());
            return Err(Fault::wrong(strategy, why));
        }
    };
    let Some(written) = written else { return Ok(vec![Entry::default()]) };
    let given = || given(written, choice);
    let Some(matrix) = expression::value(written, None).map(Some).or_else(unknown)? else {
        return Ok(vec![given()]);
    };
    let Kind::Map(keys) = &matrix.kind else {
        return Err(Fault::wrong(&matrix, format!("a matrix is a mapping, and this is {}", matrix.what())));
    };
    let mut axes: Vec<(Rc<str>, Rc<[Node]>)> = Vec::new();
    let mut lists: [Vec<Entry>; 2] = Default::default();
    for (key, node) in keys.iter() {
        let list = ["include", "exclude"].iter().position(|name| **name == **key);
        match (list, expression::value(node, None)) {
            (Some(which), Ok(node)) => lists[which] = objects(key, &node)?,
            (Some(which), Err(fault)) => {
                unknown(fault)?;
                lists[which].extend((which == 0).then(given));
            }
            (None, Ok(node)) => axes.push((key.clone(), axis(key, &node)?)),
            // What it is matters only to who uses it.
            (None, Err(_)) => axes.push((key.clone(), vec![given().get(key).unwrap_or(node).clone()].into())),
        }
    }
    let [include, exclude] = lists;
    let too_large = || {
        Fault::wrong(
            written,
            format!("the matrix is too large: GitHub makes {MAX_ENTRIES} jobs of one at most"),
        )
    };
    let count = axes.iter().try_fold(1, |count: usize, (_, values)| count.checked_mul(values.len()));
    let count = count.filter(|count| count.saturating_mul(axes.len()) <= MAX_VALUES).ok_or_else(too_large)?;
    check_work(written, &exclude, count, axes.len())?;
    let is_excluded = |entry: &Entry| exclude.iter().any(|object| matches(entry, object));
    let product = (0..if axes.is_empty() { 0 } else { count }).map(|at| combination(&axes, at));
    let mut entries: Vec<Entry> = product.filter(|entry| !is_excluded(entry)).collect();
    if entries.len() > MAX_ENTRIES {
        return Err(too_large());
    }
    check_work(written, &include, entries.len(), MAX_KEYS)?;
    add(&mut entries, &axes, include);
    if entries.iter().any(|entry| entry.0.len() > MAX_KEYS) {
        return Err(too_many_keys(written));
    }
    if entries.len() > MAX_ENTRIES {
        return Err(too_large());
    }
    Ok(entries)
}

/// An entry of what was chosen.
fn given(here: &Node, choice: &Choice<'_>) -> Entry {
    let mut entry = Entry::default();
    for (key, value) in choice.matrix {
        let kind = match value.as_str() {
            "true" => Kind::Bool(true),
            "false" => Kind::Bool(false),
            text => Kind::Text(text.into()),
        };
        entry.set(&key.as_str().into(), &here.with(kind));
    }
    entry
}

fn axis(key: &str, node: &Node) -> Result<Rc<[Node]>, Fault> {
    match &node.kind {
        Kind::List(values) => Ok(values.clone()),
        _ => {
            Err(Fault::wrong(node, format!("the values of {key:?} are a list, and this is {}", node.what())))
        }
    }
}

/// The entries of `include` or `exclude`.
fn objects(key: &str, node: &Node) -> Result<Vec<Entry>, Fault> {
    let list = match &node.kind {
        Kind::List(list) if list.len() <= MAX_ENTRIES => list,
        Kind::List(_) => {
            return Err(Fault::wrong(
                node,
                format!("{key:?} lists more than the {MAX_ENTRIES} jobs of a matrix"),
            ));
        }
        Kind::Null => return Ok(Vec::new()),
        _ => {
            return Err(Fault::wrong(
                node,
                format!("{key:?} is a list of mappings, and this is {}", node.what()),
            ));
        }
    };
    let object = |item: &Node| match &item.kind {
        Kind::Map(map) if map.len() > MAX_KEYS => Err(too_many_keys(item)),
        Kind::Map(map) => Ok(Entry(map.to_vec())),
        _ => Err(Fault::wrong(item, format!("{key:?} lists mappings, and this is {}", item.what()))),
    };
    list.iter().map(object).collect()
}

fn too_many_keys(node: &Node) -> Fault {
    Fault::wrong(node, format!("an entry of a matrix has more than the {MAX_KEYS} keys that are read"))
}

/// Whether so many combinations, with so many keys each, can be compared with all these objects in good time.
fn check_work(written: &Node, objects: &[Entry], combinations: usize, keys: usize) -> Result<(), Fault> {
    let pairs = objects.iter().flat_map(|object| &object.0);
    let each: usize = pairs.map(|(_, node)| keys + comparisons(node)).sum();
    match each.saturating_mul(combinations) {
        0..=MAX_COMPARISONS => Ok(()),
        _ => {
            Err(Fault::wrong(written, "the matrix is too large: its include or exclude has too much".into()))
        }
    }
}

/// How many it takes to compare a value with its like.
fn comparisons(node: &Node) -> usize {
    match &node.kind {
        Kind::List(list) => list.iter().map(comparisons).sum(),
        Kind::Map(map) => map.iter().map(|(_, node)| map.len() + comparisons(node)).sum(),
        _ => 1,
    }
}

/// The combination of that number; the first axis turns slowest.
fn combination(axes: &[(Rc<str>, Rc<[Node]>)], mut at: usize) -> Entry {
    let mut entry = Vec::new();
    for (key, values) in axes.iter().rev() {
        entry.push((key.clone(), values[at % values.len()].clone()));
        at /= values.len();
    }
    entry.reverse();
    Entry(entry)
}

/// Whether the entry has all that the object says.
fn matches(entry: &Entry, object: &Entry) -> bool {
    object.0.iter().all(|(key, node)| entry.get(key) == Some(node))
}

/// Each object extends the combinations of the axes that it does not contradict; if there is none, it is an entry of its own.
fn add(entries: &mut Vec<Entry>, axes: &[(Rc<str>, Rc<[Node]>)], include: Vec<Entry>) {
    let combinations = entries.len();
    let is_axis = |key: &str| axes.iter().any(|(axis, _)| **axis == *key);
    for object in include {
        let of_axes = object.0.iter().filter(|(key, _)| is_axis(key)).cloned().collect();
        let of_axes = Entry(of_axes);
        let mut extends = false;
        for entry in entries[..combinations].iter_mut().filter(|entry| matches(entry, &of_axes)) {
            object.0.iter().for_each(|(key, node)| entry.set(key, node));
            extends = true;
        }
        if !extends {
            entries.push(object);
        }
    }
}

/// Keeps the entries that have one of the values chosen for each key. A matrix that knows a key nowhere is left as it is; the
/// answer is which keys it knows.
pub(super) fn keep<'a>(entries: &mut Vec<Entry>, choice: &Choice<'a>) -> Vec<&'a str> {
    let chosen = choice.matrix.iter().map(|(key, _)| key.as_str());
    let known: Vec<_> = chosen.filter(|key| entries.iter().any(|entry| entry.get(key).is_some())).collect();
    for key in &known {
        let is_one = |node: &Node| {
            let mut values = choice.matrix.iter().filter(|(other, _)| other == key).map(|(_, value)| value);
            node.text().is_some_and(|text| values.any(|value| **value == *text))
        };
        entries.retain(|entry| entry.get(key).is_some_and(is_one));
    }
    known
}
