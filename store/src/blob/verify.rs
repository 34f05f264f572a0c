//! Reading with a check: nobody sees the end of a stream that is not what its digest says.

use std::io::{self, Read};

use crate::digest::{Digest, Hasher};
use crate::error::Error;

/// Hashes what passes through. A read that failed fails again. The last read (the one that returns 0) fails where size or digest are wrong;
/// a read fails as soon as there is more data than announced.
#[derive(Debug)]
pub struct VerifyReader<R> {
    inner: R,
    expected: Digest,
    size: u64,
    hasher: Option<Hasher>,
    failed: bool,
}

impl std::fmt::Debug for Hasher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hasher({} bytes)", self.size())
    }
}

impl<R: Read> VerifyReader<R> {
    /// Expects `size` bytes with the digest `expected`.
    pub fn new(inner: R, expected: Digest, size: u64) -> VerifyReader<R> {
        VerifyReader { inner, expected, size, hasher: Some(Hasher::new()), failed: false }
    }
}

impl<R: Read> Read for VerifyReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.failed {
            return Err(into_io(Error::damaged(format!("blob {}", self.expected), "did not verify")));
        }
        let Some(hasher) = &mut self.hasher else { return Ok(0) };
        let count = self.inner.read(buffer)?;
        hasher.update(&buffer[..count]);
        let size = hasher.size();
        if size > self.size || (count == 0 && size < self.size) {
            let less_or_more = if count == 0 { "only " } else { "more than " };
            let shown = if count == 0 { size } else { self.size };
            let why = format!("has {less_or_more}{shown} bytes where {} were announced", self.size);
            self.failed = true;
            return Err(into_io(Error::damaged(format!("blob {}", self.expected), why)));
        }
        if count == 0 {
            let got = self.hasher.take().map(Hasher::finish);
            if got != Some(self.expected) {
                self.failed = true;
                let got = got.map_or_else(String::new, |digest| digest.to_string());
                return Err(into_io(Error::damaged(
                    format!("blob {}", self.expected),
                    format!("digest mismatch: got {got}"),
                )));
            }
        }
        Ok(count)
    }
}

/// Puts a library error into an `io::Error`, for the way through a `Read`.
pub(crate) fn into_io(error: Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

/// Takes a library error back out of an `io::Error`; any other becomes what `otherwise` makes of it.
pub fn from_io(error: io::Error, otherwise: impl FnOnce(io::Error) -> Error) -> Error {
    if error.get_ref().is_some_and(|inner| inner.is::<Error>()) {
        match error.into_inner().map(|inner| inner.downcast::<Error>()) {
            Some(Ok(inner)) => *inner,
            _ => Error::damaged("a stream", "failed"),
        }
    } else {
        otherwise(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &[u8], digest: Digest, size: u64) -> Result<Vec<u8>, io::Error> {
        let mut out = Vec::new();
        VerifyReader::new(content, digest, size).read_to_end(&mut out).map(|_| out)
    }

    #[test]
    fn lets_only_the_announced_content_end() {
        let content = b"content";
        let digest = Digest::of(content);
        assert_eq!(read(content, digest, 7).expect("good content"), content);
        assert!(read(b"", Digest::of(b""), 0).expect("nothing").is_empty());
        for (bad, size) in [
            (&b"contend"[..], 7),
            (b"content", 6),
            (b"content", 8),
            (b"conten", 7),
            (b"content!", 7),
            (b"", 7),
        ] {
            let error = read(bad, digest, size).expect_err("must not pass");
            assert!(matches!(from_io(error, Error::io("read", "x")), Error::Damaged { .. }), "{bad:?}");
        }
    }
}
