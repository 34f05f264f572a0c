//! The Dockerfile of an image that has none of its own: the best base of the store, and what it lacks.

use std::path::Path;

use larder_store::base::Base;
use larder_store::descriptor::Descriptor;
use larder_store::error::Error;
use larder_store::facts::{self, Facts};
use larder_store::manifest::{Document, ImageManifest};
use larder_store::reference::Reference;

use super::super::resolve::answer::{NO_SUCH_IMAGE, system};
use super::super::resolve::look::{self, Offers};
use super::base::bring;
use super::decide::Look;
use super::plan::{Plan, Source};
use crate::build::ensure::{Manager, Order, generate};
use crate::catalog::resolve::{Answer, Candidate, Lacking, Offer, lacks, official, resolve};
use crate::catalog::{Arch, Compiler, Requirements};
use crate::cli::{CommandError, Outcome, fail};

/// From what a base is chosen.
pub(super) struct From<'a> {
    pub(super) offers: &'a Offers<'a>,
    /// `--base`: none but this.
    pub(super) base: Option<&'a Reference>,
    /// The image that is to be made anew, which is no base of itself.
    pub(super) stale: Option<&'a str>,
    /// Where the image's own Dockerfile would stand.
    pub(super) path: &'a Path,
    pub(super) host: &'a Arch,
    /// The one that is asked for.
    pub(super) compiler: Option<&'a Compiler>,
}

/// Layers of an image upon which no more are put where there is another base: engines have a limit at 125.
const DEEP: usize = 64;

/// What a base is, beside what it lacks.
struct Inside {
    facts: Option<Facts>,
    manager: Option<Manager>,
    /// Whether larder sees which packages it has.
    is_readable: bool,
    user: Option<String>,
}

impl From<'_> {
    /// Completes a plan; `wanted` is its job, whatever project a base is of: mostly it is nobody's.
    pub(super) fn generate(&self, look: &Look<'_>, wanted: &Requirements, plan: &mut Plan) -> Outcome {
        let usable = self.usable(plan);
        let answer = resolve(wanted, &usable, Lacking::Built, &mut look::damage(look.store));
        let Some(best) = self.best(look, &answer) else { return Err(self.no_base(plan, wanted, &answer)) };
        let name = self.name(best, wanted);
        if let Some(why) = self.offers.stale(look.store, look.policy, &name) {
            plan.notes.push(format!("{name} is stale: {why}"));
        }
        let inside = inside(look, best.offer, &name)?;
        // Where one can look, what is declared of packages does not put them there.
        let bare = best.offer.as_read();
        let seen = if inside.is_readable { lacks(wanted, &bare).ok() } else { None };
        let missing = seen.as_ref().unwrap_or(&best.missing);
        let words = |words: &[&'_ crate::catalog::Word]| {
            words.iter().map(|word| word.to_string()).collect::<Vec<_>>()
        };
        // That it is there does not say that it is the one which is called.
        let brought = |asked: &Compiler| {
            missing.compiler.is_none() && (best.offer.is_for_compiler(asked) || inside.has_elsewhere(asked))
        };
        let has_compiler = wanted.compiler.as_ref().is_none_or(brought);
        let (packages, tools) = (words(&missing.packages), words(&missing.tools));
        let platform = best.offer.arch.as_ref().filter(|arch| *arch != self.host);
        let platform = platform.map(|arch| format!("linux/{}", arch.as_str()));
        let title = plan.reference.familiar();
        let order = Order {
            name: title.split(':').next().unwrap_or_default(),
            base: &name,
            platform: platform.as_deref(),
            user: inside.user.as_deref(),
            manager: inside.manager,
            compiler: wanted.compiler.as_ref(),
            has_compiler,
            suffixes: &match has_compiler {
                true => missing.suffixes.iter().copied().collect(),
                false => wanted.suffixes.clone(),
            },
            packages: &packages.iter().map(String::as_str).collect::<Vec<_>>(),
            tools: &tools.iter().map(String::as_str).collect::<Vec<_>>(),
        };
        let text = generate(&order).map_err(|why| {
            let lacks = if missing.is_nothing() { String::new() } else { format!(", which lacks {missing}") };
            fail(format!("nothing can be put upon {name}{lacks}: {why}")).with_hint(self.own())
        })?;
        plan.source = Source::Generated(text);
        let undecided = wanted.compiler.iter().filter(|_| !has_compiler && missing.compiler.is_none());
        let undecided = undecided.map(|compiler| format!("{compiler} as the compiler that is called"));
        let named = Some(missing.to_string()).filter(|text| !text.is_empty());
        plan.installs_earlier = plan.earlier.are_among(&packages) || plan.earlier.are_among(&tools);
        plan.missing = undecided.chain(named).collect::<Vec<_>>().join(", ");
        plan.base = Some(name);
        Ok(())
    }

    /// Images of the project and of nobody's; what is for another project, or a variant that nobody asked for, is no base. Of each
    /// only these names.
    fn usable<'o>(&'o self, plan: &Plan) -> Vec<Offer<'o>> {
        let target = plan.reference.familiar();
        let project = plan.job.project.as_ref();
        let mut usable = Vec::new();
        for offer in &self.offers.all {
            // What is special about it would be so of the new one, too, which does not say it.
            let is_special = offer.unasked(&plan.job.suffixes).next().is_some()
                || offer.is_for_another_compiler(plan.job.compiler.as_ref());
            let is_target = bears(offer, &target);
            let is_old = self.stale.is_some_and(|stale| bears(offer, stale) || is_target);
            if is_old || is_special && !is_target && self.base.is_none() {
                continue;
            }
            let is_usable = |name: &str, of: Option<&_>| match self.base {
                Some(base) => name.parse().ok().as_ref() == Some(base),
                None => of.is_none() || of == project,
            };
            let names: Vec<_> =
                offer.names.iter().filter(|(name, of)| is_usable(name, of.as_ref())).cloned().collect();
            if !names.is_empty() {
                let mut offer = offer.clone();
                offer.names = names;
                usable.push(offer);
            }
        }
        usable
    }

    /// That on which the image was made that is made anew; else the best one that is not stale itself, has room for more layers, and has no
    /// compiler that could be taken for the one that is asked for.
    fn best<'b, 'o>(&self, look: &Look<'_>, answer: &'b Answer<'o>) -> Option<&'b Candidate<'o>> {
        let candidates = &answer.candidates;
        let before = self.before();
        let same = candidates.iter().find(|one| before.as_deref().is_some_and(|name| bears(one.offer, name)));
        let is_fresh = |one: &&Candidate<'_>| self.offers.stale(look.store, look.policy, one.name).is_none();
        let is_low = |one: &&Candidate<'_>| layers(look, one.offer) <= DEEP;
        let is_decided =
            |one: &&Candidate<'_>| !self.compiler.is_some_and(|asked| one.offer.is_undecided(asked));
        same.or_else(|| candidates.iter().find(|one| is_decided(one) && is_fresh(one) && is_low(one)))
            .or_else(|| candidates.iter().find(|one| is_fresh(one) && is_low(one)))
            .or_else(|| candidates.iter().find(is_fresh))
            .or_else(|| candidates.first())
    }

    /// The base of the image that is made anew.
    fn before(&self) -> Option<String> {
        let entry = self.offers.entry(self.stale?)?;
        Base::of(&entry.annotations).map(|base| base.name.familiar())
    }

    /// Of several names that by which others would call it too: what it was called before, or what the official image is called.
    fn name(&self, best: &Candidate<'_>, wanted: &Requirements) -> String {
        let known = [self.before(), official(&wanted.os)].into_iter().flatten();
        let known = known.filter_map(|name| Some(name.parse::<Reference>().ok()?.familiar()));
        let name =
            known.into_iter().find(|name| bears(best.offer, name)).unwrap_or_else(|| best.name.to_owned());
        // Names of other tools may be none.
        let is_name = name.parse::<Reference>().is_ok();
        if is_name { name } else { best.offer.digest.to_string() }
    }

    fn no_base(&self, plan: &Plan, wanted: &Requirements, answer: &Answer<'_>) -> CommandError {
        if let Some(base) = self.base {
            let why = format!("{} is no image of {} to build on", base.familiar(), system(wanted));
            return fail(why)
                .with_hint("leave out --os and --arch, and they are the base's own")
                .exits(NO_SUCH_IMAGE);
        }
        let foreign = (wanted.arch != *self.host).then(|| format!("linux/{}", wanted.arch.as_str()));
        let hint = match &answer.official_base {
            Some(official) => format!(
                "bring in the official {official}: {} (or ask with --pull); or write {}",
                bring(official, foreign.as_deref()),
                self.path.display()
            ),
            None => format!("import an image of it that can be built on; or {}", self.own()),
        };
        let why =
            format!("there is no image of {} to build {} on", system(wanted), plan.reference.familiar());
        fail(why).with_hint(hint).exits(NO_SUCH_IMAGE)
    }

    fn own(&self) -> String {
        format!("write the Dockerfile of this image: {}", self.path.display())
    }
}

fn bears(offer: &Offer<'_>, name: &str) -> bool {
    offer.names.iter().any(|(known, _)| known == name)
}

/// The descriptor and the document of an image; none where it is none, or not there.
fn manifest(look: &Look<'_>, offer: &Offer<'_>) -> Result<Option<(Descriptor, ImageManifest)>, Error> {
    let Some(size) = look.store.blobs().contains(&offer.digest)? else { return Ok(None) };
    let descriptor = Descriptor::new(String::new(), offer.digest, size);
    Ok(match look.store.document(&descriptor)?.map(|raw| raw.document) {
        Some(Document::Image(image)) => Some((descriptor, image)),
        _ => None,
    })
}

/// What a base is, as its facts and its config say.
fn inside(look: &Look<'_>, offer: &Offer<'_>, name: &str) -> Outcome<Inside> {
    let missing = || Error::damaged(format!("manifest {} of {name}", offer.digest), "is missing");
    let (descriptor, image) = manifest(look, offer)?.ok_or_else(missing)?;
    let facts = super::super::facts::of(look.store, &descriptor, &look.context.cancel)?.map_err(fail)?;
    let (config, _) = look.store.config(&image)?;
    let config: serde_json::Value = serde_json::from_slice(&config).unwrap_or_default();
    let user = config["config"]["User"].as_str().map(str::to_owned);
    let (manager, is_readable) = facts.as_ref().map_or((None, false), manager);
    Ok(Inside { facts, manager, is_readable, user })
}

impl Inside {
    /// Whether the compiler is one that no package manager would make the one which is called: of another family than is known, or where
    /// packages do not put theirs.
    fn has_elsewhere(&self, asked: &Compiler) -> bool {
        let found = self.facts.iter().flat_map(|facts| &facts.compilers);
        let is_it = |one: &&facts::Compiler| {
            one.version.as_ref().is_some_and(|version| asked.is_served_by(&one.family, version))
        };
        let is_packaged = |path: &str| ["/usr/bin/", "/bin/"].iter().any(|dir| path.starts_with(dir));
        !asked.is_seen() || found.filter(is_it).any(|one| !is_packaged(&one.path))
    }
}

/// How many layers an image has; none that can be read are none.
fn layers(look: &Look<'_>, offer: &Offer<'_>) -> usize {
    manifest(look, offer).ok().flatten().map_or(0, |(_, image)| image.layers.len())
}

/// What installs packages in an image, and whether larder sees which are there.
pub(super) fn manager(facts: &Facts) -> (Option<Manager>, bool) {
    let has_program = |name: &str| facts.programs.iter().any(|program| program.name == name);
    let manager = Manager::of(facts.os.as_ref().map_or("", |os| &os.id), &has_program);
    (manager, manager.is_none_or(Manager::can_be_read) || !facts.packages.is_empty())
}
