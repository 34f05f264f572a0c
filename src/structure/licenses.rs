//! License tests: what container-structure-test forbids in copyright files. Pure.

/// Where Debian's packages have their copyright files.
pub(crate) const DEBIAN: &str = "/usr/share/doc";
/// What such a file is called.
pub(crate) const COPYRIGHT: &str = "copyright";
/// A package whose file is not looked at.
const PASSED: [&[u8]; 1] = [b"libgnutls30"];
/// What must not be in one, in capitals or not.
const FORBIDDEN: [&str; 2] = ["AGPL", "WTFPL"];

/// Whether a package's copyright file is looked at.
pub(crate) fn is_checked(package: &[u8]) -> bool {
    !PASSED.contains(&package)
}

/// What is wrong with a file of this content.
pub(crate) fn judge(path: &str, content: &[u8]) -> Option<String> {
    let text = content.to_ascii_uppercase();
    let has = |word: &&&str| text.windows(word.len()).any(|window| window == word.as_bytes());
    FORBIDDEN.iter().find(has).map(|word| format!("{path} names {word}, which is forbidden"))
}
