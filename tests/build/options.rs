//! What is said on the command line: files, arguments, labels, targets, names, times.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};
use serde_json::json;

use super::Builder;
use crate::support::store::{named, names};
use crate::support::{describe, feed, need, wait_for};

const LABELLED: &str = "FROM busybox:1\nLABEL a=1\n";

#[test]
fn a_dockerfile_that_is_none_is_refused_by_name() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let file = |name: &str, content: &[u8]| std::fs::write(builder.sandbox.path(name), content).unwrap();
    std::fs::create_dir(builder.sandbox.path("directory")).unwrap();
    file("latin1", b"FROM busybox:1\nRUN \xe4\n");
    file("long", "#".repeat(5 << 20).as_bytes());
    file("binary", b"\x7fELF\0\0");
    for (name, code, says) in [
        ("directory", 1, "larder: directory: is a directory and no Dockerfile; -f names the file\n"),
        ("none", 1, "larder: cannot open none: No such file or directory (os error 2)\n"),
        ("latin1", 1, "larder: latin1:2: not UTF-8: this is no text that can be read\n"),
        ("long", 1, "larder: long: too long: only 4 MiB are read\n"),
        ("binary", 1, "larder: binary:1: a zero byte: this is no text\n"),
        ("/dev/null", 1, "larder: /dev/null: is no file that can be read\n"),
    ] {
        assert_eq!(builder.sandbox.fail(["build", "context", "-t", "made:1", "-f", name], code), says);
    }
    for context in ["none", "latin1"] {
        let told = builder.sandbox.fail(["build", context, "-t", "made:1"], 2);
        assert!(told.starts_with(&format!("larder: {context} is no directory\nhint: CONTEXT is")), "{told}");
    }
    let told = builder.sandbox.fail(["build", "context", "-t", "made:1"], 1);
    assert_eq!(
        told,
        "larder: context/Dockerfile: there is no such file\nhint: -f names the Dockerfile, and `-f -` takes it from stdin\n"
    );
}

#[test]
fn a_dockerfile_comes_from_stdin_and_from_a_pipe() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), "x").unwrap();
    let from_stdin = |text: &str| {
        let mut command = builder.sandbox.command(["build", "context", "-t", "made:1", "-f", "-"]);
        feed(&mut command, text.as_bytes())
    };
    let output = from_stdin("FROM busybox:1\nCOPY file /copied\nRUN cat /copied\n");
    assert!(output.status.success(), "{output:?}");
    assert_eq!(builder.layers("made:1")[1].iter().collect::<Vec<_>>(), ["copied"]);
    for (text, says) in
        [("", "larder: stdin: no FROM"), ("FROM busybox:1\nNONSENSE x", "larder: stdin:2: NONSENSE: no such")]
    {
        let output = from_stdin(text);
        assert_eq!(output.status.code(), Some(1));
        assert!(String::from_utf8_lossy(&output.stderr).starts_with(says), "{output:?}");
    }
    // `-f <(…)` of a shell, and a pipe that nobody writes to.
    let script = format!("\"$0\" build context -t made:2 -f <(printf '{}')", LABELLED.replace('\n', "\\n"));
    let mut shell = builder.sandbox.enclose(Command::new("bash"));
    let output = shell.args(["-c", &script]).arg(assert_cmd::cargo::cargo_bin!("larder")).output().unwrap();
    assert!(output.status.success(), "{}", describe(&shell, &output));
    let pipe = builder.sandbox.path("pipe");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0).unwrap();
    let larder = builder.sandbox.command(["build", "context", "-t", "made:3", "-f", "pipe"]);
    let mut command = builder.sandbox.enclose(Command::new("env"));
    command.arg("--default-signal").arg(larder.get_program()).args(larder.get_args());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let opened = |pid: u32| {
        let files = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
        files.flatten().find(|file| std::fs::read_link(file.path()).is_ok_and(|target| target == pipe))
    };
    wait_for(|| opened(child.id()));
    rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let since = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(since.elapsed() < Duration::from_secs(30));
}

#[test]
fn arguments_come_from_the_command_line_or_the_environment() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    builder.sandbox.set("FROM_HERE", "the environment");
    let dockerfile = "ARG BASE=none/such\nFROM $BASE\nARG FROM_HERE=no\nARG UNSET=default\nARG GIVEN\nRUN echo \"$FROM_HERE, $UNSET, $GIVEN\"\n";
    let args = ["--build-arg", "BASE=busybox:1", "--build-arg", "FROM_HERE", "--build-arg", "UNSET"];
    let given =
        ["--build-arg", "GIVEN=a=b \"c\"", "--build-arg", "NOBODY=asks", "--build-arg", "HTTP_PROXY=x"];
    let made = builder.ok(dockerfile, &[&args[..], &given].concat());
    assert_eq!(made.said("RUN echo"), "the environment, default, a=b \"c\"\n");
    assert_eq!(made.told.matches("no ARG of the Dockerfile asks for it").count(), 1, "{}", made.told);
    assert!(made.told.starts_with("note: --build-arg NOBODY: no ARG"), "{}", made.told);
    for (arg, says) in
        [("", "--build-arg \"\": expected NAME"), ("=x", "--build-arg \"=x\": expected NAME=VALUE")]
    {
        assert!(builder.fail(dockerfile, &["--build-arg", arg], 2).starts_with(&format!("larder: {says}")));
    }
    builder.sandbox.set("FROM_HERE", <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff"));
    let told = builder.fail(dockerfile, &["--build-arg", "FROM_HERE"], 2);
    assert_eq!(told, "larder: --build-arg FROM_HERE: its value in the environment is not UTF-8\n");
}

#[test]
fn labels_have_any_characters_and_go_to_the_target() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let odd = "a b\"c$d\\e'=x\"y$z${q}\\ü\nnew\ttab";
    let labels = ["--label", odd, "--label", "empty=", "--label", "a=2"];
    for head in ["", "# escape=`\n"] {
        builder.ok(&format!("{head}{LABELLED}"), &labels);
        let expected = json!({"a b\"c$d\\e'": "x\"y$z${q}\\ü\nnew\ttab", "empty": "", "a": "2"});
        assert_eq!(builder.config("made:1")["config"]["Labels"], expected);
    }
    builder.ok(
        &format!("{LABELLED}FROM scratch AS first\nFROM busybox:1 AS last\n"),
        &["--target", "0", "--label", "b=2"],
    );
    assert_eq!(builder.config("made:1")["config"]["Labels"], json!({"a": "1", "b": "2"}));
    for label in ["nothing", "=x", ""] {
        let told = builder.fail(LABELLED, &["--label", label], 2);
        assert_eq!(told, format!("larder: --label {label:?}: expected NAME=VALUE\n"));
    }
}

#[test]
fn a_target_is_built_with_what_it_needs_and_nothing_else() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let dockerfile = "FROM busybox:1 AS one\nRUN echo one > /one\nFROM busybox:1 AS unused\nRUN exit 1\n\
        FROM busybox:1 AS two\nCOPY --from=one /one /two\nRUN cat /two\nFROM two\nRUN exit 2\n";
    let made = builder.ok(dockerfile, &["--target", "Two"]);
    assert_eq!(made.said("RUN cat /two"), "one\n");
    assert!(made.told.contains("[one 2/5] RUN echo one > /one\n"), "{}", made.told);
    let told = builder.fail(dockerfile, &["--target", "none"], 1);
    let says = "larder: context/Dockerfile: --target none: there is no such stage; they are numbered from 0 to 3; named are one, unused, two\n";
    assert_eq!(told, says);
}

#[test]
fn an_image_gets_all_names_at_once_and_strict_names_are_those_of_the_convention() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let mut command =
        builder.command(LABELLED, &["-t", "second", "-t", "reg.example:5000/third:x", "--format", "json"]);
    let output = command.output().unwrap();
    let rows: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 3, "{rows}");
    let digest = rows[0]["digest"].as_str().unwrap();
    for (row, name) in
        rows.as_array().unwrap().iter().zip(["made:1", "second:latest", "reg.example:5000/third:x"])
    {
        assert_eq!((&row["reference"], &row["digest"]), (&json!(name), &json!(digest)));
        assert_eq!(named(&builder.sandbox.store(), name).as_deref(), Some(digest));
        assert_eq!(row["steps"], json!({"done": 1, "cached": 0}));
    }
    // A new image takes the names of the old one, which stays.
    let told = builder.ok("FROM busybox:1\nLABEL a=2\n", &["-t", "second"]).told;
    let says = format!("note: second:latest was {digest}, which stays in the store without a name")
        .replace("note: ", "");
    assert!(told.contains(&says), "{told}");
    assert_eq!(named(&builder.sandbox.store(), "reg.example:5000/third:x").as_deref(), Some(digest));
    let before = names(&builder.sandbox.store());
    for bad in ["strange", "Upper", "a b", ""] {
        let told = builder.sandbox.fail(["build", "context", "-t", bad, "--project", "p"], 2);
        assert!(bad != "strange" || told.contains("is off the naming convention"), "{told}");
    }
    assert_eq!(names(&builder.sandbox.store()), before);
    let good = ["build", "context", "-t", "p-debian-12-gcc12", "--project", "p"];
    assert!(builder.sandbox.ok(good).starts_with("p-debian-12-gcc12:latest sha256:"));
    // And without a name there is no image.
    assert!(builder.sandbox.fail(["build", "context"], 2).contains("--tag <REF>"));
}

#[test]
fn no_time_of_an_image_is_later_than_the_epoch() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), "x").unwrap();
    let dockerfile = "FROM busybox:1\nCOPY file /a/b\nWORKDIR /c\nRUN echo x > d\nLABEL e=f\n";
    builder.sandbox.set("SOURCE_DATE_EPOCH", "1700000000");
    let first = builder.ok(dockerfile, &[]);
    let config = builder.config("made:1");
    assert_eq!(config["created"], "2023-11-14T22:13:20Z");
    for entry in config["history"].as_array().unwrap() {
        assert_eq!(entry["created"], "2023-11-14T22:13:20Z", "{entry}");
    }
    for layer in &builder.manifest("made:1")["layers"].as_array().unwrap()[1..] {
        let blob = crate::support::store::blob(&builder.sandbox.store(), layer["digest"].as_str().unwrap());
        let plain = zstd::decode_all(&blob[..]).unwrap();
        for entry in tar::Archive::new(&plain[..]).entries().unwrap() {
            assert!(entry.unwrap().header().mtime().unwrap() <= 1_700_000_000);
        }
    }
    let again = builder.ok(dockerfile, &["--no-cache"]);
    assert_eq!((again.digest, again.image_id), (first.digest, first.image_id));
    for wrong in ["x", "-1", "", "1700000000.5", "99999999999999999999"] {
        builder.sandbox.set("SOURCE_DATE_EPOCH", wrong);
        let told = builder.fail(dockerfile, &[], 2);
        assert_eq!(told, format!("larder: SOURCE_DATE_EPOCH={wrong:?}: expected seconds since 1970\n"));
    }
    for wrong in ["0s", "0", "x", "-1s", "99999999999999999999s"] {
        builder.fail(dockerfile, &["--timeout", wrong], 2);
    }
    assert!(Path::new(&builder.context()).is_dir());
}

#[test]
fn a_pipe_that_nobody_writes_to_is_no_dockerignore() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    crate::support::run(Command::new("mkfifo").arg(builder.context().join(".dockerignore")));
    let told = builder.fail("FROM busybox:1\n", &[], 1);
    assert!(told.contains(".dockerignore: is no file that can be read"), "{told}");
}
