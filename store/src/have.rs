//! Kept have-lists: what this store has said that it has, and keeps until the next bundle is made of that.
//!
//! `.larder/have/<digest of the list>`: `until ` and a time (RFC 3339) in the first line, then digests, one a line. All of them are
//! roots of GC until then; one whose time is over goes with the next GC. A list that cannot be read stops GC.

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::fs::{self, Dir};
use crate::index::timestamp;

/// The place below `.larder/`.
pub(crate) const PLACE: &str = "have";
/// The file that says which store this is.
const IDENTITY: &str = "id";
/// Bytes of a kept list.
const MAX_LIST: u64 = 64 << 20;

/// A list that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// Its name among the lists: the hex form of its digest.
    pub list: String,
    /// Until when, seconds since 1970.
    pub until: i64,
    /// What stays.
    pub digests: Vec<Digest>,
}

/// Keeps what a list names, durably, until then (seconds since 1970). Whoever calls this keeps it meanwhile.
pub fn keep(private: &Dir, list: &Digest, until: i64, digests: &[Digest]) -> Result<()> {
    let dir = private.ensure_dir(PLACE)?;
    // What was promised for longer stays promised.
    let earlier = kept(private)?.into_iter().find(|kept| kept.list == list.hex());
    let until = earlier.map_or(until, |kept| kept.until.max(until));
    let lines: String = digests.iter().map(|digest| format!("{digest}\n")).collect();
    dir.replace(&list.hex(), format!("until {}\n{lines}", timestamp(until)).as_bytes(), private)?;
    private.sync()
}

/// All kept lists, those whose time is over as well.
pub fn kept(private: &Dir) -> Result<Vec<Kept>> {
    let Some(dir) = private.sub_if_there(PLACE)? else { return Ok(Vec::new()) };
    let mut lists = Vec::new();
    for list in dir.names()? {
        if Digest::from_hex(&list).is_none() {
            continue;
        }
        let Some(bytes) = dir.read(&list, MAX_LIST)? else { continue };
        let damaged = || {
            Error::damaged(
                dir.at(&list).display(),
                "has a line that is none; remove it to keep nothing by it",
            )
        };
        let text = std::str::from_utf8(&bytes).map_err(|_| damaged())?;
        let mut lines = text.lines();
        let until =
            lines.next().and_then(|line| line.strip_prefix("until ")?.parse::<jiff::Timestamp>().ok());
        let until = until.ok_or_else(damaged)?.as_second();
        let digests = lines.map(|line| line.parse().map_err(|_| damaged())).collect::<Result<_>>()?;
        lists.push(Kept { list, until, digests });
    }
    lists.sort_by(|one, other| (one.until, &one.list).cmp(&(other.until, &other.list)));
    Ok(lists)
}

/// A word that this store has, and no other one but its copies; it gets one now where it has none.
pub fn identity(private: &Dir) -> Result<String> {
    if let Some(bytes) = private.read(IDENTITY, 200)?
        && let Ok(text) = String::from_utf8(bytes)
        && let word = text.trim()
        && !word.is_empty()
        && !word.chars().any(char::is_control)
    {
        return Ok(word.to_owned());
    }
    let word = Digest::of(format!("{} {}", fs::unique(), fs::unique()).as_bytes()).short();
    private.replace(IDENTITY, format!("{word}\n").as_bytes(), private)?;
    Ok(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_kept_with_its_end() {
        let temporary = tempfile::tempdir().expect("a directory");
        let private = Dir::open(temporary.path()).expect("a directory");
        assert_eq!(kept(&private).expect("none"), []);
        let (list, one) = (Digest::of(b"list"), Digest::of(b"1"));
        keep(&private, &list, 1_800_000_000, &[one]).expect("kept");
        let expected = Kept { list: list.hex(), until: 1_800_000_000, digests: vec![one] };
        assert_eq!(kept(&private).expect("read"), [expected]);
        keep(&private, &list, 1_700_000_000, &[one]).expect("kept");
        assert_eq!(kept(&private).expect("read")[0].until, 1_800_000_000, "not shortened");
        for bad in ["", "until x\n", "until 2027-01-15T08:00:00Z\nsha256:12\n"] {
            std::fs::write(temporary.path().join(PLACE).join(list.hex()), bad).expect("written");
            assert!(kept(&private).is_err(), "{bad:?}");
        }
        let word = identity(&private).expect("a word");
        assert_eq!(identity(&private).expect("the same"), word);
    }
}
