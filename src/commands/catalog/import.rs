//! `larder catalog import`: the images of a folder, with what its registry says of them.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::PathBuf;

use larder_store::archive::options::{Existing, Imported, Named, Options, Source};
use larder_store::archive::together::Together;
use larder_store::descriptor::Annotations;
use larder_store::error::{Error, Result};
use larder_store::fs::{Dir, is_not_found};
use larder_store::index::{self, Index};
use larder_store::reference::Reference;
use larder_store::store::Store;
use larder_store::usage::Usage;

use serde_json::Value;

use super::folder_of;
use crate::catalog::Declared;
use crate::catalog::image_registry::{Entry, KEPT, Registry, Said, declared_by, reads};
use crate::cli::{Bar, CommandError, Context, Format, Outcome, count, fail, line, note, print_json};
use crate::commands::import::{Taking, row, say_gone, say_replaced, take_facts, value};
use crate::commands::naming::Names;
use crate::commands::pace::Pace;
use crate::commands::signed;
use crate::trust::Trust;

/// Bring in the images that a registry lists, with all that it says of them
///
/// FILE is an image-registry.yml; the archives are looked for beside it, as it names them: <project>/<name>.tar, or images/<project>/<name>.tar.
/// What cannot be taken is said and the rest is done (exit 7). Doing it again changes nothing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The registry
    #[arg(value_name = "FILE")]
    file: PathBuf,

    /// Let names move here from other images, which stay in the store without a name
    #[arg(long)]
    replace: bool,

    #[command(flatten)]
    taking: Taking,
}

pub(super) fn run(context: &Context, args: &Args) -> Outcome {
    let (dir, name) = folder_of(&args.file)?;
    if dir.stat(name)?.is_none() {
        let missing = rustix::io::Errno::NOENT.into();
        return Err(Error::io("open", &args.file)(missing).into());
    }
    let registry = reads(&dir, name, Registry::parse)?;
    let trust = signed::trust()?;
    // It says what images are called and what is in them.
    let signature = dir.read(&signature_of(name), MAX_SIGNATURE)?.filter(|_| trust.has_keys());
    signed::check_text(&trust, &dir.at(name), registry.text().as_bytes(), signature.as_deref())?;
    let store = context.store()?;
    let names = Names::of(&store, Declared::default(), false)?;
    let known = known(&store.index()?);
    let mut end = keep_keys(&store, &registry);
    let mut run = Run {
        context,
        args,
        trust: &trust,
        store: &store,
        together: Together::new(&store)?,
        pending: Vec::new(),
        pace: Pace::default(),
        rows: Vec::new(),
        failed: Vec::new(),
        said: Ok(()),
    };
    let mut taken: HashMap<Reference, String> = HashMap::new();
    for entry in registry.entries() {
        if end.is_err() {
            break;
        }
        let shown = entry.shown();
        let done = entry.reference().map_err(|why| fail(format!("{shown}: {why}"))).and_then(|reference| {
            if let Some(other) = taken.get(&reference) {
                return Err(fail(format!("{shown}: {other} is named {reference} as well, and came first")));
            }
            let known = known.get(&reference).cloned().unwrap_or_default();
            run.take(&names, &dir, entry, &reference, known)?;
            taken.insert(reference, shown.clone());
            Ok(())
        });
        end = match done {
            Ok(()) => Ok(()),
            Err(error) if error.is_stop() => Err(error),
            Err(error) => {
                // In the order of the entries.
                let published = run.publish();
                error.tell("");
                run.failed.push(shown);
                published
            }
        };
        if end.is_ok() && run.pace.is_due() {
            end = run.publish();
        }
    }
    // What came before a stop has its names.
    let published = run.publish();
    let Run { rows, failed, said, .. } = run;
    if args.taking.format == Format::Json && (end.is_ok() || !rows.is_empty()) {
        print_json(&rows)?;
    }
    end.and(published)?;
    said?;
    if failed.is_empty() {
        return Ok(());
    }
    let failed_count = count(failed.len(), "image");
    let why =
        format!("{failed_count} of {} could not be taken: {}", registry.entries().count(), failed.join(", "));
    Err(fail(why).with_hint("mend them and run it again: what is there already is not read again").in_part())
}

/// An import of a folder on its way.
struct Run<'a> {
    context: &'a Context,
    args: &'a Args,
    trust: &'a Trust,
    store: &'a Store,
    together: Together<'a>,
    /// What is to be said of those that wait for their names, in their order.
    pending: Vec<Pending>,
    pace: Pace,
    rows: Vec<Value>,
    failed: Vec<String>,
    said: Outcome,
}

struct Pending {
    shown: String,
    said: Said,
    is_kept: bool,
}

impl Run<'_> {
    /// Brings in the image of an entry, with what the entry says of it.
    fn take(
        &mut self,
        names: &Names,
        dir: &Dir,
        entry: Entry<'_>,
        reference: &Reference,
        known: Annotations,
    ) -> Outcome {
        self.context.cancel.check()?;
        let shown = entry.shown();
        let within = |error: Error| CommandError::from(error.within(&shown));
        let mut named = names.take(reference).map_err(within)?;
        let said = entry.said(reference);
        (named.declared, named.known) = (said.declared.clone(), known);
        let kept = entry.kept().filter(|kept| kept.len() <= KEPT);
        let is_kept = kept.is_some();
        named.declared.extend(kept.map(|kept| (index::REGISTRY.to_owned(), kept)));
        let parts = entry.parts().map_err(|why| fail(format!("{shown}: {why}")))?;
        let (mut file, path) = open(dir, &parts).map_err(within)?;
        let mut of_signature: Vec<_> = parts.iter().map(ToString::to_string).collect();
        of_signature.iter_mut().next_back().into_iter().for_each(|name| *name = signature_of(name));
        let signature = match open(dir, &of_signature) {
            _ if !self.trust.has_keys() => None,
            Ok((file, path)) => {
                let mut text = Vec::new();
                file.take(MAX_SIGNATURE)
                    .read_to_end(&mut text)
                    .map_err(Error::io("read", path))
                    .map_err(within)?;
                Some(text)
            }
            Err(error) if is_not_found(&error) => None,
            Err(error) => return Err(within(error)),
        };
        signed::check(self.trust, &path, &mut file, signature.as_deref(), &self.context.cancel)
            .map_err(|error| error.of(&shown))?;
        let bar = Bar::new(&reference.familiar());
        let asked = Asked { context: self.context, args: self.args, bar: &bar, named: &named, file, path };
        asked.bring(&mut self.together, entry).map_err(within)?;
        self.pending.push(Pending { shown, said, is_kept });
        Ok(())
    }

    /// Names what came, and says it. What fails as one thing fails for all that waited.
    fn publish(&mut self) -> Outcome {
        let pending = std::mem::take(&mut self.pending);
        let published = match self.pace.run(|| self.together.publish()) {
            Ok(published) => published,
            Err(error) => {
                let error = CommandError::from(error);
                if error.is_stop() {
                    return Err(error);
                }
                error.tell("");
                self.failed.extend(pending.into_iter().map(|pending| pending.shown));
                return Ok(());
            }
        };
        for (pending, imported) in pending.into_iter().zip(published) {
            let done = imported.map_err(|error| CommandError::from(error.within(&pending.shown)));
            match done.and_then(|imported| self.tell(&pending, &imported)) {
                Err(error) if error.is_stop() => return Err(error),
                Err(error) => {
                    error.tell("");
                    self.failed.push(pending.shown);
                }
                Ok(()) => {}
            }
        }
        Ok(())
    }

    /// Notes what else an entry says of its image, and tells that it is there.
    fn tell(&mut self, pending: &Pending, imported: &[Imported]) -> Outcome {
        let Pending { shown, said, is_kept } = pending;
        for image in imported.iter().filter(|image| image.reference.is_some()) {
            if said.last_used.is_some() || said.usage_count > 0 {
                // What lies in the future was used just now.
                let last = said.last_used.unwrap_or(0).clamp(0, crate::commands::now());
                let learned = Usage { last, count: said.usage_count };
                self.store.learn_use(&image.digest, learned).map_err(|error| error.within(shown))?;
            }
        }
        if !self.args.taking.no_facts {
            take_facts(self.context, self.store, imported);
        }
        if !said.unread.is_empty() {
            let unread = said.unread.join("; ");
            let stays = if *is_kept { "; it stays in the entry as it is" } else { "" };
            note(format_args!("{shown}: not understood: {unread}{stays}"));
        }
        if !is_kept {
            note(format_args!(
                "{shown}: the entry itself is not kept, for it has more than {KEPT} bytes; what was understood of it is"
            ));
        }
        for image in imported {
            say_replaced(image);
            match self.args.taking.format {
                Format::Table => {
                    let printed = line(row(image));
                    if self.said.is_ok() {
                        self.said = printed;
                    }
                }
                Format::Json => self.rows.push(value(image)),
            }
        }
        Ok(())
    }
}

/// What the entries declared with which images came.
fn known(index: &Index) -> HashMap<Reference, Annotations> {
    let kept = index.entries().iter().filter_map(|entry| {
        let reference = index::reference(entry).filter(|_| entry.annotation(index::REF_NAME).is_some())?;
        let declared = declared_by(entry.annotation(index::REGISTRY)?, &reference)?;
        Some((reference, declared))
    });
    kept.collect()
}

/// How an entry's image is brought in.
struct Asked<'a> {
    context: &'a Context,
    args: &'a Args,
    bar: &'a Bar,
    named: &'a Named,
    /// Its archive, open, and where it is.
    file: File,
    path: PathBuf,
}

impl Asked<'_> {
    /// Takes the image that the entry means out of its archive: the one of its names, or the only one if that has no name.
    fn bring(&self, together: &mut Together<'_>, entry: Entry<'_>) -> Result<()> {
        let mut wanted = vec![self.named.reference.familiar()];
        let local = self.named.reference.full();
        // Podman calls so what was built on the host.
        wanted.extend(local.strip_prefix("docker.io/library/").map(|name| format!("localhost/{name}")));
        wanted.extend(entry.text("name").map(str::to_owned));
        let mut first = None;
        for wanted in wanted {
            match self.import(together, Some(wanted)) {
                Err(error) => match not_in(&error) {
                    Some("") => return self.import(together, None),
                    Some(_) => drop(first.get_or_insert(error)),
                    None => return Err(error),
                },
                imported => return imported,
            }
        }
        Err(first.expect("a name was tried"))
    }

    fn import(&self, together: &mut Together<'_>, image: Option<String>) -> Result<()> {
        let failed = Error::io("read", &self.path);
        let opened = self.file.try_clone().and_then(|mut file| file.rewind().map(|()| file));
        let file = opened.map_err(failed)?;
        let options = Options {
            image,
            name: Some(self.named.reference.clone()),
            naming: &|_| Ok(self.named.clone()),
            replace: self.args.replace,
            expected: None,
            upon: None,
            existing: Existing::Trusted,
            source: Source::Kept,
            encoding: self.args.taking.compression,
            jobs: crate::commands::jobs(self.args.taking.jobs),
            now: crate::commands::now,
            made_room: &|gone| self.bar.suspended(|| gone.iter().for_each(say_gone)),
            cancel: self.context.cancel.clone(),
            watch: &|event| self.bar.on(event),
        };
        together.take(file, &self.path, &options)
    }
}

/// The names that an archive has, where the image that was asked for is not in it.
fn not_in(error: &Error) -> Option<&str> {
    match error {
        Error::NotInArchive { known, .. } => Some(known),
        Error::Within { source, .. } => not_in(source),
        _ => None,
    }
}

/// No signature has more, bytes.
const MAX_SIGNATURE: u64 = 1 << 16;

fn signature_of(name: &str) -> String {
    format!("{name}.minisig")
}

/// Opens an archive below the folder, without following any link. Registries lie in the folder `images` or beside it.
fn open(dir: &Dir, parts: &[impl AsRef<str>]) -> Result<(File, PathBuf)> {
    let parts: &[&str] = &parts.iter().map(AsRef::as_ref).collect::<Vec<_>>();
    let other: Vec<&str> = match parts {
        ["images", rest @ ..] => rest.to_vec(),
        parts => [&["images"], parts].concat(),
    };
    for parts in [parts, &other] {
        let Some((name, above)) = parts.split_last() else { continue };
        let below = above.iter().try_fold(dir.clone(), |dir, part| dir.sub(part));
        match below {
            Ok(below) => {
                if let Some(file) = below.open_file(name)? {
                    return Ok((file, below.at(name)));
                }
            }
            Err(error) if is_not_found(&error) => {}
            Err(error) => return Err(error),
        }
    }
    let missing = rustix::io::Errno::NOENT.into();
    Err(Error::io("open", dir.at(parts.join("/")))(missing))
}

/// Notes what the registry says beside its images. Where it says nothing new nothing is written.
fn keep_keys(store: &Store, registry: &Registry) -> Outcome {
    match registry.keys() {
        Some(keys) if keys.len() > KEPT => {
            note(format_args!("the keys beside images are not kept, for they have more than {KEPT} bytes"));
            Ok(())
        }
        Some(keys) => Ok(store.edit(|index| {
            index.annotate(index::REGISTRY, keys);
            Ok(())
        })?),
        None => Ok(()),
    }
}
