//! Files that `image-registry.yml` lists, whoever wrote them.

use super::*;

/// Puts archives of `docker save` into the folder whose images the store has, and lists the first of them.
fn saved() -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("tree/capy")).unwrap();
    for (at, name) in ["old", "new", "unlisted"].into_iter().enumerate() {
        let archive =
            docker_archive(&format!("capy:{name}"), &[base(), layer("own", &noise(at as u64, 1000))]);
        std::fs::write(sandbox.path(format!("tree/capy/{name}.tar")), archive).unwrap();
        sandbox.ok(["import", &format!("tree/capy/{name}.tar")]);
    }
    list(&sandbox, &[("capy/old.tar", 20), ("capy/new.tar", 2)]);
    for (name, days) in [("old", 60), ("new", 50), ("unlisted", 50)] {
        aged(&sandbox, &format!("capy/{name}.tar"), days);
    }
    sandbox
}

/// Lists files that were used so many days ago.
fn list(sandbox: &Sandbox, files: &[(&str, i64)]) {
    let mut text = String::from("version: 1\nimages:\n");
    for (file, days) in files {
        let used = larder_store::index::timestamp(now() - days * DAY);
        text += &format!(
            "- name: {file}\n  file: {file}\n  size_mb: 1\n  docker_tag: x\n  os: ubuntu\n  architecture: x86_64\n  last_used: {used}\n  usage_count: 1\n  packages: [g++, cmake]\n"
        );
    }
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
}

/// Makes a file one that came so many days ago.
fn aged(sandbox: &Sandbox, file: &str, days: u64) {
    let time = std::time::SystemTime::now() - Duration::from_secs(days * 86_400);
    std::fs::File::options()
        .write(true)
        .open(sandbox.path("tree").join(file))
        .unwrap()
        .set_modified(time)
        .unwrap();
}

#[test]
fn a_listed_file_goes_and_an_unlisted_one_stays() {
    let sandbox = saved();
    let registry = std::fs::read(sandbox.path("tree/image-registry.yml")).unwrap();
    let pruned = prune_tree(&sandbox, &["--unused-for", "10d", "--keep-last", "1"]);
    assert_eq!(files(&sandbox), set(&["capy/new.tar", "capy/unlisted.tar"]), "{pruned}");
    assert!(said(&pruned, "capy/old.tar").1.contains("not used for 20d"), "{pruned}");
    assert_eq!(code_of(&pruned, "capy/unlisted.tar"), "stranger");
    assert_eq!(std::fs::read(sandbox.path("tree/image-registry.yml")).unwrap(), registry, "it is read only");
    // The entry of the file that is gone is no trouble.
    assert_eq!(prune_tree(&sandbox, &["--unused-for", "10d"])["freed_bytes"], 0);
}

/// The last use of a file is the later of what the record and the registry say; what cannot be read is now.
#[test]
fn the_later_use_counts() {
    let sandbox = world(&["1", "2", "3", "4"]);
    list(&sandbox, &[("app/1.tar", 3), ("app/2.tar", 90)]);
    let pruned = prune_tree(&sandbox, &["--unused-for", "15d", "--dry-run"]);
    let codes = ["1", "2", "3"].map(|tag| code_of(&pruned, &format!("app/{tag}.tar")));
    assert_eq!(codes, ["within-limits", "unused", "unused"]);
    std::fs::write(
        sandbox.path("tree/image-registry.yml"),
        "images:\n- {file: app/1.tar, last_used: lately}\n- {file: app/2.tar, last_used: 9999-12-31T00:00:00Z}\n- {file: app/3.tar, created: 1969-01-01}\n",
    )
    .unwrap();
    let pruned = prune_tree(&sandbox, &["--unused-for", "15d", "--dry-run"]);
    let codes = ["1", "2", "3"].map(|tag| code_of(&pruned, &format!("app/{tag}.tar")));
    assert_eq!(codes, ["within-limits", "within-limits", "unused"]);
}

#[test]
fn a_listed_file_is_opened_and_every_image_in_it_must_be_in_the_store() {
    let sandbox = saved();
    let put = |name: &str, bytes: &[u8]| {
        std::fs::write(sandbox.path(format!("tree/capy/{name}.tar")), bytes).unwrap();
        aged(&sandbox, &format!("capy/{name}.tar"), 50);
    };
    let absent = docker_archive("absent:1", &[layer("absent", b"never imported")]);
    put("absent", &absent);
    put("rubbish", b"no archive");
    put("cut", &absent[..700]);
    put("empty", b"");
    // An oci-archive, in the store as it came; and the same with one more image that the store does not have.
    let mut oci = crate::support::tarball::Oci::image("oci:1", &[layer("oci", b"one")]);
    put("oci", &oci.archive());
    sandbox.ok(["import", "tree/capy/oci.tar"]);
    let mut manifest = oci.manifest();
    manifest["annotations"] = json!({"other": "manifest"});
    oci.root("oci:2", &manifest);
    put("two", &oci.archive());
    let all =
        ["old", "absent", "rubbish", "cut", "empty", "oci", "two"].map(|name| format!("capy/{name}.tar"));
    list(&sandbox, &all.each_ref().map(|file| (file.as_str(), 30)));
    aged(&sandbox, "capy/two.tar", 70);
    let pruned = prune_tree(&sandbox, &["--unused-for", "10d", "--dry-run"]);
    for (name, code) in [
        ("absent", "irreplaceable"),
        ("rubbish", "unreadable"),
        ("cut", "unreadable"),
        ("empty", "unreadable"),
        ("unlisted", "stranger"),
    ] {
        assert_eq!(code_of(&pruned, &format!("capy/{name}.tar")), code, "{name}: {pruned}");
    }
    // Those that the store has are for the policy.
    assert_eq!(
        (code_of(&pruned, "capy/old.tar"), code_of(&pruned, "capy/oci.tar")),
        ("newest".into(), "newest".into())
    );
    assert_eq!(
        code_of(&pruned, "capy/two.tar"),
        "unused",
        "the second has the image ID of the first: {pruned}"
    );
}

#[test]
fn a_damaged_registry_stops_it_with_its_line() {
    let sandbox = world(&["1", "2", "3"]);
    for (text, line) in [("version: 1\nimages:\n- name: a\n  file: [x]\n", "line 4"), ("images: {", "line 1")]
    {
        std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
        let said = sandbox.fail(["prune", "--tree", "tree", "--unused-for", "1d"], 1);
        assert!(said.contains("image-registry.yml: ") && said.contains(line), "{said}");
    }
    std::fs::write(sandbox.path("tree/image-registry.yml"), [0xff]).unwrap();
    assert!(sandbox.fail(["prune", "--tree", "tree", "--unused-for", "1d"], 1).contains("is not text"));
    std::fs::File::create(sandbox.path("tree/image-registry.yml")).unwrap().set_len((64 << 20) + 1).unwrap();
    assert!(sandbox.fail(["prune", "--tree", "tree", "--unused-for", "1d"], 5).contains("more than"));
    assert_eq!(files(&sandbox).len(), 3);
}

#[test]
fn a_registry_of_ten_thousand_entries_is_no_burden() {
    let sandbox = world(&["1", "2", "3"]);
    let absent: Vec<_> = (0..10_000).map(|at| format!("p{}/n{at}.tar", at % 100)).collect();
    let mut entries: Vec<_> = absent.iter().map(|file| (file.as_str(), 1)).collect();
    entries.push(("app/1.tar", 2));
    list(&sandbox, &entries);
    let begun = std::time::Instant::now();
    let pruned = prune_tree(&sandbox, &["--unused-for", "15d"]);
    // Some seconds, since nothing is optimised and others are at work; what grows with the square would take many minutes.
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(files(&sandbox), set(&["app/1.tar", "app/3.tar"]), "{pruned}");
}
