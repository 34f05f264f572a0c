//! The beginning of a bundle: what it says of itself, and that it is trusted. It is known before a store is touched, or made.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;

use larder_store::archive::consume::half_eaten;
use larder_store::bundle::frame::{Frames, Opening};
use larder_store::bundle::manifest::Manifest;
use larder_store::bundle::member::Content;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::fs::{Dir, disk_space};

use super::super::source::{FileSource, Input, StreamSource};
use super::options::{Failure, Options};
use super::presumed;

/// Up to this size a file is read and checked before anything of it is written, bytes: it is in memory anyway by then.
const CHECKED_FIRST: u64 = 64 << 20;

/// A bundle, or some of its parts.
pub(crate) struct Opened {
    pub(super) manifest: Manifest,
    pub(super) digest: Digest,
    pub(super) from: From,
    /// Whether all headers were seen.
    is_looked_through: bool,
}

/// Where the bytes come from.
pub(super) enum From {
    Files(BTreeMap<usize, Part>),
    /// Behind manifest and signature.
    Stream(Frames<StreamSource>),
}

/// A part in a file.
pub(super) struct Part {
    pub(super) file: FileSource,
    /// Where the first member's header is, bytes from the beginning.
    members: u64,
}

/// Reads manifests and signatures, and refuses what is not trusted or does not belong together.
pub(crate) fn open(inputs: Vec<Input>, options: &Options<'_>) -> Result<Opened, Failure> {
    let (mut files, mut streams) = (Vec::new(), Vec::new());
    for input in inputs {
        match input {
            Input::File(file) => files.push(file),
            Input::Stream(stream) => streams.push(stream),
        }
    }
    match (&files[..], streams.pop()) {
        (_, None) => open_files(files, options),
        ([], Some(stream)) if streams.is_empty() => open_stream(stream, options),
        _ => Err(Error::invalid(
            "a stream",
            "comes alone: what is no file passes once, with all parts one behind the other",
        )
        .into()),
    }
}

fn open_files(files: Vec<FileSource>, options: &Options<'_>) -> Result<Opened, Failure> {
    let mut whole: Option<(Opening, Manifest, String)> = None;
    let mut parts: BTreeMap<usize, Part> = BTreeMap::new();
    for file in files {
        let shown = file.path.display().to_string();
        let mut frames = Frames::new(file);
        let opening = frames.opening().map_err(|e| e.within(&shown))?;
        let opening = opening.ok_or_else(|| Error::invalid(&shown, "is empty"))?;
        (options.authority)(&shown, &opening.manifest, opening.signature.as_deref())?;
        let is_other = |(known, _, _): &(Opening, Manifest, String)| known.manifest != opening.manifest;
        if let Some((known, _, of)) = whole.as_ref().filter(|known| is_other(known)) {
            let (this, that) = (Digest::of(&opening.manifest), Digest::of(&known.manifest));
            let why = format!("is of another bundle ({this}) than {of} ({that}); apply one after the other");
            return Err(Error::invalid(&shown, why).into());
        }
        let manifest = match whole.take() {
            Some((_, manifest, _)) => manifest,
            None => Manifest::open(&opening.manifest, &shown)?,
        };
        let part = frames.part(&manifest).map_err(|e| e.within(&shown))?;
        let members = frames.position();
        let file = frames.source().rewound();
        if let Some(other) = parts.get(&part) {
            let (part, parts, other) = (part + 1, manifest.parts.len(), other.file.path.display());
            (options.notice)(&format!(
                "{shown}: is part {part} of {parts}, and so is {other}, which is taken"
            ));
        } else {
            parts.insert(part, Part { file, members });
        }
        whole = Some((opening, manifest, shown));
    }
    let (opening, manifest, _) = whole.ok_or_else(|| Error::invalid("the bundle", "is missing"))?;
    let digest = Digest::of(&opening.manifest);
    Ok(Opened { manifest, digest, from: From::Files(parts), is_looked_through: false })
}

fn open_stream(stream: StreamSource, options: &Options<'_>) -> Result<Opened, Failure> {
    if options.consume {
        return Err(Error::invalid("the bundle", "cannot be consumed: it is no file").into());
    }
    let shown = "the stream";
    let mut frames = Frames::new(stream);
    let opening = frames.opening()?.ok_or_else(|| Error::invalid(shown, "is empty"))?;
    (options.authority)(shown, &opening.manifest, opening.signature.as_deref())?;
    let manifest = Manifest::open(&opening.manifest, shown)?;
    let digest = Digest::of(&opening.manifest);
    Ok(Opened { manifest, digest, from: From::Stream(frames), is_looked_through: false })
}

impl Opened {
    /// Refuses what no new store could take, so that none is made for it: a bundle that presumes something, files that are not
    /// whole, and what has no room where the store is to be.
    pub(crate) fn fits_a_new_store(&mut self, place: &Path, options: &Options<'_>) -> Result<(), Failure> {
        presumed::check(&self.manifest, &HashSet::new())?;
        self.look_through(options)?;
        let parts: Vec<_> = match &self.from {
            From::Files(parts) => parts.keys().copied().collect(),
            From::Stream(_) => (0..self.manifest.parts.len()).collect(),
        };
        let sizes = parts.iter().flat_map(|part| self.manifest.members_of(*part));
        let sizes = sizes.filter(|member| !matches!(member.content, Content::Document));
        let sizes = sizes.map(|member| member.size);
        let needed = match options.consume {
            true => sizes.max().unwrap_or(0),
            false => sizes.fold(0, u64::saturating_add),
        };
        let above = place.ancestors().find(|above| above.is_dir()).unwrap_or(Path::new("."));
        let (free, _) = disk_space(&Dir::open(above)?)?;
        if needed > free {
            return Err(Error::NoSpace { path: place.to_path_buf(), needed, free }.into());
        }
        Ok(())
    }

    /// Reads all headers and the documents of the files, once.
    pub(super) fn look_through(&mut self, options: &Options<'_>) -> Result<()> {
        if let From::Files(parts) = &self.from
            && !self.is_looked_through
        {
            for (number, part) in parts {
                let seen = part.look_through(*number, &self.manifest, options);
                seen.map_err(|e| part.blame(e, options))?;
            }
        }
        self.is_looked_through = true;
        Ok(())
    }
}

impl Part {
    /// Reads all headers and the documents, and all of it where it is small.
    fn look_through(&self, number: usize, manifest: &Manifest, options: &Options<'_>) -> Result<()> {
        let size = self.file.size();
        let mut frames = self.frames();
        let mut buffer = vec![0; 256 << 10];
        for member in manifest.members_of(number) {
            options.cancel.check()?;
            frames.member(&member)?;
            let is_document = matches!(member.content, Content::Document);
            // What was freed by an earlier try is not what it was; it is in the store by now.
            if is_document || (size <= CHECKED_FIRST && !options.consume) {
                frames.check(&member, &mut buffer)?;
            } else {
                frames.skip(member.size)?;
            }
        }
        frames.end()?;
        match frames.is_over()? {
            true => Ok(()),
            false => Err(Error::damaged("the bundle", "goes on behind its end")),
        }
    }

    /// Why it cannot be read.
    pub(super) fn blame(&self, error: Error, options: &Options<'_>) -> Error {
        let path = &self.file.path;
        match options.consume {
            true => error.within(path.display()),
            false => half_eaten(error, &self.file.file, path).within(path.display()),
        }
    }

    /// The part from its first member on.
    pub(super) fn frames(&self) -> Frames<FileSource> {
        let mut file = self.file.rewound();
        file.go_to(self.members);
        Frames::new(file)
    }
}
