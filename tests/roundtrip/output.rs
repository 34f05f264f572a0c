//! Where an archive goes: whole, or nothing of it.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::process::Command;

use super::{GCC, export, imported};
use crate::support::{Sandbox, describe, holder, need, peer, run, wait_for};

/// All names in a directory, hidden ones too.
fn names(dir: &std::path::Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[test]
fn an_existing_file_is_replaced_and_a_bad_place_is_refused() {
    let sandbox = imported("docker20.tar");
    let out = sandbox.path("out");
    std::fs::create_dir(&out).unwrap();
    std::fs::write(out.join("image.tar"), "an older archive").unwrap();
    export(&sandbox, GCC, "out/image.tar", &[]);
    assert!(std::fs::metadata(out.join("image.tar")).unwrap().len() > 4096);

    for (place, code, named) in [
        ("out", 2, "out"),
        ("out/..", 2, "out/.."),
        ("out/missing/image.tar", 1, "out/missing"),
        ("out/image.tar/image.tar", 1, "out/image.tar"),
    ] {
        let output = sandbox.larder(["export", GCC, "-o", place]);
        assert_eq!(output.status.code(), Some(code), "{place}: {output:?}");
        assert!(output.stdout.is_empty());
        assert!(String::from_utf8(output.stderr).unwrap().contains(named), "{place}");
    }
    assert_eq!(names(&out), ["image.tar"]);
    sandbox.fail(["export", "no-such-image", "-o", "out/none.tar"], 3);
    sandbox.fail(["export", GCC], 2);
    sandbox.fail(["export", GCC, "-o", "out/x.tar", "--to-docker"], 2);
    assert_eq!(names(&out), ["image.tar"]);
}

#[test]
fn stdout_has_the_archive_and_nothing_else() {
    let sandbox = imported("docker20.tar");
    export(&sandbox, GCC, "image.tar", &[]);
    let piped = sandbox.larder(["export", GCC, "-o", "-"]);
    assert!(piped.status.success());
    assert_eq!(piped.stdout, std::fs::read(sandbox.path("image.tar")).unwrap());
    let other = Sandbox::new();
    let output = crate::support::feed(&mut other.command(["import", "-"]), &piped.stdout);
    assert!(output.status.success());
}

#[test]
fn a_pipe_or_a_device_is_written_as_it_is() {
    let sandbox = imported("docker20.tar");
    export(&sandbox, GCC, "image.tar", &[]);
    run(Command::new("mkfifo").arg(sandbox.path("fifo")));
    let mut larder = sandbox.command(["export", GCC, "-o", "fifo"]).spawn().unwrap();
    let read = std::fs::read(sandbox.path("fifo")).unwrap();
    assert!(larder.wait().unwrap().success());
    assert_eq!(read, std::fs::read(sandbox.path("image.tar")).unwrap());
    assert!(std::fs::metadata(sandbox.path("fifo")).unwrap().file_type().is_fifo(), "it stays a pipe");
    export(&sandbox, GCC, "/dev/null", &[]);
    for args in [["export", GCC, "-o", "/dev/full"], ["export", GCC, "-o", "-"]] {
        let mut command = sandbox.command(args);
        command.stdout(std::fs::File::options().write(true).open("/dev/full").unwrap());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", describe(&command, &output));
        assert!(String::from_utf8(output.stderr).unwrap().contains("No space left"));
    }
}

#[test]
fn a_reader_that_goes_away_did_not_get_an_archive() {
    let sandbox = Sandbox::new();
    let archive = crate::support::tarball::docker_archive(
        "big:1",
        &[crate::support::tarball::layer("noise", &crate::support::tarball::noise(3, 1 << 20))],
    );
    assert!(crate::support::feed(&mut sandbox.command(["import", "-"]), &archive).status.success());
    let mut larder = sandbox.command(["export", "big:1", "-o", "-"]);
    let mut larder =
        larder.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(larder.stdout.take());
    let output = larder.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8(output.stderr).unwrap().contains("Broken pipe"));
}

#[test]
fn a_full_disk_leaves_nothing_behind() {
    let sandbox = imported("docker20.tar");
    need!(peer::root().and_then(|()| peer::tool("unshare")), "root");
    std::fs::create_dir(sandbox.path("out")).unwrap();
    let larder = sandbox.command(["export", GCC, "-o", "out/image.tar"]);
    // Too small for the archive; large enough, but without a free inode.
    for (options, why) in [("size=8k", "are free"), ("size=1m,nr_inodes=1", "No space left")] {
        let mut unshare = sandbox.enclose(peer::tool("unshare").unwrap());
        unshare.args(["--mount", "--propagation", "private", "sh", "-c"]);
        unshare.arg("mount -t tmpfs -o \"$1\" tmpfs out && shift && \"$@\"; echo \"exit $?\"; ls -A out");
        unshare.args(["sh", options]).arg(larder.get_program()).args(larder.get_args());
        let output = unshare.output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "exit 1\n", "{}", describe(&unshare, &output));
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(why) && said.contains("out") && said.contains("hint: "), "{options}: {said}");
    }
}

#[test]
fn a_disk_that_fails_in_the_middle_leaves_nothing_behind() {
    let sandbox = imported("docker20.tar");
    let out = sandbox.path("out");
    std::fs::create_dir(&out).unwrap();
    for fault in [
        "write:error=ENOSPC:when=3",
        "write:error=EIO:when=5",
        "fsync,fdatasync:error=EIO:when=1",
        "renameat,renameat2,rename:error=EIO:when=1",
    ] {
        let larder = sandbox.command(["export", GCC, "-o", "out/image.tar", "--jobs", "1"]);
        let mut strace = sandbox.enclose(need!(peer::tool("strace"), "strace"));
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("inject={fault}")]);
        strace.arg(larder.get_program()).args(larder.get_args());
        let output = strace.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{fault}: {}", describe(&strace, &output));
        assert!(String::from_utf8_lossy(&output.stderr).contains("image.tar"), "{fault}");
        assert!(names(&out).is_empty(), "{fault}: {:?}", names(&out));
        crate::support::store::assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn a_signal_in_the_middle_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let archive = crate::support::tarball::docker_archive(
        "big:1",
        &[crate::support::tarball::layer("noise", &crate::support::tarball::noise(4, 4 << 20))],
    );
    assert!(crate::support::feed(&mut sandbox.command(["import", "-"]), &archive).status.success());
    let out = sandbox.path("out");
    std::fs::create_dir(&out).unwrap();
    for (signal, code) in [(rustix::process::Signal::INT, 130), (rustix::process::Signal::TERM, 143)] {
        // Slow writes, so that the signal finds it at work.
        let larder = sandbox.command(["export", "big:1", "-o", "out/image.tar", "--jobs", "1"]);
        let mut strace = sandbox.enclose(need!(peer::tool("strace"), "strace"));
        strace.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=write:delay_exit=200000"]);
        let mut child = strace.arg(larder.get_program()).args(larder.get_args()).spawn().unwrap();
        // The first bytes of the archive are there: the process that holds the file is larder.
        let pid = wait_for(|| names(&out).iter().find_map(|name| holder(&out.join(name))));
        rustix::process::kill_process(pid, signal).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(code), "{signal:?}");
        assert!(names(&out).is_empty(), "{signal:?}: {:?}", names(&out));
        crate::support::store::assert_nothing_pending(&sandbox.store());
    }
}

#[test]
fn an_archive_may_be_read_by_others() {
    let sandbox = imported("docker20.tar");
    export(&sandbox, GCC, "image.tar", &[]);
    let mode = std::fs::metadata(sandbox.path("image.tar")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);
}
