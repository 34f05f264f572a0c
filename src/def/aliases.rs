//! Aliases of all tags: those that follow, and those that are said. Pure.

use std::collections::BTreeMap;

use super::alias::{self, Order};
use super::config::Config;
use super::resolve::Resolved;

/// A definition, as aliases are made from it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Source<'a> {
    pub(super) name: &'a str,
    /// For messages.
    pub(super) file: &'a str,
    pub(super) config: &'a Config,
    pub(super) tags: &'a [Resolved],
}

/// For each definition its tags' aliases, in their order; what is wrong, and what is to be told.
#[derive(Debug, Default)]
pub(super) struct Aliases {
    pub(super) of: Vec<Vec<Vec<String>>>,
    pub(super) wrong: Vec<String>,
    pub(super) notes: Vec<String>,
}

/// The aliases of all definitions; those of one name are one image.
pub(super) fn aliases(sources: &[Source<'_>]) -> Aliases {
    let of = sources.iter().map(|source| vec![Vec::new(); source.tags.len()]).collect();
    let mut made = Aliases { of, ..Aliases::default() };
    let mut names: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (number, source) in sources.iter().enumerate() {
        names.entry(source.name).or_default().push(number);
    }
    for (name, numbers) in names {
        of_name(name, &numbers, sources, &mut made);
    }
    made
}

fn of_name(name: &str, numbers: &[usize], sources: &[Source<'_>], made: &mut Aliases) {
    // Definition and number of each tag.
    let tags: Vec<(usize, usize)> = numbers
        .iter()
        .flat_map(|number| (0..sources[*number].tags.len()).map(|tag| (*number, tag)))
        .collect();
    let tag_of = |(number, tag): (usize, usize)| &sources[number].tags[tag];
    let find = |wanted: &str| tags.iter().copied().find(|at| tag_of(*at).tag == wanted);
    let mut known: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for order in [Order::Semver, Order::Calver, Order::Natural] {
        let of_order: Vec<_> =
            tags.iter().copied().filter(|(number, _)| sources[*number].config.order == order).collect();
        let pairs: Vec<(&str, &str)> = of_order
            .iter()
            .map(|at| {
                let Resolved { tag, base, .. } = tag_of(*at);
                (base.as_str(), tag.strip_prefix(base.as_str()).unwrap_or_default())
            })
            .collect();
        for (alias, at) in alias::generated(&pairs, order) {
            let at = of_order[at];
            if find(&alias).is_some() {
                let tag = &tag_of(at).tag;
                made.notes.push(format!("{name}:{alias} is a tag of its own, and no alias of {name}:{tag}"));
                continue;
            }
            match known.get(&alias) {
                Some(other) => made.wrong.push(format!(
                    "{}: alias {alias} would mean {name}:{} and {name}:{}, by different orders",
                    sources[at.0].file,
                    tag_of(*other).tag,
                    tag_of(at).tag
                )),
                None => {
                    known.insert(alias.clone(), at);
                    made.of[at.0][at.1].push(alias);
                }
            }
        }
    }
    for number in numbers {
        for (alias, tag, place) in &sources[*number].config.aliases {
            let mut refuse = |why: String| {
                made.wrong.push(format!("{}: {}", sources[*number].file, place.refuse(why)));
            };
            let Some(at) = find(tag) else {
                refuse(format!("alias {alias}: there is no tag {name}:{tag}"));
                continue;
            };
            let is_tag = format!("{name}:{alias}")
                .parse::<larder_store::reference::Reference>()
                .is_ok_and(|reference| reference.tag() == Some(alias));
            if !is_tag {
                refuse(format!("alias {alias:?} is no tag"));
            } else if find(alias).is_some() {
                refuse(format!("alias {alias}: {name}:{alias} is a tag of its own"));
            } else if let Some(other) = known.get(alias) {
                let other = &tag_of(*other).tag;
                if other != tag {
                    refuse(format!("alias {alias} of {tag}: it is already one of {name}:{other}"));
                }
            } else {
                known.insert(alias.clone(), at);
                made.of[at.0][at.1].push(alias.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::def::config::parse;
    use crate::def::resolve::tags;

    /// Each definition is a name and its text.
    fn made(definitions: &[(&str, &str)]) -> (Vec<String>, Aliases) {
        let read = |(name, text): &(&str, &str)| {
            let config = parse(text).expect("a definition");
            let tags = tags(&config, name).expect("tags");
            (name.to_string(), config, tags)
        };
        let all: Vec<_> = definitions.iter().map(read).collect();
        let sources: Vec<_> =
            all.iter().map(|(name, config, tags)| Source { name, file: "F", config, tags }).collect();
        let made = aliases(&sources);
        let rows = all.iter().zip(&made.of).flat_map(|((name, _, tags), of)| {
            tags.iter().zip(of).map(move |(tag, aliases)| format!("{name}:{} {}", tag.tag, aliases.join(",")))
        });
        (rows.map(|row| row.trim_end().to_owned()).collect(), made)
    }

    #[test]
    fn definitions_of_one_name_are_one_image() {
        let (rows, made) = made(&[
            ("a", "tags: [{name: 8.0.100}, {name: 8.1.0}]\nvariants: [{name: x, tag_suffix: -x}]"),
            ("a", "tags: [{name: 8.0.200}, {name: 9.0.0}]\naliases: {latest: 9.0.0, old: 8.0.100-x}"),
            ("b", "tags: [{name: 8.0.1}]"),
        ]);
        let expected = [
            "a:8.0.100",
            "a:8.1.0 8,8.1",
            "a:8.0.100-x 8.0-x,old",
            "a:8.1.0-x 8-x,8.1-x",
            "a:8.0.200 8.0",
            "a:9.0.0 9,9.0,latest",
            "b:8.0.1 8,8.0",
        ];
        assert_eq!((rows, made.wrong, made.notes), (expected.map(str::to_owned).into(), vec![], vec![]));
    }

    #[test]
    fn a_clash_is_told() {
        let (rows, told) = made(&[("a", "tags: [{name: 9.0.100}, {name: '9'}]\naliases: {'9.0': 9.0.100}")]);
        assert_eq!(rows, ["a:9.0.100 9.0", "a:9"]);
        assert_eq!(told.notes, ["a:9 is a tag of its own, and no alias of a:9.0.100"]);
        assert!(told.wrong.is_empty(), "{:?}", told.wrong);
        for (text, words) in [
            ("tags: [{name: a}]\naliases: {b: c}", "line 2, column 11: alias b: there is no tag n:c"),
            ("tags: [{name: a}]\naliases: {a: a}", "n:a is a tag of its own"),
            ("tags: [{name: a}]\naliases: {../b: a}", "\"../b\" is no tag"),
            (
                "tags: [{name: 1.0.0}, {name: 1.1.0}]\naliases: {'1': 1.0.0}",
                "alias 1 of 1.0.0: it is already one of n:1.1.0",
            ),
        ] {
            let (_, told) = made(&[("n", text)]);
            assert!(told.wrong.len() == 1 && told.wrong[0].contains(words), "{text}: {:?}", told.wrong);
        }
        let two = ("n", "tags: [{name: a}]\naliases: {x: a}");
        let (_, told) = made(&[two, ("n", "tags: [{name: b}]\naliases: {x: b}")]);
        assert!(told.wrong[0].contains("alias x of b: it is already one of n:a"), "{:?}", told.wrong);
        let (_, told) =
            made(&[("n", "tags: [{name: 24.1.0}]"), ("n", "tags: [{name: '24.04'}]\nalias_order: calver")]);
        assert!(told.wrong[0].contains("by different orders"), "{:?}", told.wrong);
    }
}
