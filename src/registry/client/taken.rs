//! Whether a registry has really taken what it got, by its answer.
//!
//! The specification wants 201 for a blob and for a manifest, and 202 for an upload that begins. Some registries say 200, 202 or
//! 204, and other tools (containerd, crane) take that; so it is taken here. But a page that wants a login before anything
//! passes says 200 too, whatever is asked. So one that says nothing but that must say by another request that it has the thing.

use larder_store::Digest;
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE};

use super::super::error::Kind;
use super::endpoint::Answer;
use super::failure::Failure;
use super::manifest::{PAGE, PAGE_HINT, digest_of};

/// What may be wrong where another digest comes back than what was sent has.
const MANGLED: &str = "what lies between here and the registry changes what passes, or the registry does";

/// What an answer says of something that was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said {
    /// It has it.
    Taken,
    /// Nothing that only a registry would say.
    Anything,
}

/// Reads the answer to what has this digest.
pub(super) fn read(answer: &Answer, what: &str, digest: &Digest) -> Result<Said, Failure> {
    check_page(answer)?;
    let known = check_digest(answer, what, digest)?;
    let status = answer.response.status();
    match status {
        StatusCode::CREATED | StatusCode::ACCEPTED => Ok(Said::Taken),
        StatusCode::OK | StatusCode::NO_CONTENT if known => Ok(Said::Taken),
        StatusCode::OK | StatusCode::NO_CONTENT => Ok(Said::Anything),
        _ => Err(unexpected(answer)),
    }
}

/// Refuses an answer that no registry gives where an upload begins.
pub(super) fn check_begun(answer: &Answer) -> Result<(), Failure> {
    check_page(answer)?;
    match answer.response.status() {
        StatusCode::OK | StatusCode::CREATED | StatusCode::ACCEPTED | StatusCode::NO_CONTENT => Ok(()),
        _ => Err(unexpected(answer)),
    }
}

/// Refuses an answer about something with another digest; whether it says the digest at all.
pub(super) fn check_digest(answer: &Answer, what: &str, digest: &Digest) -> Result<bool, Failure> {
    let asked = &answer.asked;
    match digest_of(answer.response.headers(), asked)? {
        Some(other) if other != *digest => {
            let why = format!("took {what} {digest} for {other}");
            Err(asked.failed(Kind::Damaged, why, MANGLED))
        }
        said => Ok(said.is_some()),
    }
}

/// Refuses an answer to HEAD that says another size than was announced. Some say none, or that there is nothing to say (0).
pub(super) fn check_size(answer: &Answer, size: u64) -> Result<(), Failure> {
    let said = answer.response.headers().get(CONTENT_LENGTH).and_then(|said| said.to_str().ok());
    match said.and_then(|said| said.trim().parse::<u64>().ok()) {
        Some(other) if other != size && other != 0 => {
            Err(answer.asked.damaged(format!("has {other} bytes of it where {size} were announced")))
        }
        _ => Ok(()),
    }
}

/// Refuses a page for browsers. With another status than 200 it is none: some registries (Quay) call every empty answer one.
pub(super) fn check_page(answer: &Answer) -> Result<(), Failure> {
    let said = answer.response.headers().get(CONTENT_TYPE).and_then(|said| said.to_str().ok());
    let is_html = said.is_some_and(|said| said.trim().to_ascii_lowercase().starts_with("text/html"));
    let is_known = answer.response.headers().contains_key("docker-content-digest");
    if answer.response.status() == StatusCode::OK && is_html && !is_known {
        return Err(answer.asked.failed(Kind::Damaged, PAGE, PAGE_HINT));
    }
    Ok(())
}

fn unexpected(answer: &Answer) -> Failure {
    let why = format!("{}, which no registry says that took something", answer.response.status());
    answer.asked.failed(Kind::Failed, why, "is this the registry's address?")
}
