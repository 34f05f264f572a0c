//! What the image is called, what is declared of it, and where its own Dockerfile would stand.

use larder_store::reference::Reference;

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

/// Its name by the convention; the tag tells architectures apart that names do not. None where there is no such name: without a project, or
/// for a system that names do not know.
pub(crate) fn reference(job: &Requirements, host: &Arch) -> Option<Reference> {
    let name = declared(job).name()?;
    let tag = match job.arch.as_str() {
        Arch::X86 => "latest".to_owned(),
        _ if job.arch == *host => "latest".to_owned(),
        other => other.replace('/', "-"),
    };
    format!("{name}:{tag}").parse().ok()
}

/// Where the image's own Dockerfile stands below a directory of definitions.
pub(crate) fn definition(job: &Requirements) -> Option<String> {
    let name = declared(job).name()?;
    Some(format!("{}/Dockerfile.{name}", name.project()))
}
