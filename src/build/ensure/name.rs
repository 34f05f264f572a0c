//! What the image is called, what is declared of it, and where its own Dockerfile would stand.

use larder_store::reference::Reference;

use crate::catalog::resolve::official;
use crate::catalog::{Arch, Declared, Requirements, Suffix};

/// The directory in which projects have their Dockerfiles, from where the command is run.
pub(crate) const DEFINITION: &str = "images";

/// What is declared of an image that is made for a job.
pub(crate) fn declared(job: &Requirements) -> Declared {
    let mut suffixes = job.suffixes.clone();
    if job.arch.as_str() == Arch::X86 {
        suffixes.insert(Suffix::X86);
    }
    Declared {
        project: job.project.clone(),
        os: Some(job.os.clone()),
        compilers: job.compiler.iter().cloned().collect(),
        suffixes,
        packages: job.packages.iter().cloned().collect(),
        tools: job.tools.iter().cloned().collect(),
    }
}

/// Characters of a base's name within a tag, which has 128 at the most (OCI distribution spec).
const LONGEST: usize = 80;

/// Its name by the convention; the tag tells apart what names do not: architectures, and bases that somebody chose in place of the official
/// image. None where there is no such name: without a project, or for a system that names do not know.
pub(crate) fn reference(job: &Requirements, host: &Arch, base: Option<&Reference>) -> Option<Reference> {
    let name = declared(job).name()?;
    let official = || official(&job.os)?.parse().ok();
    let base = base.filter(|base| official().as_ref() != Some(*base)).map(|base| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        let name = base.familiar();
        let plain = name.chars().map(|c| if is_plain(c) { c } else { '-' }).take(LONGEST);
        format!("on-{}", plain.collect::<String>())
    });
    let arch = match job.arch.as_str() {
        Arch::X86 => None,
        _ if job.arch == *host => None,
        other => Some(other.replace('/', "-")),
    };
    let words: Vec<_> = base.into_iter().chain(arch).collect();
    let tag = if words.is_empty() { "latest".to_owned() } else { words.join("-") };
    format!("{name}:{tag}").parse().ok()
}

/// Where the image's own Dockerfile stands below a directory of definitions.
pub(crate) fn definition(job: &Requirements) -> Option<String> {
    let name = declared(job).name()?;
    Some(format!("{}/Dockerfile.{name}", name.project()))
}
