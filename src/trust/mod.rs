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

pub(crate) use signature::{Signature, read};
use signer::UNTRUSTED_COMMENT;
pub(crate) use signer::{Signer, length};

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
        let (signature, of_key) = self.keys_of(what, text)?;
        let key = signature.key();
        if self.keys.is_empty() {
            return Ok(Signed::Unknown { key });
        }
        let mut data = Watched { data, cancel, failed: None };
        for trusted in of_key {
            data.rewind().map_err(StoreError::io("read", what))?;
            if signature.is_of(trusted, &mut data) {
                return Ok(Signed::By { key, comment: signature.comment() });
            }
            // What could not be read is no forgery.
            cancel.check()?;
            if let Some(error) = data.failed {
                return Err(StoreError::io("read", what)(error).into());
            }
        }
        let why = format!("the signature of the key {key} is not of this content: one of them was changed");
        Err(refused(why, "get it anew, and do not use this one"))
    }

    /// Whether it is trusted who signed something that was looked at before; the key's number.
    pub(crate) fn check_key(&self, what: &str, signature: &[u8]) -> Result<String> {
        Ok(self.keys_of(what, signature)?.0.key())
    }

    /// The trusted keys of its number; some, unless none at all are trusted.
    fn keys_of(&self, what: &str, text: &[u8]) -> Result<(Signature, Vec<&PublicKey>)> {
        let refused = |why: String, hint| Error::Refused { what: what.to_owned(), why, hint };
        let signature = Signature::parse(text).map_err(|why| {
            refused(
                format!("its signature is none: {why}"),
                "a signature is what minisign -S or --sign wrote, unchanged (line ends too)",
            )
        })?;
        let of_key: Vec<_> =
            self.keys.iter().filter(|trusted| trusted.keynum() == signature.keynum()).collect();
        if of_key.is_empty() && self.has_keys() {
            let why = format!("signed with the key {}, which this host does not trust", signature.key());
            return Err(refused(
                why,
                "is it whose you think it is? then add its public key to trusted_keys (docs/signatures.md)",
            ));
        }
        Ok((signature, of_key))
    }

    /// The same of what is in memory.
    pub(crate) fn check_bytes(&self, what: &str, data: &[u8], signature: Option<&[u8]>) -> Result<Signed> {
        self.check(what, Cursor::new(data), signature, &Cancel::default())
    }

    /// The same of what has its signature in it, where nothing may stand that can be changed unseen: the comment that minisign does not
    /// sign has to be the one that larder writes.
    pub(crate) fn check_inner(&self, what: &str, data: &[u8], signature: Option<&[u8]>) -> Result<Signed> {
        let signed = self.check_bytes(what, data, signature)?;
        match signature.map(Signature::parse) {
            None => Ok(signed),
            Some(Ok(signature)) if signature.untrusted_comment() == UNTRUSTED_COMMENT => Ok(signed),
            _ => Err(Error::Refused {
                what: what.to_owned(),
                why: "its signature is not written as larder does".into(),
                hint: "it was changed on its way: have it made again",
            }),
        }
    }
}

/// Reads until nobody wants it any more, and keeps what went wrong.
struct Watched<'a, R> {
    data: R,
    cancel: &'a Cancel,
    failed: Option<io::Error>,
}

impl<R: Read> Read for Watched<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.cancel.check().map_err(io::Error::other)?;
        self.data.read(buffer).map_err(|error| {
            let kind = error.kind();
            if kind != io::ErrorKind::Interrupted {
                self.failed = Some(error);
            }
            kind.into()
        })
    }
}

impl<R: Seek> Seek for Watched<'_, R> {
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
            let path = Path::new(text);
            let content = read(path)?.ok_or_else(|| wrong(path, "trusted_keys: is not there".to_owned()))?;
            // The key alone, or a comment before it.
            let lines = String::from_utf8_lossy(&content).into_owned();
            (path, lines.lines().rfind(|line| !line.trim().is_empty()).unwrap_or_default().to_owned())
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
