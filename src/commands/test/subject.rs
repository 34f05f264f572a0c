//! What is tested: an image of the store, or of an archive.

use std::fs::File;
use std::os::unix::fs::{FileExt, FileTypeExt, OpenOptionsExt};
use std::path::Path;

use larder_store::archive::import::import;
use larder_store::archive::options::{Existing, Input, Named, Options, Source};
use larder_store::codec::{HEAD, Outer};
use larder_store::descriptor::Platform;
use larder_store::error::Error;
use larder_store::manifest::{Document, ImageConfig, ImageManifest};
use larder_store::members::{self, in_archive};
use larder_store::snapshots::Snapshots;
use larder_store::store::Store;
use larder_store::unpack::Layer;
use rustix::fs::OFlags;

use super::{Args, How, Known};
use crate::cli::{Bar, Context, Outcome, fail, interruptible};
use crate::commands::platform::{Wanted, choose};
use crate::commands::{jobs, now};
use crate::structure::{Commands, Image, Runtime, Suite, TestFile, Without, obstacle, run};

/// Tests an image of the store by some files: also what `def test` does for each of its images.
pub(in crate::commands) fn of_store(
    context: &Context,
    store: &Store,
    reference: &str,
    platform: Option<&Platform>,
    files: &[Known],
    how: &How,
) -> Outcome<Vec<Suite>> {
    let (_protection, entries) = store.protect(&[reference.to_owned()], "test")?;
    let host = Platform::host();
    let [entry] = &entries[..] else { return Err(fail(format!("{reference}: is not one image"))) };
    let chosen = choose(store, entry, Wanted::new(platform, &host))?;
    let missing = || Error::damaged(format!("manifest {}", chosen.digest), "is missing");
    let image = match store.document(&chosen)?.ok_or_else(missing)?.document {
        Document::Image(image) if image.is_container() => image,
        _ => return Err(fail(format!("{reference}: is no container image"))),
    };
    let (config, parsed) = store.config(&image)?;
    let layers = members::of_image(store, &image, &parsed)?;
    let subject = Image { name: reference, config: &config, layers: &layers };
    if can_run(files) {
        let snapshots = Snapshots::open(store)?;
        let (below, how) = (unpackable(&image, &parsed), (how.network, how.limits()));
        let mut runtime = Runtime::new(store, &snapshots, below, how, now, &context.cancel);
        return suites(subject, files, &mut runtime, context);
    }
    suites(subject, files, &mut Without, context)
}

/// Tests an image of an archive where it lies; in a store of its own, which goes again, where commands are run or the archive is compressed as a whole.
pub(super) fn of_archive(
    context: &Context,
    path: &Path,
    args: &Args,
    files: &[Known],
) -> Outcome<Vec<Suite>> {
    let is_directory = path.is_dir();
    if can_run(files) || is_pipe(path) || !is_directory && is_compressed(path)? {
        return in_a_store_of_its_own(context, path, args, files);
    }
    let host = Platform::host();
    let mut images = in_archive(path, args.platform.as_ref().unwrap_or(&host), &context.cancel)?;
    let names: Vec<_> = images.iter().map(|image| image.label.clone()).collect();
    if let Some(wanted) = &args.image {
        let full = wanted.parse::<larder_store::reference::Reference>().ok().map(|name| name.familiar());
        images.retain(|image| {
            image.label == *wanted
                || image.names.iter().any(|name| Some(name) == full.as_ref() || name == wanted)
        });
    }
    let image = match images.len() {
        1 => images.remove(0),
        0 => {
            let wanted = args.image.clone().unwrap_or_else(|| "that is a container's".to_owned());
            let error = Error::NotInArchive { wanted, known: names.join(", ") };
            return Err(error.within(format!("archive {}", path.display())).into());
        }
        count => return Err(several(path, count, &names)),
    };
    let subject = Image { name: &image.label, config: &image.config, layers: &image.layers };
    suites(subject, files, &mut Without, context)
}

fn several(path: &Path, count: usize, names: &[String]) -> crate::cli::CommandError {
    let shown = names.join(", ");
    fail(format!("archive {}: holds {count} images", path.display()))
        .with_hint(format!("--image says which of {shown}"))
        .usage()
}

fn in_a_store_of_its_own(
    context: &Context,
    path: &Path,
    args: &Args,
    files: &[Known],
) -> Outcome<Vec<Suite>> {
    let failed = |error| fail(format!("cannot make a directory for the archive: {error}"));
    let dir = tempfile::Builder::new().prefix("larder-test.").tempdir().map_err(failed)?;
    let store = Store::open(&dir.path().join("store"), context.lock_timeout)?.with_cancel(&context.cancel);
    let bar = Bar::new(&path.file_name().unwrap_or(path.as_os_str()).to_string_lossy());
    let options = Options {
        image: args.image.clone(),
        name: None,
        naming: &Named::as_it_is,
        expected: None,
        upon: None,
        replace: false,
        existing: Existing::Trusted,
        source: Source::Kept,
        encoding: "none".parse().map_err(fail)?,
        jobs: jobs(None),
        now,
        made_room: &|_| {},
        cancel: context.cancel.clone(),
        watch: &|event| bar.on(event),
    };
    let input = match is_pipe(path) {
        // Nobody may write to it.
        true => {
            let pipe = File::options().read(true).custom_flags(OFlags::NONBLOCK.bits() as i32).open(path);
            let pipe = interruptible(pipe.map_err(Error::io("open", path))?, context.cancel.clone());
            Input::Stream(Box::new(pipe), path.to_path_buf())
        }
        false => Input::File(path.to_path_buf()),
    };
    let imported = import(&store, input, &options)?;
    drop(bar);
    let mut images: Vec<_> = imported.iter().map(|image| image.digest).collect();
    images.dedup();
    let names: Vec<_> =
        imported.iter().filter_map(|image| Some(image.reference.as_ref()?.familiar())).collect();
    let [digest] = images[..] else { return Err(several(path, images.len(), &names)) };
    let mut suites =
        of_store(context, &store, &digest.to_string(), args.platform.as_ref(), files, &args.how)?;
    // Under the name that it has in the archive.
    let name = names.first().cloned().unwrap_or_else(|| digest.to_string());
    suites.iter_mut().for_each(|suite| suite.image.clone_from(&name));
    Ok(suites)
}

/// Whether there are commands, and something to run them with.
fn can_run(files: &[Known]) -> bool {
    files.iter().any(|file| !file.tests.commands.is_empty() && obstacle(&file.tests).is_none())
}

/// It has no beginning that could be read twice: it goes into a store as well.
fn is_pipe(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.file_type().is_fifo())
}

fn is_compressed(path: &Path) -> Outcome<bool> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut head = [0; HEAD];
    Ok(file.read_at(&mut head, 0).map_or(true, |count| Outer::sniff(&head[..count]) != Outer::Plain))
}

fn unpackable(image: &ImageManifest, config: &ImageConfig) -> Vec<Layer> {
    let layers = image.layers.iter().zip(config.diff_ids());
    layers.map(|(descriptor, diff_id)| Layer { descriptor: descriptor.clone(), diff_id: *diff_id }).collect()
}

fn suites(
    image: Image<'_>,
    files: &[Known],
    commands: &mut dyn Commands,
    context: &Context,
) -> Outcome<Vec<Suite>> {
    let tests: Vec<TestFile> = files.iter().map(|file| file.tests.clone()).collect();
    let tested = run(image, &tests, commands, &context.cancel)?;
    let suites = files.iter().zip(tested).map(|(file, tests)| Suite {
        image: image.name.to_owned(),
        file: file.name.clone(),
        tests,
    });
    Ok(suites.collect())
}
