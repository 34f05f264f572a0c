//! The jobs of a pipeline: one for each image of another place, and one for all tags of a name. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use larder_store::reference::Reference;

use super::super::graph;
use super::{Definitions, Error};

/// Letters of a job's name that come from an image's: so long names are still told apart by their numbers.
const LONGEST: usize = 60;

/// A job, which makes one archive.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Job {
    /// Its name: letters, digits and `-`; no two are alike. The archive is called so, too.
    pub(super) id: String,
    pub(super) kind: Kind,
    /// What its archive has: references that people type.
    pub(super) references: Vec<String>,
    /// Numbers of the jobs whose archives it takes, all smaller than its own.
    pub(super) needs: Vec<usize>,
    /// 0 for those that take nothing; else behind all that it takes.
    pub(super) level: usize,
}

/// What a job does.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It takes an image of another place out of the runner's store.
    Foreign,
    /// It builds and tests all tags of this name.
    Image(String),
}

/// All jobs, each behind those that it needs.
pub(super) fn jobs(definitions: &Definitions) -> Result<Vec<Job>, Error> {
    let tags = &definitions.tags;
    let mut names: Vec<&str> = Vec::new();
    let mut number: HashMap<&str, usize> = HashMap::new();
    for tag in tags {
        number.entry(&tag.name).or_insert_with(|| {
            names.push(&tag.name);
            names.len() - 1
        });
    }
    let mut needs = vec![BTreeSet::new(); names.len()];
    let mut references = vec![Vec::new(); names.len()];
    let mut foreign = Foreign::default();
    let mut begins = vec![BTreeSet::new(); names.len()];
    for tag in tags {
        let own = number[tag.name.as_str()];
        needs[own].extend(tag.needs.iter().map(|need| number[tags[*need].name.as_str()]));
        needs[own].remove(&own);
        references[own].extend(tag.references().iter().map(Reference::familiar));
        for name in &tag.foreign {
            let refuse = |why| Error::Foreign { tag: tag.shown(), name: name.clone(), why: format!("{why}") };
            begins[own].insert(foreign.number(name.parse().map_err(refuse)?));
        }
    }
    let needs: Vec<Vec<usize>> = needs.into_iter().map(|its| its.into_iter().collect()).collect();
    let shown = |cycle: Vec<usize>| Error::Cycle(cycle.into_iter().map(|at| names[at].to_owned()).collect());
    let order = graph::order(&needs).map_err(shown)?;
    let mut ids = Ids::default();
    let mut jobs: Vec<Job> = foreign
        .references
        .iter()
        .map(|reference| Job {
            id: ids.take("from", &reference.familiar()),
            kind: Kind::Foreign,
            references: vec![reference.familiar()],
            needs: Vec::new(),
            level: 0,
        })
        .collect();
    let first = jobs.len();
    let mut place = vec![0; names.len()];
    order.iter().enumerate().for_each(|(at, name)| place[*name] = first + at);
    for name in order {
        let mut its: Vec<usize> = begins[name].iter().copied().collect();
        let mut own: Vec<usize> = needs[name].iter().map(|need| place[*need]).collect();
        own.sort_unstable();
        its.extend(own);
        jobs.push(Job {
            id: ids.take("build", names[name]),
            kind: Kind::Image(names[name].to_owned()),
            references: std::mem::take(&mut references[name]),
            // The first stage is for what comes from elsewhere.
            level: its.iter().map(|need| jobs[*need].level + 1).max().unwrap_or(1),
            needs: its,
        });
    }
    Ok(jobs)
}

/// Images of other places, each once, in the order in which they are first named.
#[derive(Default)]
struct Foreign {
    references: Vec<Reference>,
    numbers: BTreeMap<Reference, usize>,
}

impl Foreign {
    fn number(&mut self, reference: Reference) -> usize {
        *self.numbers.entry(reference).or_insert_with_key(|reference| {
            self.references.push(reference.clone());
            self.references.len() - 1
        })
    }
}

/// Names of jobs.
#[derive(Default)]
struct Ids {
    taken: BTreeSet<String>,
}

impl Ids {
    /// A name for a job about an image, which no other job has.
    fn take(&mut self, what: &str, image: &str) -> String {
        let words = image.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
        let mut slug = words.collect::<Vec<_>>().join("-").to_ascii_lowercase();
        slug.truncate(LONGEST);
        let first = format!("{what}-{}", slug.trim_end_matches('-'));
        let mut id = first.clone();
        for number in 2.. {
            if self.taken.insert(id.clone()) {
                break;
            }
            id = format!("{first}-{number}");
        }
        id
    }
}
