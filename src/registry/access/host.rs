//! The names of hosts as files of credentials spell them.
//!
//! A key there is a host (`ghcr.io`, `localhost:5000`), a host with the beginning of a repository
//! (containers-auth.json(5)), or the address of a registry's API, as docker wrote it for years (`https://ghcr.io/v2/`).
//! Docker Hub has four names, and docker's own is `https://index.docker.io/v1/`.

/// Docker Hub, as references name it.
pub(crate) const HUB: &str = "docker.io";
/// Docker Hub, as docker's files and helpers name it.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// A host's one name: in lower case, and `docker.io` for all that is Docker Hub.
pub(crate) fn normal(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    match host.as_str() {
        "index.docker.io" | "registry-1.docker.io" | "registry.hub.docker.com" => HUB.to_owned(),
        _ => host,
    }
}

/// The key under which docker keeps a host.
pub(super) fn docker_key(host: &str) -> String {
    if host == HUB { HUB_KEY.to_owned() } else { host.to_owned() }
}

/// What a key stands for: its host, and the beginning of repositories where it names one.
pub(super) fn meant(key: &str) -> (String, &str) {
    let bare = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://"));
    let (host, path) = bare.unwrap_or(key).split_once('/').unwrap_or((bare.unwrap_or(key), ""));
    let is_api = bare.is_some() || matches!(path, "v1/" | "v2/");
    (normal(host), if is_api { "" } else { path.trim_matches('/') })
}

/// How well a key fits a repository of a host: the more of the repository it names, the better; `None` where it is
/// another's. Of two that name as much the one that is spelt as asked is better.
pub(super) fn fit(key: &str, host: &str, repository: &str) -> Option<(usize, bool)> {
    let (named, path) = meant(key);
    let below = || repository.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let fits = named == normal(host) && (path.is_empty() || below());
    fits.then_some((path.len(), key == host || key == docker_key(host)))
}

/// Whether a text is a host, with its port or without: nothing that leads elsewhere as part of an address or a path.
pub(crate) fn is_host(text: &str) -> bool {
    format!("{text}/x").parse::<larder_store::reference::Reference>().is_ok_and(|parsed| {
        // Without a dot or a port it would be a user of Docker Hub.
        parsed.domain() == text || (text == "index.docker.io" && parsed.domain() == HUB)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_means_a_host_in_all_its_spellings() {
        for (key, host, path) in [
            ("https://index.docker.io/v1/", "docker.io", ""),
            ("index.docker.io", "docker.io", ""),
            ("registry-1.docker.io", "docker.io", ""),
            ("docker.io", "docker.io", ""),
            ("docker.io/library", "docker.io", "library"),
            ("https://ghcr.io", "ghcr.io", ""),
            ("http://localhost:5000/v2/", "localhost:5000", ""),
            ("ghcr.io/v2/", "ghcr.io", ""),
            ("GHCR.io", "ghcr.io", ""),
            ("quay.io/user/image", "quay.io", "user/image"),
            ("quay.io/user/", "quay.io", "user"),
            ("", "", ""),
        ] {
            assert_eq!(meant(key), (host.to_owned(), path), "{key}");
        }
    }

    #[test]
    fn the_longest_beginning_of_a_repository_fits_best() {
        let keys = ["r.io", "r.io/a", "r.io/a/b", "r.io/a/bc", "s.io/a/b", "https://r.io/v1/"];
        let best = |repository: &str| {
            let fitting = keys.iter().filter_map(|key| Some((fit(key, "r.io", repository)?, *key)));
            fitting.max().map(|(_, key)| key)
        };
        assert_eq!(best("a/b"), Some("r.io/a/b"));
        assert_eq!(best("a/b/c"), Some("r.io/a/b"));
        assert_eq!(best("a/bcd"), Some("r.io/a"));
        assert_eq!(best("ab"), Some("r.io"));
        assert_eq!(fit("r.io:443", "r.io", "a"), None);
        assert!(fit("docker.io", "docker.io", "x") > fit("index.docker.io", "docker.io", "x"));
    }

    #[test]
    fn a_host_leads_nowhere_else() {
        for good in
            ["docker.io", "index.docker.io", "localhost", "localhost:5000", "[::1]:5000", "10.0.0.1:80"]
        {
            assert!(is_host(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "..",
            "../x",
            "a/b.c",
            "user@h.io",
            "https://h.io",
            "h.io/",
            "h.io?x",
            "h .io",
            "h.io\n",
            "name",
        ] {
            assert!(!is_host(bad), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_key_fits_what_it_names(host in "[a-z]{1,5}\\.io(:[0-9]{2})?", path in "[a-z]{1,3}(/[a-z]{1,3}){0,2}", more in "[a-z]{1,3}") {
            let key = format!("{host}/{path}");
            let length = |repository: &str| fit(&key, &host, repository).map(|(length, _)| length);
            prop_assert_eq!(length(&path), Some(path.len()));
            prop_assert_eq!(length(&format!("{path}/{more}")), Some(path.len()));
            prop_assert_eq!(length(&format!("{path}{more}")), None);
            prop_assert_eq!(fit(&host, &host, &more).map(|(length, _)| length), Some(0));
        }

        #[test]
        fn no_key_makes_it_panic(key in "\\PC{0,30}", host in "\\PC{0,20}") {
            let _ = (fit(&key, &host, "a/b"), is_host(&key));
        }
    }
}
