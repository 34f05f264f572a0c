//! What must stay: everything that the roots reach.
//!
//! Pure: what a node refers to is handed in. Nothing is guessed here; whoever answers says what cannot be known.

use std::collections::HashMap;

use crate::digest::Digest;

/// What stands under a digest, as far as whoever refers to it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A config, a layer, an artifact's blob: it refers to nothing.
    Leaf,
    /// It may be a document; only a look at it tells.
    Unknown,
    /// A manifest or an index that may be absent: a sparse index lists it.
    Listed,
    /// A manifest or an index that must be there.
    Document,
}

/// A digest with what is known of it.
pub type Node = (Digest, Kind);

/// Everything that is reached from `roots`, themselves included. `refs` names what a node refers to; its first error
/// ends the mark. A node is asked about once for each kind that it is taken for, the stronger ones alone if they come first.
pub fn mark<E>(
    roots: impl IntoIterator<Item = Node>,
    mut refs: impl FnMut(Node) -> Result<Vec<Node>, E>,
) -> Result<HashMap<Digest, Kind>, E> {
    let mut marked: HashMap<Digest, Kind> = HashMap::new();
    let mut open: Vec<Node> = roots.into_iter().collect();
    while let Some((digest, kind)) = open.pop() {
        match marked.get(&digest) {
            Some(known) if *known >= kind => continue,
            _ => drop(marked.insert(digest, kind)),
        }
        if kind != Kind::Leaf {
            open.extend(refs((digest, kind))?);
        }
    }
    Ok(marked)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::HashSet;

    fn digest(number: usize) -> Digest {
        Digest::of(&number.to_le_bytes())
    }

    #[test]
    fn what_is_first_a_leaf_and_then_a_document_is_opened() {
        let refs = |(at, kind): Node| -> Result<_, ()> {
            Ok(if at == digest(1) && kind == Kind::Document {
                vec![(digest(2), Kind::Leaf)]
            } else {
                Vec::new()
            })
        };
        let roots = [(digest(1), Kind::Document), (digest(1), Kind::Leaf)];
        for roots in [roots, [roots[1], roots[0]]] {
            assert_eq!(mark(roots, refs).map(|marked| marked.len()), Ok(2));
        }
    }

    #[test]
    fn an_error_ends_it() {
        let marked = mark([(digest(1), Kind::Document)], |node| Err::<Vec<Node>, _>(node.0));
        assert_eq!(marked, Err(digest(1)));
    }

    proptest! {
        /// Against the naive closure of a relation, with circles and shared children.
        #[test]
        fn it_is_the_closure(edges in proptest::collection::vec((0usize..30, 0usize..30), 0..80), roots in proptest::collection::vec(0usize..30, 0..5)) {
            let refs = |(at, _): Node| -> Result<Vec<Node>, ()> {
                Ok(edges.iter().filter(|(from, _)| digest(*from) == at).map(|(_, to)| (digest(*to), Kind::Listed)).collect())
            };
            let marked = mark(roots.iter().map(|root| (digest(*root), Kind::Document)), refs).expect("no errors");
            let mut naive: HashSet<usize> = roots.iter().copied().collect();
            loop {
                let more: Vec<_> = edges.iter().filter(|(from, to)| naive.contains(from) && !naive.contains(to)).map(|(_, to)| *to).collect();
                if more.is_empty() {
                    break;
                }
                naive.extend(more);
            }
            prop_assert_eq!(marked.into_keys().collect::<HashSet<_>>(), naive.into_iter().map(digest).collect::<HashSet<_>>());
        }
    }
}
