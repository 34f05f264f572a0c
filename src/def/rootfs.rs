//! Files for an image from several directories, one over the other. Pure.

use std::collections::BTreeMap;

use super::folder::Kind;
use super::named;

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
            let is_dir = |item: &Item| item.kind == Kind::Directory;
            if *kind != Kind::Directory {
                let below = format!("{path}/");
                self.0.retain(|other, _| !other.starts_with(&below));
            } else if self.0.get(path).is_some_and(is_dir) {
                continue;
            }
            self.0.insert(path.to_owned(), Item { from: from.clone(), kind: kind.clone() });
        }
        Ok(())
    }

    /// Whether there is anything but directories in it.
    pub(super) fn has_content(&self) -> bool {
        self.0.values().any(|item| item.kind != Kind::Directory)
    }

    /// What is in it, each directory before what it has.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &Item)> {
        self.0.iter().map(|(path, item)| (path.as_str(), item))
    }

    /// The files that look as if they should be in no image.
    pub(super) fn sensitive(&self) -> impl Iterator<Item = &str> {
        let all = self.0.iter().filter(|(path, item)| item.kind != Kind::Directory && is_sensitive(path));
        all.map(|(_, item)| item.from.as_str())
    }
}

/// Whether a file of this name holds secrets or certificates.
fn is_sensitive(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_ascii_lowercase();
    let ends = [".key", ".pem", ".p12", ".pfx", ".crt", ".cer", ".der", ".jks", ".keystore", ".env"];
    let whole =
        ["id_rsa", "id_dsa", "id_ecdsa", "id_ed25519", ".netrc", ".npmrc", ".pypirc", ".git-credentials"];
    name.starts_with(".env.") || whole.contains(&name.as_str()) || ends.iter().any(|end| name.ends_with(end))
}

/// Puts the COPY of `rootfs/` behind the first FROM, unless the Dockerfile copies it itself.
pub(super) fn with_copy(dockerfile: &str, user: &str) -> String {
    let copies = |line: &str| {
        let lower = line.to_ascii_lowercase();
        lower
            .find("copy")
            .and_then(|at| lower.get(at + 4..))
            .is_some_and(|behind| behind.starts_with(char::is_whitespace) && behind.contains("rootfs/"))
    };
    if dockerfile.lines().any(copies) {
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

    const FILE: Kind = Kind::File { is_executable: false };

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
                    ("etc", Kind::Directory),
                    ("etc/one", FILE),
                    ("etc/two", FILE),
                    ("opt", Kind::Directory),
                    ("opt/x", FILE),
                    ("lib", link()),
                ],
            ),
            (
                "b",
                &[
                    ("etc", Kind::Directory),
                    ("etc/two", link()),
                    ("lib", Kind::Directory),
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
                "etc=a/etc",
                "etc/one=a/etc/one",
                "etc/two=b/etc/two",
                "lib=b/lib",
                "lib/y=b/lib/y",
                "opt=b/opt"
            ]
        );
        assert!(made.has_content());
        let empty = overlay(&[("a", &[("etc", Kind::Directory)])]).expect("an overlay");
        assert!(!empty.has_content());
        assert!(overlay(&[("a", &[("pipe", Kind::Other)])]).is_err());
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
        ];
        let found: Vec<_> = names.iter().map(|name| (*name, FILE)).collect();
        let made =
            overlay(&[("a", &found), ("b", &[("keys", FILE), ("environment", FILE), ("id_rsa.pub", FILE)])]);
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
            ("FROMAGE\n", "FROMAGE\n".to_owned()),
            ("", String::new()),
            ("é\nFRO", "é\nFRO".to_owned()),
        ] {
            assert_eq!(with_copy(text, "1:1"), expected);
        }
    }
}
