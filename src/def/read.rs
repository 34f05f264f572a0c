//! Reading a folder of definitions: files in, tags out.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;

use larder_store::reference::Reference;
use minijinja::value::Value;

use super::aliases::{self, Source};
use super::apart::{LIMITS, Steps, apart};
use super::config::{self, Config};
use super::context;
use super::error::{Error, Result};
use super::folder::{self, DEFINITION, Folder, ROOTFS};
use super::lock::Lock;
use super::place::in_order;
use super::resolve::{self, Resolved};
use super::rootfs::{Overlay, with_copy};
use super::template::{self, Bases, mapping};
use super::{Definitions, Image, Tag};

/// Images that a folder makes: more than anybody has.
const MOST_TAGS: usize = 20_000;
/// Bytes of all that is made of templates.
const MOST_TEXT: usize = 128 << 20;
const TEMPLATES: &str = "templates";
const DOCKERFILE: &str = "Dockerfile.jinja2";
const TEST: &str = "test.yml.jinja2";
const LOCK: &str = "packages.lock";

/// Whether lock files count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Locks {
    Applied,
    Ignored,
}

/// A definition as it is read.
struct Definition {
    directory: String,
    /// For messages.
    file: String,
    config: Config,
    name: String,
    tags: Vec<Resolved>,
}

impl Definition {
    fn source(&self) -> Source<'_> {
        Source { name: &self.name, file: &self.file, config: &self.config, tags: &self.tags }
    }
}

/// A text of the folder with its name for messages.
struct Text {
    shown: String,
    text: String,
}

/// What a definition has beside its `image.yml`.
struct Files {
    template: Text,
    /// Of each variant.
    variants: Vec<Text>,
    test: Option<Text>,
    lock: Option<Lock>,
    /// Without a variant, then of each.
    rootfs: Vec<Overlay>,
}

impl Definitions {
    /// Reads a folder; the error has all that is wrong with it.
    pub(crate) fn read(path: &Path, locks: Locks) -> Result<Definitions> {
        let own = path.to_owned();
        apart(path, &LIMITS, move |steps| Definitions::read_here(&own, locks, steps))
    }

    fn read_here(path: &Path, locks: Locks, steps: &Steps) -> Result<Definitions> {
        let folder = Folder::open(path)?;
        let mut bytes = 0_usize;
        let (mut wrong, mut notes) = (Vec::new(), Vec::new());
        let definitions = definitions(&folder, &mut wrong)?;
        check_names(&definitions, &mut wrong);
        let sources: Vec<_> = definitions.iter().map(Definition::source).collect();
        let made = aliases::aliases(&sources);
        wrong.extend(made.wrong);
        notes.extend(made.notes);
        let mut bases = Bases::default();
        for it in &definitions {
            let own = it.config.tags.iter().map(|tag| tag.name.clone()).collect();
            bases.add(&it.name, it.config.is_base_image, own);
        }
        let bases = Arc::new(bases);
        let (mut images, mut tags) = (Vec::new(), Vec::new());
        for (number, (it, aliases)) in definitions.iter().zip(&made.of).enumerate() {
            let image = Image {
                name: it.name.clone(),
                directory: it.directory.clone(),
                is_base_image: it.config.is_base_image,
                description: it.config.description.clone(),
                licenses: it.config.licenses.clone(),
                needs: it.config.extends.iter().cloned().collect(),
            };
            images.push(image);
            let files = match gather(&folder, it, locks, &mut notes) {
                Ok(files) => files,
                Err(Error::Wrong(more)) => {
                    wrong.extend(more);
                    continue;
                }
                Err(error) => return Err(error),
            };
            let context = context::image(&it.config, &it.name, &it.tags, aliases);
            for (resolved, aliases) in it.tags.iter().zip(aliases) {
                steps.step();
                let made = render(it, &files, resolved, &context, &bases);
                steps.step();
                match made {
                    Ok((tag, asked)) => {
                        let test = tag.test.as_ref().map_or(0, String::len);
                        bytes = bytes.saturating_add(tag.dockerfile.len()).saturating_add(test);
                        if bytes > MOST_TEXT {
                            wrong.push(format!(
                                "{}: the texts of all tags come to more than {} MiB",
                                it.file,
                                MOST_TEXT >> 20
                            ));
                            return Err(Error::Wrong(wrong));
                        }
                        for (name, _) in asked.iter().filter_map(|base| base.rsplit_once(':')) {
                            if !images[number].needs.iter().any(|known| known == name) {
                                images[number].needs.push(name.to_owned());
                            }
                        }
                        tags.push((Tag { image: number, aliases: aliases.clone(), ..tag }, asked));
                    }
                    // What is wrong with a template is mostly wrong for all tags.
                    Err(why) if wrong.contains(&why) => {}
                    Err(why) => wrong.push(why),
                }
            }
        }
        if !wrong.is_empty() {
            return Err(Error::Wrong(wrong));
        }
        for it in &definitions {
            if let Some(extends) = &it.config.extends
                && !definitions.iter().any(|other| other.name == *extends)
            {
                notes.push(format!(
                    "{}: extends {extends}: no image here has that name, and it changes nothing",
                    it.file
                ));
            }
        }
        let extended = definitions.iter().filter_map(|it| it.config.extends.clone()).collect();
        in_order(images, tags, &extended).map(|(images, tags)| Definitions { images, tags, notes, folder })
    }
}

/// Reads every `image.yml`.
fn definitions(folder: &Folder, wrong: &mut Vec<String>) -> Result<Vec<Definition>> {
    let mut all: Vec<Definition> = Vec::new();
    let mut count = 0_usize;
    for directory in folder.definitions()? {
        let path = folder::join(&directory, DEFINITION);
        let file = folder.shown(&path);
        let text = match folder.text(&path) {
            Ok(text) => text.unwrap_or_default(),
            Err(Error::Wrong(more)) => {
                wrong.extend(more);
                continue;
            }
            Err(error) => return Err(error),
        };
        let read = |text: &str| {
            let config = config::parse(text)?;
            let directories: Vec<_> = directory.split('/').filter(|name| !name.is_empty()).collect();
            let name = resolve::name(&config, &directories)?;
            count = count.saturating_add(resolve::count(&config));
            if count > MOST_TAGS {
                return Err(format!("more than {MOST_TAGS} tags would be made"));
            }
            let tags = resolve::tags(&config, &name)?;
            Ok((config, name, tags))
        };
        match { read }(&text) {
            Ok((config, name, tags)) => all.push(Definition { directory, file, config, name, tags }),
            Err(why) => wrong.push(format!("{file}: {why}")),
        }
        if count > MOST_TAGS {
            break;
        }
    }
    if all.is_empty() && wrong.is_empty() {
        wrong.push(format!("{}: no {DEFINITION} is in it", folder.shown("")));
    }
    Ok(all)
}

/// A name belongs to one tag, however it is spelt.
fn check_names(definitions: &[Definition], wrong: &mut Vec<String>) {
    let mut seen: HashMap<String, &str> = HashMap::new();
    for it in definitions {
        for resolved in &it.tags {
            let shown = format!("{}:{}", it.name, resolved.tag);
            let full = shown.parse().map_or(shown.clone(), |reference: Reference| reference.full());
            if let Some(other) = seen.insert(full, &it.file) {
                wrong.push(format!("{}: {shown} is there twice: {other} has it as well", it.file));
            }
        }
    }
}

/// Reads what a definition has beside its `image.yml`.
fn gather(folder: &Folder, it: &Definition, locks: Locks, notes: &mut Vec<String>) -> Result<Files> {
    let Definition { directory, config, .. } = it;
    let above = folder::above(directory);
    let places = [folder::join(above, TEMPLATES), directory.clone()];
    let find = |names: &[&str]| -> Result<Text> {
        for place in &places {
            for name in names {
                let Some(path) = confined(place, name) else {
                    return Err(Error::Wrong(vec![format!(
                        "{}: template {name:?} leads out of the folder",
                        it.file
                    )]));
                };
                if let Some(text) = folder.text(&path)? {
                    return Ok(Text { shown: folder.shown(&path), text });
                }
            }
        }
        let (names, places) =
            (names.join(" and "), places.each_ref().map(|place| folder.shown(place)).join(" and "));
        Err(Error::Wrong(vec![format!(
            "{}: there is no template: {names} was looked for in {places}",
            it.file
        )]))
    };
    let template = match &config.template {
        Some(own) => find(&[own])?,
        None => find(&[DOCKERFILE])?,
    };
    let mut variants = Vec::new();
    let mut rootfs = vec![overlay(folder, &[above, directory], notes)?];
    for variant in &config.variants {
        let own = format!("Dockerfile.{}.jinja2", variant.name);
        variants.push(match &variant.template {
            Some(own) => find(&[own])?,
            None => find(&[&own, DOCKERFILE])?,
        });
        let below = folder::join(directory, &variant.name);
        rootfs.push(overlay(folder, &[above, directory, &below], notes)?);
        let passed_over = folder::join(&below, DOCKERFILE);
        if variant.template.is_none() && folder.file(&passed_over)?.is_some() {
            notes.push(format!(
                "{}: is not read; a variant's template is {own}, or what template names",
                folder.shown(&passed_over)
            ));
        }
    }
    let test = folder::join(directory, TEST);
    let test = folder.text(&test)?.map(|text| Text { shown: folder.shown(&test), text });
    let path = folder::join(directory, LOCK);
    let lock = match locks {
        Locks::Applied => folder.text(&path)?,
        Locks::Ignored => None,
    };
    let lock = lock.map(|text| Lock::parse(&text)).transpose();
    let lock = lock.map_err(|why| Error::Wrong(vec![format!("{}: {why}", folder.shown(&path))]))?;
    Ok(Files { template, variants, test, lock, rootfs })
}

/// A path below a directory of the folder; `None` if it leads out of the folder.
fn confined(place: &str, path: &str) -> Option<String> {
    if path.starts_with('/') {
        return None;
    }
    let mut names: Vec<&str> = place.split('/').filter(|name| !name.is_empty()).collect();
    for name in path.split('/').filter(|name| !name.is_empty() && *name != ".") {
        match name {
            ".." => drop(names.pop()?),
            name => names.push(name),
        }
    }
    Some(names.join("/"))
}

/// The files of `rootfs/` in these directories, the later ones over the earlier ones.
fn overlay(folder: &Folder, places: &[&str], notes: &mut Vec<String>) -> Result<Overlay> {
    let mut overlay = Overlay::default();
    for place in places {
        let directory = folder::join(place, ROOTFS);
        let found = folder.walk(&directory, &|_| true)?;
        let wrong = |why: String| Error::Wrong(vec![folder.shown(&why)]);
        overlay.add(&directory, &found).map_err(wrong)?;
    }
    for path in overlay.sensitive() {
        let note =
            format!("{}: looks like a secret or a certificate, and goes into images", folder.shown(path));
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    Ok(overlay)
}

/// A tag with its files, and the base images that it asked for; its number and aliases are given later.
fn render(
    it: &Definition,
    files: &Files,
    resolved: &Resolved,
    image: &Value,
    bases: &Arc<Bases>,
) -> Result<(Tag, BTreeSet<String>), String> {
    let Resolved { versions, variant, .. } = resolved;
    let mut context = vec![("image", image.clone()), ("tag", context::tag(resolved))];
    if variant.is_some() {
        context.push(("base_image", Value::from(format!("{}:{}", it.name, resolved.base))));
    }
    let template = variant.and_then(|number| files.variants.get(number)).unwrap_or(&files.template);
    let made = template::render(&template.shown, &template.text, mapping(context.clone()), versions, bases)?;
    let overlay = &files.rootfs[variant.map_or(0, |number| number + 1)];
    let mut dockerfile = made.text;
    if overlay.has_content() && resolved.rootfs_copy {
        dockerfile = with_copy(&dockerfile, &resolved.rootfs_user);
    }
    if let Some(lock) = &files.lock {
        dockerfile = lock.apply(&dockerfile);
    }
    let full = format!("{}:{}", it.name, resolved.tag);
    context.push(("full_qualified_image_name", Value::from(full)));
    let test =
        |test: &Text| template::render(&test.shown, &test.text, mapping(context.clone()), versions, bases);
    let test = files.test.as_ref().map(test).transpose()?;
    let variant = variant.and_then(|number| it.config.variants.get(number));
    let tag = Tag {
        image: 0,
        name: it.name.clone(),
        tag: resolved.tag.clone(),
        variant: variant.map(|variant| variant.name.clone()),
        aliases: Vec::new(),
        needs: Vec::new(),
        foreign: Vec::new(),
        dockerfile,
        test: test.map(|test| test.text),
        rootfs: overlay.has_content().then(|| overlay.clone()),
    };
    Ok((tag, made.bases))
}
