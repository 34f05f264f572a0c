//! What a tag means on both sides, and what the destination lacks of it. Only documents are fetched.

use std::collections::{HashMap, HashSet};

use larder_store::Store;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::manifest::{Document, RawManifest};

use super::super::client::{Line, Repository, Which};
use super::super::error::{Error, Failed, Kind, Result};
use super::super::lines::{AT_ONCE, Lines};
use super::super::pull::documents::Documents as Source;
use super::super::pull::{Platforms, check_platform, sizes};
use super::super::push::plan::{Documents, blobs, children};
use super::super::push::sources::sources;
use super::{Ledger, Looked, Mirror, Part};

/// Indexes in indexes that are followed, as the store does.
const MAX_DEPTH: usize = 8;

/// The documents of an image that the destination lacks.
struct Lacking {
    documents: HashMap<Digest, RawManifest>,
    /// Bytes of those of them that are still to go there.
    send: u64,
}

/// A look at a tag, by a line to each side.
pub(super) struct Look<'a> {
    mirror: &'a Mirror,
    pub(super) from: &'a Line,
    pub(super) to: &'a Line,
    store: &'a Store,
    /// Blobs of which the destination was asked.
    known: &'a mut HashMap<Digest, bool>,
    ledger: &'a mut Ledger,
}

impl Mirror {
    /// Looks what becomes of a tag. What it brings is noted for those that come after it.
    pub(crate) fn look(
        &mut self,
        store: &Store,
        tag: &str,
        part: &Part,
        referrers: bool,
        ledger: &mut Ledger,
    ) -> Result<Looked> {
        let mut known = std::mem::take(&mut self.known);
        let looked = self.source.with(|from| {
            self.lines.with(|to| {
                let known = &mut known;
                Look { mirror: self, from, to, store, known, ledger }.look(tag, part, referrers)
            })
        });
        self.known = known;
        looked
    }
}

impl Look<'_> {
    fn look(&mut self, tag: &str, part: &Part, referrers: bool) -> Result<Looked> {
        let which = Which::Tag(tag.to_owned());
        let announced = self.from.head(&which).map_err(Error::of_image)?.digest;
        let was = self.to.manifest_there(&which)?;
        let is_there =
            |digest| Looked { digest, was, fetch: 0, send: 0, coming: 0, image: None, referrers: Vec::new() };
        if let Some(digest) = announced.filter(|digest| was == Some(*digest) && !referrers) {
            return Ok(is_there(digest));
        }
        let mut source = Source::new(self.store, self.from);
        let mut whole = 0;
        let root = match announced {
            // By its digest: the tag may move meanwhile.
            Some(digest) => source.by_digest(&digest).map_err(Error::of_image)?,
            None => {
                let root = self.from.manifest(&which).map_err(Error::of_image)?;
                whole = root.bytes.len() as u64;
                root
            }
        };
        let (root, platforms) = self.root(&mut source, root, part)?;
        let is_tagged = was == Some(root.digest);
        if is_tagged && !referrers {
            return Ok(Looked { fetch: source.fetched() + whole, ..is_there(root.digest) });
        }
        let found = match referrers {
            true => self.referrers(&mut source, &root)?,
            false => Vec::new(),
        };
        let (mut send, mut image) = (0, None);
        if !is_tagged || !found.is_empty() {
            let lacking = self.lacking(&mut source, root.clone(), is_tagged, &platforms)?;
            send += lacking.send;
            image = Some(Documents::of(&root.digest, &lacking.documents));
        }
        let mut lacking: Vec<_> = image.iter().flat_map(|image| &image.all).cloned().collect();
        if is_tagged {
            lacking.clear();
        }
        for documents in found.iter().map(|(_, documents)| documents) {
            for (at, raw) in documents.all.iter().enumerate() {
                let is_root = at + 1 == documents.all.len();
                if !is_root && self.to.manifest_there(&Which::Digest(raw.digest))?.is_some() {
                    continue;
                }
                send += self.goes(raw);
                lacking.push(raw.clone());
            }
        }
        let read = found.iter().flat_map(|(_, documents)| &documents.all);
        sizes::check(self.from.host(), image.iter().flat_map(|image| &image.all).chain(read))?;
        let documents = source.fetched().saturating_add(whole);
        let (coming, going) = self.blobs(&lacking)?;
        Ok(Looked {
            digest: root.digest,
            was,
            fetch: documents.saturating_add(coming),
            send: send.saturating_add(going),
            coming,
            image,
            referrers: found,
        })
    }

    /// What the tag is to mean: the whole, or the one image of an index that is wanted.
    fn root(
        &self,
        source: &mut Source<'_>,
        root: RawManifest,
        part: &Part,
    ) -> Result<(RawManifest, Platforms)> {
        let Part::Platforms(wanted) = part else { return Ok((root, Platforms::All)) };
        let platforms = Platforms::These(wanted.clone());
        let Document::Index(index) = &root.document else {
            check_platform(self.store, self.from, std::slice::from_ref(&root), &platforms)?;
            return Ok((root, Platforms::All));
        };
        let chosen = platforms.children(index).map_err(|why| source.unfit(&root, why))?;
        match &chosen[..] {
            [child] if wanted.len() == 1 => Ok((source.described(child)?, Platforms::All)),
            _ => Ok((root, platforms)),
        }
    }

    /// Reads what the destination lacks of an image. What is not wanted of an index has to be there: else no registry takes the index,
    /// or it has then one that nobody can pull.
    fn lacking(
        &mut self,
        source: &mut Source<'_>,
        root: RawManifest,
        is_tagged: bool,
        platforms: &Platforms,
    ) -> Result<Lacking> {
        let mut lacking = Lacking { documents: HashMap::new(), send: 0 };
        let mut unwanted: Vec<Descriptor> = Vec::new();
        let (first, mut left) = (root.digest, vec![(root, 0)]);
        while let Some((raw, depth)) = left.pop() {
            if lacking.documents.contains_key(&raw.digest) {
                continue;
            }
            if depth > MAX_DEPTH {
                let why = format!("indexes are nested more than {MAX_DEPTH} deep");
                return Err(StoreError::invalid(format!("manifest {first}"), why).into());
            }
            if let (Document::Index(index), false) = (&raw.document, is_tagged) {
                let chosen = platforms.children(index).map_err(|why| source.unfit(&raw, why))?;
                let chosen: HashSet<_> = chosen.iter().map(|child| child.digest).collect();
                let listed: Vec<_> = children(&raw).map(|child| child.digest).collect();
                let absent = self.mirror.lines.lacking(self.to, &listed, AT_ONCE)?;
                let absent: HashSet<_> = absent.into_iter().collect();
                for child in children(&raw).filter(|child| absent.contains(&child.digest)) {
                    match chosen.contains(&child.digest) {
                        true => left.push((source.described(child)?, depth + 1)),
                        false => unwanted.push(child.clone()),
                    }
                }
            }
            let goes = self.goes(&raw);
            lacking.send += match raw.digest == first {
                // Put once for each tag, also where it goes as a part of something.
                true if is_tagged => 0,
                true => raw.bytes.len() as u64,
                false => goes,
            };
            lacking.documents.insert(raw.digest, raw);
        }
        match unwanted.is_empty() {
            true => Ok(lacking),
            false => Err(self.sparse(&first, &unwanted)),
        }
    }

    fn sparse(&self, root: &Digest, unwanted: &[Descriptor]) -> Error {
        let shown = |child: &Descriptor| match &child.platform {
            Some(platform) => platform.to_string(),
            None => child.digest.to_string(),
        };
        let list: Vec<_> = unwanted.iter().map(shown).collect();
        Error::from(Failed {
            side: self.mirror.to.familiar_name(),
            request: format!("index {root}"),
            why: format!("lists what is not wanted and not there: {}", list.join(", ")),
            hint: "without `platforms` all of it goes; with one platform that image goes alone, without the index".into(),
            kind: Kind::Failed,
        })
    }

    /// Bytes of a document that is to go to the destination, unless it does so already.
    fn goes(&mut self, raw: &RawManifest) -> u64 {
        let is_new = self.ledger.there.insert((self.mirror.to.familiar_name(), raw.digest));
        if is_new { raw.bytes.len() as u64 } else { 0 }
    }

    /// Bytes of the blobs of these documents: those that come from the source, and those that go to the destination.
    fn blobs(&mut self, documents: &[RawManifest]) -> Result<(u64, u64)> {
        let (host, place) = (self.mirror.to.domain().to_owned(), self.mirror.to.familiar_name());
        let mut wanted = blobs(documents.iter());
        wanted.retain(|blob| !self.ledger.there.contains(&(place.clone(), blob.digest)));
        let asked: Vec<_> =
            wanted.iter().copied().filter(|blob| !self.known.contains_key(&blob.digest)).collect();
        let there = self.mirror.lines.which_are_there(&asked)?;
        self.known.extend(asked.iter().map(|blob| (blob.digest, there.contains(&blob.digest))));
        wanted.retain(|blob| self.known.get(&blob.digest) != Some(&true));
        if self.mirror.is_same_host() {
            // Mounted, they are never read here: whether they are as large as they are said to be, the source tells.
            self.mirror.source.which_are_there(&wanted)?;
        }
        let mut unknown = Vec::new();
        for blob in wanted {
            self.ledger.there.insert((place.clone(), blob.digest));
            // What a repository of that registry has, or will have by then, is mounted.
            let is_near = !self.ledger.somewhere.insert((host.clone(), blob.digest));
            if !is_near && !self.mirror.is_same_host() {
                unknown.push(blob);
            }
        }
        let near = self.near(&unknown)?;
        let (mut coming, mut going) = (0u64, 0u64);
        for blob in unknown.into_iter().filter(|blob| !near.contains(&blob.digest)) {
            going = going.saturating_add(blob.size);
            let is_stored = self.store.blobs().contains(&blob.digest)? == Some(blob.size);
            if !is_stored && self.ledger.fetched.insert(blob.digest) {
                coming = coming.saturating_add(blob.size);
            }
        }
        Ok((coming, going))
    }

    /// Which of these blobs another repository of the destination's registry has, of those that one is believed to have.
    fn near(&self, blobs: &[&Descriptor]) -> Result<HashSet<Digest>> {
        let to = &self.mirror.to;
        let mut by_repository: HashMap<String, Vec<&Descriptor>> = HashMap::new();
        let believed = sources(self.store, to, blobs, &[]);
        for blob in blobs {
            if let Some(path) = believed.get(&blob.digest) {
                by_repository.entry(path.clone()).or_default().push(blob);
            }
        }
        let mut near = HashSet::new();
        for (path, blobs) in by_repository {
            let Ok(place) = format!("{}/{path}", to.domain()).parse() else { continue };
            let asked = Repository::of(&place, &self.mirror.registries)
                .and_then(|repository| Lines::to(&repository).which_are_there(&blobs));
            match asked {
                Ok(there) => near.extend(there),
                Err(error) if error.is_stop() => return Err(error),
                // Who may not look there may not mount from there.
                Err(_) => {}
            }
        }
        Ok(near)
    }
}
