//! The host's configuration: `/etc/larder/larder.toml`, then `larder/larder.toml` in the user's directory of configuration.
//!
//! What the user's file says of a host's mirrors replaces what the machine's says of that host. `offline = true` in either
//! holds: the user's file cannot take it back. Its `[remote]` replaces the machine's. Keys that either trusts are trusted; but where
//! the machine's demands signatures, its keys alone are. A store's `larder.toml` has nothing of this.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use larder_store::reference::Reference;
use larder_store::settings::read;

use super::host::{HUB, is_host, normal};
use super::{Environment, Error, Mirror, Result, Settings, files};

/// What a file may say.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    offline: bool,
    #[serde(default)]
    mirrors: BTreeMap<String, Vec<String>>,
    remote: Option<WrittenRemote>,
    #[serde(default)]
    trusted_keys: Vec<String>,
    #[serde(default)]
    require_signature: bool,
}

#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenRemote {
    repository: String,
    #[serde(default)]
    push: bool,
    cache: Option<String>,
}

/// Where hosts share the images that they make: below this in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote {
    /// `HOST[:PORT][/PREFIX]`.
    pub(crate) repository: String,
    /// Whether what is made here goes there.
    pub(crate) push: bool,
    /// The repository that has steps of builds.
    pub(crate) cache: Option<Reference>,
}

impl Remote {
    /// What an image of the store is called there; names of a registry are not.
    pub(crate) fn place(&self, reference: &Reference) -> Option<Reference> {
        let (name, tag) = (reference.familiar_name(), reference.tag()?);
        let is_local = reference.domain() == HUB && !name.contains('/');
        is_local.then(|| format!("{}/{name}:{tag}", self.repository).parse().ok()).flatten()
    }
}

/// The files, whether they are there or not.
pub(crate) fn paths(environment: &Environment) -> Vec<PathBuf> {
    let own = files::config_home(environment);
    let dirs = std::iter::once(environment.etc.clone()).chain(own);
    dirs.map(|dir| dir.join("larder/larder.toml")).collect()
}

/// Reads them; the error says file and line.
pub(crate) fn settings(environment: &Environment) -> Result<Settings> {
    let mut settings = Settings::default();
    for path in paths(environment) {
        let Some(bytes) = files::read(&path)? else {
            // What it said might have been that nothing may be trusted.
            if path.is_symlink() {
                let (file, why) = (path.display().to_string(), "is a link to nowhere".to_owned());
                return Err(Error::File {
                    file,
                    why,
                    hint: "put the file where it leads, or remove the link",
                });
            }
            continue;
        };
        let added = String::from_utf8(bytes).map_err(|_| "is not text".to_owned());
        added.and_then(|text| add(&mut settings, &path, &text)).map_err(|why| Error::File {
            file: path.display().to_string(),
            why,
            hint: "docs/registry-access.md says what may stand there",
        })?;
    }
    Ok(settings)
}

fn add(settings: &mut Settings, path: &Path, text: &str) -> Result<(), String> {
    let Written { offline, mirrors, remote: shared, trusted_keys, require_signature } = read(text)?;
    if offline {
        settings.offline.get_or_insert_with(|| path.to_path_buf());
    }
    for (host, list) in mirrors {
        if !is_host(&host) {
            return Err(format!("mirrors: {host:?} is no host, such as \"docker.io\" or \"ghcr.io:443\""));
        }
        let list =
            list.iter().map(|text| mirror(text).ok_or_else(|| wrong(&host, text))).collect::<Result<_, _>>();
        settings.mirrors.insert(normal(&host), list?);
    }
    if let Some(written) = shared {
        settings.remote = Some(remote(&written)?);
    }
    if settings.signatures_required_by.is_none() {
        settings.trusted_keys.extend(trusted_keys.into_iter().map(|key| (path.to_path_buf(), key)));
    }
    if require_signature {
        settings.signatures_required_by.get_or_insert_with(|| path.to_path_buf());
    }
    Ok(())
}

/// The repository that has steps of builds: `HOST[:PORT]/REPOSITORY`. The error is a phrase.
pub(crate) fn cache(text: &str) -> Result<Reference, String> {
    let shown = || if text.contains('@') { "a repository with `@`".to_owned() } else { format!("{text:?}") };
    let wrong = || format!("{} is not HOST/REPOSITORY, without a tag", shown());
    let (host, path) = text.split_once('/').ok_or_else(wrong)?;
    let reference: Reference = text.parse().map_err(|_| wrong())?;
    match is_host(host) && !path.contains([':', '@']) {
        true => Ok(reference),
        false => Err(wrong()),
    }
}

fn remote(written: &WrittenRemote) -> Result<Remote, String> {
    let place = mirror(&written.repository).ok_or_else(|| {
        let shown = if written.repository.contains('@') {
            "a place with `@`".to_owned()
        } else {
            format!("{:?}", written.repository)
        };
        format!("remote: repository: {shown} is not HOST, HOST:PORT or either with /PREFIX")
    })?;
    let repository = match place.prefix.as_str() {
        "" => place.host,
        prefix => format!("{}/{prefix}", place.host),
    };
    let cache =
        written.cache.as_deref().map(|text| cache(text).map_err(|why| format!("remote: cache: {why}")));
    Ok(Remote { repository, push: written.push, cache: cache.transpose()? })
}

/// `HOST[:PORT][/PREFIX]`.
fn mirror(text: &str) -> Option<Mirror> {
    let (host, prefix) = text.split_once('/').unwrap_or((text, ""));
    // What stands before a repository's name must make a name with it.
    let is_prefix = prefix.is_empty()
        || format!("localhost/{prefix}/x").parse::<larder_store::reference::Reference>().is_ok();
    (is_host(host) && is_prefix).then(|| Mirror { host: normal(host), prefix: prefix.to_owned() })
}

fn wrong(host: &str, text: &str) -> String {
    // Somebody may have written a password into the address.
    let shown = if text.contains('@') { "a mirror with `@`".to_owned() } else { format!("{text:?}") };
    format!("mirrors: {host:?}: {shown} is not HOST, HOST:PORT or either with /PREFIX")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parse(texts: &[&str]) -> Result<Settings, String> {
        let mut settings = Settings::default();
        for (number, text) in texts.iter().enumerate() {
            add(&mut settings, Path::new(&number.to_string()), text)?;
        }
        Ok(settings)
    }

    fn mirrors(settings: &Settings, host: &str) -> Vec<String> {
        let of_host = settings.mirrors.get(host).into_iter().flatten();
        of_host.map(|mirror| format!("{} {}", mirror.host, mirror.repository("a/b"))).collect()
    }

    #[test]
    fn the_users_file_comes_after_the_machines() {
        let machine =
            "[mirrors]\n\"docker.io\" = [\"m1.io\", \"m2.io:5000/proxy/hub\"]\n\"ghcr.io\" = [\"m1.io/gh\"]";
        let user = "[mirrors]\n\"index.docker.io\" = [\"own.io\"]\n\"quay.io\" = []";
        let both = parse(&[machine, user]).expect("settings");
        assert_eq!(mirrors(&both, "docker.io"), ["own.io a/b"]);
        assert_eq!(mirrors(&both, "ghcr.io"), ["m1.io gh/a/b"]);
        assert_eq!(mirrors(&both, "quay.io"), [""; 0]);
        let machine = parse(&[machine]).expect("settings");
        assert_eq!(mirrors(&machine, "docker.io"), ["m1.io a/b", "m2.io:5000 proxy/hub/a/b"]);
        assert_eq!(parse(&["", "# nothing"]), Ok(Settings::default()));
    }

    #[test]
    fn offline_in_either_file_holds() {
        for (texts, file) in [
            (["offline = true", "offline = false"], Some("0")),
            (["offline = true", "offline = true"], Some("0")),
            (["", "offline = true"], Some("1")),
            (["offline = false", ""], None),
        ] {
            assert_eq!(parse(&texts).expect("settings").offline, file.map(PathBuf::from), "{texts:?}");
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, words) in [
            ("offline = true\nofline = true", ["line 2", "ofline"]),
            ("\noffline = \"yes\"", ["line 2: offline", "boolean"]),
            ("[mirror]\n", ["line 1", "mirror"]),
            ("max_size = \"1GB\"", ["line 1", "max_size"]),
            ("[mirrors]\n\"docker.io\" = \"m.io\"", ["line 2", "docker.io"]),
            ("[mirrors]\n\"https://docker.io\" = []", ["https://docker.io", "is no host"]),
            ("[mirrors]\n\"docker.io\" = [\"http://m.io\"]", ["docker.io", "http://m.io"]),
            ("[mirrors]\n\"docker.io\" = [\"m.io/../x\"]", ["docker.io", "m.io/../x"]),
            ("[mirrors]\n\"docker.io\" = [\"m.io/\", \"\"]", ["docker.io", "HOST:PORT"]),
        ] {
            let why = parse(&[text]).expect_err(text);
            assert!(words.iter().all(|word| why.contains(word)), "{text:?}: {why}");
        }
        let why = parse(&["[mirrors]\n\"docker.io\" = [\"u:hunter2@m.io\"]"]).expect_err("a password");
        assert!(!why.contains("hunter2"), "{why}");
    }

    #[test]
    fn images_have_a_place_at_the_remote() {
        let machine = "[remote]\nrepository = \"reg.io:5000/ci/images\"\npush = true";
        let settings = parse(&[machine]).expect("settings");
        let remote = settings.remote.expect("a remote");
        let place = |name: &str| remote.place(&name.parse().expect("a name")).map(|place| place.full());
        assert_eq!(
            place("p-debian-12-gcc12:on-x"),
            Some("reg.io:5000/ci/images/p-debian-12-gcc12:on-x".into())
        );
        assert_eq!((place("ghcr.io/a/b:1"), place("me/app:1"), remote.push), (None, None, true));
        let user = parse(&[machine, "[remote]\nrepository = \"localhost\""]).expect("settings").remote;
        let user = user.expect("a remote");
        assert!(!user.push, "the user's replaces the machine's");
        assert_eq!(
            user.place(&"a".parse().expect("a name")).map(|place| place.full()),
            Some("localhost/a:latest".into())
        );
        for (text, words) in [
            ("[remote]\npush = true", ["line 1", "repository"]),
            ("[remote]\nrepository = \"reg.io\"\npull = true", ["line 3", "pull"]),
            ("[remote]\nrepository = \"https://reg.io/x\"", ["remote", "HOST"]),
            ("[remote]\nrepository = \"registry/ci\"", ["remote", "registry/ci"]),
            ("[remote]\nrepository = \"reg.io/CI\"", ["remote", "reg.io/CI"]),
            ("[remote]\nrepository = \"reg.io\"\ncache = \"reg.io/steps:1\"", ["cache", "reg.io/steps:1"]),
            ("[remote]\nrepository = \"reg.io\"\ncache = \"steps\"", ["cache", "HOST/REPOSITORY"]),
        ] {
            let why = parse(&[text]).expect_err(text);
            assert!(words.iter().all(|word| why.contains(word)), "{text:?}: {why}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC{0,40}") {
            let _ = (parse(&[&text]), mirror(&text));
        }
    }
}
