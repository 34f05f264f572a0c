//! Files for an image from several directories, one over the other. Pure.

use std::collections::BTreeMap;

use super::folder::Kind;
use super::named;
use crate::build::dockerfile::instructions;

/// What lies where: its path below `rootfs/`, with the path in the folder that it comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Overlay(BTreeMap<String, Item>);

/// One file, link or directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) from: String,
    pub(super) kind: Kind,
}

impl Overlay {
    /// Lays a directory over what there is: what is there later wins. A directory is united with a directory; a file or a link replaces whatever
    /// was there, and all below it.
    pub(super) fn add(&mut self, directory: &str, found: &[(String, Kind)]) -> Result<(), String> {
        for (from, kind) in found {
            let Some(path) = from.strip_prefix(directory).map(|path| path.trim_start_matches('/')) else {
                continue;
            };
            if *kind == Kind::Other {
                return Err(format!("{from}: is neither a file nor a directory nor a link"));
            }
            if path.contains(char::is_control) {
                return Err(format!("{from}: has a control character in its name"));
            }
            if !kind.is_directory() {
                let below = format!("{path}/");
                self.0.retain(|other, _| !other.starts_with(&below));
            }
            self.0.insert(path.to_owned(), Item { from: from.clone(), kind: kind.clone() });
        }
        Ok(())
    }

    /// Whether there is anything but directories in it.
    pub(super) fn has_content(&self) -> bool {
        self.0.values().any(|item| !item.kind.is_directory())
    }

    /// What is in it, each directory before what it has.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.0.iter().map(|(path, item)| (path.as_str(), item))
    }

    /// The files that look as if they should be in no image.
    pub(super) fn sensitive(&self) -> impl Iterator<Item = &str> {
        let all = self.0.iter().filter(|(path, item)| !item.kind.is_directory() && is_sensitive(path));
        all.map(|(_, item)| item.from.as_str())
    }
}

/// Whether a file of this name holds secrets or certificates.
fn is_sensitive(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    let name = path.rsplit('/').next().unwrap_or(&path);
    let ends = [".key", ".pem", ".p12", ".pfx", ".crt", ".cer", ".der", ".jks", ".keystore", ".env"];
    let whole = [
        "id_rsa",
        "id_dsa",
        "id_ecdsa",
        "id_ed25519",
        ".netrc",
        ".npmrc",
        ".pypirc",
        ".git-credentials",
        ".htpasswd",
        ".pgpass",
        ".dockercfg",
        ".dockerconfigjson",
        "kubeconfig",
    ];
    let below = [".kube/config", ".docker/config.json", ".aws/credentials"];
    let is_below =
        |end: &str| path.strip_suffix(end).is_some_and(|above| above.is_empty() || above.ends_with('/'));
    name.starts_with(".env.")
        || whole.contains(&name)
        || ends.iter().any(|end| name.ends_with(end))
        || below.iter().any(|end| is_below(end))
}

/// Puts the COPY of `rootfs/` behind the first FROM, unless the Dockerfile copies it itself.
pub(super) fn with_copy(dockerfile: &str, user: &str) -> String {
    let copies = |text: &String| {
        let mut words = text.split_whitespace();
        let is_copy = words.next().is_some_and(|word| word.eq_ignore_ascii_case("copy"));
        // What comes of another image is no file of the folder.
        let is_elsewhere = words.clone().any(|word| word.starts_with("--from="));
        is_copy && !is_elsewhere && words.any(|word| word.contains("rootfs/"))
    };
    if instructions(dockerfile).iter().any(copies) {
        return dockerfile.to_owned();
    }
    let mut lines: Vec<&str> = dockerfile.split('\n').collect();
    let copy = format!("COPY --chown={user} rootfs/ /");
    if let Some(from) = named::froms(dockerfile).first() {
        lines.insert(from.end.min(lines.len()), &copy);
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: Kind = Kind::File { mode: 0o644 };
    const DIRECTORY: Kind = Kind::Directory { mode: 0o755 };

    fn overlay(levels: &[(&str, &[(&str, Kind)])]) -> Result<Overlay, String> {
        let mut overlay = Overlay::default();
        for (directory, found) in levels {
            let found: Vec<_> =
                found.iter().map(|(path, kind)| (format!("{directory}/{path}"), kind.clone())).collect();
            overlay.add(directory, &found)?;
        }
        Ok(overlay)
    }

    #[test]
    fn what_comes_later_wins() {
        let link = || Kind::Link("/x".into());
        let made = overlay(&[
            (
                "a",
                &[
                    ("etc", DIRECTORY),
                    ("etc/one", FILE),
                    ("etc/two", FILE),
                    ("opt", DIRECTORY),
                    ("opt/x", FILE),
                    ("lib", link()),
                ],
            ),
            (
                "b",
                &[
                    ("etc", DIRECTORY),
                    ("etc/two", link()),
                    ("lib", DIRECTORY),
                    ("lib/y", FILE),
                    ("opt", FILE),
                ],
            ),
        ])
        .expect("an overlay");
        let rows: Vec<_> = made.iter().map(|(path, item)| format!("{path}={}", item.from)).collect();
        assert_eq!(
            rows,
            [
                "etc=b/etc",
                "etc/one=a/etc/one",
                "etc/two=b/etc/two",
                "lib=b/lib",
                "lib/y=b/lib/y",
                "opt=b/opt"
            ]
        );
        assert!(made.has_content());
        let empty = overlay(&[("a", &[("etc", DIRECTORY)])]).expect("an overlay");
        assert!(!empty.has_content());
        assert!(overlay(&[("a", &[("pipe", Kind::Other)])]).is_err());
        for name in ["foo\nmine", "tab\tbed", "esc\u{1b}[2J"] {
            let why = overlay(&[("a", &[(name, FILE)])]).expect_err("a control character");
            assert!(why.contains("control character"), "{why}");
        }
    }

    #[test]
    fn secrets_and_certificates_are_seen() {
        let names = [
            ".env",
            "app.env",
            ".env.local",
            "server.key",
            "Ca.PEM",
            "x.p12",
            "x.pfx",
            "id_rsa",
            "id_ed25519",
            "a.crt",
            ".htpasswd",
            ".pgpass",
            ".dockerconfigjson",
            "kubeconfig",
            "root/.kube/config",
            ".docker/config.json",
        ];
        let found: Vec<_> = names.iter().map(|name| (*name, FILE)).collect();
        let made = overlay(&[
            ("a", &found),
            (
                "b",
                &[
                    ("keys", FILE),
                    ("environment", FILE),
                    ("etc/config", FILE),
                    ("x.kube/config", FILE),
                    ("id_rsa.pub", FILE),
                ],
            ),
        ]);
        let made = made.expect("an overlay");
        let mut seen: Vec<_> = made.sensitive().collect();
        seen.sort();
        let mut all: Vec<_> = names.iter().map(|name| format!("a/{name}")).collect();
        all.sort();
        assert_eq!(seen, all);
    }

    #[test]
    fn the_copy_stands_behind_the_first_from() {
        let copy = "COPY --chown=1:1 rootfs/ /";
        for (text, expected) in [
            ("FROM a\nRUN b", format!("FROM a\n{copy}\nRUN b")),
            ("# x\n  from a AS b\nFROM c\n", format!("# x\n  from a AS b\n{copy}\nFROM c\n")),
            ("FROM a", format!("FROM a\n{copy}")),
            ("FROM \\\n# c\n  a\nRUN b", format!("FROM \\\n# c\n  a\n{copy}\nRUN b")),
            ("# escape=`\nFROM `\na\n", format!("# escape=`\nFROM `\na\n{copy}\n")),
            ("ARG A=\"\\\nfrom b\"\nFROM a\n", format!("ARG A=\"\\\nfrom b\"\nFROM a\n{copy}\n")),
            ("FROM a\ncopy --chown=2 rootfs/ /\n", "FROM a\ncopy --chown=2 rootfs/ /\n".to_owned()),
            ("FROM a\nCOPY --chown=2 \\\n rootfs/ /", "FROM a\nCOPY --chown=2 \\\n rootfs/ /".to_owned()),
            (
                "FROM a\n# we do not copy the rootfs/ by hand",
                format!("FROM a\n{copy}\n# we do not copy the rootfs/ by hand"),
            ),
            ("FROM a\nRUN copy rootfs/ x", format!("FROM a\n{copy}\nRUN copy rootfs/ x")),
            ("FROM a\nRUN <<E\nCOPY rootfs/ /\nE", format!("FROM a\n{copy}\nRUN <<E\nCOPY rootfs/ /\nE")),
            ("FROM a\nCOPY --from=b /rootfs/ /", format!("FROM a\n{copy}\nCOPY --from=b /rootfs/ /")),
            ("FROMAGE\n", "FROMAGE\n".to_owned()),
            ("", String::new()),
            ("é\nFRO", "é\nFRO".to_owned()),
        ] {
            assert_eq!(with_copy(text, "1:1"), expected);
        }
    }
}
