//! What an image of the remote says of itself, beside what is asked for. It is believed as far as nobody can see it before layers come:
//! what it stands on they tell, by their diff IDs.

use larder_store::base::Base;
use larder_store::descriptor::{Annotations, Descriptor};
use larder_store::digest::Digest;
use larder_store::freshness::{self, Freshness, look_at, look_into};
use larder_store::index;
use larder_store::manifest::ImageConfig;

use super::decide::Look;
use super::make::source;
use super::plan::{Plan, Words};
use crate::build::engine;
use crate::catalog::{Arch, Declared};
use crate::cli::{CommandError, Outcome};
use crate::registry::pull::Seen;

/// Seconds by which the clock of another host may be ahead.
const AHEAD: i64 = 300;

/// What becomes of an image at the remote.
pub(super) enum Expected {
    /// It will do by its own word: the entry that it gets.
    Entry(Box<Descriptor>),
    /// It will not, and why.
    Refused(String),
    /// It lacks something, and is in order else: what it has, the one that takes its place shall have, too.
    Lacks(String, Words),
}

impl Look<'_> {
    /// What an image says of itself: whether it is what is asked for.
    pub(super) fn expected(&self, plan: &Plan, seen: &Seen, said: &Annotations) -> Outcome<Expected> {
        let refused = |why: String| Ok(Expected::Refused(why));
        let config = match ImageConfig::parse(&seen.config) {
            Ok(config) => config,
            Err(why) => return refused(format!("its config {why}")),
        };
        let declared = Declared::of(said);
        let name = plan.declared.name();
        if name.is_none() || declared.name() != name {
            return refused(format!("its labels do not say that it is {}", plan.reference.familiar_name()));
        }
        let platform = config.platform();
        let is_for = |arch: &Arch| arch.as_str().split('/').next() == Some(platform.architecture.as_str());
        if !is_for(&plan.job.arch) {
            return refused(format!("is for {platform}, and not for {}", plan.job.arch));
        }
        let is_own = plan.source.path().is_some();
        if is_own {
            let made_by = Digest::of(plan.source.text().as_bytes()).to_string();
            if said.get(index::DOCKERFILE) != Some(&made_by) {
                return refused("was made by another Dockerfile".to_owned());
            }
            let made_of = self.made_of(plan)?.map(|digest| digest.to_string());
            if made_of.is_none() || said.get(index::MADE_OF) != made_of.as_ref() {
                return refused("was made of other files, or with other arguments or labels".to_owned());
            }
        }
        let mut entry = seen.manifest.descriptor();
        entry.platform = Some(platform);
        let now = super::super::now();
        entry.annotations = [
            (index::IMPORTED, index::timestamp(now)),
            (index::ORIGIN, seen.reference.full()),
            (index::SIZE, seen.image.content_size().to_string()),
            (index::IMAGE_ID, seen.image.image_id().to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value))
        .into();
        let base = Base::of(said);
        // By the name that it would have here: rules are by names.
        let mut named = entry.clone();
        named.annotations.insert(index::REF_NAME.to_owned(), plan.reference.familiar());
        if let Some(base) = &base {
            base.write(&mut named.annotations);
        }
        let looked = match look_into(&named, &seen.manifest, &seen.config) {
            Ok(looked) => looked,
            Err(error) => return refused(error.to_string()),
        };
        if let Some(why) = self.not_on(base.as_ref(), &looked)? {
            return refused(why);
        }
        // Of what came in just now the time of that says nothing.
        let most =
            self.policy.rebuild_after(&[plan.reference.familiar()], base.as_ref().map(|base| &base.name));
        let is_told = freshness::made(looked.created, None, now.saturating_add(AHEAD)).is_some();
        if most.is_some() && !is_told {
            return refused("does not say when it was made, and rebuild_after is set".to_owned());
        }
        let index = self.store.index()?;
        // What cannot be read of a base here is not known to have moved.
        let stale = Freshness::new(self.store, &index, self.policy, now).judge(&named, &looked);
        if let Some(stale) = stale.ok().flatten() {
            return refused(format!("is stale ({stale})"));
        }
        let packages = plan.job.packages.iter().filter(|word| !declared.packages.contains(word));
        let tools = plan.job.tools.iter().filter(|word| !declared.tools.contains(word));
        let lacks: Vec<_> = packages.chain(tools).map(ToString::to_string).collect();
        // What the very same Dockerfile came to has it or not, whatever earlier jobs asked for.
        if !is_own && !lacks.is_empty() {
            let why = format!("its labels do not say that it has {}", lacks.join(", "));
            let has = Words { packages: declared.packages, tools: declared.tools };
            return Ok(Expected::Lacks(why, has));
        }
        Ok(Expected::Entry(Box::new(entry)))
    }

    /// Why an image is not made on what it has to be made on, or on what it says: layers tell where the store has that base.
    fn not_on(&self, base: Option<&Base>, looked: &freshness::Image) -> Outcome<Option<String>> {
        if let Some(query) = &self.args.base {
            let entry = self.store.resolve(&self.store.index()?, query)?;
            let asked = Base::from_entry(&entry)?.name;
            if base.is_none_or(|base| base.name != asked) {
                return Ok(Some(format!("its labels do not say that it is made on {}", asked.familiar())));
            }
            if !looked.is_on(&look_at(self.store, &entry)?) {
                return Ok(Some(format!("its layers are not on those of {}", asked.familiar())));
            }
        }
        let Some((base, digest)) = base.and_then(|base| Some((base, base.digest?))) else { return Ok(None) };
        let Some(size) = self.store.blobs().contains(&digest)? else { return Ok(None) };
        let here = look_at(self.store, &Descriptor::new(String::new(), digest, size));
        // What cannot be read here tells nothing.
        let is_not = here.is_ok_and(|here| !here.stacks.is_empty() && !looked.is_on(&here));
        Ok(is_not.then(|| format!("its layers are not on those of {}, as it says", base.name.familiar())))
    }

    /// What an own Dockerfile is made of here; none where that cannot be told: then the build says why.
    fn made_of(&self, plan: &Plan) -> Outcome<Option<Digest>> {
        let (context, source) = source(plan, self.store.path())?;
        let request = self.args.how.request(&context, &source)?;
        match engine::made_of(&request, &self.context.cancel).map_err(CommandError::from) {
            Err(error) if error.is_stop() => Err(error),
            made_of => Ok(made_of.ok()),
        }
    }
}
