//! While a `hold` lives: nothing goes, unless the disk is nearly full.

use super::*;
use crate::hold::{Running, WAITS};

#[test]
fn while_a_hold_lives_nothing_goes_and_that_is_no_failure() {
    let sandbox = versions(&["1", "2", "3"]);
    let hold = Running::hold(&sandbox, "app:1", WAITS);
    // A limit that cannot be reached now, and can be later.
    let most = (stored(&sandbox.store()) - OWN / 2).to_string();
    for args in [&["--unused-for", "1d"][..], &["--max-size", &most]] {
        let pruned = prune(&sandbox, args);
        assert_eq!(dropped(&pruned).len(), 0, "{args:?}");
        assert_eq!(
            (code(&pruned, "app:2"), &pruned["waiting_for_holds"]),
            ("busy".into(), &json!(true)),
            "{args:?}"
        );
        let said = sandbox.larder(["prune"].iter().chain(args));
        let said = String::from_utf8(said.stderr).unwrap();
        assert!(said.contains("; waits for 1 hold (`larder holds`)"), "{args:?}: {said}");
        let what =
            if pruned["over_size"] == 0 { "1 image would go" } else { "the store is 50.0 kB over max_size" };
        assert!(said.starts_with(what), "{args:?}: {said}");
    }
    // That is no failure, and said all the same, also to programs.
    let output = sandbox.larder(["prune", "--max-size", "1kB", "--format", "json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains(" over max_size; waits for 1 hold"),
        "{output:?}"
    );
    let output = sandbox.larder(["prune"]);
    assert!(!String::from_utf8_lossy(&output.stderr).contains("waits"), "nothing does: {output:?}");
    let planned = sandbox.ok(["prune", "--unused-for", "1d", "--explain", "--dry-run"]);
    assert!(planned.contains("in use by hold of sh (process "), "{planned}");
    // What nothing needs is no image's, and goes at once.
    add(&sandbox, "gone:1", 70);
    sandbox.ok(["rm", "gone:1"]);
    assert!(prune(&sandbox, &[])["freed_bytes"].as_u64() > Some(OWN));
    // Asked for, what nobody holds goes all the same.
    let pruned = prune(&sandbox, &["--unused-for", "1d", "--when-busy", "evict"]);
    assert_eq!(dropped(&pruned), BTreeSet::from(["app:2".to_owned()]));
    assert_eq!(hold.end(), Some(0));
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "15d"])).len(), 0, "the hold was a use");
    sandbox.ok(["verify"]);
}

#[test]
fn a_full_disk_does_not_wait_for_a_hold() {
    let sandbox = versions(&["1", "2", "3"]);
    let hold = Running::hold(&sandbox, "app:1", WAITS);
    let pruned: Value = {
        let output = sandbox.larder(["prune", "--min-free", "100%", "--max-age", "1d", "--format", "json"]);
        assert_eq!(output.status.code(), Some(4), "{output:?}");
        serde_json::from_slice(&output.stdout).unwrap()
    };
    assert_eq!((code(&pruned, "app:1"), code(&pruned, "app:2")), ("in-use".into(), "space".into()));
    assert_eq!(names(&sandbox.store()), ["app:1", "app:3"].map(String::from).into());
    assert_eq!(hold.end(), Some(0));
}
