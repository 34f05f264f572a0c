//! What is built before what. Pure.

use std::collections::{BTreeSet, HashMap};

/// Names that need each other; the first is also the last.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Cycle(pub(super) Vec<String>);

/// The order in which names are built: level by level, each of those whose needs are all in earlier ones, as they are given. Needs that
/// are no name of these count for nothing.
pub(super) fn levels(names: &[(String, BTreeSet<String>)]) -> Result<Vec<String>, Cycle> {
    let numbers: HashMap<_, _> =
        names.iter().enumerate().map(|(at, (name, _))| (name.as_str(), at)).collect();
    let needs: Vec<Vec<usize>> = names
        .iter()
        .map(|(_, needs)| needs.iter().filter_map(|name| numbers.get(name.as_str()).copied()).collect())
        .collect();
    // What is needed comes first in this, and gives the level.
    let mut level = vec![0_usize; names.len()];
    let first =
        order(&needs).map_err(|cycle| Cycle(cycle.into_iter().map(|at| names[at].0.clone()).collect()))?;
    for at in first {
        level[at] = needs[at].iter().map(|need| level[*need] + 1).max().unwrap_or(0);
    }
    let mut all: Vec<_> = (0..names.len()).collect();
    all.sort_by_key(|at| level[*at]);
    Ok(all.into_iter().map(|at| names[at].0.clone()).collect())
}

/// The numbers in their order, but each behind what it needs; else the numbers of a cycle, the first of which is also its last.
pub(super) fn order(needs: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    #[derive(Clone, Copy, PartialEq, Eq)]
    enum Mark {
        New,
        Open,
        Done,
    }
    let mut marks = vec![Mark::New; needs.len()];
    let mut done = Vec::with_capacity(needs.len());
    for start in 0..needs.len() {
        // With the next of its needs; no recursion, as a chain may be long.
        let mut path = match marks[start] {
            Mark::New => vec![(start, 0)],
            _ => continue,
        };
        marks[start] = Mark::Open;
        while let Some((at, next)) = path.last_mut() {
            let (at, need) = (*at, needs[*at].get(*next).copied());
            *next += 1;
            match need.map(|need| (need, marks[need])) {
                None => {
                    marks[at] = Mark::Done;
                    done.push(at);
                    path.pop();
                }
                Some((need, Mark::New)) => {
                    marks[need] = Mark::Open;
                    path.push((need, 0));
                }
                Some((need, Mark::Open)) => {
                    let behind = path.iter().map(|(at, _)| *at).skip_while(|at| *at != need);
                    return Err(behind.chain([need]).collect());
                }
                Some((_, Mark::Done)) => {}
            }
        }
    }
    Ok(done)
}

/// All that need one of these, by a way of any length; they are not among them unless one needs another.
pub(super) fn dependents(needs: &[Vec<usize>], of: &BTreeSet<usize>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let mut last: Vec<usize> = of.iter().copied().collect();
    while let Some(at) = last.pop() {
        for (other, its) in needs.iter().enumerate() {
            if its.contains(&at) && found.insert(other) {
                last.push(other);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &str) -> Vec<(String, BTreeSet<String>)> {
        let one = |part: &str| {
            let (name, needs) = part.split_once(':').unwrap_or((part, ""));
            (name.to_owned(), needs.split(',').filter(|n| !n.is_empty()).map(str::to_owned).collect())
        };
        text.split(' ').map(one).collect()
    }

    #[test]
    fn what_is_needed_comes_first() {
        for (given, expected) in [
            ("a b c", "a b c"),
            ("a:b b", "b a"),
            ("app:middle middle:base base other", "base other middle app"),
            ("dotnet:base python:base base", "base dotnet python"),
            ("a:elsewhere b", "a b"),
        ] {
            let said = levels(&names(given)).expect("no cycle");
            assert_eq!(said.join(" "), expected, "{given}");
        }
    }

    #[test]
    fn a_cycle_is_shown() {
        for (given, expected) in [("a:a", "a a"), ("a:b b:c c:b d", "b c b"), ("x:a a:b b:c c:a", "a b c a")]
        {
            let Cycle(said) = levels(&names(given)).expect_err("a cycle");
            assert_eq!(said.join(" "), expected, "{given}");
        }
    }

    #[test]
    fn dependents_are_found_by_any_way() {
        let needs = [vec![], vec![0], vec![1], vec![], vec![3, 2]];
        let of = |at| dependents(&needs, &BTreeSet::from([at])).into_iter().collect::<Vec<_>>();
        assert_eq!((of(0), of(2), of(3), of(4)), (vec![1, 2, 4], vec![4], vec![4], vec![]));
    }

    #[test]
    fn a_long_chain_is_no_trouble() {
        let needs: Vec<Vec<usize>> =
            (0..200_000).map(|at| if at == 199_999 { vec![] } else { vec![at + 1] }).collect();
        assert_eq!(order(&needs).expect("no cycle").first(), Some(&199_999));
    }

    proptest! {
        #[test]
        fn an_order_or_a_cycle(needs in prop::collection::vec(prop::collection::vec(0..8_usize, 0..3), 8)) {
            match order(&needs) {
                Ok(all) => {
                    prop_assert_eq!(all.iter().collect::<BTreeSet<_>>().len(), 8);
                    let place = |of: usize| all.iter().position(|at| *at == of);
                    for (at, its) in needs.iter().enumerate() {
                        prop_assert!(its.iter().all(|need| place(*need) < place(at)));
                    }
                }
                Err(cycle) => {
                    prop_assert_eq!(cycle.first(), cycle.last());
                    prop_assert!(cycle.len() > 1 && cycle.windows(2).all(|two| needs[two[0]].contains(&two[1])));
                }
            }
        }
    }
}
