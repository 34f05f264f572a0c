//! Taking a bundle in: nothing is written before its signature, what it presumes and the space are checked; then what is missing is read,
//! member by member, and an image gets its names when all of it is there.
//!
//! [`Work`] is the store's side of it; here is where the bytes come from: files, which are looked through before and in which what is not
//! needed is stepped over, or a stream that passes once. What dies in between leaves a journal, so that GC keeps what came, and the
//! next try goes on.

mod consume;
mod delta;
mod members;
mod names;
mod options;
mod presumed;
mod receipt;
mod work;

use std::collections::BTreeMap;

use larder_store::bundle::frame::{Frames, Opening};
use larder_store::bundle::manifest::Manifest;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::progress::Event;
use larder_store::store::Store;

use super::source::{FileSource, Input, StreamSource};
use consume::Meals;
pub(crate) use options::{Applied, Failure, Options};
use work::Work;

/// Up to this size a file is read and checked before anything of it is written, bytes: it is in memory anyway by then.
const CHECKED_FIRST: u64 = 64 << 20;

/// Takes in a bundle, or some of its parts.
pub(crate) fn apply(store: &Store, inputs: Vec<Input>, options: &Options<'_>) -> Result<Applied, Failure> {
    let (mut files, mut streams) = (Vec::new(), Vec::new());
    for input in inputs {
        match input {
            Input::File(file) => files.push(file),
            Input::Stream(stream) => streams.push(stream),
        }
    }
    match (&files[..], streams.pop()) {
        (_, None) => from_files(store, files, options),
        ([], Some(stream)) if streams.is_empty() => from_stream(store, stream, options),
        _ => Err(Error::invalid(
            "a stream",
            "comes alone: what is no file passes once, with all parts one behind the other",
        )
        .into()),
    }
}

/// A part in a file.
struct Part {
    file: FileSource,
    /// Where the first member's header is, bytes from the beginning.
    members: u64,
}

fn from_files(store: &Store, files: Vec<FileSource>, options: &Options<'_>) -> Result<Applied, Failure> {
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
    drop(opening);
    if !options.consume
        && !options.verify
        && let Some(images) = receipt::stands(store, &digest, &manifest)?
    {
        return Ok(Applied::unchanged(digest, images));
    }
    for (number, part) in &parts {
        look_through(part, *number, &manifest, options).map_err(|e| e.within(part.file.path.display()))?;
    }
    let mut meals = Meals::begin(store, &parts.values().map(|part| &part.file).collect::<Vec<_>>(), options)?;
    let mut work = Work::begin(store, &manifest, digest, options)?;
    let given: Vec<_> = parts.keys().copied().collect();
    work.adopt(true)?;
    work.make_room(&given, meals.makes_room())?;
    work.accept(false)?;
    for (at, (number, part)) in parts.iter().enumerate() {
        let taken = take_file(part, *number, &manifest, &mut work, at, &mut meals);
        taken.map_err(|e| e.within(part.file.path.display()))?;
    }
    let applied = work.finish()?;
    if applied.missing.is_empty() {
        meals.finish()?;
    }
    Ok(applied)
}

/// Reads all headers and the documents of a part, and all of it where it is small.
fn look_through(part: &Part, number: usize, manifest: &Manifest, options: &Options<'_>) -> Result<()> {
    let size = part.file.size();
    let mut frames = part.frames();
    let mut buffer = vec![0; 256 << 10];
    for member in manifest.members_of(number) {
        options.cancel.check()?;
        frames.member(&member)?;
        let is_document = matches!(member.content, larder_store::bundle::member::Content::Document);
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

impl Part {
    /// The part from its first member on.
    fn frames(&self) -> Frames<FileSource> {
        let mut file = self.file.rewound();
        file.go_to(self.members);
        Frames::new(file)
    }
}

fn take_file(
    part: &Part,
    number: usize,
    manifest: &Manifest,
    work: &mut Work<'_, '_>,
    at: usize,
    meals: &mut Meals,
) -> Result<()> {
    let mut frames = part.frames();
    for member in manifest.members_of(number) {
        frames.member(&member)?;
        let offset = frames.source().position();
        if work.needs(&member) {
            work.take(&member, &mut frames, true)?;
        } else {
            frames.skip(member.size)?;
        }
        meals.eat(work, at, &member, offset)?;
    }
    Ok(())
}

fn from_stream(store: &Store, stream: StreamSource, options: &Options<'_>) -> Result<Applied, Failure> {
    if options.consume {
        return Err(Error::invalid("the bundle", "cannot be consumed: it is no file").into());
    }
    let shown = "the stream";
    let mut frames = Frames::new(stream);
    let opening = frames.opening()?.ok_or_else(|| Error::invalid(shown, "is empty"))?;
    (options.authority)(shown, &opening.manifest, opening.signature.as_deref())?;
    let manifest = Manifest::open(&opening.manifest, shown)?;
    let digest = Digest::of(&opening.manifest);
    drop(opening);
    let mut work = Work::begin(store, &manifest, digest, options)?;
    work.adopt(false)?;
    work.make_room(&(0..manifest.parts.len()).collect::<Vec<_>>(), false)?;
    // What comes last says whether all of it was as it was sent.
    work.accept(true)?;
    loop {
        let part = frames.part(&manifest)?;
        take_stream(&mut frames, part, &manifest, &mut work)?;
        frames.end()?;
        if frames.is_over()? {
            return Ok(work.finish()?);
        }
        frames = frames.again();
        let next = frames.opening()?.ok_or_else(|| Error::damaged("the bundle", "is cut off"))?;
        (options.authority)(shown, &next.manifest, next.signature.as_deref())?;
        if Digest::of(&next.manifest) != digest {
            return Err(
                Error::invalid(shown, "goes on with another bundle; apply one after the other").into()
            );
        }
    }
}

fn take_stream(
    frames: &mut Frames<StreamSource>,
    part: usize,
    manifest: &Manifest,
    work: &mut Work<'_, '_>,
) -> Result<()> {
    let mut buffer = vec![0; 256 << 10];
    for member in manifest.members_of(part) {
        frames.member(&member)?;
        if work.needs(&member) {
            work.take(&member, frames, false)?;
        } else {
            frames.check(&member, &mut buffer)?;
            work.watch(Event::Done(member.size));
        }
    }
    Ok(())
}
