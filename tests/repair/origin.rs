//! From the registry that an image came from.

use super::{Harm, column, quarantine, repair, state};
use crate::support::image::{Image, layer, noise};
use crate::support::store::{assert_sound, blob_path, named};
use crate::support::web::{Does, Web, answer};
use crate::support::{Sandbox, need, peer};

fn image(seed: u64) -> Image {
    Image::of(&[layer("base", b"common to all"), layer("own", &noise(seed, 3000))])
}

/// A pulled image.
fn pulled() -> (Sandbox, Web, Image) {
    let (web, image) = (Web::new(), image(1));
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["pull", &web.put("a/b:1", &image)]);
    web.take();
    (sandbox, web, image)
}

/// Manifest, config and a layer of an image.
fn parts(image: &Image) -> [String; 3] {
    let manifest = image.manifest();
    let digest = |part: &serde_json::Value| part["digest"].as_str().unwrap().to_owned();
    [image.digest(), digest(&manifest["config"]), digest(&manifest["layers"][1])]
}

#[test]
fn each_part_comes_by_its_digest_whatever_the_tag_means_by_now() {
    let (sandbox, web, pulled) = pulled();
    web.put("a/b:1", &image(2));
    let before = state(&sandbox.store());
    for digest in parts(&pulled) {
        for harm in [Harm::Flip, Harm::Cut, Harm::Remove] {
            harm.befall(&blob_path(&sandbox.store(), &digest));
            let (code, done) = repair(&sandbox, &[], &[]);
            assert_eq!(code, 0, "{harm:?} of {digest}: {done}");
            assert_eq!(column(&done, "repaired", "digest"), [digest.as_str()]);
            assert_eq!(column(&done, "repaired", "from"), [format!("{}/a/b", web.address)]);
            assert!(state(&sandbox.store()) == before, "{harm:?} of {digest}");
            let kind = if digest == pulled.digest() { "manifests" } else { "blobs" };
            assert_eq!(web.take(), [format!("GET /v2/a/b/{kind}/{digest}")]);
        }
    }
    // All at once: what a missing manifest leads to is found on the way.
    for digest in parts(&pulled) {
        Harm::Remove.befall(&blob_path(&sandbox.store(), &digest));
    }
    let (code, done) = repair(&sandbox, &[], &[]);
    assert_eq!((code, column(&done, "repaired", "digest").len()), (0, 3), "{done}");
    assert!(state(&sandbox.store()) == before);
    assert_sound(&sandbox.store());
}

#[test]
fn a_registry_that_lies_changes_nothing_and_what_else_it_has_is_healed() {
    let (sandbox, web, image) = pulled();
    let before = state(&sandbox.store());
    let [manifest, config, layer] = parts(&image);
    for digest in [&manifest, &config, &layer] {
        let path = format!("/{digest}");
        let bytes = std::fs::read(blob_path(&sandbox.store(), digest)).unwrap();
        for lie in ["other bytes", "more", "less"] {
            let mut other = bytes.clone();
            match lie {
                "other bytes" => other[bytes.len() / 2] ^= 1,
                "more" => other.push(b' '),
                _ => drop(other.pop()),
            }
            let path = path.clone();
            web.rule(move |asked| match asked.path.ends_with(&path) {
                true => Does::Answer(answer("200 OK", &[], &other)),
                false => Does::Pass,
            });
            Harm::Remove.befall(&blob_path(&sandbox.store(), digest));
            // Something else is healed all the same.
            let healed = if *digest == layer { &config } else { &layer };
            if *digest != manifest {
                Harm::Remove.befall(&blob_path(&sandbox.store(), healed));
            }
            let (code, done) = repair(&sandbox, &[], &[]);
            assert_eq!(code, 5, "{lie} for {digest}: {done}");
            assert_eq!(column(&done, "refused", "digest"), [digest.as_str()], "{lie}: {done}");
            let why = &column(&done, "refused", "why")[0];
            assert!(why.contains(&web.address) && why.contains("GET /v2/a/b/"), "{lie}: {why}");
            assert!(!blob_path(&sandbox.store(), digest).exists(), "{lie} for {digest}");
            web.rule(|_| Does::Pass);
            let (code, done) = repair(&sandbox, &[], &[]);
            assert_eq!(code, 0, "{lie} for {digest}: {done}");
            assert!(state(&sandbox.store()) == before);
        }
    }
    assert_eq!(quarantine(&sandbox.store()).len(), 0);
}

#[test]
fn given_archives_come_first_and_what_nobody_has_is_said() {
    let (sandbox, web, image) = pulled();
    let [_, config, layer] = parts(&image);
    let archive = sandbox.path("image.tar");
    let name = format!("{}/a/b:1", web.address);
    sandbox.ok(["export", &name, "-o", "image.tar"]);
    Harm::Flip.befall(&blob_path(&sandbox.store(), &layer));
    let (code, done) = repair(&sandbox, std::slice::from_ref(&archive), &[]);
    assert_eq!((code, web.take()), (0, vec![]), "{done}");
    for digest in [&layer, &config] {
        Harm::Flip.befall(&blob_path(&sandbox.store(), digest));
    }
    web.remove(&format!("/v2/a/b/blobs/{layer}"));
    let (code, done) = repair(&sandbox, &[], &[]);
    assert_eq!((code, column(&done, "repaired", "digest")), (5, vec![config.clone()]), "{done}");
    assert!(column(&done, "refused", "why")[0].contains("404"), "{done}");
    // Neither without --repair, nor where nothing is to be asked.
    web.take();
    sandbox.fail(["verify"], 5);
    let (code, _) = repair(&sandbox, &[], &["--no-origins"]);
    assert_eq!((code, web.take()), (5, vec![]));
    let settings = sandbox.path("home/.config/larder");
    std::fs::create_dir_all(&settings).unwrap();
    std::fs::write(settings.join("larder.toml"), "offline = true\n").unwrap();
    let (code, _) = repair(&sandbox, &[], &[]);
    assert_eq!((code, web.take()), (5, vec![]));
}

#[test]
fn a_registry_that_says_no_is_asked_once() {
    let (sandbox, web, image) = pulled();
    web.rule(|_| Does::Answer(answer("403 Forbidden", &[], b"{}")));
    for digest in &parts(&image)[1..] {
        Harm::Remove.befall(&blob_path(&sandbox.store(), digest));
    }
    let (code, done) = repair(&sandbox, &[], &[]);
    assert_eq!((code, web.take().len()), (5, 1), "{done}");
    let why = column(&done, "refused", "why");
    assert!(why.len() == 2 && why.iter().all(|why| why.contains("403")), "{why:?}");
}

#[test]
fn debians_registry_heals_what_it_gave() {
    let registry = need!(peer::registry(), "docker-registry");
    let mut skopeo = need!(peer::tool("skopeo"), "skopeo");
    let from = format!("oci-archive:{}", crate::support::fixture("multiarch-oci.tar").display());
    let reference = format!("{}/repair/multi:1", registry.address);
    let to = format!("docker://{reference}");
    let copy = ["--insecure-policy", "copy", "--all", "--dest-tls-verify=false", &from, &to];
    crate::support::run(skopeo.args(copy));
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["pull", &reference, "--all-platforms"]);
    let before = state(&sandbox.store());
    let root = named(&sandbox.store(), &reference).unwrap();
    for digest in crate::support::store::reachable(&sandbox.store(), &root) {
        Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
        let (code, done) = repair(&sandbox, &[], &[]);
        assert_eq!(code, 0, "{digest}: {done}");
        assert!(state(&sandbox.store()) == before, "{digest}");
    }
}
