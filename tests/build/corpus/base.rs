//! The image that the corpus builds upon: busybox with a little of everything that a distribution has.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use tar::{Builder, EntryType, Header};

use crate::support::tarball::{docker_archive_with, sha256};
use crate::support::{fixture, peer, run};

/// The name that Dockerfiles give it.
pub(super) const BASE: &str = "localhost/corpus:base";

/// What a layer says of `CAP_NET_RAW`, permitted and effective.
const CAPABILITY: &[u8] = &[1, 0, 0, 2, 0, 32, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

/// The image as a docker-archive, and the program for `prepare` and commands.
pub(super) struct Base {
    pub(super) archive: PathBuf,
    pub(super) image_id: String,
    pub(super) tool: PathBuf,
}

/// Makes it in this directory; `None` where busybox or a C compiler is missing.
pub(super) fn make(dir: &Path) -> Option<Base> {
    let busybox = PathBuf::from(peer::tool("busybox")?.get_program());
    let mut compiler = peer::tool("gcc")?;
    let tool = dir.join("tool");
    run(compiler.args(["-static", "-Os", "-s", "-o"]).arg(&tool).arg(fixture("build/base/tool.c")));
    let applets = run(Command::new(&busybox).arg("--list"));
    let layers = [first(&fs::read(busybox).unwrap(), applets.lines(), &fs::read(&tool).unwrap()), second()];
    let diff_ids: Vec<_> = layers.iter().map(|layer| sha256(layer)).collect();
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2023-11-14T22:13:20Z",
        "config": {
            "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "BASE=yes"],
            "Cmd": ["/bin/sh"], "Labels": {"base": "1"},
        },
        "history": [
            {"created": "2023-11-14T22:13:20Z", "created_by": "first"},
            {"created": "2023-11-14T22:13:20Z", "created_by": "second"},
            {"created": "2023-11-14T22:13:20Z", "created_by": "CMD [\"/bin/sh\"]", "empty_layer": true},
        ],
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = config.to_string();
    let archive = dir.join("base.tar");
    fs::write(&archive, docker_archive_with(&config, &[BASE], &layers)).unwrap();
    Some(Base { archive, image_id: sha256(config.as_bytes()), tool })
}

fn first<'a>(busybox: &[u8], applets: impl Iterator<Item = &'a str>, tool: &[u8]) -> Vec<u8> {
    let mut layer = Layer::new();
    for dir in [
        "bin",
        "etc",
        "home",
        "opt",
        "opt/old",
        "opt/old/sub",
        "srv",
        "usr",
        "usr/bin",
        "usr/lib",
        "usr/local",
        "usr/local/bin",
        "usr/sbin",
        "usr/share",
        "usr/share/doc",
        "run",
        "var",
        "var/lib",
        "var/cache",
        "var/cache/apt",
        "var/log",
    ] {
        layer.add(dir, EntryType::Directory, 0o755, b"");
    }
    layer.add("root", EntryType::Directory, 0o700, b"").add("tmp", EntryType::Directory, 0o1777, b"");
    layer.owned("home/build", EntryType::Directory, 0o750, (1000, 1001), b"");
    layer.owned("home/build/.profile", EntryType::Regular, 0o640, (1000, 1001), b"umask 022\n");
    layer.add("bin/busybox", EntryType::Regular, 0o755, busybox).add(
        "bin/tool",
        EntryType::Regular,
        0o755,
        tool,
    );
    layer.link("lib", "usr/lib").link("var/run", "/run");
    for applet in applets.filter(|applet| *applet != "busybox") {
        layer.link(&format!("bin/{applet}"), "busybox");
    }
    let passwd = "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/sbin/nologin\nbuild:x:1000:1001::/home/build:/bin/sh\n";
    let group = "root:x:0:\ndaemon:x:1:\nstaff:x:50:\nbuild:x:1001:\nextra:x:55:build\n";
    for (name, text) in [
        ("etc/passwd", passwd),
        ("etc/group", group),
        ("etc/motd", "hello\n"),
        ("etc/hosts", ""),
        ("etc/resolv.conf", ""),
        ("opt/old/file", "old\n"),
        ("opt/old/sub/file", "older\n"),
        ("var/cache/apt/pkgcache.bin", "cache\n"),
    ] {
        layer.add(name, EntryType::Regular, 0o644, text.as_bytes());
    }
    for name in ["addgroup", "adduser"] {
        let script = fs::read(fixture(&format!("build/base/{name}"))).unwrap();
        layer.add(&format!("bin/{name}"), EntryType::Regular, 0o755, &script);
    }
    layer.add("bin/script", EntryType::Regular, 0o755, b"#!/bin/sh\necho script\n");
    layer.bytes()
}

fn second() -> Vec<u8> {
    let mut layer = Layer::new();
    for dir in ["a", "b", "c"] {
        layer.add(&format!("usr/share/doc/{dir}"), EntryType::Directory, 0o755, b"");
        for file in ["one", "two"] {
            let text = format!("{dir} {file}\n");
            layer.add(&format!("usr/share/doc/{dir}/{file}"), EntryType::Regular, 0o644, text.as_bytes());
        }
    }
    layer
        .add("usr/share/doc/hard-a", EntryType::Regular, 0o644, b"linked\n")
        .hard_link("usr/share/doc/hard-b", "usr/share/doc/hard-a");
    layer.capable("bin/cap", CAPABILITY);
    layer.add("usr/bin/su", EntryType::Regular, 0o4755, b"su\n");
    layer.bytes()
}

/// A layer in the making.
struct Layer {
    builder: Builder<Vec<u8>>,
}

impl Layer {
    fn new() -> Layer {
        Layer { builder: Builder::new(Vec::new()) }
    }

    fn add(&mut self, path: &str, kind: EntryType, mode: u32, content: &[u8]) -> &mut Layer {
        self.owned(path, kind, mode, (0, 0), content)
    }

    fn owned(
        &mut self,
        path: &str,
        kind: EntryType,
        mode: u32,
        owner: (u64, u64),
        content: &[u8],
    ) -> &mut Layer {
        let mut header = header(kind, mode, owner);
        header.set_size(content.len() as u64);
        self.builder.append_data(&mut header, path, content).unwrap();
        self
    }

    fn link(&mut self, path: &str, target: &str) -> &mut Layer {
        self.builder.append_link(&mut header(EntryType::Symlink, 0o777, (0, 0)), path, target).unwrap();
        self
    }

    fn hard_link(&mut self, path: &str, target: &str) -> &mut Layer {
        self.builder.append_link(&mut header(EntryType::Link, 0o644, (0, 0)), path, target).unwrap();
        self
    }

    fn capable(&mut self, path: &str, capability: &[u8]) {
        self.builder.append_pax_extensions([("SCHILY.xattr.security.capability", capability)]).unwrap();
        self.add(path, EntryType::Regular, 0o755, b"capable\n");
    }

    fn bytes(self) -> Vec<u8> {
        self.builder.into_inner().unwrap()
    }
}

fn header(kind: EntryType, mode: u32, owner: (u64, u64)) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(kind);
    header.set_mode(mode);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    header.set_mtime(1_400_000_000);
    header.set_size(0);
    header
}
