//! Which repositories of registries have a blob, as far as this user has seen: a push mounts it from there.
//!
//! `.larder/cache/elsewhere/<user ID>`, a line for each blob and repository: `sha256:… host/repository`, the newest last. Only
//! what this user wrote counts. What it says may have become wrong, which costs a request and nothing else.
//!
//! Limits: all of it may be lost at any time. Nothing is locked: of two that note something at once one may be forgotten.

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;

use rustix::process::geteuid;

use crate::digest::Digest;
use crate::error::Result;
use crate::fs::{Dir, Sharing};
use crate::store::Store;

/// The place below `.larder/cache/`.
const PLACE: &str = "elsewhere";
/// Bytes that are kept: the oldest lines go.
const MOST: usize = 4 << 20;

/// Notes that a repository (`host/name`) has these blobs.
pub fn note(store: &Store, repository: &str, blobs: &[Digest]) -> Result<()> {
    let cache = store.layout().private().ensure_dir("cache")?;
    let dir = cache.ensure_dir(PLACE)?.with_sharing(Sharing::Owner);
    let old = read(&dir);
    let known: HashSet<&str> = old.lines().collect();
    let lines = blobs.iter().map(|blob| format!("{blob} {repository}"));
    let new: String =
        lines.filter(|line| !known.contains(line.as_str())).map(|line| format!("{line}\n")).collect();
    if new.is_empty() {
        return Ok(());
    }
    let all = old + &new;
    let over = all.len().saturating_sub(MOST);
    // Half of it then: not all of it is to be written each time.
    let start = if over == 0 { 0 } else { all.len() - MOST / 2 };
    let start = all[start..].find('\n').filter(|_| start > 0).map_or(start, |end| start + end + 1);
    dir.replace_lossy(&geteuid().as_raw().to_string(), &all.as_bytes()[start..])
}

/// Shows what is known of a registry's repositories: each blob with the repository's name there, the newest last. What cannot
/// be read is not there.
pub fn each(store: &Store, host: &str, see: &mut dyn FnMut(Digest, &str)) {
    let Ok(Some(cache)) = store.layout().private().sub_if_there("cache") else { return };
    let Ok(Some(dir)) = cache.sub_if_there(PLACE) else { return };
    for line in read(&dir).lines() {
        let Some((blob, repository)) = line.split_once(' ') else { continue };
        let name = repository.strip_prefix(host).and_then(|rest| rest.strip_prefix('/'));
        if let (Ok(blob), Some(name)) = (blob.parse(), name) {
            see(blob, name);
        }
    }
}

fn read(dir: &Dir) -> String {
    let own = geteuid().as_raw();
    let name = own.to_string();
    let is_own =
        matches!(dir.open_file(&name), Ok(Some(file)) if file.metadata().is_ok_and(|meta| meta.uid() == own));
    let bytes = if is_own { dir.read(&name, 2 * MOST as u64) } else { Ok(None) };
    // Where a byte is not text all of it is somebody else's.
    bytes
        .ok()
        .flatten()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .filter(|text| text.is_ascii())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn seen(store: &Store, host: &str) -> Vec<(Digest, String)> {
        let mut found = Vec::new();
        each(store, host, &mut |blob, name| found.push((blob, name.to_owned())));
        found
    }

    #[test]
    fn what_was_seen_is_known_by_its_host() {
        let temporary = tempfile::tempdir().expect("a directory");
        let store = Store::open(&temporary.path().join("store"), Duration::from_secs(1)).expect("a store");
        assert_eq!(seen(&store, "h"), []);
        let (one, two) = (Digest::of(b"1"), Digest::of(b"2"));
        note(&store, "h:5000/a/b", &[one, two]).expect("noted");
        note(&store, "h:5000/a/b", &[one]).expect("noted");
        note(&store, "h:5000/c", &[one]).expect("noted");
        note(&store, "h:5000.org/d", &[one]).expect("noted");
        let expected = [(one, "a/b"), (two, "a/b"), (one, "c")].map(|(blob, name)| (blob, name.to_owned()));
        assert_eq!(seen(&store, "h:5000"), expected);
        assert_eq!(seen(&store, "h"), []);
        let place =
            temporary.path().join("store/.larder/cache/elsewhere").join(geteuid().as_raw().to_string());
        std::fs::write(&place, b"sha256:12 h:5000/a\n\xff\n").expect("written");
        assert_eq!(seen(&store, "h:5000"), []);
        note(&store, "h:5000/a", &[two]).expect("noted over what is none of ours");
        assert_eq!(seen(&store, "h:5000").len(), 1);
    }

    #[test]
    fn the_oldest_is_forgotten() {
        let temporary = tempfile::tempdir().expect("a directory");
        let store = Store::open(&temporary.path().join("store"), Duration::from_secs(1)).expect("a store");
        let blobs: Vec<_> = (0..60_000u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
        note(&store, "h/a", &blobs).expect("noted");
        let known = seen(&store, "h");
        assert!(known.len() < blobs.len() && known.len() > 10_000, "{}", known.len());
        assert_eq!(known.last().map(|(blob, _)| *blob), blobs.last().copied());
    }
}
