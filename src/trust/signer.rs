//! Signing with a secret key of minisign's.

use std::io::Cursor;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minisign::{PError, PublicKey, SecretKey, SecretKeyBox, sign};
use rustix::io::Errno;

use super::signature::{LENGTHS, read, shown};
use super::{Error, Result};

/// Stands before each signature that larder makes. It is not signed; so that no bit of a signed bundle can be changed, it
/// has to be exactly this there.
pub(crate) const UNTRUSTED_COMMENT: &str = "signature from larder";

/// A secret key as it is stored, bytes.
const SECRET_KEY: usize = 158;

/// How long a signature with this comment is, bytes, whoever signs.
pub(crate) fn length(comment: &str) -> usize {
    let lines = ["untrusted comment: ", UNTRUSTED_COMMENT, "\n\ntrusted comment: ", comment, "\n\n"];
    lines.map(str::len).iter().sum::<usize>() + LENGTHS.0 + LENGTHS.1
}

/// A secret key, opened.
pub(crate) struct Signer {
    key: SecretKey,
}

impl Signer {
    /// Opens the key in a file; who has its passphrase is asked where it has one.
    pub(crate) fn open<E: From<Error>>(
        file: &Path,
        passphrase: impl FnOnce() -> Result<String, E>,
    ) -> Result<Signer, E> {
        let wrong = |why: String, hint| Error::Key { file: file.display().to_string(), why, hint };
        let none = |why: String| wrong(why, "a secret key is the file that minisign -G -s wrote");
        let missing = || Error::Store(larder_store::Error::io("open", file)(Errno::NOENT.into()));
        let text = String::from_utf8(read(file)?.ok_or_else(missing)?).unwrap_or_default();
        // Its algorithms stand at the beginning: "RWQAA" is a key without a passphrase, "RWRTY" one with.
        let encoded = text.lines().nth(1).unwrap_or_default();
        let key = if encoded.starts_with("RWRTY") {
            let opened = SecretKeyBox::from(text.clone()).into_secret_key(Some(passphrase()?));
            opened.map_err(|error| {
                wrong(format!("cannot be opened: {error}"), "is it the passphrase of this key?")
            })?
        } else if encoded.starts_with("RWQAA") {
            // minisign gives such a key no checksum, without which the crate takes none.
            let bytes = STANDARD.decode(encoded).ok().filter(|bytes| bytes.len() == SECRET_KEY);
            bytes
                .and_then(|bytes| SecretKey::from_bytes(&bytes).ok())
                .ok_or_else(|| none("is a damaged secret key".to_owned()))?
        } else {
            return Err(none("is no secret key of minisign".to_owned()).into());
        };
        let signer = Signer { key };
        signer.sign(b"", "").map_err(|_| none("is a damaged secret key".to_owned()))?;
        Ok(signer)
    }

    /// The key's number as minisign shows it.
    pub(crate) fn key(&self) -> String {
        shown(self.key.keynum())
    }

    /// Signs, and this comment along: the text of a `.minisig`.
    pub(crate) fn sign(&self, data: &[u8], comment: &str) -> Result<Vec<u8>> {
        let failed = |error: PError| Error::Key {
            file: format!("the key {}", self.key()),
            why: format!("cannot sign: {error}"),
            hint: "is it whole? minisign -S tells more",
        };
        let public = PublicKey::from_secret_key(&self.key).map_err(failed)?;
        let signed =
            sign(Some(&public), &self.key, Cursor::new(data), Some(comment), Some(UNTRUSTED_COMMENT));
        Ok(signed.map_err(failed)?.to_bytes())
    }
}
