//! What is inside of images: packages with versions and licences, as documents that auditors read and as answers to questions.
//!
//! [`read`] takes what package managers wrote apart, [`spdx`] and [`cyclonedx`] are documents of an [`inventory`],
//! [`version`] compares by the rules of each ecosystem, [`query`] is `openssl<3.0.14`. Values in, values out.

pub(crate) mod cyclonedx;
pub(crate) mod gather;
pub(crate) mod inventory;
pub(crate) mod kind;
pub(crate) mod licence;
pub(crate) mod package;
pub(crate) mod purl;
pub(crate) mod query;
pub(crate) mod read;
pub(crate) mod spdx;
pub(crate) mod version;

use inventory::Subject;
use jiff::Timestamp;

/// What an image is called in a document.
fn title(subject: &Subject) -> String {
    subject.name.clone().unwrap_or_else(|| subject.digest.to_string())
}

/// Seconds since 1970 as RFC 3339 has it; 1970 where there is no such date.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}
