//! Who has signed what comes in: minisign's signatures, and the keys that this host trusts.
//!
//! Which keys those are, and whether a signature is demanded, is said by the host's configuration alone: a store that was
//! copied may be hostile. Where the machine's file demands signatures, a user's file adds no keys.

mod signature;
mod signer;

use std::io::{self, Cursor, Read, Seek};
use std::path::{Path, PathBuf};

use larder_store::Error as StoreError;
use larder_store::cancel::Cancel;
use minisign::PublicKey;

pub(crate) use signature::Signature;
#[allow(unused_imports, reason = "bundles are on their way")]
pub(crate) use signer::Signer;

/// What `trust` returns.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Why something is not taken, or cannot be signed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// A file cannot be read, or a signal came.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A key cannot be used.
    #[error("{file}: {why}")]
    Key { file: String, why: String, hint: &'static str },
    /// It is not signed as this host demands.
    #[error("{what}: {why}")]
    Refused { what: String, why: String, hint: &'static str },
}

impl Error {
    /// What to do next.
    pub(crate) fn hint(&self) -> Option<&str> {
        match self {
            Error::Store(error) => error.hint(),
            Error::Key { hint, .. } | Error::Refused { hint, .. } => Some(hint),
        }
    }
}

/// The keys that are trusted, and whether only what they signed is taken.
#[derive(Debug, Default)]
pub(crate) struct Trust {
    keys: Vec<PublicKey>,
    /// The file that demands signatures, where one does.
    required_by: Option<PathBuf>,
}

/// What is known of who signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Signed {
    /// One whose key is trusted; with the comment that was signed along.
    By { key: String, comment: String },
    /// This host trusts no keys at all: the signature was not looked at.
    Unknown { key: String },
    /// Nobody, and nobody demands it.
    Not,
}

impl Trust {
    /// Takes keys as they are written down, each with the file that says it; the file that demands signatures, where one does.
    pub(crate) fn new(keys: &[(PathBuf, String)], required_by: Option<&Path>) -> Result<Trust> {
        let keys = keys.iter().map(|(file, text)| key(file, text)).collect::<Result<Vec<_>>>()?;
        if let (true, Some(file)) = (keys.is_empty(), required_by) {
            return Err(Error::Key {
                file: file.display().to_string(),
                why: "demands signatures (`require_signature = true`), and no key is trusted".into(),
                hint: "write the public keys there: trusted_keys = [\"RW…\"], as minisign -G prints them",
            });
        }
        Ok(Trust { keys, required_by: required_by.map(Path::to_path_buf) })
    }

    /// Whether what nobody signed is refused.
    pub(crate) fn is_required(&self) -> bool {
        self.required_by.is_some()
    }

    /// Whether there is a key to check a signature with.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// Whether `data` is signed as this host demands. `what` is its name in messages; `signature` the text of a `.minisig`.
    pub(crate) fn check(
        &self,
        what: &str,
        data: impl Read + Seek,
        signature: Option<&[u8]>,
        cancel: &Cancel,
    ) -> Result<Signed> {
        let refused = |why: String, hint| Error::Refused { what: what.to_owned(), why, hint };
        let Some(text) = signature else {
            return match &self.required_by {
                None => Ok(Signed::Not),
                Some(file) => Err(refused(
                    format!(
                        "nobody signed it, and {} demands that (`require_signature = true`)",
                        file.display()
                    ),
                    "have it signed with a key that this host trusts (docs/signatures.md)",
                )),
            };
        };
        let signature = Signature::parse(text).map_err(|why| {
            refused(
                format!("its signature is none: {why}"),
                "a signature is what minisign -S or --sign wrote, unchanged",
            )
        })?;
        let key = signature.key();
        if self.keys.is_empty() {
            return Ok(Signed::Unknown { key });
        }
        let of_key: Vec<_> =
            self.keys.iter().filter(|trusted| trusted.keynum() == signature.keynum()).collect();
        if of_key.is_empty() {
            let why = format!("signed with the key {key}, which this host does not trust");
            return Err(refused(
                why,
                "is it whose you think it is? then add its public key to trusted_keys (docs/signatures.md)",
            ));
        }
        let mut data = Cancelled { data, cancel };
        for trusted in of_key {
            data.rewind().map_err(StoreError::io("read", what))?;
            if signature.is_of(trusted, &mut data) {
                return Ok(Signed::By { key, comment: signature.comment() });
            }
            // Not its fault, when nobody wants to know any more.
            cancel.check()?;
        }
        let why = format!("the signature of the key {key} is not of this content: one of them was changed");
        Err(refused(why, "get it anew, and do not use this one"))
    }

    /// The same of what is in memory.
    pub(crate) fn check_bytes(&self, what: &str, data: &[u8], signature: Option<&[u8]>) -> Result<Signed> {
        self.check(what, Cursor::new(data), signature, &Cancel::default())
    }
}

/// Reads until nobody wants it any more.
struct Cancelled<'a, R> {
    data: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Cancelled<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.data.read(buffer)
    }
}

impl<R: Seek> Seek for Cancelled<'_, R> {
    fn seek(&mut self, position: io::SeekFrom) -> io::Result<u64> {
        self.data.seek(position)
    }
}

/// A key as it is written down: itself, or the absolute path of the file that it is in.
fn key(file: &Path, text: &str) -> Result<PublicKey> {
    let wrong = |file: &Path, why: String| Error::Key {
        file: file.display().to_string(),
        why,
        hint: "a key is the 56 characters behind -P that minisign -G prints, RW…, or the path of its .pub file",
    };
    let (file, encoded) = match Path::new(text).is_absolute() {
        true => {
            (Path::new(text), signature::read(Path::new(text))?.lines().nth(1).unwrap_or_default().to_owned())
        }
        false => (file, text.to_owned()),
    };
    let shown = || if text.len() > 80 { "a key".to_owned() } else { format!("{text:?}") };
    let key = PublicKey::from_base64(encoded.trim())
        .map_err(|_| wrong(file, format!("trusted_keys: {} is no public key of minisign", shown())))?;
    match key.to_bytes().starts_with(b"Ed") {
        true => Ok(key),
        false => Err(wrong(file, format!("trusted_keys: {} is of another algorithm than Ed25519", shown()))),
    }
}

#[cfg(test)]
mod tests;
