//! What is inside of images: packages with versions and licences, as documents that auditors read and as answers to questions.
//!
//! [`version`] compares by the rules of each ecosystem, [`query`] is `openssl<3.0.14`. Values in, values out.

pub(crate) mod kind;
pub(crate) mod query;
pub(crate) mod version;
