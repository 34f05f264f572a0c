//! `--layers gzip`: for readers that know no zstd and a disk that does not want plain layers.

use super::{CLANG, GCC, imported};
use crate::support::store::assert_nothing_pending;
use crate::support::tarball::members_of;
use crate::support::{Sandbox, fixture, need, peer};

#[test]
fn every_layer_is_gzip_and_the_image_is_the_same() {
    for (file, form) in
        [("docker20-two.tar", "docker"), ("docker20-two.tar", "hybrid"), ("skopeo-oci-zstd.tar", "oci")]
    {
        let sandbox = imported(file);
        let refs: Vec<_> = if file == "docker20-two.tar" { vec![GCC, CLANG] } else { vec![GCC] };
        let before = crate::support::store::tree(&sandbox.store().join("blobs"));
        let mut args = vec!["export", "-o", "out.tar", "--layers", "gzip", "--archive", form];
        args.extend(&refs);
        sandbox.ok(&args);
        assert_nothing_pending(&sandbox.store());
        assert_eq!(
            crate::support::store::tree(&sandbox.store().join("blobs")),
            before,
            "nothing stays in the store"
        );
        let mut gzipped = 0;
        for (path, content) in members_of(&sandbox.path("out.tar")) {
            let is_json = content.first() == Some(&b'{') || content.first() == Some(&b'[');
            assert!(is_json || content.starts_with(&[0x1f, 0x8b]), "{path} is neither a document nor gzip");
            gzipped += usize::from(!is_json);
        }
        assert!(gzipped >= 2, "{gzipped}");
        // Into a pipe the same bytes; and the image is what it was.
        args[2] = "-";
        let piped = sandbox.larder(&args);
        assert!(
            piped.stdout == std::fs::read(sandbox.path("out.tar")).unwrap(),
            "into a pipe it is another one"
        );
        let again = Sandbox::new();
        std::fs::copy(sandbox.path("out.tar"), again.path("out.tar")).unwrap();
        again.ok(["import", "out.tar"]);
        for reference in refs {
            let id = |sandbox: &Sandbox| sandbox.json(["inspect", reference])[0]["image_id"].clone();
            assert_eq!(id(&again), id(&sandbox), "{file} {form}");
        }
    }
}

#[test]
fn layers_that_are_stored_as_gzip_are_taken_as_they_are() {
    let sandbox = imported("skopeo-oci.tar");
    sandbox.ok(["export", GCC, "-o", "out.tar", "--layers", "gzip"]);
    let (ours, theirs) = (members_of(&sandbox.path("out.tar")), members_of(&fixture("skopeo-oci.tar")));
    let layers = theirs.iter().filter(|(_, content)| content.starts_with(&[0x1f, 0x8b]));
    assert!(layers.clone().count() > 1);
    for (path, content) in layers {
        assert!(ours.get(path) == Some(content), "{path}");
    }
}

#[test]
fn docker_20_loads_and_runs_it() {
    let docker = need!(peer::docker20(), "docker20");
    let sandbox = imported("docker20.tar");
    sandbox.ok(["export", GCC, "-o", "out.tar", "--layers", "gzip", "--archive", "docker"]);
    docker.ok(["load", "-i", sandbox.path("out.tar").to_str().unwrap()]);
    assert!(!docker.run(GCC, &[]).is_empty());
}
