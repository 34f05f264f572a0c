//! An image of which a registry has told what it is, before anything of it is in the store: whoever asks decides by that
//! whether it comes.

use std::io::Write;
use std::sync::Arc;

use larder_store::Store;
use larder_store::archive::fetched::{Arriving, Came, Incoming, take_in};
use larder_store::archive::options::{Imported, Options};
use larder_store::elsewhere;
use larder_store::error::Error as StoreError;
use larder_store::manifest::{Document, ImageManifest, RawManifest};
use larder_store::reference::Reference;

use super::super::Registries;
use super::super::client::{Line, Repository, Which};
use super::super::error::{Error, Failed, Kind, Result};
use super::fetch::{Fetching, fetch};
use super::{Notice, repository_of, sizes};

/// The documents of one image for one platform.
#[derive(Debug)]
pub(crate) struct Seen {
    /// Where it is.
    pub(crate) reference: Reference,
    pub(crate) manifest: RawManifest,
    pub(crate) image: ImageManifest,
    /// The config, which has its digest.
    pub(crate) config: Vec<u8>,
    repository: Arc<Repository>,
    line: Line,
}

/// Looks what a tag means, in two requests; `None`, after one, where there is none.
pub(crate) fn look(registries: &Registries, reference: &Reference) -> Result<Option<Seen>> {
    let repository = Repository::of(reference, registries)?;
    let line = repository.line()?;
    let tag = Which::Tag(reference.tag().unwrap_or("latest").to_owned());
    let Some(manifest) = line.manifest_if_there(&tag)? else { return Ok(None) };
    let image = match &manifest.document {
        Document::Image(image) if image.is_container() => image.clone(),
        _ => {
            return Err(Error::from(Failed {
                side: line.host().to_owned(),
                request: format!("manifest {}", manifest.digest),
                why: format!("{} is no image for one platform", reference.familiar()),
                hint: String::new(),
                kind: Kind::Damaged,
            }));
        }
    };
    sizes::check(line.host(), [&manifest].into_iter())?;
    let config = line.small_blob(&image.config)?;
    Ok(Some(Seen { reference: reference.clone(), manifest, image, config, repository, line }))
}

impl Seen {
    /// Takes the very image in that was seen, without a name; its tag may have moved since.
    pub(crate) fn take(
        self,
        store: &Store,
        jobs: usize,
        notice: &dyn Fn(Notice),
        options: &Options<'_>,
    ) -> Result<Vec<Imported>> {
        let Seen { reference, manifest, image, config, repository, line } = self;
        let arriving = Arriving { name: None, documents: vec![manifest], origin: reference.full() };
        let mut line = Some(line);
        take_in(
            store,
            vec![arriving],
            &mut |incoming: Incoming<'_>| {
                let Incoming { blobs, ingest, done } = incoming;
                let mut rest = Vec::new();
                for blob in blobs {
                    if blob.digest != image.config.digest {
                        rest.push(blob.clone());
                        continue;
                    }
                    let mut writer = ingest.writer()?;
                    writer.write_all(&config).map_err(StoreError::io("write", store.path()))?;
                    done(Came::New(writer.finish_as(blob.digest, blob.size)?))?;
                }
                let line = match line.take() {
                    Some(line) => line,
                    None => repository.line()?,
                };
                let fetched: Vec<_> = blobs.iter().map(|blob| blob.digest).collect();
                let incoming = Incoming { blobs: &rest, ingest, done };
                let how = Fetching { store, repository: &repository, jobs, notice, options };
                fetch(&how, line, incoming)?;
                // For pushes to its neighbours, which mount them. Lost, it costs them some bytes.
                let _ = elsewhere::note(store, &repository_of(&reference), &fetched);
                Ok::<_, Error>(())
            },
            options,
        )
    }
}
