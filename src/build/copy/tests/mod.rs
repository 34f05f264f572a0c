//! COPY, ADD and WORKDIR on real files. What they make is what Docker 20.10 made of the same (`tests/build/copied.rs` asks it).

#![allow(clippy::print_stderr)]

mod model;
mod places;
mod safe;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use larder_store::cancel::Cancel;
use larder_store::error::Error;
use larder_store::tree::Directory;

use super::{Context, From, Target, find, make_directory, place};
use crate::build::dockerfile::{self, Instruction};
use crate::build::ignore::Ignore;

/// The time of what has none.
const NOW: i64 = 1_700_000_000;

/// A context, the layers of an image, and what was put above them so far.
pub(super) struct World {
    dir: tempfile::TempDir,
    ignore: String,
    /// Directories of the layers, the uppermost first.
    layers: Vec<PathBuf>,
    made: usize,
}

impl World {
    /// `None` where owners cannot be set.
    pub(super) fn new() -> Option<World> {
        let dir = tempfile::tempdir().expect("a directory");
        fs::create_dir(dir.path().join("context")).expect("made");
        let is_root = dir.path().metadata().expect("there").uid() == 0;
        if !is_root {
            eprintln!("skipped: only root gives files away");
        }
        is_root.then(|| World { dir, ignore: String::new(), layers: Vec::new(), made: 0 })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("context").join(name)
    }

    /// Files of the context: `dir/`, `link -> target`, or a file with its own path as content, each with `:MODE` where it matters.
    pub(super) fn with(self, files: &[&str]) -> World {
        fill(&self.dir.path().join("context"), files);
        self
    }

    /// The same as the image's lowest layer.
    pub(super) fn above(mut self, files: &[&str]) -> World {
        let layer = self.new_layer();
        fill(&layer, files);
        self
    }

    pub(super) fn ignoring(mut self, lines: &str) -> World {
        lines.clone_into(&mut self.ignore);
        self
    }

    fn new_layer(&mut self) -> PathBuf {
        let layer = self.dir.path().join(format!("layer{}", self.made));
        self.made += 1;
        fs::create_dir(&layer).expect("made");
        fs::set_permissions(&layer, fs::Permissions::from_mode(0o755)).expect("set");
        self.layers.insert(0, layer.clone());
        layer
    }

    /// Does one step in a layer of its own; what it has then.
    pub(super) fn step(&mut self, step: &str) -> Result<Vec<String>, String> {
        self.try_step(step).map_err(|error| {
            let mut all = error.to_string();
            let mut next = std::error::Error::source(&error);
            while let Some(source) = next {
                all = format!("{all}: {source}");
                next = source.source();
            }
            all
        })
    }

    fn try_step(&mut self, step: &str) -> Result<Vec<String>, Error> {
        let from_stage: Vec<_> =
            self.layers.iter().map(|layer| Directory::open(layer)).collect::<Result<_, _>>()?;
        let below = self.layers.iter().map(|layer| Directory::open(layer)).collect::<Result<_, _>>()?;
        let cancel = Cancel::new();
        let layer = self.new_layer();
        let into = Directory::open(&layer)?;
        let target = Target { into: &into, below, workdir: "/work", now: NOW, cancel: &cancel };
        let text = format!("FROM scratch AS s\nFROM scratch\n{step}\n");
        let read = dockerfile::parse(&text).expect("a step");
        let (copy, is_add) = match &read.stages[1].steps[0].instruction {
            Instruction::Workdir(path) => {
                make_directory(path, target)?;
                return Ok(list(&layer));
            }
            Instruction::Copy(copy) => (copy, false),
            Instruction::Add(copy) => (copy, true),
            other => panic!("{other:?}"),
        };
        let context =
            Context::open(&self.dir.path().join("context"), Ignore::parse(&self.ignore).expect("lines"))?;
        let from = match copy.from {
            Some(_) => From::Layers(&from_stage),
            None => From::Context(&context),
        };
        let mut found = find(from, copy, is_add, &cancel)?;
        found.digest(&cancel)?;
        place(&found, copy, target)?;
        Ok(list(&layer))
    }

    /// What the step reads, for the cache.
    pub(super) fn digest(&self, step: &str) -> String {
        let read = dockerfile::parse(&format!("FROM scratch\n{step}\n")).expect("a step");
        let (copy, is_add) = match &read.stages[0].steps[0].instruction {
            Instruction::Copy(copy) => (copy, false),
            Instruction::Add(copy) => (copy, true),
            other => panic!("{other:?}"),
        };
        let cancel = Cancel::new();
        let context =
            Context::open(&self.dir.path().join("context"), Ignore::parse(&self.ignore).expect("lines"))
                .expect("open");
        let mut found = find(From::Context(&context), copy, is_add, &cancel).expect("found");
        found.digest(&cancel).expect("read").to_string()
    }
}

fn fill(root: &Path, files: &[&str]) {
    for spec in files {
        if let Some((link, target)) = spec.split_once(" -> ") {
            symlink(target, root.join(link)).expect("linked");
            continue;
        }
        let (path, mode) = spec.split_once(':').map_or((*spec, None), |(path, mode)| (path, Some(mode)));
        let at = root.join(path);
        if path.ends_with('/') {
            fs::create_dir_all(&at).expect("made");
        } else {
            fs::create_dir_all(at.parent().expect("one")).expect("made");
            fs::write(&at, path).expect("written");
        }
        if let Some(mode) = mode {
            let mode = u32::from_str_radix(mode, 8).expect("octal");
            fs::set_permissions(&at, fs::Permissions::from_mode(mode)).expect("set");
        }
    }
}

/// Path, mode, owner and content, in the order of their names. `NOW` is told of directories.
fn list(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    collect(root, root, &mut found);
    found
}

fn collect(root: &Path, dir: &Path, found: &mut Vec<String>) {
    let mut entries: Vec<_> =
        fs::read_dir(dir).expect("list").map(|entry| entry.expect("entry").path()).collect();
    entries.sort();
    for path in entries {
        let meta = path.symlink_metadata().expect("there");
        let name = path.strip_prefix(root).expect("below").display().to_string();
        let what = if meta.is_dir() {
            "/".to_owned()
        } else if meta.is_symlink() {
            format!(" -> {}", fs::read_link(&path).expect("a link").display())
        } else if meta.is_file() {
            format!("={}", fs::read_to_string(&path).unwrap_or_else(|_| "bytes".to_owned()))
        } else {
            "!".to_owned()
        };
        let owner = if (meta.uid(), meta.gid()) == (0, 0) {
            String::new()
        } else {
            format!(" {}:{}", meta.uid(), meta.gid())
        };
        let mode = if meta.is_symlink() { String::new() } else { format!(" {:o}", meta.mode() & 0o7777) };
        found.push(format!("{name}{what}{mode}{owner}"));
        if meta.is_dir() {
            collect(root, &path, found);
        }
    }
}
