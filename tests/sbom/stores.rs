//! Stores to make pages of.

use std::path::Path;

use serde_json::{Value, json};

use super::{import, stanza};
use crate::support::Sandbox;
use crate::support::store::entries;
use crate::support::tarball::{Tarball, hex, noise};

const DAY: i64 = 86_400;

/// A CI host's store after half a year: two bases, toolchains upon them, some rebuilt, some forgotten; and limits that take two of them.
/// Layers have so many bytes for each megabyte that the real ones have.
pub(super) fn lived_in(megabyte: usize) -> Sandbox {
    let sandbox = Sandbox::in_memory();
    let base = |seed, size: usize, packages: &[(&str, u32)]| {
        let status = packages
            .iter()
            .map(|(name, kib)| stanza(name, "1", &format!("Installed-Size: {kib}\n")))
            .collect::<String>();
        let mut layer = Tarball::new();
        layer
            .file("usr/lib/base", &noise(seed, size * megabyte))
            .file("var/lib/dpkg/status", status.as_bytes());
        layer.bytes()
    };
    let plain = [("libc6", 12_900), ("bash", 7200), ("perl-base", 7800), ("coreutils", 17_900)];
    let gcc = [
        &plain[..],
        &[("gcc-12", 52_000), ("cpp-12", 30_000), ("libstdc++-12-dev", 20_000), ("binutils", 28_000)],
    ]
    .concat();
    let clang = [
        &plain[..],
        &[
            ("clang-16", 36_000),
            ("llvm-16", 61_000),
            ("libllvm16", 112_000),
            ("libclang-common-16-dev", 8000),
        ],
    ]
    .concat();
    let (debian, ubuntu) = (base(1, 48, &plain), base(2, 30, &plain));
    let (gcc, clang) = (base(3, 62, &gcc), base(4, 71, &clang));
    let own = |seed, size: usize| {
        let mut layer = Tarball::new();
        layer.file(&format!("opt/{seed}"), &noise(seed, size * megabyte));
        layer.bytes()
    };
    let images: [(&str, Vec<Vec<u8>>); 12] = [
        ("capy:debian-12", vec![debian.clone()]),
        ("capy:debian-12-gcc12", vec![debian.clone(), gcc.clone(), own(10, 9)]),
        ("capy:debian-12-gcc12-asan", vec![debian.clone(), gcc.clone(), own(11, 14)]),
        ("capy:debian-12-gcc12-cov", vec![debian.clone(), gcc.clone(), own(12, 11), own(13, 3)]),
        ("capy:debian-12-clang16", vec![debian.clone(), clang.clone(), own(14, 7)]),
        ("capy:debian-12-clang16-tidy", vec![debian.clone(), clang, own(15, 22)]),
        ("capy:debian-12-python", vec![debian.clone(), own(16, 27), own(17, 6)]),
        ("capy:debian-12-docs", vec![debian.clone(), own(18, 41)]),
        ("capy:ubuntu-25.04", vec![ubuntu.clone()]),
        ("capy:ubuntu-25.04-gcc15", vec![ubuntu.clone(), own(19, 66)]),
        ("capy:ubuntu-25.04-gcc15-mingw", vec![ubuntu, own(19, 66), own(20, 19)]),
        ("registry.example.com:5000/team/service:v7", vec![debian, own(21, 12), own(22, 2)]),
    ];
    for (name, layers) in &images {
        import(&sandbox, name, layers);
    }
    sandbox.ok(["tag", "capy:debian-12", "base:stable"]);
    for image in ["capy:debian-12-gcc12", "capy:debian-12-clang16", "capy:ubuntu-25.04"] {
        sandbox.ok(["sbom", image]);
    }
    sandbox.ok(["pin", "capy:debian-12-docs"]);
    age(&sandbox);
    // What a foreign tool left, and nothing needs.
    put(&sandbox.store(), &noise(30, 5 * megabyte));
    sandbox
}

/// As if the images had come one after the other, and were used since, but for one; and limits of time.
fn age(sandbox: &Sandbox) {
    let (index, now) = (sandbox.store().join("index.json"), jiff::Timestamp::now().as_second());
    let mut text: Value = serde_json::from_slice(&std::fs::read(&index).unwrap()).unwrap();
    let usage = sandbox.store().join(".larder/usage");
    for (at, entry) in (0..).zip(text["manifests"].as_array_mut().unwrap()) {
        let imported = now - (180 - 14 * at) * DAY;
        let name = entry["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap().to_owned();
        entry["annotations"]["dev.larder.imported"] =
            jiff::Timestamp::from_second(imported).unwrap().to_string().into();
        let unused = match name.as_str() {
            "capy:debian-12-gcc12-cov" | "capy:debian-12-python" => 75,
            "capy:ubuntu-25.04-gcc15-mingw" => continue,
            _ => at * 7 % 30,
        };
        let record = usage.join(entry["digest"].as_str().unwrap().trim_start_matches("sha256:"));
        std::fs::write(record, format!("{:020} {:020}\n", now - unused * DAY, 3 + at)).unwrap();
    }
    std::fs::write(&index, text.to_string()).unwrap();
    // Since when records are kept.
    let begun =
        std::fs::File::options().create(true).truncate(false).write(true).open(usage.join("since")).unwrap();
    begun
        .set_modified(
            std::time::UNIX_EPOCH + std::time::Duration::from_secs((now - 200 * DAY).unsigned_abs()),
        )
        .unwrap();
    std::fs::write(sandbox.store().join(".larder/larder.toml"), "unused_for = \"60d\"\n").unwrap();
}

/// Puts a blob into a store's place for it and returns its digest.
fn put(store: &Path, bytes: &[u8]) -> String {
    let hex = hex(bytes);
    std::fs::write(store.join("blobs/sha256").join(&hex), bytes).unwrap();
    format!("sha256:{hex}")
}

/// A store as another tool would have written it: an image for each name, on bases that forty share, with a layer of its own.
pub(super) fn foreign(names: &[String]) -> Sandbox {
    let sandbox = Sandbox::in_memory();
    sandbox.ok(["init"]);
    let store = sandbox.store();
    let descriptor = |bytes: &[u8], kind: &str| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": put(&store, bytes), "size": bytes.len()});
    let manifests = (0..).zip(names).map(|(at, name)| {
        let config = json!({"os": "linux", "architecture": "amd64", "number": at}).to_string();
        let base = format!("base {:0300}", at / 40);
        let own = format!("{name} {}", "x".repeat(100 + at % 400));
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor(config.as_bytes(), "config.v1+json"),
            "layers": [descriptor(base.as_bytes(), "layer.v1.tar"), descriptor(own.as_bytes(), "layer.v1.tar")],
        });
        let mut entry = descriptor(manifest.to_string().as_bytes(), "manifest.v1+json");
        entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
        entry
    });
    let index = json!({"schemaVersion": 2, "manifests": manifests.collect::<Vec<_>>()});
    std::fs::write(store.join("index.json"), index.to_string()).unwrap();
    assert_eq!(entries(&store).len(), names.len());
    sandbox
}
