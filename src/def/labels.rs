//! The labels of an image that is built from a definition (OCI image spec, annotations.md). Pure.

use std::collections::BTreeMap;

use larder_store::base::{self, Base};

use super::named;
use super::settings::Settings;
use super::{Image, Tag};

const PREFIX: &str = "org.opencontainers.image.";

/// What is known of the folder's own history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The commit.
    pub(crate) revision: Option<String>,
    /// Where it comes from, as git says it.
    pub(crate) remote: Option<String>,
}

/// What the definition says, and nothing that is another at each build.
pub(crate) fn said(image: &Image, tag: &Tag, settings: &Settings) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let mut set = |name: &str, value: &str| drop(labels.insert(format!("{PREFIX}{name}"), value.to_owned()));
    for (name, value) in &settings.labels {
        set(name, &value.replace("%image%", &tag.name).replace("%tag%", &tag.tag));
    }
    set("ref.name", &tag.name);
    set("title", &tag.name);
    set("version", &tag.tag);
    image.description.iter().for_each(|text| set("description", text));
    image.licenses.iter().for_each(|text| set("licenses", text));
    labels
}

/// What is known when it is built: time, commit, and base.
pub(crate) fn seen(
    origin: &Origin,
    created: String,
    base: Option<&Base>,
    dockerfile: &str,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([(format!("{PREFIX}created"), created)]);
    let mut set = |name: String, value: String| drop(labels.insert(name, value));
    origin.revision.iter().for_each(|commit| set(format!("{PREFIX}revision"), commit.clone()));
    let remote = origin.remote.as_deref().and_then(address);
    remote.into_iter().for_each(|address| set(format!("{PREFIX}source"), address));
    let last = named::last_from(dockerfile);
    let written = last.as_deref().filter(|name| !name.contains('$'));
    match (base, written) {
        (Some(base), _) => {
            set(base::NAME.to_owned(), base.name.familiar());
            base.digest.iter().for_each(|digest| set(base::DIGEST.to_owned(), digest.to_string()));
        }
        // By its digest, it may have no name in the store.
        (None, Some(written)) if written.contains('@') => {
            let (name, digest) = written.split_once('@').unwrap_or((written, ""));
            set(base::NAME.to_owned(), name.to_owned());
            set(base::DIGEST.to_owned(), digest.to_owned());
        }
        (None, _) => {}
    }
    labels
}

/// The page of a repository; what somebody signs in with is nobody else's business.
fn address(remote: &str) -> Option<String> {
    let remote = remote.trim();
    let place = match remote.split_once("://") {
        Some(("https" | "http" | "ssh" | "git", place)) => place.to_owned(),
        Some(_) => return None,
        // git@host:owner/name
        None => remote.split_once(':').map(|(host, path)| format!("{host}/{path}"))?,
    };
    let (host, path) = place.split_once('/')?;
    let host = host.rsplit('@').next().filter(|host| !host.is_empty())?;
    let path = path.strip_suffix(".git").unwrap_or(path).trim_end_matches('/');
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~/:".contains(c);
    (!path.is_empty() && host.chars().chain(path.chars()).all(is_plain))
        .then(|| format!("https://{host}/{path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_page_without_secrets() {
        for (remote, expected) in [
            ("git@github.com:user/repo.git\n", Some("https://github.com/user/repo")),
            ("https://github.com/user/repo.git", Some("https://github.com/user/repo")),
            ("https://x-access-token:ghp_secret@github.com/user/repo", Some("https://github.com/user/repo")),
            ("ssh://git@host:2222/user/repo", Some("https://host:2222/user/repo")),
            ("/srv/git/repo.git", None),
            ("file:///srv/repo", None),
            ("https://host", None),
            ("git@host:a b", None),
            ("", None),
        ] {
            assert_eq!(address(remote).as_deref(), expected, "{remote}");
        }
    }

    #[test]
    fn a_base_is_named_as_it_was_found() {
        let digest = "sha256:c35e29c9450151419d9448b0fd75374fec4fff364a27f176fb458d472dfc9e54";
        let base = Base { name: "ubuntu:24.04".parse().expect("a name"), digest: digest.parse().ok() };
        let of = |base: Option<&Base>, text: &str| {
            let labels = seen(&Origin::default(), "now".into(), base, text);
            let get = |name: &str| labels.get(name).cloned().unwrap_or_default();
            (get(base::NAME), get(base::DIGEST), get("org.opencontainers.image.created"))
        };
        let expected = |name: &str, digest: &str| (name.to_owned(), digest.to_owned(), "now".to_owned());
        assert_eq!(of(Some(&base), "FROM x"), expected("ubuntu:24.04", digest));
        assert_eq!(of(None, &format!("FROM ubuntu@{digest}")), expected("ubuntu", digest));
        assert_eq!(of(None, "FROM scratch"), expected("", ""));
    }
}
