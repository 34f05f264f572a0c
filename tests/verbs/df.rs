//! `larder df`: its figures are those of the files.

use std::collections::BTreeSet;

use super::{CLANG, GCC, redact, two_images};
use crate::support::store::{blobs, named, reachable};
use crate::support::{Sandbox, need, peer, run};

fn sum(sandbox: &Sandbox, digests: &BTreeSet<String>) -> u64 {
    let blobs = blobs(&sandbox.store());
    digests.iter().map(|digest| blobs[digest.trim_start_matches("sha256:")]).sum()
}

#[test]
fn bytes_add_up_to_the_files() {
    let sandbox = two_images();
    sandbox.ok(["tag", CLANG, "alias:1"]);
    let of = |name: &str| reachable(&sandbox.store(), &named(&sandbox.store(), name).unwrap());
    let (gcc, clang) = (of(GCC), of(CLANG));
    let common: BTreeSet<_> = gcc.intersection(&clang).cloned().collect();
    assert!(!common.is_empty());
    let df = sandbox.json(["df"]);
    for image in df["images"].as_array().unwrap() {
        let name = image["reference"].as_str().unwrap();
        let own = of(name);
        assert_eq!(image["total"], sum(&sandbox, &own), "{name}");
        assert_eq!(image["shared"], sum(&sandbox, &common), "{name}");
        assert_eq!(image["unique"], sum(&sandbox, &own) - sum(&sandbox, &common), "{name}");
        // To take away one of two names frees nothing.
        let frees = if name == GCC { image["unique"].clone() } else { 0.into() };
        assert_eq!(image["frees"], frees, "{name}");
    }
    assert_eq!(df["images"].as_array().unwrap().len(), 3);
    let stored: u64 = blobs(&sandbox.store()).values().sum();
    assert_eq!((&df["stored"], &df["unreferenced"]), (&stored.into(), &0.into()));
    assert_eq!(df["saved"], sum(&sandbox, &common));

    let mut du = need!(peer::tool("du"), "du");
    let printed = run(du.args(["--bytes", "--summarize"]).arg(sandbox.store().join("blobs/sha256")));
    let by_du: u64 = printed.split('\t').next().unwrap().parse().unwrap();
    let dir = std::fs::metadata(sandbox.store().join("blobs/sha256")).unwrap().len();
    assert_eq!(by_du - dir, stored);
}

#[test]
fn what_no_name_needs_is_counted_apart() {
    let sandbox = two_images();
    let before = sandbox.json(["df"]);
    let clang = &before["images"]
        .as_array()
        .unwrap()
        .iter()
        .find(|image| image["reference"] == CLANG)
        .unwrap()
        .clone();
    sandbox.ok(["rm", CLANG]);
    let after = sandbox.json(["df"]);
    assert_eq!(
        after["unreferenced"], clang["frees"],
        "what its removal was said to free is what no name needs now"
    );
    let stored: u64 = blobs(&sandbox.store()).values().sum();
    assert_eq!(after["stored"].as_u64().unwrap() + after["unreferenced"].as_u64().unwrap(), stored);
    // A blob that somebody else put there.
    std::fs::write(sandbox.store().join("blobs/sha256").join("0".repeat(64)), [0; 1000]).unwrap();
    let foreign = sandbox.json(["df"])["unreferenced"].as_u64().unwrap();
    assert_eq!(foreign, after["unreferenced"].as_u64().unwrap() + 1000);
}

#[test]
fn a_sparse_image_takes_what_it_takes() {
    let sandbox = crate::roundtrip::imported("sparse-oci.tar");
    let df = sandbox.json(["df"]);
    let stored: u64 = blobs(&sandbox.store()).values().sum();
    assert_eq!((&df["images"][0]["total"], &df["stored"]), (&stored.into(), &stored.into()));
}

#[test]
fn the_table_is_for_people() {
    let sandbox = two_images();
    sandbox.ok(["tag", CLANG, "moving:1"]);
    sandbox.ok(["tag", GCC, "moving:1"]);
    let shown = sandbox.ok(["df"]);
    let (table, last) = shown.trim_end().rsplit_once('\n').unwrap();
    assert!(last.starts_with("Free on the disk"), "{last}");
    insta::assert_snapshot!(redact(table), @r"
    REFERENCE                      DIGEST         TOTAL  UNIQUE  SHARED  REMOVAL FREES
    (was moving:1)                 digest-1----  5.3 kB  4.0 kB  1.2 kB            0 B
    capy-debian-12-clang16:latest  digest-1----  5.3 kB  4.0 kB  1.2 kB            0 B
    capy-debian-12-gcc12:latest    digest-2----  5.2 kB  4.0 kB  1.2 kB            0 B
    moving:1                       digest-2----  5.2 kB  4.0 kB  1.2 kB            0 B

    Stored            9.3 kB
    Saved by sharing  1.2 kB
    Not referenced    0 B
    Snapshots         0 B
    Steps of builds   0 B
    ");
    assert_eq!(Sandbox::new().json(["df"])["stored"], 0);
}
