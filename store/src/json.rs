//! Reading JSON that came from outside.
//!
//! Two readers may disagree about a document in which a key stands twice, and an attacker lives from such
//! disagreements: a doubled key is an error here, as are trailing text, nesting over 64 levels and documents
//! over a size limit, and so is a key that only some readers know ([`Keys`]).

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

/// The largest document of an archive or a registry that is read, bytes.
pub const MAX_DOCUMENT: u64 = 4 << 20;
const MAX_DEPTH: usize = 64;

/// The keys of an object that are read, each with those of its value (of each element, where that is a list).
///
/// Go, in which most readers of these documents are written, takes a key for another one that differs from it only by
/// case; so such a key would be read by them and not by us. It is refused.
#[derive(Debug)]
pub struct Keys(pub &'static [(&'static str, &'static Keys)]);

/// The keys of a value in which any may stand.
pub static FREE: Keys = Keys(&[]);

impl Keys {
    /// The keys below `key`; the key that it could be taken for, where it is not that key.
    fn below(&self, key: &str) -> Result<&'static Keys, &'static str> {
        if let Some((_, below)) = self.0.iter().find(|(known, _)| *known == key) {
            return Ok(below);
        }
        match self.0.iter().find(|(known, _)| fold(key).eq(fold(known))) {
            Some((known, _)) => Err(known),
            None => Ok(&FREE),
        }
    }
}

/// What Go compares of keys: letters without case, and the two other characters that Unicode folds to ASCII letters.
fn fold(key: &str) -> impl Iterator<Item = char> {
    key.chars().map(|c| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        c => c.to_ascii_lowercase(),
    })
}

/// Parses one document in which any keys may stand; the error says what is wrong with it, with line and column.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
    parse_exact(bytes, &FREE)
}

/// Like [`parse`], and refuses keys that other readers take for one of `keys`.
pub fn parse_exact<T: DeserializeOwned>(bytes: &[u8], keys: &'static Keys) -> Result<T, String> {
    read(bytes, keys, MAX_DOCUMENT)
}

/// Like [`parse`], for what may be larger than a document of an image: `cap` bytes.
pub fn parse_within<T: DeserializeOwned>(bytes: &[u8], cap: u64) -> Result<T, String> {
    read(bytes, &FREE, cap)
}

fn read<T: DeserializeOwned>(bytes: &[u8], keys: &'static Keys, cap: u64) -> Result<T, String> {
    if bytes.len() as u64 > cap {
        return Err(format!("{} bytes of JSON, more than the {cap} that are read", bytes.len()));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    Strict { depth: 0, keys }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|e| e.to_string())?;
    serde_json::from_slice(bytes).map_err(|e| e.to_string())
}

#[derive(Clone, Copy)]
struct Strict {
    depth: usize,
    keys: &'static Keys,
}

impl Strict {
    fn deeper<E: serde::de::Error>(self) -> Result<Strict, E> {
        if self.depth == MAX_DEPTH {
            return Err(E::custom(format!("nested deeper than {MAX_DEPTH} levels")));
        }
        Ok(Strict { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }
    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }
    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }
    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }
    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }
    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }
    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        while seq.next_element_seed(inner)?.is_some() {}
        Ok(())
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let inner = self.deeper()?;
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key::<String>()? {
            if seen.contains(&key) {
                return Err(A::Error::custom(format!("the key {key:?} stands twice")));
            }
            let keys = self.keys.below(&key).map_err(|known| {
                A::Error::custom(format!("the key {key:?}, which others take for {known:?}"))
            })?;
            seen.insert(key);
            map.next_value_seed(Strict { keys, ..inner })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{FREE, Keys, parse, parse_exact};
    use serde_json::Value;

    #[test]
    fn a_key_that_others_take_for_another_is_refused() {
        static INNER: Keys = Keys(&[("digest", &FREE), ("annotations", &FREE)]);
        static KEYS: Keys = Keys(&[("layers", &INNER), ("mask", &FREE)]);
        let read = |text: &str| parse_exact::<Value>(text.as_bytes(), &KEYS);
        for good in [
            r#"{"layers":[{"digest":1,"annotations":{"Digest":"x"}}],"Digest":1,"mask":{"MASK":1}}"#,
            r#"{"layer":1,"layerss":1}"#,
        ] {
            assert!(read(good).is_ok(), "{good}");
        }
        for bad in [
            r#"{"Layers":[]}"#,
            r#"{"layers":[],"LAYERS":[]}"#,
            r#"{"layers":[{"digest":1},{"Digest":1}]}"#,
            r#"{"layers":{"diGest":1}}"#,
            "{\"layer\u{17f}\":[]}",
            "{\"mas\u{212a}\":[]}",
            r#"{"layer\u017f":[]}"#,
        ] {
            assert!(read(bad).is_err_and(|why| why.contains("others take for")), "{bad}");
        }
    }

    #[test]
    fn takes_only_what_all_readers_agree_on() {
        assert!(parse::<Value>(br#" {"a":[1,2.5,-3,null,true,"x"]} "#).is_ok());
        let deep = |n: usize| "[".repeat(n) + &"]".repeat(n);
        assert!(parse::<Value>(deep(64).as_bytes()).is_ok());
        for bad in [
            r#"{"a":1,"a":2}"#,
            r#"{"a":{"b":1,"b":1}}"#,
            "{} {}",
            "{}x",
            "",
            "{",
            "[1,]",
            &deep(65),
            &deep(100_000),
        ] {
            assert!(parse::<Value>(bad.as_bytes()).is_err(), "{}", &bad[..bad.len().min(40)]);
        }
        assert!(parse::<Value>(&vec![b' '; 5 << 20]).is_err());
    }
}
