//! What is damaged or means harm is named, and the rest is listed.

use super::{document, import, names, stanza};
use crate::support::Sandbox;
use crate::support::tarball::Tarball;

#[test]
fn a_damaged_database_is_named_and_the_rest_goes_on() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer
        .file(
            "var/lib/dpkg/status",
            (stanza("bash", "5", "") + "Package: broken\nStatus: install ok installed\n\n").as_bytes(),
        )
        .file("var/lib/rpm/rpmdb.sqlite", b"SQLite format 3\0 and nothing that is one")
        .file("usr/lib/node_modules/a/package.json", b"{\"name\":")
        .file("usr/lib/node_modules/b/package.json", br#"{"name":"b","version":"1.0.0"}"#)
        .file("usr/lib/python3/x-1.dist-info/METADATA", b"no metadata");
    import(&sandbox, "bad:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["bad:1"]);
    assert_eq!((code, names(&spdx)), (7, vec!["b 1.0.0".to_owned(), "bash 5".to_owned()]), "{said}");
    for place in [
        "/var/lib/dpkg/status: damaged: 1 of its packages",
        "/var/lib/rpm/rpmdb.sqlite: damaged",
        "/usr/lib/node_modules/a/package.json: damaged",
        "/usr/lib/python3/x-1.dist-info/METADATA: damaged",
    ] {
        assert!(said.contains(place) && spdx["comment"].as_str().unwrap().contains(place), "{place}: {said}");
    }
    // Who asks for a package is told that this one may have it.
    let output = sandbox.command(["images", "--with-package", "b"]).output().unwrap();
    let rows = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(7) && rows.contains("bad:1"), "{rows}");
    // What is kept says the same again.
    let (again, code, _) = document(&sandbox, &["bad:1"]);
    assert_eq!((again, code), (spdx, 7));
}

#[test]
fn links_lead_nowhere_else() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer
        .link("var/lib/dpkg/status", "../../../../../../../../etc/passwd")
        .link("lib/apk/db/installed", "again")
        .link("lib/apk/db/again", "installed")
        .link("var/lib/rpm", "/proc/self/root/usr/lib/sysimage/rpm")
        .file("usr/lib/node_modules/b/package.json", br#"{"name":"b","version":"1.0.0"}"#);
    import(&sandbox, "bad:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["bad:1"]);
    assert_eq!((code, names(&spdx)), (7, vec!["b 1.0.0".to_owned()]), "{said}");
    assert!(said.contains("/lib/apk/db/installed: leads to links that go in a circle"), "{said}");
}

#[test]
fn names_that_mean_harm_reach_no_terminal_and_no_page() {
    let sandbox = Sandbox::new();
    let script = "</script><script>alert(1)</script>";
    let mut layer = Tarball::new();
    layer
        .file(
            "var/lib/dpkg/status",
            (stanza("evil\x1b[2J", "1", "") + &stanza(script, "1<b>", "Installed-Size: 5\n")).as_bytes(),
        )
        .file(
            "usr/lib/node_modules/c/package.json",
            "{\"name\":\"c\\u001b[2J\",\"version\":\"1\"}".as_bytes(),
        );
    import(&sandbox, "bad:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["bad:1"]);
    assert_eq!((code, names(&spdx)), (7, vec![format!("{script} 1<b>")]), "{said}");
    for arguments in [&["sbom", "bad:1"][..], &["images", "--with-package", "*"], &["report", "-o", "-"]] {
        let output = sandbox.command(arguments).output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            assert!(!stream.contains(&0x1b), "{arguments:?}");
        }
        if arguments[0] == "report" {
            let page = String::from_utf8(output.stdout).unwrap();
            assert_eq!(page.matches("<script>alert").count(), 0);
            assert!(page.contains("\\u003c/script>\\u003cscript>alert(1)"), "it is listed as text");
        }
    }
}

#[test]
fn a_layer_that_is_damaged_is_an_error() {
    let sandbox = Sandbox::new();
    import(&sandbox, "odd:1", &[b"no tar archive".to_vec()]);
    let output = sandbox.command(["sbom", "odd:1"]).output().unwrap();
    assert!(matches!(output.status.code(), Some(1 | 5)) && output.stdout.is_empty());
    assert_eq!(sandbox.command(["sbom", "none:1"]).output().unwrap().status.code(), Some(3));
}
