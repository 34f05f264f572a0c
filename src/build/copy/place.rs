//! Where the sources of a copy go: the rules of the destination.

use larder_store::cancel::Cancel;
use larder_store::error::{Error, Result};
use larder_store::place::{Counts, Look, Placer};
use larder_store::tree::{Directory, Kind, Resolved, join, split};

use super::find::{Found, Named};
use super::owner;
use crate::build::dockerfile::Copy;
use crate::build::expanded::mode;
use crate::build::path::absolute;

/// Bytes of the image's `/etc/passwd` and `/etc/group` that are read.
const MOST_USERS: u64 = 16 << 20;
const ROOT: (u32, u32) = (0, 0);
/// The permissions of directories that are made on the way.
const IMPLIED: u32 = 0o755;

/// The layer that files are put into.
pub(crate) struct Target<'a> {
    /// Its directory.
    pub(crate) into: &'a Directory,
    /// Those of the layers below, the uppermost first.
    pub(crate) below: Vec<Directory>,
    /// The working directory of the stage.
    pub(crate) workdir: &'a str,
    /// The time of what has none of its own, seconds since 1970.
    pub(crate) now: i64,
    /// Asks to stop.
    pub(crate) cancel: &'a Cancel,
}

impl<'a> Target<'a> {
    fn placer(self) -> Result<Placer<'a>> {
        Placer::new(self.into, self.below, self.now, self.cancel)
    }
}

/// Makes the working directory where it is missing, root's and 0755.
pub(crate) fn make_directory(path: &str, target: Target<'_>) -> Result<()> {
    let path = absolute(target.workdir, path);
    let mut placer = target.placer()?;
    let at = placer.resolve(path.as_bytes())?;
    no_file(&path, &at)?;
    if at.found.is_none() {
        placer.imply(ROOT, IMPLIED);
        placer.directory(&at.path)?;
    }
    placer.finish()
}

/// Does a COPY or ADD whose words were found.
pub(crate) fn place(found: &Found, copy: &Copy, target: Target<'_>) -> Result<()> {
    let path = absolute(target.workdir, &copy.destination);
    let destination = Destination { path, is_directory: is_directory(&copy.destination) };
    if found.sources.len() + copy.heredocs.len() > 1 && !destination.is_directory {
        let why = "is to take more than one file, and does not end with /";
        return Err(Error::invalid(format!("{:?}", copy.destination), why));
    }
    let mode = mode(copy).map_err(|why| Error::invalid("--chmod", why))?;
    let mut placer = target.placer()?;
    let chown = match copy.chown.as_deref().filter(|chown| !chown.is_empty()) {
        Some(chown) => Some(owner_of(chown, &placer)?),
        None => None,
    };
    let rules = Rules { counts: found.counts, chown, mode };
    for named in &found.sources {
        rules.source(&mut placer, named, &destination)?;
    }
    for heredoc in &copy.heredocs {
        let at = placer.resolve(destination.path.as_bytes())?;
        rules.imply(&mut placer);
        let path = destination.of(&at, heredoc.name.as_bytes());
        let look = Look { owner: Some(chown.unwrap_or(ROOT)), mode, xattrs: false };
        placer.text(&heredoc.content, &path, &look)?;
    }
    placer.finish()
}

/// Whether a destination says by itself that it is a directory.
fn is_directory(destination: &str) -> bool {
    let last = destination.rsplit('/').next().unwrap_or_default();
    ["", ".", ".."].contains(&last)
}

fn owner_of(chown: &str, placer: &Placer<'_>) -> Result<(u32, u32)> {
    let text = |path: &[u8]| {
        let content = placer.content(path, MOST_USERS)?;
        Ok::<_, Error>(content.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
    };
    let (passwd, group) = (text(b"etc/passwd")?, text(b"etc/group")?);
    owner::resolve(chown, passwd.as_deref(), group.as_deref())
        .map_err(|why| Error::invalid(format!("--chown={chown}"), why))
}

fn no_file(path: &str, at: &Resolved) -> Result<()> {
    match at.found {
        Some((_, node)) if node.kind != Kind::Directory => {
            Err(Error::invalid(format!("{path:?}"), "is there in the image, and is no directory"))
        }
        _ => Ok(()),
    }
}

/// Where to.
struct Destination {
    /// From the root, and clean.
    path: String,
    is_directory: bool,
}

impl Destination {
    /// The path of a file of that name.
    fn of(&self, at: &Resolved, name: &[u8]) -> Vec<u8> {
        let is_there = at.found.is_some_and(|(_, node)| node.kind == Kind::Directory);
        if self.is_directory || is_there { join(&at.path, name) } else { at.path.clone() }
    }
}

/// What is the same for all that one step copies.
struct Rules {
    counts: Counts,
    chown: Option<(u32, u32)>,
    mode: Option<u32>,
}

impl Rules {
    /// Directories that are made for a file, or for the content of a directory, are the new owner's.
    fn imply(&self, placer: &mut Placer<'_>) {
        placer.imply(self.chown.unwrap_or(ROOT), self.mode.map_or(IMPLIED, |mode| mode & 0o777));
    }

    fn source(&self, placer: &mut Placer<'_>, named: &Named, destination: &Destination) -> Result<()> {
        let Named { name, source, is_archive } = named;
        let at = placer.resolve(destination.path.as_bytes())?;
        let is_of_layers = self.counts == Counts::Owners;
        let owner = self.chown.or((!is_of_layers).then_some(ROOT));
        let look = Look { owner, mode: self.mode, xattrs: is_of_layers };
        if *is_archive {
            no_file(&destination.path, &at)?;
            placer.imply(ROOT, IMPLIED);
            placer.directory(&at.path)?;
            return placer.archive(source, &at.path);
        }
        if source.kind() != Kind::Directory {
            self.imply(placer);
            return placer.one(source, &destination.of(&at, name), &look);
        }
        no_file(&destination.path, &at)?;
        // As in Docker 20.10: those above it stay root's. What BuildKit alone knows is done as it does it.
        match self.mode {
            Some(_) => self.imply(placer),
            None => placer.imply(ROOT, IMPLIED),
        }
        placer.directory(split(&at.path).0)?;
        self.imply(placer);
        placer.directory(&at.path)?;
        placer.imply(self.chown.unwrap_or(ROOT), IMPLIED);
        placer.content_of(source, &at.path, &look)
    }
}
