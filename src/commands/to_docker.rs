//! Handing images over to the engine: what `export --to-docker` and `hold --to-docker` share.

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::index;
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::platform::{Wanted, choose};
use crate::cli::{Bar, CommandError, Context, Outcome, count, fail, human, note};
use crate::docker::{Engine, HandOver, Sent, hand_over};

/// What is asked for.
pub(super) struct HandOvers<'a> {
    /// The images, as they were asked for.
    pub(super) images: &'a [String],
    /// `--as`: one for each image, or none.
    pub(super) names: &'a [Reference],
    pub(super) platform: Option<&'a Platform>,
    pub(super) jobs: usize,
    /// The lease of the hold that this is for.
    pub(super) lease: Option<&'a str>,
}

/// One image that was handed over.
pub(super) struct Handed<'a> {
    pub(super) name: &'a Reference,
    pub(super) manifest: &'a Descriptor,
    pub(super) engine: &'a Engine,
    pub(super) sent: Sent,
}

/// Whether the names of `--as` can be given to the images.
pub(super) fn check_names(names: &[Reference], images: &[String]) -> Outcome {
    if !names.is_empty() && names.len() != images.len() {
        let counts = format!("{} and {} (--as)", count(images.len(), "image"), count(names.len(), "name"));
        return Err(fail(counts).with_hint("--as is given once for each REF, or not at all").usage());
    }
    let mut given: Vec<_> = names.iter().map(Reference::full).collect();
    given.sort_unstable();
    given.dedup();
    if given.len() < names.len() {
        return Err(fail("two images cannot have the same name (--as)").usage());
    }
    if names.iter().any(|name| name.digest().is_some()) {
        return Err(fail("--as takes a name and a tag, no digest").usage());
    }
    Ok(())
}

/// The names that images get outside: what `--as` says, else their own.
pub(super) fn names(asked: &[Reference], entries: &[Descriptor]) -> Vec<Option<Reference>> {
    if !asked.is_empty() {
        return asked.iter().cloned().map(Some).collect();
    }
    let name = |entry: &Descriptor| entry.annotation(index::REF_NAME).and_then(|_| index::reference(entry));
    entries.iter().map(name).collect()
}

/// Hands the entries over, which the caller has leased; their use is recorded and people are told. `done` is given
/// each one in order.
pub(super) fn hand_over_all(
    context: &Context,
    store: &Store,
    engine: &Engine,
    entries: &[Descriptor],
    ask: &HandOvers<'_>,
    done: &mut dyn FnMut(Handed<'_>),
) -> Outcome {
    let names = names(ask.names, entries);
    let wanted = Wanted::new(ask.platform, &engine.platform);
    // All of them are found before the first one is sent.
    let mut chosen = Vec::new();
    for ((entry, name), query) in entries.iter().zip(&names).zip(ask.images) {
        let nameless = || fail(format!("{query}: has no name")).with_hint("--as gives it one");
        let name = name.as_ref().ok_or_else(nameless)?;
        chosen.push((entry, name, choose(store, entry, wanted).map_err(|e| e.within(query))?));
    }
    for (at, (entry, name, manifest)) in chosen.iter().enumerate() {
        let bar = Bar::new(&name.familiar());
        let handed = hand_over(&HandOver {
            store,
            engine,
            manifest,
            name,
            platform: ask.platform,
            jobs: ask.jobs,
            cancel: &context.cancel,
            watch: &|event| bar.on(event),
            notice: &|text| note(format_args!("{text}")),
            lease: ask.lease,
            clock: &super::now,
        });
        drop(bar);
        let sent = handed.map_err(|error| match CommandError::from(error) {
            error if at > 0 => error.in_part(),
            error => error,
        })?;
        store.record_use(&entry.digest, super::now())?;
        note(format_args!("{name}: {}", describe(&sent, engine)));
        done(Handed { name, manifest, engine, sent });
    }
    Ok(())
}

fn describe(sent: &Sent, engine: &Engine) -> String {
    let Sent { bytes, layers, spared_bytes, spared_layers, .. } = *sent;
    let engine = format!("Docker {}", engine.version);
    match (bytes, spared_layers) {
        (0, _) => format!("{engine} has it, nothing sent ({} spared)", human(spared_bytes)),
        (_, 0) => format!("{} sent to {engine} ({})", human(bytes), count(layers, "layer")),
        _ => format!(
            "{} sent to {engine} ({}), {} spared ({})",
            human(bytes),
            count(layers, "layer"),
            human(spared_bytes),
            count(spared_layers, "layer")
        ),
    }
}
