//! What a build leaves to whoever gives its image a name.

use std::time::Duration;

use larder_store::gc::{GRACE, Mode, Options, gc};
use larder_store::ids::DiffId;
use larder_store::index;
use larder_store::reference::Reference;
use larder_store::unpack::Layer;
use larder_store::verify;

use super::stage::Stage;
use super::*;

/// A plain layer without a file in it.
const LAYER: [u8; 1024] = [0; 1024];
const NOW: i64 = 1_700_000_000;

struct Silent;

impl Observer for Silent {
    fn step(&mut self, _: &Header<'_>) {}
    fn output(&mut self, _: &[u8]) {}
    fn note(&mut self, _: &str) {}
}

/// A store with an image that has a layer.
fn with_base(path: &Path, name: &Reference) -> Store {
    let store = Store::open(path, Duration::from_secs(5)).unwrap();
    let mut tx = store.begin("test").unwrap();
    let digest = tx.put(&LAYER).unwrap();
    let mut stage = Stage::scratch(&Platform::host().to_string());
    let media_type = "application/vnd.oci.image.layer.v1.tar";
    stage.layers.push(Layer {
        descriptor: Descriptor::new(media_type, digest, LAYER.len() as u64),
        diff_id: DiffId(digest),
    });
    let (entry, _) = image::write(&mut tx, &stage, NOW, NOW).unwrap();
    tx.commit(|index| Ok(index.tag(name, entry, NOW))).unwrap();
    store
}

/// Between the end of a build and its name there may be anything: a look into the image, a wait for a lock.
#[test]
fn an_image_is_whole_although_its_base_was_removed_and_collected_before_it_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let [base, made]: [Reference; 2] = ["base:1", "made:1"].map(|name| name.parse().unwrap());
    let store = with_base(&dir.path().join("store"), &base);
    let source = Source::of_text(dir.path(), "Dockerfile".into(), "FROM base:1\nLABEL a=b\n".into()).unwrap();
    let request = Request {
        fetch: None,
        context: dir.path(),
        source: &source,
        target: None,
        build_args: BTreeMap::new(),
        labels: Vec::new(),
        no_cache: false,
        cache_from: None,
        not_before: None,
        network: Network::None,
        timeout: Duration::from_secs(60),
        epoch: None,
        now: || NOW,
        encoding: Encoding::default(),
        jobs: 1,
    };
    let built = build(&store, &request, &mut Silent, &Cancel::new()).unwrap();
    // Another process.
    let other = Store::open(&dir.path().join("store"), Duration::from_secs(5)).unwrap();
    let gone = other.edit(|index| {
        let gone = index.take(|entry| index::bears(entry, &base));
        other.release(&gone.iter().map(|entry| entry.digest).collect::<Vec<_>>())?;
        Ok(gone)
    });
    assert_eq!(gone.unwrap().len(), 1);
    let options = Options { grace: GRACE, now: NOW, mode: Mode::Sweep, cancel: &Cancel::new() };
    let collected = gc(&other, &options).unwrap();
    assert!(!collected.swept.is_empty(), "the base's own documents went");
    let Built { tx, entry, .. } = built;
    tx.commit(|index| Ok(index.tag(&made, entry, NOW))).unwrap();
    gc(&other, &options).unwrap();
    let how = verify::Options {
        queries: &[made.to_string()],
        depth: verify::Depth::Full,
        jobs: 1,
        cancel: &Cancel::new(),
        watch: &|_| {},
    };
    let report = verify::verify(&other, &how).unwrap();
    assert!(report.findings.is_empty() && report.images == 1, "{report:?}");
}
