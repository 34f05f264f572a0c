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

/// Puts a blob into a store that nothing is known of, as a bundle brings it.
fn bring(store: &Store, bytes: &[u8], diff_id: DiffId) -> (Descriptor, DiffId) {
    let mut tx = store.begin("a test").unwrap();
    let digest = tx.put(bytes).unwrap();
    (Descriptor::new(format!("{OCI_LAYER}+zstd"), digest, bytes.len() as u64), diff_id)
}

fn bytes_of(store: &Store, layer: &(Descriptor, DiffId)) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.blobs().open(&layer.0.digest).unwrap().unwrap().reader().read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn frames_that_came_from_elsewhere_are_checked_once_and_a_table_that_lies_is_not_used() {
    let mut content = noise(4, 9_000_000);
    content[..1_000_000].fill(7);
    let outside = directory();
    let source = open(&outside.path().join("s"));
    let good = put(&source, &content, "zstd:3");
    let bytes = bytes_of(&source, &good);
    // The table stands in front of 9 bytes: three pairs of sizes. The first two frames change places in it, or give bytes away.
    let table = bytes.len() - 9 - 3 * 8;
    let lie = |change: &dyn Fn(&mut [u8])| {
        let mut bytes = bytes.clone();
        change(&mut bytes[table..]);
        bytes
    };
    let fewer = lie(&|table| table[4..8].copy_from_slice(&4_000_000u32.to_le_bytes()));
    let moved = lie(&|table| table[..16].rotate_left(8));
    for (name, bytes, is_seekable) in
        [("ours", &bytes, true), ("fewer bytes", &fewer, false), ("other places", &moved, false)]
    {
        let dir = directory();
        let store = open(&dir.path().join("s"));
        let there = bring(&store, bytes, good.1);
        for _ in 0..2 {
            let opened = layer(&store, &there);
            assert_eq!(opened.facts().seekable, is_seekable, "{name}");
            let scratch = private(&store, "ingest");
            assert_eq!(opened.base(&scratch, &Cancel::new()).unwrap().is_unpacked(), !is_seekable, "{name}");
        }
        assert_eq!(store.layers().unwrap().by_blob(&there.0.digest).unwrap().seekable, is_seekable);
        // Not by what is known alone: another diff ID is another layer.
        let wrong = Layer::open(&store, &there.0, DiffId(Digest::of(b"other")), &Cancel::new());
        assert_eq!(wrong.unwrap_err().kind(), Kind::Damaged, "{name}");
    }
}

#[test]
fn a_proof_is_made_once_and_one_that_lies_is_found_by_the_digest() {
    let (before, after) = month(9);
    let (outside, inside) = (directory(), directory());
    let (source, target) = (open(&outside.path().join("s")), open(&inside.path().join("s")));
    let (old, new) = (put(&source, &before, "zstd:3"), put(&source, &after, "zstd:5"));
    let there = put(&target, &before, "zstd:3");
    let proof = |of: &Digest| outside.path().join("s/.larder/cache/proofs").join(of.hex());
    let scratch = private(&source, "ingest");
    let make = |to: &(Descriptor, DiffId)| {
        let made = prepare(
            &layer(&source, &old),
            &layer(&source, to),
            &settings(2),
            u64::MAX,
            &scratch,
            &Cancel::new(),
        );
        made.unwrap().map(|mut prepared| {
            let mut bytes = Vec::new();
            prepared.file.read_to_end(&mut bytes).unwrap();
            std::io::Seek::rewind(&mut prepared.file).unwrap();
            (bytes, prepared)
        })
    };
    assert!(!proof(&new.0.digest).exists());
    let (first, prepared) = make(&new).expect("a delta");
    assert!(std::fs::read_to_string(proof(&new.0.digest)).unwrap().ends_with("\nzstd:5\n"));
    assert_eq!(prepared.encoding.to_string(), "zstd:5");
    let (second, prepared) = make(&new).expect("a delta");
    assert!(first == second && prepared.encoding.to_string() == "zstd:5");

    // Of another version: it is proven anew.
    std::fs::write(proof(&new.0.digest), "larder 0, zstd 1.5.7\nzstd:9\n").unwrap();
    assert_eq!(make(&new).expect("a delta").1.encoding.to_string(), "zstd:5");
    // One that lies: nothing comes of it.
    let foreign = zstd::bulk::compress(&after, 3).unwrap();
    let foreign = bring(&source, &foreign, new.1);
    assert!(make(&foreign).is_none());
    std::fs::copy(proof(&new.0.digest), proof(&foreign.0.digest)).unwrap();
    let (_, mut prepared) = make(&foreign).expect("a delta that cannot be right");
    let error = arrive(&target, &there, &mut prepared, &foreign.0).unwrap_err();
    assert!(error.kind() == Kind::Damaged && error.to_string().contains("another version"), "{error}");
    assert!(target.blobs().open(&foreign.0.digest).unwrap().is_none());
    assert_eq!(leftovers(target.path()), Vec::<String>::new());
}

#[test]
fn what_a_layer_is_compared_by_is_kept() {
    let (before, _) = month(10);
    let dir = directory();
    let store = open(&dir.path().join("s"));
    let old = put(&store, &before, "zstd:3");
    let kept = dir.path().join("s/.larder/cache/sketches").join(old.1.0.hex());
    let sketch = || layer(&store, &old).sketch(&Cancel::new()).unwrap();
    let made = sketch();
    assert_eq!(made, larder_store::delta::Sketch::read(&mut &before[..], &Cancel::new()).unwrap());
    let bytes = std::fs::read(&kept).unwrap();
    assert_eq!(sketch(), made);
    for bad in [&b""[..], b"x", &bytes[..bytes.len() / 2]] {
        std::fs::write(&kept, bad).unwrap();
        assert_eq!(sketch(), made);
        assert!(std::fs::read(&kept).unwrap() == bytes, "it is kept anew");
    }
    // What came over an import is kept at once where it is large.
    let large = tar(&[file("large", noise(3, 17 << 20), 1)]);
    let mut tx = store.begin("a test").unwrap();
    let mut encoder =
        Encoder::new(Encoding::default(), 1, Cancel::new(), store.path().to_path_buf()).unwrap();
    encoder.layer(&mut &large[..], tx.writer().unwrap(), &|_| {}).unwrap();
    let encoded = encoder.finish().unwrap().remove(0);
    let learned = encoded.learned();
    tx.publish(encoded.staged).unwrap();
    learned.keep(&store.layers().unwrap()).unwrap();
    let kept = dir.path().join("s/.larder/cache/sketches").join(learned.facts.diff_id.0.hex());
    assert!(kept.exists());
    let opened = Layer::open(&store, &learned.facts.descriptor(), learned.facts.diff_id, &Cancel::new());
    let read = larder_store::delta::Sketch::read(&mut &large[..], &Cancel::new()).unwrap();
    assert_eq!(opened.unwrap().sketch(&Cancel::new()).unwrap(), read);
}
