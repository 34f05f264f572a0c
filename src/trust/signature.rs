//! A `.minisig`: what minisign writes, and nothing that only looks like it.

use std::fs::OpenOptions;
use std::io::{Read, Seek};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use larder_store::Error as StoreError;
use minisign::{PublicKey, SignatureBox, verify};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::Error;

/// No signature and no key has more, bytes.
const MAX_SIZE: u64 = 8 << 10;

/// Characters of the signature (algorithm, key and 64 bytes), and of the one that covers the comment (64 bytes).
pub(super) const LENGTHS: (usize, usize) = (100, 88);

/// A signature that can be checked.
pub(crate) struct Signature(SignatureBox);

impl Signature {
    /// Reads the text of one. It must be written exactly as minisign does, so that no bit of it is without a meaning but
    /// those of the untrusted comment. The error is a phrase.
    pub(crate) fn parse(text: &[u8]) -> Result<Signature, String> {
        if text.len() as u64 > MAX_SIZE {
            return Err(format!("it has more than {MAX_SIZE} bytes"));
        }
        let text = std::str::from_utf8(text).map_err(|_| "it is not text".to_owned())?;
        let lines: Vec<_> = text.lines().collect();
        let &[_, signature, _, comment] = &lines[..] else {
            return Err(format!("it has {} lines, and not four", lines.len()));
        };
        // What is shorter would be read beyond its end.
        if (signature.len(), comment.len()) != LENGTHS {
            return Err("a signature in it is cut".to_owned());
        }
        let read = SignatureBox::from_string(text).map_err(|error| error.to_string())?;
        if !read.is_prehashed() {
            return Err(
                "it is of the old form (minisign -l), which covers files of memory's size alone".to_owned()
            );
        }
        match read.trusted_comment().is_ok() && read.to_string() == text {
            true => Ok(Signature(read)),
            false => Err("it is not written as minisign does".to_owned()),
        }
    }

    /// What the key is called: sixteen digits, as minisign shows it.
    pub(crate) fn key(&self) -> String {
        shown(self.keynum())
    }

    pub(super) fn keynum(&self) -> &[u8] {
        self.0.keynum()
    }

    /// What stands before everything else, and is not signed.
    pub(crate) fn untrusted_comment(&self) -> String {
        self.0.untrusted_comment().unwrap_or_default()
    }

    pub(super) fn comment(&self) -> String {
        self.0.trusted_comment().unwrap_or_default()
    }

    pub(super) fn is_of(&self, key: &PublicKey, data: impl Read + Seek) -> bool {
        verify(key, &self.0, data, true, false, false).is_ok()
    }
}

/// A key's number as minisign shows it.
pub(super) fn shown(keynum: &[u8]) -> String {
    keynum.iter().rev().map(|byte| format!("{byte:02X}")).collect()
}

/// A small file, whole; `None` where there is none, nor can be under that name. A pipe would be waited for.
pub(crate) fn read(path: &Path) -> Result<Option<Vec<u8>>, Error> {
    let flags = OFlags::NONBLOCK.bits() as i32;
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => {
            return match Errno::from_io_error(&error) {
                Some(Errno::NOENT | Errno::NAMETOOLONG) => Ok(None),
                _ => Err(StoreError::io("open", path)(error).into()),
            };
        }
    };
    if !file.metadata().map_err(StoreError::io("look at", path))?.is_file() {
        let (file, why) = (path.display().to_string(), "is not a regular file".to_owned());
        return Err(Error::Key { file, why, hint: "keys and signatures are small files of text" });
    }
    let mut text = Vec::new();
    file.take(MAX_SIZE + 1).read_to_end(&mut text).map_err(StoreError::io("read", path))?;
    Ok(Some(text))
}
