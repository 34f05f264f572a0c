//! What Dockerfiles are made of orders, for each distribution; and that no word becomes more than a word in them.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::generate::quoted;
use super::*;
use crate::build::dockerfile::{Command, Instruction, Run, parse};
use crate::catalog::{Arch, Asked, Compiler, Requirements, Suffix};

const NONE: &BTreeSet<Suffix> = &BTreeSet::new();

fn order<'a>(manager: Manager, base: &'a str) -> Order<'a> {
    Order {
        name: "p",
        base,
        platform: None,
        user: None,
        manager: Some(manager),
        compiler: None,
        has_compiler: false,
        suffixes: NONE,
        packages: &[],
        tools: &[],
    }
}

fn compiler(text: &str) -> Compiler {
    text.parse().unwrap()
}

fn job(words: &[&str]) -> Requirements {
    let [project, os, arch, compiler, suffixes] = words else { panic!("five words") };
    let asked = Asked {
        project: (!project.is_empty()).then(|| project.parse().unwrap()),
        os: Some(os.parse().unwrap()),
        arch: Some(arch.parse().unwrap()),
        compiler: (!compiler.is_empty()).then(|| compiler.parse().unwrap()),
        suffixes: suffixes.split_whitespace().map(|suffix| suffix.parse().unwrap()).collect(),
        ..Asked::default()
    };
    asked.whole("amd64".parse().unwrap()).unwrap()
}

#[test]
fn names_are_those_of_the_convention() {
    let host: Arch = "amd64".parse().unwrap();
    for (words, expected) in [
        (["p", "debian:12", "amd64", "gcc-12", ""], Some("p-debian-12-gcc12:latest")),
        (["p", "debian:12", "amd64", "", ""], Some("p-debian-12:latest")),
        (["p", "debian:12", "amd64", "gcc-12", "ubsan asan"], Some("p-debian-12-gcc12-asan-ubsan:latest")),
        (["p", "debian:12", "x86", "gcc-12", ""], Some("p-debian-12-gcc12-x86:latest")),
        (["p", "debian:12", "arm64", "gcc-12", ""], Some("p-debian-12-gcc12:arm64")),
        (["p", "debian:12", "arm/v7", "", ""], Some("p-debian-12:arm-v7")),
        (["p", "sled:15.6", "amd64", "", ""], None),
        (["", "debian:12", "amd64", "", ""], None),
    ] {
        let made = reference(&job(&words), &host, None).map(|reference| reference.familiar());
        assert_eq!(made.as_deref(), expected, "{words:?}");
    }
    for (words, base, expected) in [
        (["p", "debian:12", "amd64", "gcc-12", ""], "debian:12", "p-debian-12-gcc12:latest"),
        (["p", "debian:12", "amd64", "", ""], "quay.io/ci/deb_x:1.2", "p-debian-12:on-quay.io-ci-deb_x-1.2"),
        (["p", "debian:12", "arm64", "", ""], "p-debian-12", "p-debian-12:on-p-debian-12-latest-arm64"),
    ] {
        let base = base.parse().unwrap();
        let made = reference(&job(&words), &host, Some(&base)).unwrap();
        assert_eq!(made.familiar(), expected, "{words:?}");
    }
    let long = format!("example.org/{}:1", "a".repeat(200)).parse().unwrap();
    assert!(reference(&job(&["p", "debian:12", "arm64", "", ""]), &host, Some(&long)).is_some());
    let job = job(&["my-lib", "debian:12", "amd64", "gcc-12", "cov"]);
    assert_eq!(definition(&job).as_deref(), Some("my-lib/Dockerfile.my-lib-debian-12-gcc12-cov"));
}

#[test]
fn debian_gets_packages_alternatives_and_no_lists() {
    let gcc = compiler("gcc-12.2");
    let order = Order {
        compiler: Some(&gcc),
        packages: &["libssl-dev", "libc6:i386"],
        tools: &["cmake", "ninja"],
        ..order(Manager::Apt, "debian:12")
    };
    assert_eq!(
        generate(&order).unwrap(),
        "FROM debian:12
RUN export DEBIAN_FRONTEND=noninteractive && \\
    dpkg --add-architecture i386 && \\
    apt-get update && \\
    apt-get install -y --no-install-recommends \\
        cmake \\
        g++-12 \\
        gcc-12 \\
        libc6:i386 \\
        libssl-dev \\
        ninja-build && \\
    update-alternatives --install /usr/bin/gcc gcc /usr/bin/gcc-12 100 \\
        --slave /usr/bin/g++ g++ /usr/bin/g++-12 \\
        --slave /usr/bin/gcov gcov /usr/bin/gcov-12 && \\
    update-alternatives --set gcc /usr/bin/gcc-12 && \\
    update-alternatives --install /usr/bin/cc cc /usr/bin/gcc-12 100 && \\
    update-alternatives --set cc /usr/bin/gcc-12 && \\
    update-alternatives --install /usr/bin/c++ c++ /usr/bin/g++-12 100 && \\
    update-alternatives --set c++ /usr/bin/g++-12 && \\
    apt-get clean && \\
    rm -rf /var/lib/apt/lists/*
ENV CC=gcc-12 CXX=g++-12
LABEL org.opencontainers.image.title=p
"
    );
}

#[test]
fn others_get_what_they_call_it() {
    let (gcc, clang) = (compiler("gcc-14"), compiler("clang-18"));
    let alpine = Order { compiler: Some(&clang), tools: &["ninja"], ..order(Manager::Apk, "alpine:3.21") };
    assert_eq!(
        generate(&alpine).unwrap(),
        "FROM alpine:3.21
RUN apk add --no-cache \\
        clang18 \\
        cmd:ninja \\
        g++ \\
        musl-dev
ENV CC=clang-18 CXX=clang++-18
LABEL org.opencontainers.image.title=p
"
    );
    let asan = BTreeSet::from([Suffix::Asan]);
    let fedora = Order {
        compiler: Some(&gcc),
        suffixes: &asan,
        packages: &["openssl-devel"],
        tools: &["cmake"],
        user: Some("build:users"),
        platform: Some("linux/arm64"),
        ..order(Manager::Dnf("microdnf"), "fedora:41")
    };
    assert_eq!(
        generate(&fedora).unwrap(),
        "FROM --platform=linux/arm64 fedora:41
USER root
RUN microdnf install -y \\
        /usr/bin/cmake \\
        gcc \\
        gcc-c++ \\
        libasan \\
        openssl-devel && \\
    rpm -q --whatprovides \\
        /usr/bin/cmake \\
        gcc \\
        gcc-c++ \\
        libasan \\
        openssl-devel && \\
    microdnf clean all && \\
    rm -rf /var/cache/dnf /var/cache/libdnf5 /var/cache/yum
ENV CC=gcc CXX=g++
USER build:users
LABEL org.opencontainers.image.title=p
"
    );
    let arch = Order { compiler: Some(&gcc), tools: &["ninja"], ..order(Manager::Pacman, "archlinux") };
    assert_eq!(
        generate(&arch).unwrap(),
        "FROM archlinux
RUN pacman -Syu --noconfirm --needed \\
        gcc \\
        ninja && \\
    rm -rf /var/cache/pacman/pkg/* /var/lib/pacman/sync/*
ENV CC=gcc CXX=g++
LABEL org.opencontainers.image.title=p
"
    );
    assert_eq!(
        generate(&order(Manager::Apt, "debian:12")).unwrap(),
        "FROM debian:12\nLABEL org.opencontainers.image.title=p\n"
    );
}

#[test]
fn old_and_sanitized_compilers_have_packages_of_their_own() {
    let both = BTreeSet::from([Suffix::Asan, Suffix::Cov]);
    for (said, suffixes, expected) in [
        ("gcc-4.9.2", NONE, "g++-4.9 gcc-4.9"),
        ("gcc-12.2.0", NONE, "g++-12 gcc-12"),
        ("clang-6.0", NONE, "clang-6.0"),
        ("clang-14", NONE, "clang-14"),
        ("clang-14", &both, "clang-14 libclang-rt-14-dev llvm-14"),
        ("gcc-12", &both, "g++-12 gcc-12"),
    ] {
        let made = super::packages::of_compiler(Manager::Apt, &compiler(said), suffixes).unwrap();
        let all: BTreeSet<_> = made.packages.into_iter().chain(made.extras).collect();
        assert_eq!(all.into_iter().collect::<Vec<_>>().join(" "), expected, "{said}");
    }
}

#[test]
fn a_compiler_that_is_there_gets_what_its_variant_lacks() {
    let asan = BTreeSet::from([Suffix::Asan]);
    for (said, manager, suffixes, expected) in [
        ("gcc-12", Manager::Apt, &asan, None),
        ("icx-2025.0", Manager::Apt, &asan, None),
        ("clang-14", Manager::Apt, NONE, None),
        ("clang-14", Manager::Apt, &asan, Some("libclang-rt-14-dev")),
        ("gcc-14", Manager::Dnf("dnf"), &asan, Some("libasan")),
    ] {
        let compiler = compiler(said);
        let base = order(manager, "base");
        let text =
            generate(&Order { compiler: Some(&compiler), has_compiler: true, suffixes, ..base }).unwrap();
        match expected {
            None => assert_eq!(text, "FROM base\nLABEL org.opencontainers.image.title=p\n", "{said}"),
            Some(package) => assert!(text.contains(package) && !text.contains("ENV"), "{text}"),
        }
    }
}

#[test]
fn what_cannot_be_had_is_said() {
    let icx = compiler("icx-2025.0");
    let base = || order(Manager::Apt, "debian:12");
    for (bad, says) in [
        (Order { compiler: Some(&icx), ..base() }, "icx"),
        (Order { packages: &["cmake"], manager: None, ..base() }, "none of apt-get, apk"),
        (Order { packages: &["cmake"], user: Some("x y"), ..base() }, "no user"),
        (Order { base: "$BASE", ..base() }, "no name of a base"),
        (Order { base: "-x", ..base() }, "no name of a base"),
        (Order { packages: &["libc6:i386"], ..order(Manager::Apk, "alpine") }, "only apt-get"),
        (Order { tools: &["/bin/sh"], ..base() }, "/bin/sh"),
    ] {
        let why = generate(&bad).unwrap_err();
        assert!(why.contains(says), "{why}");
    }
    for package in [
        "-oDir::Cache=/",
        "./x.deb",
        "/x",
        "x=1",
        "x/sid",
        "x-",
        "~nx",
        "^x",
        "@group",
        "a:b:c",
        "a:",
        ":a",
        "_x",
    ] {
        let why = generate(&Order { packages: &[package], ..base() }).unwrap_err();
        assert!(why.contains(package), "{why}");
    }
}

#[test]
fn the_manager_is_the_systems_own() {
    let among = |os, programs: &[&str]| Manager::of(os, &|name| programs.contains(&name));
    assert_eq!(among("debian", &["apt-get", "dnf"]), Some(Manager::Apt));
    assert_eq!(among("fedora", &["apt-get", "dnf"]), Some(Manager::Dnf("dnf")));
    assert_eq!(among("rocky", &["microdnf"]), Some(Manager::Dnf("microdnf")));
    assert_eq!(among("arch", &["pacman"]), Some(Manager::Pacman));
    assert_eq!(among("alpine", &["apk"]), Some(Manager::Apk));
    assert_eq!(among("myos", &["apk"]), Some(Manager::Apk));
    assert_eq!(among("debian", &["sh"]), None);
}

/// The words of a text as a POSIX shell splits it, as far as what is generated goes: plain characters, quotes, continued lines. What else means
/// something to a shell is none of its words.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut chars) = (Vec::new(), None::<String>, text.chars());
    while let Some(c) = chars.next() {
        match c {
            ' ' | '\n' | '\t' => words.extend(word.take()),
            '\'' => {
                let word = word.get_or_insert_default();
                let inside: String = chars.by_ref().take_while(|c| *c != '\'').collect();
                word.push_str(&inside);
            }
            '\\' => match chars.next().unwrap() {
                '\n' => {}
                c => word.get_or_insert_default().push(c),
            },
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word.take());
    words
}

fn managers() -> impl Strategy<Value = Manager> {
    prop::sample::select(vec![Manager::Apt, Manager::Apk, Manager::Dnf("dnf"), Manager::Pacman])
}

proptest! {
    #[test]
    fn quotes_hold_any_text(text in any::<String>()) {
        let text = text.replace('\0', "");
        prop_assert_eq!(words(&quoted(&text)), [text]);
    }

    /// Whatever is asked for, it is refused, or stands between the words that are there without it.
    #[test]
    fn what_is_asked_for_is_words_and_nothing_else(
        manager in managers(),
        packages in prop::collection::vec("[a-z0-9+-]{1,8}(:[a-z0-9]{1,4})?|[!-~]{1,12}|\\PC{1,8}|.{1,5}", 0..4),
        tools in prop::collection::vec("[a-z0-9+-]{1,8}|[!-~]{1,12}|.{1,5}", 0..3),
        user in prop::option::of("[a-z]{1,5}|.{1,6}"),
    ) {
        let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
        let tools: Vec<&str> = tools.iter().map(String::as_str).collect();
        let order = Order { packages: &packages, tools: &tools, user: user.as_deref(), ..order(manager, "debian:12") };
        let Ok(text) = generate(&order) else { return Ok(()) };
        let read = parse(&text).map_err(|problems| TestCaseError::fail(format!("{text}: {problems:?}")))?;
        prop_assert_eq!(read.stages.len(), 1);
        let steps = &read.stages[0].steps;
        let commands: Vec<_> = steps.iter().filter_map(|step| match &step.instruction {
            Instruction::Run(Run::Command(Command::Shell(text))) => Some(words(text)),
            Instruction::User(_) | Instruction::Label(_) => None,
            other => panic!("{other:?}"),
        }).collect();
        if packages.is_empty() && tools.is_empty() {
            prop_assert_eq!(commands.len(), 0);
            return Ok(());
        }
        prop_assert_eq!(commands.len(), 1);
        // The same of one package that is known: all else is alike.
        let known = generate(&Order { packages: &["known"], tools: &[], ..order }).unwrap();
        let known = parse(&known).unwrap().stages.remove(0).steps;
        let known: Vec<_> = known.iter().filter_map(|step| match &step.instruction {
            Instruction::Run(Run::Command(Command::Shell(text))) => Some(words(text)),
            _ => None,
        }).collect();
        let is_known = |word: &&String| *word != "known";
        let known: Vec<_> = known[0].iter().filter(is_known).collect();
        let named: BTreeSet<String> = packages.iter().map(ToString::to_string)
            .chain(tools.iter().map(|tool| super::packages::of_tool(manager, tool).unwrap())).collect();
        let archs: BTreeSet<_> = packages.iter().filter_map(|package| package.split_once(':')).map(|(_, arch)| arch).collect();
        let mut left = named.clone();
        let mut rest = Vec::new();
        let mut said = commands[0].iter().peekable();
        while let Some(word) = said.next() {
            if named.contains(word) && !known.contains(&word) {
                left.remove(word);
            } else if word == "dpkg" {
                let add: Vec<_> = said.by_ref().take(3).cloned().collect();
                prop_assert!(add[0] == "--add-architecture" && archs.contains(add[1].as_str()) && add[2] == "&&", "{add:?}");
            } else {
                rest.push(word);
            }
        }
        left.retain(|word| !known.contains(&word));
        prop_assert_eq!(left, BTreeSet::new());
        let mut expected = known;
        // A package may be called as a word of the command is.
        rest.retain(|word| !named.contains(*word));
        expected.retain(|word| !named.contains(*word));
        prop_assert_eq!(rest, expected);
    }
}
