//! What is damaged comes once more from where it came from.
//!
//! Everything is asked for by its digest: what a tag means by now is of no matter. Nothing is believed that comes; it has the
//! digest and the size that it was asked for by, or it is no help.

use std::collections::BTreeMap;

use larder_store::blob::Staged;
use larder_store::error::Error as StoreError;
use larder_store::index::{self, Index};
use larder_store::progress::Event;
use larder_store::reference::Reference;
use larder_store::repair::{Bench, RepairSource};
use larder_store::verify::Part;
use larder_store::walk::Role;

use super::Registries;
use super::client::{Line, Repository, Taking, Which};
use super::error::{Error, Kind, Result};

/// After so many failures in a row that are about the registry, and not about what was asked for, it is not asked again.
const GIVES_UP: u32 = 3;

/// A repository that images came from.
pub(crate) struct OriginSource<'r> {
    label: String,
    reference: Reference,
    registries: &'r Registries,
    line: Option<Line>,
    /// Why it is not asked any more.
    given_up: Option<String>,
    failed: u32,
}

/// The repositories that the entries of an index came from, each once. Asks nobody yet.
pub(crate) fn origins<'r>(index: &Index, registries: &'r Registries) -> Vec<OriginSource<'r>> {
    let noted = index.entries().iter().filter_map(|entry| origin(entry.annotation(index::ORIGIN)?));
    let repositories: BTreeMap<_, _> = noted.map(|reference| (repository(&reference), reference)).collect();
    let source = |(label, reference)| OriginSource {
        label,
        reference,
        registries,
        line: None,
        given_up: None,
        failed: 0,
    };
    repositories.into_iter().map(source).collect()
}

/// Where an image came from, where that is a registry: images that were built or imported note a word.
fn origin(text: &str) -> Option<Reference> {
    text.parse::<Reference>().ok().filter(|reference| reference.full() == text)
}

fn repository(reference: &Reference) -> String {
    format!("{}/{}", reference.domain(), reference.path())
}

impl OriginSource<'_> {
    fn line(&mut self) -> Result<&Line> {
        match &mut self.line {
            Some(line) => Ok(line),
            none => Ok(none.insert(Repository::of(&self.reference, self.registries)?.line()?)),
        }
    }

    fn fetch(&mut self, part: &Part, bench: &Bench<'_>) -> Result<Staged> {
        let descriptor = &part.descriptor;
        let line = self.line()?;
        (bench.watch)(Event::Total(descriptor.size));
        if part.role == Role::Document {
            let raw = line.manifest(&Which::Digest(descriptor.digest))?;
            return Ok(bench.stage(part, &*raw.bytes)?);
        }
        let anew = || bench.writer(descriptor.size);
        let watch = |count| (bench.watch)(Event::Done(count));
        let taking = Taking { anew: &anew, watch: &watch, passed_over: &|_, _| {} };
        line.blob(descriptor, anew()?, &taking)
    }

    /// What a failure means for the next part.
    fn judge(&mut self, error: &Error) {
        match error.kind() {
            // It answers, and that it does not have this.
            Some(Kind::NoSuchImage | Kind::Absent | Kind::Damaged) => self.failed = 0,
            Some(Kind::Failed | Kind::Unanswered) => self.failed += 1,
            Some(Kind::Denied) => self.failed = GIVES_UP,
            // Not even asked, or the store's.
            None if matches!(error, Error::Access(_)) => self.failed = GIVES_UP,
            None => {}
        }
        if self.failed >= GIVES_UP {
            self.given_up = Some(error.to_string());
        }
    }
}

impl RepairSource for OriginSource<'_> {
    fn label(&self) -> &str {
        &self.label
    }

    fn find(&mut self, part: &Part, bench: &Bench<'_>) -> larder_store::Result<Option<Staged>> {
        let is_ours = |text: &String| origin(text).is_some_and(|origin| repository(&origin) == self.label);
        if !part.origins.iter().any(is_ours) {
            return Ok(None);
        }
        let failed = |why: &str| Err(StoreError::invalid("not had from there", why));
        if let Some(why) = &self.given_up {
            return failed(why);
        }
        match self.fetch(part, bench) {
            Ok(staged) => {
                self.failed = 0;
                Ok(Some(staged))
            }
            Err(error) if error.is_stop() => Err(StoreError::Interrupted),
            Err(Error::Store(error)) => Err(error),
            Err(error) => {
                self.judge(&error);
                failed(&error.to_string())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_full_name_in_a_registry_is_an_origin() {
        for (text, expected) in [
            ("docker.io/library/debian:12", Some("docker.io/library/debian")),
            ("localhost:5000/a/b:1", Some("localhost:5000/a/b")),
            ("build", None),
            ("docker-archive", None),
            ("debian:12", None),
            ("library/debian:12", None),
            ("../x", None),
            ("", None),
        ] {
            assert_eq!(origin(text).map(|found| repository(&found)).as_deref(), expected, "{text}");
        }
        let by_digest = format!("ghcr.io/a/b@{}", larder_store::Digest::of(b""));
        assert_eq!(origin(&by_digest).map(|found| repository(&found)).as_deref(), Some("ghcr.io/a/b"));
    }
}
