//! What is wrong with definitions: said with its place, and nothing is written.

use super::put;
use crate::support::Sandbox;

const ONE: &str = "tags: [{name: '1'}]";

#[test]
fn what_is_wrong_is_said_and_nothing_is_written() {
    let cases: &[(&[(&str, &str)], &str)] = &[
        (&[("a/1/image.yml", "tags: [\n")], "images/a/1/image.yml: line"),
        (
            &[("a/1/image.yml", "tags:\n  - nmae: x\n")],
            "line 2, column 5: unknown key \"nmae\"; did you mean name?",
        ),
        (&[("a/1/image.yml", ONE)], "there is no template: Dockerfile.jinja2"),
        (
            &[("a/1/image.yml", ONE), ("a/1/Dockerfile.jinja2", "FROM x\nENV A={{ tag.variables.A }}\n")],
            "images/a/1/Dockerfile.jinja2: line 2: a value is used that is not defined",
        ),
        (
            &[
                ("a/1/image.yml", ONE),
                ("a/1/Dockerfile.jinja2", "FROM {{ 'b' | resolve_base_image }}"),
                ("x/b/image.yml", "is_base_image: true\ntags: [{name: '1'}, {name: '2'}]"),
                ("x/b/Dockerfile.jinja2", "FROM scratch"),
            ],
            "base image \"b\" has several tags (1, 2)",
        ),
        (
            &[
                ("a/1/image.yml", "tags: [{name: '1'}, {name: 1-x}]\nvariants: [{name: x, tag_suffix: -x}]"),
                ("a/1/Dockerfile.jinja2", "FROM scratch"),
            ],
            "line 2, column 12: a:1-x is there twice",
        ),
        (
            &[
                ("a/1/image.yml", ONE),
                (
                    "a/1/Dockerfile.jinja2",
                    "{% for x in range(99999) %}{% for y in range(99999) %}a{% endfor %}{% endfor %}",
                ),
            ],
            "does not come to an end",
        ),
        (&[("a/1/image.yml", "name: ../x\ntags: [{name: '1'}]")], "\"../x\" is no name of an image"),
        (&[("a/1/image.yml", "tags: [{name: ../x}]")], "\"../x\" is no tag"),
        (
            &[("a/1/image.yml", "tags: [{name: '1'}]\nvariants: [{name: ../../x, tag_suffix: -x}]")],
            "\"../../x\" is no name of a variant",
        ),
        (&[("a/1/image.yml", "name: \"\\e[2J\"\ntags: [{name: '1'}]")], "expected a text of one line"),
        (
            &[
                ("a/1/image.yml", "extends: b\ntags: [{name: '1'}]"),
                ("a/1/Dockerfile.jinja2", "FROM scratch"),
                ("b/1/image.yml", "extends: a\ntags: [{name: '1'}]"),
                ("b/1/Dockerfile.jinja2", "FROM scratch"),
            ],
            "a -> b -> a: these need each other",
        ),
        (
            &[
                ("a/1/image.yml", "tags: [{name: '2'}]"),
                ("a/1/Dockerfile.jinja2", "FROM scratch"),
                ("a/2/image.yml", "name: a/2\ntags: [{name: '1'}]"),
                ("a/2/Dockerfile.jinja2", "FROM scratch"),
                ("a/3/image.yml", "tags: [{name: '3'}]\naliases: {'2x': '3'}"),
                ("a/3/Dockerfile.jinja2", "FROM scratch"),
                ("a/4/image.yml", "name: a/2x\ntags: [{name: '1'}]"),
                ("a/4/Dockerfile.jinja2", "FROM scratch"),
            ],
            "a/2x and a/2x/1/Dockerfile cannot both be files",
        ),
        (
            &[
                ("t/1/image.yml", "name: team\ntags: [{name: app}]"),
                ("t/1/Dockerfile.jinja2", "FROM scratch"),
                ("t/1/rootfs/Dockerfile", "x"),
                ("t/2/image.yml", "name: team/app\ntags: [{name: rootfs}]"),
                ("t/2/Dockerfile.jinja2", "FROM scratch"),
            ],
            "team/app/rootfs/Dockerfile would come of two images",
        ),
        (
            &[
                ("t/1/image.yml", "name: team\ntags: [{name: app}]"),
                ("t/1/Dockerfile.jinja2", "FROM scratch"),
                ("t/1/rootfs/x", "x"),
                ("t/2/image.yml", "name: team/app\ntags: [{name: rootfs}]"),
                ("t/2/Dockerfile.jinja2", "FROM scratch"),
            ],
            "team/app/rootfs has the files of two images",
        ),
        (
            &[("a/1/image.yml", ONE), ("a/1/Dockerfile.jinja2", "FROM scratch"), ("a/1/rootfs", "x")],
            "images/a/1/rootfs: is no directory",
        ),
    ];
    for (files, words) in cases {
        let sandbox = Sandbox::new();
        let files: Vec<_> = files.iter().map(|(path, text)| (format!("images/{path}"), *text)).collect();
        put(&sandbox, &files.iter().map(|(path, text)| (path.as_str(), *text)).collect::<Vec<_>>());
        let told = sandbox.fail(["def", "generate"], 1);
        assert!(told.contains(words) && !told.contains('\u{1b}'), "{words}: {told}");
        assert!(!sandbox.path("dist").exists(), "{words}");
        let told = sandbox.fail(["def", "build", "--all"], 1);
        assert!(told.contains(words), "{words}: {told}");
        assert!(!sandbox.store().exists(), "{words}");
    }
}

#[test]
fn what_is_asked_for_has_to_be_there() {
    let sandbox = Sandbox::new();
    let told = sandbox.fail(["def", "generate"], 1);
    assert!(told.contains("images: there is no such directory"), "{told}");
    put(&sandbox, &[("images/a/1/image.yml", ONE), ("images/a/1/Dockerfile.jinja2", "FROM scratch\n")]);
    let told = sandbox.fail(["def", "build"], 2);
    assert!(told.contains("--all"), "{told}");
    let told = sandbox.fail(["def", "build", "b"], 2);
    assert!(told.contains("b: no definition makes it") && told.contains("the images are a"), "{told}");
    let told = sandbox.fail(["def", "build", "a:2"], 2);
    assert!(told.contains("its tags are 1"), "{told}");
    let told = sandbox.fail(["def", "build", "a", "--push"], 2);
    assert!(told.contains("--push does not say where"), "{told}");
    put(&sandbox, &[(".image-manager.yml", "labels: {vednor: x}\n")]);
    let told = sandbox.fail(["def", "build", "a"], 1);
    assert!(
        told.contains(".image-manager.yml: line 1, column 10: unknown key \"vednor\"; did you mean vendor?"),
        "{told}"
    );
}

#[test]
fn all_dockerfiles_are_read_before_anything_is_built() {
    let sandbox = Sandbox::new();
    put(
        &sandbox,
        &[
            ("images/a/1/image.yml", ONE),
            ("images/a/1/Dockerfile.jinja2", "FROM scratch\nLABEL a=b\n"),
            ("images/b/1/image.yml", ONE),
            ("images/b/1/Dockerfile.jinja2", "FROM scratch\nRUNN x\n"),
            ("images/c/1/image.yml", ONE),
            ("images/c/1/Dockerfile.jinja2", "FROM ${X}\n"),
        ],
    );
    let told = sandbox.fail(["def", "build", "--all"], 1);
    assert!(told.contains("dist/b/1/Dockerfile:2: RUNN: no such instruction"), "{told}");
    assert!(told.contains("dist/c/1/Dockerfile:1: FROM ${X}: no image is left of it"), "{told}");
    assert!(!sandbox.store().exists() && !sandbox.path("dist").exists());
    // Another program may know it.
    let output = sandbox.larder(["def", "generate"]);
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && told.contains("b:1: Dockerfile:2: RUNN: no such instruction"),
        "{told}"
    );
    // What is not asked for is in nobody's way.
    sandbox.ok(["def", "build", "a"]);
}

#[test]
fn files_that_are_none_are_not_passed_over() {
    let sandbox = Sandbox::new();
    put(
        &sandbox,
        &[("images/a/1/image.yml", ONE), ("images/a/1/Dockerfile.jinja2", "FROM scratch\nCMD a\n")],
    );
    for verb in [["def", "generate"].as_slice(), &["def", "build", "a"]] {
        let told = sandbox.fail([verb, &["-o", "-"]].concat(), 2);
        assert!(told.contains("-: is no directory") && !sandbox.path("-").exists(), "{told}");
    }
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, sandbox.path(at)).unwrap();
    link("nowhere", ".image-manager.yml");
    let told = sandbox.fail(["def", "build", "a"], 1);
    assert!(told.contains(".image-manager.yml: is no file"), "{told}");
    std::fs::remove_file(sandbox.path(".image-manager.yml")).unwrap();
    std::fs::create_dir(sandbox.path(".image-manager.yml")).unwrap();
    let told = sandbox.fail(["def", "build", "a"], 1);
    assert!(told.contains(".image-manager.yml: is no file"), "{told}");
    link("nowhere", "images/a/1/rootfs");
    let told = sandbox.fail(["def", "generate"], 1);
    assert!(told.contains("images/a/1/rootfs: is no directory"), "{told}");
    std::fs::remove_file(sandbox.path("images/a/1/rootfs")).unwrap();
    link("test.yml.jinja2", "images/a/1/test.yml.jinja2");
    let told = sandbox.fail(["def", "generate"], 1);
    assert!(told.contains("test.yml.jinja2: is a link that leads back to itself"), "{told}");
}

#[test]
fn what_affects_others_has_to_be_a_name() {
    let sandbox = Sandbox::new();
    put(
        &sandbox,
        &[
            ("images/s1/1/image.yml", ONE),
            ("images/s1/1/Dockerfile.jinja2", "ARG B=ubuntu\nFROM ${B}:24.04\n"),
            ("images/zed/1/image.yml", "name: docker.io/library/zed\ntags: [{name: '1'}]"),
            ("images/zed/1/Dockerfile.jinja2", "FROM scratch\nLABEL a=b\n"),
        ],
    );
    for (base, words) in [
        ("not valid!!", "--affected-by takes NAME"),
        ("s1:9", "its tags are 1"),
        ("docker.io/library/s1:9", "its tags are 1"),
        ("ubunut:24.04", "did you mean ubuntu?"),
        ("s2", "no Dockerfile names it"),
    ] {
        let code = if base == "s2" { 0 } else { 2 };
        let output = sandbox.larder(["def", "build", "--affected-by", base]);
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{base}: {told}");
        assert!(told.contains(words), "{base}: {told}");
    }
    // Another tag of it is an image that nobody here needs.
    assert_eq!(sandbox.ok(["def", "build", "--affected-by", "ubuntu:22.04"]), "");
    let told = sandbox.fail(["def", "build", "--affected-by", "ubuntu:24.04"], 3);
    assert!(told.contains("s1:1"), "{told}");
    // However it is spelt.
    for name in ["zed", "library/zed", "docker.io/library/zed", "zed:1"] {
        assert_eq!(sandbox.ok(["def", "build", name]).lines().count(), 1, "{name}");
    }
}
