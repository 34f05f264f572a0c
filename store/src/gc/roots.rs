//! Looking at the store with both locks held: what the roots reach, and what is left.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::inside::{look_inside, parts_of};
use super::mark::{Kind, Node, mark};
use super::plan::Unneeded;
use crate::cancel::Cancel;
use crate::descriptor::Descriptor;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::have;
use crate::index::{self, Index};
use crate::journal;
use crate::lease::{self, Seen};
use crate::manifest::{Document, RawManifest};
use crate::media_type;
use crate::policy::StepCandidate;
use crate::steps;
use crate::store::Store;

/// Bytes of `released` and of `cache/unneeded`.
const MAX_LIST: u64 = 256 << 20;
/// When a GC first saw what nothing needs.
pub(super) const UNNEEDED: &str = "unneeded";

/// What was seen.
pub(crate) struct Found {
    /// Blobs that nothing needs.
    pub(crate) unneeded: Vec<Unneeded>,
    /// Referrers whose subject is not there.
    pub(super) forgotten: Vec<Digest>,
    /// Content that is let go, with all its names.
    pub(super) gone: HashSet<Digest>,
    /// What was let go and is still kept by a lease or a journal: the next GC takes it at once.
    pub(super) still_released: Vec<Digest>,
}

/// The store as it stands while both locks are held.
pub(crate) struct View<'a> {
    /// Live leases.
    pub(crate) leases: Vec<Seen>,
    /// What they, the journals and kept have-lists protect.
    pub(crate) kept: HashSet<Digest>,
    /// The index.
    pub(crate) index: Index,
    /// Records of steps whose blobs are there.
    pub(crate) steps: Vec<StepCandidate>,
    /// All blobs that are there; what only bears such a name may be among them.
    blobs: Vec<Digest>,
    /// The digests of its entries.
    entries: HashSet<Digest>,
    refs: References<'a>,
    weak: Vec<(Node, Digest)>,
}

impl<'a> View<'a> {
    /// Looks, at `now` (seconds since 1970). The caller holds the store lock exclusively, and the index lock.
    pub(crate) fn open(store: &'a Store, now: i64, cancel: &'a Cancel) -> Result<View<'a>> {
        let private = store.layout().private();
        // Leases first: what is leased after the index was read would be missed the other way round.
        let leases = private.sub_if_there("leases")?;
        let leases = leases.map_or(Ok(Vec::new()), |leases| lease::live(&leases))?;
        let mut kept: HashSet<Digest> =
            leases.iter().flat_map(|lease| lease.digests.iter().copied()).collect();
        kept.extend(journal::unfinished(private)?.into_iter().flat_map(|import| import.blobs));
        let lists = have::kept(private)?.into_iter().filter(|list| list.until > now);
        kept.extend(lists.flat_map(|list| list.digests));
        let index = store.index()?;
        let steps = steps_of(store)?;
        let blobs = store.blobs().digests()?;
        let mut refs = References {
            store,
            cancel,
            descriptors: HashMap::new(),
            expected: HashSet::new(),
            known: HashMap::new(),
        };
        let weak = refs.take_in(&index)?;
        let entries = index.entries().iter().map(|entry| entry.digest).collect();
        Ok(View { leases, kept, index, steps, blobs, entries, refs, weak })
    }

    /// The sizes of all blobs, in bytes.
    pub(crate) fn sizes(&self) -> Result<HashMap<Digest, u64>> {
        let mut sizes = HashMap::with_capacity(self.blobs.len());
        for digest in &self.blobs {
            if let Some(size) = self.refs.store.blobs().contains(digest)? {
                sizes.insert(*digest, size);
            }
        }
        Ok(sizes)
    }

    /// Whether an entry of the index or a lease names this.
    pub(crate) fn knows(&self, digest: &Digest) -> bool {
        self.kept.contains(digest) || self.entries.contains(digest)
    }

    /// The content of the index, referrers without a name aside, and all that each needs: what may be absent, too. Referrers
    /// belong to what they refer to.
    pub(crate) fn needs(&mut self) -> Result<BTreeMap<Digest, HashSet<Digest>>> {
        let referrers = by_subject(&self.weak);
        let mut needs = BTreeMap::new();
        let refs = &mut self.refs;
        for entry in self.index.entries().iter().filter(is_strong(&self.weak)) {
            if needs.contains_key(&entry.digest) {
                continue;
            }
            let root = refs.node(entry, Kind::Document);
            let reached = mark([root], |node| refs.refs_with(&referrers, node))?;
            needs.insert(entry.digest, reached.into_keys().collect());
        }
        Ok(needs)
    }

    /// What images, leases and journals need, and no step of a build alone.
    pub(crate) fn needed(&mut self) -> Result<HashSet<Digest>> {
        let (needed, _) = self.reach(&HashSet::new())?;
        Ok(needed.into_keys().chain(self.kept.iter().copied()).collect())
    }

    /// What the index reaches without this content, and the referrers whose subjects are not there.
    fn reach(&mut self, gone: &HashSet<Digest>) -> Result<(HashMap<Digest, Kind>, Vec<Digest>)> {
        let stays = |entry: &&Descriptor| !gone.contains(&entry.digest);
        let entries = self.index.entries().iter().filter(stays).filter(is_strong(&self.weak));
        let roots = entries.map(|entry| self.refs.node(entry, Kind::Document)).collect();
        self.refs.reach(roots, self.weak.clone())
    }

    /// What nothing needs once this content is gone from the index, and these steps (by their keys) are gone.
    pub(crate) fn without(&mut self, gone: HashSet<Digest>, steps: &HashSet<Digest>) -> Result<Found> {
        let (needed, forgotten) = self.reach(&gone)?;
        let (no_steps, stays): (Vec<_>, Vec<_>) =
            self.steps.iter().partition(|step| steps.contains(&step.key));
        let blobs = |steps: Vec<&StepCandidate>| -> HashSet<Digest> {
            steps.iter().filter_map(|step| Some(step.blob?.0)).collect()
        };
        let (no_steps, of_steps) = (blobs(no_steps), blobs(stays));
        let store = self.refs.store;
        let released = released(store)?;
        let let_go = released.iter().chain(&gone).chain(&forgotten).map(|digest| (*digest, Kind::Unknown));
        let let_go = let_go.chain(no_steps.into_iter().map(|digest| (digest, Kind::Leaf)));
        // What cannot be read any more names nothing; that is for the grace then.
        let let_go =
            mark(let_go, |(digest, _)| Ok::<_, Error>(parts_of(store, &digest).unwrap_or_default()))?;
        let first_seen = times(store, UNNEEDED)?;
        let is_unneeded = |digest: &&Digest| {
            !needed.contains_key(digest) && !self.kept.contains(digest) && !of_steps.contains(digest)
        };
        let mut unneeded = Vec::new();
        for digest in self.blobs.iter().filter(is_unneeded) {
            let Some(size) = store.blobs().contains(digest)? else { continue };
            let is_released = let_go.contains_key(digest);
            let first_seen = first_seen.get(digest).copied();
            unneeded.push(Unneeded { digest: *digest, size, is_released, first_seen });
        }
        let is_kept = |digest: &&Digest| self.kept.contains(digest) && !needed.contains_key(digest);
        let still_released = released.iter().chain(&gone).filter(is_kept).copied().collect();
        Ok(Found { unneeded, forgotten, gone, still_released })
    }
}

/// The records of steps, as the policy sees them.
fn steps_of(store: &Store) -> Result<Vec<StepCandidate>> {
    let (records, _) = steps::look(store)?;
    let seen = |found: steps::Found| StepCandidate {
        key: found.key,
        last_used: found.last_used,
        created: found.record.created,
        blob: found.record.layer.map(|layer| (layer.blob, layer.size)),
    };
    Ok(records.into_iter().map(seen).collect())
}

fn is_named(entry: &Descriptor) -> bool {
    entry.annotations.contains_key(index::REF_NAME)
}

fn by_subject(weak: &[(Node, Digest)]) -> HashMap<Digest, Vec<Node>> {
    let mut referrers: HashMap<Digest, Vec<Node>> = HashMap::new();
    for (node, subject) in weak {
        referrers.entry(*subject).or_default().push(*node);
    }
    referrers
}

/// Whether an entry is a root of its own: all are but referrers without a name.
fn is_strong(weak: &[(Node, Digest)]) -> impl Fn(&&Descriptor) -> bool + use<> {
    let weak: HashSet<_> = weak.iter().map(|(node, _)| node.0).collect();
    move |entry| is_named(entry) || !weak.contains(&entry.digest)
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
    /// Takes in what the index says of its children, and finds the referrers in it, each with its subject.
    fn take_in(&mut self, index: &Index) -> Result<Vec<(Node, Digest)>> {
        let mut weak = Vec::new();
        for entry in index.entries() {
            self.expected.extend(index::stored_children(entry));
            let node = self.node(entry, Kind::Document);
            // Whatever else is wrong with it, the mark says so.
            if !is_named(entry)
                && node.1 == Kind::Document
                && let Ok(Some(raw)) = self.store.document(entry)
                && let Some(subject) = raw.subject()
            {
                weak.push((node, subject.digest));
            }
        }
        Ok(weak)
    }

    /// What the roots reach, with the referrers to it; and the referrers whose subjects are not there.
    fn reach(
        &mut self,
        mut roots: Vec<Node>,
        mut weak: Vec<(Node, Digest)>,
    ) -> Result<(HashMap<Digest, Kind>, Vec<Digest>)> {
        let referrers = by_subject(&weak);
        loop {
            let needed = mark(roots.iter().copied(), |node| self.refs_with(&referrers, node))?;
            weak.retain(|(node, _)| !needed.contains_key(&node.0));
            // Nobody asks what refers to a layer.
            let (alive, dead): (Vec<_>, Vec<_>) =
                weak.into_iter().partition(|(_, subject)| needed.contains_key(subject));
            if alive.is_empty() {
                return Ok((needed, dead.into_iter().map(|(node, _)| node.0).collect()));
            }
            roots.extend(alive.into_iter().map(|(node, _)| node));
            weak = dead;
        }
    }

    /// What a node needs, and what refers to it.
    fn refs_with(&mut self, referrers: &HashMap<Digest, Vec<Node>>, node: Node) -> Result<Vec<Node>> {
        let mut nodes = self.refs(node)?;
        nodes.extend(referrers.get(&node.0).into_iter().flatten());
        Ok(nodes)
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

/// What was let go since the last GC. Half a line of a crash is none.
fn released(store: &Store) -> Result<Vec<Digest>> {
    let bytes = store.layout().private().read("released", MAX_LIST)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    Ok(text.lines().filter_map(|line| line.parse().ok()).collect())
}

/// When something was first seen, by digest: a file of `cache/`, which may be lost and is begun anew then.
pub(crate) fn times(store: &Store, file: &str) -> Result<HashMap<Digest, i64>> {
    let Some(cache) = store.layout().private().sub_if_there("cache")? else { return Ok(HashMap::new()) };
    let bytes = cache.read(file, MAX_LIST)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let parse = |line: &str| {
        let (digest, seconds) = line.split_once(' ')?;
        Some((digest.parse().ok()?, seconds.parse().ok()?))
    };
    Ok(text.lines().filter_map(parse).collect())
}
