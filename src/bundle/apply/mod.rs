//! Taking a bundle in: nothing is written before its signature, what it presumes and the space are checked; then what is missing is read,
//! member by member, and an image gets its names when all of it is there.
//!
//! [`open`] reads what stands at the beginning, and says whether it is trusted; [`Work`] is the store's side of it; here is where the bytes come from: files, which are looked through before and in which what is not
//! needed is stepped over, or a stream that passes once. What dies in between leaves a journal, so that GC keeps what came, and the
//! next try goes on.

mod consume;
mod delta;
mod members;
mod names;
mod opened;
mod options;
mod presumed;
mod receipt;
mod work;

use std::collections::BTreeMap;

use larder_store::bundle::frame::Frames;
use larder_store::bundle::manifest::Manifest;
use larder_store::digest::Digest;
use larder_store::error::{Error, Result};
use larder_store::progress::Event;
use larder_store::store::Store;

use super::source::StreamSource;
use consume::Meals;
use opened::{From, Part};
pub(crate) use opened::{Opened, open};
pub(crate) use options::{Applied, Failure, Options};
use work::Work;

/// Takes in what was opened.
pub(crate) fn apply(store: &Store, mut opened: Opened, options: &Options<'_>) -> Result<Applied, Failure> {
    let is_file = matches!(opened.from, From::Files(_));
    if is_file
        && !options.consume
        && !options.verify
        && let Some(images) = receipt::stands(store, &opened.digest, &opened.manifest)?
    {
        return Ok(Applied::unchanged(opened.digest, images));
    }
    opened.look_through(options)?;
    let Opened { manifest, digest, from, .. } = opened;
    match from {
        From::Files(parts) => from_files(store, &manifest, digest, parts, options),
        From::Stream(frames) => from_stream(store, &manifest, digest, frames, options),
    }
}

fn from_files(
    store: &Store,
    manifest: &Manifest,
    digest: Digest,
    parts: BTreeMap<usize, Part>,
    options: &Options<'_>,
) -> Result<Applied, Failure> {
    let mut meals = Meals::begin(store, &parts.values().map(|part| &part.file).collect::<Vec<_>>(), options)?;
    let mut work = Work::begin(store, manifest, digest, options)?;
    let given: Vec<_> = parts.keys().copied().collect();
    work.adopt(true)?;
    work.make_room(&given, meals.makes_room())?;
    work.accept(false)?;
    for (at, (number, part)) in parts.iter().enumerate() {
        let taken = take_file(part, *number, manifest, &mut work, at, &mut meals);
        taken.map_err(|e| part.blame(e, options))?;
    }
    let applied = work.finish()?;
    if applied.missing.is_empty() {
        meals.finish()?;
    }
    Ok(applied)
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

fn from_stream(
    store: &Store,
    manifest: &Manifest,
    digest: Digest,
    mut frames: Frames<StreamSource>,
    options: &Options<'_>,
) -> Result<Applied, Failure> {
    let shown = "the stream";
    let mut work = Work::begin(store, manifest, digest, options)?;
    work.adopt(false)?;
    work.make_room(&(0..manifest.parts.len()).collect::<Vec<_>>(), false)?;
    // What comes last says whether all of it was as it was sent.
    work.accept(true)?;
    loop {
        let part = frames.part(manifest)?;
        take_stream(&mut frames, part, manifest, &mut work)?;
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
