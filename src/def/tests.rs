//! Folders that are read whole.

use std::path::Path;

use super::{Definitions, Error, Locks};

/// A folder with these files.
pub(super) fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a directory");
    for (path, text) in files {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("directories");
        std::fs::write(path, text).expect("a file");
    }
    dir
}

fn read(dir: &Path) -> Result<Definitions, Error> {
    Definitions::read(dir, Locks::Applied)
}

const ONE: &str = "tags: [{name: '1'}]";
const BASE: &str = "is_base_image: true\ntags: [{name: '1'}]";
const FROM_BASE: &str = "FROM {{ 'base' | resolve_base_image }}";

#[test]
fn tags_come_in_the_order_in_which_they_are_built() {
    let dir = folder(&[
        ("app/1/image.yml", "extends: tools\ntags: [{name: 1.0.0}]"),
        ("app/1/Dockerfile.jinja2", FROM_BASE),
        ("base/base/image.yml", BASE),
        ("base/base/Dockerfile.jinja2", "FROM ubuntu:24.04\n"),
        ("tools/1/image.yml", "tags: [{name: 2.0.0}]\nvariants: [{name: x, tag_suffix: -x}]"),
        ("tools/1/Dockerfile.jinja2", "FROM debian:12"),
        ("tools/1/Dockerfile.x.jinja2", "FROM {{ base_image }}\nCOPY --from=other:1 /a /a"),
        // Named as it is, and by an alias of a tag that comes later.
        ("other/1/image.yml", ONE),
        ("other/1/Dockerfile.jinja2", "FROM zzz:3\n"),
        ("zzz/1/image.yml", "tags: [{name: 3.0.0}]"),
        ("zzz/1/Dockerfile.jinja2", "FROM scratch\n"),
    ]);
    let read = read(dir.path()).expect("definitions");
    let rows: Vec<_> = read
        .tags
        .iter()
        .map(|tag| {
            let needs: Vec<_> = tag.needs.iter().map(|at| read.tags[*at].shown()).collect();
            format!("{} <- {} | {}", tag.shown(), needs.join(" "), tag.foreign.join(" "))
        })
        .collect();
    let expected = [
        "base:1 <-  | ubuntu:24.04",
        "zzz:3.0.0 <-  | ",
        "other:1 <- zzz:3.0.0 | ",
        "tools:2.0.0 <-  | debian:12",
        "tools:2.0.0-x <- other:1 tools:2.0.0 | ",
        "app:1.0.0 <- base:1 tools:2.0.0 tools:2.0.0-x | ",
    ];
    assert_eq!(rows, expected);
    let shown =
        |tags: Vec<usize>| tags.into_iter().map(|at| read.tags[at].shown()).collect::<Vec<_>>().join(" ");
    assert_eq!(shown(read.affected_by("ubuntu:24.04")), "base:1 app:1.0.0");
    assert_eq!(shown(read.affected_by("docker.io/library/debian:12")), "tools:2.0.0 tools:2.0.0-x app:1.0.0");
    assert_eq!(shown(read.affected_by("zzz")), "other:1 tools:2.0.0-x app:1.0.0");
    assert_eq!(shown(read.affected_by("alpine:3")), "");
    assert_eq!(
        shown(read.with_needs(&read.find("tools:2-x"))),
        "zzz:3.0.0 other:1 tools:2.0.0 tools:2.0.0-x"
    );
    assert_eq!(shown(read.find("tools")), "tools:2.0.0 tools:2.0.0-x");
    assert!(read.find("tools:9").is_empty());
}

#[test]
fn what_is_wrong_is_told_at_once_with_its_place() {
    let image = |text: &str| format!("{text}\n");
    for (files, words) in [
        (
            vec![("a/1/image.yml", image(ONE))],
            "a/1/image.yml: there is no template: Dockerfile.jinja2 was looked for in",
        ),
        (
            vec![("a/1/image.yml", image("template: ../../../x\ntags: [{name: a}]"))],
            "template \"../../../x\" leads out of the folder",
        ),
        (
            vec![("a/1/image.yml", image("template: /etc/passwd\ntags: [{name: a}]"))],
            "leads out of the folder",
        ),
        (
            vec![("a/1/image.yml", image(ONE)), ("a/1/Dockerfile.jinja2", "\n{{ tag.variables.X }}".into())],
            "Dockerfile.jinja2: line 2: a value is used that is not defined",
        ),
        (
            vec![
                ("a/1/image.yml", image(ONE)),
                ("a/1/Dockerfile.jinja2", FROM_BASE.into()),
                ("b/base/image.yml", image("is_base_image: true\ntags: [{name: '1'}, {name: '2'}]")),
                ("b/base/Dockerfile.jinja2", String::new()),
            ],
            "base image \"base\" has several tags (1, 2)",
        ),
        (
            vec![
                ("a/1/image.yml", image(ONE)),
                (
                    "a/1/Dockerfile.jinja2",
                    "{% for a in range(99999) %}{% for b in range(99999) %}x{% endfor %}{% endfor %}".into(),
                ),
            ],
            "does not come to an end",
        ),
        (
            vec![
                ("a/1/image.yml", image(ONE)),
                ("a/1/Dockerfile.jinja2", String::new()),
                ("a/2/image.yml", image("name: docker.io/library/a\ntags: [{name: '1'}]")),
                ("a/2/Dockerfile.jinja2", String::new()),
            ],
            "docker.io/library/a:1 is there twice",
        ),
        (vec![("a/1/image.yml", image(ONE)), ("a/1/Dockerfile.jinja2", "x".repeat(2 << 20))], "is too long"),
        (vec![("README", String::new())], "no image.yml is in it"),
        (vec![("image.yml", image(ONE))], "has no name"),
    ] {
        let given: Vec<_> = files.iter().map(|(path, text)| (*path, text.as_str())).collect();
        let dir = folder(&given);
        let Err(Error::Wrong(all)) = read(dir.path()) else { panic!("nothing is wrong where {words}") };
        assert!(all.len() == 1 && all[0].contains(words), "{words}: {all:?}");
    }
    let dir = folder(&[("a/1/image.yml", "tags: 1"), ("b/1/image.yml", "x: 1"), ("c/1/image.yml", ONE)]);
    let Err(Error::Wrong(all)) = read(dir.path()) else { panic!("nothing is wrong") };
    assert_eq!(all.len(), 3, "{all:?}");
}

#[test]
fn a_cycle_is_shown() {
    for (files, expected) in [
        (
            vec![
                ("x/a/image.yml", BASE),
                ("x/a/Dockerfile.jinja2", "FROM {{ 'b' | resolve_base_image }}"),
                ("x/b/image.yml", "extends: a\nis_base_image: true\ntags: [{name: '1'}]"),
                ("x/b/Dockerfile.jinja2", "FROM scratch"),
            ],
            "a -> b -> a",
        ),
        (
            vec![("x/a/image.yml", BASE), ("x/a/Dockerfile.jinja2", "FROM {{ 'a' | resolve_base_image }}")],
            "a -> a",
        ),
        (
            vec![
                ("a/1/image.yml", ONE),
                ("a/1/Dockerfile.jinja2", "FROM b:1"),
                ("b/1/image.yml", ONE),
                ("b/1/Dockerfile.jinja2", "FROM a:1"),
            ],
            "a:1 -> b:1 -> a:1",
        ),
    ] {
        let dir = folder(&files);
        let error = read(dir.path()).expect_err("a cycle");
        assert!(error.to_string().starts_with(expected), "{error}");
    }
}

#[test]
fn links_lead_nowhere_outside() {
    let outside =
        folder(&[("secret", "FROM secret:1"), ("d/1/image.yml", ONE), ("d/1/Dockerfile.jinja2", "FROM x:1")]);
    let dir = folder(&[("a/1/image.yml", ONE), ("a/templates/inner", "FROM inner:1")]);
    let link = |to: &Path, at: &str| std::os::unix::fs::symlink(to, dir.path().join(at)).expect("a link");
    link(&outside.path().join("d"), "d");
    link(Path::new("../templates/inner"), "a/1/Dockerfile.jinja2");
    let inner = read(dir.path()).expect("definitions");
    assert_eq!((inner.tags.len(), inner.tags[0].dockerfile.as_str()), (1, "FROM inner:1"));
    std::fs::remove_file(dir.path().join("a/1/Dockerfile.jinja2")).expect("removed");
    link(&outside.path().join("secret"), "a/1/Dockerfile.jinja2");
    let Err(Error::Wrong(all)) = read(dir.path()) else { panic!("it was read") };
    assert!(all[0].contains("leads out of the folder"), "{all:?}");
}

#[test]
fn long_templates_have_stack_enough() {
    for (before, each, after) in [
        ("{{ ", "-", "1 }}"),
        ("{{ 1", "()", " }}"),
        ("{{ 1", ".a", " }}"),
        ("{% if 0 %}", "{%elif 0%}", "{% endif %}"),
    ] {
        let times = ((64 << 10) - 8 - before.len() - after.len()) / each.len();
        let template = format!("FROM x{before}{}{after}", each.repeat(times));
        let dir = folder(&[("a/1/image.yml", ONE), ("a/1/Dockerfile.jinja2", &template)]);
        match read(dir.path()) {
            Ok(read) => assert_eq!(read.tags.len(), 1),
            Err(Error::Wrong(_)) => {}
            Err(error) => panic!("{each}: {error}"),
        }
    }
    let template = format!("FROM x\n{}", "#".repeat(64 << 10));
    let dir = folder(&[("a/1/image.yml", ONE), ("a/1/Dockerfile.jinja2", &template)]);
    let why = read(dir.path()).expect_err("too long").to_string();
    assert!(why.contains("has more than 64 KiB"), "{why}");
}

#[test]
fn all_texts_together_have_a_bound() {
    let tags: Vec<_> = (0..60).map(|at| format!("{{name: t{at}}}")).collect();
    let dir = folder(&[
        ("a/1/image.yml", &format!("tags: [{}]", tags.join(", "))),
        ("a/1/Dockerfile.jinja2", "FROM x\n{{ '#' * 3000000 }}"),
    ]);
    let why = read(dir.path()).expect_err("too much").to_string();
    assert!(why.contains("come to more than 128 MiB"), "{why}");
}
