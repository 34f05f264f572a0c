//! The databases of package managers: dpkg's, apk's and pacman's.
//!
//! Pure functions on bytes that anybody may have written: a stanza that says too little or something impossible is
//! skipped and counted, and the rest goes on.

use serde::{Deserialize, Serialize};

/// Bytes of a name, a version or an architecture.
const MAX_WORD: usize = 256;
/// Packages of one image.
pub(super) const MAX_PACKAGES: usize = 200_000;

/// A package that is installed in an image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version, as its package manager writes it.
    pub version: String,
    /// Its architecture, in its package manager's words.
    pub architecture: String,
    /// Whose package it is.
    pub kind: PackageKind,
}

/// A package manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PackageKind {
    /// Debian and its descendants.
    Dpkg,
    /// Alpine.
    Apk,
    /// Arch.
    Pacman,
}

/// A package, and what else its database says of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installed {
    /// The package.
    pub package: Package,
    /// The source that it was built from; dpkg puts its version in parentheses behind it where that is another one.
    pub source: String,
    /// Its licences; dpkg has them elsewhere.
    pub licences: Vec<String>,
    /// Bytes that it takes, as its database says.
    pub size: Option<u64>,
}

/// What was read of a database.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Database {
    /// The installed packages, in the database's order.
    pub packages: Vec<Installed>,
    /// Stanzas that were skipped.
    pub skipped: usize,
}

impl Database {
    fn add(
        &mut self,
        kind: PackageKind,
        [name, version, architecture]: [&str; 3],
        source: &str,
        licences: Vec<String>,
        size: Option<u64>,
    ) {
        let is_word = |word: &str| {
            (1..=MAX_WORD).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_graphic())
        };
        if ![name, version, architecture].into_iter().all(is_word) {
            self.skipped += 1;
        } else if self.packages.len() <= MAX_PACKAGES {
            // One more than are kept of an image: so that they are too many is seen.
            let [name, version, architecture] = [name, version, architecture].map(str::to_owned);
            let package = Package { name, version, architecture, kind };
            self.packages.push(Installed { package, source: source.to_owned(), licences, size });
        }
    }
}

/// Reads dpkg's `status`, or a file of `status.d` (deb-control(5), dpkg(1)). Packages that are only known, or of which
/// only the configuration is left, are not installed.
pub fn dpkg(bytes: &[u8]) -> Database {
    let mut database = Database::default();
    for stanza in stanzas(bytes) {
        let field = |name: &str| {
            let mut fields = stanza.iter().filter_map(|line| line.split_once(':'));
            fields.find(|(key, _)| key.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value.trim())
        };
        // Images without dpkg have no `Status` in `status.d`: what is there is installed.
        let status = field("Status");
        let state = status.split_ascii_whitespace().nth(2);
        if status.is_empty() || matches!(state, Some("installed" | "triggers-awaited" | "triggers-pending")) {
            let kib = field("Installed-Size").parse().ok().and_then(|kib: u64| kib.checked_mul(1024));
            let words = ["Package", "Version", "Architecture"].map(field);
            database.add(PackageKind::Dpkg, words, field("Source"), Vec::new(), kib);
        } else if !matches!(
            state,
            Some("not-installed" | "config-files" | "half-installed" | "unpacked" | "half-configured")
        ) {
            database.skipped += 1;
        }
    }
    database
}

/// Reads apk's `installed` (apk-package(5): `P`, `V`, `A`, `o`, `L` and `I` of each package).
pub fn apk(bytes: &[u8]) -> Database {
    let mut database = Database::default();
    for stanza in stanzas(bytes) {
        let field = |key: &str| stanza.iter().find_map(|line| line.strip_prefix(key)).unwrap_or_default();
        let licences = Some(field("L:").to_owned()).filter(|licence| !licence.is_empty());
        database.add(
            PackageKind::Apk,
            ["P:", "V:", "A:"].map(field),
            field("o:"),
            Vec::from_iter(licences),
            field("I:").parse().ok(),
        );
    }
    database
}

/// Reads the `desc` of one package of pacman's local database: a `%KEY%` and lines of values.
pub fn pacman(bytes: &[u8]) -> Database {
    let mut database = Database::default();
    let text = String::from_utf8_lossy(bytes);
    let lines = |key: &'static str| {
        let behind = text.lines().skip_while(move |line| *line != key).skip(1);
        behind.take_while(|line| !line.is_empty())
    };
    let field = |key: &'static str| lines(key).next().unwrap_or_default();
    let licences = lines("%LICENSE%").map(str::to_owned).collect();
    database.add(
        PackageKind::Pacman,
        ["%NAME%", "%VERSION%", "%ARCH%"].map(field),
        field("%BASE%"),
        licences,
        field("%SIZE%").parse().ok(),
    );
    database
}

/// Groups of lines that empty ones divide.
fn stanzas(bytes: &[u8]) -> impl Iterator<Item = Vec<std::borrow::Cow<'_, str>>> {
    let mut lines = bytes.split(|byte| *byte == b'\n').peekable();
    std::iter::from_fn(move || {
        while lines.next_if(|line| line.trim_ascii().is_empty()).is_some() {}
        lines.peek()?;
        let mut stanza = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.trim_ascii().is_empty()) {
            // Lines that go on are never what is looked for.
            if !line.starts_with(b" ") && !line.starts_with(b"\t") {
                stanza.push(String::from_utf8_lossy(line));
            }
        }
        Some(stanza)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(database: &Database) -> Vec<String> {
        let show = |p: &Package| format!("{} {} {}", p.name, p.version, p.architecture);
        database.packages.iter().map(|installed| show(&installed.package)).collect()
    }

    #[test]
    fn dpkg_says_what_is_installed() {
        let status = b"Package: bash\nStatus: install ok installed\nSource: bash (5.2.15-2)\nArchitecture: amd64\nVersion: 5.2.15-2+b7\nDescription: a shell\n of GNU\n .\n Version: 9\n\n\
            Package: gone\nStatus: deinstall ok config-files\nArchitecture: amd64\nVersion: 1\n\n\n\
            Package: held\nStatus: hold ok installed\nArchitecture: all\nVersion: 2:1.0~rc1-1\n\n\
            Package: no-version\nStatus: install ok installed\nArchitecture: all\n\n\
            Package: bad\x1b[2J\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n\
            Package: odd\nStatus: what is this\nArchitecture: all\nVersion: 1\n";
        let database = dpkg(status);
        assert_eq!(shown(&database), ["bash 5.2.15-2+b7 amd64", "held 2:1.0~rc1-1 all"]);
        assert_eq!(database.skipped, 3);
        assert_eq!(database.packages[0].source, "bash (5.2.15-2)");
        let bare = dpkg(b"Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n");
        assert_eq!(shown(&bare), ["tzdata 2024a-0+deb12u1 all"], "status.d");
    }

    #[test]
    fn apk_and_pacman_say_it_in_their_ways() {
        let installed = b"C:Q1xyz=\nP:musl\nV:1.2.5-r0\nA:x86_64\no:musl-src\nL:MIT\nT:the musl c library\nF:lib\nR:ld-musl-x86_64.so.1\n\nP:broken\nV:1\n\n";
        let database = apk(installed);
        assert_eq!((shown(&database), database.skipped), (vec!["musl 1.2.5-r0 x86_64".to_owned()], 1));
        assert_eq!(
            (database.packages[0].source.as_str(), &database.packages[0].licences[..]),
            ("musl-src", &["MIT".to_owned()][..])
        );
        let desc =
            b"%NAME%\ngcc\n\n%VERSION%\n14.2.1+r753-1\n\n%ARCH%\nx86_64\n\n%BASE%\ngcc-base\n\n%LICENSE%\nGPL-3.0-or-later\nGFDL-1.3-or-later\n\n%DEPENDS%\nbinutils>=2.28\n";
        let database = pacman(desc);
        assert_eq!(shown(&database), ["gcc 14.2.1+r753-1 x86_64"]);
        assert_eq!(database.packages[0].source, "gcc-base");
        assert_eq!(database.packages[0].licences, ["GPL-3.0-or-later", "GFDL-1.3-or-later"]);
        for cut in 0..desc.len() {
            let database = pacman(&desc[..cut]);
            assert_eq!(database.packages.len() + database.skipped, 1);
        }
    }

    #[test]
    fn that_they_are_too_many_is_seen() {
        let text = "P:a\nV:1\nA:x\n\n".repeat(MAX_PACKAGES + 2);
        let database = apk(text.as_bytes());
        assert_eq!((database.packages.len(), database.skipped), (MAX_PACKAGES + 1, 0));
    }
}
