//! What is no test, no image, or no answer.

use super::{report, write};
use crate::support::tarball::{Tarball, config, docker_archive_with, layer};
use crate::support::{Sandbox, need, peer, store};

/// An image with these files, imported as `small:1`.
fn image(sandbox: &Sandbox, layer: Vec<u8>) -> std::path::PathBuf {
    let layers = [layer];
    let path = sandbox.path("small.tar");
    std::fs::write(
        &path,
        docker_archive_with(&config("linux", "amd64", &layers).to_string(), &["small:1"], &layers),
    )
    .unwrap();
    sandbox.ok(["import".as_ref(), path.as_os_str()]);
    path
}

fn fails(sandbox: &Sandbox, args: &[&str], code: i32, said: &str) {
    let output = sandbox.command(args).output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(stderr.contains(said), "{args:?}: {stderr}");
    assert!(!stderr.contains('\u{1b}'));
}

const GOOD: &str = "schemaVersion: 2.0.0\nfileExistenceTests: [{name: a, path: /a}]\n";

#[test]
fn mistakes_end_it_before_anything_is_tested() {
    let sandbox = Sandbox::new();
    image(&sandbox, layer("a", b"x"));
    write(&sandbox, "good.yml", GOOD);
    write(&sandbox, "key.yml", "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, pth: /a}\n");
    write(
        &sandbox,
        "regex.yml",
        "schemaVersion: 2.0.0\nfileContentTests:\n- {name: a, path: /a, excludedContents: ['(x']}\n",
    );
    write(&sandbox, "yaml.yml", "schemaVersion: 2.0.0\nfileExistenceTests: [\n  a: b: c\n");
    write(&sandbox, "hostile.yml", "schemaVersion: 2.0.0\n\"\\e[2Jkey\": 1\n");
    write(&sandbox, "bytes.yml", "\u{0}\u{1}");
    std::fs::write(sandbox.path("latin.yml"), b"schemaVersion: \xff\n").unwrap();
    write(&sandbox, "large.yml", &"#".repeat(5 << 20));
    write(
        &sandbox,
        "bomb.yml",
        &format!(
            "a: &a [{}]\n{}",
            "x,".repeat(100),
            (0..9)
                .map(|n| format!(
                    "b{n}: &b{n} [{}]\n",
                    format!("*{},", if n == 0 { "a".to_owned() } else { format!("b{}", n - 1) }).repeat(50)
                ))
                .collect::<String>()
        ),
    );
    let test =
        |file: &str, code: i32, said: &str| fails(&sandbox, &["test", "small:1", "-f", file], code, said);
    test("key.yml", 1, "key.yml: line 3, column 13: there is no key \"pth\"; \"path\" is meant?");
    test("regex.yml", 1, "regex.yml: line 3, column 42: \"(x\" is no regular expression");
    test("yaml.yml", 1, "yaml.yml: line 3");
    test("hostile.yml", 1, "hostile.yml: line 2, column 1: there is no key");
    test("bytes.yml", 1, "bytes.yml");
    test("latin.yml", 1, "latin.yml");
    test("large.yml", 1, "large.yml: has more than");
    test("bomb.yml", 1, "bomb.yml: line");
    test("none.yml", 1, "cannot open none.yml");
    fails(&sandbox, &["test", "small:1"], 1, "-f names the test file");
    fails(&sandbox, &["test", "absent:1", "-f", "good.yml"], 3, "absent:1");
    fails(&sandbox, &["test", "-f", "good.yml"], 2, "<REF>");
    fails(
        &sandbox,
        &["test", "small:1", "--archive", "small.tar", "-f", "good.yml"],
        2,
        "cannot be used with",
    );
    fails(&sandbox, &["test", "--archive", "none.tar", "-f", "good.yml"], 1, "none.tar");
    fails(&sandbox, &["test", "--archive", "good.yml", "-f", "good.yml"], 1, "good.yml");
    fails(
        &sandbox,
        &["test", "--archive", "small.tar", "--image", "other:1", "-f", "good.yml"],
        3,
        "small:1",
    );
    fails(&sandbox, &["test", "small:1", "--platform", "linux/arm64", "-f", "good.yml"], 1, "linux/arm64");
    // One good file does not hide a bad one.
    fails(&sandbox, &["test", "small:1", "-f", "good.yml", "-f", "key.yml"], 1, "key.yml");
    let said = sandbox.ok(["test", "small:1", "-f", "good.yml"]);
    assert_eq!(said, "small:1 good.yml\nPASS  File Existence Test: a\n1 passed, 0 failed, 0 skipped\n");
}

#[test]
fn an_image_that_is_damaged_or_odd_passes_no_test_by_that() {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    layer
        .link("round", "round")
        .link("a/up", "../../..")
        .file("file", b"x")
        .file("big", &vec![b'y'; 65 << 20]);
    layer.file("\u{1b}[31mred", b"x");
    image(&sandbox, layer.bytes());
    let tests = "schemaVersion: 2.0.0
fileExistenceTests:
- {name: '1 through a file', path: /file/x, shouldExist: false}
- {name: '2 over the top', path: /a/up/file}
- {name: \"3 \\e[2J\", path: \"/\\e[31mred\"}
fileContentTests:
- {name: '1 circle', path: /round, excludedContents: [x]}
- {name: '2 big', path: /big, excludedContents: [x]}
- {name: '3 through a file', path: /file/x, excludedContents: [x]}
- {name: '4 over the top', path: /a/up/file, expectedContents: [x]}
";
    write(&sandbox, "test.yml", tests);
    let output = sandbox.command(["test", "small:1", "--format", "json"]).output().unwrap();
    let results = report(&output, 1)["Results"].clone();
    let all: Vec<_> = results
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["Pass"] == true, one["Errors"][0].as_str().unwrap_or_default().to_owned()))
        .collect();
    assert_eq!(all[0], (false, "/round cannot be read: it leads to links that go in a circle".into()));
    assert_eq!(
        all[1],
        (
            false,
            "/big cannot be read: it has 68157440 bytes, more than the 67108864 that are read of one file"
                .into()
        )
    );
    assert_eq!(all[2], (false, "/file/x cannot be read: it is not there".into()));
    assert!(all[3..].iter().all(|(passes, _)| *passes), "{all:?}");
    for form in ["text", "json", "junit"] {
        let output = sandbox.command(["test", "small:1", "--format", form]).output().unwrap();
        assert!(!output.stdout.contains(&0x1b) && !output.stderr.contains(&0x1b), "{form}");
    }
    // A flipped bit in the layer: nothing is said of what is in it.
    let layer = store::blobs(&sandbox.store()).into_iter().max_by_key(|(_, size)| *size).unwrap().0;
    let path = store::blob_path(&sandbox.store(), &layer);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, bytes).unwrap();
    fails(&sandbox, &["test", "small:1"], 5, "blob sha256:");
    std::fs::remove_file(&path).unwrap();
    fails(&sandbox, &["test", "small:1"], 5, "is missing");
}

#[test]
fn without_a_runtime_commands_are_skipped_and_said_to_be() {
    let mut sandbox = Sandbox::new();
    image(&sandbox, layer("a", b"x"));
    write(&sandbox, "test.yml", &format!("{GOOD}commandTests: [{{name: c, command: a}}]\n"));
    sandbox.set("PATH", "/nowhere");
    for subject in [vec!["small:1"], vec!["--archive", "small.tar"]] {
        let test = |form: &str| {
            sandbox.command([vec!["test", "--format", form], subject.clone()].concat()).output().unwrap()
        };
        let json = report(&test("json"), 7);
        assert_eq!((&json["Pass"], &json["Fail"], &json["Skip"]), (&1.into(), &0.into(), &1.into()));
        let output = test("text");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains("skipped: 1 of 2 tests: no container runtime"), "{stderr}");
        assert!(String::from_utf8_lossy(&output.stdout).contains("SKIP  Command Test: c\n"));
    }
    // A failure is the worse news.
    write(
        &sandbox,
        "bad.yml",
        "schemaVersion: 2.0.0\nfileExistenceTests: [{name: a, path: /b}]\ncommandTests: [{name: c, command: a}]\n",
    );
    fails(&sandbox, &["test", "small:1", "-f", "bad.yml"], 1, "failed: 1 of 2 tests");
    // What a container would need and does not get here is no pass either.
    write(
        &sandbox,
        "options.yml",
        "schemaVersion: 2.0.0\ncommandTests: [{name: c, command: a}]\ncontainerRunOptions: {privileged: true}\n",
    );
    fails(&sandbox, &["test", "small:1", "-f", "options.yml"], 7, "larder does not know privileged");
}

#[test]
fn pipes_are_read_and_silent_ones_can_be_left() {
    let sandbox = Sandbox::new();
    let archive = image(&sandbox, layer("a", b"x"));
    write(&sandbox, "good.yml", GOOD);
    let pipe = sandbox.path("pipe");
    rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).unwrap();
    let (tests, bytes) = (GOOD.as_bytes().to_vec(), std::fs::read(archive).unwrap());
    for (args, content) in [
        (["test", "small:1", "-f", "pipe"].as_slice(), tests),
        (&["test", "--archive", "pipe", "-f", "good.yml"], bytes),
    ] {
        std::thread::scope(|scope| {
            scope.spawn(|| std::fs::write(&pipe, &content).unwrap());
            assert!(sandbox.ok(args).contains("1 passed"), "{args:?}");
        });
        let larder = sandbox.command(args);
        let mut timeout = sandbox.enclose(need!(peer::tool("timeout"), "timeout"));
        timeout.args(["--preserve-status", "-s", "TERM", "-k", "60", "1"]);
        timeout.arg(larder.get_program()).args(larder.get_args());
        assert_eq!(timeout.output().unwrap().status.code(), Some(143), "{args:?}");
    }
}

#[test]
fn stdin_is_neither_an_image_nor_a_test_file() {
    let sandbox = Sandbox::new();
    write(&sandbox, "good.yml", GOOD);
    fails(
        &sandbox,
        &["test", "--archive", "-", "-f", "good.yml"],
        2,
        "--archive -: an archive or a layout is not read",
    );
    fails(
        &sandbox,
        &["test", "a:1", "-f", "good.yml", "-f", "-"],
        2,
        "-f -: a test file is not read from stdin",
    );
}
