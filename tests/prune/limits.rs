//! The limits, one after the other, on a real store.

use super::*;

#[test]
fn the_least_recently_used_go_first_and_no_more_than_must() {
    let sandbox = versions(&["1", "2", "3", "4"]);
    // The oldest one was used today.
    edit(&sandbox, "app:1", |entry| used(entry, 0));
    let now = stored(&sandbox.store());
    let most = format!("{}", now - OWN / 2);
    let pruned = prune(&sandbox, &["--max-size", &most]);
    assert_eq!(dropped(&pruned), BTreeSet::from(["app:2".to_owned()]));
    assert!(stored(&sandbox.store()) <= now - OWN / 2);
    assert_eq!(pruned["over_size"], 0);
}

#[test]
fn all_names_of_an_image_go_together_and_one_pin_protects_them() {
    let sandbox = versions(&["1", "2", "3"]);
    sandbox.ok(["tag", "app:1", "alias:1"]);
    sandbox.ok(["tag", "app:2", "alias:2"]);
    // The newest of its own repository otherwise.
    add(&sandbox, "alias:3", 30);
    sandbox.ok(["pin", "alias:2"]);
    let pruned = prune(&sandbox, &["--unused-for", "1d", "--min-age", "0s"]);
    assert_eq!(dropped(&pruned), BTreeSet::from(["app:1".to_owned(), "alias:1".to_owned()]));
    assert_eq!(code(&pruned, "app:2"), "pinned");
    assert_eq!(names(&sandbox.store()), ["alias:2", "alias:3", "app:2", "app:3"].map(String::from).into());
}

#[test]
fn what_lost_its_name_goes_first_but_not_while_it_is_young() {
    let sandbox = versions(&["1", "2"]);
    add(&sandbox, "app:2", 40);
    edit(&sandbox, "app:2", |entry| imported(entry, 1));
    // Used a moment ago, under the name that it had: that does not help it.
    let most = format!("{}", stored(&sandbox.store()) - OWN / 2);
    let young = prune(&sandbox, &["--max-size", &most, "--dry-run"]);
    assert_eq!(
        dropped(&young),
        BTreeSet::from(["app:1".to_owned()]),
        "there is a way back to what was replaced"
    );
    let pruned = prune(&sandbox, &["--max-size", &most, "--orphan-age", "0s"]);
    assert_eq!((code(&pruned, "app:1"), dropped(&pruned).len()), ("within-limits".into(), 0));
    let gone = pruned["images"].as_array().unwrap().iter().find(|image| image["verdict"] == "drop").unwrap();
    assert_eq!((&gone["was"], &gone["references"]), (&json!(["app:2"]), &json!([])));
    assert_sound(&sandbox.store());
}

/// However old it is, and stale besides: until its successor is there, and young no more.
#[test]
fn the_newest_stays_until_its_successor_is_there() {
    let sandbox = versions(&["1"]);
    edit(&sandbox, "app:1", |entry| imported(entry, 400));
    let policy = "max_age = \"30d\"\norphan_age = \"0s\"\nrebuild_after = \"1d\"\n";
    std::fs::write(sandbox.store().join(".larder/larder.toml"), policy).unwrap();
    let first = named(&sandbox.store(), "app:1").unwrap();
    assert_eq!(sandbox.json(["images", "--stale"])[0]["reference"], "app:1");
    assert_eq!(code(&prune(&sandbox, &[]), "app:1"), "newest");
    assert_eq!(named(&sandbox.store(), "app:1"), Some(first.clone()), "stale, and the only one");
    // A job that fails brings no successor.
    std::fs::write(sandbox.path("cut.tar"), b"no archive").unwrap();
    sandbox.fail(["import", "cut.tar", "--name", "app:1", "--replace"], 1);
    assert_eq!(prune(&sandbox, &[])["freed_by_images"], 0);
    add(&sandbox, "app:1", 70);
    let pruned = prune(&sandbox, &[]);
    assert_eq!(code(&pruned, "app:1"), "newest");
    let gone = pruned["images"].as_array().unwrap().iter().find(|image| image["verdict"] == "drop").unwrap();
    assert_eq!((&gone["digest"], &gone["code"]), (&json!(first), &json!("old")));
    assert_ne!(named(&sandbox.store(), "app:1"), Some(first), "and the successor stays in its turn");
}

/// A group is what was declared, and where nothing was, the repository.
#[test]
fn the_newest_of_a_group_stays() {
    let sandbox = versions(&["1", "2", "3"]);
    for name in ["app:1", "app:2"] {
        edit(&sandbox, name, |entry| {
            for (key, value) in [("project", "capy"), ("os", "ubuntu:25.04"), ("variant", "gcc15")] {
                entry["annotations"][format!("dev.larder.{key}")] = json!(value);
            }
        });
    }
    let pruned = prune(&sandbox, &["--unused-for", "1d", "--dry-run"]);
    assert_eq!(dropped(&pruned), BTreeSet::from(["app:1".to_owned()]));
    assert!(pruned.to_string().contains("among the newest of capy ubuntu:25.04 gcc15"), "{pruned}");
    assert!(pruned.to_string().contains("among the newest of app\""), "{pruned}");
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "1d", "--keep-last", "2"])).len(), 0);
}

#[test]
fn the_policy_of_the_store_holds_and_flags_win() {
    let sandbox = versions(&["1", "2", "3"]);
    let policy = |text: &str| std::fs::write(sandbox.store().join(".larder/larder.toml"), text).unwrap();
    policy("unused_for = \"25d\"\nprotect = [\"tools\"]\n");
    assert_eq!(dropped(&prune(&sandbox, &["--dry-run"])), BTreeSet::from(["app:1".to_owned()]));
    assert_eq!(dropped(&prune(&sandbox, &["--dry-run", "--unused-for", "15d"])).len(), 2);
    assert_eq!(dropped(&prune(&sandbox, &["--dry-run", "--protect", "app:1"])).len(), 0);
    policy(
        "unused_for = \"1d\"\n[[rule]]\npattern = \"app:1\"\nunused_for = \"90d\"\n[[rule]]\npattern = \"*\"\n",
    );
    assert_eq!(dropped(&prune(&sandbox, &["--dry-run"])), BTreeSet::from(["app:2".to_owned()]));
    policy("unused_for = \"1d\"\nkeep_lats = 2\n");
    let said = sandbox.fail(["prune"], 1);
    assert!(said.contains(".larder/larder.toml: line 2: ") && said.contains("keep_lats"), "{said}");
    assert_eq!(names(&sandbox.store()).len(), 3);
}

#[test]
fn a_target_out_of_reach_takes_what_helps_and_says_what_holds_the_rest() {
    let sandbox = versions(&["1", "2", "3"]);
    sandbox.ok(["pin", "app:2"]);
    let said = sandbox.fail(["prune", "--max-size", "10kB"], 4);
    assert_eq!(names(&sandbox.store()), ["app:2", "app:3"].map(String::from).into());
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[0], "what stays, the largest first:", "{said}");
    for (name, reason) in [("app:2", "pinned"), ("app:3", "among the newest of app")] {
        let is_it = |line: &&str| line.starts_with(&format!("  {name} (")) && line.ends_with(reason);
        assert!(lines[1..3].iter().any(is_it), "{name}: {said}");
    }
    assert!(lines[3].starts_with("larder: the limit cannot be reached: the store is "), "{said}");
    assert_eq!(lines[4..], ["hint: the same with --dry-run --explain gives every reason"], "{said}");
    let said = sandbox.fail(["prune", "--max-size", "10kB", "--explain"], 4);
    assert_eq!(said.lines().count(), 1, "all of it stands in the table: {said}");
    // A share that nobody can have: the disk would have to be empty. The reserve keeps the store from being emptied for it.
    let sandbox = versions(&["1", "2", "3"]);
    let reserve = (stored(&sandbox.store()) - OWN - OWN / 2).to_string();
    sandbox.fail(["prune", "--min-free", "100%", "--reserve", &reserve], 4);
    assert_eq!(names(&sandbox.store()), ["app:2", "app:3"].map(String::from).into());
}

/// Names of foreign indexes can be anything: none makes a line of its own, or steers a terminal.
#[test]
fn what_stays_is_one_line_each_whatever_its_name() {
    let sandbox = versions(&["1"]);
    edit(&sandbox, "app:1", |entry| entry["annotations"][REF_NAME] = json!("x\nlarder: done\u{1b}[2J"));
    edit(&sandbox, "x\nlarder: done\u{1b}[2J", |entry| {
        entry["annotations"].as_object_mut().unwrap().remove("io.containerd.image.name");
        entry["annotations"]["dev.larder.pinned"] = json!("true");
    });
    let said = sandbox.fail(["prune", "--max-size", "10kB"], 4);
    assert!(said.contains("  x\\u{a}larder: done\\u{1b}[2J (") && !said.contains('\u{1b}'), "{said}");
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn what_goes_beside_images_is_told_apart() {
    let sandbox = versions(&["1"]);
    let left = sandbox.store().join(".larder/ingest/0123456789abcdef");
    std::fs::create_dir(&left).unwrap();
    std::fs::write(left.join("0"), noise(5, 5000)).unwrap();
    let output = sandbox.larder(["prune", "--dry-run"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.starts_with("0 images would go, 5.0 kB would be freed (0 blobs, and 5.0 kB of leftovers"),
        "{said}"
    );
    assert!(String::from_utf8(output.stderr).unwrap().starts_with("no limit is set, so no image goes"));
}

#[test]
fn the_help_says_the_forms_and_what_wins() {
    let sandbox = Sandbox::new();
    let help = sandbox.ok(["prune", "--help"]);
    let (options, limits) = help.split_once("Limits, instead").unwrap();
    assert!(options.contains("--format") && !limits.contains("--format"), "{help}");
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [
        "--when-busy <skip|evict>",
        "add --dry-run to look only",
        "90s, 30m, 12h, 30d",
        "10GB, or 10% of the disk",
        "--protect adds",
        "'base-*'",
    ] {
        assert!(words.contains(part), "{part}: {help}");
    }
}

#[test]
fn every_reason_is_given_in_words() {
    let sandbox = versions(&["1", "2", "3"]);
    sandbox.ok(["pin", "app:2"]);
    add(&sandbox, "young:1", 60);
    add(&sandbox, "young:2", 61);
    let said = sandbox.ok(["prune", "--dry-run", "--explain", "--unused-for", "25d"]);
    for (name, words) in [
        ("app:1", "not used for 30d"),
        ("app:2", "pinned"),
        ("app:3", "among the newest of app"),
        ("young:1", "came in 0s ago"),
    ] {
        let line =
            said.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{name}: {said}"));
        assert!(line.contains(words) || name == "young:1" && line.contains("came in"), "{line}");
    }
    assert!(said.contains("1 image would go"), "{said}");
}
