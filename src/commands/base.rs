//! What images are made on, as people name it.

use std::fmt::Display;

use larder_store::base::Base;
use larder_store::descriptor::Descriptor;
use larder_store::error::Error;
use larder_store::freshness::{Image, look_at};
use larder_store::index::Index;
use larder_store::store::Store;
use serde_json::{Value, json};

/// The base that a text names, and what its documents say.
pub(super) fn of(store: &Store, index: &Index, query: &str) -> Result<(Base, Image), Error> {
    let entry = store.resolve(index, query)?;
    super::several_names(index, &entry, query)?;
    Ok((Base::from_entry(&entry)?, look_at(store, &entry)?))
}

/// The base that a text names, if an entry's image is made on it.
pub(super) fn under(store: &Store, index: &Index, entry: &Descriptor, query: &str) -> Result<Base, Error> {
    let (base, image) = of(store, index, query)?;
    if base.digest == Some(entry.digest) {
        return Err(own(entry.digest));
    }
    if look_at(store, entry)?.is_on(&image) {
        return Ok(base);
    }
    let name = base.name.familiar();
    Err(Error::invalid(
        format!("image {}", entry.digest),
        format!("does not begin with the layers of {name}"),
    ))
}

/// What is no base of an image: what it is itself, or replaces. It would be stale for ever.
pub(super) fn own(image: impl Display) -> Error {
    Error::invalid(
        format!("image {image}"),
        "cannot be its own base; keep that under a name of its own (larder tag)",
    )
}

pub(super) fn value(base: Option<&Base>) -> Value {
    base.map_or(Value::Null, |base| json!({"name": base.name.full(), "digest": base.digest}))
}
