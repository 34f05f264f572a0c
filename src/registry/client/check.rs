//! Whether a registry takes credentials.

use std::cell::Cell;

use reqwest::Method;

use super::super::Registries;
use super::super::access::{Credentials, with_credentials};
use super::super::error::Result;
use super::Repository;
use super::endpoint::{Ask, Endpoint};

/// What an answer is read for is its status alone, bytes.
const MAX_ANSWER: u64 = 64 << 10;

/// What a registry has to say to credentials that it does not refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Checked {
    /// It takes them.
    Taken,
    /// It did not want to know who is asking; they were not sent.
    NotAsked,
}

/// Asks a registry for nothing in particular, as this user. What the files of credentials say does not count, and mirrors
/// are not asked.
pub(crate) fn check(host: &str, credentials: Credentials, registries: &Registries) -> Result<Checked> {
    let access = with_credentials(host, credentials, &registries.settings, &registries.environment)?;
    let endpoint = Endpoint::new(host, String::new(), access);
    let line = Repository::at(vec![endpoint], registries).line()?;
    let was_answered = Cell::new(false);
    line.ask(async |endpoint, wire| {
        let ask = Ask::new(Method::GET, String::new());
        let answered = line.document(endpoint, wire, &ask, MAX_ANSWER).await;
        was_answered.set(endpoint.was_answered());
        answered.map(drop)
    })?;
    Ok(if was_answered.get() { Checked::Taken } else { Checked::NotAsked })
}
