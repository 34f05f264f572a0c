//! References: how people name images (github.com/distribution/reference, `reference.go`).
//!
//! A [`Reference`] always has a tag or a digest; `gcc15` means `docker.io/library/gcc15:latest`, which is the
//! full form, and is shown as `gcc15:latest`, the familiar one.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;

const DEFAULT_DOMAIN: &str = "docker.io";
const OFFICIAL: &str = "library/";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// A normalised reference: domain, path, and a tag, a digest or both.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a reference: {text:?}: {why}")]
pub struct ParseError {
    text: String,
    why: &'static str,
}

impl Reference {
    /// The registry's host, with its port: `docker.io`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository below the domain: `library/debian`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag; only a reference by digest may have none.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, where the reference pins one.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The same name by its tag alone; `None` where it has none.
    pub fn without_digest(self) -> Option<Reference> {
        self.tag.is_some().then_some(Reference { digest: None, ..self })
    }

    /// The same repository with this tag, where it is one.
    pub fn with_tag(&self, tag: &str) -> Option<Reference> {
        is_tag(tag).then(|| Reference { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    /// The form that leaves nothing out: `docker.io/library/debian:12`.
    pub fn full(&self) -> String {
        self.with_name(&self.with_domain())
    }

    /// The form that people type: `debian:12`.
    pub fn familiar(&self) -> String {
        self.with_name(&self.familiar_name())
    }

    /// The familiar form without tag and digest: `debian`.
    pub fn familiar_name(&self) -> String {
        if self.domain != DEFAULT_DOMAIN {
            return self.with_domain();
        }
        match self.path.strip_prefix(OFFICIAL) {
            Some(name) if !name.contains('/') => name.to_owned(),
            // Without the domain the path's first part would be taken for another one.
            _ if self.path.split('/').next().is_some_and(is_domain_like) => self.with_domain(),
            _ => self.path.clone(),
        }
    }

    fn with_domain(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    fn with_name(&self, name: &str) -> String {
        let mut text = name.to_owned();
        if let Some(tag) = &self.tag {
            text.push(':');
            text.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            text.push('@');
            text.push_str(&digest.to_string());
        }
        text
    }
}

impl FromStr for Reference {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Reference, ParseError> {
        let fail = |why| ParseError { text: text.chars().take(300).collect(), why };
        if text.is_empty() {
            return Err(fail("it is empty"));
        }
        if text.len() > MAX_NAME + MAX_TAG + 80 {
            return Err(fail("it is too long"));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| fail("what follows `@` is no sha256 digest"))?))
            }
            None => (text, None),
        };
        let slash = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest[slash..].rfind(':') {
            Some(colon) => (&rest[..slash + colon], Some(&rest[slash + colon + 1..])),
            None => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return Err(fail("the tag has a character that no tag may have, or is longer than 128"));
        }
        let (domain, path) = match name.split_once('/') {
            Some((first, path)) if is_domain_like(first) => (first, path.to_owned()),
            Some(_) => (DEFAULT_DOMAIN, name.to_owned()),
            None => (DEFAULT_DOMAIN, format!("{OFFICIAL}{name}")),
        };
        let (domain, path) = match domain {
            "index.docker.io" => (DEFAULT_DOMAIN, path),
            other => (other, path),
        };
        let path =
            if domain == DEFAULT_DOMAIN && !path.contains('/') { format!("{OFFICIAL}{path}") } else { path };
        if !is_domain(domain) {
            return Err(fail("the registry's name is no host name"));
        }
        if !path.split('/').all(is_component) {
            return Err(fail(
                "names have lower-case letters, digits and single `.`, `_`, `__` or `-` between them",
            ));
        }
        let bare = path.strip_prefix(OFFICIAL).filter(|_| domain == DEFAULT_DOMAIN);
        if bare.is_some_and(|name| name == "sha256" || Digest::from_hex(name).is_some()) {
            return Err(fail("it looks like a digest, and Docker would take it for one"));
        }
        if domain.len() + path.len() >= MAX_NAME {
            return Err(fail("the name is longer than 255 characters"));
        }
        let tag = match (tag, digest) {
            (None, None) => Some("latest".to_owned()),
            (tag, _) => tag.map(str::to_owned),
        };
        Ok(Reference { domain: domain.to_owned(), path, tag, digest })
    }
}

fn is_domain_like(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn is_domain(domain: &str) -> bool {
    let (host, port) = match domain.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (domain, None),
    };
    let port_fits = port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let v6 = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let host_fits = match v6 {
        Some(inner) => !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'),
        None => host.split('.').all(|label| {
            !label.is_empty()
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    port_fits && host_fits
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(component: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = component.as_bytes();
    let (Some(first), Some(last)) = (bytes.first(), bytes.last()) else { return false };
    if !alphanumeric(*first) || !alphanumeric(*last) {
        return false;
    }
    bytes.split(|b| alphanumeric(*b)).all(|separator| {
        matches!(separator, b"" | b"." | b"_" | b"__") || separator.iter().all(|b| *b == b'-')
    })
}

/// `[\w][\w.-]{0,127}`
fn is_tag(tag: &str) -> bool {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let mut bytes = tag.bytes();
    tag.len() <= MAX_TAG && bytes.next().is_some_and(word) && bytes.all(|b| word(b) || b == b'.' || b == b'-')
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.familiar())
    }
}

impl fmt::Debug for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.full())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn normalises_as_docker_does() {
        for (text, full, familiar) in [
            ("gcc15", "docker.io/library/gcc15:latest", "gcc15:latest"),
            (
                "capy-ubuntu-25.04-gcc15:v1",
                "docker.io/library/capy-ubuntu-25.04-gcc15:v1",
                "capy-ubuntu-25.04-gcc15:v1",
            ),
            ("me/app", "docker.io/me/app:latest", "me/app:latest"),
            ("library/debian:12", "docker.io/library/debian:12", "debian:12"),
            ("docker.io/debian:12", "docker.io/library/debian:12", "debian:12"),
            ("index.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest"),
            ("localhost/a", "localhost/a:latest", "localhost/a:latest"),
            // Short, these would be images of another registry.
            ("docker.io/ghcr.io/a", "docker.io/ghcr.io/a:latest", "docker.io/ghcr.io/a:latest"),
            ("index.docker.io/localhost/a:1", "docker.io/localhost/a:1", "docker.io/localhost/a:1"),
            ("127.0.0.1:5000/x/y:1", "127.0.0.1:5000/x/y:1", "127.0.0.1:5000/x/y:1"),
            ("[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest"),
            ("ghcr.io/a/b__c/d---e:T_1", "ghcr.io/a/b__c/d---e:T_1", "ghcr.io/a/b__c/d---e:T_1"),
        ] {
            let reference: Reference = text.parse().unwrap_or_else(|e| panic!("{e}"));
            assert_eq!((reference.full().as_str(), reference.familiar().as_str()), (full, familiar));
        }
        let digest = Digest::of(b"");
        let pinned: Reference = format!("debian@{digest}").parse().expect("a reference");
        assert_eq!((pinned.tag(), pinned.digest()), (None, Some(digest)));
    }

    #[test]
    fn refuses_what_is_no_reference() {
        let long = "a".repeat(256);
        for bad in [
            "",
            ":",
            "/",
            "a/",
            "/a",
            "a//b",
            "A",
            "a:",
            "a:-x",
            "a b",
            "a\n",
            "a\u{1b}[2J",
            "../a",
            "a/../b",
            "a_-b",
            "a___b",
            "-a",
            "a-",
            "a@sha256:12",
            "a@",
            "exa mple.com/a",
            "-x.com/a",
            "x.com:/a",
            "x.com:p/a",
            "a:b:c",
            "é",
            "sha256:12ab",
            &long,
        ] {
            assert!(bad.parse::<Reference>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn both_forms_mean_the_same(text in "([a-z]{1,4}\\.[a-z]{2}(:[0-9]{2})?/)?[a-z0-9]{1,3}([._-][a-z0-9]{1,3}){0,2}(/[a-z0-9]{1,4})?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,5})?") {
            // `a_b.c/d` begins with what looks like a host and is none.
            let Ok(reference) = text.parse::<Reference>() else { return Ok(()) };
            prop_assert_eq!(reference.full().parse::<Reference>().expect("full"), reference.clone());
            prop_assert_eq!(reference.familiar().parse::<Reference>().expect("familiar"), reference);
        }

        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = text.parse::<Reference>();
        }
    }
}
