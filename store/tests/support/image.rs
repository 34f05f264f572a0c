//! Small images made of numbers, and a check of all that a store holds.

use std::collections::BTreeSet;
use std::io::Read;

use larder_store::blob::BlobStore;
use larder_store::descriptor::Descriptor;
use larder_store::index::{REF_NAME, Tagged};
use larder_store::manifest::ImageManifest;
use larder_store::media_type::{OCI_CONFIG, OCI_LAYER};
use larder_store::transaction::Transaction;
use larder_store::{Digest, Result, Store, walk};

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        // xorshift64*
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend(state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Puts the parts of an image into the store: two layers of `layer_size` bytes, a config, and the manifest last.
pub fn put(tx: &mut Transaction<'_>, seed: u64, layer_size: usize) -> Result<Descriptor> {
    let mut layers = Vec::new();
    for number in 0..2 {
        let bytes = noise(seed * 2 + number, layer_size);
        layers.push(Descriptor::new(OCI_LAYER, tx.put(&bytes)?, bytes.len() as u64));
    }
    let diff_ids: Vec<_> = layers.iter().map(|layer| layer.digest).collect();
    let rootfs = serde_json::json!({ "type": "layers", "diff_ids": diff_ids });
    let config = serde_json::json!({ "architecture": "amd64", "os": "linux", "rootfs": rootfs }).to_string();
    let config = Descriptor::new(OCI_CONFIG, tx.put(config.as_bytes())?, config.len() as u64);
    let manifest = ImageManifest::write(&config, &layers);
    tx.put(&manifest.bytes)?;
    Ok(manifest.descriptor())
}

/// Adds a whole image under a name.
pub fn add(store: &Store, name: &str, seed: u64, layer_size: usize) -> Result<Descriptor> {
    let mut tx = store.begin("a test")?;
    let entry = put(&mut tx, seed, layer_size)?;
    tx.commit(|index| {
        index.tag(&name.parse().unwrap(), entry.clone(), 0);
        Ok(entry)
    })
}

/// Gives a name to content that need not be there.
pub fn name(store: &Store, name: &str, content: &[u8]) -> Result<Tagged> {
    let entry = Descriptor::new(OCI_LAYER, Digest::of(content), content.len() as u64);
    store.edit(|index| Ok(index.tag(&name.parse().unwrap(), entry, 0)))
}

/// Takes a name away.
pub fn untag(store: &Store, name: &str) -> Result<()> {
    store.edit(|index| {
        index.untag(&name.parse().unwrap());
        Ok(())
    })
}

/// Checks that the index is whole and that every blob that can be reached from it is there and is what its digest
/// says. Returns the names.
pub fn verify(store: &Store) -> BTreeSet<String> {
    let index = store.index().unwrap();
    for entry in index.entries() {
        walk::walk(entry, &mut |document| store.document(document), &mut |node| {
            let blob = store.blobs().open(&node.descriptor.digest)?;
            let blob = blob.unwrap_or_else(|| panic!("{} is missing", node.descriptor.digest));
            assert_eq!(blob.size(), node.descriptor.size, "{}", node.descriptor.digest);
            let mut content = Vec::new();
            blob.verified().read_to_end(&mut content).unwrap();
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{:?}: {error}", entry.annotations));
    }
    index.entries().iter().filter_map(|entry| entry.annotation(REF_NAME)).map(str::to_owned).collect()
}

/// Every blob that the store lists, each checked.
pub fn verify_all(blobs: &dyn BlobStore) -> BTreeSet<Digest> {
    let mut listed = BTreeSet::new();
    blobs
        .list(&mut |digest, _| {
            listed.insert(digest);
        })
        .unwrap();
    for digest in &listed {
        std::io::copy(&mut blobs.open(digest).unwrap().unwrap().verified(), &mut std::io::sink()).unwrap();
    }
    listed
}
