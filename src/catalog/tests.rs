//! Names good and bad, and what is proposed for the bad ones.

use super::compiler::FAMILIES;
use super::name::{Name, Suffix};
use super::nearest::{nearest, normalize};
use super::os::{KNOWN, WORDS};

#[test]
fn names_are_read_into_their_parts() {
    for (text, project, os, compiler, suffixes) in [
        ("capy-ubuntu-25.04-gcc15", "capy", "ubuntu:25.04", "gcc-15", ""),
        ("capy-ubuntu-25.04-clang20-asan", "capy", "ubuntu:25.04", "clang-20", "asan"),
        (
            "capy-ubuntu-25.04-gcc15-cov-asan-ubsan-tsan-x86",
            "capy",
            "ubuntu:25.04",
            "gcc-15",
            "cov asan ubsan tsan x86",
        ),
        ("capy-ubuntu-25.04", "capy", "ubuntu:25.04", "-", ""),
        ("capy-debian-12-x86", "capy", "debian:12", "-", "x86"),
        ("capy-debian-12-gcc12", "capy", "debian:12", "gcc-12", ""),
        ("capy-debian-sid-gcc15.2", "capy", "debian:sid", "gcc-15.2", ""),
        ("capy-arch-rolling-clang20", "capy", "arch:rolling", "clang-20", ""),
        ("capy-alpine-3.20.3-gcc13", "capy", "alpine:3.20.3", "gcc-13", ""),
        ("capy-alpine-3.23_alpha20250612-gcc15", "capy", "alpine:3.23_alpha20250612", "gcc-15", ""),
        ("capy-opensuse-leap-15.6-gcc7", "capy", "opensuse-leap:15.6", "gcc-7", ""),
        ("capy-opensuse-tumbleweed-rolling-gcc15", "capy", "opensuse-tumbleweed:rolling", "gcc-15", ""),
        ("capy-macos-15-apple-clang17", "capy", "macos:15", "apple-clang-17", ""),
        ("capy-windows-2022-msvc14.3", "capy", "windows:2022", "msvc-14.3", ""),
        ("capy-windows-2022-clang-cl19-asan", "capy", "windows:2022", "clang-cl-19", "asan"),
        ("http-proto-ubuntu-24.04-gcc14", "http-proto", "ubuntu:24.04", "gcc-14", ""),
        ("boost-1.88-ubuntu-24.04-gcc14", "boost-1.88", "ubuntu:24.04", "gcc-14", ""),
        ("my_lib-ubuntu-24.04-icx2025.0", "my_lib", "ubuntu:24.04", "icx-2025.0", ""),
        ("7zip-2-debian-13-gcc14", "7zip-2", "debian:13", "gcc-14", ""),
        // Words of other parts, which mean nothing on their own.
        ("ubuntu-tools-ubuntu-24.04", "ubuntu-tools", "ubuntu:24.04", "-", ""),
        ("arch-ubuntu-24.04-gcc14", "arch", "ubuntu:24.04", "gcc-14", ""),
        ("gcc-ubuntu-24.04-gcc14", "gcc", "ubuntu:24.04", "gcc-14", ""),
        ("x86-emulator-ubuntu-24.04-gcc14", "x86-emulator", "ubuntu:24.04", "gcc-14", ""),
        ("opensuse-debian-12-gcc12", "opensuse", "debian:12", "gcc-12", ""),
        ("apple-ubuntu-24.04-clang18", "apple", "ubuntu:24.04", "clang-18", ""),
    ] {
        let name: Name = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
        let variant = name.variant();
        let said = variant.compiler.as_ref().map_or("-".to_owned(), ToString::to_string);
        let suffix_words: Vec<_> = variant.suffixes.iter().map(ToString::to_string).collect();
        assert_eq!(
            (name.project().to_string().as_str(), name.os().to_string().as_str(), said.as_str()),
            (project, os, compiler),
            "{text}"
        );
        assert_eq!(suffix_words.join(" "), suffixes, "{text}");
        assert_eq!(name.to_string(), text);
        assert_eq!(normalize(text), Some(name), "a name is its own nearest");
    }
}

#[test]
fn what_is_off_the_convention_has_a_reason_and_the_nearest_name() {
    for (text, reason, proposed) in [
        // Suffixes.
        ("capy-ubuntu-25.04-clang20-ubsan-asan", "order", "capy-ubuntu-25.04-clang20-asan-ubsan"),
        ("capy-ubuntu-25.04-clang20-asan-cov", "order", "capy-ubuntu-25.04-clang20-cov-asan"),
        ("capy-ubuntu-25.04-gcc15-x86-tsan", "order", "capy-ubuntu-25.04-gcc15-tsan-x86"),
        ("capy-ubuntu-25.04-gcc15-asan-asan", "twice", "capy-ubuntu-25.04-gcc15-asan"),
        ("capy-ubuntu-25.04-gcc15-coverage", "\"coverage\"", "capy-ubuntu-25.04-gcc15-cov"),
        ("capy-ubuntu-25.04-gcc15-32bit", "\"32bit\"", "capy-ubuntu-25.04-gcc15-x86"),
        ("capy-ubuntu-25.04-asan-gcc15", "before gcc15", "capy-ubuntu-25.04-gcc15-asan"),
        // Compilers.
        ("capy-ubuntu-25.04-gcc-15", "\"15\"", "capy-ubuntu-25.04-gcc15"),
        ("capy-ubuntu-25.04-gcc-15-asan", "\"15\"", "capy-ubuntu-25.04-gcc15-asan"),
        ("capy-ubuntu-25.04-clang++20", "clang++20", "capy-ubuntu-25.04-clang20"),
        ("capy-ubuntu-25.04-clang++-20", "\"20\"", "capy-ubuntu-25.04-clang20"),
        ("capy-ubuntu-25.04-g++15", "g++15", "capy-ubuntu-25.04-gcc15"),
        ("capy-ubuntu-25.04-g++-15", "\"15\"", "capy-ubuntu-25.04-gcc15"),
        ("capy-macos-15-apple-clang-17", "\"17\"", "capy-macos-15-apple-clang17"),
        ("capy-ubuntu-25.04-gcc15-gcc15", "before gcc15", "capy-ubuntu-25.04-gcc15"),
        ("capy-gcc15-ubuntu-25.04", "gcc-15", "capy-ubuntu-25.04-gcc15"),
        ("capy-gcc-15-asan-ubuntu-25.04", "asan", "capy-ubuntu-25.04-gcc15-asan"),
        ("capy-ubuntu-25.04-gcc15-clang20", "before clang20", "-"),
        ("capy-ubuntu-25.04-gcc", "\"gcc\"", "-"),
        ("capy-ubuntu-25.04-gcc015", "\"gcc015\"", "-"),
        ("capy-ubuntu-25.04-gcc*", "\"gcc*\"", "-"),
        ("capy-ubuntu-25.04-tcc1", "\"tcc1\"", "-"),
        // Systems.
        ("capy-ubuntu25.04-gcc15", "os", "capy-ubuntu-25.04-gcc15"),
        ("capy-ubuntu25.04", "os", "capy-ubuntu-25.04"),
        ("capy-debian-bookworm-gcc12", "os", "capy-debian-12-gcc12"),
        ("capy-ubuntu-noble-clang18-asan", "os", "capy-ubuntu-24.04-clang18-asan"),
        ("capy-archlinux-gcc15", "os", "capy-arch-rolling-gcc15"),
        ("capy-arch-gcc15", "os", "capy-arch-rolling-gcc15"),
        ("capy-tumbleweed-gcc15", "os", "capy-opensuse-tumbleweed-rolling-gcc15"),
        ("capy-leap-15.6-gcc7", "os", "capy-opensuse-leap-15.6-gcc7"),
        ("capy-rockylinux-9-gcc11", "os", "capy-rocky-9-gcc11"),
        ("capy-ubuntu-gcc15", "os", "-"),
        ("capy-ubuntu-latest-gcc15", "os", "-"),
        ("capy-ubuntu", "os", "-"),
        ("capy-plan9-4-gcc15", "os", "-"),
        ("capy-25.04-gcc15", "os", "-"),
        // Projects.
        ("ubuntu-25.04-gcc15", "project", "-"),
        ("-ubuntu-25.04-gcc15", "project", "-"),
        ("capy--ubuntu-25.04-gcc15", "capy-", "capy-ubuntu-25.04-gcc15"),
        ("capy-ubuntu-22.04-ubuntu-25.04-gcc15", "ubuntu:22.04", "-"),
        ("c+py-ubuntu-25.04-gcc15", "c+py", "-"),
        // Spelling.
        ("Capy-Ubuntu-25.04-GCC15", "GCC15", "capy-ubuntu-25.04-gcc15"),
        ("CAPY-ubuntu-25.04-gcc15", "CAPY", "capy-ubuntu-25.04-gcc15"),
        ("capy_ubuntu_25.04_gcc15", "os", "capy-ubuntu-25.04-gcc15"),
        ("my_lib-ubuntu-25.04-gcc-15", "os", "my_lib-ubuntu-25.04-gcc15"),
        ("my_lib_ubuntu_25.04_gcc_15", "os", "my-lib-ubuntu-25.04-gcc15"),
        ("capy ubuntu 25.04 gcc 15", "os", "capy-ubuntu-25.04-gcc15"),
        ("capy-ubuntu-25.04-", "\"\"", "capy-ubuntu-25.04"),
        // Words without a place are not left out.
        ("capy-debian-12-multi", "\"multi\"", "-"),
        ("capy-ubuntu-25.04-gcc15-nightly", "\"nightly\"", "-"),
        ("capy-ubuntu-25.04-gcc15-msan", "\"msan\"", "-"),
        ("capy-ubuntu-25.04-gcc15-arm64", "\"arm64\"", "-"),
        ("gcc15", "before gcc15", "-"),
        ("debian", "\"debian\"", "-"),
        ("asan", "in it", "-"),
        ("", "\"\"", "-"),
    ] {
        let why = text.parse::<Name>().expect_err(text);
        assert!(why.contains(reason), "{text}: {why}");
        let found = normalize(text).map_or("-".to_owned(), |name| name.to_string());
        assert_eq!(found, proposed, "{text}");
    }
}

#[test]
fn registry_namespace_and_tag_are_as_they_like() {
    for (text, name) in [
        ("capy-ubuntu-25.04-gcc15:v1.2", "capy-ubuntu-25.04-gcc15"),
        ("ghcr.io/me/ci/capy-ubuntu-25.04-gcc15:T_1", "capy-ubuntu-25.04-gcc15"),
        ("127.0.0.1:5000/capy-ubuntu-25.04-gcc15", "capy-ubuntu-25.04-gcc15"),
    ] {
        let reference = text.parse().expect("a reference");
        assert_eq!(Name::of(&reference).map(|name| name.to_string()), Ok(name.to_owned()));
        assert_eq!(nearest(text), Some(reference));
    }
    for (text, proposed) in [
        ("ghcr.io/Me/capy-ubuntu25.04-gcc-15:V1", "ghcr.io/me/capy-ubuntu-25.04-gcc15:V1"),
        ("127.0.0.1:5000/capy_ubuntu_25.04_gcc15", "127.0.0.1:5000/capy-ubuntu-25.04-gcc15:latest"),
        ("capy-ubuntu-25.04-gcc-15:v1", "capy-ubuntu-25.04-gcc15:v1"),
        ("capy-ubuntu-25.04-gcc-15:", "-"),
        ("capy-ubuntu-25.04-gcc-15:a b", "-"),
        ("../capy-ubuntu-25.04-gcc-15", "-"),
        ("capy:ubuntu-25.04-gcc15", "-"),
        ("capy/ubuntu-25.04-gcc15", "-"),
    ] {
        assert_eq!(nearest(text).map_or("-".to_owned(), |found| found.to_string()), proposed, "{text}");
    }
    assert_eq!(nearest(&format!("{}-ubuntu25.04", "a".repeat(300))), None, "too long to be a reference");
}

#[test]
fn the_page_says_what_is_so() {
    let page = include_str!("../../docs/naming.md");
    assert!(page.replace('\n', " ").contains(&format!("`id` is one of {}.", KNOWN.join(", "))));
    let quoted =
        |words: &[&str]| words.iter().map(|word| format!("{word:?}")).collect::<Vec<_>>().join(" / ");
    for words in [&FAMILIES[..], &WORDS, &Suffix::ALL.map(Suffix::as_str)] {
        assert!(page.contains(&quoted(words)), "{words:?}");
    }
    let (mut names, mut hints) = (0, 0);
    for row in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> =
            row.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        match cells[..] {
            [text, project, os, variant] if !text.contains("dev.larder") => {
                let name = Name::of(&text.parse().expect(text)).expect(text);
                assert_eq!((name.project().to_string(), name.os().to_string()), (project.into(), os.into()));
                let is_plain = variant.starts_with("none") && name.variant().is_plain();
                assert!(is_plain || name.variant().to_string() == variant, "{row}");
                names += 1;
            }
            [off, proposed] => {
                let found = normalize(off).map(|name| name.to_string());
                assert!(
                    found.as_deref() == Some(proposed) || found.is_none() && proposed.starts_with("none"),
                    "{row}"
                );
                hints += 1;
            }
            _ => {}
        }
    }
    assert!(names >= 8 && hints >= 9, "{names} names, {hints} hints");
}
