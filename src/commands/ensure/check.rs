//! Whether an image that was built is the one that was asked for, before it has a name.

use larder_store::base::Base;
use larder_store::descriptor::Descriptor;
use larder_store::facts::{self, Sought};
use larder_store::manifest::Document;

use super::decide::Look;
use super::from::manager;
use super::plan::{Plan, Source, Words};
use crate::catalog::resolve::{Offer, Why, lacks};
use crate::catalog::{Arch, Declared, Os, Requirements, Word};
use crate::cli::{CommandError, Outcome, fail, note};

/// Why it was not made, and whether what earlier jobs asked for is the reason.
pub(super) struct Unmade {
    pub(super) error: CommandError,
    pub(super) for_earlier: bool,
}

impl<E: Into<CommandError>> From<E> for Unmade {
    fn from(error: E) -> Unmade {
        Unmade { error: error.into(), for_earlier: false }
    }
}

/// What is wrong with an image.
pub(super) struct Fault {
    /// `lacks …`, behind the image.
    pub(super) why: String,
    /// Whether it is for another architecture.
    is_arch: bool,
    for_earlier: bool,
}

impl Look<'_> {
    /// `--base` is what an own Dockerfile has to begin with.
    pub(super) fn check_base(&self, plan: &Plan, base: Option<&Base>) -> Outcome {
        let (Some(asked), Source::Own { path, .. }) = (&self.args.base, &plan.source) else { return Ok(()) };
        let asked = Base::from_entry(&self.store.resolve(&self.store.index()?, asked)?)?.name;
        if base.is_some_and(|base| base.name == asked) {
            return Ok(());
        }
        let (name, path) = (plan.reference.familiar(), path.display());
        let built = base.map_or_else(|| "no image of the store".to_owned(), |base| base.name.familiar());
        let asked = asked.familiar();
        let why = format!("{name}: {path} builds on {built}, and not on {asked}; nothing was registered");
        Err(fail(why).with_hint(format!("write FROM {asked} there, or leave out --base")))
    }

    /// Whether what was asked for is in the image that was built, and what is declared of it then. Nothing has a name yet: what is not
    /// right is as if it had not been made.
    pub(super) fn check(&self, plan: &Plan, entry: &Descriptor) -> Result<Declared, Unmade> {
        let name = plan.reference.familiar();
        let fault = match self.look_into(plan, &plan.earlier, &plan.declared, entry)? {
            Ok(declared) => return Ok(declared),
            Err(fault) => fault,
        };
        let how = match &plan.source {
            Source::Own { path, .. } => path.display().to_string(),
            Source::Generated(_) => format!("what was put upon {}", plan.base.as_deref().unwrap_or_default()),
        };
        let hint = match &plan.source {
            Source::Own { .. } if fault.is_arch => {
                let arch = plan.job.arch.as_str();
                format!("write FROM --platform=linux/{arch} in {how}, with a base that has it")
            }
            Source::Own { .. } => format!("put it into {how}"),
            Source::Generated(_) => {
                "ask for the package that has it (--package), or write a Dockerfile for this image".to_owned()
            }
        };
        let error = fail(format!("{name}: {how} was built, and {}; nothing was registered", fault.why));
        Err(Unmade { error: error.with_hint(hint), for_earlier: fault.for_earlier })
    }

    /// Whether what is asked for is in an image, and what is declared of it then; `said` is what somebody declares of it, and is
    /// believed where nobody can look. Of what `earlier` jobs asked for is declared what is there.
    pub(super) fn look_into(
        &self,
        plan: &Plan,
        earlier: &Words,
        said: &Declared,
        entry: &Descriptor,
    ) -> Outcome<Result<Declared, Fault>> {
        let name = plan.reference.familiar();
        let read = self.store.document(entry)?.map(|raw| raw.document);
        let Some(Document::Image(image)) = read else {
            return Err(fail(format!("{name}: the image is none for one platform")));
        };
        let job = &plan.job;
        let facts = facts::of_image(self.store, &image, &self.context.cancel)?;
        let (_, is_readable) = manager(&facts);
        let believed = self.believed(plan, said, is_readable);
        let Words { packages, tools } = earlier;
        let tools = || job.tools.iter().chain(tools).map(Word::as_str);
        let packages = job.packages.iter().chain(packages).map(Word::as_str);
        let sought = Sought::new(packages.chain(tools()), tools());
        let brief = facts::brief_of(self.store, &image, &sought, &self.context.cancel)?;
        let arch = entry.platform.as_ref().and_then(|platform| {
            let variant = platform.variant.as_ref().map(|variant| format!("/{variant}"));
            format!("{}{}", platform.architecture, variant.unwrap_or_default()).parse::<Arch>().ok()
        });
        let mut offer = Offer::new(entry.digest, arch, Some(brief), image.content_size());
        offer.declare(name, believed);
        let missing = match lacks(job, &offer) {
            Ok(missing) if missing.is_nothing() => {
                return Ok(Ok(with_earlier(plan, earlier, &offer, is_readable)));
            }
            Ok(missing) => missing,
            Err(why) => {
                let (why, is_arch) = match why {
                    Why::Arch(arch) => {
                        (format!("the image's architecture is {arch}, not {}", job.arch), true)
                    }
                    why => (format!("the image {why}, and not {}", job.os), false),
                };
                return Ok(Err(Fault { why, is_arch, for_earlier: false }));
            }
        };
        let has: Vec<_> = compilers(&offer);
        let has = match missing.compiler {
            Some(_) if !has.is_empty() => format!(" (its compilers: {})", has.join(", ")),
            _ => String::new(),
        };
        let why = format!("the image lacks {missing} all the same{has}");
        Ok(Err(Fault { why, is_arch: false, for_earlier: plan.lacks_earlier_alone(&missing) }))
    }

    /// What nobody can see in an image, and is believed: its project, its variant, compilers of other families than facts know, and packages in a
    /// database that cannot be read.
    fn believed(&self, plan: &Plan, said: &Declared, is_readable: bool) -> Declared {
        let mut declared = Declared { tools: Vec::new(), ..said.clone() };
        // A word in place of a version stands in no os-release.
        declared.os = declared.os.filter(Os::is_word);
        declared.compilers.retain(|compiler| !compiler.is_seen());
        if is_readable {
            declared.packages.clear();
        } else if !declared.packages.is_empty() && plan.source.path().is_some() {
            note(format_args!(
                "{}: its packages cannot be read; they are taken for there",
                plan.reference.familiar()
            ));
        }
        declared
    }
}

/// What is declared of an image that has all: that, and what earlier jobs asked for as far as it is there, or nobody can see whether it is.
fn with_earlier(plan: &Plan, earlier: &Words, offer: &Offer<'_>, is_readable: bool) -> Declared {
    let Words { packages, tools } = earlier;
    let wanted = Requirements {
        packages: packages.iter().cloned().collect(),
        tools: tools.iter().cloned().collect(),
        ..plan.job.clone()
    };
    let missing = lacks(&wanted, offer).unwrap_or_default();
    let mut declared = plan.declared.clone();
    let there = |word: &&Word, missing: &[&Word]| !is_readable || !missing.contains(word);
    declared.packages.extend(packages.iter().filter(|word| there(word, &missing.packages)).cloned());
    declared.tools.extend(tools.iter().filter(|word| there(word, &missing.tools)).cloned());
    declared
}

fn compilers(offer: &Offer<'_>) -> Vec<String> {
    let read = offer.read.iter().flat_map(|read| &read.head.compilers);
    read.map(|(family, version)| match version {
        Some(version) => format!("{family} {version}"),
        None => family.clone(),
    })
    .collect()
}
