//! What stops a prune before anything goes.

use super::*;
use crate::support::store::blob_path;

#[test]
fn an_image_that_cannot_be_read_stops_it_by_name() {
    let sandbox = versions(&["1", "2", "3"]);
    let digest = named(&sandbox.store(), "app:2").unwrap();
    std::fs::remove_file(blob_path(&sandbox.store(), &digest)).unwrap();
    let before = (index_text(&sandbox.store()), blobs(&sandbox.store()));
    let said = sandbox.fail(["prune", "--unused-for", "1d"], 5);
    assert!(said.contains(&digest), "{said}");
    assert_eq!((index_text(&sandbox.store()), blobs(&sandbox.store())), before);
}

#[test]
fn bad_limits_are_refused() {
    let sandbox = versions(&["1"]);
    std::fs::write(sandbox.path("other.tar"), docker_archive("other:1", &[layer("own", &noise(9, 100))]))
        .unwrap();
    for (args, word) in [
        (&["--max-size", "lots"][..], "10GB"),
        (&["--min-free", "101%"], "100"),
        (&["--unused-for", "30"], "30m"),
        (&["--keep-last", "0"], "--keep-last"),
        (&["--protect", "[a"], "pattern"),
        (&["--when-busy", "never"], "evict"),
        (&["--keep-last", "99999999999999999999"], "a whole number, 1 or more"),
        (&["--max-size", "99999999999EB"], "more than any disk has"),
        (&["--target-free", "10%"], "it needs min_free"),
        (&["--target-free", "10%", "--min-free", "20%"], "target_free (10%) is less than min_free (20%)"),
    ] {
        let said = sandbox.fail(["prune"].iter().chain(args), 2);
        assert!(said.contains(word), "{args:?}: {said}");
    }
    for (text, word) in [("\u{1b}[31m = 1", "line 1"), ("max_size = \"1GB\"\n\u{0}", "line 2")] {
        std::fs::write(sandbox.store().join(".larder/larder.toml"), text).unwrap();
        let said = sandbox.fail(["prune"], 1);
        assert!(said.contains(word) && !said.contains('\u{1b}'), "{said:?}");
        // A policy that cannot be read does not mean that there is none.
        let said = sandbox.fail(["import", "other.tar"], 1);
        assert!(said.contains("larder.toml"), "{said}");
    }
    std::fs::write(sandbox.store().join(".larder/larder.toml"), [0xff, 0xfe]).unwrap();
    assert!(sandbox.fail(["prune"], 1).contains("is not text"));
    std::fs::rename(sandbox.store().join(".larder/larder.toml"), sandbox.path("policy")).unwrap();
    std::os::unix::fs::symlink(sandbox.path("policy"), sandbox.store().join(".larder/larder.toml")).unwrap();
    let said = sandbox.fail(["prune"], 1);
    assert!(said.contains("is a symbolic link") && said.contains("put the file itself there"), "{said}");
}
