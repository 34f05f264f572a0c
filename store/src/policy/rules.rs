//! Which limits hold for an image.

use std::str::FromStr;

use crate::reference::Reference;

use super::{Candidate, Limits, Policy, Rule};

/// A pattern over names: `*` stands for any characters, `?` for one, `[ab]` for a or b. It means the whole name, with its tag
/// or without.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamePattern(glob::Pattern);

impl FromStr for NamePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<NamePattern, String> {
        glob::Pattern::new(text)
            .map(NamePattern)
            .map_err(|e| format!("no pattern: {} at character {}", e.msg, e.pos + 1))
    }
}

impl NamePattern {
    /// Whether it means this name, in whichever form either is written.
    pub fn matches(&self, name: &str) -> bool {
        let reference = name.parse::<Reference>().ok();
        let forms = reference.map(|reference| [reference.familiar(), reference.full()]);
        forms.iter().flatten().map(String::as_str).chain([name]).any(|name| {
            let tag = name.rsplit_once(':').filter(|(_, tag)| !tag.contains('/'));
            self.0.matches(name) || tag.is_some_and(|(untagged, _)| self.0.matches(untagged))
        })
    }
}

impl Policy {
    /// `min_age` of what has these names (seconds).
    pub fn min_age(&self, names: &[String]) -> u64 {
        rule(self, names).and_then(|rule| rule.min_age).unwrap_or(self.limits.min_age)
    }

    /// `rebuild_after` of what has these names and this base (seconds): the base's, else a rule's, else what holds for all.
    pub fn rebuild_after(&self, names: &[String], base: Option<&Reference>) -> Option<u64> {
        let on_base = self.bases.iter().find(|rule| Some(&rule.name) == base).map(|rule| rule.rebuild_after);
        let of_rule = || rule(self, names).and_then(|rule| rule.rebuild_after);
        on_base.or_else(of_rule).or(self.rebuild_after)
    }
}

/// The first one that means one of the names.
fn rule<'a>(policy: &'a Policy, names: &[String]) -> Option<&'a Rule> {
    policy.rules.iter().find(|rule| names.iter().any(|name| rule.pattern.matches(name)))
}

/// The limits of an image, and whether it is protected. Rules look at the names that it has; at those that it lost only where
/// it has none.
pub(super) fn limits(policy: &Policy, image: &Candidate) -> (Limits, bool) {
    let names = if image.names.is_empty() { &image.lost } else { &image.names };
    let rule = rule(policy, names);
    // What a protected name has lost is not protected: that is what a new version is made for.
    let is_named = |pattern: &NamePattern| image.names.iter().any(|name| pattern.matches(name));
    let is_protected = policy.protect.iter().any(is_named)
        || rule.is_some_and(|rule| rule.protect && !image.names.is_empty());
    let mut limits = policy.limits;
    if let Some(rule) = rule {
        limits.unused_for = rule.unused_for.or(limits.unused_for);
        limits.max_age = rule.max_age.or(limits.max_age);
        limits.keep_last = rule.keep_last.unwrap_or(limits.keep_last);
        limits.orphan_age = rule.orphan_age.unwrap_or(limits.orphan_age);
        limits.min_age = rule.min_age.unwrap_or(limits.min_age);
    }
    (limits, is_protected)
}
