//! Hostile input, a table: for every way in which an archive or a layout can mean harm, larder refuses it with one
//! message (or takes it, where it is odd and valid), in bounded time and memory, and the store and all around it are
//! as they were.
//!
//! Every case is imported from a file and through a pipe, into a store of its own with an image in it, and watched by
//! strace. `tests/badinput` looks at what the messages say; here it is looked at what is done.

mod bombs;
mod calls;
mod confined;
mod descriptors;
mod documents;
mod headers;
mod layouts;
mod meanings;
mod names;
mod outers;
mod raw;
mod store;
mod valid;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::support::tarball::{Oci, docker_archive, layer, noise};
use crate::support::{Sandbox, peer, run};
use store::Before;

/// The name of the image in most hostile archives.
const NAME: &str = "hostile:1";

/// What is tried.
struct Case {
    what: String,
    input: Input,
    expected: Expected,
    /// Arguments behind `import ARCHIVE`.
    args: Vec<&'static str>,
    /// Done to the sandbox before.
    prepare: Option<Hook>,
    /// Looked at afterwards, where it was taken.
    check: Option<Hook>,
}

type Hook = Box<dyn Fn(&Sandbox) + Send + Sync>;

enum Input {
    /// A file of these bytes, and a pipe with them.
    Bytes(Vec<u8>),
    /// What is made at this path: a directory, or a file that no memory holds.
    Made(Box<dyn Fn(&Path) + Send + Sync>),
}

enum Expected {
    /// Exit code 1 or 5, and a message with these words.
    Refused(Vec<String>),
    /// Exit code 0: it is odd, and valid.
    Taken,
}

/// An archive that must be refused, with these words.
fn bad(what: impl Into<String>, archive: Vec<u8>, says: &[&str]) -> Case {
    Case::new(what.into(), Input::Bytes(archive), Expected::refused(says))
}

/// An archive that must be taken.
fn good(what: impl Into<String>, archive: Vec<u8>) -> Case {
    Case::new(what.into(), Input::Bytes(archive), Expected::Taken)
}

impl Case {
    fn new(what: String, input: Input, expected: Expected) -> Self {
        Self { what, input, expected, args: Vec::new(), prepare: None, check: None }
    }
}

impl Expected {
    fn refused(says: &[&str]) -> Self {
        Self::Refused(says.iter().map(|&text| text.to_owned()).collect())
    }
}

/// The layers of the images here.
fn layers() -> [Vec<u8>; 2] {
    [layer("a", &noise(1, 1000)), layer("b", b"content")]
}

/// A docker-archive with nothing wrong in it.
fn docker() -> Vec<u8> {
    docker_archive(NAME, &layers())
}

/// An oci-archive with nothing wrong in it, yet.
fn oci() -> Oci {
    Oci::image(NAME, &layers())
}

/// What every run is watched with.
fn tools() -> Option<()> {
    peer::tool("strace").and(peer::tool("prlimit")).map(|_| ())
}

/// Tries all cases, several at a time, and says of each what is not as it should be.
fn try_all(cases: Vec<Case>) {
    let before = Before::new();
    let runs: Vec<_> = cases.iter().flat_map(|case| case.ways().map(move |way| (case, way))).collect();
    let (next, failures, slow) = (Mutex::new(0), Mutex::new(Vec::new()), Mutex::new(Vec::new()));
    let work = || {
        loop {
            let at = {
                let mut next = next.lock().unwrap();
                *next += 1;
                *next - 1
            };
            let Some((case, way)) = runs.get(at) else { return };
            let tried = before.attempt(case, *way);
            failures.lock().unwrap().extend(tried.failures);
            if tried.is_slow {
                slow.lock().unwrap().push(at);
            }
        }
    };
    std::thread::scope(|scope| (0..2).for_each(|_| drop(scope.spawn(work))));
    let mut failures = failures.into_inner().unwrap();
    // The machine may have been busy: what took too long has a second chance, alone.
    for (case, way) in slow.into_inner().unwrap().into_iter().map(|at| &runs[at]) {
        let tried = before.attempt(case, *way);
        if tried.is_slow {
            failures.push(format!("{}: it took {:?} of the processors", case.title(*way), tried.busy));
        }
    }
    assert!(failures.is_empty(), "{} of {} runs:\n{}", failures.len(), runs.len(), failures.join("\n"));
}

/// How an archive comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    File,
    Pipe,
}

impl Case {
    fn ways(&self) -> impl Iterator<Item = Way> + use<> {
        let can_flow = matches!(self.input, Input::Bytes(_));
        std::iter::once(Way::File).chain(can_flow.then_some(Way::Pipe))
    }

    fn title(&self, way: Way) -> String {
        format!("{} ({way:?})", self.what).to_lowercase()
    }

    /// Puts the input in its place.
    fn place(&self, path: &Path) {
        match &self.input {
            Input::Bytes(bytes) => std::fs::write(path, bytes).unwrap(),
            Input::Made(make) => make(path),
        }
    }
}

/// Copies a directory as it stands.
fn copy(from: &Path, to: &Path) {
    run(Command::new("cp").arg("-a").arg(from).arg(to));
}

/// Where a store keeps a blob.
fn blob(sandbox: &Sandbox, hex: &str) -> PathBuf {
    sandbox.store().join("blobs/sha256").join(hex)
}
