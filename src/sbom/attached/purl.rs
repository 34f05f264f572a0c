//! Package URLs as other tools write them, back to packages.

use crate::sbom::kind::Kind;
use crate::sbom::package::{Package, is_word};

/// Bytes of a URL that is read.
const MAX_URL: usize = 4096;

/// The package that a URL names; `None` for one of another ecosystem, one without a version, and what is no such URL.
pub(super) fn package(url: &str) -> Option<Package> {
    let rest = url.strip_prefix("pkg:").filter(|_| url.len() <= MAX_URL)?;
    let rest = rest.split_once('#').map_or(rest, |(rest, _)| rest);
    let (rest, qualifiers) = rest.split_once('?').unwrap_or((rest, ""));
    // The last sign: a scope of npm may have one of its own.
    let (named, version) = rest.rsplit_once('@')?;
    let (kind, path) = named.trim_start_matches('/').split_once('/')?;
    let kind: Kind = kind.to_ascii_lowercase().parse().ok()?;
    let parts = path.split('/').filter(|part| !part.is_empty()).map(decoded).collect::<Option<Vec<_>>>()?;
    // What stands before the name is a distribution, but for npm's scopes.
    let name = match kind {
        Kind::Npm => parts.join("/"),
        Kind::Deb | Kind::Apk | Kind::Alpm | Kind::Rpm | Kind::Pypi => parts.last()?.clone(),
    };
    let qualifier = |wanted: &str| {
        let mut all = qualifiers.split('&').filter_map(|pair| pair.split_once('='));
        let (_, value) = all.find(|(key, _)| key.eq_ignore_ascii_case(wanted))?;
        decoded(value).filter(|value| is_word(value))
    };
    let version = decoded(version)?;
    let version = match qualifier("epoch").filter(|epoch| kind == Kind::Rpm && epoch != "0") {
        Some(epoch) => format!("{epoch}:{version}"),
        None => version,
    };
    let package = Package::new(kind, &name, &version)?;
    let architecture = qualifier("arch").unwrap_or_default();
    let source = qualifier("upstream").and_then(|upstream| source(kind, &upstream));
    Some(Package { source, ..package.with_architecture(&architecture) })
}

/// `openssl`, `openssl@3.0.11-1`, and rpm's `openssl-3.0.11-1.fc40.src.rpm`.
fn source(kind: Kind, upstream: &str) -> Option<(String, Option<String>)> {
    let file = upstream.strip_suffix(".src.rpm").filter(|_| kind == Kind::Rpm);
    let (name, version) = match file {
        Some(file) => {
            let (rest, release) = file.rsplit_once('-')?;
            let (name, version) = rest.rsplit_once('-')?;
            (name, Some(format!("{version}-{release}")))
        }
        None => match upstream.split_once('@') {
            Some((name, version)) => (name, Some(version.to_owned())),
            None => (upstream, None),
        },
    };
    let is_good = is_word(name) && version.as_deref().is_none_or(is_word);
    is_good.then(|| (name.to_owned(), version))
}

/// Percent signs taken away (RFC 3986, 2.1).
fn decoded(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut plain = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sbom::purl::purl;

    #[test]
    fn urls_are_packages() {
        for (url, kind, name, version, source) in [
            // As syft and BuildKit's scanner write them.
            (
                "pkg:deb/debian/libssl3@3.0.11-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl",
                Kind::Deb,
                "libssl3",
                "3.0.11-1~deb12u2",
                Some(("openssl", None)),
            ),
            ("pkg:deb/debian/libstdc%2B%2B6@12.2.0-14", Kind::Deb, "libstdc++6", "12.2.0-14", None),
            ("pkg:deb/debian/vim@2%3A9.0.1378-2", Kind::Deb, "vim", "2:9.0.1378-2", None),
            (
                "pkg:rpm/fedora/openssl-libs@3.2.2-6.fc41?arch=x86_64&epoch=1&upstream=openssl-3.2.2-6.fc41.src.rpm",
                Kind::Rpm,
                "openssl-libs",
                "1:3.2.2-6.fc41",
                Some(("openssl", Some("3.2.2-6.fc41"))),
            ),
            ("pkg:rpm/fedora/bash@5-1?epoch=0", Kind::Rpm, "bash", "5-1", None),
            ("pkg:npm/%40babel/core@7.0.0", Kind::Npm, "@babel/core", "7.0.0", None),
            ("pkg:npm/@babel/core@7.0.0", Kind::Npm, "@babel/core", "7.0.0", None),
            ("pkg:pypi/requests@2.31.0#sub/path", Kind::Pypi, "requests", "2.31.0", None),
            ("pkg:apk/alpine/musl@1.2.4-r2?arch=x86_64", Kind::Apk, "musl", "1.2.4-r2", None),
            ("pkg:alpm/arch/pacman@6.0.1-1", Kind::Alpm, "pacman", "6.0.1-1", None),
        ] {
            let package = package(url).unwrap_or_else(|| panic!("{url}"));
            assert_eq!((package.kind, &*package.name, &*package.version), (kind, name, version));
            let source =
                source.map(|(name, version): (&str, Option<&str>)| (name.into(), version.map(Into::into)));
            assert_eq!(package.source, source, "{url}");
        }
    }

    #[test]
    fn what_is_no_such_url_is_no_package() {
        for url in [
            "",
            "pkg:",
            "pkg:deb",
            "pkg:deb/",
            "pkg:deb/debian/bash",
            "pkg:deb/debian/bash@",
            "pkg:deb/@1",
            "pkg:golang/example.com/x@v1",
            "pkg:deb/debian/ba%1bsh@1",
            "pkg:deb/debian/ba%sh@1",
            "pkg:deb/debian/ba%ffsh@1",
            "pkg:deb/debian/bash@1%0a2",
            "https://example.com/bash@1",
            &format!("pkg:deb/debian/{}@1", "a".repeat(5000)),
        ] {
            assert_eq!(package(url), None, "{url}");
        }
    }

    proptest! {
        #[test]
        fn what_larder_writes_it_reads(name in "[a-z][a-z0-9.+]{0,9}", version in "([0-9]:)?[0-9][0-9a-z.+~^_]{0,9}(-[0-9a-z.]{1,3})?") {
            for kind in Kind::ALL {
                let Some(have) = Package::new(kind, &name, &version) else { continue };
                let have = Package { source: Some(("other".into(), Some("1.0-1".into()))), ..have };
                let Some(read) = package(&purl(&have, Some(("debian", Some("12"))))) else {
                    return Err(TestCaseError::fail(format!("{kind:?} {name} {version}")));
                };
                let normal = |name: &str| kind.key(name);
                prop_assert_eq!(normal(&read.name), normal(&have.name));
                prop_assert_eq!(read.source, have.source);
                let zero = kind == Kind::Rpm && have.version.starts_with("0:");
                prop_assert!(read.version == have.version || zero && have.version[2..] == read.version);
            }
        }

        #[test]
        fn any_text_is_a_package_or_is_none(url in "pkg:(deb|npm|rpm|pypi)/[ -~\\PC]{0,30}") {
            if let Some(package) = package(&url) {
                prop_assert!(is_word(&package.name) && is_word(&package.version));
            }
        }
    }
}
