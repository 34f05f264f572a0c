//! The JSON schema of `image.yml` for editors (json-schema.org, draft 7): made from the very list of keys by which it is read. Pure.

use serde_json::{Map, Value, json};

use super::keys::{self, Key, Kind};

/// The schema.
pub(crate) fn image() -> Value {
    let mut schema = mapping(keys::IMAGE);
    schema["$schema"] = "http://json-schema.org/draft-07/schema#".into();
    schema["title"] = "image.yml, an image definition of larder".into();
    schema
}

fn mapping(keys: &[Key]) -> Value {
    let properties: Map<String, Value> =
        keys.iter().map(|key| (key.name.to_owned(), property(key))).collect();
    let required: Vec<_> = keys.iter().filter(|key| key.is_required).map(|key| key.name).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

fn property(key: &Key) -> Value {
    // Written plain, 3.10 is a number to an editor; it is read as it stands there.
    let text = json!(["string", "number", "boolean"]);
    let mut schema = match &key.kind {
        Kind::Text => json!({"type": text}),
        Kind::Switch => json!({"type": "boolean"}),
        Kind::Word(words) => json!({"enum": words}),
        Kind::Values => json!({"type": ["object", "null"], "additionalProperties": {"type": text}}),
        Kind::List(keys) => json!({"type": "array", "items": mapping(keys)}),
    };
    if key.is_required && matches!(key.kind, Kind::List(_)) {
        schema["minItems"] = 1.into();
    }
    schema["description"] = key.about.into();
    schema
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::def::config::parse;

    /// A file with all keys that the schema has, and with one key less or more, is read as the schema says.
    #[test]
    fn the_schema_says_what_is_read() {
        let schema = image();
        let text = example(&schema).to_string();
        assert!(parse(&text).is_ok(), "{text}: {:?}", parse(&text));
        let required = schema["required"].as_array().expect("a list").clone();
        for key in schema["properties"].as_object().expect("properties").keys() {
            let mut less = example(&schema);
            less.as_object_mut().expect("a mapping").remove(key);
            let is_required = required.contains(&Value::from(key.as_str()));
            assert_eq!(parse(&less.to_string()).is_err(), is_required, "{key}");
        }
        let mut more = example(&schema);
        more["other"] = 1.into();
        assert!(parse(&more.to_string()).is_err());
        insta::assert_snapshot!(serde_json::to_string_pretty(&schema).expect("JSON"));
    }

    fn example(schema: &Value) -> Value {
        match &schema["type"] {
            _ if schema["enum"].is_array() => schema["enum"][0].clone(),
            Value::String(kind) if kind == "object" => {
                let properties = schema["properties"].as_object().expect("properties").iter();
                Value::Object(properties.map(|(key, below)| (key.clone(), example(below))).collect())
            }
            Value::String(kind) if kind == "array" => json!([example(&schema["items"])]),
            Value::String(kind) if kind == "boolean" => json!(true),
            Value::Array(kinds) if kinds.contains(&json!("object")) => json!({"x": "text"}),
            _ => json!("text"),
        }
    }
}
