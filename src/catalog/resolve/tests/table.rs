//! Each case: what is asked, what is there, and the answer with both marks.

use super::answer;

type Case = (&'static str, &'static [&'static str], &'static str);

fn check(cases: &[Case]) {
    for (asked, offers, expected) in cases {
        assert_eq!(answer(asked, offers), *expected, "{asked}\n{}", offers.join("\n"));
    }
}

const GCC: &str = "a ubuntu:25.04 amd64 gcc-15.2.0";
const PLAIN: &str = "p ubuntu:25.04 amd64";
const CLANG: &str = "c ubuntu:25.04 amd64 clang-20.1.2";

#[test]
fn essential() {
    check(&[
        // Nothing there.
        ("ubuntu:25.04 amd64", &[], "none ubuntu:25.04"),
        ("ubuntu:25.04 amd64 gcc-15 +x @y", &[], "none ubuntu:25.04 lacks gcc-15 +x @y"),
        ("arch:rolling amd64", &[], "none archlinux:latest"),
        ("windows:11 amd64", &[], "none -"),
        // No compiler asked: satisfied.
        ("ubuntu:25.04 amd64", &[PLAIN], "use p 100+0"),
        ("ubuntu:25.04 amd64", &[GCC], "use a 100+0"),
        // The compiler is there, or is not.
        ("ubuntu:25.04 amd64 gcc-15", &[GCC], "use a 100+0"),
        ("ubuntu:25.04 amd64 gcc-15", &[PLAIN], "base p 70+0 lacks gcc-15"),
        ("ubuntu:25.04 amd64 gcc-15", &[PLAIN, GCC, CLANG], "use a 100+0"),
        ("ubuntu:25.04 amd64 gcc-15", &[CLANG], "base c 70+0 lacks gcc-15"),
        // Versions: as many numbers as are asked for.
        ("ubuntu:25.04 amd64 gcc-15.2", &[GCC], "use a 100+0"),
        ("ubuntu:25.04 amd64 gcc-15.2.0", &[GCC], "use a 100+0"),
        ("ubuntu:25.04 amd64 gcc-15.1", &[GCC], "base a 70+0 lacks gcc-15.1"),
        ("ubuntu:25.04 amd64 gcc-1", &[GCC], "base a 70+0 lacks gcc-1"),
        ("ubuntu:25.04 amd64 gcc-15.2", &["d ubuntu:25.04 amd64 gcc-15"], "base d 70+0 lacks gcc-15.2"),
        ("ubuntu:25.04 amd64 clang-15", &[GCC], "base a 70+0 lacks clang-15"),
        // One of several, whether it was read or declared.
        ("ubuntu:25.04 amd64 clang-20", &["b ubuntu:25.04 amd64 gcc-15.2.0 clang-20"], "use b 100+0"),
        // Another os or version is worth nothing, whatever its compiler.
        (
            "ubuntu:25.04 amd64 gcc-15",
            &["d debian:12 amd64 gcc-15.2.0 +x @y"],
            "none ubuntu:25.04 lacks gcc-15",
        ),
        ("ubuntu:25.04 amd64 gcc-15", &["d ubuntu:24.04 amd64 gcc-15.2.0"], "none ubuntu:25.04 lacks gcc-15"),
        ("ubuntu:25.04 amd64 gcc-15", &["d debian:12 amd64 gcc-15.2.0", PLAIN], "base p 70+0 lacks gcc-15"),
        ("debian:1 amd64", &["d debian:12 amd64"], "none debian:1"),
        // So is another architecture.
        ("ubuntu:25.04 arm64 gcc-15", &[GCC], "none ubuntu:25.04 lacks gcc-15"),
        ("ubuntu:25.04 arm64", &[PLAIN, "m ubuntu:25.04 arm64/v8"], "use m 100+0"),
        ("ubuntu:25.04 arm", &["m ubuntu:25.04 arm/v7"], "use m 100+0"),
        ("ubuntu:25.04 arm/v7", &["m ubuntu:25.04 arm/v5"], "none ubuntu:25.04"),
        ("ubuntu:25.04 arm/v7", &["m ubuntu:25.04 arm"], "use m 100+0"),
        ("ubuntu:25.04 x86_64", &[PLAIN], "use p 100+0"),
    ]);
}

/// Versions of an os as people ask for them, and as its os-release has them.
#[test]
fn versions_of_an_os() {
    check(&[
        ("alpine:3.20 amd64", &["d alpine:3.20.3 amd64"], "use d 100+0"),
        ("alpine:3 amd64", &["d alpine:3.20.3 amd64"], "none alpine:3"),
        ("alpine:3.2 amd64", &["d alpine:3.20.3 amd64"], "none alpine:3.2"),
        ("alpine:3.20.3 amd64", &["d alpine:3.20 amd64"], "none alpine:3.20.3"),
        ("rocky:9 amd64", &["d rocky:9.6 amd64"], "use d 100+0"),
        ("rocky:9 amd64", &["d ?rocky:9.6 amd64"], "use d 100+0"),
        ("rhel:9.1 amd64", &["d rhel:9.10 amd64"], "none -"),
        // The second number is a release of its own.
        ("ubuntu:25 amd64", &["d ubuntu:25.04 amd64"], "none ubuntu:25"),
        ("opensuse-leap:15 amd64", &["d opensuse-leap:15.6 amd64"], "none opensuse/leap:15"),
        ("amzn:2018 amd64", &["d amzn:2018.03 amd64"], "none amazonlinux:2018"),
        // Words, and what their os-release has in their place.
        ("alpine:edge amd64", &["d alpine:3.23_alpha20250612 amd64"], "use d 100+0"),
        ("alpine:edge amd64", &["d alpine:3.20.3 amd64"], "none alpine:edge"),
        ("alpine:3.23 amd64", &["d alpine:3.23_alpha20250612 amd64"], "none alpine:3.23"),
        ("opensuse-tumbleweed:rolling amd64", &["d opensuse-tumbleweed:20250120 amd64"], "use d 100+0"),
        ("arch:rolling amd64", &["d arch:20250120.0.1 amd64"], "use d 100+0"),
        ("kali:rolling amd64", &["d kali:2025.1 amd64"], "use d 100+0"),
        ("ubuntu:rolling amd64", &["d ubuntu:25.04 amd64"], "none ubuntu:rolling"),
        // What only a declaration can tell.
        ("fedora:rawhide amd64", &["d fedora:44 amd64"], "none fedora:rawhide"),
        ("fedora:rawhide amd64", &["d fedora:44 amd64 os=fedora:rawhide"], "use d 100+0"),
        ("fedora:rawhide amd64", &["d ubuntu:25.04 amd64 os=fedora:rawhide"], "none fedora:rawhide"),
        ("debian:13 amd64", &["d debian:12 amd64 os=debian:13"], "none debian:13"),
        ("debian:sid amd64", &["d debian amd64 os=debian:sid"], "use d 100+0"),
        ("debian:sid amd64", &["d debian amd64 os=debian:testing"], "none debian:sid"),
        ("debian:testing amd64", &["d debian amd64 os=debian:sid"], "none debian:testing"),
    ]);
}

#[test]
fn missing_metadata() {
    check(&[
        // Without an os-release no os matches, whatever is declared.
        ("ubuntu:25.04 amd64", &["n - amd64 gcc-15 +x @y"], "none ubuntu:25.04"),
        // What cannot be read is what it is declared to be.
        ("ubuntu:25.04 amd64 gcc-15", &["n ?ubuntu:25.04 amd64 gcc-15"], "use n 100+0"),
        ("ubuntu:25.04 amd64", &["n ?debian:12 amd64"], "none ubuntu:25.04"),
        ("ubuntu:25.04 amd64", &["n ? amd64"], "none ubuntu:25.04"),
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 ?"], "none ubuntu:25.04"),
        // No version: only a word stands for it.
        ("ubuntu:25.04 amd64", &["n ubuntu amd64"], "none ubuntu:25.04"),
        ("arch:rolling amd64 gcc-15", &["n arch amd64 gcc-15.1.1"], "use n 100+0"),
        ("debian:sid amd64", &["n debian amd64"], "use n 100+0"),
        ("debian:sid amd64", &["n debian:12 amd64"], "none debian:sid"),
    ]);
}

#[test]
fn x86() {
    check(&[
        ("ubuntu:25.04 x86", &["n ubuntu:25.04 386"], "use n 100+0"),
        ("ubuntu:25.04 386", &["n ubuntu:25.04 386 ~x86"], "use n 100+0"),
        ("ubuntu:25.04 x86", &["n ubuntu:25.04 amd64 ~x86"], "use n 100+0"),
        ("ubuntu:25.04 x86", &[PLAIN], "none ubuntu:25.04"),
        ("ubuntu:25.04 x86", &["n ubuntu:25.04 arm64 ~x86"], "none ubuntu:25.04"),
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 amd64 ~x86"], "none ubuntu:25.04"),
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 386"], "none ubuntu:25.04"),
        ("ubuntu:25.04 x86 gcc-15", &["n ubuntu:25.04 amd64 ~x86 gcc-15.2.0", PLAIN], "use n 100+0"),
        ("ubuntu:25.04 x86 gcc-15", &["n ubuntu:25.04 386", GCC], "base n 70+0 lacks gcc-15"),
        // x86 is no difference of variants.
        (
            "ubuntu:25.04 x86",
            &["n ubuntu:25.04 amd64 ~x86 used=2", "m ubuntu:25.04 386 used=1"],
            "use n 100+0",
        ),
    ]);
}

#[test]
fn extra() {
    check(&[
        ("ubuntu:25.04 amd64 +x", &["n ubuntu:25.04 amd64 +x"], "use n 100+10"),
        ("ubuntu:25.04 amd64 +x +y", &["n ubuntu:25.04 amd64 +x +y +z"], "use n 100+20"),
        ("ubuntu:25.04 amd64 @t", &["n ubuntu:25.04 amd64 @t"], "use n 100+20"),
        ("ubuntu:25.04 amd64 @t", &["n ubuntu:25.04 amd64 +t"], "use n 100+10"),
        ("ubuntu:25.04 amd64 @t", &["n ubuntu:25.04 amd64 +t @t"], "use n 100+20"),
        ("ubuntu:25.04 amd64 @t", &["n ubuntu:25.04 amd64 +t", "m ubuntu:25.04 amd64 @t"], "use m 100+20"),
        // A program is no package.
        ("ubuntu:25.04 amd64 +t", &["n ubuntu:25.04 amd64 @t"], "use n 100+0 lacks +t"),
        // What is there without being asked for counts nothing.
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 amd64 +x @t", "m ubuntu:25.04 amd64"], "use m 100+0"),
        // A full match that lacks something is used.
        ("ubuntu:25.04 amd64 gcc-15 +x @t", &[GCC], "use a 100+0 lacks +x @t"),
        (
            "ubuntu:25.04 amd64 +x +y @t",
            &["n ubuntu:25.04 amd64 +x", "m ubuntu:25.04 amd64 @t"],
            "use m 100+20 lacks +x +y",
        ),
        // Extra never stands in for what is essential.
        ("ubuntu:25.04 amd64 gcc-15 +x @t", &[GCC, "n ubuntu:25.04 amd64 +x @t"], "use a 100+0 lacks +x @t"),
        // Among bases it counts.
        (
            "ubuntu:25.04 amd64 gcc-15 +x @t",
            &[PLAIN, "n ubuntu:25.04 amd64 +x"],
            "base n 70+10 lacks gcc-15 @t",
        ),
        // An architecture with the package's name.
        (
            "ubuntu:25.04 amd64 +x:i386",
            &["n ubuntu:25.04 amd64 +x", "m ubuntu:25.04 amd64 +x:i386"],
            "use m 100+10",
        ),
    ]);
}

#[test]
fn strict() {
    check(&[
        ("ubuntu:25.04 amd64 gcc-15 strict", &[GCC], "use a 100+0"),
        ("ubuntu:25.04 amd64 gcc-15 +x strict", &[GCC], "base a 100+0 lacks +x"),
        ("ubuntu:25.04 amd64 gcc-15 @t strict", &[GCC], "base a 100+0 lacks @t"),
        ("ubuntu:25.04 amd64 @t strict", &["n ubuntu:25.04 amd64 +t"], "use n 100+10"),
        ("ubuntu:25.04 amd64 gcc-15 +x strict", &[PLAIN], "base p 70+0 lacks gcc-15 +x"),
        ("ubuntu:25.04 amd64 +x strict", &[], "none ubuntu:25.04 lacks +x"),
        ("ubuntu:25.04 amd64 ~asan strict", &[PLAIN], "base p 100+0 lacks ~asan"),
        ("ubuntu:25.04 amd64 ~asan", &[PLAIN], "use p 100+0 lacks ~asan"),
        ("ubuntu:25.04 amd64 ~asan +x", &[], "none ubuntu:25.04 lacks ~asan +x"),
        // What has all of it comes before what has more marks.
        (
            "ubuntu:25.04 amd64 +x @t @u strict",
            &["n ubuntu:25.04 amd64 @t @u", "m ubuntu:25.04 amd64 +x +t +u"],
            "use m 100+30",
        ),
        (
            "ubuntu:25.04 amd64 +x @t @u",
            &["n ubuntu:25.04 amd64 @t @u", "m ubuntu:25.04 amd64 +x +t +u"],
            "use n 100+40 lacks +x",
        ),
    ]);
}

#[test]
fn ties() {
    check(&[
        // The variant that was asked for.
        (
            "ubuntu:25.04 amd64",
            &["n ubuntu:25.04 amd64 ~asan used=9", "m ubuntu:25.04 amd64 used=1"],
            "use m 100+0",
        ),
        (
            "ubuntu:25.04 amd64 ~asan",
            &["n ubuntu:25.04 amd64 ~asan", "m ubuntu:25.04 amd64 used=9"],
            "use n 100+0",
        ),
        (
            "ubuntu:25.04 amd64 ~asan ~ubsan",
            &["n ubuntu:25.04 amd64 ~asan ~ubsan", "m ubuntu:25.04 amd64 ~asan used=9"],
            "use n 100+0",
        ),
        (
            "ubuntu:25.04 amd64 ~cov",
            &["n ubuntu:25.04 amd64 ~asan ~ubsan", "m ubuntu:25.04 amd64 ~tsan"],
            "use m 100+0 lacks ~cov",
        ),
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 amd64 ~asan"], "use n 100+0"),
        // Marks come before it.
        ("ubuntu:25.04 amd64 +x", &["n ubuntu:25.04 amd64 ~asan +x", "m ubuntu:25.04 amd64"], "use n 100+10"),
        (
            "ubuntu:25.04 amd64 gcc-15",
            &["n ubuntu:25.04 amd64 ~asan gcc-15", "m ubuntu:25.04 amd64"],
            "use n 100+0",
        ),
        // What could be looked into.
        (
            "ubuntu:25.04 amd64",
            &["m ?ubuntu:25.04 amd64 used=9", "n ubuntu:25.04 amd64 ~asan"],
            "use n 100+0",
        ),
        // The latest use, and any use before none.
        (
            "ubuntu:25.04 amd64",
            &["m ubuntu:25.04 amd64 used=5 uses=9 size=1", "n ubuntu:25.04 amd64 used=6"],
            "use n 100+0",
        ),
        (
            "ubuntu:25.04 amd64",
            &["m ubuntu:25.04 amd64 uses=9 size=1", "n ubuntu:25.04 amd64 used=0"],
            "use n 100+0",
        ),
        // The most used.
        (
            "ubuntu:25.04 amd64",
            &["m ubuntu:25.04 amd64 used=5 uses=2 size=1", "n ubuntu:25.04 amd64 used=5 uses=3"],
            "use n 100+0",
        ),
        // The smallest.
        (
            "ubuntu:25.04 amd64",
            &["m ubuntu:25.04 amd64 used=5 size=9", "n ubuntu:25.04 amd64 used=5 size=8"],
            "use n 100+0",
        ),
        // The name.
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 amd64", "m ubuntu:25.04 amd64"], "use m 100+0"),
        // Among bases the same.
        (
            "ubuntu:25.04 amd64 gcc-15",
            &["n ubuntu:25.04 amd64 used=2", "m ubuntu:25.04 amd64 used=1"],
            "base n 70+0 lacks gcc-15",
        ),
    ]);
}

#[test]
fn names_and_projects() {
    check(&[
        ("ubuntu:25.04 amd64", &["z,b,m ubuntu:25.04 amd64"], "use b 100+0"),
        ("ubuntu:25.04 amd64 project=capy", &["n ubuntu:25.04 amd64 project=capy", PLAIN], "use n 100+0"),
        (
            "ubuntu:25.04 amd64 project=capy",
            &["n ubuntu:25.04 amd64 project=other", PLAIN],
            "none ubuntu:25.04",
        ),
        ("ubuntu:25.04 amd64", &["n ubuntu:25.04 amd64 project=other"], "use n 100+0"),
    ]);
}
