//! Pulling: an image comes out of a registry into the store, and only what the store lacks.
//!
//! One request says what the tag is now. Documents that the store has are read there, of whatever name they are; so an image
//! that is all there costs that request and no other, and one that is asked for by its digest none. The rest is the store's
//! work ([`larder_store::archive::fetched`]): what is to be fetched, where it goes, and under which name.

pub(super) mod documents;
mod fetch;
mod platforms;
pub(super) mod rivals;
mod seen;
pub(super) mod sizes;

use std::sync::Arc;

use larder_store::Store;
use larder_store::archive::fetched::{Arriving, take_in};
use larder_store::archive::options::{Imported, Options};
use larder_store::descriptor::Descriptor;
use larder_store::digest::Digest;
use larder_store::elsewhere;
use larder_store::manifest::{Document, ImageConfig, RawManifest};
use larder_store::media_type::is_foreign_layer;
use larder_store::reference::Reference;

use self::documents::Documents;
use self::fetch::Fetching;
use super::Registries;
use super::client::{Line, Repository, Which};
use super::error::{Error, Failed, Kind, Result};
use super::lines::Lines;

pub(crate) use self::platforms::Platforms;
pub(crate) use self::seen::{Seen, look};

/// What is to be pulled.
pub(crate) struct Request<'a> {
    /// Which image, and from where.
    pub(crate) reference: &'a Reference,
    /// The name that it gets; none where it was asked for by its digest alone.
    pub(crate) name: Option<Reference>,
    /// Which images of an index.
    pub(crate) platforms: &'a Platforms,
    /// Whether what refers to the image comes along.
    pub(crate) referrers: bool,
    /// Blobs that are fetched at a time.
    pub(crate) jobs: usize,
}

/// What people may want to know, beside progress.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Notice {
    /// A layer that registries may not pass on: it is not fetched.
    Foreign { layer: Digest, size: u64 },
    /// A mirror could not give a blob, for this reason; this host is asked next.
    PassedOver { why: String, next: String },
    /// Another process fetches this blob already: it is waited for. Told of the first one.
    Waits { blob: Digest },
}

/// A repository that images come from.
pub(crate) struct Source {
    lines: Lines,
}

/// An image as it is in the registry now, with what it needs.
pub(crate) struct Found {
    /// Where it is from: host and path.
    repository: String,
    arriving: Vec<Arriving>,
    foreign: Vec<(Digest, u64)>,
}

/// Pulls an image. What came in is said of the image first, then of its referrers.
pub(crate) fn pull(
    store: &Store,
    registries: &Registries,
    request: &Request<'_>,
    notice: &dyn Fn(Notice),
    options: &Options<'_>,
) -> Result<Vec<Imported>> {
    let source = Source::of(request.reference, registries)?;
    let found = source.find(store, request)?;
    let (repository, spare) = (source.lines.repository(), source.lines.spare());
    take(store, repository, found, spare, request.jobs, notice, options)
}

impl Source {
    /// The repository of a reference. Asks nobody yet.
    pub(crate) fn of(reference: &Reference, registries: &Registries) -> Result<Source> {
        Ok(Source { lines: Lines::to(&Repository::of(reference, registries)?) })
    }

    /// The tags that there are.
    pub(crate) fn tags(&self) -> Result<Vec<String>> {
        self.lines.with(Line::tags).map_err(Error::of_image)
    }

    /// Closes what is open, until it is asked again.
    pub(crate) fn rest(&self) {
        self.lines.rest();
    }

    /// Reads what an image is now, and what belongs to it; only documents are fetched.
    pub(crate) fn find(&self, store: &Store, request: &Request<'_>) -> Result<Found> {
        self.lines.with(|line| find(store, line, request))
    }

    /// Takes in what was found.
    pub(crate) fn take(
        &self,
        store: &Store,
        found: Found,
        jobs: usize,
        notice: &dyn Fn(Notice),
        options: &Options<'_>,
    ) -> Result<Vec<Imported>> {
        take(store, self.lines.repository(), found, None, jobs, notice, options)
    }
}

fn find(store: &Store, line: &Line, request: &Request<'_>) -> Result<Found> {
    let mut documents = Documents::new(store, line);
    let root = root(&mut documents, line, request.reference).map_err(Error::of_image)?;
    let origin = origin(request.reference);
    let image = documents.below(root, request.platforms)?;
    check_platform(store, line, &image, request.platforms)?;
    let foreign = foreign(&image);
    let mut arriving = Vec::new();
    if request.referrers {
        let subjects: Vec<_> = image.iter().map(|raw| raw.digest).collect();
        for (digest, documents) in documents.referrers(&subjects)? {
            let origin = format!("{}@{digest}", repository_of(request.reference));
            arriving.push(Arriving { name: None, documents, origin });
        }
    }
    arriving.insert(0, Arriving { name: request.name.clone(), documents: image, origin });
    sizes::check(line.host(), arriving.iter().flat_map(|one| &one.documents))?;
    Ok(Found { repository: repository_of(request.reference), arriving, foreign })
}

impl Found {
    /// The manifest or index that the tag is now.
    pub(crate) fn digest(&self) -> Option<Digest> {
        Some(self.arriving.first()?.documents.first()?.digest)
    }

    /// Bytes of documents that are held in memory.
    pub(crate) fn held(&self) -> usize {
        self.arriving.iter().flat_map(|one| &one.documents).map(|raw| raw.bytes.len()).sum()
    }

    /// What the store lacks of it: digest and size, documents and blobs.
    pub(crate) fn lacking(&self, store: &Store) -> Result<Vec<(Digest, u64)>> {
        let mut lacking = Vec::new();
        for raw in self.arriving.iter().flat_map(|one| &one.documents) {
            let blobs = match &raw.document {
                Document::Image(image) => image.layers.iter().chain([&image.config]).collect(),
                Document::Index(_) => Vec::new(),
            };
            let fetched = blobs.into_iter().filter(|blob| !is_foreign_layer(&blob.media_type));
            let all = fetched.map(|blob| (blob.digest, blob.size));
            for (digest, size) in all.chain([(raw.digest, raw.bytes.len() as u64)]) {
                if store.blobs().contains(&digest)? != Some(size) {
                    lacking.push((digest, size));
                }
            }
        }
        lacking.sort_unstable();
        lacking.dedup();
        Ok(lacking)
    }
}

fn take(
    store: &Store,
    repository: &Arc<Repository>,
    found: Found,
    mut spare: Option<Line>,
    jobs: usize,
    notice: &dyn Fn(Notice),
    options: &Options<'_>,
) -> Result<Vec<Imported>> {
    for (layer, size) in found.foreign {
        notice(Notice::Foreign { layer, size });
    }
    take_in(
        store,
        found.arriving,
        &mut |incoming| {
            let line = match spare.take() {
                Some(line) => line,
                None => repository.line()?,
            };
            let fetched: Vec<_> = incoming.blobs.iter().map(|blob| blob.digest).collect();
            let how = Fetching { store, repository, jobs, notice, options };
            fetch::fetch(&how, line, incoming)?;
            // For pushes to its neighbours, which mount them. Lost, it costs them some bytes.
            let _ = elsewhere::note(store, &found.repository, &fetched);
            Ok(())
        },
        options,
    )
}

fn repository_of(reference: &Reference) -> String {
    format!("{}/{}", reference.domain(), reference.path())
}

/// Where an image comes from: its name there, which is its tag where it has one.
fn origin(reference: &Reference) -> String {
    reference.clone().without_digest().unwrap_or_else(|| reference.clone()).full()
}

/// The manifest or index that a reference means now.
fn root(documents: &mut Documents<'_>, line: &Line, reference: &Reference) -> Result<RawManifest> {
    let tag = || Which::Tag(reference.tag().unwrap_or("latest").to_owned());
    let digest = match reference.digest() {
        Some(digest) => Some(digest),
        None => line.head(&tag())?.digest,
    };
    match digest {
        // By its digest: the tag may move meanwhile.
        Some(digest) => documents.by_digest(&digest),
        None => line.manifest(&tag()),
    }
}

/// Refuses a lone image that is for another platform than the one that was asked for.
pub(super) fn check_platform(
    store: &Store,
    line: &Line,
    image: &[RawManifest],
    platforms: &Platforms,
) -> Result<()> {
    let Platforms::These(wanted) = platforms else { return Ok(()) };
    let Some(RawManifest { document: Document::Image(image), digest, .. }) = image.first() else {
        return Ok(());
    };
    if !image.is_container() {
        return Ok(());
    }
    let bytes = match store.config(image) {
        Ok((bytes, _)) => bytes,
        Err(_) => line.small_blob(&image.config)?,
    };
    let config = ImageConfig::parse(&bytes)
        .map_err(|why| larder_store::Error::damaged(format!("config {}", image.config.digest), why))?;
    let have = config.platform();
    if wanted.iter().any(|wanted| have.serves(wanted)) {
        return Ok(());
    }
    let asked: Vec<_> = wanted.iter().map(ToString::to_string).collect();
    Err(Error::from(Failed {
        side: line.host().to_owned(),
        request: format!("manifest {digest}"),
        why: format!("is for {have}, and --platform asks for {}", asked.join(", ")),
        hint: "leave --platform out to take it all the same".to_owned(),
        kind: Kind::Failed,
    }))
}

/// Layers that are never fetched.
fn foreign(image: &[RawManifest]) -> Vec<(Digest, u64)> {
    let images = image.iter().filter_map(|raw| match &raw.document {
        Document::Image(image) => Some(image),
        Document::Index(_) => None,
    });
    let layers = images.flat_map(|image| &image.layers);
    let mut foreign: Vec<_> = layers
        .filter(|layer: &&Descriptor| is_foreign_layer(&layer.media_type))
        .map(|layer| (layer.digest, layer.size))
        .collect();
    foreign.sort_unstable();
    foreign.dedup();
    foreign
}
