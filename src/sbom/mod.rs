//! What is inside of images: packages with versions and licences, as documents that auditors read and as answers to questions.
//!
//! [`read`] takes what package managers wrote apart, [`spdx`] and [`cyclonedx`] are documents of an [`inventory`],
//! [`version`] compares by the rules of each ecosystem, [`query`] is `openssl<3.0.14`. Values in, values out.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub(crate) mod attach;
pub(crate) mod attached;
mod cyclonedx;
pub(crate) mod diff;
mod gather;
pub(crate) mod inventory;
pub(crate) mod kept;
pub(crate) mod kind;
mod licence;
#[cfg(test)]
mod mutations;
pub(crate) mod package;
mod places;
mod purl;
pub(crate) mod query;
mod read;
mod spdx;
pub(crate) mod version;

use inventory::{Inventory, Subject};
use jiff::Timestamp;
use larder_store::digest::Digest;

/// The first second of the year 1: standards of time have no earlier one.
const FIRST: i64 = -62_135_596_800;

/// A kind of document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Spec {
    /// SPDX 2.3
    #[default]
    Spdx,
    /// CycloneDX 1.6
    Cyclonedx,
}

impl Spec {
    /// Its media type, as IANA lists it.
    fn media_type(self) -> &'static str {
        match self {
            Spec::Spdx => "application/spdx+json",
            Spec::Cyclonedx => "application/vnd.cyclonedx+json",
        }
    }

    /// An inventory as such a document, with a line feed at its end.
    pub(crate) fn document(self, subject: &Subject, inventory: &Inventory) -> String {
        let document = match self {
            Spec::Spdx => spdx::document(subject, inventory),
            Spec::Cyclonedx => cyclonedx::document(subject, inventory),
        };
        format!("{document:#}\n")
    }
}

/// What an image is called in a document.
fn title(subject: &Subject) -> String {
    subject.name.clone().unwrap_or_else(|| subject.digest.to_string())
}

/// What makes the document of an image this one: the image, its name, and who wrote it. Nobody has to be asked for it.
fn identity(subject: &Subject) -> Digest {
    Digest::of(format!("{} {} {}", subject.digest, title(subject), env!("CARGO_PKG_VERSION")).as_bytes())
}

/// Seconds since 1970 as RFC 3339 has it; 1970 where there is no such date.
fn time(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).ok().filter(|_| seconds >= FIRST);
    time.unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_such_as_the_standards_have() {
        for (seconds, shown) in [
            (0, "1970-01-01T00:00:00Z"),
            (FIRST, "0001-01-01T00:00:00Z"),
            (FIRST - 1, "1970-01-01T00:00:00Z"),
            (253_402_207_200, "9999-12-30T22:00:00Z"),
            (i64::MAX, "1970-01-01T00:00:00Z"),
            (i64::MIN, "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(time(seconds), shown);
        }
    }

    #[test]
    fn two_names_of_an_image_have_two_documents() {
        let subject = |name: Option<&str>| Subject {
            name: name.map(str::to_owned),
            digest: Digest::of(b"x"),
            architecture: String::new(),
            created: 0,
        };
        assert_ne!(identity(&subject(Some("one:2"))), identity(&subject(Some("other:9"))));
        assert_ne!(identity(&subject(Some("one:2"))), identity(&subject(None)));
    }
}
