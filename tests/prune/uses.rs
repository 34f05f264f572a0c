//! When an image was used: lost records mean "just now".

use super::*;

#[test]
fn an_export_is_a_use() {
    let sandbox = versions(&["1", "2", "3"]);
    sandbox.ok(["export", "app:1", "-o", "out.tar"]);
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "15d"])), BTreeSet::from(["app:2".to_owned()]));
}

#[test]
fn lost_and_damaged_records_mean_just_used() {
    let sandbox = versions(&["1", "2", "3"]);
    let usage = sandbox.store().join(".larder/usage");
    let digest = named(&sandbox.store(), "app:1").unwrap();
    // As a power cut leaves it.
    std::fs::write(usage.join(digest.trim_start_matches("sha256:")), "").unwrap();
    assert_eq!(
        dropped(&prune(&sandbox, &["--unused-for", "1d", "--dry-run"])),
        BTreeSet::from(["app:2".to_owned()])
    );
    std::fs::remove_dir_all(&usage).unwrap();
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "1d", "--dry-run"])).len(), 0);
    // One use makes the directory again; what the others said is lost all the same.
    sandbox.ok(["export", "app:3", "-o", "out.tar"]);
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "1d"])).len(), 0);
    assert!(usage.join("since").exists(), "from now on the records count again");
    // What they said is not known by the next prune either.
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "1d"])).len(), 0, "begun a moment ago");
    records_began(&sandbox, 2);
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "3d"])).len(), 0, "begun two days ago");
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "1d"])).len(), 2, "those that nobody has used");
}

/// A hold of a week has used its images until it ended.
#[test]
fn the_end_of_a_hold_is_a_use() {
    let sandbox = versions(&["1", "2", "3"]);
    let record = sandbox
        .store()
        .join(".larder/usage")
        .join(named(&sandbox.store(), "app:1").unwrap().replace("sha256:", ""));
    let began = format!("{:020} {:020}\n", now() - 20 * DAY, 1);
    sandbox.ok(["hold", "app:1", "--", "sh", "-c", &format!("printf '{began}' >{}", record.display())]);
    assert_eq!(dropped(&prune(&sandbox, &["--unused-for", "15d"])), BTreeSet::from(["app:2".to_owned()]));
}

#[test]
fn the_records_of_an_image_go_with_it() {
    let sandbox = versions(&["1", "2"]);
    sandbox.ok(["export", "app:1", "app:2", "-o", "out.tar"]);
    let records = || {
        let mut names: Vec<_> = std::fs::read_dir(sandbox.store().join(".larder/usage"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort_unstable_by_key(String::len);
        names
    };
    assert_eq!(records().len(), 3);
    let kept = named(&sandbox.store(), "app:2").unwrap().replace("sha256:", "");
    sandbox.ok(["prune", "--unused-for", "0s", "--min-age", "0s"]);
    assert_eq!(records(), ["since".to_owned(), kept]);
}

/// An entry of another tool does not say when it came in: it is new when a prune first sees it.
#[test]
fn what_another_tool_wrote_is_counted_from_the_first_look() {
    let sandbox = versions(&["1", "2"]);
    edit(&sandbox, "app:1", |entry| {
        drop(
            entry.as_object_mut().unwrap()["annotations"]
                .as_object_mut()
                .unwrap()
                .remove("dev.larder.imported"),
        )
    });
    assert_eq!(code(&prune(&sandbox, &[]), "app:1"), "newest");
    let seen = sandbox.store().join(".larder/cache/seen");
    let text = std::fs::read_to_string(&seen).unwrap();
    let since: i64 = text.trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    std::fs::write(&seen, text.replace(&since.to_string(), &(since - 20 * DAY).to_string())).unwrap();
    assert_eq!(code(&prune(&sandbox, &["--unused-for", "1d"]), "app:1"), "unused");
}

#[test]
fn times_of_the_future_and_of_nonsense_are_now() {
    let sandbox = versions(&["1", "2", "3"]);
    edit(&sandbox, "app:1", |entry| {
        entry["annotations"]["dev.larder.last-used"] = json!(i64::MAX.to_string())
    });
    edit(&sandbox, "app:2", |entry| {
        entry["annotations"]["dev.larder.imported"] = json!("9999-12-31T23:59:59Z")
    });
    let pruned = prune(&sandbox, &["--unused-for", "1d", "--max-age", "1d", "--keep-last", "1"]);
    assert_eq!(code(&pruned, "app:1"), "old");
    assert_eq!(code(&pruned, "app:2"), "newest");
}
