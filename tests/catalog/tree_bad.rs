//! Registries and folders that are not what they should be: what is wrong is said, the rest is done.

use std::os::unix::fs::symlink;

use super::archive;
use crate::support::Sandbox;
use crate::support::store::{assert_nothing_pending, assert_sound, index_text, named, names};

const IMPORT: [&str; 3] = ["catalog", "import", "tree/image-registry.yml"];

/// A folder with this registry, and one good image in it.
fn folder(registry: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    std::fs::create_dir_all(sandbox.path("tree/p")).unwrap();
    archive(&sandbox, "tree/p/good.tar", &[&["good"]]);
    std::fs::write(sandbox.path("tree/image-registry.yml"), registry).unwrap();
    sandbox
}

/// What is said of a registry with this entry before the good one, which comes in all the same.
fn refused(sandbox: &Sandbox, entry: &str) -> String {
    let text = format!("images:\n{entry}\n- {{name: good, file: p/good.tar}}\n");
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
    let said = sandbox.fail(IMPORT, 7);
    assert!(!said.contains('\u{1b}') && !said.contains("panicked"), "{said:?}");
    assert!(names(&sandbox.store()).contains("good:latest"), "{entry}: {said}");
    assert!(said.contains("1 image of 2 could not be taken"), "{entry}: {said}");
    assert_nothing_pending(&sandbox.store());
    said
}

#[test]
fn a_text_that_is_no_registry_is_refused_with_its_place() {
    let sandbox = folder("");
    for (text, place) in [
        ("images:\n- name: a\n  file: [\n", "line "),
        ("images:\n- name: a\n  name: b\n", "line 3, column 3: the key \"name\" is there twice"),
        ("images: {a: b}\n", "line 1, column 9"),
        ("images:\n- just text\n", "line 2, column 3"),
        ("- a\n", "line 1, column 1"),
        ("images: *nothing\n", "line 1, column 9"),
        ("a: 1\n--- \nimages: []\n", "line 2"),
        ("images:\n\t- a\n", "line 2"),
        ("a: \"\\u0041\u{1}\"\n", "line 1"),
    ] {
        std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
        for args in
            [&IMPORT[..], &["catalog", "export", "tree/image-registry.yml"], &["export", "--to-tree", "tree"]]
        {
            sandbox.ok(["init"]);
            let said = sandbox.fail(args, 1);
            assert!(said.contains("image-registry.yml: ") && said.contains(place), "{text:?}: {said}");
        }
        assert_eq!(std::fs::read_to_string(sandbox.path("tree/image-registry.yml")).unwrap(), text);
    }
    std::fs::write(sandbox.path("tree/image-registry.yml"), b"images: \xff").unwrap();
    assert!(sandbox.fail(IMPORT, 1).contains("is not text"));
    assert!(sandbox.fail(["catalog", "import", "nothing.yml"], 1).contains("nothing.yml"));
    std::fs::remove_file(sandbox.path("tree/image-registry.yml")).unwrap();
    symlink("p/good.tar", sandbox.path("tree/image-registry.yml")).unwrap();
    assert!(sandbox.fail(IMPORT, 5).contains("symbolic link"));
    assert!(names(&sandbox.store()).is_empty());
}

#[test]
fn bombs_do_not_go_off() {
    let sandbox = folder("");
    let mut laughs = String::from("a0: &a0 [x, x]\n");
    for level in 1..40 {
        let before = level - 1;
        laughs += &format!("a{level}: &a{level} [*a{before}, *a{before}, *a{before}, *a{before}]\n");
    }
    let long = format!("a: &a \"{}\"\nb: [{}]\n", "x".repeat(4 << 20), "*a,".repeat(1000));
    let large = format!("images: []\n{}", "#".repeat(65 << 20));
    for text in [laughs, long, "[".repeat(100_000), "- ".repeat(100_000), large] {
        std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
        let said = sandbox.larder(IMPORT);
        assert!([1, 5].contains(&said.status.code().unwrap()), "{said:?}");
        assert!(said.stderr.len() < 1000, "{}", said.stderr.len());
    }
}

#[test]
fn what_cannot_be_taken_is_said_and_the_rest_is_done() {
    let sandbox = folder("");
    let good = std::fs::read(sandbox.path("tree/p/good.tar")).unwrap();
    std::fs::write(sandbox.path("tree/p/cut.tar"), &good[..1500]).unwrap();
    std::fs::write(sandbox.path("tree/p/noise.tar"), [7u8; 4096]).unwrap();
    std::fs::write(sandbox.path("tree/p/empty.tar"), "").unwrap();
    let mut corrupt = archive(&sandbox, "tree/p/corrupt.tar", &[&["corrupt"]]);
    let at = corrupt.windows(7).position(|bytes| bytes == b"corrupt").unwrap();
    corrupt[at] = b'x';
    std::fs::write(sandbox.path("tree/p/corrupt.tar"), corrupt).unwrap();
    archive(&sandbox, "tree/p/two.tar", &[&["one"], &["other"]]);
    archive(&sandbox, "outside.tar", &[&["outside"]]);
    symlink("../../outside.tar", sandbox.path("tree/p/link.tar")).unwrap();
    symlink("..", sandbox.path("tree/up")).unwrap();
    std::fs::create_dir(sandbox.path("tree/p/dir.tar")).unwrap();
    for (entry, words) in [
        (
            "- {name: missing, file: p/missing.tar}",
            &["missing (line 2)", "p/missing.tar", "No such file"][..],
        ),
        ("- {name: cut, file: p/cut.tar}", &["cut (line 2)", "p/cut.tar"]),
        ("- {name: noise, file: p/noise.tar}", &["p/noise.tar"]),
        ("- {name: empty, file: p/empty.tar}", &["p/empty.tar"]),
        ("- {name: corrupt, file: p/corrupt.tar}", &["p/corrupt.tar"]),
        ("- {name: dir, file: p/dir.tar}", &["p/dir.tar", "not a regular file"]),
        ("- {name: outside, file: ../outside.tar}", &["outside (line 2)", "\"../outside.tar\"", "leads out"]),
        ("- {name: outside, file: p/../../outside.tar}", &["leads out"]),
        ("- {name: outside, file: /tmp/x.tar}", &["absolute"]),
        ("- {name: outside, file: p/link.tar}", &["p/link.tar", "symbolic link"]),
        ("- {name: outside, file: up/outside.tar}", &["tree/up"]),
        ("- {name: outside, file: .git/outside.tar}", &["is not <project>/<name>.tar"]),
        ("- {name: outside, file: [a, b]}", &["names no file"]),
        ("- {name: nowhere}", &["names no file"]),
        ("- {file: p/good.tar}", &["(nameless) (line 2)", "neither its docker_tag nor its name"]),
        ("- {name: Not A Name, docker_tag: '*', file: p/good.tar}", &["neither its docker_tag nor its name"]),
        ("- {name: another, file: p/good.tar}", &["another", "its names: good:latest"]),
        ("- {name: third, file: p/two.tar}", &["third", "one:latest, other:latest"]),
        ("- {name: \"\\e[2J\\u202e\", file: \"p/\\e[2J\"}", &["neither", "\\u{1b}[2J"]),
    ] {
        let said = refused(&sandbox, entry);
        assert!(words.iter().all(|word| said.contains(word)), "{entry}: {words:?}: {said}");
    }
    assert_eq!(names(&sandbox.store()).len(), 1);
    assert_sound(&sandbox.store());
    // Of several images the one that is said is taken.
    std::fs::write(sandbox.path("tree/image-registry.yml"), "images: [{name: other, file: p/two.tar}]")
        .unwrap();
    assert!(sandbox.ok(IMPORT).starts_with("other:latest "));
    assert_eq!(names(&sandbox.store()).len(), 2);
}

#[test]
fn a_name_is_one_image() {
    let sandbox = folder("");
    let said =
        refused(&sandbox, "- {name: good, file: p/good.tar, docker_tag: 'docker.io/library/good:latest'}");
    assert!(
        said.contains("good (line 3)") && said.contains("good (line 2) is named good:latest as well"),
        "{said}"
    );
    // Nor does one that is another image in the store move here by itself.
    archive(&sandbox, "tree/p/taken.tar", &[&["taken"]]);
    sandbox.ok(["import", "tree/p/taken.tar"]);
    archive(&sandbox, "tree/p/taken.tar", &[&["taken", "twice"]]);
    let before = named(&sandbox.store(), "taken:latest");
    let said = refused(&sandbox, "- {name: taken, file: p/taken.tar}");
    assert!(said.contains("another image of this name") && said.contains("--replace"), "{said}");
    assert_eq!(before, named(&sandbox.store(), "taken:latest"));
    assert!(sandbox.ok([&IMPORT[..], &["--replace"]].concat()).contains("taken:latest "));
    assert_ne!(before, named(&sandbox.store(), "taken:latest"));
}

#[test]
fn values_that_mean_nothing_cost_no_image() {
    let huge = "9".repeat(400);
    let entry = format!(
        "images:\n- name: good\n  file: p/good.tar\n  os: '*'\n  architecture: \"am\\e64\"\n  compilers: [gcc-*, {{gcc: *n}}, {{family: tcc, version: 1}}, [1]]\n  \
         packages: [[a], {{a: b, c: d}}, \"\\e[2J\"]\n  tools: {{? [x] : y}}\n  variants: [debug, {{asan: maybe}}]\n  usage_count: {huge}\n  \
         last_used: {huge}\n  created: 9999-99-99\n  size_mb: -1e999\nx: &n 1\n"
    )
    .replace("images:", "n: &n 1\nimages:")
    .replace("\nx: &n 1\n", "\n");
    let sandbox = folder(&entry);
    let output = sandbox.larder(IMPORT);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && !said.contains('\u{1b}'), "{said:?}");
    assert_eq!(said.lines().count(), 1, "{said}");
    for key in [
        "os",
        "architecture",
        "compilers",
        "packages",
        "tools",
        "variants",
        "usage_count",
        "last_used",
        "created",
        "size_mb",
    ] {
        assert!(said.contains(&format!("{key}: ")), "{key}: {said}");
    }
    // All of it goes out again.
    let out = sandbox.ok(["catalog", "export", "-"]);
    assert!(out.contains(&huge) && !out.contains('\u{1b}') && out.contains("size_mb: -1e999"), "{out}");
    // The future is now, and no file is older for it.
    let text =
        "images: [{name: good, file: p/good.tar, last_used: 9999-01-01, usage_count: 18446744073709551615}]";
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
    sandbox.ok(IMPORT);
    let used = sandbox.json(["images", "good"])[0]["last_used"].as_str().unwrap().to_owned();
    assert!(("2024".."9000").contains(&used.as_str()), "{used}");
    // What is too large to be kept is told; the image is here.
    let text =
        format!("images: [{{name: good, file: p/good.tar, tools: [cmake], x: \"{}\"}}]", "x".repeat(100_000));
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
    let output = sandbox.larder(IMPORT);
    assert!(output.status.success());
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("is not kept") && said.len() < 1000, "{said}");
    assert!(index_text(&sandbox.store()).len() < 10_000);
}

#[test]
fn a_strict_store_takes_names_by_the_convention_alone() {
    let sandbox = folder("");
    super::settings(&sandbox, "naming = \"strict\"\n");
    archive(&sandbox, "tree/p/conv.tar", &[&["capy-debian-12-gcc12"]]);
    let text =
        "images:\n- {name: good, file: p/good.tar}\n- {name: capy-debian-12-gcc12, file: p/conv.tar}\n";
    std::fs::write(sandbox.path("tree/image-registry.yml"), text).unwrap();
    let said = sandbox.fail(IMPORT, 7);
    assert!(said.contains("good (line 2)") && said.contains("naming convention"), "{said}");
    assert_eq!(names(&sandbox.store()).len(), 1);
}
