//! The commands of tests, by the runtime that RUN has: every test on files of its own above the image's layers.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::time::Instant;

use larder_store::cancel::Cancel;
use larder_store::error::{Error, Result};
use larder_store::fs::Dir;
use larder_store::gc::Mode;
use larder_store::lease::Lease;
use larder_store::prune::{Incoming, make_room};
use larder_store::snapshots::{NewSnapshot, Snapshot, Snapshots};
use larder_store::store::Store;
use larder_store::tree::{Directory, Stack, copy_stack};
use larder_store::unpack::{Layer, unpack_image};
use rustix::fs::OFlags;

use super::command::{Call, Calls, Limits, Ran};
use super::config::{RunOptions, TestFile};
use super::expand::expand;
use super::metadata::Settings;
use super::suite::Commands;
use crate::build::engine::runs;
use crate::build::run::{self, Network, Root, Runner, Step, Stream};

/// What a test calls its machine.
const HOSTNAME: &str = "larder";
/// Bytes of an environment file.
const MAX_ENV_FILE: u64 = 1 << 20;

/// Runs commands on an image of a store.
pub(crate) struct Runtime<'a> {
    store: &'a Store,
    snapshots: &'a Snapshots<'a>,
    layers: Vec<Layer>,
    limits: Limits,
    network: Network,
    now: fn() -> i64,
    cancel: &'a Cancel,
    /// When the first command is run.
    ready: Option<Ready>,
    can_stack: bool,
}

/// What all tests share.
struct Ready {
    runner: Runner,
    below: Vec<Snapshot>,
    /// Protects them.
    _lease: Lease,
}

impl<'a> Runtime<'a> {
    /// For an image of these layers, the lowest first; the caller protects it. Nothing is unpacked before a command needs it.
    pub(crate) fn new(
        store: &'a Store,
        snapshots: &'a Snapshots<'a>,
        layers: Vec<Layer>,
        (network, limits): (Network, Limits),
        now: fn() -> i64,
        cancel: &'a Cancel,
    ) -> Runtime<'a> {
        Runtime { store, snapshots, layers, limits, network, now, cancel, ready: None, can_stack: true }
    }

    fn ready(&mut self) -> Result<&Ready, run::Error> {
        if self.ready.is_none() {
            let (store, now, cancel) = (self.store, (self.now)(), self.cancel);
            store.layout().private().ensure_dir("building")?;
            let runner = Runner::find(&runs(store)?)?;
            let mut lease = store.lease("test")?;
            let transaction = store.begin("test")?;
            let incoming = Incoming { store, ingest: transaction.ingest().clone() };
            let mut room = |bytes| make_room(&incoming, bytes, now, Mode::Sweep, cancel).map(drop);
            let below = unpack_image(store, self.snapshots, &self.layers, &mut lease, now, &mut room, cancel);
            // It is on the disk by now, or will not be.
            let ended = incoming.ingest.expect_no_more();
            let below = below?;
            ended?;
            self.ready = Some(Ready { runner, below, _lease: lease });
        }
        self.ready.as_ref().ok_or(run::Error::NoRuntime)
    }

    /// The commands of one test on files that are theirs.
    fn test(&mut self, settings: &Settings, file: &TestFile, calls: &Calls) -> Result<Ran, run::Error> {
        let (can_stack, snapshots, store, cancel) = (self.can_stack, self.snapshots, self.store, self.cancel);
        let (network, timeout) = (self.network, self.limits.timeout);
        let ready = self.ready()?;
        let new = match can_stack {
            true => snapshots.begin_changes(&store.locks().shared()?)?,
            false => snapshots.begin(&store.locks().shared()?)?,
        };
        let root = match can_stack {
            true => stacked(&ready.below, &new)?,
            false => copied(&ready.below, &new, cancel)?,
        };
        let user = if file.options.user.is_empty() { settings.user() } else { &file.options.user };
        let step = |call: &Call| Step {
            root: root.clone(),
            args: call.args.clone(),
            env: call.env.clone(),
            cwd: settings.directory().to_owned(),
            user: user.to_owned(),
            hostname: HOSTNAME.to_owned(),
            network,
            timeout,
            pids: run::default_pids(),
            scripts: Vec::new(),
        };
        for call in &calls.setup {
            // Its exit code is nobody's matter, as in container-structure-test.
            ready.runner.run(&step(call), &mut |_| {}, cancel)?;
        }
        let (begun, mut ran) = (Instant::now(), Ran::default());
        let mut output = |stream: Stream, bytes: &[u8]| match stream {
            Stream::Out => ran.stdout.push(bytes),
            Stream::Err => ran.stderr.push(bytes),
        };
        let ended = ready.runner.run_apart(&step(&calls.command), &mut output, cancel)?;
        (ran.code, ran.duration) = (ended.code, begun.elapsed());
        Ok(ran)
    }
}

impl Commands for Runtime<'_> {
    fn obstacle(&mut self, file: &TestFile) -> Option<String> {
        obstacle(file)
    }

    fn added(&mut self, file: &TestFile) -> Result<Vec<(String, String)>> {
        let mut all = match file.options.env_file.as_str() {
            "" => Vec::new(),
            path => env_file(path)?,
        };
        let own = file.options.env.iter().filter_map(|name| Some((name.clone(), std::env::var(name).ok()?)));
        all.extend(own.filter(|(_, value)| !value.is_empty()));
        Ok(all)
    }

    fn run(&mut self, file: &TestFile, settings: &Settings, calls: &Calls) -> Result<Result<Ran, String>> {
        let mut ran = self.test(settings, file, calls);
        if let (Err(run::Error::NoOverlay(_)), true) = (&ran, self.can_stack) {
            self.can_stack = false;
            ran = self.test(settings, file, calls);
        }
        match ran {
            Ok(ran) => Ok(Ok(ran)),
            Err(run::Error::Store(error)) => Err(error),
            Err(error) => Ok(Err(error.to_string())),
        }
    }
}

/// Why no command of a file can be run on this machine, if so.
pub(crate) fn obstacle(file: &TestFile) -> Option<String> {
    if let Some(why) = not_honoured(&file.options) {
        return Some(why);
    }
    if !rustix::process::geteuid().is_root() {
        return Some("commands of tests are run by root alone".to_owned());
    }
    run::abilities().runtime.is_none().then(|| run::Error::NoRuntime.to_string())
}

/// For an image whose files have no commands that can be run.
#[derive(Debug)]
pub(crate) struct Without;

impl Commands for Without {
    fn obstacle(&mut self, file: &TestFile) -> Option<String> {
        obstacle(file).or_else(|| Some(run::Error::NoRuntime.to_string()))
    }

    fn added(&mut self, _: &TestFile) -> Result<Vec<(String, String)>> {
        Ok(Vec::new())
    }

    fn run(&mut self, _: &TestFile, _: &Settings, _: &Calls) -> Result<Result<Ran, String>> {
        Ok(Err(run::Error::NoRuntime.to_string()))
    }
}

/// What a file wants of a container that is not done here.
fn not_honoured(options: &RunOptions) -> Option<String> {
    let wanted = [
        ("privileged", options.privileged),
        ("allocateTty", options.terminal),
        ("capabilities", !options.capabilities.is_empty()),
        ("bindMounts", !options.binds.is_empty()),
    ];
    let wanted: Vec<_> = wanted.iter().filter(|(_, is_wanted)| *is_wanted).map(|(name, _)| *name).collect();
    (!wanted.is_empty()).then(|| format!("containerRunOptions: larder does not know {}", wanted.join(", ")))
}

/// Over the layers, so that what a test changes goes with it.
fn stacked(below: &[Snapshot], new: &NewSnapshot<'_>) -> Result<Root> {
    // Overlayfs takes the root directory from the uppermost layer.
    if let Some(lower) = below.last() {
        Directory::of(&new.files()?)?.describe_as(&Directory::of(&lower.files)?)?;
    }
    let lowers = below.iter().rev().map(|snapshot| absolute(&snapshot.files)).collect::<Result<_>>()?;
    Ok(Root::Overlay { lowers, upper: absolute(&new.files()?)?, work: absolute(&new.work()?)? })
}

/// In a directory with all files.
fn copied(below: &[Snapshot], new: &NewSnapshot<'_>, cancel: &Cancel) -> Result<Root> {
    let files = new.files()?;
    let layers = below.iter().rev().map(|snapshot| Directory::of(&snapshot.files)).collect::<Result<_>>()?;
    copy_stack(Stack::new(layers), &Directory::of(&files)?, cancel)?;
    Ok(Root::Directory(absolute(&files)?))
}

/// The step is run by another process.
fn absolute(dir: &Dir) -> Result<PathBuf> {
    std::path::absolute(dir.path()).map_err(Error::io("look at", dir.path()))
}

/// Lines of `NAME=value`, with quotes and comments as `.env` files have them.
fn env_file(path: &str) -> Result<Vec<(String, String)>> {
    let mut text = String::new();
    // Nobody may write to a pipe, and nothing could end the wait.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits() as i32;
    let file = File::options().read(true).custom_flags(flags).open(path).map_err(Error::io("open", path))?;
    if !file.metadata().map_err(Error::io("stat", path))?.is_file() {
        return Err(Error::invalid(path, "is no file"));
    }
    file.take(MAX_ENV_FILE + 1).read_to_string(&mut text).map_err(Error::io("read", path))?;
    if text.len() as u64 > MAX_ENV_FILE {
        return Err(Error::invalid(path, format!("has more than {MAX_ENV_FILE} bytes")));
    }
    let mut all: Vec<(String, String)> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let pair = line.strip_prefix("export ").unwrap_or(line).split_once('=');
        let Some((name, value)) = pair.filter(|(name, _)| !name.trim().is_empty()) else {
            return Err(Error::invalid(path, format!("line {}: expected NAME=value", number + 1)));
        };
        let (value, known) = (value.trim(), all.clone());
        let known =
            |name: &str| known.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let value = match value.as_bytes() {
            [b'\'', inside @ .., b'\''] => String::from_utf8_lossy(inside).into_owned(),
            [b'"', inside @ .., b'"'] => {
                expand(&String::from_utf8_lossy(inside).replace("\\n", "\n").replace("\\\"", "\""), &known)
            }
            _ => expand(value.split(" #").next().unwrap_or_default().trim_end(), &known),
        };
        if !value.is_empty() {
            all.push((name.trim().to_owned(), value));
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_file_is_a_file() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("env");
        let text = || path.to_str().expect("a path").to_owned();
        std::fs::write(&path, "A=1\nexport B=\"$A 2\" # c\n").expect("written");
        let pairs = env_file(&text()).expect("variables");
        assert_eq!(pairs.first(), Some(&("A".to_owned(), "1".to_owned())));
        std::fs::remove_file(&path).expect("removed");
        // Nobody writes to it.
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).expect("a pipe");
        assert!(env_file(&text()).is_err_and(|error| error.to_string().ends_with("is no file")));
    }
}
