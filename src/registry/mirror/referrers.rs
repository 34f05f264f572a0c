//! What refers to an image at the source, and not yet at the destination.

use std::collections::{HashMap, HashSet};

use larder_store::digest::Digest;
use larder_store::manifest::{Document, RawManifest};

use super::super::client::Which;
use super::super::error::{Kind, Result};
use super::super::pull::Platforms;
use super::super::pull::documents::{Documents as Source, MAX_REFERRERS};
use super::super::push::plan::Documents;
use super::look::Look;

impl Look<'_> {
    /// What refers to a document or one of its children, and what refers to that, each with its subject. What the destination has and
    /// lists is passed over.
    pub(super) fn referrers(
        &self,
        source: &mut Source<'_>,
        root: &RawManifest,
    ) -> Result<Vec<(Digest, Documents)>> {
        let mut left = vec![root.digest];
        if let Document::Index(index) = &root.document {
            left.extend(index.manifests.iter().map(|child| child.digest));
        }
        let mut seen: HashSet<_> = left.iter().copied().collect();
        let mut found = Vec::new();
        while let Some(subject) = left.pop() {
            let listed = self.from.referrers(&subject)?;
            if listed.is_empty() {
                continue;
            }
            let there: HashSet<_> =
                self.to.referrers(&subject)?.into_iter().map(|referrer| referrer.digest).collect();
            for referrer in listed {
                if seen.len() > MAX_REFERRERS || !seen.insert(referrer.digest) {
                    continue;
                }
                let which = Which::Digest(referrer.digest);
                if there.contains(&referrer.digest) && self.to.manifest_there(&which)?.is_some() {
                    left.push(referrer.digest);
                    continue;
                }
                let raw = match source.described(&referrer) {
                    // Listed, and not there: whoever may write the list may write anything into it.
                    Err(error) if error.kind() == Some(Kind::Absent) => continue,
                    raw => raw?,
                };
                // The list may be of anybody's making; what counts is what the referrer says itself.
                if raw.subject().is_none_or(|said| said.digest != subject) {
                    continue;
                }
                let digest = raw.digest;
                left.push(digest);
                let all = source.below(raw, &Platforms::All)?;
                let known: HashMap<_, _> = all.into_iter().map(|raw| (raw.digest, raw)).collect();
                found.push((subject, Documents::of(&digest, &known)));
            }
        }
        Ok(found)
    }
}
