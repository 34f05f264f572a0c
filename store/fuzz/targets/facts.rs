//! What is read from images: databases, os-release, and the listing of a layer that comes in any pieces.

#![no_main]

use larder_store::facts::databases::{apk, dpkg, pacman};
use larder_store::facts::{Lister, os_release};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    for read in [dpkg, apk, pacman] {
        for package in read(bytes).packages.into_iter().map(|installed| installed.package) {
            for word in [package.name, package.version, package.architecture] {
                assert!(!word.is_empty() && word.bytes().all(|byte| byte.is_ascii_graphic()));
            }
        }
    }
    let os = os_release::parse(bytes);
    assert!(![os.version_id, os.version_codename, os.pretty_name]
        .into_iter()
        .flatten()
        .chain([os.id])
        .any(|value| value.is_empty() || value.chars().any(char::is_control)));
    let list = |piece: usize| {
        let mut lister = Lister::default();
        bytes.chunks(piece).for_each(|piece| lister.feed(piece));
        lister.finish()
    };
    assert_eq!(list(usize::MAX), list(7));
});
