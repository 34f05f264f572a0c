//! Content that is embedded in a descriptor (OCI image spec, descriptor.md, `data`; RFC 4648, section 4).
//!
//! larder takes nothing from there. A reader that does must see what everybody else sees.

use crate::digest::{Digest, Hasher};

/// Sees that embedded content has the digest and the size of its descriptor; the error is a phrase.
pub(super) fn check(text: &str, digest: &Digest, size: u64) -> Result<(), String> {
    let bytes = decode(text).ok_or_else(|| format!("the data embedded for {digest} is not base64"))?;
    let mut hasher = Hasher::new();
    hasher.update(&bytes);
    if bytes.len() as u64 != size || hasher.finish() != *digest {
        return Err(format!("the data embedded for {digest} is other content"));
    }
    Ok(())
}

/// Decodes base64 with its padding; nothing else may stand in it.
fn decode(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(digits.len() * 3 / 4);
    let (mut bits, mut count) = (0u32, 0);
    for digit in digits.bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // What is left over says nothing, and another reader could think that it does.
    (bits == 0 && count < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_rfc_4648_gives_as_examples() {
        for (text, plain) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9vYmFy", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(plain.as_bytes()), "{text}");
            assert!(check(text, &Digest::of(plain.as_bytes()), plain.len() as u64).is_ok());
            assert!(check(text, &Digest::of(b"other"), plain.len() as u64).is_err());
            assert!(check(text, &Digest::of(plain.as_bytes()), 99).is_err());
        }
        for bad in ["Z", "Zg", "Zg=", "Zh==", "Zm9v\n", "Zg==Zg==", "Z-__", "====", "A==="] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
