//! Package URLs (<https://github.com/package-url/purl-spec>): the name of a package that tools across ecosystems agree on.

use std::fmt::Write as _;

use super::inventory::Subject;
use super::kind::Kind;
use super::package::Package;

/// The URL of a package in a distribution (`ID` and `VERSION_ID` of os-release).
pub(crate) fn purl(package: &Package, os: Option<(&str, Option<&str>)>) -> String {
    let mut purl = format!("pkg:{}/", package.kind.word());
    let vendor = match package.kind {
        Kind::Deb | Kind::Apk | Kind::Alpm | Kind::Rpm => {
            os.map(|(id, _)| id.to_lowercase()).filter(|id| is_id(id))
        }
        Kind::Pypi | Kind::Npm => None,
    };
    let name = match package.kind {
        // Not as PEP 503 has it: a dot stays a dot.
        Kind::Pypi => package.name.to_lowercase().replace('_', "-"),
        Kind::Apk | Kind::Alpm | Kind::Deb => package.name.to_lowercase(),
        Kind::Rpm | Kind::Npm => package.name.clone(),
    };
    let parts = name.split('/').filter(|part| !part.is_empty());
    for part in vendor.iter().map(String::as_str).chain(parts) {
        encode(&mut purl, part);
        purl.push('/');
    }
    purl.pop();
    // rpm's epoch is a qualifier; Debian's and Arch's are of the version.
    let (epoch, version) = match package.version.split_once(':') {
        Some((epoch, version)) if package.kind == Kind::Rpm => (Some(epoch), version),
        _ => (None, package.version.as_str()),
    };
    purl.push('@');
    encode(&mut purl, version);
    let distro = vendor.and(os).and_then(|(id, version)| Some(format!("{id}-{}", version?)));
    let upstream =
        package.source.as_ref().filter(|(name, version)| *name != package.name || version.is_some());
    let upstream = upstream.map(|(name, version)| match version {
        Some(version) => format!("{name}@{version}"),
        None => name.clone(),
    });
    let qualifiers = [
        ("arch", package.architecture.as_deref()),
        ("distro", distro.as_deref()),
        ("epoch", epoch),
        ("upstream", upstream.as_deref()),
    ];
    let mut sign = '?';
    for (key, value) in qualifiers {
        if let Some(value) = value {
            let _ = write!(purl, "{sign}{key}=");
            encode(&mut purl, value);
            sign = '&';
        }
    }
    purl
}

/// Whether it is an `ID` as os-release(5) has it, and no way to elsewhere.
fn is_id(id: &str) -> bool {
    let is_letter =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'.' | b'_' | b'-');
    id.bytes().all(is_letter) && id.bytes().any(|byte| byte != b'.')
}

/// The URL of an image: the last part of its repository's name, and its digest.
pub(crate) fn image_purl(subject: &Subject) -> String {
    let name = subject.name.as_deref().unwrap_or_default();
    let name = name.rsplit('/').next().unwrap_or_default().split([':', '@']).next().unwrap_or_default();
    let mut purl = "pkg:oci/".to_owned();
    encode(&mut purl, &if name.is_empty() { "image".to_owned() } else { name.to_lowercase() });
    let _ = write!(purl, "@{}?arch=", subject.digest);
    encode(&mut purl, &subject.architecture);
    purl
}

fn encode(out: &mut String, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' | b':' => {
                out.push(char::from(byte))
            }
            byte => drop(write!(out, "%{byte:02X}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_have_urls() {
        let digest = larder_store::digest::Digest::of(b"");
        for (name, part) in [
            (Some("debian:12"), "debian"),
            (Some("localhost:5000/Team/app"), "app"),
            (Some("docker.io/library/c++@sha256:0"), "c%2B%2B"),
            (None, "image"),
        ] {
            let subject = Subject {
                name: name.map(str::to_owned),
                digest,
                architecture: "amd64".to_owned(),
                created: 0,
            };
            assert_eq!(image_purl(&subject), format!("pkg:oci/{part}@{digest}?arch=amd64"));
        }
    }

    #[test]
    fn packages_have_urls() {
        let debian = Some(("debian", Some("12")));
        for (kind, name, version, architecture, source, os, url) in [
            (
                Kind::Deb,
                "libssl3",
                "3.0.11-1~deb12u2",
                "amd64",
                Some(("openssl", None)),
                debian,
                "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl",
            ),
            (
                Kind::Deb,
                "libstdc++6",
                "12.2.0-14",
                "amd64",
                Some(("gcc-12", Some("12"))),
                debian,
                "pkg:deb/debian/libstdc%2B%2B6@12.2.0-14?arch=amd64&distro=debian-12&upstream=gcc-12%4012",
            ),
            (Kind::Deb, "x", "1", "", None, None, "pkg:deb/x@1"),
            (
                Kind::Deb,
                "attr",
                "1:2.4.47-2+b1",
                "i386",
                None,
                Some(("Debian", None)),
                "pkg:deb/debian/attr@1:2.4.47-2%2Bb1?arch=i386",
            ),
            (
                Kind::Rpm,
                "Caret_C++",
                "1.0^git~1-1",
                "noarch",
                None,
                None,
                "pkg:rpm/Caret_C%2B%2B@1.0%5Egit~1-1?arch=noarch",
            ),
            (
                Kind::Alpm,
                "containers-common",
                "1:0.47.4-4",
                "any",
                None,
                Some(("arch", None)),
                "pkg:alpm/arch/containers-common@1:0.47.4-4?arch=any",
            ),
            (
                Kind::Rpm,
                "bash",
                "2:5.2-1.fc41",
                "x86_64",
                Some(("bash", None)),
                Some(("fedora", Some("41"))),
                "pkg:rpm/fedora/bash@5.2-1.fc41?arch=x86_64&distro=fedora-41&epoch=2",
            ),
            (Kind::Pypi, "Foo_.Bar", "1.0+x", "", None, debian, "pkg:pypi/foo-.bar@1.0%2Bx"),
            (Kind::Npm, "@babel/core", "7.0.0", "", None, debian, "pkg:npm/%40babel/core@7.0.0"),
            (
                Kind::Apk,
                "musl",
                "1.2.5-r0",
                "x86_64",
                None,
                Some(("alpine", Some("3.20.1"))),
                "pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.1",
            ),
            (Kind::Deb, "x", "1", "", None, Some(("a/b", Some("1"))), "pkg:deb/x@1"),
            (Kind::Deb, "x", "1", "", None, Some(("..", Some("1"))), "pkg:deb/x@1"),
            (Kind::Deb, "x", "1", "", None, Some(("/", None)), "pkg:deb/x@1"),
            (Kind::Npm, "/a//b/", "1", "", None, None, "pkg:npm/a/b@1"),
            (Kind::Npm, "a?b#c", "1", "", None, None, "pkg:npm/a%3Fb%23c@1"),
        ] {
            let mut package =
                Package::new(kind, name, version).expect("a package").with_architecture(architecture);
            if let Some((name, version)) = source {
                package = package.with_source(name, version);
            }
            assert_eq!(purl(&package, os), url);
        }
    }
}
