//! A layer goes from one store to another one as a delta, the way a bundle takes it.

use std::io::Read;

use larder_store::Store;
use larder_store::codec::{EncodedLayer, Encoder, Encoding};
use larder_store::delta::{Layer, Prepared, Wanted, prepare, similar};
use larder_store::descriptor::Descriptor;
use larder_store::error::Kind;
use larder_store::media_type::OCI_LAYER;

use super::*;
use crate::support::{directory, leftovers, open};

/// Puts a layer of larder's encoding into a store.
fn put(store: &Store, plain: &[u8], encoding: &str) -> (Descriptor, DiffId) {
    let mut tx = store.begin("a test").unwrap();
    let encoding = encoding.parse().unwrap();
    let mut encoder = Encoder::new(encoding, 2, Cancel::new(), store.path().to_path_buf()).unwrap();
    encoder.layer(&mut &plain[..], tx.writer().unwrap(), &|_| {}).unwrap();
    let EncodedLayer { staged, plain, .. } = encoder.finish().unwrap().remove(0);
    let (digest, size) = (staged.digest(), staged.size());
    let compression = Encoding::of(Compression::sniff(&{
        let mut head = [0; 4];
        staged.open().unwrap().read_at(&mut head, 0).unwrap();
        head
    }))
    .compression;
    tx.publish(staged).unwrap();
    let facts = LayerFacts {
        blob: digest,
        size,
        compression,
        diff_id: plain.diff_id,
        plain_size: plain.size,
        seekable: compression == Compression::Zstd,
    };
    store.layers().unwrap().learn(&facts, true).unwrap();
    (facts.descriptor(), plain.diff_id)
}

fn layer(store: &Store, of: &(Descriptor, DiffId)) -> Layer {
    Layer::open(store, &of.0, of.1, &Cancel::new()).unwrap()
}

fn private(store: &Store, name: &str) -> larder_store::fs::Dir {
    store.layout().private().ensure_dir(name).unwrap()
}

/// What the receiving store does.
fn arrive(
    store: &Store,
    base: &(Descriptor, DiffId),
    delta: &mut Prepared,
    to: &Descriptor,
) -> Result<Digest> {
    let cancel = Cancel::new();
    let mut base = layer(store, base).base(&private(store, "ingest"), &cancel)?;
    let mut tx = store.begin("a test")?;
    let wanted = Wanted {
        digest: to.digest,
        size: to.size,
        header: delta.header,
        encoding: delta.encoding,
        jobs: 2,
        shown: store.path(),
    };
    let rebuilt = delta::rebuild(&mut base, &mut delta.file, &wanted, tx.writer()?, &cancel)?;
    tx.publish(rebuilt.staged)
}

#[test]
fn the_exact_blob_arrives_in_another_store() {
    let (before, after) = month(7);
    let other = tar(&[file("opt/x", noise(3, 400_000), 1)]);
    let (outside, inside) = (directory(), directory());
    let (source, target) = (open(&outside.path().join("s")), open(&inside.path().join("s")));
    for (old_there, encoding) in [("zstd:3", "zstd:3"), ("gzip:6", "zstd:7"), ("none", "gzip:6")] {
        let new = put(&source, &after, encoding);
        let candidates = [put(&source, &other, "zstd:3"), put(&source, &before, "zstd:3")];
        // The base is the same layer there, however it is stored.
        let old = put(&target, &before, old_there);
        let layers = candidates.each_ref().map(|candidate| layer(&source, candidate));
        let sketches = layers.each_ref().map(|layer| layer.sketch(&Cancel::new()).unwrap());
        let wanted = layer(&source, &new);
        let (best, _) = similar(&wanted.sketch(&Cancel::new()).unwrap(), &sketches)[0];
        assert_eq!(best, 1);
        let scratch = private(&source, "ingest");
        let most = new.0.size * 8 / 10;
        let prepared = prepare(&layers[best], &wanted, &settings(2), most, &scratch, &Cancel::new());
        let mut prepared = prepared.unwrap().expect("a delta");
        let mut bytes = Vec::new();
        prepared.file.read_to_end(&mut bytes).unwrap();
        assert_eq!((Digest::of(&bytes), bytes.len() as u64), (prepared.digest, prepared.made.size));
        assert!(prepared.made.size < new.0.size / 10, "{prepared:?}");
        assert_eq!(prepared.encoding.to_string(), encoding);

        std::io::Seek::rewind(&mut prepared.file).unwrap();
        let arrived = arrive(&target, &old, &mut prepared, &new.0).unwrap();
        assert_eq!(arrived, new.0.digest, "{encoding} to {old_there}");
        let blobs = [&source, &target].map(|store| {
            let mut bytes = Vec::new();
            store.blobs().open(&arrived).unwrap().unwrap().reader().read_to_end(&mut bytes).unwrap();
            bytes
        });
        assert!(blobs[0] == blobs[1]);

        // To another base nothing of it is applied.
        std::io::Seek::rewind(&mut prepared.file).unwrap();
        let wrong = put(&target, &other, "zstd:3");
        let error = arrive(&target, &wrong, &mut prepared, &new.0).unwrap_err();
        assert!(error.to_string().contains("needs the layer that it was made from"), "{error}");
    }
    for store in [&source, &target] {
        assert_eq!(leftovers(store.path()), Vec::<String>::new());
    }
}

#[test]
fn no_delta_where_it_saves_too_little_or_cannot_be_proven() {
    let (before, after) = month(8);
    let dir = directory();
    let store = open(&dir.path().join("s"));
    let (old, new) = (put(&store, &before, "zstd:3"), put(&store, &after, "zstd:3"));
    let scratch = private(&store, "ingest");
    let try_it = |target: &(Descriptor, DiffId), most: u64, cancel: &Cancel| {
        prepare(&layer(&store, &old), &layer(&store, target), &settings(1), most, &scratch, cancel)
    };
    let size = try_it(&new, u64::MAX, &Cancel::new()).unwrap().expect("a delta").made.size;
    assert!(try_it(&new, size, &Cancel::new()).unwrap().is_some());
    assert!(try_it(&new, size - 1, &Cancel::new()).unwrap().is_none());
    // Of another encoder: nobody could make it of its plain bytes.
    let mut tx = store.begin("a test").unwrap();
    let foreign = zstd::bulk::compress(&after, 3).unwrap();
    let digest = tx.put(&foreign).unwrap();
    drop(tx);
    let foreign = (Descriptor::new(format!("{OCI_LAYER}+zstd"), digest, foreign.len() as u64), new.1);
    assert!(try_it(&foreign, u64::MAX, &Cancel::new()).unwrap().is_none());
    let cancel = Cancel::new();
    cancel.raise();
    assert_eq!(try_it(&new, u64::MAX, &cancel).unwrap_err().kind(), Kind::Interrupted);
    assert_eq!(leftovers(store.path()), Vec::<String>::new());
}
