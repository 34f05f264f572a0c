//! Where a bundle is read: a file, in which what is not needed is stepped over, or a stream that passes once.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

use larder_store::archive::tar::Source;
use larder_store::blob::from_io;
use larder_store::error::{Error, Result};

/// A file that is read from its beginning.
#[derive(Debug, Clone)]
pub(crate) struct FileSource {
    pub(super) file: Arc<File>,
    pub(super) path: PathBuf,
    position: u64,
    size: u64,
}

impl FileSource {
    /// An open file, and its path for messages.
    pub(crate) fn new(file: File, path: PathBuf) -> Result<FileSource> {
        let meta = file.metadata().map_err(Error::io("stat", &path))?;
        Ok(FileSource { file: Arc::new(file), path, position: 0, size: meta.len() })
    }

    /// The same file from its beginning.
    pub(crate) fn rewound(&self) -> FileSource {
        FileSource { position: 0, ..self.clone() }
    }

    /// Its bytes.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    /// Reads on from there, bytes from the beginning.
    pub(super) fn go_to(&mut self, position: u64) {
        self.position = position.min(self.size);
    }

    /// Where it reads next, bytes from the beginning.
    pub(super) fn position(&self) -> u64 {
        self.position
    }
}

impl Source for FileSource {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read_at(&mut buffer[filled..], self.position) {
                Ok(0) => break,
                Ok(count) => {
                    filled += count;
                    self.position += count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Error::io("read", &self.path)(error)),
            }
        }
        Ok(filled)
    }

    fn skip(&mut self, count: u64) -> Result<bool> {
        let end = self.position.saturating_add(count);
        self.position = end.min(self.size);
        Ok(end <= self.size)
    }
}

/// A stream.
pub(crate) struct StreamSource {
    pub(super) stream: Box<dyn Read + Send>,
}

impl Source for StreamSource {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.stream.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(from_io(error, Error::io("read", "the stream"))),
            }
        }
        Ok(filled)
    }

    fn skip(&mut self, mut count: u64) -> Result<bool> {
        let mut buffer = vec![0; 64 << 10];
        while count > 0 {
            let wanted = count.min(buffer.len() as u64) as usize;
            let got = self.read_full(&mut buffer[..wanted])?;
            if got < wanted {
                return Ok(false);
            }
            count -= got as u64;
        }
        Ok(true)
    }
}

/// Either of them.
pub(crate) enum Input {
    /// A file.
    File(FileSource),
    /// A stream.
    Stream(StreamSource),
}

impl Input {
    /// A stream.
    pub(crate) fn stream(stream: impl Read + Send + 'static) -> Input {
        Input::Stream(StreamSource { stream: Box::new(stream) })
    }
}

impl Source for Input {
    fn read_full(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match self {
            Input::File(file) => file.read_full(buffer),
            Input::Stream(stream) => stream.read_full(buffer),
        }
    }

    fn skip(&mut self, count: u64) -> Result<bool> {
        match self {
            Input::File(file) => file.skip(count),
            Input::Stream(stream) => stream.skip(count),
        }
    }
}
