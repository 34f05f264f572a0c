//! skopeo, the distribution's and the newest: what it writes comes in, what we write it reads.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{CLANG, GCC, assert_is_image, config_of, export, imported};
use crate::support::sandbox::NOBODY;
use crate::support::store::{assert_sound, document, named};
use crate::support::{Sandbox, fixture, need, peer, run};

/// Which skopeo.
#[derive(Debug, Clone, Copy)]
pub(super) enum Which {
    Distribution,
    Newest,
}

pub(super) const BOTH: [(Which, &str); 2] =
    [(Which::Distribution, "skopeo"), (Which::Newest, "skopeo of forky")];

/// A skopeo command that sees the sandbox.
pub(super) fn skopeo(which: Which, sandbox: &Sandbox) -> Option<Command> {
    let mut command = match which {
        Which::Distribution => sandbox.enclose(peer::tool("skopeo")?),
        Which::Newest => peer::forky("skopeo", sandbox.root())?,
    };
    command.arg("--insecure-policy");
    Some(command)
}

#[test]
fn docker_archives_and_oci_archives_of_skopeo_come_in() {
    for (which, name) in BOTH {
        let sandbox = Sandbox::new();
        std::fs::copy(fixture("docker20.tar"), sandbox.path("image.tar")).unwrap();
        let copy = |args: &[&str]| Some(run(skopeo(which, &sandbox)?.args(["copy", "-q"]).args(args)));
        need!(copy(&["docker-archive:image.tar", "docker-archive:docker.tar:capy:1"]), name);
        sandbox.ok(["import", "docker.tar"]);
        assert_is_image(&sandbox, "capy:1", &config_of(&sandbox.path("docker.tar")));

        copy(&["docker-archive:image.tar", "oci-archive:oci.tar:capy:2"]);
        copy(&["--dest-compress-format", "zstd", "docker-archive:image.tar", "oci-archive:zstd.tar:capy:3"]);
        let rows = sandbox.json(["import", "oci.tar", "zstd.tar"]);
        for (row, (reference, suffix)) in
            rows.as_array().unwrap().iter().zip([("capy:2", "gzip"), ("capy:3", "zstd")])
        {
            assert_eq!(row["reference"], reference);
            let manifest = document(&sandbox.store(), row["digest"].as_str().unwrap());
            let kind = manifest["layers"][0]["mediaType"].as_str().unwrap();
            assert!(kind.ends_with(suffix), "{which:?}: {kind}");
        }
        // Its layers unpack to the same, and its config says so: one image ID for both compressions.
        assert_eq!(rows[0]["image_id"], rows[1]["image_id"]);
        assert_sound(&sandbox.store());
    }
}

#[test]
fn our_archives_are_read_in_every_form() {
    let sandbox = imported("docker20-two.tar");
    let image_id = sandbox.json(["inspect", CLANG])[0]["image_id"].as_str().unwrap().to_owned();
    let digest = named(&sandbox.store(), CLANG).unwrap();
    for (which, name) in BOTH {
        for (form, sources) in [
            (&[][..], &["docker-archive", "oci-archive"][..]),
            (&["--layers", "plain"], &["docker-archive", "oci-archive"]),
            (&["--archive", "oci"], &["oci-archive"]),
            (&["--archive", "docker"], &["docker-archive"]),
        ] {
            export(&sandbox, CLANG, "ours.tar", form);
            for source in sources {
                let mut inspect = need!(skopeo(which, &sandbox), name);
                let raw = run(inspect.args(["inspect", "--raw", "--config", &format!("{source}:ours.tar")]));
                assert_eq!(crate::support::tarball::sha256(raw.as_bytes()), image_id, "{source} {form:?}");
                // A copy reads and checks every byte.
                let target = format!("oci:copy-{source}-{}:x", form.len());
                let mut copy = skopeo(which, &sandbox).unwrap();
                run(copy.args(["copy", "-q", &format!("{source}:ours.tar"), &target]));
            }
            if form.is_empty() {
                let mut inspect = skopeo(which, &sandbox).unwrap();
                let shown = run(inspect.args(["inspect", "--format", "{{.Digest}}", "oci-archive:ours.tar"]));
                assert_eq!(shown.trim(), digest, "the manifest is the one in the store");
            }
        }
    }
}

#[test]
fn an_archive_of_several_images_is_read_by_name() {
    let sandbox = imported("docker20-two.tar");
    sandbox.ok(["export", GCC, CLANG, "-o", "both.tar"]);
    for (which, name) in BOTH {
        for reference in [GCC, CLANG] {
            let mut inspect = need!(skopeo(which, &sandbox), name);
            let source = format!("docker-archive:both.tar:{reference}");
            let config = run(inspect.args(["inspect", "--raw", "--config", &source]));
            let image_id = &sandbox.json(["inspect", reference])[0]["image_id"];
            assert_eq!(*image_id, crate::support::tarball::sha256(config.as_bytes()), "{reference}");
        }
    }
}

/// Who is not root unpacks directories only where the archive has entries for them.
#[test]
fn our_archives_are_read_without_any_rights() {
    need!(peer::root(), "root");
    let sandbox = imported("docker20.tar");
    for dir in [sandbox.root().to_path_buf(), sandbox.path("tmp")] {
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let image_id = sandbox.json(["inspect", GCC])[0]["image_id"].clone();
    for (form, source) in [
        (&[][..], "oci-archive"),
        (&[], "docker-archive"),
        (&["--archive", "oci"], "oci-archive"),
        (&["--archive", "docker"], "docker-archive"),
        (&["--layers", "plain"], "oci-archive"),
    ] {
        export(&sandbox, GCC, "ours.tar", form);
        let skopeo = need!(peer::tool("skopeo"), "skopeo");
        let mut setpriv = sandbox.enclose(need!(peer::tool("setpriv"), "setpriv"));
        setpriv.args([format!("--reuid={NOBODY}"), format!("--regid={NOBODY}"), "--clear-groups".into()]);
        setpriv.arg(skopeo.get_program()).args(["--insecure-policy", "inspect", "--raw", "--config"]);
        let config = run(setpriv.arg(format!("{source}:ours.tar")));
        assert_eq!(image_id, crate::support::tarball::sha256(config.as_bytes()), "{source} {form:?}");
    }
}
