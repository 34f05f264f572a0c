//! `images --with-package`: which images have a package.

use std::collections::HashSet;

use larder_store::cancel::Cancel;
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::error::Result;
use larder_store::ids::ImageId;
use larder_store::index::{self, Index};
use larder_store::layers::LayerCache;
use larder_store::manifest::{Document, ImageManifest};
use larder_store::media_type::{DocumentKind, document_kind};
use larder_store::store::Store;
use larder_store::walk;
use serde_json::{Value, json};

use crate::cli::count;
use crate::sbom::attached::{Attached, MAX_DOCUMENTS, Said, attests};
use crate::sbom::kept::{self, Kept, Line};
use crate::sbom::kind::Kind;
use crate::sbom::query::{Query, Verdict, Whose};

/// Packages that images are asked for, and where is known what they have.
pub(super) struct Sought<'a> {
    store: &'a Store,
    cache: LayerCache,
    queries: &'a [Query],
    cancel: &'a Cancel,
}

/// A package that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Match {
    kind: Kind,
    /// The name that it goes by, under which the layers and a document mean the same one.
    key: String,
    version: String,
    /// The document that says so; none where it was read from the layers.
    said_by: Option<Digest>,
    name: String,
    /// Whether its version could be compared with the one that was asked for.
    is_known: bool,
}

/// What an image has of what was asked for.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// The packages; none where it lacks one of those that were asked for.
    pub(super) found: Vec<Match>,
    /// What of it could not be read.
    pub(super) problems: Vec<String>,
    /// What of it is damaged in the store.
    pub(super) damaged: Vec<String>,
}

/// An image of an entry: what it has, and the manifest that documents are about.
struct Image {
    kept: Kept,
    manifest: Digest,
}

impl<'a> Sought<'a> {
    pub(super) fn new(store: &'a Store, queries: &'a [Query], cancel: &'a Cancel) -> Result<Sought<'a>> {
        Ok(Sought { store, cache: store.layers()?, queries, cancel })
    }

    /// What is attached to images, where something is asked for.
    pub(super) fn attached(&self, index: &Index) -> Attached {
        if self.queries.is_empty() { Attached::default() } else { Attached::of_index(self.store, index) }
    }

    /// What the images of an entry have. What was read from the layers counts first; a document adds what it alone says.
    pub(super) fn of(&self, entry: &Descriptor, attached: &Attached) -> Result<Answer> {
        let mut beside = Attached::default();
        let images = match self.known(entry) {
            Some(image) => vec![image],
            None => self.looked_into(entry, &mut beside)?,
        };
        let mut answer = Answer::default();
        let family: Vec<_> = images.iter().map(|image| image.manifest).chain([entry.digest]).collect();
        for Image { kept, manifest } in &images {
            self.cancel.check()?;
            answer.problems.extend_from_slice(kept.problems());
            let mut about = vec![*manifest, entry.digest];
            about.dedup();
            let look = |query| Matches { query, found: matches_of(query, kept, None), known: None };
            let mut all: Vec<Matches<'_>> = self.queries.iter().map(look).collect();
            let mut asked = HashSet::new();
            for attached in about.iter().flat_map(|digest| [attached, &beside].map(|all| (all, digest))) {
                let (attached, digest) = attached;
                if attached.left(digest) > 0 {
                    let left = count(attached.left(digest), "document");
                    answer
                        .problems
                        .push(format!("{left} attached to it more than the {MAX_DOCUMENTS} that are asked"));
                }
                for document in attached.about(digest) {
                    self.cancel.check()?;
                    if asked.contains(&document.blob.digest) {
                        continue;
                    }
                    let name = format!("the document {} attached to it", document.blob.digest);
                    let said = document.said(self.store, &self.cache, &about, &family);
                    match said {
                        // One after the other: each may be large.
                        Ok(Said::Packages(said)) => {
                            asked.insert(document.blob.digest);
                            all.iter_mut().for_each(|matches| matches.add(document.blob.digest, &said));
                        }
                        Ok(Said::Unclear(why)) => answer.problems.push(format!("{name}: {why}")),
                        Ok(Said::Nothing) => {}
                        // Its layers say what they say.
                        Err(error) => answer.damaged.extend(super::if_damaged(Err(error))?),
                    }
                }
            }
            if all.iter().all(|matches| !matches.found.is_empty()) {
                answer.found.extend(all.into_iter().flat_map(|matches| matches.found));
            }
        }
        answer.found.sort();
        answer.found.dedup();
        answer.problems.sort();
        answer.problems.dedup();
        answer.damaged.dedup();
        Ok(answer)
    }

    /// The one image of an entry that says enough itself: no document of it is opened.
    fn known(&self, entry: &Descriptor) -> Option<Image> {
        let is_image = document_kind(&entry.media_type) == Some(DocumentKind::Image);
        let id = ImageId(entry.annotation(index::IMAGE_ID).filter(|_| is_image)?.parse().ok()?);
        Some(Image { kept: kept::known(&self.cache, &id)?, manifest: entry.digest })
    }

    /// The images of an entry, and what its index has beside them about them.
    fn looked_into(&self, entry: &Descriptor, beside: &mut Attached) -> Result<Vec<Image>> {
        let mut images: Vec<(Digest, ImageManifest)> = Vec::new();
        walk::walk(entry, &mut |document| self.store.document(document), &mut |node| {
            let Some(raw) = node.document else { return Ok(()) };
            let Document::Image(image) = &raw.document else { return Ok(()) };
            match attests(node.descriptor) {
                Some(subject) => beside.add(subject, image, &raw.bytes),
                None if image.is_container() => images.push((node.descriptor.digest, image.clone())),
                None => {}
            }
            Ok(())
        })?;
        let look = |(manifest, image): (Digest, ImageManifest)| {
            Ok(Image { kept: kept::kept(self.store, &self.cache, &image, self.cancel)?, manifest })
        };
        images.into_iter().map(look).collect()
    }
}

/// What the layers and the documents have of one question.
struct Matches<'a> {
    query: &'a Query,
    found: Vec<Match>,
    /// What that is, as soon as a document is asked.
    known: Option<HashSet<(Kind, String, String)>>,
}

impl Matches<'_> {
    fn add(&mut self, document: Digest, said: &Kept) {
        let known = self.known.get_or_insert_with(|| self.found.iter().map(Match::what).collect());
        let others = matches_of(self.query, said, Some(document)).into_iter();
        self.found.extend(others.filter(|one| known.insert(one.what())));
    }
}

fn matches_of(query: &Query, kept: &Kept, said_by: Option<Digest>) -> Vec<Match> {
    // Names of sources are in the lines of all packages.
    let names = query.exact().filter(|_| query.of == Whose::Package);
    let matches = |line: Line<'_>| matching(query, &line, said_by);
    match names {
        Some(names) => names.flat_map(|name| kept.named(name)).filter_map(matches).collect(),
        None => kept.all_such(|line| is_named(query, line)).filter_map(matches).collect(),
    }
}

/// The name that is asked for, and the version that goes with it.
fn asked_of<'a>(query: &Query, line: &Line<'a>) -> (&'a str, &'a str) {
    match (query.of, line.source) {
        (Whose::Package, _) => (line.key, line.version),
        // A package that names no source is built from the one of its name.
        (Whose::Source, None) => (line.key, line.version),
        (Whose::Source, Some((name, version))) => (name, version.unwrap_or(line.version)),
    }
}

fn is_named(query: &Query, line: &Line<'_>) -> bool {
    query.kind.is_none_or(|kind| kind == line.kind) && query.is_named(line.kind, asked_of(query, line).0)
}

fn matching(query: &Query, line: &Line<'_>, said_by: Option<Digest>) -> Option<Match> {
    let (_, version) = asked_of(query, line);
    let is_known = match is_named(query, line).then(|| query.wants(line.kind.rules(), version))? {
        Verdict::No => return None,
        Verdict::Yes => true,
        Verdict::Unknown => false,
    };
    let (name, version) = (line.name.to_owned(), line.version.to_owned());
    Some(Match { kind: line.kind, key: line.key.to_owned(), name, version, said_by, is_known })
}

impl std::fmt::Display for Match {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.name, self.version)?;
        if let Some(document) = &self.said_by {
            write!(f, " (says {})", document.short())?;
        }
        f.write_str(if self.is_known { "" } else { " (?)" })
    }
}

impl Match {
    /// What it is, whoever says so.
    fn what(&self) -> (Kind, String, String) {
        (self.kind, self.key.clone(), self.version.clone())
    }

    pub(super) fn value(&self) -> Value {
        let Match { kind, name, version, said_by, is_known, .. } = self;
        json!({"kind": kind, "name": name, "version": version, "comparable": is_known, "said_by": said_by})
    }
}
