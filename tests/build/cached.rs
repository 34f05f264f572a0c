//! What is done once is not done again, unless something that it depends on has changed.

use std::fs;

use super::{Builder, Made};
use crate::support::need;

const STEPS: &str = "FROM busybox:1\nARG NUMBER=1\nENV WORD=one\nWORKDIR /here\nRUN echo first > first; cat /proc/sys/kernel/random/uuid > one\n\
    COPY file other/\nRUN date +%s%N > time; cat /proc/sys/kernel/random/uuid > two\n";

/// The instructions of these steps that were done, by their first words.
fn done(made: &Made) -> Vec<&str> {
    let headers = made.told.lines().filter(|line| line.starts_with('[') && !line.ends_with(" (cached)"));
    headers
        .filter_map(|line| line.split_once("] ")?.1.split(' ').next())
        .filter(|word| *word != "FROM")
        .collect()
}

fn prepare() -> Option<Builder> {
    let builder = Builder::new()?;
    fs::write(builder.context().join("file"), "content\n").unwrap();
    Some(builder)
}

#[test]
fn a_second_build_runs_nothing_and_makes_the_same_image() {
    let builder = need!(prepare(), "root, runc and busybox");
    let first = builder.ok(STEPS, &[]);
    assert_eq!((done(&first).len(), first.cached()), (6, 0));
    let same = |why: &str| {
        let again = builder.ok(STEPS, &[]);
        assert_eq!(done(&again), [""; 0], "{why}: {}", again.told);
        assert_eq!((&again.digest, &again.image_id), (&first.digest, &first.image_id), "{why}");
    };
    same("at once");
    // Times of the context are none of its content.
    let file = fs::File::options().write(true).open(builder.context().join("file")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
    same("a file with another time");
    for snapshot in fs::read_dir(builder.sandbox.store().join(".larder/snapshots")).unwrap() {
        fs::remove_dir_all(snapshot.unwrap().path()).unwrap();
    }
    same("without snapshots");
    builder.sandbox.ok(["gc"]);
    same("after gc");
    // Steps keep their layers when the image goes.
    builder.sandbox.ok(["rm", "made:1"]);
    builder.sandbox.ok(["gc"]);
    same("after the image went");
    // What follows unpacks what is known and not there any more.
    for snapshot in fs::read_dir(builder.sandbox.store().join(".larder/snapshots")).unwrap() {
        fs::remove_dir_all(snapshot.unwrap().path()).unwrap();
    }
    let more = builder.ok(&format!("{STEPS}RUN cat first other/file\n"), &[]);
    assert_eq!(more.said("RUN cat first"), "first\ncontent\n");
    assert_eq!(done(&more), ["RUN"]);
    let anew = builder.ok(STEPS, &["--no-cache"]);
    assert_eq!(done(&anew).len(), 6);
    assert_ne!(anew.digest, first.digest, "it was made at another time");
    builder.assert_clean();
}

#[test]
fn a_change_makes_what_follows_anew_and_nothing_before() {
    let builder = need!(prepare(), "root, runc and busybox");
    builder.ok(STEPS, &[]);
    // An ARG is in the environment of each RUN that follows it.
    assert_eq!(done(&builder.ok(STEPS, &["--build-arg", "NUMBER=2"])), ["RUN", "COPY", "RUN"]);
    assert_eq!(
        done(&builder.ok(&STEPS.replace("=one", "=two"), &[])),
        ["ENV", "WORKDIR", "RUN", "COPY", "RUN"]
    );
    assert_eq!(done(&builder.ok(&STEPS.replace("echo first", "echo second"), &[])), ["RUN", "COPY", "RUN"]);
    fs::write(builder.context().join("file"), "changed\n").unwrap();
    assert_eq!(done(&builder.ok(STEPS, &[])), ["COPY", "RUN"]);
    fs::set_permissions(builder.context().join("file"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
        .unwrap();
    assert_eq!(done(&builder.ok(STEPS, &[])), ["COPY", "RUN"]);
    assert_eq!(done(&builder.ok(STEPS, &["--network", "none"])), ["RUN", "COPY", "RUN"]);
    // Another base of the same name.
    fs::write(builder.sandbox.path("base/new"), "x").unwrap();
    builder.import("busybox:1", &["base"]);
    assert_eq!(done(&builder.ok(STEPS, &[])).len(), 6);
    // What fails is done again, and what was before it is not.
    let fails = format!("{STEPS}RUN exit 1\n");
    for _ in 0..2 {
        let told = builder.fail(&fails, &[], 1);
        assert_eq!(told.matches(" (cached)\n").count(), 6, "{told}");
    }
}

#[test]
fn a_stage_that_changes_makes_anew_what_copies_from_it() {
    let builder = need!(prepare(), "root, runc and busybox");
    let stages = "FROM busybox:1 AS one\nRUN echo one > /one\nFROM busybox:1\nRUN echo two > /two\nCOPY --from=one /one /\nRUN cat /one /two\n";
    builder.ok(stages, &[]);
    assert_eq!(done(&builder.ok(stages, &[])), [""; 0]);
    let changed = builder.ok(&stages.replace("echo one", "echo other"), &[]);
    assert_eq!(changed.said("RUN cat"), "other\ntwo\n");
    assert_eq!(changed.cached(), 1, "{}", changed.told);
}

#[test]
fn triggers_run_in_what_is_made_of_an_image_and_once() {
    let builder = need!(prepare(), "root, runc and busybox");
    builder.ok(
        "FROM busybox:1\nONBUILD ENV SET=\"by the trigger\"\nONBUILD COPY file /triggered\nONBUILD RUN cat /triggered; echo $SET\n",
        &["-t", "triggers:1"],
    );
    // Nothing of its own, and so it is a trigger that needs the runtime.
    let made = builder.ok("FROM triggers:1\n", &[]);
    assert!(made.told.starts_with("[1/4] FROM triggers:1\n[2/4] ENV SET"), "{}", made.told);
    assert_eq!(made.said("RUN cat"), "content\nby the trigger\n");
    assert_eq!(builder.config("made:1")["config"]["OnBuild"], serde_json::Value::Null);
    let next = builder.ok("FROM made:1\nRUN echo $SET\n", &["-t", "next:1"]);
    assert!(!next.told.contains("/triggered") && next.said("RUN echo") == "by the trigger\n");
    let stages = builder.ok("FROM busybox:1 AS one\nONBUILD RUN echo of a stage\nFROM one\nRUN true\n", &[]);
    assert!(stages.told.contains("\nof a stage\n"), "{}", stages.told);
}

#[test]
fn heredocs_are_scripts_of_the_shell_or_of_what_their_first_line_names() {
    let builder = need!(prepare(), "root, runc and busybox");
    let dockerfile = "FROM busybox:1\n\
        RUN <<EOF\necho one\nfalse\necho \"two $0\"\nEOF\n\
        RUN <<EOF\n#!/bin/awk -f\nBEGIN { print \"by awk\" > \"/awk\" }\nEOF\n\
        RUN cat <<A <<-B\nof a\nA\n\tof b\n\tB\n\
        COPY <<first <<\"second\" /in/\nin $HOME\nfirst\nin $HOME\nsecond\n\
        RUN cat /awk /in/first /in/second; ls -A /dev/pipes 2>&1; true\n";
    let made = builder.ok(dockerfile, &[]);
    assert!(made.said("RUN <<EOF").starts_with("one\ntwo "), "{}", made.told);
    assert_eq!(made.said("RUN cat <<A"), "of b\n");
    let said = made.said("RUN cat /awk");
    assert!(said.starts_with("by awk\nin ") && said.contains("\nin $HOME\n"), "{said}");
    assert!(said.contains("ls: /dev/pipes"), "the scripts leave nothing: {said}");
    assert_eq!(builder.layers("made:1")[1].iter().collect::<Vec<_>>(), ["awk"]);
    assert_eq!(builder.ok(dockerfile, &[]).digest, made.digest);
    // Its content counts, and not the first line alone; what makes the same files changes nothing for what follows.
    let other = builder.ok(&dockerfile.replace("echo one", "echo 1"), &[]);
    assert_eq!(done(&other), ["RUN"]);
    let other = builder.ok(&dockerfile.replace("by awk", "by another"), &[]);
    assert_eq!(done(&other).len(), 4, "{}", other.told);
}

#[test]
fn the_root_directory_stays_as_a_step_left_it() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let stat = "RUN stat -c '%a %u' /\n";
    let made = builder.ok(&format!("FROM busybox:1\nRUN chmod 711 /; chown 5 /\nRUN echo > /y\n{stat}"), &[]);
    assert_eq!(made.said("RUN stat"), "711 5\n");
    assert_eq!(builder.layers("made:1").len(), 3, "a step that changes nothing has no layer");
}

#[test]
fn without_a_step_of_its_own_an_image_is_as_old_as_its_base() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    builder.ok("FROM busybox:1\nRUN echo > /y\n", &["-t", "base:1"]);
    std::thread::sleep(std::time::Duration::from_millis(1100));
    let made = builder.ok("FROM base:1\n", &[]);
    assert_eq!(builder.config("made:1")["created"], builder.config("base:1")["created"]);
    assert_eq!(builder.ok("FROM base:1\n", &[]).digest, made.digest);
}

#[test]
fn a_proxy_of_the_image_goes_before_one_that_is_given() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let steps = "FROM busybox:1\nENV HTTP_PROXY=http://image\nRUN echo $HTTP_PROXY $https_proxy\n";
    let given = ["--build-arg", "HTTP_PROXY=http://given", "--build-arg", "https_proxy=http://other"];
    assert_eq!(builder.ok(steps, &given).said("RUN echo"), "http://image http://other\n");
}
