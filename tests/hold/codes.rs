//! Exit codes, and whose input and output it is.

use std::process::Command;

use crate::roundtrip::{GCC, imported};
use crate::support::store::assert_nothing_pending;
use crate::support::{Sandbox, describe, feed, run};

#[test]
fn the_exit_code_is_the_commands_or_says_who_failed() {
    let mut sandbox = imported("docker20.tar");
    std::fs::write(sandbox.path("data"), "no program").unwrap();
    std::fs::create_dir(sandbox.path("bin")).unwrap();
    for (name, text) in
        [("orphan", "#!/no/such/interpreter\n"), ("script", "exit $1\n"), ("bin/bare-script", "exit $1\n")]
    {
        // Not by this process: a test that forks meanwhile would have it open for writing, and nobody could run it.
        let write = r#"printf %s "$1" >"$0" && chmod 755 "$0""#;
        run(Command::new("sh").args(["-c", write]).arg(sandbox.path(name)).arg(text));
    }
    let mut path = sandbox.path("bin").into_os_string();
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap());
    sandbox.set("PATH", path);
    for (args, code, said) in [
        (&["hold", GCC, "--", "true"][..], 0, ""),
        (&["hold", GCC, "--", "sh", "-c", "exit 1"], 1, ""),
        (&["hold", GCC, "--", "sh", "-c", "exit 125"], 125, ""),
        (&["hold", GCC, "--", "sh", "-c", "exit 255"], 255, ""),
        (&["hold", GCC, "--", "sh", "-c", "kill -9 $$"], 137, ""),
        (&["hold", GCC, "--", "sh", "-c", "kill -TERM $$"], 143, ""),
        (&["hold", GCC, "--", "sh", "--no-such-option", "-c"], 2, "sh:"),
        (
            &["hold", GCC, "--", "no-such-command"],
            127,
            "cannot run \"no-such-command\": there is no such command",
        ),
        (&["hold", GCC, "--", ""], 127, "larder: cannot run \"\": there is no such command"),
        (&["hold", GCC, "--", "./data"], 126, "larder: cannot run \"./data\": Permission denied"),
        (
            &["hold", GCC, "--", "./orphan"],
            127,
            "cannot run \"./orphan\": it is there, but what should run it is not",
        ),
        // As env(1) and every shell do it.
        (&["hold", GCC, "--", "./script", "7"], 7, ""),
        (&["hold", GCC, "--", "bare-script", "8"], 8, ""),
        (&["hold", "missing:1", "--", "true"], 125, "missing:1: no such image"),
        (&["hold", GCC, "missing:1", "--", "true"], 125, "missing:1: no such image"),
        (&["hold", GCC], 125, "CMD"),
        (&["hold", GCC, "true"], 125, "hint: write `--` before the command"),
        (&["hold", GCC, "act", "-P", "x"], 125, "hint: write `--` before the command"),
        (&["-store", "x", "hold", GCC, "--", "true"], 125, "'-s'"),
        (&["--lock-timeout", "-1", "hold", GCC, "--", "true"], 125, "'-1'"),
        (&["--wrong", "images", "hold"], 2, "--wrong"),
        (&["hold", "--", "true"], 125, "REF"),
        (&["hold", GCC, "--rmi", "--", "true"], 125, "--to-docker"),
        (&["hold", GCC, "--as", "x:1", "--", "true"], 125, "--to-docker"),
        (
            &["hold", GCC, "--to-docker", "--as", "x:1", "--as", "y:1", "--", "true"],
            125,
            "1 image and 2 names",
        ),
        (&["hold", GCC, "--wrong", "--", "true"], 125, "--wrong"),
        (&["--lock-timeout", "x", "hold", GCC, "--", "true"], 125, "--lock-timeout"),
        (&["hold", "--help"], 0, ""),
        (&["holds", "--wrong"], 2, "--wrong"),
    ] {
        let mut command = sandbox.command(args);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", describe(&command, &output));
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(stderr.contains(said), "{said:?}: {}", describe(&command, &output));
        assert!(!said.is_empty() || stderr.is_empty(), "{}", describe(&command, &output));
        assert_eq!(output.stdout.is_empty(), args != ["hold", "--help"], "{}", describe(&command, &output));
        assert_nothing_pending(&sandbox.store());
    }
    let mut sandbox = Sandbox::new();
    sandbox.set("DOCKER_HOST", format!("unix://{}", sandbox.path("nothing.sock").display()));
    sandbox.ok(["import".as_ref(), crate::support::fixture("docker20.tar").as_os_str()]);
    let said = sandbox.fail(["hold", GCC, "--to-docker", "--rmi", "--", "touch", "ran"], 125);
    assert!(said.contains("no Docker engine answers"), "{said}");
    assert!(!sandbox.path("ran").exists(), "without the image nothing runs");
}

#[test]
fn input_and_output_are_the_commands() {
    let sandbox = imported("docker20.tar");
    let bytes = [&b"text\n\0\xff"[..], &[b'x'; 300_000]].concat();
    let output = feed(&mut sandbox.command(["hold", GCC, "--", "sh", "-c", "cat; echo aside >&2"]), &bytes);
    assert!(output.status.success() && output.stdout == bytes, "{}", output.stdout.len());
    assert_eq!(output.stderr, b"aside\n");
    // Arguments as they are, also those that look like larder's own.
    let words = ["hold", GCC, "--", "printf", "%s|", "--store", "a b", "--", ""];
    assert_eq!(sandbox.ok(words), "--store|a b|--||");
}

#[test]
fn a_use_is_recorded() {
    let sandbox = imported("docker20.tar");
    let used = || sandbox.json(["images"])[0]["use_count"].clone();
    assert_eq!(used(), 0);
    sandbox.ok(["hold", GCC, "--", "true"]);
    sandbox.fail(["hold", GCC, "--", "false"], 1);
    assert_eq!(used(), 2);
}
