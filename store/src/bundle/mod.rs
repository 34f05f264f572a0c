//! Bundles: what travels to a store that no network reaches.
//!
//! A bundle is a tar and, where it presumes nothing, an OCI archive that every tool loads. Its bytes are a function of its
//! manifest and of the content that it carries: the reader makes every header that must be there and compares. So whoever knows
//! the manifest (and a signature is one of the manifest) knows every bit.
//!
//! Here is what can be said without a store: [`manifest`] (what a bundle carries and presumes), [`member`] (the tar's members
//! that follow from it), [`frame`] (reading the tar strictly), [`have`] (what a target says that it has). It is in the
//! library and not in the program so that fuzzers reach it. Nothing here allocates by a size that the input claims.

pub mod frame;
pub mod have;
pub mod manifest;
pub mod member;
mod rules;
#[cfg(test)]
mod tests;

use std::io::{self, Write};

/// Bytes of a manifest: it is in memory several times while it is read.
pub const MAX_MANIFEST: u64 = 16 << 20;
/// Bytes of a have-list.
pub const MAX_TEXT: u64 = 32 << 20;
/// Bytes of a signature.
pub const MAX_SIGNATURE: u64 = 4 << 10;
/// Members of all parts together.
pub const MAX_MEMBERS: usize = 200_000;
/// Where the manifest is.
pub const MANIFEST: &str = "dev.larder.bundle/manifest.json";
/// Where its signature is.
pub const SIGNATURE: &str = "dev.larder.bundle/manifest.json.minisig";
/// Where a part says which one it is.
pub const PART: &str = "dev.larder.bundle/part";

/// Compares what is written with what was read, without a second copy of it.
struct Same<'a> {
    rest: &'a [u8],
}

impl Write for Same<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(bytes) {
            Some(rest) => self.rest = rest,
            None => return Err(io::ErrorKind::InvalidData.into()),
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a value, written as we write it, is these very bytes: then nothing stands in them that was not read, no key twice and
/// none that another reader would take for one.
fn is_canonical(value: &impl serde::Serialize, bytes: &[u8]) -> bool {
    let mut same = Same { rest: bytes };
    serde_json::to_writer(&mut same, value).is_ok() && same.rest == b"\n"
}

/// The version that a document of ours says; a newer one may say more than this reader understands.
fn check_version(what: &str, found: u64, known: u64) -> Result<(), String> {
    match found {
        found if found == known => Ok(()),
        found if found > known => {
            Err(format!("is {what} of version {found}, and this larder knows {known}; use a newer larder"))
        }
        found => Err(format!("is {what} of version {found}, which there never was")),
    }
}
