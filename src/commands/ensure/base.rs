//! `--base REF`: what is asked for of images that are made on an image of the store.

use std::collections::HashMap;

use larder_store::base::Base;
use larder_store::descriptor::{Descriptor, Platform};
use larder_store::error::Error;
use larder_store::index::{self, Index};
use larder_store::reference::Reference;
use larder_store::store::Store;

use super::super::facts;
use super::super::platform::{Wanted, choose};
use crate::catalog::resolve::Offer;
use crate::catalog::{Asked, Declared, Os};
use crate::cli::{CommandError, Context, Outcome, fail};

/// Adds the os and the architecture of a base to what is asked for, where nothing is said of them.
pub(super) fn complete(context: &Context, store: &Store, query: &str, asked: &mut Asked) -> Outcome {
    let entry = store.resolve(&store.index()?, query).map_err(|error| absent(query, error))?;
    let host = Platform::host();
    if asked.arch.is_none()
        && let Some(platform) = &entry.platform
    {
        let Platform { architecture, variant, .. } = platform;
        let said =
            variant.as_ref().map_or(architecture.clone(), |variant| format!("{architecture}/{variant}"));
        asked.arch = said.parse().ok();
    }
    if asked.os.is_some() {
        return Ok(());
    }
    let manifest = choose(store, &entry, Wanted::Default(&host)).map_err(|error| error.within(query))?;
    let facts = facts::of(store, &manifest, &context.cancel)?.map_err(fail)?;
    let unknown =
        |why: &str| fail(format!("{query}: {why}")).with_hint("--os NAME:VERSION says what it is").usage();
    let os = facts.and_then(|facts| facts.os).ok_or_else(|| unknown("has no os-release"))?;
    asked.os = Some(match &os.version_id {
        Some(version) => Os::new(&os.id, version).map_err(|why| unknown(&why))?,
        None => {
            let os = without_version(&os.id, &entry);
            os.ok_or_else(|| unknown("has no version in its os-release, and its name says none"))?
        }
    });
    Ok(())
}

/// A system whose os-release has no version: as it is declared, as its tag calls it (`debian:sid`), or one that never has any.
fn without_version(id: &str, entry: &Descriptor) -> Option<Os> {
    let declared = || Declared::of(&entry.annotations).os.filter(|os| os.name() == id);
    let named = || {
        let reference = index::reference(entry)?;
        Os::new(id, reference.tag()?).ok().filter(Os::is_word)
    };
    let rolling = || Os::new(id, "rolling").ok().filter(Os::is_rolling);
    declared().or_else(named).or_else(rolling)
}

/// A base that the store does not have.
fn absent(query: &str, error: Error) -> CommandError {
    let is_absent = matches!(error, Error::NoSuchImage { .. });
    let error = CommandError::from(error);
    if is_absent { error.with_hint(format!("bring it in: {}", bring(query, None))) } else { error }
}

/// How an image of a registry comes into the store; one of another platform than this machine's beside that which may be there.
pub(super) fn bring(name: &str, platform: Option<&str>) -> String {
    let (option, named) = match platform {
        Some(platform) => {
            let arch = platform.trim_start_matches("linux/").replace('/', "-");
            (format!("--platform {platform} "), format!("--name {name}-{arch} "))
        }
        None => (String::new(), String::new()),
    };
    format!("larder pull {option}{named}{name}")
}

/// The images that were made on a base, the newest as the one that was used last.
pub(super) fn made_on<'a>(index: &Index, base: &Reference, offers: &[Offer<'a>]) -> Vec<Offer<'a>> {
    let is_on = |entry: &&Descriptor| Base::of(&entry.annotations).is_some_and(|noted| noted.name == *base);
    let came = |entry: &Descriptor| {
        Some((index::shown_name(entry)?, index::time(entry, index::IMPORTED).unwrap_or(i64::MIN)))
    };
    let on_it: HashMap<_, _> = index.entries().iter().filter(is_on).filter_map(came).collect();
    let mut made = Vec::new();
    for offer in offers {
        let newest = offer.names.iter().filter_map(|(name, _)| on_it.get(name)).max();
        if let Some(imported) = newest {
            let mut offer = offer.clone();
            (offer.last_used, offer.use_count) = (Some(*imported), 0);
            made.push(offer);
        }
    }
    made
}
