//! Comparing versions by the rules of whoever made the package.
//!
//! Values in, an order out. Who asks for a version seldom knows what a distribution put around it: what is asked without an epoch
//! is compared without one, and what is asked without a revision with the version that upstream gave; so is Python's local part. So `openssl<3.0.14`
//! means Debian's `3.0.11-1~deb12u2` and not `3.0.14-1~deb12u2`, and `vim<9.1` means `2:9.0.1378-2`.

mod apk;
mod debian;
mod rpm;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::str::FromStr;

use pep440_rs::Version as Pep440;
use semver::Version as Semver;

/// Whose rules a version goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Rules {
    /// deb-version(7).
    Debian,
    /// apk-package(5), "Package version".
    Apk,
    /// rpm-version(7); pacman's vercmp(8) has the same but for a letter's place.
    Rpm,
    /// vercmp(8).
    Pacman,
    /// PEP 440.
    Python,
    /// Semantic Versioning 2.0.0.
    Semver,
}

/// How a package's version stands to the one that was asked for; `None` where one of them is no version by these rules.
pub(crate) fn compare(rules: Rules, have: &str, asked: &str) -> Option<Ordering> {
    match rules {
        Rules::Debian => revised(have, asked, debian::compare),
        Rules::Rpm => revised(have, asked, rpm::compare),
        Rules::Pacman => revised(have, asked, rpm::compare_as_pacman),
        Rules::Apk => apk::compare(have, asked),
        Rules::Python => {
            let (have, asked) = (Pep440::from_str(have).ok()?, Pep440::from_str(asked).ok()?);
            // "Version specifiers", on local versions: what is asked without one is compared without one.
            let have = if asked.is_local() { have } else { have.without_local() };
            Some(have.cmp(&asked))
        }
        Rules::Semver => Some(semantic(have)?.cmp_precedence(&semantic(asked)?)),
    }
}

/// The order of two versions of one package, with all that stands in them; `None` where one of them is none by these rules.
pub(crate) fn order(rules: Rules, a: &str, b: &str) -> Option<Ordering> {
    match rules {
        Rules::Debian => whole(a, b, debian::compare),
        Rules::Rpm => whole(a, b, rpm::compare),
        Rules::Pacman => whole(a, b, rpm::compare_as_pacman),
        Rules::Apk => apk::order(a, b),
        Rules::Python => Some(Pep440::from_str(a).ok()?.cmp(&Pep440::from_str(b).ok()?)),
        Rules::Semver => compare(rules, a, b),
    }
}

/// `[EPOCH:]VERSION[-REVISION]`, as Debian, Fedora and Arch have it.
#[derive(Debug, PartialEq, Eq)]
struct Revised<'a> {
    epoch: Option<u64>,
    version: &'a str,
    revision: Option<&'a str>,
}

impl<'a> Revised<'a> {
    fn parse(text: &'a str) -> Option<Revised<'a>> {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|byte| byte.is_ascii_digit()) => {
                (Some(epoch.parse().ok()?), rest)
            }
            Some(_) => return None,
            None => (None, text),
        };
        let (version, revision) = match rest.rsplit_once('-') {
            Some((version, revision)) => (version, Some(revision)),
            None => (rest, None),
        };
        (!version.is_empty()).then_some(Revised { epoch, version, revision })
    }
}

fn revised(have: &str, asked: &str, part: fn(&str, &str) -> Ordering) -> Option<Ordering> {
    let (have, asked) = (Revised::parse(have)?, Revised::parse(asked)?);
    let epochs = asked.epoch.map_or(Ordering::Equal, |asked| have.epoch.unwrap_or(0).cmp(&asked));
    let versions = || part(have.version, asked.version);
    let revisions =
        || asked.revision.map_or(Ordering::Equal, |asked| part(have.revision.unwrap_or(""), asked));
    Some(epochs.then_with(versions).then_with(revisions))
}

fn whole(a: &str, b: &str, part: fn(&str, &str) -> Ordering) -> Option<Ordering> {
    let (a, b) = (Revised::parse(a)?, Revised::parse(b)?);
    let epochs = a.epoch.unwrap_or(0).cmp(&b.epoch.unwrap_or(0));
    let revisions = || part(a.revision.unwrap_or(""), b.revision.unwrap_or(""));
    Some(epochs.then_with(|| part(a.version, b.version)).then_with(revisions))
}

/// npm takes a `v` before a version; who asks may leave out numbers at its end.
fn semantic(text: &str) -> Option<Semver> {
    let text = text.strip_prefix(['v', '=']).unwrap_or(text);
    let core = text.split(['-', '+']).next().unwrap_or(text);
    let missing = 2usize.checked_sub(core.matches('.').count())?;
    Semver::parse(&format!("{core}{}{}", ".0".repeat(missing), &text[core.len()..])).ok()
}

/// Digits of any length, by what they mean.
fn numbers(a: &[u8], b: &[u8]) -> Ordering {
    let significant = |digits: &[u8]| digits.iter().position(|digit| *digit != b'0').unwrap_or(digits.len());
    let (a, b) = (&a[significant(a)..], &b[significant(b)..]);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

/// Takes off the bytes at the head that are such.
fn leading<'a>(rest: &mut &'a [u8], is_such: impl Fn(&u8) -> bool) -> &'a [u8] {
    let end = rest.iter().position(|byte| !is_such(byte)).unwrap_or(rest.len());
    let (taken, others) = rest.split_at(end);
    *rest = others;
    taken
}
