//! When a copy was used last: which hand-overs count, and until when.

use std::collections::BTreeMap;

use larder_store::digest::Digest;

use super::record::{Effect, Record};

/// Which hand-overs count as uses while they are young.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Uses {
    /// Every one.
    All,
    /// Those that nothing else speaks for: a hold is seen while it lives, and is over when it has ended.
    NotOfHolds,
}

/// The latest hand-over of an image that is still in the engine by it.
pub(super) fn last_use(id: &Digest, uses: Uses, records: &[Record]) -> Option<i64> {
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
            tagged: None,
            displaced: None,
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
}
