//! Dockerfiles that cannot be built: refused with file, line and remedy, before anything runs.

use super::{Builder, only};
use crate::support::need;
use crate::support::store::index_text;

/// Dockerfile, exit code, all of what is told.
const REFUSED: [(&str, i32, &str); 24] = [
    ("FROM busybox:1\nRUN\n", 1, "larder: context/Dockerfile:2: RUN: its command is missing\n"),
    (
        "FROM busybox:1\nRUN echo x\nFOO bar\nRUN --mount=type=cache,target=/x ls\nADD http://x/y /z\n",
        1,
        "larder: context/Dockerfile:3: FOO: no such instruction (a line that continues the one before needs a \\ at that one's end)\n\
         larder: context/Dockerfile:4: RUN --mount: this is not supported (copy what the command reads with COPY, and remove what it leaves in the same RUN)\n\
         larder: context/Dockerfile:5: ADD http://x/y: a URL is not supported (fetch it before the build and COPY it, or use curl in a RUN)\n",
    ),
    (
        "FROM busybox:1\nRUN echo x\nRUN --network=none ls\n",
        1,
        "larder: context/Dockerfile:3: RUN --network: ",
    ),
    ("FROM busybox:1\nCOPY --link a b\n", 1, "larder: context/Dockerfile:2: COPY --link: "),
    (
        "# syntax=other/frontend\nFROM busybox:1\n",
        1,
        "larder: context/Dockerfile:1: # syntax=other/frontend: ",
    ),
    (
        "FROM busybox:1\nRUN \\\n  echo x\nRUN <<EOF\necho y\n",
        1,
        "larder: context/Dockerfile:4: a heredoc without an end: ",
    ),
    ("FROM busybox:1\nCOPY a\n", 1, "larder: context/Dockerfile:2: COPY: "),
    ("FROM busybox:1\nONBUILD FROM x\n", 1, "larder: context/Dockerfile:2: ONBUILD "),
    ("FROM busybox:1\nENV x=${y\n", 1, "larder: context/Dockerfile:2: ENV"),
    ("", 1, "larder: context/Dockerfile: no FROM: an image is made from another, or from scratch\n"),
    (
        "# nothing\n\n",
        1,
        "larder: context/Dockerfile: no FROM: an image is made from another, or from scratch\n",
    ),
    (
        "RUN ls\n",
        1,
        "larder: context/Dockerfile:1: RUN: there is no FROM before it (only ARG may stand before the first FROM)\n",
    ),
    (
        "FROM $NONE\n",
        1,
        "larder: context/Dockerfile:1: FROM $NONE: no image is left of it (give its ARG a default",
    ),
    // Missing images are looked for before anything runs.
    (
        "FROM busybox:1\nRUN echo x\nFROM none/such:1\n",
        3,
        "larder: context/Dockerfile:3: FROM none/such:1: none/such:1: no such image in STORE\n\
         hint: `larder images` lists what is there, `larder import` and `larder pull` bring more in, and --pull fetches what a Dockerfile names\n",
    ),
    (
        "FROM busybox:1\nRUN echo x\nCOPY --from=none/such:1 /a /b\n",
        3,
        "larder: context/Dockerfile:3: COPY --from=none/such:1 /a /b: none/such:1: no such image in STORE\nhint: `larder images` lists what is there",
    ),
    (
        "FROM --platform=linux/s390x busybox:1\n",
        1,
        "larder: context/Dockerfile:1: FROM busybox:1: manifest sha256:",
    ),
    (
        "FROM --platform=a/b/c/d busybox:1\n",
        1,
        "larder: context/Dockerfile:1: FROM busybox:1: a/b/c/d: is no platform",
    ),
    // Cycles of stages cannot be written.
    (
        "FROM busybox:1\nCOPY --from=1 /x /y\nFROM busybox:1\n",
        1,
        "larder: context/Dockerfile:2: COPY --from=1: that stage comes later, on line 3 (put the stage that is copied from first)\n",
    ),
    (
        "FROM busybox:1 AS a\nRUN echo x\nCOPY --from=b /x /y\nFROM busybox:1 AS b\nCOPY --from=a /x /x\n",
        1,
        "larder: context/Dockerfile:3: COPY --from=b: that stage comes later, on line 4 (put the stage that is copied from first)\n",
    ),
    (
        "FROM busybox:1 AS a\nCOPY --from=A /x /y\n",
        1,
        "larder: context/Dockerfile:2: COPY --from=A: a stage cannot copy from itself\n",
    ),
    (
        "FROM busybox:1\nCOPY --from=7 /x /y\n",
        1,
        "larder: context/Dockerfile:2: COPY --from=7: stages are numbered from 0 to 0\n",
    ),
    ("FROM a AS a\n", 3, "larder: context/Dockerfile:1: FROM a: a: no such image in STORE\n"),
    (
        "FROM busybox:1 AS x\nFROM busybox:1 AS X\n",
        1,
        "larder: context/Dockerfile:2: FROM … AS x: line 1 has a stage of this name\n",
    ),
    ("FROM busybox:1\nRUN echo a\0b\n", 1, "larder: context/Dockerfile:2: a zero byte: this is no text\n"),
];

#[test]
fn what_is_wrong_with_a_dockerfile_is_told_before_anything_runs() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let index = index_text(&builder.sandbox.store());
    let store = builder.sandbox.store().display().to_string();
    for (dockerfile, code, says) in REFUSED {
        let told = builder.fail(dockerfile, &[], code);
        let says = says.replace("STORE", &store);
        assert!(told.starts_with(&says), "{dockerfile}\n{told}\n--- expected\n{says}");
        assert!(!told.contains("\n[") && !told.starts_with('['), "nothing has begun: {told}");
        assert_eq!(
            told.lines().filter(|line| line.starts_with("larder: ")).count(),
            says.matches("larder: ").count()
        );
    }
    assert_eq!(index_text(&builder.sandbox.store()), index);
    builder.assert_clean();
}

#[test]
fn what_a_base_wants_done_is_looked_at_before_anything_runs() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let triggers = |texts: &[&str]| {
        let layers = [builder.layer("base")];
        builder.import_layers("triggers:1", &layers, serde_json::json!({"OnBuild": texts}));
    };
    for (text, says) in [
        ("RUN --mount=type=cache,target=/x ls", "RUN --mount: this is not supported"),
        ("FROM x", "ONBUILD FROM of the base image"),
        ("NONSENSE", "NONSENSE: no such instruction"),
    ] {
        triggers(&["RUN echo x", text]);
        let told = builder.fail("FROM busybox:1\nRUN echo first\nFROM triggers:1\n", &[], 1);
        assert!(told.starts_with(&format!("larder: context/Dockerfile:3: {says}")), "{told}");
    }
    let told = builder.fail("FROM busybox:1\nONBUILD RUN <<EOF\nx\nEOF\n", &[], 1);
    assert!(told.starts_with("larder: context/Dockerfile:2: "), "{told}");
}

#[test]
fn without_a_runtime_nothing_runs_and_what_needs_none_is_built() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    builder.ok("FROM busybox:1\nONBUILD RUN true\n", &["-t", "trigger:1"]);
    only(&mut builder, &[]);
    for (dockerfile, place) in [
        ("FROM busybox:1\nENV a=b\nRUN echo x\n", "3: RUN echo x"),
        ("FROM busybox:1\nLABEL a=b\nFROM trigger:1\n", "3: RUN true"),
    ] {
        let told = builder.fail(dockerfile, &[], 1);
        let says = format!(
            "larder: context/Dockerfile:{place}: no container runtime: neither runc nor crun is on the PATH\n\
             hint: install runc or crun; every host with Docker has one\n"
        );
        assert_eq!(told, says);
    }
    std::fs::write(builder.context().join("file"), "x").unwrap();
    builder.ok("FROM busybox:1\nWORKDIR /a\nCOPY file .\nENV a=b\n", &[]);
}

#[test]
fn sources_that_are_not_there_or_outside_are_refused_by_name() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.sandbox.path("outside"), "secret").unwrap();
    let context = builder.context();
    std::os::unix::fs::symlink("../outside", context.join("climbs")).unwrap();
    std::os::unix::fs::symlink(builder.sandbox.path("outside"), context.join("absolute")).unwrap();
    std::fs::write(context.join("ignored"), "x").unwrap();
    std::fs::write(context.join(".dockerignore"), "ignored\n").unwrap();
    let missing = "there is no such file in the context, or .dockerignore leaves it out";
    for (words, why) in [
        ("none", missing),
        ("no*ne", missing),
        ("ignored", missing),
        ("climbs", missing),
        ("absolute", missing),
        ("../outside", "leads out of the context"),
        ("a/../../outside", "leads out of the context"),
        ("--from=0 /none", "there is no such file in what it is copied from"),
    ] {
        for verb in ["COPY", "ADD"] {
            if verb == "ADD" && words.starts_with("--from") {
                continue;
            }
            let dockerfile = format!("FROM busybox:1\nFROM busybox:1\n{verb} {words} /to/\n");
            let told = builder.fail(&dockerfile, &[], 1);
            let word = words.split(' ').next_back().unwrap();
            let says = format!("larder: context/Dockerfile:3: {verb} {words} /to/: {word:?}: {why}\n");
            assert!(told.ends_with(&says), "{told}\n--- expected\n{says}");
        }
    }
    builder.assert_clean();
}

#[test]
fn a_command_without_network_fails_at_once() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let dockerfile = "FROM busybox:1\nRUN wget -O- http://192.0.2.1/\n";
    let told = builder.fail(dockerfile, &["--network", "none"], 1);
    assert!(told.contains("Network is unreachable") && told.contains("ended with exit code 1"), "{told}");
}

#[test]
fn a_name_that_hides_others_in_a_layer_is_refused_by_its_path_in_the_image() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::create_dir(builder.context().join("dir")).unwrap();
    std::fs::write(builder.context().join("dir/.wh.copied"), "x").unwrap();
    std::fs::write(builder.context().join("file"), "x").unwrap();
    for (step, path) in [
        ("RUN touch /tmp/.wh.touched", "/tmp/.wh.touched"),
        ("RUN mkdir -p /a/.wh.made/b", "/a/.wh.made"),
        ("WORKDIR /a/.wh.work/b", "/a/.wh.work"),
        ("COPY file /etc/.wh.named", "/etc/.wh.named"),
        ("COPY file /etc/.wh.dir/", "/etc/.wh.dir"),
        ("COPY dir /to/", "/to/.wh.copied"),
        ("COPY <<.wh.doc /to/\nx\n.wh.doc", "/to/.wh.doc"),
    ] {
        let told = builder.fail(&format!("FROM busybox:1\n{step}\n"), &[], 1);
        let error = told.lines().find(|line| line.starts_with("larder: ")).unwrap();
        assert!(error.contains(&format!(": {path:?}: ")) && error.contains("cannot be in a layer"), "{told}");
        assert!(!error.contains("snapshots"), "{told}");
    }
}
