//! Images and tags in the order in which they are built. Pure.

use std::collections::{BTreeSet, HashMap};

use larder_store::reference::Reference;

use super::error::{Error, Result};
use super::graph::{self, Cycle};
use super::named;
use super::{Image, Tag};

/// A tag with the base images that it asked for.
pub(super) type Asking = (Tag, BTreeSet<String>);

/// Images by their names, level by level; tags as their images say, but each behind what it needs. `needs` of an image are names that were
/// asked for; those in `extended` count for all tags of that name.
pub(super) fn in_order(
    images: Vec<Image>,
    mut tags: Vec<Asking>,
    extended: &BTreeSet<String>,
) -> Result<(Vec<Image>, Vec<Tag>)> {
    let by_place = by_level(&images)?;
    let mut rank = vec![0; images.len()];
    by_place.iter().enumerate().for_each(|(new, old)| rank[*old] = new);
    tags.iter_mut().for_each(|(tag, _)| tag.image = rank[tag.image]);
    tags.sort_by_key(|(tag, _)| tag.image);
    let mut images: Vec<Image> = by_place.iter().map(|at| images[*at].clone()).collect();
    let needs = needs(&images, &mut tags, extended);
    for ((tag, _), its) in tags.iter().zip(&needs) {
        for need in its {
            let (name, image) = (&tags[*need].0.name, &mut images[tag.image]);
            if image.name != *name && !image.needs.contains(name) {
                image.needs.push(name.clone());
            }
        }
    }
    images.iter_mut().for_each(|image| image.needs.sort());
    let shown = |cycle: Vec<usize>| Error::Cycle(cycle.into_iter().map(|at| tags[at].0.shown()).collect());
    let order = graph::order(&needs).map_err(shown)?;
    let mut place = vec![0; tags.len()];
    order.iter().enumerate().for_each(|(new, old)| place[*old] = new);
    let sorted = order.iter().map(|old| {
        let mut its: Vec<usize> = needs[*old].iter().map(|need| place[*need]).collect();
        its.sort_unstable();
        Tag { needs: its, ..tags[*old].0.clone() }
    });
    Ok((images, sorted.collect()))
}

/// The numbers of images in the order of their levels.
fn by_level(images: &[Image]) -> Result<Vec<usize>> {
    let mut names: Vec<(String, BTreeSet<String>)> = Vec::new();
    for image in images {
        let needs = image.needs.iter().cloned();
        match names.iter_mut().find(|(name, _)| *name == image.name) {
            Some((_, known)) => known.extend(needs),
            None => names.push((image.name.clone(), needs.collect())),
        }
    }
    let levels = graph::levels(&names).map_err(|Cycle(cycle)| Error::Cycle(cycle))?;
    let place: HashMap<_, _> = levels.iter().enumerate().map(|(at, name)| (name.as_str(), at)).collect();
    let mut all: Vec<usize> = (0..images.len()).collect();
    all.sort_by_key(|at| place.get(images[*at].name.as_str()));
    Ok(all)
}

/// What each tag needs of the others; what it needs of other places goes into it.
fn needs(images: &[Image], tags: &mut [Asking], extended: &BTreeSet<String>) -> Vec<Vec<usize>> {
    let mut numbers: HashMap<Reference, usize> = HashMap::new();
    let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
    for (at, (tag, _)) in tags.iter().enumerate() {
        numbers.extend(tag.references().into_iter().map(|name| (name, at)));
        by_name.entry(tag.name.clone()).or_default().push(at);
    }
    let of_tag = |(tag, asked): &mut Asking| {
        let mut own = BTreeSet::new();
        for name in named::images(&tag.dockerfile) {
            match name.parse().ok().and_then(|name: Reference| numbers.get(&name)) {
                Some(at) => drop(own.insert(*at)),
                None => tag.foreign.push(name),
            }
        }
        own.extend(asked.iter().filter_map(|base| numbers.get(&base.parse().ok()?)));
        let names = images[tag.image].needs.iter().filter(|name| extended.contains(*name));
        own.extend(names.filter_map(|name| by_name.get(name)).flatten());
        own.into_iter().collect()
    };
    tags.iter_mut().map(of_tag).collect()
}
