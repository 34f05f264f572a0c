//! What may go: pure, over what was seen.

use std::collections::{BTreeMap, HashSet};

use crate::digest::Digest;

/// A blob that nothing needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unneeded {
    /// Its digest.
    pub digest: Digest,
    /// Its size in bytes.
    pub size: u64,
    /// Whether `rm` or `prune` let it go: then it goes at once.
    pub is_released: bool,
    /// When a GC first saw that nothing needs it (seconds since 1970).
    pub first_seen: Option<i64>,
}

/// What to do about blobs that nothing needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// These go, with their sizes.
    pub sweep: BTreeMap<Digest, u64>,
    /// These wait for the end of their grace, from the given time on.
    pub wait: BTreeMap<Digest, i64>,
    /// Bytes of those that wait.
    pub waiting_bytes: u64,
}

/// Decides. Grace (seconds) is for what nobody let go on purpose: foreign or orphaned content.
pub fn plan(unneeded: impl IntoIterator<Item = Unneeded>, grace: u64, now: i64) -> Plan {
    let mut plan = Plan::default();
    for blob in unneeded {
        // A clock that was set back makes a time of the future: it counts as now.
        let since = blob.first_seen.unwrap_or(now).min(now);
        let age = now.saturating_sub(since).unsigned_abs();
        if blob.is_released || age >= grace {
            plan.sweep.insert(blob.digest, blob.size);
        } else {
            plan.wait.insert(blob.digest, since);
            plan.waiting_bytes += blob.size;
        }
    }
    plan
}

/// Every digest that some bytes mention, `sha256:` and 64 hex digits: what an unknown document may need. `None` where
/// there are more than `most`.
pub(super) fn mentioned(bytes: &[u8], most: usize) -> Option<HashSet<Digest>> {
    let mut found = HashSet::new();
    for at in 0..bytes.len().saturating_sub(70) {
        if bytes[at..].starts_with(b"sha256:")
            && let Ok(text) = std::str::from_utf8(&bytes[at..at + 71])
            && let Ok(digest) = text.parse()
        {
            found.insert(digest);
            if found.len() > most {
                return None;
            }
        }
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(number: u8, is_released: bool, first_seen: Option<i64>) -> Unneeded {
        Unneeded { digest: Digest::of(&[number]), size: 10, is_released, first_seen }
    }

    #[test]
    fn grace_is_counted_from_the_first_look() {
        let now = 1_000_000;
        for (what, blob, grace, goes) in [
            ("released", blob(1, true, None), 3600, true),
            ("never seen", blob(1, false, None), 3600, false),
            ("never seen, no grace", blob(1, false, None), 0, true),
            ("seen a moment ago", blob(1, false, Some(now - 3599)), 3600, false),
            ("seen long ago", blob(1, false, Some(now - 3600)), 3600, true),
            ("seen in the future", blob(1, false, Some(now + 99_999)), 3600, false),
            ("at the beginning of time", blob(1, false, Some(i64::MIN)), u64::MAX, false),
        ] {
            let plan = plan([blob], grace, now);
            assert_eq!(
                (plan.sweep.len(), plan.wait.len()),
                (usize::from(goes), usize::from(!goes)),
                "{what}"
            );
        }
        let plan = plan([blob(1, false, Some(now + 5))], 60, now);
        assert_eq!(
            plan.wait.into_values().collect::<Vec<_>>(),
            [now],
            "a clock that was set back is forgotten"
        );
    }

    #[test]
    fn mentions_are_found_wherever_they_stand() {
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        let text = format!("{{\"x\":\"{one}\",\"y\":[\"sha256:short\",\"{two}\"]}}{one}");
        assert_eq!(mentioned(text.as_bytes(), 2), Some(HashSet::from([one, two])));
        assert_eq!(mentioned(text.as_bytes(), 1), None);
        assert_eq!(mentioned(one.to_string().as_bytes(), 9), Some(HashSet::from([one])));
        assert_eq!(mentioned(b"sha256:", 9), Some(HashSet::new()));
    }
}
