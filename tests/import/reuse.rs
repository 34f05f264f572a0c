//! One layer once: what the store has is neither read nor written again.

use std::collections::BTreeSet;

use super::{CLANG, GCC, import, import_stdin};
use crate::support::store::{blobs, document, named, reachable};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, fixture, need, peer, run};

/// Bytes of some of a store's blobs.
fn bytes<'d>(sandbox: &Sandbox, digests: impl IntoIterator<Item = &'d String>) -> u64 {
    let blobs = blobs(&sandbox.store());
    digests.into_iter().map(|digest| blobs[digest.trim_start_matches("sha256:")]).sum()
}

#[test]
fn a_sibling_brings_in_what_is_its_own() {
    for read in [import, import_stdin] {
        let sandbox = Sandbox::new();
        let store = sandbox.store();
        read(&sandbox, "docker20.tar", &[]);
        let before: BTreeSet<String> = blobs(&store).into_keys().collect();
        let rows = read(&sandbox, "docker20-two.tar", &[]);
        let of = |name: &str| reachable(&store, &named(&store, name).unwrap());
        let (gcc, clang) = (of(GCC), of(CLANG));
        assert_eq!((&rows[0]["status"], &rows[1]["status"]), (&"unchanged".into(), &"added".into()));
        assert_eq!(rows[0]["new_bytes"], 0);
        assert_eq!(rows[0]["reused_bytes"], bytes(&sandbox, &gcc));
        let is_old = |digest: &&String| before.contains(digest.trim_start_matches("sha256:"));
        let old: Vec<_> = clang.iter().filter(is_old).collect();
        let new: Vec<_> = clang.iter().filter(|digest| !is_old(digest)).collect();
        assert!(old.len() >= 3 && new.len() >= 3, "the fixtures share their base: {old:?} {new:?}");
        assert_eq!(rows[1]["reused_bytes"], bytes(&sandbox, old));
        assert_eq!(rows[1]["new_bytes"], bytes(&sandbox, new));
        let all: BTreeSet<String> = blobs(&store).into_keys().map(|hex| format!("sha256:{hex}")).collect();
        assert_eq!(all, gcc.union(&clang).cloned().collect(), "nothing else was written");
    }
}

#[test]
fn a_known_layer_is_pointed_at_whatever_its_compression() {
    let sandbox = Sandbox::new();
    import(&sandbox, "docker20.tar", &["--compression", "gzip"]);
    let rows = import(&sandbox, "docker20-two.tar", &["--compression", "zstd"]);
    let layers = |name: &str| {
        let manifest = document(&sandbox.store(), &named(&sandbox.store(), name).unwrap());
        let layers = manifest["layers"].as_array().unwrap().clone();
        layers.iter().map(|layer| layer["mediaType"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(layers(GCC).iter().all(|kind| kind.ends_with("+gzip")));
    let kinds = layers(CLANG);
    assert!(kinds[0].ends_with("+gzip") && kinds.iter().any(|kind| kind.ends_with("+zstd")), "{kinds:?}");
    assert!(rows[1]["reused_bytes"].as_u64().unwrap() > 0);
}

#[test]
fn a_layer_that_came_in_an_oci_archive_serves_a_docker_archive() {
    let sandbox = Sandbox::new();
    // The same base, once as gzip in an OCI image, once plain in a docker-archive.
    import(&sandbox, "skopeo-oci.tar", &["--name", "oci:1"]);
    let rows = import(&sandbox, "docker20.tar", &[]);
    let of =
        |name: &str| document(&sandbox.store(), &named(&sandbox.store(), name).unwrap())["layers"].clone();
    assert_eq!(of("oci:1")[0]["digest"], of(GCC)[0]["digest"]);
    assert!(rows[0]["reused_bytes"].as_u64().unwrap() > 0, "{rows:?}");
}

/// Bytes that a larder command reads of a file, by the word of the kernel.
pub(super) fn bytes_read(sandbox: &Sandbox, file: &str, args: &[&str]) -> Option<u64> {
    let larder = sandbox.command(args);
    let log = sandbox.path("strace.log");
    let mut strace = sandbox.enclose(peer::tool("strace")?);
    strace.args(["-f", "-e", "trace=read,pread64,readv,preadv,preadv2,mmap,sendfile,copy_file_range", "-P"]);
    strace.arg(sandbox.path(file)).arg("-o").arg(&log).arg(larder.get_program()).args(larder.get_args());
    run(&mut strace);
    let log = std::fs::read_to_string(log).unwrap();
    assert!(log.lines().any(|line| line.contains("read")), "not even headers were read: {log}");
    let results = log.lines().filter_map(|line| line.rsplit_once(" = ")?.1.parse::<u64>().ok());
    Some(results.sum())
}

#[test]
fn an_image_that_is_there_is_known_by_its_headers() {
    let sandbox = Sandbox::new();
    let base = layer("base", &noise(1, 6 << 20));
    let size = base.len() as u64;
    std::fs::write(sandbox.path("base.tar"), docker_archive("base:1", std::slice::from_ref(&base))).unwrap();
    let sibling = [base, layer("app", &noise(2, 1 << 20))];
    std::fs::write(sandbox.path("app.tar"), docker_archive("app:1", &sibling)).unwrap();

    let cold = need!(bytes_read(&sandbox, "base.tar", &["import", "base.tar"]), "strace");
    assert!((size..size + size / 8).contains(&cold), "each layer is read once: {cold} of {size}");
    let again = need!(bytes_read(&sandbox, "base.tar", &["import", "base.tar"]), "strace");
    assert!(again < 64 << 10, "{again} bytes were read of an archive whose image is there");
    let app = need!(bytes_read(&sandbox, "app.tar", &["import", "app.tar"]), "strace");
    assert!((1 << 20..(1 << 20) + (128 << 10)).contains(&app), "{app} bytes were read for a layer of 1 MiB");
    crate::support::store::assert_sound(&sandbox.store());
}

#[test]
fn the_json_of_an_import_is_stable() {
    let sandbox = Sandbox::new();
    let args = ["import", "--format", "json"].map(std::ffi::OsString::from);
    let mut command = sandbox.command(args);
    command.arg(fixture("docker20-two.tar"));
    let text = run(&mut command);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    for row in &rows {
        let keys: Vec<_> = row.as_object().unwrap().keys().map(String::as_str).collect();
        let expected =
            ["digest", "displaced", "image_id", "new_bytes", "reference", "reused_bytes", "status"];
        assert_eq!(keys.into_iter().collect::<BTreeSet<_>>(), BTreeSet::from(expected));
        assert_eq!(row["displaced"], serde_json::Value::Null);
        assert_eq!(row["status"], "added");
    }
}
