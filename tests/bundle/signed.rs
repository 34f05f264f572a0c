//! Bundles that are signed, with real minisign on the other side.

use std::process::Stdio;

use crate::support::signing::{REQUIRED, Signing};
use crate::support::store::{assert_sound, blobs, entries};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{describe, feed, fixture, need, run};

/// A store `out` with an image, and a host that takes nothing without a signature.
fn with_image(host: &str) -> Option<Signing> {
    let signing = Signing::new(host)?;
    let archive = docker_archive("ci:1", &[layer("noise", &noise(1, 1_000))]);
    std::fs::write(signing.sandbox.path("image.tar"), archive).unwrap();
    // Images that are made here are this host's own.
    signing.host("");
    signing.sandbox.ok(["--store", "out", "import", "image.tar"]);
    signing.host(host);
    Some(signing)
}

impl Signing {
    fn create(&self, args: &[&str]) {
        self.sandbox.ok([&["--store", "out", "bundle", "create", "--all"], args].concat());
    }

    /// Applying ends with exit code 5 and these words, and writes nothing.
    fn is_refused(&self, file: &str, words: &str) {
        let told = self.sandbox.fail(["--store", "in", "bundle", "apply", file], 5);
        assert!(told.contains(words), "{told}");
        let store = self.sandbox.path("in");
        assert!(blobs(&store).is_empty() && entries(&store).is_empty(), "{file}");
    }
}

/// Where the signature begins, which fits into a block.
fn of_signature(bundle: &[u8]) -> usize {
    bundle.windows(9).rposition(|window| window == b"untrusted").unwrap()
}

#[test]
fn minisign_verifies_what_larder_signs_and_only_that_is_taken() {
    let signing = need!(with_image(REQUIRED), "minisign");
    signing.create(&["-o", "unsigned"]);
    signing.create(&["--sign", "foreign.key", "-o", "foreign"]);
    signing.create(&["--sign", "trusted.key", "-o", "signed"]);
    signing.sandbox.ok(["--store", "in", "init"]);
    signing.is_refused("unsigned", "nobody signed it");
    signing.is_refused("foreign", "this host does not trust");

    let mut tar = signing.sandbox.enclose(crate::support::peer::tool("tar").unwrap());
    run(tar.args(["xf", "signed", "dev.larder.bundle"]));
    let manifest = "dev.larder.bundle/manifest.json";
    signing.minisign(&["-V", "-p", "trusted.pub", "-m", manifest]);
    let wrong = signing.command(&["-V", "-p", "foreign.pub", "-m", manifest]).output().unwrap();
    assert!(!wrong.status.success());

    let key = signing.sandbox.json(["bundle", "inspect", "signed"]);
    let key = key["signed_with"].as_str().unwrap().to_owned();
    let told = signing.sandbox.larder(["--store", "in", "bundle", "apply", "signed"]);
    let told = String::from_utf8_lossy(&told.stderr).into_owned();
    assert!(told.contains(&format!("signed: signed with {key} (larder bundle sha256:")), "{told}");
    assert_sound(&signing.sandbox.path("in"));
    assert_eq!(entries(&signing.sandbox.path("in")).len(), 1);
}

#[test]
fn the_same_key_signs_the_same_and_a_dry_run_knows_how_long_it_is() {
    let signing = need!(with_image(REQUIRED), "minisign");
    let create = ["--store", "out", "bundle", "create", "--all"];
    let said = [&create[..], &["--sign", "none", "--dry-run"]].concat();
    let said = signing.sandbox.json(said);
    let read = |file: &str| std::fs::read(signing.sandbox.path(file)).unwrap();
    for file in ["one", "two"] {
        signing.create(&["--sign", "trusted.key", "-o", file]);
    }
    assert_eq!(said["size"], read("one").len());
    // Whoever signs puts chance into it; all else is the same.
    let unsigned = |mut bytes: Vec<u8>| {
        let at = of_signature(&bytes);
        bytes[at..at + 512].fill(0);
        bytes
    };
    assert!(unsigned(read("one")) == unsigned(read("two")));
    // Each part says it for itself.
    signing.create(&["--sign", "trusted.key", "--split", "90K", "-o", "small"]);
    let archive = docker_archive("ci:2", &[layer("noise", &noise(2, 300_000))]);
    std::fs::write(signing.sandbox.path("image.tar"), archive).unwrap();
    signing.host("");
    signing.sandbox.ok(["--store", "out", "import", "image.tar"]);
    signing.host(REQUIRED);
    signing.create(&["--sign", "trusted.key", "--split", "100K", "-o", "parts"]);
    let parts: Vec<_> = (1..)
        .map(|n| format!("parts.{n}of4"))
        .take_while(|name| signing.sandbox.path(name).exists())
        .collect();
    assert_eq!(parts.len(), 4);
    let args = ["--store", "in", "bundle", "apply"].into_iter().chain(parts.iter().map(String::as_str));
    signing.sandbox.ok(args);
    assert_eq!(entries(&signing.sandbox.path("in")).len(), 2);
    assert_sound(&signing.sandbox.path("in"));
}

#[test]
fn a_signature_is_taken_from_no_other_bundle_and_not_away() {
    let signing = need!(with_image(REQUIRED), "minisign");
    signing.create(&["-o", "unsigned"]);
    signing.create(&["--sign", "trusted.key", "-o", "signed"]);
    signing.sandbox.ok(["--store", "in", "init"]);
    let bytes = std::fs::read(signing.sandbox.path("signed")).unwrap();
    let at = of_signature(&bytes);
    // Behind what is signed is another comment, which minisign takes.
    let mut bad = bytes.clone();
    bad[at + 19] ^= 1;
    std::fs::write(signing.sandbox.path("bad"), &bad).unwrap();
    signing.is_refused("bad", "its signature is not written as larder does");
    // The manifest of one with the signature of another.
    signing.host("");
    let archive = docker_archive("ci:3", &[layer("noise", &noise(3, 1_000))]);
    std::fs::write(signing.sandbox.path("image.tar"), archive).unwrap();
    signing.sandbox.ok(["--store", "theirs", "import", "image.tar"]);
    signing.host(REQUIRED);
    signing.sandbox.ok([
        "--store",
        "theirs",
        "bundle",
        "create",
        "--all",
        "--sign",
        "trusted.key",
        "-o",
        "others",
    ]);
    let other = std::fs::read(signing.sandbox.path("others")).unwrap();
    assert_eq!(at, of_signature(&other), "both manifests have as many blocks");
    let mut mixed = bytes.clone();
    mixed[at..at + 512].copy_from_slice(&other[at..at + 512]);
    std::fs::write(signing.sandbox.path("mixed"), &mixed).unwrap();
    signing.is_refused("mixed", "");
    signing.sandbox.ok(["--store", "in", "bundle", "apply", "signed"]);
}

#[test]
fn a_host_that_demands_nothing_refuses_a_wrong_signature_all_the_same() {
    let signing = need!(with_image("trusted_keys = [\"KEY\"]\n"), "minisign");
    signing.create(&["-o", "unsigned"]);
    signing.create(&["--sign", "foreign.key", "-o", "foreign"]);
    signing.sandbox.ok(["--store", "in", "init"]);
    signing.is_refused("foreign", "this host does not trust");
    signing.sandbox.ok(["--store", "in", "bundle", "apply", "unsigned"]);
}

#[test]
fn a_passphrase_comes_from_a_file_or_stdin_and_a_wrong_one_is_told() {
    let signing = need!(with_image(""), "minisign");
    // It asks twice, and reads stdin where that is no terminal.
    let made =
        feed(&mut signing.command(&["-G", "-p", "locked.pub", "-s", "locked.key"]), b"secret\nsecret\n");
    assert!(made.status.success(), "{made:?}");
    std::fs::write(signing.sandbox.path("right"), "secret\n").unwrap();
    std::fs::write(signing.sandbox.path("wrong"), "Secret").unwrap();
    let create = ["--store", "out", "bundle", "create", "--all", "-o", "bundle", "--sign", "locked.key"];
    let told = signing.sandbox.fail(create, 2);
    assert!(told.contains("has a passphrase") && told.contains("--passphrase-file"), "{told}");
    let told = signing.sandbox.fail([&create[..], &["--passphrase-file", "wrong"]].concat(), 1);
    assert!(
        told.contains("locked.key: cannot be opened") && told.contains("passphrase of this key"),
        "{told}"
    );
    assert!(!signing.sandbox.path("bundle").exists());
    let mut command = signing.sandbox.command([&create[..], &["--passphrase-file", "-"]].concat());
    let output = feed(&mut command, b"secret\n");
    assert!(output.status.success(), "{}", describe(&command, &output));
    let mut tar = signing.sandbox.enclose(crate::support::peer::tool("tar").unwrap());
    run(tar.args(["xf", "bundle", "dev.larder.bundle"]));
    let manifest = "dev.larder.bundle/manifest.json";
    run(signing.command(&["-V", "-p", "locked.pub", "-m", manifest]).stdin(Stdio::null()));
}

/// Bundles that were written once are taken for ever.
#[test]
fn yesterdays_bundle_is_taken() {
    let signing = need!(Signing::new(""), "minisign");
    let public = std::fs::read_to_string(fixture("bundles/format-1.pub")).unwrap();
    let host = format!("trusted_keys = [{:?}]\nrequire_signature = true\n", public.lines().nth(1).unwrap());
    signing.host(&host);
    let bundle = fixture("bundles/format-1.bundle");
    signing.sandbox.ok(["bundle", "apply", bundle.to_str().unwrap()]);
    assert_eq!(entries(&signing.sandbox.store()).len(), 1);
    assert_sound(&signing.sandbox.store());
}

#[test]
fn no_store_is_made_for_what_is_not_trusted() {
    let signing = need!(with_image(REQUIRED), "minisign");
    signing.create(&["-o", "unsigned"]);
    signing.create(&["--sign", "trusted.key", "-o", "signed"]);
    let mut changed = std::fs::read(signing.sandbox.path("signed")).unwrap();
    let at = of_signature(&changed) - 600;
    changed[at] ^= 1;
    std::fs::write(signing.sandbox.path("changed"), &changed).unwrap();
    std::fs::create_dir(signing.sandbox.path("empty")).unwrap();
    let store = |name: &str| signing.sandbox.path(name);
    for file in ["unsigned", "changed"] {
        for place in ["in", "deep/in", "empty"] {
            signing.sandbox.fail(["--store", place, "bundle", "apply", file], 5);
            let mut command = signing.sandbox.command(["--store", place, "bundle", "apply", "-"]);
            let output = feed(&mut command, &std::fs::read(signing.sandbox.path(file)).unwrap());
            assert_eq!(output.status.code(), Some(5), "{}", describe(&command, &output));
        }
    }
    signing.sandbox.fail(["--store", "in", "import", "image.tar"], 5);
    assert!(!store("in").exists() && !store("deep").exists(), "something was made");
    assert_eq!(std::fs::read_dir(store("empty")).unwrap().count(), 0, "something was written");
    signing.sandbox.ok(["--store", "deep/in", "bundle", "apply", "signed"]);
    assert_sound(&store("deep/in"));
}
