//! One hand-over, from the lease to the verified name.

use std::collections::HashSet;

use larder_store::archive::image::{Image, Images, LayerForm, shown_compression};
use larder_store::archive::package::{Form, Item, package};
use larder_store::cancel::Cancel;
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::digest::Digest;
use larder_store::error::Error as StoreError;
use larder_store::media_type::Compression;
use larder_store::progress::{Event, Watch};
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::engine::{Engine, ImageStore, Inspected};
use super::error::{Error, Result};
use super::record::{Effect, Record, Records, summed};
use super::{present, send};

/// What is asked for.
pub(crate) struct HandOver<'a> {
    pub(crate) store: &'a Store,
    pub(crate) engine: &'a Engine,
    /// The image's manifest; leased by the caller.
    pub(crate) manifest: &'a Descriptor,
    /// The name it shall have in the engine.
    pub(crate) name: &'a Reference,
    /// What was asked for by name: it is handed over even if the engine runs another architecture.
    pub(crate) platform: Option<&'a Platform>,
    pub(crate) jobs: usize,
    pub(crate) cancel: &'a Cancel,
    pub(crate) watch: Watch<'a>,
    /// Told in a sentence when the cheap way did not work.
    pub(crate) notice: &'a dyn Fn(&str),
    /// The lease of the hold that this is for.
    pub(crate) lease: Option<&'a str>,
    /// Seconds since 1970.
    pub(crate) clock: &'a dyn Fn() -> i64,
}

/// What was sent and what was spared, bytes on the socket and bytes of layers in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) bytes: u64,
    pub(crate) layers: usize,
    pub(crate) spared_bytes: u64,
    pub(crate) spared_layers: usize,
    /// The engine's ID of the image.
    pub(crate) id: Digest,
}

/// Hands an image over.
pub(crate) fn hand_over(ask: &HandOver<'_>) -> Result<Sent> {
    let HandOver { store, engine, cancel, name, .. } = ask;
    let records = Records::open(store, &engine.id)?;
    let image = images(ask, layer_form(ask)?).read(ask.manifest)?;
    check_platform(ask, &image)?;
    let id = match engine.image_store {
        ImageStore::Graph => image.parts.config.digest,
        ImageStore::Containerd => image.manifest.digest,
    };
    let all_layers: HashSet<_> = image.parts.layers.iter().map(|layer| layer.digest).collect();
    let is_it = |found: &Inspected| found.id == id.to_string();
    let recorded = records.read()?;
    let is_whole = engine.image_store == ImageStore::Graph || was_taken(&recorded, id);
    let known = summed(recorded);
    // Mostly the name is there and right: then this one look is all.
    let mut named = engine.inspect(&name.familiar(), cancel)?;
    let has_name = named.as_ref().is_some_and(is_it);
    let has_it = has_name || engine.inspect(&id.to_string(), cancel)?.as_ref().is_some_and(is_it);
    if !has_it {
        // Somebody removed it behind our back: names that it gets from others are not ours.
        records.forget(&id, &known, (ask.clock)())?;
    }
    let there = is_whole && has_it;
    let other = named.as_ref().filter(|found| !is_it(found)).and_then(|found| found.id.parse().ok());
    let layers: Vec<_> = image.parts.layers.iter().map(|layer| layer.digest).collect();
    let effect = match (has_name, there) {
        // Whoever loaded it gave it this name; it stays theirs even if it is loaded once more.
        (true, _) => Effect::Found,
        (false, true) => Effect::Tagged,
        (false, false) => Effect::Loaded,
    };
    let record = |failed| Record {
        name: name.familiar(),
        id,
        manifest: ask.manifest.digest,
        layers: layers.clone(),
        // The end of it: a large image takes its time.
        at: (ask.clock)(),
        failed,
        effect: if failed { Effect::Found } else { effect },
        lease: ask.lease.map(str::to_owned),
        tagged: None,
        displaced: other.and_then(|other| displaced(&known, &name.familiar(), other)),
    };
    let sent = if there {
        if !has_name {
            engine.tag(&id.to_string(), name, cancel)?;
        }
        let spared_bytes = image.parts.content_size();
        (ask.watch)(Event::Spared(spared_bytes));
        Sent { bytes: 0, layers: 0, spared_bytes, spared_layers: all_layers.len(), id }
    } else {
        match transfer(ask, &image, id, &records) {
            Ok(sent) => sent,
            Err(error) => {
                records.append(&record(true))?;
                return Err(error);
            }
        }
    };
    if !(there && has_name) {
        named = engine.inspect(&name.familiar(), cancel)?;
    }
    let tagged = named.as_ref().filter(|found| effect != Effect::Found && is_it(found));
    let tagged = tagged.and_then(|found| found.last_tagged.clone());
    let verified = verify(ask, &image, id, named);
    // What was loaded is in the engine by us, whatever became of its name.
    records.append(&Record { failed: verified.is_err(), tagged, ..record(false) })?;
    verified?;
    if let Some(other) = other {
        (ask.notice)(&format!("{name}: takes the name from {other}"));
    }
    records.finish();
    Ok(sent)
}

/// Whose name it was, where it was not larder's: what larder itself brought in passes on whom it had displaced.
fn displaced(known: &[Record], name: &str, other: Digest) -> Option<Digest> {
    if !known.iter().any(|record| record.id == other && record.effect == Effect::Loaded) {
        return Some(other);
    }
    known.iter().find(|record| record.id == other && record.name == name)?.displaced
}

/// A containerd store lists an image even if it could not unpack it. One that we have given it before, and that it
/// took, is whole; any other is loaded again, which sends next to nothing when its blobs are there.
fn was_taken(records: &[Record], id: Digest) -> bool {
    records.iter().rfind(|record| record.id == id).is_some_and(|record| !record.failed)
}

/// Plain for engines that cannot read a layer as it is stored. A containerd store keeps blobs as they come, and
/// knows them again by their digests: it always gets them as they are stored.
fn layer_form(ask: &HandOver<'_>) -> Result<LayerForm> {
    if ask.engine.image_store == ImageStore::Containerd || ask.engine.reads_zstd() {
        return Ok(LayerForm::Stored);
    }
    let stored = images(ask, LayerForm::Stored).read(ask.manifest)?;
    for layer in &stored.parts.layers {
        let blob = ask.store.blobs().open(&layer.digest)?;
        let blob =
            blob.ok_or_else(|| StoreError::damaged(format!("layer {}", layer.digest), "is missing"))?;
        if shown_compression(&blob)? == Compression::Zstd {
            return Ok(LayerForm::Plain);
        }
    }
    Ok(LayerForm::Stored)
}

fn images<'a>(ask: &HandOver<'a>, form: LayerForm) -> Images<'a> {
    Images::new(ask.store, form, ask.jobs, ask.cancel)
}

/// An engine would take an image of another machine, and act would fail later, or worse, pull.
fn check_platform(ask: &HandOver<'_>, image: &Image) -> Result<()> {
    let (have, runs) = (image.config.platform(), &ask.engine.platform);
    let wanted = ask.platform.unwrap_or(runs);
    let why = if !image.parts.is_container() {
        "is an artifact, no container image".to_owned()
    } else if have.os.is_empty() || have.architecture.is_empty() {
        "its config names no os or no architecture".to_owned()
    } else if have.os != runs.os || have.architecture != wanted.architecture {
        let other = if have.os == runs.os {
            format!(" (--platform {have} hands it over all the same)")
        } else {
            String::new()
        };
        format!("is for {have}, and the Docker engine runs {runs}{other}")
    } else {
        return Ok(());
    };
    Err(Error::Unfit { name: ask.name.familiar(), why })
}

fn transfer(ask: &HandOver<'_>, image: &Image, id: Digest, records: &Records) -> Result<Sent> {
    let HandOver { store, engine, cancel, .. } = ask;
    let spared = match engine.image_store {
        ImageStore::Graph => {
            present::by_chain(image, &present::chains(engine, image.config.diff_ids(), cancel)?)
        }
        ImageStore::Containerd => {
            present::by_blob(image, &present::blobs(engine, store, &records.read()?, cancel)?)
        }
    };
    if !spared.is_empty() {
        // An engine can take it and still lack what was spared: only the verified name is success.
        let tried = load(ask, image, id, &spared).and_then(|sent| {
            verify(ask, image, id, engine.inspect(&ask.name.familiar(), cancel)?)?;
            Ok(sent)
        });
        match tried {
            Ok(sent) => return Ok(sent),
            // What is wrong on our side stays wrong.
            Err(Error::Store(error)) => return Err(error.into()),
            // Whatever the engine's reason: the whole image asks nothing of it.
            Err(error) => (ask.notice)(&format!(
                "{}: the engine did not take it without the {} layer(s) that it should have ({error}); sending all",
                ask.name,
                spared.len(),
            )),
        }
    }
    load(ask, image, id, &HashSet::new())
}

fn load(ask: &HandOver<'_>, image: &Image, id: Digest, spared: &HashSet<Digest>) -> Result<Sent> {
    let HandOver { store, engine, cancel, watch, .. } = ask;
    // containerd reads the OCI part; a graph driver reads manifest.json and need not be sent more.
    let form = match engine.image_store {
        ImageStore::Graph => Form::Docker,
        ImageStore::Containerd => Form::Hybrid,
    };
    let item = Item { name: Some(ask.name.clone()), root: ask.manifest.clone() };
    let archive = package(store, &[item], form, &mut images(ask, layer_form(ask)?), spared)?;
    let mut layers = HashSet::new();
    let (mut sent_layers, mut spared_layers, mut spared_bytes) = (0, 0, 0);
    for layer in image.parts.layers.iter().filter(|layer| layers.insert(layer.digest)) {
        if spared.contains(&layer.digest) {
            spared_layers += 1;
            spared_bytes += layer.size;
        } else {
            sent_layers += 1;
        }
    }
    watch(Event::Spared(spared_bytes));
    let bytes = send::send(engine, store, &archive, ask.jobs, cancel, *watch)?;
    Ok(Sent { bytes, layers: sent_layers, spared_bytes, spared_layers, id })
}

/// act looks an image up by name, and pulls what it does not find: the name must be there, and right.
fn verify(ask: &HandOver<'_>, image: &Image, id: Digest, named: Option<Inspected>) -> Result<()> {
    let name = ask.name.familiar();
    let wrong = |why: String| Error::Unverified { name: name.clone(), why };
    let Some(found) = named else { return Err(wrong("does not know the name".into())) };
    if found.id != id.to_string() {
        return Err(wrong(format!("the name means {} and not {id}", found.id)));
    }
    let platform = image.config.platform();
    if found.os != platform.os || found.architecture != platform.architecture {
        return Err(wrong(format!("calls it {}/{} and not {platform}", found.os, found.architecture)));
    }
    Ok(())
}
