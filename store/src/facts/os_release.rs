//! The operating system that an image says it is: `os-release`(5).

use serde::{Deserialize, Serialize};

/// Bytes of a value.
const MAX_VALUE: usize = 1024;

/// What `os-release` says.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Os {
    /// `ID`: `debian`, `ubuntu`, `alpine`; `linux` where the file does not say.
    pub id: String,
    /// `VERSION_ID`; rolling distributions have none.
    pub version_id: Option<String>,
    /// `VERSION_CODENAME`.
    pub version_codename: Option<String>,
    /// `PRETTY_NAME`.
    pub pretty_name: Option<String>,
}

/// Reads the file; of a key that stands there twice the later value counts. Values with control characters, or of more
/// than a KiB, are not taken.
pub fn parse(bytes: &[u8]) -> Os {
    let text = String::from_utf8_lossy(bytes);
    let mut os = Os { id: "linux".into(), ..Os::default() };
    for line in text.lines() {
        let Some((key, value)) = line.trim().split_once('=') else { continue };
        let value = unquote(value);
        if value.is_empty() || value.len() > MAX_VALUE || value.chars().any(char::is_control) {
            continue;
        }
        match key {
            "ID" => os.id = value,
            "VERSION_ID" => os.version_id = Some(value),
            "VERSION_CODENAME" => os.version_codename = Some(value),
            "PRETTY_NAME" => os.pretty_name = Some(value),
            _ => {}
        }
    }
    os
}

/// Takes a shell's quotes and backslashes off.
fn unquote(value: &str) -> String {
    let single = value.strip_prefix('\'').and_then(|value| value.strip_suffix('\''));
    if let Some(value) = single {
        return value.to_owned();
    }
    let double = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    let mut chars = double.unwrap_or(value).chars();
    let mut plain = String::with_capacity(value.len());
    while let Some(c) = chars.next() {
        plain.extend(if c == '\\' { chars.next() } else { Some(c) });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_unquoted() {
        let text = b"# comment\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\nNAME=x\nVERSION_ID='12'\nVERSION_CODENAME=bookworm\nID=debian\nHOME_URL=\"a=b\"\n";
        let os = parse(text);
        assert_eq!((os.id.as_str(), os.version_id.as_deref()), ("debian", Some("12")));
        assert_eq!(os.version_codename.as_deref(), Some("bookworm"));
        assert_eq!(os.pretty_name.as_deref(), Some("Debian GNU/Linux 12 (bookworm)"));
        assert_eq!(parse(b"PRETTY_NAME=\"a \\\"b\\\" \\$c\"").pretty_name.as_deref(), Some("a \"b\" $c"));
        for odd in [&b""[..], b"ID", b"ID=", b"ID=\"", b"ID=a\x1b[2J", b"\xff\xfe=\xff", b"=debian"] {
            assert_ne!(parse(odd).id, "debian", "{odd:?}");
        }
        assert_eq!(parse(b"").id, "linux");
    }
}
