//! What goes, what need not, and in which order.

use super::{small, with};
use crate::support::Sandbox;
use crate::support::image::{Image, OCI_INDEX, OCI_MANIFEST, descriptor, digest, layer};
use crate::support::web::Web;

use super::taker::Taker;

#[test]
fn an_image_goes_byte_for_byte_and_the_next_push_is_one_request() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    let place = format!("{}/c/d", taker.address);
    assert_eq!(sandbox.ok(["push", &name, &place]), format!("{place}:1 {}\n", image.digest()));
    assert_eq!(taker.manifest("c/d", "1").as_deref(), Some(image.root()));
    assert_eq!(taker.blobs("c/d").len(), image.blobs().len());
    let asked = taker.kinds();
    assert_eq!(asked.iter().filter(|kind| *kind == "PUT upload").count(), 3, "{asked:?}");
    assert_eq!(asked.iter().filter(|kind| *kind == "HEAD blob").count(), 3, "{asked:?}");
    let again = sandbox.larder(["push", &name, &place]);
    assert!(String::from_utf8_lossy(&again.stderr).contains("nothing to send: 3 blobs"), "{again:?}");
    assert_eq!(taker.kinds(), ["HEAD manifest"]);
    // Another tag of it is one more name for what is there.
    sandbox.ok(["push", &name, &format!("{place}:2")]);
    assert_eq!(taker.kinds(), ["HEAD manifest", "HEAD manifest", "PUT manifest"]);
}

#[test]
fn a_sibling_sends_only_what_is_new_and_a_second_repository_mounts() {
    let (sandbox, name, taker) = with(&small(1));
    let place = format!("{}/c/d", taker.address);
    sandbox.ok(["push", &name, &place]);
    let web = Web::new();
    let sibling = web.put("a/b:2", &small(2));
    sandbox.ok(["pull", "--name", "app:2", &sibling]);
    taker.take();
    let pushed = &sandbox.json(["push", "app:2", &place])[0];
    assert_eq!((&pushed["sent_blobs"], &pushed["there_blobs"]), (&2.into(), &1.into()), "{pushed}");
    taker.take();
    let pushed = &sandbox.json(["push", &name, &format!("{}/other", taker.address)])[0];
    assert_eq!((&pushed["sent_blobs"], &pushed["mounted_blobs"]), (&0.into(), &3.into()), "{pushed}");
    let asked = taker.kinds();
    assert!(!asked.contains(&"PUT upload".to_owned()), "{asked:?}");
    assert_eq!(asked.iter().filter(|kind| *kind == "POST mount").count(), 3, "{asked:?}");
    assert_eq!(taker.blobs("other").len(), 3);
}

#[test]
fn a_wrong_belief_about_a_mount_costs_a_request_and_nothing_else() {
    let (sandbox, name, taker) = with(&small(1));
    sandbox.ok(["push", &name, &format!("{}/c/d", taker.address)]);
    taker.take();
    // It never heard of a mount.
    taker.rule(|asked| match asked.kind().as_str() {
        "POST mount" => super::taker::Does::Answer(crate::support::web::answer("403 Forbidden", &[], b"")),
        _ => super::taker::Does::Pass,
    });
    let pushed = &sandbox.json(["push", &name, &format!("{}/e", taker.address)])[0];
    assert_eq!(pushed["sent_blobs"], 3, "{pushed}");
    assert_eq!(taker.kinds().iter().filter(|kind| kind.ends_with("mount")).count(), 3);
    // Where it begins an upload instead, that one is used.
    let empty = Taker::new();
    let cache = sandbox.store().join(".larder/cache/elsewhere");
    for file in std::fs::read_dir(cache).unwrap() {
        let file = file.unwrap().path();
        let known = std::fs::read_to_string(&file).unwrap().replace(&taker.address, &empty.address);
        std::fs::write(file, known).unwrap();
    }
    sandbox.ok(["push", &name, &format!("{}/f", empty.address)]);
    let asked = empty.kinds();
    assert_eq!(asked.iter().filter(|kind| kind.ends_with("mount")).count(), 3, "{asked:?}");
    assert!(!asked.contains(&"POST upload".to_owned()), "{asked:?}");
}

#[test]
fn several_destinations_in_one_command() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    let other = Taker::new();
    let places = [
        format!("{}/one:x", taker.address),
        format!("{}/two:y", taker.address),
        format!("{}/one:z", taker.address),
        format!("{}/three:1", other.address),
    ];
    let printed = sandbox.ok([&["push".to_owned(), name.clone()], &places[..]].concat());
    let expected: String = places.iter().map(|place| format!("{place} {}\n", image.digest())).collect();
    assert_eq!(printed, expected);
    let asked = taker.kinds();
    assert_eq!(
        asked.iter().filter(|kind| *kind == "PUT upload").count(),
        3,
        "the second one mounts: {asked:?}"
    );
    assert_eq!(asked.iter().filter(|kind| *kind == "POST mount").count(), 3, "{asked:?}");
    // One that fails does not keep the others.
    let unknown = format!("{}/four:1", other.address);
    other.rule(|asked| match asked.path.contains("/four/") {
        true => super::taker::Does::Answer(crate::support::web::answer("403 Forbidden", &[], b"")),
        false => super::taker::Does::Pass,
    });
    let last = format!("{}/five:1", other.address);
    let mut command = sandbox.command(["push", &name, &unknown, &last]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(String::from_utf8_lossy(&output.stdout), format!("{last} {}\n", image.digest()));
    assert!(String::from_utf8_lossy(&output.stderr).contains(&format!("{unknown}: {}: HEAD", other.address)));
}

#[test]
fn all_tags_of_an_image_in_its_repository() {
    let image = small(1);
    let (sandbox, name, taker) = with(&image);
    for alias in ["app:stable", "app:1.2", "elsewhere:3"] {
        sandbox.ok(["tag", &name, alias]);
    }
    let place = format!("{}/c", taker.address);
    let printed = sandbox.ok(["push", "--all-tags", &name, &place]);
    let names: Vec<_> = printed.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(names, ["1", "1.2", "stable"].map(|tag| format!("{place}:{tag}")));
    assert_eq!(taker.manifest("c", "stable").as_deref(), Some(image.root()));
    sandbox.fail(["push", "--all-tags", &name, &format!("{place}:1")], 2);
    // A digest has no tag.
    let usage = sandbox.fail(["push", &image.digest(), &place], 2);
    assert!(usage.contains("no tag to push under"), "{usage}");
    sandbox.ok(["push", &image.digest(), &format!("{place}:by-digest")]);
    assert!(taker.manifest("c", "by-digest").is_some());
}

#[test]
fn children_go_before_their_index_and_a_sparse_one_says_what_it_lacks() {
    let (amd, arm) = (small(1), Image::for_platform("arm64", &[layer("arm", b"arm")]));
    let index = Image::index(&[("amd64", amd.clone()), ("arm64", arm.clone())]);
    let (sandbox, name, taker) = with(&index);
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(index.root()));
    assert!(taker.manifest("c", &arm.digest()).is_some());
    // Now of a store that has one child alone.
    let (other, web) = (Sandbox::in_memory(), Web::new());
    let reference = web.put("a/b:1", &index);
    other.ok(["pull", "--platform", "linux/amd64", "--name", "app:1", &reference]);
    let error = other.fail(["push", "app:1", &format!("{}/d", taker.address)], 1);
    assert!(error.contains(&format!("{} (linux/arm64)", arm.digest())), "{error}");
    assert!(error.contains("--platform"), "{error}");
    assert!(taker.blobs("d").is_empty(), "nothing was sent for nothing");
    other.ok(["push", "app:1", &format!("{}/c:again", taker.address)]);
    assert_eq!(taker.manifest("c", "again").as_deref(), Some(index.root()), "it has the other child");
    let alone = other.larder(["push", "--platform", "linux/amd64", "app:1", &format!("{}/d", taker.address)]);
    assert!(String::from_utf8_lossy(&alone.stderr).contains("goes alone, for linux/amd64"), "{alone:?}");
    assert_eq!(taker.manifest("d", "1").as_deref(), Some(amd.root()));
}

#[test]
fn foreign_layers_stay_and_are_said() {
    let foreign = layer("licensed", b"not to be passed on");
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "config": {},
        "rootfs": {"type": "layers", "diff_ids": [digest(&foreign)]},
    });
    let config = config.to_string().into_bytes();
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": OCI_MANIFEST,
        "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
        "layers": [descriptor("application/vnd.oci.image.layer.nondistributable.v1.tar", &foreign)],
    });
    let image = Image::with_manifest(&manifest, vec![config]);
    let (sandbox, name, taker) = with(&image);
    let pushed = sandbox.larder(["push", &name, &format!("{}/c", taker.address)]);
    assert!(String::from_utf8_lossy(&pushed.stderr).contains("(foreign): it is not sent"), "{pushed:?}");
    assert_eq!(taker.blobs("c").len(), 1);
    assert_eq!(taker.manifest("c", "1").as_deref(), Some(image.root()));
}

#[test]
fn what_larder_notes_of_an_image_stays_at_home() {
    let (sandbox, name, taker) = with(&Image::index(&[("amd64", small(1))]));
    sandbox.ok(["annotate", &name, "dev.larder.project=secret"]);
    sandbox.ok(["pin", &name]);
    sandbox.ok(["push", &name, &format!("{}/c", taker.address)]);
    let index = taker.manifest("c", "1").unwrap();
    assert!(!String::from_utf8_lossy(&index).contains("dev.larder"));
    let parsed: serde_json::Value = serde_json::from_slice(&index).unwrap();
    assert_eq!(parsed["mediaType"], OCI_INDEX);
}

#[test]
fn what_was_pulled_is_mounted_where_its_registry_has_it() {
    let image = small(1);
    let taker = Taker::new();
    let (sandbox, name, _) = with(&image);
    let place = format!("{}/from", taker.address);
    sandbox.ok(["push", &name, &place]);
    // Another host, which knows of it by its own pull alone.
    let other = Sandbox::in_memory();
    other.ok(["pull", "--name", "app:1", &format!("{place}:1")]);
    let pushed = &other.json(["push", "app:1", &format!("{}/to", taker.address)])[0];
    assert_eq!((&pushed["mounted_blobs"], &pushed["sent_blobs"]), (&3.into(), &0.into()), "{pushed}");
    // And one that has lost its cache: the image says where it came from.
    std::fs::remove_dir_all(other.store().join(".larder/cache")).unwrap();
    let pushed = &other.json(["push", "app:1", &format!("{}/again", taker.address)])[0];
    assert_eq!(pushed["mounted_blobs"], 3, "{pushed}");
}
