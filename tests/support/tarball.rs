//! Archives, read and made without larder: what a tool saved, and what no tool would save.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use larder_store::digest::Digest;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

/// An archive in the making.
pub struct Tarball {
    builder: Builder<Vec<u8>>,
}

impl Tarball {
    /// An empty one. Members say nothing of owner and time, which is root and the beginning of time.
    pub fn new() -> Self {
        Self { builder: Builder::new(Vec::new()) }
    }

    /// Adds a file, under a name that may be as bad as one likes.
    pub fn file(&mut self, path: &str, content: &[u8]) -> &mut Self {
        self.member(path, EntryType::Regular, "", 0o644, content)
    }

    /// Adds a file that can be run.
    pub fn program(&mut self, path: &str, content: &[u8]) -> &mut Self {
        self.member(path, EntryType::Regular, "", 0o755, content)
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> &mut Self {
        self.member(path, EntryType::Symlink, target, 0o777, b"")
    }

    /// Adds a hard link.
    pub fn hard_link(&mut self, path: &str, target: &str) -> &mut Self {
        self.member(path, EntryType::Link, target, 0o644, b"")
    }

    fn member(&mut self, path: &str, kind: EntryType, target: &str, mode: u32, content: &[u8]) -> &mut Self {
        let mut header = Header::new_gnu();
        // Not by set_path, which refuses what is to be tested.
        header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
        header.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(mode);
        header.set_cksum();
        self.builder.append(&header, content).unwrap();
        self
    }

    /// The bytes, with the mark of the end.
    pub fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

/// All regular files of an archive by path, links to files followed.
pub fn members(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let (mut files, mut links) = (BTreeMap::new(), Vec::new());
    for member in tar::Archive::new(archive).entries().unwrap() {
        let mut member = member.unwrap();
        let path = member.path().unwrap().to_str().unwrap().to_owned();
        if let Some(target) = member.link_name().unwrap() {
            // The tools write `../NAME` from a directory at the top.
            links.push((path, target.to_str().unwrap().trim_start_matches("../").to_owned()));
        } else if member.header().entry_type().is_file() {
            let mut content = Vec::new();
            member.read_to_end(&mut content).unwrap();
            files.insert(path, content);
        }
    }
    for (path, target) in links {
        let content = files[&target].clone();
        files.insert(path, content);
    }
    files
}

/// The members of a file.
pub fn members_of(path: &Path) -> BTreeMap<String, Vec<u8>> {
    members(&std::fs::read(path).unwrap())
}

/// `sha256:…` of some bytes.
pub fn sha256(bytes: &[u8]) -> String {
    Digest::of(bytes).to_string()
}

/// The hex digits alone.
pub fn hex(bytes: &[u8]) -> String {
    Digest::of(bytes).hex()
}

/// A layer with one file in it.
pub fn layer(path: &str, content: &[u8]) -> Vec<u8> {
    let mut layer = Tarball::new();
    layer.file(path, content);
    layer.bytes()
}

/// Bytes that do not compress, the same for the same seed.
pub fn noise(seed: u64, count: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    let mut bytes = Vec::with_capacity(count + 8);
    while bytes.len() < count {
        bytes.extend(next());
    }
    bytes.truncate(count);
    bytes
}

/// The config of an image with these layers.
pub fn config(os: &str, architecture: &str, layers: &[Vec<u8>]) -> Value {
    let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
    json!({
        "os": os, "architecture": architecture, "created": "2023-11-14T22:13:20Z", "config": {"Cmd": ["/bin/hello"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    })
}

/// A docker-archive of one linux/amd64 image, as skopeo writes it: config and layers by digest, manifest.json last.
pub fn docker_archive(name: &str, layers: &[Vec<u8>]) -> Vec<u8> {
    let config = config("linux", "amd64", layers).to_string();
    docker_archive_with(&config, &[name], layers)
}

/// The same with a config of one's own, and as many names as one likes.
pub fn docker_archive_with(config: &str, names: &[&str], layers: &[Vec<u8>]) -> Vec<u8> {
    let mut archive = Tarball::new();
    let mut paths: Vec<String> = Vec::new();
    for layer in layers {
        let path = format!("{}.tar", hex(layer));
        if !paths.contains(&path) {
            archive.file(&path, layer);
        }
        paths.push(path);
    }
    let config_path = format!("{}.json", hex(config.as_bytes()));
    archive.file(&config_path, config.as_bytes());
    let manifest = json!([{"Config": config_path, "RepoTags": names, "Layers": paths}]);
    archive.file("manifest.json", manifest.to_string().as_bytes());
    archive.bytes()
}

/// An oci-archive in the making, whose documents may be changed before it is written.
pub struct Oci {
    /// `index.json`.
    pub index: Value,
    /// All blobs by hex digest.
    pub blobs: BTreeMap<String, Vec<u8>>,
}

impl Oci {
    /// One image with plain layers under a name.
    pub fn image(name: &str, layers: &[Vec<u8>]) -> Self {
        let config = config("linux", "amd64", layers).to_string().into_bytes();
        let mut oci = Self { index: Value::Null, blobs: BTreeMap::new() };
        let descriptor = |kind: &str, bytes: &[u8]| json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": sha256(bytes), "size": bytes.len()});
        let layer_descriptors: Vec<_> =
            layers.iter().map(|layer| descriptor("layer.v1.tar", layer)).collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("config.v1+json", &config), "layers": layer_descriptors,
        });
        oci.add(&config);
        layers.iter().for_each(|layer| oci.add(layer));
        oci.root(name, &manifest);
        oci
    }

    /// Adds a blob.
    pub fn add(&mut self, bytes: &[u8]) {
        self.blobs.insert(hex(bytes), bytes.to_vec());
    }

    /// Makes this manifest the one that the index names.
    pub fn root(&mut self, name: &str, manifest: &Value) {
        let bytes = manifest.to_string().into_bytes();
        self.index = json!({"schemaVersion": 2, "manifests": [{
            "mediaType": manifest["mediaType"], "digest": sha256(&bytes), "size": bytes.len(),
            "annotations": {"org.opencontainers.image.ref.name": name},
        }]});
        self.add(&bytes);
    }

    /// The manifest that the index names first.
    pub fn manifest(&self) -> Value {
        let digest = self.index["manifests"][0]["digest"].as_str().unwrap();
        serde_json::from_slice(&self.blobs[digest.trim_start_matches("sha256:")]).unwrap()
    }

    /// Adds a referrer without a name, of one blob, to what the index names first; the referrer's digest.
    pub fn refer(&mut self, kind: &str, statement: &[u8]) -> String {
        let subject = self.index["manifests"][0].clone();
        let mut referrer = self.manifest();
        self.add(statement);
        referrer["layers"] =
            json!([{"mediaType": kind, "digest": sha256(statement), "size": statement.len()}]);
        referrer["subject"] =
            json!({"mediaType": subject["mediaType"], "digest": subject["digest"], "size": subject["size"]});
        let bytes = referrer.to_string().into_bytes();
        self.add(&bytes);
        let digest = sha256(&bytes);
        let entry = json!({"mediaType": referrer["mediaType"], "digest": digest, "size": bytes.len()});
        self.index["manifests"].as_array_mut().unwrap().push(entry);
        digest
    }

    /// Writes it, documents last.
    pub fn archive(&self) -> Vec<u8> {
        let mut archive = Tarball::new();
        archive.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#);
        for (hex, bytes) in &self.blobs {
            archive.file(&format!("blobs/sha256/{hex}"), bytes);
        }
        archive.file("index.json", self.index.to_string().as_bytes());
        archive.bytes()
    }
}
