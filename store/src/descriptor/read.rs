//! Reading descriptors: with all their fields where they are written again (the index), and with those alone that
//! larder looks at where they are part of a document, which is never written again. A document of a few MiB could
//! otherwise hold a hundred of values.

use std::borrow::Cow;

use serde::de::{self, Error, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Map;

use super::{Annotations, Descriptor, data};

/// What becomes of fields that this program does not know.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unknown {
    Kept,
    Dropped,
}

impl<'de> Deserialize<'de> for Descriptor {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Descriptor, D::Error> {
        deserializer.deserialize_map(Fields(Unknown::Kept))
    }
}

/// A descriptor in a document: what is embedded in it must be what it describes.
struct Plain(Descriptor);

impl<'de> Deserialize<'de> for Plain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Plain, D::Error> {
        deserializer.deserialize_map(Fields(Unknown::Dropped)).map(Plain)
    }
}

pub(crate) fn plain<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Descriptor, D::Error> {
    Plain::deserialize(deserializer).map(|plain| plain.0)
}

pub(crate) fn plain_option<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Descriptor>, D::Error> {
    Option::<Plain>::deserialize(deserializer).map(|plain| plain.map(|plain| plain.0))
}

pub(crate) fn plain_list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Descriptor>, D::Error> {
    let list = Vec::<Plain>::deserialize(deserializer)?;
    Ok(list.into_iter().map(|plain| plain.0).collect())
}

struct Fields(Unknown);

impl<'de> Visitor<'de> for Fields {
    type Value = Descriptor;
    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a descriptor")
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Descriptor, A::Error> {
        let (mut media_type, mut digest, mut size) = (None, None, None);
        let (mut platform, mut annotations) = (None, None::<Option<Annotations>>);
        let mut embedded = None::<Option<Cow<'de, str>>>;
        let mut extra = Map::new();
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match key.as_ref() {
                "mediaType" => once(&mut media_type, "mediaType", map.next_value()?)?,
                "digest" => once(&mut digest, "digest", map.next_value()?)?,
                "size" => once(&mut size, "size", map.next_value()?)?,
                "platform" => once(&mut platform, "platform", map.next_value()?)?,
                "annotations" => once(&mut annotations, "annotations", map.next_value()?)?,
                "data" if self.0 == Unknown::Dropped => once(&mut embedded, "data", map.next_value()?)?,
                // The one field besides that an entry of the index takes over.
                "artifactType" if self.0 == Unknown::Dropped => {
                    let text: String = map.next_value()?;
                    drop(extra.insert(key.into_owned(), text.into()));
                }
                _ if self.0 == Unknown::Dropped => drop(map.next_value::<IgnoredAny>()?),
                _ => drop(extra.insert(key.into_owned(), map.next_value()?)),
            }
        }
        let descriptor = Descriptor {
            media_type: media_type.unwrap_or_default(),
            digest: digest.ok_or_else(|| de::Error::missing_field("digest"))?,
            size: size.ok_or_else(|| de::Error::missing_field("size"))?,
            platform: platform.flatten(),
            annotations: annotations.flatten().unwrap_or_default(),
            extra,
        };
        if let Some(text) = embedded.flatten() {
            data::check(&text, &descriptor.digest, descriptor.size).map_err(A::Error::custom)?;
        }
        Ok(descriptor)
    }
}

fn once<T, E: de::Error>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}
