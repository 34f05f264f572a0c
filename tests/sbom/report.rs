//! The store as a page, and as a tree.

use std::path::Path;

use serde_json::Value;

use super::{import, stanza};
use crate::support::tarball::{Oci, Tarball, layer, noise};
use crate::support::{Sandbox, need, peer, run};

fn store() -> Sandbox {
    let sandbox = Sandbox::new();
    let mut base = Tarball::new();
    base.file("filler", &noise(1, 300_000))
        .file("var/lib/dpkg/status", stanza("bash", "5", "Installed-Size: 7000\n").as_bytes());
    let mut upper = Tarball::new();
    upper.file("more", &noise(2, 200_000));
    let base = base.bytes();
    import(&sandbox, "base:1", std::slice::from_ref(&base));
    import(&sandbox, "app:1", &[base, upper.bytes()]);
    sandbox
}

/// The data of a page, up to the first end of a script, as a browser finds them.
fn data(page: &str) -> Value {
    let (_, behind) = page.split_once(r#"id="data">"#).unwrap();
    serde_json::from_str(behind.split_once("</script").unwrap().0).unwrap()
}

/// An image may say what it is about, and is an image all the same.
#[test]
fn an_image_with_a_subject_is_no_document() {
    let sandbox = store();
    let mut image = Oci::image("derived:1", &[layer("a", b"a")]);
    let mut manifest = image.manifest();
    manifest["subject"] = serde_json::json!({
        "mediaType": manifest["mediaType"], "digest": format!("sha256:{}", "a".repeat(64)), "size": 100,
    });
    image.root("derived:1", &manifest);
    std::fs::write(sandbox.path("image.tar"), image.archive()).unwrap();
    sandbox.ok(["import", "image.tar"]);
    let page = data(&sandbox.ok(["report", "-o", "-"]));
    let names: Vec<_> =
        page["images"].as_array().unwrap().iter().map(|image| image["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"derived:1"), "{names:?}");
}

#[test]
fn a_page_has_the_bytes_of_df() {
    let sandbox = store();
    sandbox.ok(["tag", "app:1", "same:1"]);
    sandbox.ok(["sbom", "app:1"]);
    sandbox.ok(["report", "-o", "store.html"]);
    let page = std::fs::read_to_string(sandbox.path("store.html")).unwrap();
    let (data, df) = (data(&page), sandbox.json(["df"]));
    for key in ["stored", "saved", "unreferenced", "step_bytes"] {
        assert_eq!(data[key], df[key], "{key}");
    }
    let blobs: u64 = data["blobs"].as_array().unwrap().iter().map(|blob| blob[0].as_u64().unwrap()).sum();
    assert_eq!(blobs, df["stored"]);
    let images = data["images"].as_array().unwrap();
    assert_eq!(images.len(), 2, "two names of one image are one");
    let app = images.iter().find(|image| image["name"] == "app:1, same:1").unwrap();
    let row = df["images"].as_array().unwrap().iter().find(|row| row["reference"] == "app:1").unwrap();
    for (key, of_df) in [("total", "total"), ("unique", "unique"), ("shared", "shared")] {
        assert_eq!(app[key], row[of_df], "{key}");
    }
    // What prune would do is what it says itself.
    let prune = sandbox.json(["prune", "--dry-run"]);
    assert_eq!(data["prune"]["freed"], prune["freed_bytes"]);
    for image in prune["images"].as_array().unwrap() {
        let verdict =
            format!("{}: {}", image["verdict"].as_str().unwrap(), image["reason"].as_str().unwrap());
        assert!(images.iter().any(|shown| shown["verdict"] == *verdict), "{verdict}");
    }
    assert_eq!(data["packages"], serde_json::json!([["bash", "deb", 7000 * 1024, 1]]));
    assert_eq!(sandbox.ok(["report", "-o", "-"]).len() / 1000, page.len() / 1000);
}

#[test]
fn a_document_is_no_image_and_goes_with_its_own() {
    let sandbox = store();
    sandbox.ok(["sbom", "--attach", "app:1"]);
    let output = sandbox.command(["report", "-o", "-"]).output().unwrap();
    let (page, said) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(said.contains("2 images"), "{said}");
    let data = data(&page);
    let documents = data["images"].as_array().unwrap().iter().filter(|image| image["is_document"] == true);
    let documents: Vec<_> = documents.collect();
    assert!(documents.len() == 1 && documents[0]["verdict"] == "keep: as long as app:1", "{documents:?}");
    assert!(documents[0]["name"].as_str().unwrap().ends_with(", about app:1"), "{documents:?}");
}

#[test]
fn the_platforms_of_an_image_are_one_image_that_was_looked_into() {
    let sandbox = Sandbox::new();
    sandbox.ok(["import".as_ref(), crate::support::fixture("multiarch-oci.tar").as_os_str()]);
    for platform in ["linux/amd64", "linux/arm64"] {
        sandbox.ok(["sbom", "--platform", platform, "capy-debian-12-multi:latest"]);
    }
    assert_eq!(data(&sandbox.ok(["report", "-o", "-"]))["packages_of"], 1);
}

#[test]
fn a_tree_shows_who_shares() {
    let sandbox = store();
    let tree = sandbox.ok(["df", "--tree"]);
    assert!(tree.contains("  app:1\n") && tree.contains("  base:1\n"), "{tree}");
    assert_eq!(tree.matches("shared with 1 image").count(), 2, "{tree}");
    assert!(tree.contains('█') && tree.contains('▒'), "{tree}");
    // Its sums are those of df.
    let df = sandbox.json(["df"]);
    let shown = |bytes: &Value| format!("{:.1} kB", bytes.as_f64().unwrap() / 1000.0);
    for image in df["images"].as_array().unwrap() {
        let line = tree.lines().find(|line| line.ends_with(image["reference"].as_str().unwrap())).unwrap();
        assert!(line.contains(&shown(&image["total"])), "{line}: {image}");
    }
    let all = tree.lines().find(|line| line.ends_with("of images")).unwrap();
    assert!(all.contains(&shown(&df["stored"])), "{tree}");
}

/// What goes through a pipe is cut nowhere and has no colour; a terminal's lines are as long as it is wide.
#[test]
fn a_tree_fits_where_it_is_read() {
    let long = format!("registry.example.com:5000/{}/service:v1", "team/".repeat(20));
    let sandbox = super::stores::foreign(&[long.clone(), "b\u{1b}[31m\u{202e}:1".to_owned()]);
    let piped = sandbox.ok(["df", "--tree"]);
    assert!(piped.contains(&format!("  {long}\n")) && piped.contains("b\\u{1b}[31m\\u{202e}:1"), "{piped}");
    assert!(piped.chars().all(|c| c == '\n' || !c.is_control()), "{piped}");
    let mut script = need!(peer::tool("script"), "script");
    let larder = sandbox.command(["df", "--tree"]);
    script.args([
        "-qec",
        &format!("stty cols 40 && exec {}/larder df --tree", larder_dir(&larder)),
        "/dev/null",
    ]);
    let seen = run(&mut sandbox.enclose(script)).replace('\r', "");
    assert!(seen.lines().count() == piped.lines().count() && seen.contains("/service:v1\n"), "{seen}");
    assert!(seen.lines().all(|line| line.chars().count() <= 40), "{seen}");
}

fn larder_dir(larder: &std::process::Command) -> String {
    Path::new(larder.get_program()).parent().unwrap().display().to_string()
}
