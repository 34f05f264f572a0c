//! What comes in, under which name, and what was asked for it.

use super::{only, small, with};
use crate::support::image::{Image, digest, layer};
use crate::support::store::{assert_nothing_pending, assert_sound, blob, blob_path, entries, named, names};
use crate::support::web::Web;
use crate::support::{Sandbox, peer};

#[test]
fn an_image_comes_byte_for_byte_and_the_next_pull_is_one_request() {
    let image = small(1);
    let (sandbox, web, reference) = with(&image);
    let printed = sandbox.ok(["pull", &reference]);
    assert!(printed.starts_with(&format!("{reference} {} sha256:", image.digest())), "{printed}");
    assert_eq!(blob(&sandbox.store(), &image.digest()), image.root());
    assert_eq!(named(&sandbox.store(), &reference), Some(image.digest()));
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
    assert_eq!(web.take().len(), 1 + 1 + image.blobs().len());
    let index = std::fs::read(sandbox.store().join("index.json")).unwrap();
    let again = sandbox.ok(["pull", &reference]);
    assert!(again.contains(" new=0 "), "{again}");
    assert_eq!(web.take(), ["HEAD /v2/a/b/manifests/1"]);
    assert_eq!(std::fs::read(sandbox.store().join("index.json")).unwrap(), index, "nothing was written");
}

#[test]
fn what_is_asked_for_by_its_digest_and_is_there_costs_nothing() {
    let image = small(1);
    let (sandbox, web, reference) = with(&image);
    let name = reference.trim_end_matches(":1");
    let by_digest = format!("{name}@{}", image.digest());
    let printed = sandbox.ok(["pull", &by_digest]);
    assert!(
        printed.starts_with(&format!("- {}", image.digest())),
        "nothing says how it is called: {printed}"
    );
    assert!(web.take().iter().all(|request| !request.starts_with("HEAD") && !request.ends_with("/1")));
    sandbox.ok(["pull", &by_digest]);
    let both = sandbox.ok(["pull", &format!("{name}:one@{}", image.digest())]);
    assert!(both.starts_with(&format!("{name}:one ")), "{both}");
    assert_eq!(web.take(), [""; 0]);
    assert_sound(&sandbox.store());
}

#[test]
fn a_moved_tag_is_noticed_and_a_sibling_brings_only_what_is_new() {
    let (old, new) = (small(1), small(2));
    let (sandbox, web, reference) = with(&old);
    sandbox.ok(["pull", &reference]);
    web.take();
    web.put("a/b:1", &new);
    let printed = sandbox.ok(["pull", &reference]);
    assert!(printed.contains(&new.digest()), "{printed}");
    assert_eq!(named(&sandbox.store(), &reference), Some(new.digest()));
    assert_eq!(entries(&sandbox.store()).len(), 2, "the old one stays, nameless");
    let common = digest(&layer("base", b"common to all"));
    let asked = web.take();
    assert_eq!(asked.len(), 1 + 1 + 2, "{asked:?}");
    assert!(!asked.iter().any(|request| request.contains(&common)), "{asked:?}");
}

#[test]
fn after_rm_and_before_gc_nothing_is_fetched() {
    let (sandbox, web, reference) = with(&small(1));
    sandbox.ok(["pull", &reference]);
    sandbox.ok(["rm", &reference]);
    web.take();
    let printed = sandbox.ok(["pull", &reference]);
    assert!(printed.contains(" new=0 "), "{printed}");
    assert_eq!(web.take(), ["HEAD /v2/a/b/manifests/1"]);
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_sound(&sandbox.store());
}

#[test]
fn a_name_of_another_image_does_not_move_unasked() {
    let (sandbox, web, reference) = with(&small(1));
    let other = web.put("c/d:1", &small(2));
    sandbox.ok(["pull", &reference]);
    let stderr = sandbox.fail(["pull", &other, "--name", &reference], 1);
    assert!(stderr.contains("--replace"), "{stderr}");
    assert_eq!(only(&sandbox.store()), small(1).digest());
    sandbox.ok(["pull", &other, "--name", &reference, "--replace"]);
    assert_eq!(named(&sandbox.store(), &reference), Some(small(2).digest()));
}

#[test]
fn an_index_stays_whole_and_its_images_come_as_they_are_asked_for() {
    let (amd64, arm64) = (
        Image::for_platform("amd64", &[layer("a", b"1")]),
        Image::for_platform("arm64", &[layer("a", b"2")]),
    );
    let s390x = Image::for_platform("s390x", &[layer("a", b"3")]);
    let images = [("amd64", amd64), ("arm64", arm64), ("s390x", s390x)];
    let index = Image::index(&images);
    let (sandbox, web, reference) = with(&index);
    let is_there = |at: usize| blob_path(&sandbox.store(), &images[at].1.digest()).exists();
    sandbox.ok(["pull", &reference, "--platform", "linux/arm64"]);
    assert_eq!([0, 1, 2].map(is_there), [false, true, false]);
    assert_eq!(blob(&sandbox.store(), &index.digest()), index.root());
    sandbox.ok(["pull", &reference, "--platform", "linux/amd64", "--platform", "linux/arm64"]);
    assert_eq!([0, 1, 2].map(is_there), [true, true, false]);
    let stderr = sandbox.fail(["pull", &reference, "--platform", "linux/riscv64"], 1);
    assert!(stderr.contains("linux/riscv64") && stderr.contains("linux/s390x"), "{stderr}");
    sandbox.ok(["pull", &reference, "--all-platforms"]);
    assert_eq!([0, 1, 2].map(is_there), [true, true, true]);
    web.take();
    sandbox.ok(["pull", &reference, "--all-platforms"]);
    assert_eq!(web.take().len(), 1);
    let children =
        entries(&sandbox.store())[0]["annotations"]["dev.larder.children"].as_str().unwrap().to_owned();
    for (_, image) in &images {
        assert!(children.contains(&image.digest()), "{children}");
    }
    assert_sound(&sandbox.store());
    sandbox.ok(["verify"]);
}

#[test]
fn the_default_is_this_machine_and_a_lone_image_comes_whatever_it_is_for() {
    let host = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let images = [("s390x", small(1)), (host, Image::for_platform(host, &[layer("a", b"2")]))];
    let (sandbox, web, reference) = with(&Image::index(&images));
    sandbox.ok(["pull", &reference]);
    assert!(blob_path(&sandbox.store(), &images[1].1.digest()).exists());
    assert!(!blob_path(&sandbox.store(), &images[0].1.digest()).exists());
    let lone = web.put("lone:1", &Image::for_platform("s390x", &[layer("a", b"3")]));
    sandbox.ok(["pull", &lone]);
    let stderr = sandbox.fail(["pull", &lone, "--platform", "linux/arm64"], 1);
    assert!(stderr.contains("is for linux/s390x, and --platform asks for linux/arm64"), "{stderr}");
    sandbox.ok(["pull", &lone, "--platform", "linux/s390x"]);
}

#[test]
fn what_came_is_said_in_json_and_on_the_entry() {
    let image = small(1);
    let (sandbox, web, reference) = with(&image);
    let second = web.put("a/c:1", &small(2));
    let rows = sandbox.json(["pull", &reference, &second, "--name", "x"].map(str::to_owned).iter().take(3));
    assert_eq!(rows.as_array().unwrap().len(), 2);
    assert_eq!((&rows[0]["status"], &rows[0]["digest"]), (&"added".into(), &image.digest().into()));
    assert_eq!(rows[1]["reused_bytes"].as_u64().unwrap(), layer("base", b"common to all").len() as u64);
    let entries = entries(&sandbox.store());
    assert_eq!(entries[0]["annotations"]["dev.larder.origin"], reference.as_str());
    assert_eq!(entries[0]["annotations"]["dev.larder.image-id"], image.manifest()["config"]["digest"]);
    assert_eq!(entries[0]["platform"]["architecture"], "amd64");
    sandbox.fail(["pull", &reference, &second, "--name", "x"], 2);
}

#[test]
fn of_several_those_that_came_are_said_and_stay() {
    let (sandbox, web, reference) = with(&small(1));
    let missing = format!("{}/none:1", web.address);
    let output = sandbox.larder(["pull", &reference, &missing]);
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(&reference));
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains(&format!("{}: HEAD /v2/none/manifests/1: 404", web.address)), "{stderr}");
    assert_eq!(names(&sandbox.store()).len(), 1);
    sandbox.fail(["pull", &missing], 3);
}

#[test]
fn the_registry_of_debian_has_the_same_bytes() {
    let registry = crate::support::need!(peer::registry(), "docker-registry");
    let mut skopeo = crate::support::need!(peer::tool("skopeo"), "skopeo");
    let from = format!("oci-archive:{}", crate::support::fixture("multiarch-oci.tar").display());
    let reference = format!("{}/pull/multi:1", registry.address);
    let to = format!("docker://{reference}");
    crate::support::run(skopeo.args([
        "--insecure-policy",
        "copy",
        "--all",
        "--dest-tls-verify=false",
        &from,
        &to,
    ]));
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["pull", &reference, "--all-platforms"]);
    assert_sound(&sandbox.store());
    let asked = |log: &str| {
        log.lines().filter(|line| line.contains("/v2/pull/multi/") && line.contains("HTTP/1.1\" ")).count()
    };
    let before = asked(&registry.log());
    sandbox.ok(["pull", &reference, "--all-platforms"]);
    crate::support::wait_for(|| (asked(&registry.log()) > before).then_some(()));
    assert_eq!(asked(&registry.log()), before + 1);
    let mut inspect = peer::tool("skopeo").unwrap();
    let to = format!("docker://{reference}");
    let raw = crate::support::run(inspect.args(["inspect", "--raw", "--tls-verify=false", &to]));
    assert_eq!(Some(digest(raw.as_bytes())), named(&sandbox.store(), &reference));
}

#[test]
fn offline_means_that_no_request_leaves() {
    let (sandbox, web, reference) = with(&small(1));
    let config = sandbox.path("home/.config/larder");
    std::fs::create_dir_all(&config).unwrap();
    std::fs::write(config.join("larder.toml"), "offline = true\n").unwrap();
    let stderr = sandbox.fail(["pull", &reference], 1);
    assert!(stderr.contains("offline"), "{stderr}");
    assert_eq!(web.take(), [""; 0]);
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_for_what_it_lacks() {
    let (sandbox, web, reference) = with(&small(1));
    let mirror = Web::new();
    let config = sandbox.path("home/.config/larder");
    std::fs::create_dir_all(&config).unwrap();
    let text = format!("[mirrors]\n{:?} = [{:?}]\n", web.address, mirror.address);
    std::fs::write(config.join("larder.toml"), text).unwrap();
    mirror.put("a/b:1", &small(1));
    sandbox.ok(["pull", &reference]);
    assert_eq!(web.take(), [""; 0], "the mirror has it");
    assert_eq!(named(&sandbox.store(), &reference), Some(small(1).digest()), "by the registry's name");
    let other = web.put("a/c:1", &small(2));
    mirror.take();
    sandbox.ok(["pull", &other]);
    assert_eq!(mirror.take(), ["HEAD /v2/a/c/manifests/1"]);
    assert!(!web.take().is_empty());
}
