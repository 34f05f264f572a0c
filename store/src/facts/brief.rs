//! Facts in brief: as much of every image's as it takes to choose among ten thousand.
//!
//! Os and compilers as they are; of packages and programs a hash of each name, so that a brief can be asked whether the image
//! has some, and cannot list them. A hash has 64 bits: that two of a million names share one is less likely than a disk
//! error, and an image that wants to be taken for one with cmake can say so in plain words.
//!
//! A foreign package of dpkg (`libc6:i386` in an amd64 image) has its architecture in its name, as dpkg writes it, and no other.

use std::collections::HashMap;
use std::sync::Arc;

use super::databases::{Package, PackageKind};
use super::{FORMAT, Facts, facts_of};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::Result;
use crate::ids::ImageId;
use crate::layers::LayerCache;
use crate::manifest::ImageManifest;
use crate::store::Store;

/// The version of a brief; that of the facts, which it is made from, stands beside it.
const BRIEF: u32 = 1;

/// What is known of an image in brief.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Brief<'a> {
    /// What it is; ten thousand images have a few of these between them.
    pub head: Arc<Head>,
    /// The packages that it has of those that were sought.
    pub packages: Vec<&'a str>,
    /// The programs that it has of those that were sought.
    pub programs: Vec<&'a str>,
}

/// What an image is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Head {
    /// As Go's `GOARCH`, from the config.
    pub architecture: String,
    /// `ID` and `VERSION_ID` of its os-release; none where it has no such file.
    pub os: Option<(String, Option<String>)>,
    /// Families and versions.
    pub compilers: Vec<(String, Option<String>)>,
    /// How many things could not be read.
    pub problems: u32,
}

/// Packages and programs that images are asked for.
#[derive(Debug, Default)]
pub struct Sought<'a> {
    packages: Vec<Name<'a>>,
    programs: Vec<Name<'a>>,
}

#[derive(Debug)]
struct Name<'a> {
    name: &'a str,
    hash: Hash,
    /// An architecture of Go's, and what the package is called in an image for it.
    native: Option<(String, Hash)>,
}

/// The first bytes of a name's SHA-256.
type Hash = [u8; 8];

/// Heads by how they are written.
type Heads = HashMap<Vec<u8>, Arc<Head>>;

impl<'a> Sought<'a> {
    /// Packages as `name`, or `name:i386` with an architecture in dpkg's words, and programs.
    pub fn new(
        packages: impl IntoIterator<Item = &'a str>,
        programs: impl IntoIterator<Item = &'a str>,
    ) -> Sought<'a> {
        let native = |name: &str| {
            let (name, architecture) = name.rsplit_once(':')?;
            Some((go_architecture(architecture).to_owned(), hash(name)))
        };
        let package = |name: &'a str| Name { name, hash: hash(name), native: native(name) };
        let program = |name: &'a str| Name { name, hash: hash(name), native: None };
        Sought {
            packages: packages.into_iter().map(package).collect(),
            programs: programs.into_iter().map(program).collect(),
        }
    }
}

/// The briefs of all images that were looked into. Some may be gone.
pub fn briefs<'a>(cache: &LayerCache, sought: &Sought<'a>) -> HashMap<ImageId, Brief<'a>> {
    let (mut found, mut heads) = (HashMap::new(), Heads::new());
    cache.briefs(&mut |id, said| {
        if let Some(brief) = decode(said, sought, &mut heads) {
            found.insert(id, brief);
        }
    });
    found
}

/// The brief of an image that has none yet: from its facts, which are read now where they are not known.
pub fn brief_of<'a>(
    store: &Store,
    image: &ImageManifest,
    sought: &Sought<'a>,
    cancel: &Cancel,
) -> Result<Brief<'a>> {
    let cache = store.layers()?;
    let (facts, is_new) = facts_of(store, &cache, image, cancel)?;
    if !is_new {
        learn(&cache, &image.image_id(), &facts);
    }
    Ok(decode(&encode(&facts), sought, &mut Heads::new()).expect("what was written a moment ago can be read"))
}

/// Keeps the brief of an image.
pub(super) fn learn(cache: &LayerCache, id: &ImageId, facts: &Facts) {
    cache.learn_brief(id, &encode(facts));
}

fn encode(facts: &Facts) -> Vec<u8> {
    let mut out = Vec::new();
    let number = |out: &mut Vec<u8>, number: usize| {
        out.extend(u32::try_from(number).unwrap_or(u32::MAX).to_le_bytes());
    };
    let text = |out: &mut Vec<u8>, text: Option<&str>| {
        number(out, text.map_or(0, |text| text.len() + 1));
        out.extend(text.unwrap_or_default().as_bytes());
    };
    let hashes = |out: &mut Vec<u8>, mut hashes: Vec<Hash>| {
        hashes.sort_unstable();
        hashes.dedup();
        number(out, hashes.len());
        out.extend(hashes.as_flattened());
    };
    let mut head = Vec::new();
    text(&mut head, Some(&facts.architecture));
    text(&mut head, facts.os.as_ref().map(|os| os.id.as_str()));
    text(&mut head, facts.os.as_ref().and_then(|os| os.version_id.as_deref()));
    number(&mut head, facts.compilers.len());
    for compiler in &facts.compilers {
        text(&mut head, Some(&compiler.family));
        text(&mut head, compiler.version.as_deref());
    }
    number(&mut head, facts.problems.len());
    number(&mut out, FORMAT as usize);
    number(&mut out, BRIEF as usize);
    number(&mut out, head.len());
    out.extend(head);
    let package = |package: &Package| hash(&package_name(package, &facts.architecture));
    hashes(&mut out, facts.packages.iter().map(package).collect());
    hashes(&mut out, facts.programs.iter().map(|program| hash(&program.name)).collect());
    out
}

/// Reads a brief; one of another version says nothing.
fn decode<'a>(said: &[u8], sought: &Sought<'a>, heads: &mut Heads) -> Option<Brief<'a>> {
    let mut rest = said;
    if (number(&mut rest)?, number(&mut rest)?) != (FORMAT, BRIEF) {
        return None;
    }
    let length = number(&mut rest)? as usize;
    let written = take(&mut rest, length)?;
    let head = match heads.get(written) {
        Some(head) => head.clone(),
        None => heads.entry(written.to_vec()).or_insert(Arc::new(decode_head(written)?)).clone(),
    };
    let (packages, programs) = (hashes(&mut rest)?, hashes(&mut rest)?);
    let has = |hashes: &[Hash], name: &&Name<'_>| {
        let native = name.native.as_ref().filter(|(native, _)| *native == head.architecture);
        hashes.binary_search(native.map_or(&name.hash, |(_, hash)| hash)).is_ok()
    };
    let among = |names: &[Name<'a>], hashes| {
        names.iter().filter(|name| has(hashes, name)).map(|name| name.name).collect()
    };
    let (packages, programs) = (among(&sought.packages, packages), among(&sought.programs, programs));
    Some(Brief { head, packages, programs })
}

fn decode_head(mut rest: &[u8]) -> Option<Head> {
    let architecture = text(&mut rest)??;
    let (id, version) = (text(&mut rest)?, text(&mut rest)?);
    let mut compilers = Vec::new();
    for _ in 0..number(&mut rest)? {
        compilers.push((text(&mut rest)??, text(&mut rest)?));
    }
    Some(Head { architecture, os: id.map(|id| (id, version)), compilers, problems: number(&mut rest)? })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, others) = rest.split_at_checked(count)?;
    *rest = others;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<u32> {
    take(rest, 4)?.try_into().ok().map(u32::from_le_bytes)
}

fn text(rest: &mut &[u8]) -> Option<Option<String>> {
    let Some(length) = number(rest)?.checked_sub(1) else { return Some(None) };
    String::from_utf8(take(rest, length as usize)?.to_vec()).ok().map(Some)
}

fn hashes<'a>(rest: &mut &'a [u8]) -> Option<&'a [Hash]> {
    let count = number(rest)? as usize;
    Some(take(rest, count.checked_mul(size_of::<Hash>())?)?.as_chunks().0)
}

fn hash(name: &str) -> Hash {
    let mut hash = Hash::default();
    hash.copy_from_slice(&Digest::of(name.as_bytes()).bytes()[..size_of::<Hash>()]);
    hash
}

/// As somebody in an image for this architecture calls it.
fn package_name(package: &Package, architecture: &str) -> String {
    let is_foreign = package.kind == PackageKind::Dpkg
        && package.architecture != "all"
        && go_architecture(&package.architecture) != architecture;
    match is_foreign {
        true => format!("{}:{}", package.name, package.architecture),
        false => package.name.clone(),
    }
}

/// Go's word for an architecture of dpkg's.
fn go_architecture(dpkg: &str) -> &str {
    match dpkg {
        "i386" => "386",
        "armhf" | "armel" => "arm",
        "ppc64el" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Compiler, Os, Program};
    use super::*;

    fn facts() -> Facts {
        let package = |name: &str, architecture: &str, kind| Package {
            name: name.into(),
            version: "1".into(),
            architecture: architecture.into(),
            kind,
        };
        Facts {
            architecture: "amd64".into(),
            os: Some(Os { id: "debian".into(), version_id: Some("12".into()), ..Os::default() }),
            compilers: vec![Compiler { family: "gcc".into(), version: None, path: "/usr/bin/gcc".into() }],
            packages: vec![
                package("zlib1g", "amd64", PackageKind::Dpkg),
                package("libc6", "i386", PackageKind::Dpkg),
                package("tzdata", "all", PackageKind::Dpkg),
                package("musl", "x86_64", PackageKind::Apk),
            ],
            programs: vec![Program { name: "cmake".into(), path: "/usr/bin/cmake".into(), target: None }],
            problems: vec!["one".into()],
        }
    }

    #[test]
    fn a_brief_says_what_is_asked() {
        let asked = [
            "zlib1g",
            "zlib1g:amd64",
            "zlib1g:i386",
            "libc6",
            "libc6:i386",
            "libc6:amd64",
            "tzdata",
            "musl",
            "cmake",
        ];
        let sought = Sought::new(asked, ["cmake", "zlib1g"]);
        let brief = decode(&encode(&facts()), &sought, &mut Heads::new()).expect("a brief");
        assert_eq!(brief.packages, ["zlib1g", "zlib1g:amd64", "libc6:i386", "tzdata", "musl"]);
        assert_eq!(brief.programs, ["cmake"]);
        let head = Head {
            architecture: "amd64".into(),
            os: Some(("debian".into(), Some("12".into()))),
            compilers: vec![("gcc".into(), None)],
            problems: 1,
        };
        assert_eq!(*brief.head, head);
        let bare = encode(&Facts { os: None, ..facts() });
        let brief = decode(&bare, &Sought::default(), &mut Heads::new()).expect("a brief");
        assert_eq!(*brief.head, Head { os: None, ..head });
    }

    #[test]
    fn what_is_no_brief_of_this_version_says_nothing() {
        let whole = encode(&facts());
        let sought = Sought::default();
        for cut in 0..whole.len() {
            assert_eq!(decode(&whole[..cut], &sought, &mut Heads::new()), None, "cut at {cut}");
        }
        for version in [0, 4] {
            let mut other = whole.clone();
            other[version] += 1;
            assert_eq!(decode(&other, &sought, &mut Heads::new()), None);
        }
        assert_eq!(decode(&[255; 100], &sought, &mut Heads::new()), None);
    }
}
