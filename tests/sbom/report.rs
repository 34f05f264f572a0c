//! The store as a page, and as a tree.

use serde_json::Value;

use super::{import, stanza};
use crate::support::Sandbox;
use crate::support::tarball::{Tarball, noise};

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
fn a_tree_shows_who_shares() {
    let sandbox = store();
    let tree = sandbox.ok(["df", "--tree"]);
    assert!(tree.contains("  app:1\n") && tree.contains("  base:1\n"), "{tree}");
    assert_eq!(tree.matches("shared with 1 image").count(), 2, "{tree}");
    assert!(tree.contains('█') && tree.contains('▒'), "{tree}");
}
