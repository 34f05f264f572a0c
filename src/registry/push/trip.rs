//! One delivery: what a repository lacks of an image is brought there, and then named.

use std::collections::{HashMap, HashSet};

use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::manifest::RawManifest;
use larder_store::progress::Event;
use larder_store::reference::Reference;

use super::super::client::{Line, Put, Which};
use super::super::error::{Failed, Kind, Result};
use super::super::lines::Lines;
use super::plan::{self, Documents};
use super::send::{self, Came, Stock};
use super::{Delivery, Parcel, Pushed, referrers, sources};

/// One delivery.
pub(super) struct Trip<'a> {
    parcel: &'a Parcel<'a>,
    to: &'a Reference,
    how: Delivery<'a>,
    line: &'a Line,
    lines: &'a Lines,
    /// Blobs that the repository has.
    pub(super) there: Vec<Digest>,
    pub(super) pushed: Pushed,
}

impl<'a> Trip<'a> {
    pub(super) fn new(
        parcel: &'a Parcel<'a>,
        to: &'a Reference,
        how: Delivery<'a>,
        line: &'a Line,
        lines: &'a Lines,
    ) -> Trip<'a> {
        Trip { parcel, to, how, line, lines, there: Vec::new(), pushed: Pushed::none() }
    }

    /// Makes it. What is there by the time of a failure is known then too.
    pub(super) fn make(&mut self) -> Result<()> {
        let image = &self.parcel.image;
        let Some(root) = image.root() else {
            return Err(StoreError::invalid(self.to, "there is nothing to push").into());
        };
        let tag = Which::Tag(self.to.tag().unwrap_or("latest").to_owned());
        let is_tagged = self.line.manifest_there(&tag)? == Some(root.digest);
        let known = is_tagged.then_some(root.digest);
        let missing = self.missing(&[image], known)?;
        self.check_absent(root, &image.absent, &missing)?;
        let lacking: Vec<_> = image.all.iter().filter(|raw| missing.contains(&raw.digest)).collect();
        self.bring(&image.all, &lacking)?;
        for raw in lacking.iter().filter(|raw| raw.digest != root.digest) {
            self.put(raw, &Which::Digest(raw.digest))?;
        }
        if !is_tagged {
            self.put(root, &tag)?;
        }
        self.pushed.digest = root.digest;
        self.bring_referrers()
    }

    /// What the repository lacks of all that these images have and list, but for what is known to be there.
    fn missing(&self, images: &[&Documents], known: Option<Digest>) -> Result<HashSet<Digest>> {
        let mut seen: HashSet<_> = known.into_iter().collect();
        let listed = images.iter().flat_map(|image| {
            let own = image.all.iter().map(|raw| raw.digest);
            own.chain(image.absent.iter().map(|child| child.digest))
        });
        let wanted: Vec<_> = listed.filter(|digest| seen.insert(*digest)).collect();
        Ok(self.lines.lacking(self.line, &wanted, self.how.jobs)?.into_iter().collect())
    }

    /// A registry that has no such child refuses the index, or has then an index that nobody can pull.
    fn check_absent(
        &self,
        root: &RawManifest,
        absent: &[Descriptor],
        missing: &HashSet<Digest>,
    ) -> Result<()> {
        let named = |child: &Descriptor| {
            let platform = child.platform.as_ref().map(|platform| format!(" ({platform})"));
            format!("{}{}", child.digest, platform.unwrap_or_default())
        };
        let missing: Vec<_> =
            absent.iter().filter(|child| missing.contains(&child.digest)).map(named).collect();
        if missing.is_empty() {
            return Ok(());
        }
        let failed = Failed {
            side: self.line.host().to_owned(),
            request: format!("index {}", root.digest),
            why: format!("lists what is neither stored here nor in that repository: {}", missing.join(", ")),
            hint:
                "--platform OS/ARCH pushes one image of it; `larder pull --all-platforms` fetches the others"
                    .into(),
            kind: Kind::Failed,
        };
        Err(failed.into())
    }

    /// Brings the blobs of documents that the repository lacks. What other documents need is there.
    fn bring(&mut self, all: &[RawManifest], lacking: &[&RawManifest]) -> Result<()> {
        let wanted = plan::blobs(lacking.iter().copied());
        let asked: HashSet<_> = wanted.iter().map(|blob| blob.digest).collect();
        for blob in plan::blobs(all.iter()).into_iter().filter(|blob| !asked.contains(&blob.digest)) {
            self.count(blob, Came::There);
            (self.how.watch)(Event::Spared(blob.size));
        }
        if wanted.is_empty() {
            return Ok(());
        }
        (self.how.watch)(Event::Total(wanted.iter().map(|blob| blob.size).sum()));
        let elsewhere = sources::sources(self.parcel.store, self.to, &wanted, &self.parcel.been);
        let mut names: Vec<_> = elsewhere.values().cloned().collect();
        names.sort();
        names.dedup();
        self.lines.repository().mount_from(&names);
        let stock = Stock {
            store: self.parcel.store,
            supply: self.parcel.supply,
            made: &self.parcel.made,
            elsewhere: &elsewhere,
            watch: self.how.watch,
            cancel: &self.how.registries.cancel,
        };
        let (done, outcome) = send::send(self.lines, self.line, &wanted, self.how.jobs, stock);
        for (blob, came) in &done {
            self.count(blob, *came);
        }
        outcome
    }

    fn count(&mut self, blob: &Descriptor, came: Came) {
        self.there.push(blob.digest);
        let tally = match came {
            Came::There => &mut self.pushed.there,
            Came::Mounted => &mut self.pushed.mounted,
            Came::Sent => &mut self.pushed.sent,
        };
        tally.blobs += 1;
        tally.bytes = tally.bytes.saturating_add(blob.size);
    }

    fn put(&mut self, raw: &RawManifest, which: &Which) -> Result<Put> {
        let put = self.line.put_manifest(raw, which)?;
        self.pushed.manifests += 1;
        Ok(put)
    }

    /// After the image: some registries take nothing about what they do not have.
    fn bring_referrers(&mut self) -> Result<()> {
        let referrers = &self.parcel.referrers;
        let images: Vec<_> = referrers.iter().map(|(_, documents)| documents).collect();
        let mut missing = self.missing(&images, None)?;
        let mut listed: HashMap<Digest, HashSet<Digest>> = HashMap::new();
        for (subject, documents) in referrers {
            let Some(root) = documents.root() else { continue };
            if !listed.contains_key(subject) {
                let known = self.line.referrers(subject)?;
                listed.insert(*subject, known.into_iter().map(|known| known.digest).collect());
            }
            let is_listed = listed.get(subject).is_some_and(|known| known.contains(&root.digest));
            self.check_absent(root, &documents.absent, &missing)?;
            let lacking: Vec<_> = documents.all.iter().filter(|raw| missing.contains(&raw.digest)).collect();
            self.bring(&documents.all, &lacking)?;
            for raw in lacking.iter().filter(|raw| raw.digest != root.digest) {
                self.put(raw, &Which::Digest(raw.digest))?;
            }
            let is_there = !missing.contains(&root.digest);
            // Put once more where it is not listed: its answer says who keeps the list.
            if (!is_there || !is_listed) && self.put(root, &Which::Digest(root.digest))? != Put::Listed {
                referrers::list(self.line, subject, root)?;
            }
            for raw in &documents.all {
                missing.remove(&raw.digest);
            }
            self.pushed.referrers += 1;
        }
        Ok(())
    }
}
