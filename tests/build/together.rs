//! Several builds at a time, and GC in between.

use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use super::Builder;
use crate::support::need;
use crate::support::store::named;

#[test]
fn two_builds_of_the_same_at_a_time_make_the_same() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    builder.sandbox.set("SOURCE_DATE_EPOCH", "1700000000");
    std::fs::write(builder.context().join("file"), "x").unwrap();
    let dockerfile =
        "FROM busybox:1\nRUN seq 1000 > /one\nCOPY file /two/\nRUN seq 2000 > /three\nWORKDIR /four\n";
    // All are told before the first runs: telling one writes the Dockerfile that they read.
    let mut commands = ["a:1", "b:1", "c:1"].map(|name| builder.command(dockerfile, &["-t", name]));
    let start =
        |command: &mut Command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let children: Vec<Child> = commands.iter_mut().map(start).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let digests = ["a:1", "b:1", "c:1", "made:1"].map(|name| named(&builder.sandbox.store(), name).unwrap());
    assert!(digests.iter().all(|digest| *digest == digests[0]), "{digests:?}");
    builder.assert_gone(&[]);
    builder.assert_clean();
}

#[test]
fn a_build_stands_a_gc_that_never_ends() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), "x").unwrap();
    let dockerfile = "FROM busybox:1 AS one\nRUN seq 1000 > /one\nFROM busybox:1\nCOPY file /two/\nRUN seq 2000 > /three\nCOPY --from=one /one /\nRUN cat /one /two/file /three > /four\n";
    let is_done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let gc = scope.spawn(|| {
            let mut times = 0;
            while !is_done.load(Ordering::Relaxed) {
                builder.sandbox.ok(["gc"]);
                times += 1;
            }
            times
        });
        for round in 0..6 {
            let args: &[&str] = if round % 3 == 2 { &[] } else { &["--no-cache"] };
            builder.ok(dockerfile, args);
            builder.sandbox.ok(["rm", "made:1"]);
        }
        builder.ok(dockerfile, &[]);
        is_done.store(true, Ordering::Relaxed);
        assert!(gc.join().unwrap() > 0);
    });
    builder.assert_gone(&[]);
    builder.assert_clean();
}
