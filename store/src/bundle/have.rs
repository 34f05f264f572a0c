//! What a target says that it has: `larder bundle have`.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::manifest::Manifest;
use super::{MAX_TEXT, check_version};
use crate::digest::Digest;
use crate::ids::DiffId;
use crate::json::parse_within;

const VERSION: u64 = 1;

/// A list of what a store keeps.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Have {
    #[serde(rename = "larderHave")]
    version: u64,
    /// Which store it is: a word that it was given at random.
    pub store: String,
    /// Its encoder ([`crate::codec::encoder`]).
    pub encoder: String,
    /// Bytes that are free on its disk.
    pub free_bytes: u64,
    /// Its names.
    pub images: Vec<Named>,
    /// Its blobs.
    pub blobs: Vec<Sized>,
    /// What its layers are without compression, as far as it knows.
    pub layers: Vec<Layer>,
}

/// A name, and what it means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named {
    /// The name in full.
    pub name: String,
    /// The manifest or index.
    pub digest: Digest,
}

/// A blob and its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sized {
    /// The blob.
    pub digest: Digest,
    /// Its bytes.
    pub size: u64,
}

/// A layer and what it is without compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Layer {
    /// What it unpacks to.
    pub diff_id: DiffId,
    /// The blob.
    pub digest: Digest,
}

impl Have {
    /// An empty list.
    pub fn new(store: String, encoder: String, free_bytes: u64) -> Have {
        Have {
            version: VERSION,
            store,
            encoder,
            free_bytes,
            images: Vec::new(),
            blobs: Vec::new(),
            layers: Vec::new(),
        }
    }

    /// Reads one; the error says what is wrong with it. Fields that this program does not know say nothing.
    pub fn parse(bytes: &[u8]) -> Result<Have, String> {
        #[derive(Deserialize)]
        struct Version {
            #[serde(rename = "larderHave")]
            version: u64,
        }
        let version: Version =
            parse_within(bytes, MAX_TEXT).map_err(|why| format!("is no have-list: {why}"))?;
        check_version("a have-list", version.version, VERSION)?;
        let have: Have = serde_json::from_slice(bytes).map_err(|why| format!("is no have-list: {why}"))?;
        let plain = |word: &str| word.len() <= 200 && !word.chars().any(char::is_control);
        if !plain(&have.store) || !plain(&have.encoder) {
            return Err("has a text that is too long, or not plain".to_owned());
        }
        have.has()?;
        Ok(have)
    }

    /// The bytes that stand for it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        bytes.push(b'\n');
        bytes
    }

    /// The blobs with their sizes.
    fn has(&self) -> Result<HashMap<Digest, u64>, String> {
        let mut has = HashMap::with_capacity(self.blobs.len());
        for blob in &self.blobs {
            if has.insert(blob.digest, blob.size).is_some_and(|other| other != blob.size) {
                return Err(format!("gives blob {} two sizes", blob.digest));
            }
        }
        Ok(has)
    }
}

/// What a target has, wherever that is known from.
#[derive(Debug, Clone, Default)]
pub struct Known {
    /// Which store it is, where that is known.
    pub store: Option<String>,
    /// Its encoder.
    pub encoder: String,
    /// Its blobs with their sizes in bytes.
    pub blobs: HashMap<Digest, u64>,
    /// A blob for each layer without compression.
    pub layers: HashMap<DiffId, Digest>,
}

impl Known {
    /// What a have-list says.
    pub fn of_list(have: Have) -> Result<Known, String> {
        let blobs = have.has()?;
        let layers = have.layers.iter().filter(|layer| blobs.contains_key(&layer.digest));
        let layers = layers.map(|layer| (layer.diff_id, layer.digest)).collect();
        Ok(Known { store: Some(have.store), encoder: have.encoder, blobs, layers })
    }

    /// What a target has that applied this bundle: what it carried, and what it presumed.
    pub fn of_bundle(manifest: &Manifest) -> Known {
        let carried = manifest.blobs.iter().map(|blob| (blob.digest, blob.size));
        // Nothing keeps what blobs were only made of.
        let presumed = manifest.presumes.iter().filter(|blob| !blob.base);
        let presumed = presumed.map(|blob| (blob.digest, blob.size));
        Known {
            store: None,
            encoder: manifest.encoder.clone(),
            blobs: carried.chain(presumed).collect(),
            layers: HashMap::new(),
        }
    }
}
