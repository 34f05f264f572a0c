//! What compilers and tools are called as packages, and which words may stand for a package at all.

use std::collections::BTreeSet;

use super::manager::Manager;
use crate::catalog::{Compiler, Suffix};

/// A compiler as packages, and how it is called then.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Toolchain {
    pub(super) packages: Vec<String>,
    /// What it needs for a variant beside itself.
    pub(super) extras: Vec<String>,
    /// For C and C++.
    pub(super) drivers: [String; 2],
    /// Names that shall mean this compiler (update-alternatives): link, name, path, and others that go with it.
    pub(super) alternatives: Vec<Alternative>,
}

/// A link below `/usr/bin` that several packages would like to be theirs.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Alternative {
    pub(super) name: &'static str,
    pub(super) program: String,
    /// Those that follow it.
    pub(super) slaves: Vec<(&'static str, String)>,
}

/// Tools whose package has another name: with apt-get, with pacman. The others find a program by its path.
const TOOLS: [(&str, &str, &str); 17] = [
    ("7z", "p7zip-full", "7zip"),
    ("ar", "binutils", "binutils"),
    ("awk", "gawk", "gawk"),
    ("clang-format", "clang-format", "clang"),
    ("clang-tidy", "clang-tidy", "clang"),
    ("cpack", "cmake", "cmake"),
    ("ctest", "cmake", "cmake"),
    ("dot", "graphviz", "graphviz"),
    ("g++", "g++", "gcc"),
    ("gpg", "gnupg", "gnupg"),
    ("ninja", "ninja-build", "ninja"),
    ("node", "nodejs", "nodejs"),
    ("pip3", "python3-pip", "python-pip"),
    ("pkg-config", "pkg-config", "pkgconf"),
    ("ps", "procps", "procps-ng"),
    ("python3", "python3", "python"),
    ("ssh", "openssh-client", "openssh"),
];

/// The package of a tool, as the manager is asked for it.
pub(super) fn of_tool(manager: Manager, tool: &str) -> Result<String, String> {
    is_tool(tool)?;
    let known = TOOLS.iter().find(|(name, ..)| *name == tool);
    Ok(match manager {
        Manager::Apk => format!("cmd:{tool}"),
        Manager::Dnf(_) => format!("/usr/bin/{tool}"),
        Manager::Apt => known.map_or(tool, |(_, apt, _)| apt).to_owned(),
        Manager::Pacman => known.map_or(tool, |(.., pacman)| pacman).to_owned(),
    })
}

/// Whether this may be the name of a program; the error is a phrase.
pub(crate) fn is_tool(tool: &str) -> Result<(), String> {
    match is_name(tool) {
        true => Ok(()),
        false => Err(format!("{tool:?} is no program that a package could be found by")),
    }
}

/// A package as this manager is asked for it.
pub(super) fn checked(manager: Manager, package: &str) -> Result<String, String> {
    is_package(package)?;
    match package.contains(':') && manager != Manager::Apt {
        true => Err(format!("{package:?} names an architecture, which only apt-get takes")),
        false => Ok(package.to_owned()),
    }
}

/// Whether this may be a package, for whatever manager. What they would take for more than a name is refused: an option, a file, a version, a
/// removal. The error is a phrase.
pub(crate) fn is_package(package: &str) -> Result<(), String> {
    let (name, arch) = package.split_once(':').map_or((package, None), |(name, arch)| (name, Some(arch)));
    let is_arch = |arch: &str| {
        !arch.is_empty() && arch.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    match is_name(name) && arch.is_none_or(is_arch) {
        true => Ok(()),
        false => Err(format!(
            "{package:?} is more than the name of a package: expected letters, digits and `+-._`, the first a letter or digit, the last no `-`"
        )),
    }
}

/// The same for all managers: begins with a letter or digit, so it is no option, path or group; does not end as apt-get's removals do.
fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !text.ends_with('-')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-._".contains(&b))
}

/// The packages of a compiler. Of what a distribution has in one version only, that one is taken: whether it is the right one is seen when it is there.
pub(super) fn of_compiler(
    manager: Manager,
    compiler: &Compiler,
    suffixes: &BTreeSet<Suffix>,
) -> Result<Toolchain, String> {
    let sanitizers: Vec<_> = suffixes
        .iter()
        .filter_map(|suffix| match suffix {
            Suffix::Asan => Some("libasan"),
            Suffix::Ubsan => Some("libubsan"),
            Suffix::Tsan => Some("libtsan"),
            Suffix::Cov | Suffix::X86 => None,
        })
        .collect();
    let version = release(compiler);
    let list = |packages: &[&str]| packages.iter().map(ToString::to_string).collect::<Vec<_>>();
    let packages = match (compiler.family(), manager) {
        ("gcc", Manager::Apt) => list(&[&format!("g++-{version}"), &format!("gcc-{version}")]),
        ("gcc", Manager::Apk) => list(&["g++", "gcc", "musl-dev"]),
        ("gcc", Manager::Dnf(_)) => list(&["gcc", "gcc-c++"]),
        ("gcc", Manager::Pacman) => list(&["gcc"]),
        ("clang", Manager::Apt) => list(&[&format!("clang-{version}")]),
        ("clang", Manager::Apk) => list(&[&format!("clang{version}"), "g++", "musl-dev"]),
        ("clang", Manager::Dnf(_) | Manager::Pacman) => list(&["clang"]),
        (family, _) => return Err(format!("no package is known that has {family}")),
    };
    let with_version = manager == Manager::Apt || compiler.family() == "clang" && manager == Manager::Apk;
    let cov = suffixes.contains(&Suffix::Cov);
    let is_plain = sanitizers.is_empty() && !cov;
    let with_llvm = |runtime: &str, llvm: &str| {
        [Some(runtime), cov.then_some(llvm)].into_iter().flatten().map(str::to_owned).collect()
    };
    let extras = match (compiler.family(), manager) {
        ("gcc", Manager::Dnf(_)) => list(&sanitizers),
        ("gcc", _) => Vec::new(),
        _ if is_plain => Vec::new(),
        // Before, what it needs came with it.
        (_, Manager::Apt)
            if version.parse::<u32>().is_ok_and(|version| version < 14) || version.contains('.') =>
        {
            cov.then(|| format!("llvm-{version}")).into_iter().collect()
        }
        (_, Manager::Apt) => with_llvm(&format!("libclang-rt-{version}-dev"), &format!("llvm-{version}")),
        (_, Manager::Apk) => with_llvm("compiler-rt", &format!("llvm{version}")),
        _ => with_llvm("compiler-rt", "llvm"),
    };
    let end = if with_version { format!("-{version}") } else { String::new() };
    let drivers = if compiler.family() == "gcc" { ["gcc", "g++"] } else { ["clang", "clang++"] };
    let drivers = drivers.map(|driver| format!("{driver}{end}"));
    let alternatives = if manager == Manager::Apt { alternatives(compiler, &end) } else { Vec::new() };
    Ok(Toolchain { packages, extras, drivers, alternatives })
}

/// As Debian calls releases: by their first number, and by two numbers those of the old schemes.
fn release(compiler: &Compiler) -> String {
    let mut numbers = compiler.version().split('.');
    let first = numbers.next().unwrap_or_default();
    let is_old = match compiler.family() {
        "gcc" => first.parse::<u32>().is_ok_and(|first| first < 5),
        _ => first.parse::<u32>().is_ok_and(|first| first < 7),
    };
    match numbers.next().filter(|_| is_old) {
        Some(second) => format!("{first}.{second}"),
        None => first.to_owned(),
    }
}

fn alternatives(compiler: &Compiler, end: &str) -> Vec<Alternative> {
    let is_gcc = compiler.family() == "gcc";
    let (c, cxx) = if is_gcc { ("gcc", "g++") } else { ("clang", "clang++") };
    let mut slaves = vec![(cxx, format!("{cxx}{end}"))];
    if is_gcc {
        slaves.push(("gcov", format!("gcov{end}")));
    }
    let alone = |name, driver: &str| Alternative { name, program: format!("{driver}{end}"), slaves: vec![] };
    let own = Alternative { name: c, program: format!("{c}{end}"), slaves };
    vec![own, alone("cc", c), alone("c++", cxx)]
}
