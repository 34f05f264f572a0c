//! What lies where each ecosystem puts it.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{assert_same, document, import, listed, names, stanza};
use crate::support::tarball::Tarball;
use crate::support::{Sandbox, fixture, need, peer, run};

fn purls(spdx: &Value) -> Vec<&str> {
    let packages = spdx["packages"].as_array().unwrap().iter();
    let packages = packages.filter(|package| package["SPDXID"] != "SPDXRef-Image");
    packages.map(|package| package["externalRefs"][0]["referenceLocator"].as_str().unwrap()).collect()
}

#[test]
fn a_pacman_root_has_what_pacman_says() {
    let mut pacman = need!(peer::tool("pacman"), "pacman");
    let sandbox = Sandbox::new();
    let layer = fixture("roots/pacman.tar");
    std::fs::create_dir(sandbox.path("root")).unwrap();
    run(peer::tool("tar")
        .unwrap()
        .arg("--extract")
        .arg("--file")
        .arg(&layer)
        .arg("--directory")
        .arg(sandbox.path("root")));
    import(&sandbox, "arch:1", &[std::fs::read(layer).unwrap()]);
    let (spdx, code, said) = document(&sandbox, &["arch:1"]);
    assert_eq!(code, 0, "{said}");
    let database = sandbox.path("root/var/lib/pacman");
    let said = run(pacman.arg("--dbpath").arg(database).arg("-Q"));
    let said: BTreeSet<_> = said.lines().map(str::to_owned).collect();
    assert_same(&names(&spdx).into_iter().collect(), &said);
    assert!(purls(&spdx).iter().all(|purl| purl.starts_with("pkg:alpm/")));
}

#[test]
fn an_apk_root_has_what_its_database_says() {
    // There is no apk for Debian: the fixture is written by go-apk.
    let sandbox = Sandbox::new();
    let layer = std::fs::read(fixture("roots/apk.tar")).unwrap();
    let members = crate::support::tarball::members(&layer);
    let database = members.iter().find(|(path, _)| path.ends_with("lib/apk/db/installed")).unwrap().1;
    let database = std::str::from_utf8(database).unwrap().to_owned();
    import(&sandbox, "alpine:1", &[layer]);
    let (spdx, code, said) = document(&sandbox, &["alpine:1"]);
    assert_eq!(code, 0, "{said}");
    let all = |key: &str| database.lines().filter_map(|line| line.strip_prefix(key)).collect::<Vec<_>>();
    let rows = all("P:").into_iter().zip(all("V:")).map(|(name, version)| format!("{name} {version}"));
    assert_same(&names(&spdx).into_iter().collect(), &rows.collect());
    assert!(names(&spdx).len() > 1 && listed(&spdx).iter().all(|found| found.kind == "apk"));
}

#[test]
fn images_without_dpkg_say_it_in_status_d() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    let bare = "Package: tzdata\nVersion: 2024a-0+deb12u1\nArchitecture: all\n";
    layer
        .file("etc/os-release", b"ID=Debian\nVERSION_ID=12\n")
        .file("var/lib/dpkg/status.d/tzdata", bare.as_bytes())
        .file(
            "var/lib/dpkg/status.d/tzdata.md5sums",
            b"d41d8cd98f00b204e9800998ecf8427e  usr/share/zoneinfo/UTC\n",
        )
        .file("var/lib/dpkg/status.d/libc6", stanza("libc6", "2.36-9", "Source: glibc\n").as_bytes())
        .file("var/lib/dpkg/status.d/libc6.md5sums", b"");
    import(&sandbox, "distroless:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["distroless:1"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(
        purls(&spdx),
        [
            "pkg:deb/debian/libc6@2.36-9?arch=amd64&distro=Debian-12&upstream=glibc",
            "pkg:deb/debian/tzdata@2024a-0%2Bdeb12u1?arch=all&distro=Debian-12"
        ]
    );
}

#[test]
fn packages_that_are_links_are_there_once() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    let manifest = |name: &str| format!("{{\"name\":\"{name}\",\"version\":\"1.0.0\"}}").into_bytes();
    layer
        // `npm install -g DIR` and `npm link`.
        .file("srv/app/package.json", &manifest("@me/app"))
        .file("srv/app/node_modules/inner/package.json", &manifest("inner"))
        .file("srv/other/package.json", &manifest("nobody-links-to-it"))
        .link("usr/lib/node_modules/@me/app", "../../../../srv/app")
        .link("usr/lib/node_modules/again", "/srv/app")
        // pnpm.
        .file("x/node_modules/.pnpm/b@1.0.0/node_modules/b/package.json", &manifest("b"))
        .link("x/node_modules/b", ".pnpm/b@1.0.0/node_modules/b")
        // Debian's.
        .file("usr/share/javascript/c/package.json", &manifest("c"))
        .link("usr/share/nodejs/c/package.json", "../../javascript/c/package.json")
        .file("opt/meta/METADATA", b"Name: d\nVersion: 1.0.0\n")
        .link("usr/lib/python3/dist-packages/d-1.0.0.dist-info", "/opt/meta")
        .link("usr/lib/node_modules/nowhere", "/nothing");
    import(&sandbox, "links:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["links:1"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(names(&spdx), ["@me/app 1.0.0", "b 1.0.0", "c 1.0.0", "d 1.0.0", "inner 1.0.0"]);
    let paths: Vec<_> = listed(&spdx).into_iter().map(|found| found.path).collect();
    assert!(paths.contains(&"/srv/app/package.json".to_owned()), "{paths:?}");
    assert!(purls(&spdx).contains(&"pkg:npm/%40me/app@1.0.0"));
}
