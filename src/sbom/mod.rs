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

/// Seconds since 1970 as RFC 3339 has it; 1970 where there is no such date.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
