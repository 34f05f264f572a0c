//! What one entry of a job's matrix needs of an image.
//!
//! The os is that of the container, else of the matrix's `container`, else of the label; the rest are keys of the matrix as
//! C++ projects have them.

use std::rc::Rc;

use crate::catalog::arch::Arch;
use crate::catalog::compiler::{Compiler, FAMILIES};
use crate::catalog::name::Suffix;
use crate::catalog::nearest::system;
use crate::catalog::os::Os;
use crate::catalog::requirements::Asked;

use super::expression::value;
use super::matrix::Entry;
use super::yaml::{Kind, Node};
use super::{Choice, Fault, FaultKind, list, visible};

/// Bytes of a value that is read.
const MAX_VALUE: usize = 8 << 10;

/// What one run of a job needs.
#[derive(Debug)]
pub(crate) struct JobNeeds {
    /// The ID of the job.
    pub(crate) job: String,
    /// The values of its matrix.
    pub(crate) entry: Entry,
    /// The first label of its runner: the one that act looks up. It can stand in a command line.
    pub(crate) label: Rc<str>,
    /// The container that it says itself; as it is written, where that cannot be told from the file.
    pub(crate) container: Option<Rc<str>>,
    /// What it needs; the os may be missing.
    pub(crate) asked: Asked,
    /// Why the os is missing.
    pub(crate) no_os: Option<Fault>,
}

impl JobNeeds {
    /// The job and its entry, for messages.
    pub(crate) fn shown(&self) -> String {
        shown(&self.job, &self.entry)
    }
}

/// `job build (compiler=gcc, version=15)`.
pub(super) fn shown(job: &str, entry: &Entry) -> String {
    let job = visible(job);
    let pairs = list(entry.pairs().map(|(key, value)| visible(&format!("{key}={}", cut(&value)))));
    if pairs.is_empty() { format!("job {job}") } else { format!("job {job} ({pairs})") }
}

/// Some of a text.
fn cut(text: &str) -> String {
    text.chars().take(60).collect()
}

/// Whether it is a job with a runner.
pub(super) fn check(job: &Node) -> Result<(), Fault> {
    if let Some(uses) = job.get("uses") {
        let called = uses.text().unwrap_or_default();
        let why = format!("calls the workflow {:?}, whose jobs are not read here", cut(&called));
        return Err(Fault::unknown(uses, why).hinted("read that workflow, or choose another job with --job"));
    }
    match job.kind {
        Kind::Map(_) => Ok(()),
        _ => Err(Fault::wrong(job, format!("a job is a mapping, and this is {}", job.what()))),
    }
}

/// What this entry needs.
pub(super) fn read(name: &str, job: &Node, entry: &Entry, choice: &Choice<'_>) -> Result<JobNeeds, Fault> {
    let Some(runs_on) = job.get("runs-on") else {
        return Err(Fault::wrong(job, "has no runs-on".to_owned()));
    };
    let labels = labels(runs_on, entry)?;
    let own = job.get("container").map(|node| (node, image(node, Some(entry))));
    let own = own.filter(|(_, image)| !matches!(image, Ok(None)));
    let container = match &own {
        Some((_, Ok(image))) => image.clone(),
        Some((node, Err(fault))) if fault.is_unknown() => node.get("image").unwrap_or(node).text(),
        Some((_, Err(fault))) => return Err(fault.clone()),
        None => None,
    };
    let os = match own {
        Some((node, image)) => image.and_then(|image| os_of_image(node, &image.unwrap_or_default())),
        // A key of the matrix means what its author likes.
        None => match entry.get("container").map(|node| (node, image(node, None))) {
            Some((_, Err(fault))) => return Err(Fault { kind: FaultKind::Unknown, ..fault }),
            Some((node, Ok(Some(image)))) => os_of_image(node, &image),
            _ => os_of_labels(runs_on, &labels),
        },
    };
    let (os, no_os) = match os {
        Ok(os) => (Some(os), None),
        Err(fault) if fault.is_unknown() => (None, Some(fault.of(name, entry))),
        Err(fault) => return Err(fault),
    };
    let asked = Asked { os, arch: arch(runs_on, &labels, entry)?, ..asked(entry, choice.compiler)? };
    let label = labels[0].clone();
    Ok(JobNeeds { job: name.to_owned(), entry: entry.clone(), label, container, asked, no_os })
}

/// All labels of the runner, at least one.
fn labels(runs_on: &Node, entry: &Entry) -> Result<Vec<Rc<str>>, Fault> {
    let said = value(runs_on, Some(entry))?;
    let said = match &said.kind {
        Kind::Map(_) => {
            let group = || Fault::unknown(runs_on, "runs on a group without a label".to_owned());
            value(said.get("labels").ok_or_else(group)?, Some(entry))?
        }
        _ => said,
    };
    let one = |node: &Node| {
        let text = value(node, Some(entry))?.text();
        let text = text
            .ok_or_else(|| Fault::wrong(node, format!("a label is a text, and this is {}", node.what())))?;
        // It is written for a shell to split.
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+@".contains(&b);
        if text.is_empty() || text.starts_with('-') || !text.bytes().all(fits) {
            let why = format!("{:?} is no label that a command line of act could have", cut(&text));
            return Err(Fault::unknown(node, why));
        }
        Ok(text)
    };
    match &said.kind {
        Kind::List(list) if list.is_empty() => Err(Fault::wrong(runs_on, "runs-on has no label".to_owned())),
        Kind::List(list) => list.iter().map(one).collect(),
        _ => Ok(vec![one(&said)?]),
    }
}

/// The image of a container, where there is one.
fn image(container: &Node, entry: Option<&Entry>) -> Result<Option<Rc<str>>, Fault> {
    let said = value(container, entry)?;
    let said = match (&said.kind, said.get("image")) {
        (Kind::Map(_), Some(image)) => value(image, entry)?,
        _ => said,
    };
    match said.text() {
        Some(text) if text.len() > MAX_VALUE => Err(Fault::wrong(&said, "is too long".to_owned())),
        Some(text) => Ok(Some(text).filter(|text| !text.is_empty())),
        None => {
            Err(Fault::wrong(&said, "a container is the name of an image, or has one as `image`".to_owned()))
        }
    }
}

const SAY_OS: &str = "--os NAME:VERSION says which one it is to be";

/// The os that the image's name says: `ubuntu:25.04`, `debian:bookworm-slim`, in any registry.
fn os_of_image(node: &Node, image: &str) -> Result<Os, Fault> {
    let last = image.rsplit('/').next().unwrap_or_default();
    let plain = last.split('@').next().unwrap_or_default();
    let (name, tag) = plain.split_once(':').unwrap_or((plain, ""));
    let release = tag.split('-').next().unwrap_or_default();
    // quay.io/centos/centos:stream9; gentoo/stage3:latest.
    let release = release.strip_prefix("stream").filter(|_| name == "centos").unwrap_or(release);
    let name = if name == "stage3" { "gentoo" } else { name };
    let found = match release {
        "" | "latest" => system(name),
        release => system(&format!("{name}-{release}")),
    };
    let unknown = || format!("the container {:?} says no os with its version", cut(image));
    found.ok_or_else(|| Fault::unknown(node, unknown()).hinted(SAY_OS))
}

/// The os that a label says, as `ubuntu-24.04` and `ubuntu-24.04-arm` do.
fn os_of_labels(node: &Node, labels: &[Rc<str>]) -> Result<Os, Fault> {
    let lower = |label: &Rc<str>| label.to_ascii_lowercase();
    let is_foreign = |label: &str| label.starts_with("windows") || label.starts_with("macos");
    if let Some(label) = labels.iter().find(|label| is_foreign(&lower(label))) {
        let why = format!("runs on {label}, and images are for Linux");
        return Err(
            Fault::foreign(node, why).hinted("choose other entries with --matrix, or another job with --job")
        );
    }
    let found = labels.iter().find_map(|label| {
        let lower = lower(label);
        system(lower.strip_suffix("-arm").or(lower.strip_suffix("-arm64")).unwrap_or(&lower))
    });
    let unknown = || format!("runs on {}, which says no os with its version", list(labels.iter()));
    found.ok_or_else(|| Fault::unknown(node, unknown()).hinted(SAY_OS))
}

fn arch(node: &Node, labels: &[Rc<str>], entry: &Entry) -> Result<Option<Arch>, Fault> {
    let of_label = |label: &Rc<str>| match label.to_ascii_lowercase().as_str() {
        "x64" => Some("amd64"),
        "arm64" => Some("arm64"),
        label if label.ends_with("-arm") || label.ends_with("-arm64") => Some("arm64"),
        _ => None,
    };
    let found = match (labels.iter().find_map(of_label), flag(entry, "x86")?) {
        (Some("arm64"), true) => {
            let why = format!("x86 contradicts {}, which is for arm64", list(labels.iter()));
            return Err(Fault::wrong(entry.get("x86").unwrap_or(node), why));
        }
        (_, true) => Some(Arch::X86),
        (found, false) => found,
    };
    found.map(|arch| arch.parse().map_err(|why| Fault::wrong(node, why))).transpose()
}

/// What the keys of the matrix say, but for os and architecture.
fn asked(entry: &Entry, given: Option<&Compiler>) -> Result<Asked, Fault> {
    let mut asked = Asked { compiler: compiler_or(given, entry)?, ..Asked::default() };
    let suffixes =
        [("coverage", Suffix::Cov), ("asan", Suffix::Asan), ("ubsan", Suffix::Ubsan), ("tsan", Suffix::Tsan)];
    for (key, suffix) in suffixes {
        if flag(entry, key)? {
            asked.suffixes.insert(suffix);
        }
    }
    if flag(entry, "build-cmake")? {
        asked.tools.extend("cmake".parse());
    }
    if let Some((node, text)) = scalar(entry, "install")? {
        let words = text.split([' ', '\t', '\n', '\r', ',']).filter(|word| !word.is_empty());
        // Options of the package manager, and versions that it is to take.
        for word in words.filter(|word| !word.starts_with('-')) {
            let name = word.split('=').next().unwrap_or_default();
            let name = name.parse().map_err(|why| Fault::unknown(&node, format!("install: {why}")))?;
            asked.packages.insert(name);
        }
    }
    Ok(asked)
}

/// The value of a key that is a scalar, where it says something.
fn scalar(entry: &Entry, key: &str) -> Result<Option<(Node, Rc<str>)>, Fault> {
    let Some(node) = entry.get(key) else { return Ok(None) };
    let said = value(node, None)?;
    match said.text() {
        Some(text) if text.len() <= MAX_VALUE => {
            Ok(Some((said, text)).filter(|(_, text)| !text.trim().is_empty()))
        }
        Some(_) => Err(Fault::unknown(node, format!("{key} is longer than {MAX_VALUE} bytes"))),
        None => Err(Fault::unknown(node, format!("{key} is a text, and this is {}", said.what()))),
    }
}

/// A key that is true or false, in any of the ways to say so.
fn flag(entry: &Entry, key: &str) -> Result<bool, Fault> {
    let Some((node, text)) = scalar(entry, key)? else { return Ok(false) };
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err(Fault::unknown(&node, format!("{key} is true or false, and this is {:?}", cut(&text)))),
    }
}

/// The compiler of an entry; where what it says is not enough, that of the flags will do, if it is of the same family.
fn compiler_or(given: Option<&Compiler>, entry: &Entry) -> Result<Option<Compiler>, Fault> {
    match (compiler(entry), given) {
        (Err(fault), Some(given)) if fault.is_unknown() => match scalar(entry, "compiler") {
            Ok(Some((node, text))) if family(&text) != given.family() => {
                let why = format!("compiler: {:?} contradicts {given}, which is asked for", cut(&text));
                Err(Fault::wrong(&node, why))
            }
            _ => Ok(None),
        },
        (compiler, _) => compiler,
    }
}

fn family(text: &str) -> String {
    text.trim().to_ascii_lowercase().replace("clang++", "clang").replace("g++", "gcc")
}

/// `gcc` and 15, `g++-15`, `clang-20` …
fn compiler(entry: &Entry) -> Result<Option<Compiler>, Fault> {
    let Some((node, text)) = scalar(entry, "compiler")? else { return Ok(None) };
    let said = family(&text);
    let version = scalar(entry, "version")?.filter(|(_, version)| version.trim() != "*");
    let with_version = said.parse::<Compiler>().ok();
    let family = with_version.as_ref().map_or(said.as_str(), Compiler::family);
    let unread = |why| Fault::unknown(&node, format!("compiler: {why}"));
    match (&version, with_version.clone()) {
        (Some((at, version)), with_version) => {
            let exact = Compiler::new(family, version.trim());
            let exact = exact.map_err(|why| match FAMILIES.contains(&family) {
                true => Fault::unknown(at, format!("version: {why}")),
                false => unread(why),
            })?;
            match with_version {
                Some(other) if other.serves(&exact) => Ok(Some(other)),
                Some(other) if !exact.serves(&other) => {
                    let why = format!("compiler: {other} contradicts version {}", exact.version());
                    Err(Fault::wrong(&node, why))
                }
                _ => Ok(Some(exact)),
            }
        }
        (None, Some(compiler)) => Ok(Some(compiler)),
        (None, None) if FAMILIES.contains(&family) => {
            let at = entry.get("version").unwrap_or(&node);
            let why = format!("the compiler {family} has no version");
            Err(Fault::unknown(at, why)
                .hinted("give the entry a version such as 15, or say one such as --compiler gcc-15"))
        }
        (None, None) => Err(unread(Compiler::new(family, "1").err().unwrap_or_default())),
    }
}
