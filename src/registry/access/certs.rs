//! `certs.d`: a directory for each host with the authorities that its certificate may come from, and the certificate that a
//! client shows (containers-certs.d(5), and "Verify repository client with certificates" of Docker's documentation).
//!
//! `*.crt` is an authority; `NAME.cert` and `NAME.key` are a client's certificate and its key. The first directory that is
//! there counts, the user's own before those of the machine. Of several certificates of a client the first by name is shown.

use std::io;
use std::path::{Path, PathBuf};

use larder_store::Error as StoreError;

use super::host::is_host;
use super::{Environment, Error, Result, Tls, files};

/// Where `certs.d` is looked for.
fn directories(environment: &Environment) -> impl Iterator<Item = PathBuf> {
    let own = files::config_home(environment).map(|dir| dir.join("containers"));
    let machine = ["containers", "docker"].map(|name| environment.etc.join(name));
    own.into_iter().chain(machine).map(|dir| dir.join("certs.d"))
}

/// What is there for a host, which is named with its port if it has one.
pub(super) fn of(host: &str, environment: &Environment) -> Result<Tls> {
    if !is_host(host) {
        return Ok(Tls::default());
    }
    for dir in directories(environment).map(|dir| dir.join(host)) {
        match names(&dir) {
            Ok(names) => return sort(&dir, &names),
            // Docker may have closed its directory to users: what is in there is not meant for them.
            Err(error) if is_absent(&error) || error.kind() == io::ErrorKind::PermissionDenied => {}
            Err(error) => return Err(StoreError::io("list", &dir)(error).into()),
        }
    }
    Ok(Tls::default())
}

fn is_absent(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The names of files in a directory, sorted; links to files are files.
fn names(dir: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir)? {
        let entry = entry?;
        if let Ok(name) = entry.file_name().into_string()
            && !entry.path().is_dir()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What files are by their names.
fn sort(dir: &Path, names: &[String]) -> Result<Tls> {
    let has = |name: &str| names.iter().any(|other| other == name);
    let wrong =
        |name: &str, why: String, hint| Error::File { file: dir.join(name).display().to_string(), why, hint };
    let mut tls = Tls::default();
    for name in names {
        if name.ends_with(".crt") {
            tls.authorities.push(dir.join(name));
        } else if let Some(stem) = name.strip_suffix(".cert") {
            let key = format!("{stem}.key");
            if !has(&key) {
                let why = format!("is the certificate of a client, and its key {key} is missing");
                return Err(wrong(
                    name,
                    why,
                    "put the key beside it; the certificate of an authority is named *.crt",
                ));
            }
            tls.client.get_or_insert_with(|| (dir.join(name), dir.join(&key)));
        } else if let Some(stem) = name.strip_suffix(".key") {
            let certificate = format!("{stem}.cert");
            if !has(&certificate) {
                let why = format!("is the key of a client, and its certificate {certificate} is missing");
                return Err(wrong(name, why, "put the certificate beside it, named *.cert and not *.crt"));
            }
        }
    }
    Ok(tls)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tls(names: &[&str]) -> Result<Tls> {
        sort(Path::new("/d"), &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn names_say_what_files_are() {
        let path = |name: &str| Path::new("/d").join(name);
        assert_eq!(tls(&[]).expect("nothing"), Tls::default());
        let both = tls(&["README", "a.crt", "b.crt", "client.cert", "client.key"]).expect("both");
        assert_eq!(both.authorities, [path("a.crt"), path("b.crt")]);
        assert_eq!(both.client, Some((path("client.cert"), path("client.key"))));
        let several = tls(&["a.cert", "a.key", "b.cert", "b.key"]).expect("several");
        assert_eq!(several.client, Some((path("a.cert"), path("a.key"))));
        for (names, words) in [
            (&["ca.cert"][..], ["/d/ca.cert", "its key ca.key is missing"]),
            (&["a.crt", "a.key"], ["/d/a.key", "its certificate a.cert is missing"]),
            (&["a.cert", "b.key"], ["/d/a.cert", "a.key"]),
        ] {
            let error = tls(names).expect_err("half a pair").to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{error}");
        }
    }

    #[test]
    fn the_first_directory_of_a_host_counts() {
        let root = tempfile::tempdir().expect("a directory");
        let environment = Environment {
            etc: root.path().join("etc"),
            home: Some(root.path().join("home")),
            ..Environment::default()
        };
        let mut expected = Vec::new();
        for dir in ["etc/docker", "etc/containers", "home/.config/containers"] {
            assert_eq!(of("r.io:5000", &environment).expect("certificates").authorities, expected);
            let dir = root.path().join(dir).join("certs.d/r.io:5000");
            std::fs::create_dir_all(dir.join("sub.crt")).expect("a directory");
            std::fs::write(dir.join("ca.crt"), "").expect("a file");
            expected = vec![dir.join("ca.crt")];
        }
        assert_eq!(of("r.io:5000", &environment).expect("certificates").authorities, expected);
        for other in ["r.io", "..", "", "../certs.d/r.io:5000"] {
            assert_eq!(of(other, &environment).expect("nothing"), Tls::default(), "{other:?}");
        }
    }
}
