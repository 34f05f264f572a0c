//! Where a list's repositories go in another registry.

use std::str::FromStr;

use larder_store::reference::{ParseError, Reference};

use super::super::access::{is_host, normal};
use super::super::host::is_loopback;
use super::file::Entry;

/// A place in a registry that repositories go below, each with its path: `HOST[:PORT][/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Below(String);

impl FromStr for Below {
    type Err = String;
    fn from_str(text: &str) -> Result<Below, String> {
        let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
        let is_prefix = match text.split_once('/') {
            None => true,
            Some(_) => {
                !prefix.contains([':', '@']) && format!("localhost/{prefix}/x").parse::<Reference>().is_ok()
            }
        };
        match is_host(host) && is_prefix {
            true => Ok(Below(text.to_owned())),
            // Somebody may have written a password into it.
            false if text.contains('@') => Err("is not HOST[:PORT][/PREFIX]".to_owned()),
            false => {
                Err(format!("{text:?} is not HOST[:PORT][/PREFIX], such as registry.example.com/mirror"))
            }
        }
    }
}

impl Below {
    /// Where a repository goes: `docker.io/library/debian` to `HOST/PREFIX/library/debian`.
    pub(super) fn place(&self, repository: &Reference) -> Result<Reference, String> {
        let why = |why: ParseError| format!("{}: {why}", self.0);
        format!("{}/{}", self.0, repository.path()).parse().map_err(why)
    }
}

/// Whether two names are of one repository, as far as names tell: letters, the usual port, Docker Hub's names, this host's.
pub(crate) fn is_same_place(one: &Reference, other: &Reference) -> bool {
    one.path() == other.path() && is_same_host(one.domain(), other.domain())
}

/// The same of hosts.
pub(crate) fn is_same_host(one: &str, other: &str) -> bool {
    host(one) == host(other)
}

/// The hosts of a list that are not this one, each once.
pub(crate) fn remote_hosts(entries: &[Entry]) -> Vec<&str> {
    let named = entries.iter().flat_map(|entry| [Some(&entry.repository), entry.to.as_ref()]).flatten();
    let mut hosts: Vec<&str> = Vec::new();
    for host in named.map(Reference::domain) {
        if !is_loopback(host) && !hosts.iter().any(|known| is_same_host(known, host)) {
            hosts.push(host);
        }
    }
    hosts
}

fn host(domain: &str) -> String {
    let domain = normal(domain);
    let bare = domain.strip_suffix(":443").unwrap_or(&domain);
    match (is_loopback(bare), bare.rsplit_once(':')) {
        (true, Some((_, port))) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
            format!("localhost:{port}")
        }
        (true, _) => "localhost".to_owned(),
        (false, _) => bare.to_owned(),
    }
}

/// A repository that a list names as a destination. Its host has to be there: else it would be somebody's on Docker Hub.
pub(super) fn destination(text: &str) -> Result<Reference, String> {
    let wrong = || format!("to: {text:?} is not HOST/REPOSITORY, without a tag: tags keep their names");
    let (host, path) = text.split_once('/').ok_or_else(wrong)?;
    if !is_host(host) || path.contains([':', '@']) {
        return Err(wrong());
    }
    text.parse().map_err(|why: ParseError| format!("to: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_place_has_several_names() {
        let is_same = |one: &str, other: &str| {
            let parse = |text: &str| text.parse::<Reference>().expect("a reference");
            is_same_place(&parse(one), &parse(other))
        };
        for (one, other) in [
            ("localhost:5000/a/b", "127.0.0.1:5000/a/b"),
            ("[::1]:5000/a/b", "LOCALHOST:5000/a/b"),
            ("R.example.com/a", "r.example.com:443/a"),
            ("registry-1.docker.io/library/debian", "debian"),
        ] {
            assert!(is_same(one, other) && is_same(other, one), "{one} {other}");
        }
        for (one, other) in [
            ("localhost:5000/a", "localhost:5001/a"),
            ("localhost:5000/a", "localhost:5000/b"),
            ("r.example.com/a", "s.example.com/a"),
            ("r.example.com:5000/a", "r.example.com/a"),
        ] {
            assert!(!is_same(one, other), "{one} {other}");
        }
    }

    #[test]
    fn repositories_go_below_a_place_with_their_paths() {
        for (below, repository, expected) in [
            ("registry.example", "debian", "registry.example/library/debian"),
            ("localhost:5000/mirror", "ghcr.io/me/tools", "localhost:5000/mirror/me/tools"),
            ("r.example/a/b", "quay.io/x", "r.example/a/b/x"),
        ] {
            let below: Below = below.parse().expect(below);
            let place = below.place(&repository.parse().expect(repository)).expect("a place");
            assert_eq!(place.familiar_name(), expected);
        }
        for wrong in [
            "mirror",
            "mirror/x",
            "",
            "r.example/",
            "r.example/A",
            "r.example/x:1",
            "u:p@r.example",
            "https://r.example",
        ] {
            assert!(wrong.parse::<Below>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_destination_has_its_host_and_no_tag() {
        assert_eq!(
            destination("r.example/m/debian").map(|to| to.familiar_name()),
            Ok("r.example/m/debian".to_owned())
        );
        for wrong in ["mirror/debian", "debian", "r.example", "r.example/x:1", "r.example/X"] {
            assert!(destination(wrong).is_err_and(|why| why.starts_with("to: ")), "{wrong}");
        }
    }
}
