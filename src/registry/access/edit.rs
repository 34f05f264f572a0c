//! One entry of `auths` in a file of credentials is set or taken out; all else stays as it is written, in its order.
//!
//! The file belongs to docker or podman as well, and has fields that larder does not know.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::host::{docker_key, meant, normal};

const AUTHS: &str = "auths";

/// A JSON object with its order, and with its values as they were written.
#[derive(Default)]
struct Kept(Vec<(String, Box<RawValue>)>);

/// The file with an entry for a host as a whole, instead of all that it had for that.
pub(super) fn with(bytes: &[u8], host: &str, entry: &serde_json::Value) -> Result<String, String> {
    change(bytes, host, Some(raw(&indented(entry, "\t\t")))).map(|(text, _)| text)
}

/// The file without entries for a host as a whole; whether it had one.
pub(super) fn without(bytes: &[u8], host: &str) -> Result<(String, bool), String> {
    change(bytes, host, None)
}

fn change(bytes: &[u8], host: &str, entry: Option<Box<RawValue>>) -> Result<(String, bool), String> {
    let mut file = parse(bytes, "")?;
    let place = file.0.iter().position(|(key, _)| key == AUTHS);
    let mut auths = match place.map(|place| file.0[place].1.get()) {
        None | Some("null") => Kept::default(),
        Some(text) => parse(text.as_bytes(), "auths: ")?,
    };
    let is_hosts = |key: &str| meant(key) == (normal(host), "");
    let first = auths.0.iter().position(|(key, _)| is_hosts(key));
    auths.0.retain(|(key, _)| !is_hosts(key));
    if let Some(entry) = entry {
        auths.0.insert(first.unwrap_or(auths.0.len()), (docker_key(host), entry));
    }
    let text = raw(&auths.text("\t"));
    match place {
        Some(place) => file.0[place].1 = text,
        None => file.0.insert(0, (AUTHS.to_owned(), text)),
    }
    Ok((file.text("") + "\n", first.is_some()))
}

fn parse(bytes: &[u8], place: &str) -> Result<Kept, String> {
    if bytes.trim_ascii().is_empty() {
        return Ok(Kept::default());
    }
    // What serde says of it might quote it.
    serde_json::from_slice(bytes).map_err(|error| match error.is_data() {
        true => format!("{place}is not a JSON object, or a key stands in it twice"),
        false => format!("{place}line {}, column {}: is not JSON", error.line(), error.column()),
    })
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(text.to_owned()).expect("it is made of what was JSON already")
}

/// JSON as docker writes it, for a place that has this indentation.
fn indented(value: &serde_json::Value, indentation: &str) -> String {
    let serde_json::Value::Object(fields) = value else { return value.to_string() };
    let fields = fields.iter().map(|(key, value)| (key.clone(), raw(&value.to_string())));
    Kept(fields.collect()).text(indentation)
}

impl Kept {
    fn text(&self, indentation: &str) -> String {
        if self.0.is_empty() {
            return "{}".to_owned();
        }
        let field = |(key, value): &(String, Box<RawValue>)| {
            let key = serde_json::Value::from(key.as_str());
            format!("\n{indentation}\t{key}: {}", value.get())
        };
        let fields: Vec<_> = self.0.iter().map(field).collect();
        format!("{{{}\n{indentation}}}", fields.join(","))
    }
}

impl<'de> Deserialize<'de> for Kept {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Kept, D::Error> {
        struct Fields;

        impl<'de> Visitor<'de> for Fields {
            type Value = Kept;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Kept, A::Error> {
                let mut fields: Vec<(String, Box<RawValue>)> = Vec::new();
                while let Some(field) = map.next_entry::<String, Box<RawValue>>()? {
                    if fields.iter().any(|(key, _)| *key == field.0) {
                        return Err(A::Error::custom("a key stands twice"));
                    }
                    fields.push(field);
                }
                Ok(Kept(fields))
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn all_else_stays_as_it_is_written() {
        let text = r#"{
	"HttpHeaders": {"User-Agent":  "x", "z": 1, "a": 1.50},
	"auths": {
		"r.io": {
			"auth": "b2xk"
		},
		"https://index.docker.io/v1/": {},
		"r.io/team": { "auth":"dGVhbTpw" }
	},
	"psFormat": "{{.ID}}\\t",
	"detachKeys": "ctrl-e,e"
}
"#;
        let entry = json!({"auth": "bmV3"});
        assert_eq!(with(text.as_bytes(), "r.io", &entry).expect("text"), text.replace("b2xk", "bmV3"));
        let (gone, was) = without(text.as_bytes(), "r.io").expect("text");
        assert_eq!(
            (gone, was),
            (text.replace("\t\t\"r.io\": {\n\t\t\t\"auth\": \"b2xk\"\n\t\t},\n", ""), true)
        );
        let (same, was) = without(text.as_bytes(), "other.io").expect("text");
        assert_eq!((same.as_str(), was), (text, false));
    }

    #[test]
    fn a_host_has_one_entry_whatever_it_was_called() {
        let text =
            br#"{"auths":{"a.io":{},"docker.io":{"auth":"eA=="},"index.docker.io":{},"docker.io/me":{}}}"#;
        let after = with(text, "docker.io", &json!({})).expect("text");
        let keys: Kept = serde_json::from_str(&after).expect("JSON");
        let auths: Kept = serde_json::from_str(keys.0[0].1.get()).expect("JSON");
        let keys: Vec<_> = auths.0.iter().map(|(key, _)| key.as_str()).collect();
        assert_eq!(keys, ["a.io", "https://index.docker.io/v1/", "docker.io/me"]);
    }

    #[test]
    fn a_new_file_is_as_docker_writes_it() {
        let expected = "{\n\t\"auths\": {\n\t\t\"r.io\": {\n\t\t\t\"auth\": \"bmV3\"\n\t\t}\n\t}\n}\n";
        for empty in ["", " \n", "{}", r#"{"auths":null}"#, r#"{"auths":{}}"#] {
            assert_eq!(with(empty.as_bytes(), "r.io", &json!({"auth": "bmV3"})).expect(empty), expected);
        }
        assert_eq!(without(b"", "r.io"), Ok(("{\n\t\"auths\": {}\n}\n".into(), false)));
    }

    #[test]
    fn what_is_no_such_file_is_left_alone_and_not_quoted() {
        for text in [
            "[\"hunter2\"]",
            "\"hunter2",
            r#"{"auths":"hunter2"}"#,
            r#"{"hunter2":1,"hunter2":2}"#,
            "{} hunter2",
        ] {
            let why = with(text.as_bytes(), "r.io", &json!({})).expect_err(text);
            assert!(!why.contains("hunter2"), "{why}");
        }
    }

    proptest! {
        #[test]
        fn what_was_there_is_there(keys in prop::collection::btree_set("\\PC{1,6}", 0..5), host in "[a-z]{1,4}\\.io") {
            let others: serde_json::Map<_, _> = keys.into_iter().map(|key| (key, json!([1.5, "x"]))).collect();
            prop_assume!(!others.contains_key(AUTHS));
            let text = serde_json::Value::from(others.clone()).to_string();
            let put = with(text.as_bytes(), &host, &json!({"auth": "x"})).expect("text");
            let (taken, was) = without(put.as_bytes(), &host).expect("text");
            let mut after: serde_json::Map<_, _> = serde_json::from_str(&taken).expect("JSON");
            prop_assert_eq!((after.remove(AUTHS), was), (Some(json!({})), true));
            prop_assert_eq!(after, others);
        }
    }
}
