//! The licences that Debian's `/usr/share/doc/PACKAGE/copyright` names, where it is one for machines
//! (<https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/>).

use std::collections::BTreeSet;

use super::fields::Fields;
use crate::sbom::package::MAX_LICENCES;

/// Bytes of a file that are looked at.
const MAX_BYTES: usize = 4 << 20;

/// The package whose file this is.
pub(crate) fn package_of(path: &str) -> Option<&str> {
    path.strip_prefix("usr/share/doc/")?.strip_suffix("/copyright").filter(|name| !name.contains('/'))
}

/// Short names and expressions of licences, each once, as many as one package may have; nothing of a file that only people can read.
pub(crate) fn licences(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MAX_BYTES)]);
    let mut groups = Fields::groups(&text);
    let is_for_machines =
        |head: &Fields<'_>| !head.get("Format").is_empty() || !head.get("Format-Specification").is_empty();
    let Some(head) = groups.next().filter(is_for_machines) else { return Vec::new() };
    let mut found = BTreeSet::new();
    // A group without `Files` is the text of a licence that others name.
    let named = groups.filter(|group| !group.get("Files").is_empty());
    for group in std::iter::once(head).chain(named) {
        let licence = group.get("License");
        if !licence.is_empty() {
            found.insert(licence.to_owned());
        }
        if found.len() == MAX_LICENCES {
            break;
        }
    }
    found.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_are_those_of_files() {
        let text = b"Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: x\n\n\
            Files: *\nCopyright: somebody\nLicense: GPL-2+\n\nFiles: debian/*\nCopyright: x\nLicense: Expat\n the text of it\n .\n more\n\n\
            Files: b\nLicense: GPL-2+\n\nLicense: GPL-2+\n The text.\n";
        assert_eq!(licences(text), ["Expat", "GPL-2+"]);
        assert_eq!(licences(b"This package was debianized by somebody.\n\nLicense: GPL\n"), [""; 0]);
        let many: String = (0..9999).map(|number| format!("Files: *\nLicense: L-{number}\n\n")).collect();
        assert_eq!(licences(format!("Format: 1.0\n\n{many}").as_bytes()).len(), MAX_LICENCES);
        assert_eq!(package_of("usr/share/doc/bash/copyright"), Some("bash"));
        assert_eq!(package_of("usr/share/doc/bash/examples/copyright"), None);
    }
}
