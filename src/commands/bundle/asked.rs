//! Which images a bundle is made of.

use larder_store::descriptor::{Descriptor, Platform};
use larder_store::index::{REF_NAME, shown_name};
use larder_store::manifest::Document;
use larder_store::policy::NamePattern;
use larder_store::store::{Protection, Store};
use larder_store::walk::walk_entry;

use super::super::platform::{self, Wanted as Platforms, choose};
use crate::bundle::create::Asked as Choice;
use crate::cli::{Outcome, fail};
use crate::registry::push::stored_referrers;

/// What is asked for.
#[derive(Debug, clap::Args)]
pub(super) struct Asked {
    /// The images
    #[arg(required_unless_present_any = ["all", "pattern"], value_name = "REF")]
    images: Vec<String>,

    /// All images that have a name
    #[arg(long, conflicts_with_all = ["images", "pattern"])]
    all: bool,

    /// All images with names like this, as for `larder images`
    #[arg(long = "match", value_name = "PATTERN", conflicts_with = "images")]
    pattern: Option<NamePattern>,

    /// The image for this platform out of those for several [default: all that is stored]
    #[arg(long, value_name = "OS/ARCH[/VARIANT]", value_parser = platform::parse)]
    platform: Option<Platform>,

    /// Take signatures, inventories and attestations along that refer to an image
    #[arg(long)]
    referrers: bool,
}

impl Asked {
    /// The images, and what refers to them; leased.
    pub(super) fn choose(&self, store: &Store) -> Outcome<(Protection, Vec<Choice>)> {
        let (mut entries, mut referring) = (Vec::new(), Ok(Vec::new()));
        let (protection, _) = store.protect_chosen("bundle create", |index| {
            if self.images.is_empty() {
                let is_wanted = |entry: &&Descriptor| {
                    let name = shown_name(entry).filter(|_| entry.annotation(REF_NAME).is_some());
                    name.is_some_and(|name| {
                        self.pattern.as_ref().is_none_or(|pattern| pattern.matches(&name))
                    })
                };
                entries = index.entries().iter().filter(is_wanted).cloned().collect();
            } else {
                for query in &self.images {
                    entries.push(store.resolve(index, query)?);
                }
            }
            let mut all = entries.clone();
            if self.referrers {
                let mut subjects = Vec::new();
                for entry in &entries {
                    walk_entry(entry, &mut |document| store.document(document), &mut |node| {
                        subjects.extend(node.document.map(|raw| raw.digest));
                        Ok(())
                    })?;
                }
                referring = stored_referrers(store, &subjects);
                all.extend(referring.iter().flatten().cloned());
            }
            Ok(all)
        })?;
        if entries.is_empty() {
            let what = self
                .pattern
                .as_ref()
                .map_or("the store has no image with a name", |_| "no name is like this");
            return Err(fail(what).with_hint("`larder images` lists what is there"));
        }
        let mut asked = Vec::new();
        for entry in entries {
            let label = shown_name(&entry).unwrap_or_else(|| entry.digest.to_string());
            let root = match &self.platform {
                Some(platform) => {
                    choose(store, &entry, Platforms::Asked(platform)).map_err(|e| e.within(label))?
                }
                None => entry.clone(),
            };
            asked.push(Choice { entry, root });
        }
        let sent = |asked: &[Choice], subject| {
            asked.iter().any(|asked: &Choice| {
                let mut is_in = false;
                let _ = walk_entry(&asked.root, &mut |document| store.document(document), &mut |node| {
                    is_in |= node.document.is_some() && node.descriptor.digest == subject;
                    Ok(())
                });
                is_in
            })
        };
        for entry in referring? {
            // Of a platform that does not go, nobody asks what refers to it.
            let subject = store.document(&entry)?.and_then(|raw| match &raw.document {
                Document::Image(_) | Document::Index(_) => raw.subject().map(|subject| subject.digest),
            });
            if subject.is_some_and(|subject| sent(&asked, subject)) {
                asked.push(Choice { root: entry.clone(), entry });
            }
        }
        Ok((protection, asked))
    }
}
