//! The store's index: no bytes panic, what is taken is written so that it reads the same, and a name that is given is
//! found.

#![no_main]

use larder_store::index::{Index, reference, shown_name, stored_children};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut index) = Index::parse(bytes) else { return };
    let again = Index::parse(&index.to_bytes()).expect("what was written is read");
    assert_eq!(again, index);
    for entry in index.entries() {
        let _ = (shown_name(entry), stored_children(entry));
        let _ = index.resolve(&entry.digest.to_string());
    }
    let Some(entry) = index.entries().first().cloned() else { return };
    let name = reference(&entry).unwrap_or_else(|| "fuzzed:1".parse().expect("a reference"));
    index.tag(&name, entry.clone(), 0);
    assert!(index.named(&name).any(|found| found.digest == entry.digest));
    index.untag(&name);
    assert_eq!(index.named(&name).count(), 0);
});
