//! Looking at the store with both locks held: what the roots reach, and what is left.

use std::collections::{HashMap, HashSet};
use std::io::Read;

use super::mark::{Kind, Node, mark};
use super::plan::{Unneeded, mentioned};
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::index::{self, Index};
use crate::journal;
use crate::json::MAX_DOCUMENT;
use crate::lease;
use crate::manifest::{Document, RawManifest};
use crate::media_type;
use crate::store::Store;

/// Digests that an unknown document may mention.
const MAX_MENTIONS: usize = 100_000;
/// Bytes of `released` and of `cache/unneeded`.
const MAX_LIST: u64 = 256 << 20;
/// When a GC first saw what nothing needs.
pub(super) const UNNEEDED: &str = "unneeded";

/// What was seen.
pub(super) struct Found {
    /// Blobs that nothing needs.
    pub(super) unneeded: Vec<Unneeded>,
    /// Referrers whose subject is not there.
    pub(super) forgotten: Vec<Digest>,
    /// What was let go and is still kept by a lease or a journal: the next GC takes it at once.
    pub(super) still_released: Vec<Digest>,
}

pub(super) fn look(store: &Store, cancel: &Cancel) -> Result<Found> {
    let private = store.layout().private();
    // Leases first: what is leased after the index was read would be missed the other way round.
    let mut kept: Vec<Digest> = Vec::new();
    for lease in lease::live(&private.ensure_dir("leases")?)? {
        kept.extend(lease.digests);
    }
    kept.extend(journal::roots(private)?);
    let index = store.index()?;
    let mut refs = References {
        store,
        cancel,
        descriptors: HashMap::new(),
        expected: HashSet::new(),
        known: HashMap::new(),
    };
    let (needed, forgotten) = refs.reach(&index)?;
    let kept: HashSet<_> = kept.into_iter().collect();

    let released = released(store)?;
    let let_go = mark(released.iter().map(|digest| (*digest, Kind::Unknown)), |(digest, _)| {
        // What cannot be read any more mentions nothing; that is for the grace then.
        Ok::<_, Error>(look_inside(store, &digest).unwrap_or_default())
    })?;
    let first_seen = first_seen(store)?;
    let mut unneeded = Vec::new();
    for digest in store.blobs().digests()? {
        if !needed.contains_key(&digest)
            && !kept.contains(&digest)
            && let Some(size) = store.blobs().contains(&digest)?
        {
            let is_released = let_go.contains_key(&digest);
            unneeded.push(Unneeded {
                digest,
                size,
                is_released,
                first_seen: first_seen.get(&digest).copied(),
            });
        }
    }
    let still_released =
        released.into_iter().filter(|digest| kept.contains(digest) && !needed.contains_key(digest));
    Ok(Found { unneeded, forgotten, still_released: still_released.collect() })
}

/// What documents refer to; each is read once.
struct References<'a> {
    store: &'a Store,
    cancel: &'a Cancel,
    /// How a document was described.
    descriptors: HashMap<Digest, Descriptor>,
    /// Children that were stored with their index: one that is missing is damage.
    expected: HashSet<Digest>,
    known: HashMap<Node, Vec<Node>>,
}

impl References<'_> {
    /// What the index reaches, and the referrers in it whose subjects are gone.
    fn reach(&mut self, index: &Index) -> Result<(HashMap<Digest, Kind>, Vec<Digest>)> {
        let (mut roots, mut weak) = (Vec::new(), Vec::new());
        for entry in index.entries() {
            self.expected.extend(index::stored_children(entry));
            let node = self.node(entry, Kind::Document);
            // A name keeps a referrer whatever it refers to.
            let may_be_weak = node.1 == Kind::Document && !entry.annotations.contains_key(index::REF_NAME);
            let subject = match may_be_weak.then(|| self.store.document(entry)) {
                Some(Ok(Some(raw))) => raw.subject().map(|subject| subject.digest),
                // Whatever is wrong with it, the mark says so.
                _ => None,
            };
            match subject {
                Some(subject) => weak.push((node, subject)),
                None => roots.push(node),
            }
        }
        loop {
            let needed = mark(roots.iter().copied(), |node| self.refs(node))?;
            let (alive, dead): (Vec<_>, Vec<_>) =
                weak.into_iter().partition(|(_, subject)| needed.contains_key(subject));
            if alive.is_empty() {
                let gone = dead.into_iter().map(|(node, _): (Node, Digest)| node.0);
                return Ok((needed, gone.collect()));
            }
            roots.extend(alive.into_iter().map(|(node, _)| node));
            weak = dead;
        }
    }

    fn node(&mut self, descriptor: &Descriptor, kind: Kind) -> Node {
        if media_type::document_kind(&descriptor.media_type).is_none() {
            return (descriptor.digest, Kind::Unknown);
        }
        self.descriptors.entry(descriptor.digest).or_insert_with(|| descriptor.clone());
        let is_expected = self.expected.contains(&descriptor.digest);
        (descriptor.digest, if is_expected { Kind::Document } else { kind })
    }

    fn refs(&mut self, (digest, kind): Node) -> Result<Vec<Node>> {
        self.cancel.check()?;
        if let Some(known) = self.known.get(&(digest, kind)) {
            return Ok(known.clone());
        }
        let nodes = match self.descriptors.get(&digest).cloned() {
            Some(descriptor) => self.children(&descriptor, kind)?,
            None => look_inside(self.store, &digest)?,
        };
        self.known.insert((digest, kind), nodes.clone());
        Ok(nodes)
    }

    fn children(&mut self, descriptor: &Descriptor, kind: Kind) -> Result<Vec<Node>> {
        let Some(raw) = self.store.document(descriptor)? else {
            return match kind {
                Kind::Document => {
                    Err(Error::damaged(format!("manifest {}", descriptor.digest), "is missing"))
                }
                _ => Ok(Vec::new()),
            };
        };
        Ok(match raw {
            RawManifest { document: Document::Index(list), .. } => {
                list.manifests.iter().map(|child| self.node(child, Kind::Listed)).collect()
            }
            RawManifest { document: Document::Image(image), .. } => {
                let parts = std::iter::once(&image.config).chain(&image.layers);
                parts.map(|part| (part.digest, Kind::Leaf)).collect()
            }
        })
    }
}

/// What a blob of unknown kind may need: every digest that it mentions, if it is JSON. Anything else needs nothing.
fn look_inside(store: &Store, digest: &Digest) -> Result<Vec<Node>> {
    let Some(blob) = store.blobs().open(digest)? else { return Ok(Vec::new()) };
    let failed = || Error::io("read", format!("blob {digest}"));
    let mut head = [0; 64];
    let count = blob.read_at(&mut head, 0).map_err(failed())?;
    let is_json = head[..count]
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| b"{[".contains(byte));
    if !is_json {
        return Ok(Vec::new());
    }
    let too_much = |what: String| {
        Error::invalid(
            format!("blob {digest}"),
            format!("is an unknown document {what}; what it needs cannot be told"),
        )
    };
    if blob.size() > MAX_DOCUMENT {
        return Err(too_much(format!("of {} bytes", blob.size())));
    }
    let mut bytes = Vec::new();
    blob.reader().read_to_end(&mut bytes).map_err(failed())?;
    let mentions = mentioned(&bytes, MAX_MENTIONS);
    let mentions = mentions.ok_or_else(|| too_much(format!("with more than {MAX_MENTIONS} digests")))?;
    Ok(mentions.into_iter().map(|digest| (digest, Kind::Unknown)).collect())
}

/// What was let go since the last GC. Half a line of a crash is none.
fn released(store: &Store) -> Result<Vec<Digest>> {
    let bytes = store.layout().private().read("released", MAX_LIST)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// When GCs first saw what nothing needs: may be lost, and is begun anew then.
fn first_seen(store: &Store) -> Result<HashMap<Digest, i64>> {
    let cache = store.layout().private().ensure_dir("cache")?;
    let bytes = cache.read(UNNEEDED, MAX_LIST)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let parse = |line: &str| {
        let (digest, seconds) = line.split_once(' ')?;
        Some((digest.parse().ok()?, seconds.parse().ok()?))
    };
    Ok(text.lines().filter_map(parse).collect())
}
