//! A Dockerfile with what belongs to it, as it is handed to a build.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use larder_store::Error as StoreError;
use larder_store::blob::from_io;
use rustix::fs::OFlags;

use super::error::{Error, Result};
use crate::build::ignore::{self, Ignore};
use crate::build::problem::Problem;

/// Bytes of a Dockerfile or a `.dockerignore`; nobody writes longer ones.
const LONGEST: u64 = 4 << 20;

/// What is built.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// What people call the file.
    pub(crate) name: String,
    /// What is in it.
    pub(crate) text: String,
    /// What of the context is left out.
    pub(crate) ignore: Ignore,
}

impl Source {
    /// Reads a Dockerfile, and the `.dockerignore` beside it or at the root of the context.
    pub(crate) fn read(context: &Path, file: &Path) -> Result<Source> {
        let name = file.display().to_string();
        let mut source = open(file).map_err(StoreError::io("open", file))?;
        if source.metadata().is_ok_and(|metadata| metadata.is_dir()) {
            return Err(
                StoreError::invalid(name, "is a directory and no Dockerfile; -f names the file").into()
            );
        }
        check(&source, file)?;
        let text = text_of(&mut source, file)?;
        Source::of_text(context, name, text)
    }

    /// A Dockerfile that came by another way, with the `.dockerignore` of its context.
    pub(crate) fn of_text(context: &Path, name: String, text: String) -> Result<Source> {
        let [beside, inside] = ignore::places(&name);
        for path in [Path::new(&beside), &context.join(inside)] {
            let mut file = match open(path) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                    continue;
                }
                opened => opened.map_err(StoreError::io("open", path))?,
            };
            check(&file, path)?;
            let of = |problems| Error::Problems { file: path.display().to_string(), problems };
            let ignore = Ignore::parse(&text_of(&mut file, path)?).map_err(of)?;
            return Ok(Source { name, text, ignore });
        }
        Ok(Source { name, text, ignore: Ignore::default() })
    }

    /// The same, without files that a pattern of `.dockerignore` names.
    pub(crate) fn without(self, pattern: &str) -> Result<Source> {
        let of = |problems| Error::Problems { file: self.name.clone(), problems };
        let more = Ignore::parse(pattern).map_err(of)?;
        Ok(Source { ignore: self.ignore.and(more), ..self })
    }
}

/// Without waiting: a pipe may have nobody who writes.
fn open(path: &Path) -> std::io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    File::options().read(true).custom_flags(flags.bits() as i32).open(path)
}

fn check(file: &File, path: &Path) -> Result<()> {
    match file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        true => Ok(()),
        false => Err(StoreError::invalid(path.display(), "is no file that can be read").into()),
    }
}

/// Reads a text of a bounded length.
pub(crate) fn text_of(source: &mut dyn Read, path: &Path) -> Result<String> {
    let mut bytes = Vec::new();
    let read = source.take(LONGEST + 1).read_to_end(&mut bytes);
    read.map_err(|error| from_io(error, StoreError::io("read", path)))?;
    let wrong = |problem| Error::Problems { file: path.display().to_string(), problems: vec![problem] };
    if bytes.len() as u64 > LONGEST {
        let why = format!("only {} MiB are read", LONGEST >> 20);
        return Err(wrong(Problem::of_file("too long", why)));
    }
    let line = |before: &[u8]| before.iter().filter(|byte| **byte == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|byte| *byte == 0) {
        // No word of a command and no file could have it.
        return Err(wrong(Problem::new(line(&bytes[..at]), "a zero byte", "this is no text")));
    }
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        wrong(Problem::new(line(before), "not UTF-8", "this is no text that can be read"))
    })
}
