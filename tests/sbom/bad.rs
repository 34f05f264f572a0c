//! What is damaged or means harm is named, and the rest is listed.

use super::{document, import, names, stanza};
use crate::support::tarball::Tarball;
use crate::support::{Sandbox, peer, run, say};

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
        )
        .file(
            "usr/lib/\u{202e}\u{9b}/turned-1.dist-info/METADATA",
            "Name: turned\nVersion: 1\nLicense: \u{2066}own\n".as_bytes(),
        );
    import(&sandbox, "bad:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["bad:1"]);
    assert_eq!((code, names(&spdx)), (7, vec![format!("{script} 1<b>"), "turned 1".to_owned()]), "{said}");
    assert!(spdx.to_string().contains("found in /usr/lib/\u{202e}\u{9b}/turned-1.dist-info"), "it says so");
    for arguments in [
        &["sbom", "bad:1"][..],
        &["sbom", "--spec", "cyclonedx", "bad:1"],
        &["images", "--with-package", "*"],
        &["report", "-o", "-"],
    ] {
        let output = sandbox.command(arguments).output().unwrap();
        for stream in [&output.stdout, &output.stderr] {
            let text = String::from_utf8_lossy(stream);
            let is_bad = |c: char| (c.is_control() && c != '\n') || "\u{202e}\u{2066}".contains(c);
            assert_eq!(text.find(is_bad), None, "{arguments:?}");
        }
        if arguments == ["sbom", "bad:1"] {
            assert_eq!(sandbox.command(["sbom", "-o", "file", "bad:1"]).status().unwrap().code(), Some(7));
            assert!(std::fs::read(sandbox.path("file")).unwrap() == output.stdout, "the same in a file");
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
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), output.stdout.len()), (Some(1), 0), "{said}");
    assert!(said.contains("odd:1: blob"), "{said}");
    assert_eq!(sandbox.command(["sbom", "none:1"]).output().unwrap().status.code(), Some(3));
}

#[test]
fn damage_of_each_kind_is_named_and_the_rest_is_listed() {
    let good = br#"{"name":"good","version":"1.0.0"}"#;
    let half = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    let sqlite = {
        let mut db = rusqlite::Connection::open_in_memory().unwrap();
        db.execute_batch("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL); INSERT INTO Packages(blob) VALUES (zeroblob(20000))").unwrap();
        db.serialize("main").unwrap().to_vec()
    };
    for (path, content, why) in [
        (
            "var/lib/dpkg/status",
            b"Package: half\nStatus: install ok installed\nVers".to_vec(),
            "1 of its packages",
        ),
        ("var/lib/dpkg/status.d/a", b"Package: a\n".to_vec(), "1 of its packages"),
        ("var/lib/dpkg/status", vec![0xff; 5000], "1 of its packages"),
        ("lib/apk/db/installed", b"P:musl\nV:1".to_vec(), "1 of its packages"),
        ("usr/lib/apk/db/installed", vec![0; 5000], "1 of its packages"),
        ("var/lib/pacman/local/gcc-1-1/desc", b"%NAME%\ngcc\n\n%VERS".to_vec(), "1 of its packages"),
        ("var/lib/rpm/rpmdb.sqlite", half(&sqlite), "damaged"),
        ("usr/lib/sysimage/rpm/rpmdb.sqlite", sqlite[..100].to_vec(), "damaged"),
        ("usr/share/rpm/rpmdb.sqlite", sqlite, "1 of its packages"),
        ("usr/share/rpm/rpmdb.sqlite", Vec::new(), "it is empty"),
        (
            "usr/lib/node_modules/x/package.json",
            br#"{"name":"left pad","version":"1"}"#.to_vec(),
            "its name or its version is none",
        ),
        (
            "usr/lib/node_modules/x/package.json",
            br#"{"name":"x"}"#.to_vec(),
            "it names no package with a version",
        ),
        ("usr/lib/python3/x-1.dist-info/METADATA", b"Name: x\n".to_vec(), "it names no package"),
        ("usr/lib/python3/x-1.egg-info", vec![0xff; 100], "it names no package"),
        ("usr/lib/node_modules/x/package.json", br#"{"name":"x","#.to_vec(), "damaged"),
        (
            "usr/lib/node_modules/x/package.json",
            [&b"{\"license\":"[..], &[b'['; 100_000]].concat(),
            "recursion limit",
        ),
    ] {
        let sandbox = Sandbox::new();
        let mut layer = Tarball::new();
        layer.file(path, &content).file("usr/lib/node_modules/good/package.json", good);
        import(&sandbox, "bad:1", &[layer.bytes()]);
        let (spdx, code, said) = document(&sandbox, &["bad:1"]);
        assert_eq!((code, names(&spdx)), (7, vec!["good 1.0.0".to_owned()]), "{path}: {said}");
        assert!(said.contains(&format!("/{path}: damaged: ")) && said.contains(why), "{path}: {said}");
    }
}

#[test]
fn a_database_that_cannot_be_read_is_not_passed_over() {
    for (path, is_directory, why) in [
        ("var/lib/rpm/Packages", false, "is a database of rpm in an older form, which is not read"),
        (
            "usr/lib/sysimage/rpm/Packages.db",
            false,
            "is a database of rpm in an older form, which is not read",
        ),
        ("var/lib/dpkg/status", true, "is no file"),
    ] {
        let sandbox = Sandbox::new();
        let mut layer = Tarball::new();
        layer.file(&if is_directory { format!("{path}/x") } else { path.to_owned() }, b"\0\0");
        import(&sandbox, "old:1", &[layer.bytes()]);
        let (_, code, said) = document(&sandbox, &["old:1"]);
        assert!(code == 7 && said.contains(&format!("/{path}: {why}")), "{path}: {code}: {said}");
    }
}

/// A database of rpm with one package.
fn rpmdb() -> Vec<u8> {
    let texts = [(1000_u32, &b"bash\0"[..]), (1001, b"5\0\0\0\0"), (1002, b"1\0\0\0\0")];
    let mut header = [3_u32.to_be_bytes(), 15_u32.to_be_bytes()].concat();
    for (at, (tag, _)) in (0_u32..).zip(&texts) {
        header.extend([*tag, 6, at * 5, 1].map(u32::to_be_bytes).concat());
    }
    texts.iter().for_each(|(_, text)| header.extend(*text));
    let mut db = rusqlite::Connection::open_in_memory().unwrap();
    db.execute_batch("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)").unwrap();
    db.execute("INSERT INTO Packages(blob) VALUES (?1)", [header]).unwrap();
    db.serialize("main").unwrap().to_vec()
}

#[test]
fn an_older_database_is_named_beside_a_newer_one() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer.file("var/lib/rpm/rpmdb.sqlite", &rpmdb()).file("var/lib/rpm/Packages", b"\0");
    import(&sandbox, "two:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["two:1"]);
    assert_eq!((code, names(&spdx)), (7, vec!["bash 5-1".to_owned()]), "{said}");
    assert!(said.contains("/var/lib/rpm/Packages: is a database of rpm in an older form"), "{said}");
}

#[test]
fn what_this_machine_cannot_do_now_is_not_kept() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer.file("var/lib/rpm/rpmdb.sqlite", &rpmdb()).file("var/lib/rpm/rpmdb.sqlite-wal", b"ahead");
    import(&sandbox, "wal:1", &[layer.bytes()]);
    let gone = sandbox.path("gone");
    let output = sandbox.command(["sbom", "wal:1"]).env("TMPDIR", &gone).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{said}");
    assert!(said.contains(gone.to_str().unwrap()) && said.contains("/var/lib/rpm/rpmdb.sqlite"), "{said}");
    // Nothing of it is damaged.
    let output = sandbox.command(["images", "--with-package", "bash"]).env("TMPDIR", &gone).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.code() == Some(1) && said.contains(gone.to_str().unwrap()), "{said}");
    assert!(!said.contains("verify"), "{said}");
    let (spdx, code, said) = document(&sandbox, &["wal:1"]);
    assert_eq!((code, names(&spdx)), (0, vec!["bash 5-1".to_owned()]), "{said}");
}

/// Each of them would have its own copy of 64 licences.
#[test]
fn one_file_of_licences_for_very_many_packages_is_told_of() {
    let sandbox = Sandbox::new();
    let copyright = |count: usize, length: usize| -> String {
        (0..count).map(|number| format!("Files: *\nLicense: {number} {}\n\n", "a".repeat(length))).collect()
    };
    let mut status = String::new();
    let mut layer = Tarball::new();
    for number in 0..1000 {
        let name = format!("p{number}");
        status += &stanza(&name, "1", "");
        if number > 0 {
            layer.link(&format!("usr/share/doc/{name}"), "p0");
        }
    }
    layer
        .file("var/lib/dpkg/status", status.as_bytes())
        .file("usr/share/doc/p0/copyright", format!("Format: 1.0\n\n{}", copyright(64, 500)).as_bytes());
    import(&sandbox, "many:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["many:1"]);
    assert_eq!((code, names(&spdx).len()), (7, 1000), "{said}");
    assert!(said.contains("licences of more than 16777216 bytes are not told"), "{said}");
    assert!(spdx.to_string().len() < 6 << 20);
}

#[test]
fn what_is_said_of_a_path_is_one_line() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer.file("a\nlarder: all is well/node_modules/x/package.json", b"{");
    import(&sandbox, "bad:1", &[layer.bytes()]);
    let (_, code, said) = document(&sandbox, &["bad:1"]);
    assert!(code == 7 && said.contains(r"/a\u{a}larder: all is well/node_modules"), "{said}");
    assert!(!said.lines().any(|line| line.starts_with("larder: all")), "{said}");
}

#[test]
fn endless_words_are_no_names_and_no_licences() {
    let sandbox = Sandbox::new();
    let long = "a".repeat(1 << 20);
    let mut layer = Tarball::new();
    layer
        .file(
            "var/lib/dpkg/status",
            [stanza(&long, "1", ""), stanza("b", &long, ""), stanza("c", "1", &format!("Source: {long}\n"))]
                .concat()
                .as_bytes(),
        )
        .file(
            "usr/lib/node_modules/d/package.json",
            format!(r#"{{"name":"d","version":"1","license":"{long}"}}"#).as_bytes(),
        )
        .file(
            "usr/lib/node_modules/e/package.json",
            br#"{"name":"e","version":"1","license":"MIT\u001b[2J"}"#,
        )
        .file(
            "usr/lib/python3/f-1.dist-info/METADATA",
            format!("Name: f\nVersion: 1\nLicense: {long}\n").as_bytes(),
        );
    import(&sandbox, "long:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["long:1"]);
    assert_eq!((code, names(&spdx)), (7, ["c 1", "d 1", "e 1", "f 1"].map(str::to_owned).to_vec()), "{said}");
    let text = spdx.to_string();
    assert!(text.len() < 20_000 && !text.contains("[2J") && said.len() < 2000, "{}", text.len());
}

#[test]
fn each_licence_that_is_nobodys_is_explained() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    for (at, licence) in [
        "MIT AND LicenseRef-Acme",
        "LicenseRef-Solo",
        "(ISC OR LicenseRef-Callaway-BSD)",
        "MIT AND DocumentRef-x:LicenseRef-y",
        "MIT OR NOASSERTION",
    ]
    .iter()
    .enumerate()
    {
        let manifest = format!(r#"{{"name":"p{at}","version":"1","license":"{licence}"}}"#);
        layer.file(&format!("usr/lib/node_modules/p{at}/package.json"), manifest.as_bytes());
    }
    import(&sandbox, "app:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["app:1"]);
    assert_eq!(code, 0, "{said}");
    let explained = spdx["hasExtractedLicensingInfos"].as_array().unwrap().iter();
    let explained: Vec<_> = explained.map(|one| one["licenseId"].as_str().unwrap()).collect();
    let declared = spdx["packages"].as_array().unwrap().iter().map(|one| &one["licenseDeclared"]);
    let declared: Vec<_> = declared.map(|one| one.as_str().unwrap()).collect();
    let terms = declared.iter().flat_map(|said| said.split([' ', '(', ')']));
    let references: Vec<_> = terms.filter(|term| term.contains("Ref-")).collect();
    assert!(references.len() == 5 && references.iter().all(|one| explained.contains(one)), "{explained:?}");
    assert!(declared.contains(&"MIT AND LicenseRef-Acme") && declared.contains(&"LicenseRef-Solo"));
}

#[test]
fn links_to_packages_that_go_in_a_circle_are_named() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer
        .link("usr/lib/node_modules/a", "b")
        .link("usr/lib/node_modules/b", "a")
        .link("usr/lib/node_modules/out", "../../../../../../etc")
        .link("usr/lib/node_modules/itself", "../node_modules")
        .file("usr/lib/node_modules/good/package.json", br#"{"name":"good","version":"1.0.0"}"#);
    import(&sandbox, "bad:1", &[layer.bytes()]);
    let (spdx, code, said) = document(&sandbox, &["bad:1"]);
    assert_eq!((code, names(&spdx)), (7, vec!["good 1.0.0".to_owned()]), "{said}");
    assert!(
        said.contains("/usr/lib/node_modules/a/package.json: leads to links that go in a circle"),
        "{said}"
    );
}

#[test]
#[ignore = "long: a layer of a million files"]
fn a_million_files_take_little_memory() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    for number in 0..1_000_000 {
        layer.file(&format!("srv/{}/{number}", number % 1000), b"");
    }
    layer.file("usr/lib/node_modules/good/package.json", br#"{"name":"good","version":"1.0.0"}"#);
    import(&sandbox, "million:1", &[layer.bytes()]);
    let begun = std::time::Instant::now();
    let mut command = peer::tool("prlimit").expect("Linux has it");
    command.args(["--as=1000000000"]).arg(env!("CARGO_BIN_EXE_larder")).args(["sbom", "million:1"]);
    let said = run(&mut sandbox.enclose(command));
    say(format_args!("a million files: {:?}", begun.elapsed()));
    assert_eq!(names(&serde_json::from_str(&said).unwrap()), ["good 1.0.0"]);
    // As many manifests: more than are listed, which is said.
    let mut layer = Tarball::new();
    for number in 0..1_000_000 {
        layer.file(&format!("x/node_modules/{number}/package.json"), br#"{"name":"same","version":"1"}"#);
    }
    import(&sandbox, "many:1", &[layer.bytes()]);
    let begun = std::time::Instant::now();
    let output = sandbox.command(["sbom", "many:1"]).output().unwrap();
    say(format_args!("a million manifests: {:?}, {}", begun.elapsed(), output.status));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 7)) && said.contains("more"), "{said}");
}
