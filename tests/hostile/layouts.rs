//! Image layouts in directories whose files are none, lead elsewhere, or are not what they are called.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::documents::hex_of;
use super::{Case, Expected, Input, docker, oci, tools, try_all};
use crate::support::tarball::members;
use crate::support::{need, peer, run};

/// The files of an archive in a directory.
pub(super) fn unpack(archive: &[u8], dir: &Path) {
    for (path, bytes) in members(archive) {
        let path = dir.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
}

/// What a file is replaced by; what it was is kept beside the layout.
pub(super) type Change = fn(&Path, elsewhere: &Path);

const CHANGES: [(&str, Change); 13] = [
    ("a link out", |path, elsewhere| symlink(elsewhere, path).unwrap()),
    ("a link that climbs", |path, elsewhere| {
        // From `hostile.tar/…` to what lies beside it.
        let up = path.ancestors().take_while(|dir| dir.file_name().unwrap() != "hostile.tar").count();
        let target: PathBuf = std::iter::repeat_n("..", up).collect();
        symlink(target.join(elsewhere.file_name().unwrap()), path).unwrap();
    }),
    ("a link to /etc/passwd", |path, _| symlink("/etc/passwd", path).unwrap()),
    ("a link to itself", |path, _| symlink(path.file_name().unwrap(), path).unwrap()),
    ("a link to an endless file", |path, _| symlink("/dev/zero", path).unwrap()),
    ("a pipe", |path, _| drop(run(Command::new("mkfifo").arg(path)))),
    ("a socket", |path, elsewhere| socket(path, elsewhere)),
    ("an endless device", |path, _| drop(run(Command::new("mknod").arg(path).args(["c", "1", "5"])))),
    ("a directory", |path, _| std::fs::create_dir(path).unwrap()),
    ("nothing", |_, _| {}),
    ("an empty file", |path, _| std::fs::write(path, "").unwrap()),
    ("half a file", |path, elsewhere| {
        let bytes = std::fs::read(elsewhere).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    }),
    ("5 MiB of zeros", |path, _| std::fs::write(path, vec![0; 5 << 20]).unwrap()),
];

/// A socket, made where its path is short enough.
pub(super) fn socket(path: &Path, beside: &Path) {
    let short = beside.with_file_name("socket");
    drop(UnixListener::bind(&short).unwrap());
    std::fs::rename(short, path).unwrap();
}

#[test]
fn files_of_a_layout_that_are_none() {
    need!(tools().and(peer::root()), "strace, prlimit or root");
    let oci = oci();
    let manifest = oci.manifest();
    let blob = |descriptor| format!("blobs/sha256/{}", hex_of(descriptor));
    let parts = [
        ("index.json", "index.json".to_owned()),
        ("the manifest", blob(&oci.index["manifests"][0])),
        ("the config", blob(&manifest["config"])),
        ("a layer", blob(&manifest["layers"][0])),
    ];
    let in_docker = members(&docker());
    let config = in_docker.keys().find(|path| path.len() == 69).unwrap().clone();
    let layer = in_docker.keys().find(|path| path.ends_with(".tar")).unwrap().clone();
    let unpacked =
        [("manifest.json", "manifest.json".to_owned()), ("a config", config), ("a docker layer", layer)];
    let mut cases: Vec<Case> = Vec::new();
    for (archive, parts) in [(oci.archive(), &parts[..]), (docker(), &unpacked)] {
        for (what, part) in parts {
            for (how, change) in CHANGES {
                let (archive, part) = (archive.clone(), part.clone());
                let make = move |dir: &Path| {
                    unpack(&archive, dir);
                    let elsewhere = dir.with_file_name("elsewhere");
                    std::fs::rename(dir.join(&part), &elsewhere).unwrap();
                    change(&dir.join(&part), &elsewhere);
                };
                cases.push(Case::new(
                    format!("{what} is {how}"),
                    Input::Made(Box::new(make)),
                    Expected::refused(&[]),
                ));
            }
        }
    }
    try_all(cases);
}

#[test]
fn directories_of_a_layout_that_lead_elsewhere() {
    need!(tools(), "strace or prlimit");
    let made = |what: &str, expected: Expected, make: fn(&Path)| {
        let make = move |dir: &Path| {
            unpack(&oci().archive(), dir);
            make(dir);
        };
        Case::new(what.into(), Input::Made(Box::new(make)), expected)
    };
    let move_out = |dir: &Path, name: &str| {
        let elsewhere = dir.with_file_name("elsewhere");
        std::fs::rename(dir.join(name), &elsewhere).unwrap();
        symlink(elsewhere, dir.join(name)).unwrap();
    };
    let out = move |name: &'static str| {
        let make = move |dir: &Path| {
            unpack(&oci().archive(), dir);
            move_out(dir, name);
        };
        Case::new(format!("{name} is a link out"), Input::Made(Box::new(make)), Expected::refused(&[]))
    };
    try_all(vec![
        out("blobs"),
        out("blobs/sha256"),
        made("no blobs", Expected::refused(&[]), |dir| std::fs::remove_dir_all(dir.join("blobs")).unwrap()),
        made("blobs is a file", Expected::refused(&[]), |dir| {
            std::fs::remove_dir_all(dir.join("blobs")).unwrap();
            std::fs::write(dir.join("blobs"), "").unwrap();
        }),
        made("nothing at all", Expected::refused(&[]), |dir| {
            std::fs::remove_dir_all(dir).unwrap();
            std::fs::create_dir(dir).unwrap();
        }),
        // A hard link is a file like any other, and files that nobody names are nobody's business.
        made("a blob with a second name elsewhere", Expected::Taken, |dir| {
            for blob in std::fs::read_dir(dir.join("blobs/sha256")).unwrap().flatten() {
                std::fs::hard_link(blob.path(), dir.with_file_name(blob.file_name())).unwrap();
            }
        }),
        made("pipes and links that nobody names", Expected::Taken, |dir| {
            run(Command::new("mkfifo").arg(dir.join("blobs/sha256/pipe")));
            symlink("/etc", dir.join("etc")).unwrap();
            symlink("/dev/zero", dir.join("blobs/sha256").join("0".repeat(64))).unwrap();
        }),
        made("a layout that is all links to directories of its own", Expected::refused(&[]), |dir| {
            std::fs::rename(dir.join("blobs"), dir.join("real")).unwrap();
            symlink("real", dir.join("blobs")).unwrap();
        }),
    ]);
}
