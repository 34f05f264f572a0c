//! The Dockerfile that puts what is missing upon a base.
//!
//! One RUN installs all, so that no layer has the manager's lists and caches in it.

use std::collections::BTreeSet;

use super::manager::Manager;
use super::packages::{self, Alternative, Toolchain};
use crate::catalog::{Compiler, Suffix};

/// What is put upon what.
#[derive(Debug)]
pub(crate) struct Order<'a> {
    /// What the image is called. It stands in the image, so that no two that are made of the same are one.
    pub(crate) name: &'a str,
    /// What FROM names; a reference or a digest.
    pub(crate) base: &'a str,
    /// `os/architecture[/variant]`, where it is not the machine's.
    pub(crate) platform: Option<&'a str>,
    /// The user that the base's config says.
    pub(crate) user: Option<&'a str>,
    /// What installs packages there, if anything.
    pub(crate) manager: Option<Manager>,
    /// The compiler that is asked for.
    pub(crate) compiler: Option<&'a Compiler>,
    /// Whether it is there already.
    pub(crate) has_compiler: bool,
    /// What the compiler is for, as far as that is missing.
    pub(crate) suffixes: &'a BTreeSet<Suffix>,
    /// What is missing.
    pub(crate) packages: &'a [&'a str],
    /// What is missing.
    pub(crate) tools: &'a [&'a str],
}

/// Where the image says what it is called (OCI image spec, annotations.md).
const TITLE: &str = "org.opencontainers.image.title";

/// Writes it; the error is a phrase that says what cannot be had in this way.
pub(crate) fn generate(order: &Order<'_>) -> Result<String, String> {
    let title = plain(order.name, "name of an image")?;
    Ok(format!("{}LABEL {TITLE}={title}\n", steps(order)?))
}

/// All but the label.
fn steps(order: &Order<'_>) -> Result<String, String> {
    let mut text = String::from("FROM ");
    if let Some(platform) = order.platform {
        text += &format!("--platform={} ", plain(platform, "platform")?);
    }
    text += plain(order.base, "name of a base")?;
    text.push('\n');
    let lacks_compiler = order.compiler.is_some() && !order.has_compiler;
    let lacks_variant = order.compiler.is_some() && !order.suffixes.is_empty();
    if !lacks_compiler && !lacks_variant && order.packages.is_empty() && order.tools.is_empty() {
        return Ok(text);
    }
    let manager = order.manager.ok_or_else(|| format!("it has none of {}", Manager::KNOWN))?;
    let known = order.compiler.map(|compiler| packages::of_compiler(manager, compiler, order.suffixes));
    let mut wanted = BTreeSet::new();
    let toolchain = if lacks_compiler {
        known.transpose()?
    } else {
        wanted.extend(extras(known));
        None
    };
    wanted.extend(toolchain.iter().flat_map(|chain| chain.packages.iter().chain(&chain.extras).cloned()));
    for package in order.packages {
        wanted.insert(packages::checked(manager, package)?);
    }
    for tool in order.tools {
        wanted.insert(packages::of_tool(manager, tool)?);
    }
    if wanted.is_empty() {
        return Ok(text);
    }
    let user = order.user.filter(|user| !["", "0", "root", "0:0", "root:root"].contains(user));
    if user.is_some() {
        text += "USER root\n";
    }
    text += &run(manager, &wanted, toolchain.as_ref());
    if let Some(Toolchain { drivers: [c, cxx], .. }) = &toolchain {
        text += &format!("ENV CC={c} CXX={cxx}\n");
    }
    if let Some(user) = user {
        text += &format!("USER {}\n", plain(user, "user")?);
    }
    Ok(text)
}

/// What a compiler that is there needs for a variant; one that has no packages may be there all the same.
fn extras(known: Option<Result<Toolchain, String>>) -> Vec<String> {
    known.and_then(Result::ok).map(|chain| chain.extras).unwrap_or_default()
}

/// What no Dockerfile and no shell sees more in than a word.
fn plain<'a>(text: &'a str, what: &str) -> Result<&'a str, String> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/@".contains(&b);
    match !text.is_empty() && !text.starts_with('-') && text.bytes().all(is_plain) {
        true => Ok(text),
        false => Err(format!("{text:?} is no {what} that can stand in a Dockerfile")),
    }
}

/// As one word of a shell.
pub(super) fn quoted(text: &str) -> String {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.:/+=".contains(&b);
    match !text.is_empty() && text.bytes().all(is_plain) {
        true => text.to_owned(),
        false => format!("'{}'", text.replace('\'', r"'\''")),
    }
}

/// The RUN that installs these, and leaves nothing else behind.
fn run(manager: Manager, wanted: &BTreeSet<String>, toolchain: Option<&Toolchain>) -> String {
    let words: Vec<_> = wanted.iter().map(|package| quoted(package)).collect();
    let list = words.join(" \\\n        ");
    let install = |command: &str| format!("{command} \\\n        {list}");
    let mut lines = Vec::new();
    match manager {
        Manager::Apt => {
            // In this RUN alone: an ENV would stay in the image.
            lines.push("export DEBIAN_FRONTEND=noninteractive".to_owned());
            lines.extend(foreign(wanted).map(|arch| format!("dpkg --add-architecture {}", quoted(&arch))));
            lines.push("apt-get update".to_owned());
            lines.push(install("apt-get install -y --no-install-recommends"));
            lines.extend(toolchain.into_iter().flat_map(alternatives));
            lines.push("apt-get clean".to_owned());
            lines.push("rm -rf /var/lib/apt/lists/*".to_owned());
        }
        Manager::Apk => lines.push(install("apk add --no-cache")),
        Manager::Dnf(program) => {
            lines.push(install(&format!("{program} install -y")));
            // larder cannot read rpm's database, so that rpm itself says whether they are there.
            lines.push(format!("rpm -q --whatprovides \\\n        {list}"));
            lines.push(format!("{program} clean all"));
            lines.push("rm -rf /var/cache/dnf /var/cache/libdnf5 /var/cache/yum".to_owned());
        }
        Manager::Pacman => {
            lines.push(install("pacman -Syu --noconfirm --needed"));
            lines.push("rm -rf /var/cache/pacman/pkg/* /var/lib/pacman/sync/*".to_owned());
        }
    }
    format!("RUN {}\n", lines.join(" && \\\n    "))
}

/// Architectures that dpkg has to know of first.
fn foreign(wanted: &BTreeSet<String>) -> impl Iterator<Item = String> {
    let named: BTreeSet<_> = wanted
        .iter()
        .filter_map(|package| package.split_once(':'))
        .map(|(_, arch)| arch.to_owned())
        .collect();
    named.into_iter().filter(|arch| !["all", "any", "native"].contains(&arch.as_str()))
}

/// Whoever calls `gcc` or `cc` gets the compiler that was asked for; where a package has that name already, it stays the package's.
fn alternatives(toolchain: &Toolchain) -> impl Iterator<Item = String> {
    toolchain.alternatives.iter().map(|alternative| {
        let link = |name: &str, program: &str| format!("/usr/bin/{name} {name} /usr/bin/{program}");
        let slaves = alternative
            .slaves
            .iter()
            .map(|(name, program)| format!(" \\\n        --slave {}", link(name, program)));
        let Alternative { name, program, .. } = alternative;
        // Of several of one priority the one that was there first would stay.
        format!(
            "update-alternatives --install {} 100{} && \\\n    update-alternatives --set {name} /usr/bin/{program}",
            link(name, program),
            slaves.collect::<String>()
        )
    })
}
