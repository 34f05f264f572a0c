//! Archives that have to be signed, by real minisign.

use std::process::Command;

use super::{CLANG, GCC};
use crate::support::signing::{REQUIRED, Signing};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{describe, fixture, need, peer, run};

/// The same with an archive.
fn with_image(host: &str) -> Option<Signing> {
    let signing = Signing::new(host)?;
    std::fs::copy(fixture("docker20.tar"), signing.sandbox.path("image.tar")).unwrap();
    Some(signing)
}

impl Signing {
    /// Imports with exit code 5, which says these words and leaves the store empty.
    fn refused(&self, args: &[&str], words: &[&str]) {
        let told = self.sandbox.fail([&["import"], args].concat(), 5);
        assert!(words.iter().all(|word| told.contains(word)), "{args:?}: {told}");
        assert_eq!(self.sandbox.ok(["images", "--format", "json"]).trim(), "[]");
        let blobs = std::fs::read_dir(self.sandbox.store().join("blobs/sha256"));
        assert_eq!(blobs.map_or(0, Iterator::count), 0, "{args:?}");
    }
}

#[test]
fn only_what_a_trusted_key_signed_is_taken_where_that_is_demanded() {
    let signing = need!(with_image(REQUIRED), "minisign");
    let file = signing.sandbox.path("image.tar");
    signing.refused(&["image.tar"], &["nobody signed it", "larder.toml demands that"]);
    signing.sign("foreign", "image.tar");
    signing.refused(&["image.tar"], &["which this host does not trust", "hint: "]);
    signing.sign("trusted", "image.tar");
    // Every part of it: the beginning, a layer, the last block.
    let whole = std::fs::read(&file).unwrap();
    for at in [0, whole.len() / 2, whole.len() - 1] {
        let mut changed = whole.clone();
        changed[at] ^= 1;
        std::fs::write(&file, changed).unwrap();
        signing.refused(&["image.tar"], &["is not of this content"]);
    }
    std::fs::write(&file, &whole[..whole.len() - 512]).unwrap();
    signing.refused(&["image.tar"], &["is not of this content"]);
    std::fs::write(&file, &whole).unwrap();
    // What cannot be checked before it is read.
    std::fs::create_dir(signing.sandbox.path("layout")).unwrap();
    signing.refused(&["layout"], &["a directory has no signature"]);
    signing.refused(&["-"], &["stdin has no signature"]);
    let mut import = signing.sandbox.command(["import", "image.tar"]);
    let output = import.output().unwrap();
    assert!(output.status.success(), "{}", describe(&import, &output));
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(told.contains("image.tar: signed with ") && told.contains("file:image.tar"), "{told}");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with(GCC));
}

#[test]
fn a_signature_may_be_elsewhere_and_what_is_consumed_is_checked_before() {
    let signing = need!(with_image(REQUIRED), "minisign");
    signing.sign("trusted", "image.tar");
    let archive = signing.sandbox.path("image.tar");
    std::fs::rename(signing.sandbox.path("image.tar.minisig"), signing.sandbox.path("signature")).unwrap();
    signing.refused(&["image.tar", "--consume"], &["nobody signed it"]);
    signing.refused(&["image.tar", "--signature", "trusted.pub"], &["its signature is none"]);
    let length = archive.metadata().unwrap().len();
    assert_eq!(length, fixture("docker20.tar").metadata().unwrap().len(), "nothing of it is freed");
    signing.sandbox.ok(["import", "image.tar", "--signature", "signature", "--consume"]);
    assert!(!archive.exists());
    signing.sandbox.ok(["verify"]);
}

#[test]
fn what_was_checked_and_is_half_eaten_is_taken_when_it_is_imported_again() {
    let signing = need!(with_image(REQUIRED), "minisign");
    let strace = need!(peer::tool("strace"), "strace");
    let layers: Vec<_> = (1..=3).map(|seed| layer("noise", &noise(seed, 8 << 20))).collect();
    let (file, signature) = (signing.sandbox.path("image.tar"), signing.sandbox.path("image.tar.minisig"));
    std::fs::write(&file, docker_archive("large:1", &layers)).unwrap();
    signing.sign("trusted", "image.tar");
    let consume = ["import", "image.tar", "--consume"];
    let larder = signing.sandbox.command(consume);
    let mut killed = signing.sandbox.enclose(strace);
    killed.args(["-f", "-o", "/dev/null", "-e", "inject=fallocate:signal=SIGKILL:when=4"]);
    let output = killed.arg(larder.get_program()).args(larder.get_args()).output().unwrap();
    assert!(!output.status.success() && file.exists(), "{}", describe(&killed, &output));
    let blocks = std::os::unix::fs::MetadataExt::blocks(&file.metadata().unwrap());
    assert!(blocks * 512 < 20 << 20, "nothing was freed: {blocks} blocks");
    let half = std::fs::read(&file).unwrap();
    // Nothing else is let in with it: another document, another signature, a key that is trusted no more.
    let diff_ids = half.windows(8).position(|bytes| bytes == b"diff_ids").unwrap();
    let mut changed = half.clone();
    changed[diff_ids + 30] ^= 1;
    std::fs::write(&file, changed).unwrap();
    assert!(signing.sandbox.fail(consume, 5).contains("is not of this content"));
    std::fs::write(&file, &half).unwrap();
    let signed = std::fs::read(&signature).unwrap();
    signing.sign("trusted", "image.tar.minisig");
    std::fs::rename(signing.sandbox.path("image.tar.minisig.minisig"), &signature).unwrap();
    assert!(signing.sandbox.fail(consume, 5).contains("is not of this content"));
    std::fs::write(&signature, signed).unwrap();
    let settings = signing.sandbox.path("home/.config/larder/larder.toml");
    let trusted = std::fs::read_to_string(&settings).unwrap();
    let foreign = format!("trusted_keys = [{:?}]\n", signing.sandbox.path("foreign.pub"));
    std::fs::write(&settings, foreign).unwrap();
    assert!(signing.sandbox.fail(consume, 5).contains("which this host does not trust"));
    std::fs::write(&settings, trusted).unwrap();
    signing.sandbox.ok(consume);
    assert!(!file.exists() && signing.sandbox.ok(["images"]).contains("large:1"));
    signing.sandbox.ok(["verify"]);
}

#[test]
fn where_it_is_not_demanded_a_signature_that_is_there_is_checked_all_the_same() {
    let signing = need!(with_image("trusted_keys = [\"KEY\"]\n"), "minisign");
    signing.sign("foreign", "image.tar");
    signing.refused(&["image.tar"], &["which this host does not trust"]);
    std::fs::remove_file(signing.sandbox.path("image.tar.minisig")).unwrap();
    signing.sandbox.ok(["import", "image.tar"]);
    // A pipe of that name would be waited for.
    run(Command::new("mkfifo").arg(signing.sandbox.path("image.tar.minisig")));
    assert!(signing.sandbox.fail(["import", "image.tar"], 1).contains("is not a regular file"));
    let without_keys = need!(with_image("# none\n"), "minisign");
    std::fs::write(without_keys.sandbox.path("image.tar.minisig"), "no signature").unwrap();
    let told = without_keys.sandbox.fail(["import", "image.tar", "--signature", "image.tar.minisig"], 1);
    assert!(told.contains("this host trusts no key") && told.contains("trusted_keys"), "{told}");
    without_keys.sandbox.ok(["import", "image.tar"]);
}

#[test]
fn a_key_may_be_a_file_and_what_is_wrong_with_it_stops_everything() {
    let signing = need!(with_image("# later\n"), "minisign");
    let settings = signing.sandbox.path("home/.config/larder/larder.toml");
    let public = signing.sandbox.path("trusted.pub");
    std::fs::write(&settings, format!("trusted_keys = [{:?}]\nrequire_signature = true\n", public)).unwrap();
    signing.sign("trusted", "image.tar");
    signing.sandbox.ok(["import", "image.tar"]);
    std::fs::write(&public, std::fs::read_to_string(&public).unwrap().lines().nth(1).unwrap()).unwrap();
    signing.sandbox.ok(["import", "image.tar"]);
    std::fs::rename(&settings, signing.sandbox.path("away")).unwrap();
    std::os::unix::fs::symlink("nowhere", &settings).unwrap();
    assert!(signing.sandbox.fail(["import", "image.tar"], 1).contains("is a link to nowhere"));
    std::fs::remove_file(&settings).unwrap();
    for (text, words) in [
        ("require_signature = true\n", ["no key is trusted", "trusted_keys = ["]),
        ("trusted_keys = [\"RWno\"]\n", ["larder.toml: trusted_keys: \"RWno\"", "minisign -G"]),
        ("trusted_keys = [\"/no/such.pub\"]\n", ["/no/such.pub", "is not there"]),
        ("trusted_keys = \"RW\"\n", ["line 1", "trusted_keys"]),
    ] {
        std::fs::write(&settings, text).unwrap();
        let told = signing.sandbox.fail(["import", "image.tar"], 1);
        assert!(words.iter().all(|word| told.contains(word)), "{text}: {told}");
    }
}

#[test]
fn each_archive_of_a_folder_has_its_signature() {
    let signing = need!(with_image(REQUIRED), "minisign");
    let images = signing.sandbox.path("images");
    std::fs::create_dir_all(images.join("capy")).unwrap();
    run(Command::new("cp").arg(fixture("docker20-two.tar")).arg(images.join("capy/two.tar")));
    std::fs::rename(signing.sandbox.path("image.tar"), images.join("capy/one.tar")).unwrap();
    let entry = |name: &str, file: &str| format!("- {{docker_tag: {name}, file: capy/{file}.tar}}\n");
    let registry = format!("images:\n{}{}", entry(GCC, "one"), entry(CLANG, "two"));
    std::fs::write(images.join("image-registry.yml"), registry).unwrap();
    signing.sign("trusted", "images/capy/one.tar");
    let told = signing.sandbox.fail(["catalog", "import", "images/image-registry.yml"], 5);
    assert!(told.contains("image-registry.yml: nobody signed it"), "{told}");
    assert!(!signing.sandbox.store().exists(), "not even its own keys are noted");
    signing.sign("trusted", "images/image-registry.yml");
    let told = signing.sandbox.fail(["catalog", "import", "images/image-registry.yml"], 7);
    assert!(told.contains("two.tar: nobody signed it"), "{told}");
    let names = signing.sandbox.ok(["images", "--format", "json"]);
    assert!(names.contains(GCC) && !names.contains(CLANG), "{names}");
    signing.sign("foreign", "images/capy/two.tar");
    let told = signing.sandbox.fail(["catalog", "import", "images/image-registry.yml"], 7);
    assert!(told.contains("which this host does not trust"), "{told}");
    signing.sign("trusted", "images/capy/two.tar");
    signing.sandbox.ok(["catalog", "import", "images/image-registry.yml"]);
}
