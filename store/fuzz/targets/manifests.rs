//! Manifests, image indexes and configs: no bytes panic, and bytes that are taken are kept as they came.

#![no_main]

use larder_store::digest::Digest;
use larder_store::manifest::{Document, ImageConfig, RawManifest};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Ok(config) = ImageConfig::parse(bytes) {
        let _ = (config.diff_ids().len(), config.platform().to_string());
    }
    let Ok(raw) = RawManifest::parse(bytes.to_vec(), "") else { return };
    assert_eq!((raw.bytes.as_slice(), raw.digest), (bytes, Digest::of(bytes)));
    // What its own descriptor says of it must not contradict it.
    let again = RawManifest::parse(bytes.to_vec(), &raw.media_type).expect("its own media type");
    assert_eq!(again.descriptor(), raw.descriptor());
    assert_eq!(again.subject(), raw.subject());
    if let Document::Image(image) = &raw.document {
        let _ = image.content_size();
        let written = RawManifest::parse(rewritten(image), "").expect("what was written is read");
        assert!(matches!(written.document, Document::Image(_)));
    }
});

/// The manifest that larder would make of the same parts.
fn rewritten(image: &larder_store::manifest::ImageManifest) -> Vec<u8> {
    larder_store::manifest::ImageManifest::write(&image.config, &image.layers).bytes
}
