//! Ctrl-C at any moment of any long command: the store is as before or as after, nothing is pending, and the same command
//! works again.

use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::roundtrip::GCC;
use crate::support::store::{assert_nothing_pending, assert_sound, entries, names};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, fixture, run};

/// How many moments of each command.
const MOMENTS: u32 = 5;

const COMMANDS: [&[&str]; 7] = [
    &["import", "large.tar"],
    &["import", "large.tar.zst"],
    &["import", "large.tar", "--consume"],
    &["export", GCC, "first:1", "-o", "out.tar"],
    &["export", GCC, "first:1", "-o", "out.tar", "--layers", "gzip"],
    &["import", "first.tar", "--verify"],
    &["verify"],
];

/// A sandbox with the archives and a store, like the first one.
fn like(first: &Sandbox) -> Sandbox {
    let sandbox = Sandbox::new();
    let mut copy = std::process::Command::new("cp");
    copy.arg("-a").args(["store", "large.tar", "large.tar.zst", "first.tar"].map(|name| first.path(name)));
    run(copy.arg(sandbox.root()));
    sandbox
}

#[test]
fn any_moment_is_a_good_one_to_stop() {
    let archive = |name: &str, seed: u64| {
        docker_archive(name, &[1, 2].map(|at| layer("noise", &noise(seed + at, 5 << 20))))
    };
    let (large, first) = (archive("large:1", 10), archive("first:1", 20));
    let original = Sandbox::new();
    std::fs::write(original.path("large.tar"), &large).unwrap();
    std::fs::write(original.path("large.tar.zst"), zstd::bulk::compress(&large, 1).unwrap()).unwrap();
    std::fs::write(original.path("first.tar"), first).unwrap();
    original.ok(["import".as_ref(), fixture("docker20.tar").as_os_str(), "first.tar".as_ref()]);
    let mut stopped = 0;
    for command in COMMANDS {
        let sandbox = like(&original);
        let (before, begun) = (names(&sandbox.store()), Instant::now());
        sandbox.ok(command);
        let (whole, after) = (begun.elapsed(), names(&sandbox.store()));
        let at = |moment: u32| {
            let sandbox = like(&original);
            let mut larder = sandbox.command(command);
            let child = larder.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            std::thread::sleep(whole * moment / MOMENTS + Duration::from_millis(3));
            // It may be done already: a process that nobody has waited for can still be sent a signal.
            rustix::process::kill_process(Pid::from_child(&child), Signal::INT).unwrap();
            let output = child.wait_with_output().unwrap();
            let case = format!("{command:?} at {moment} of {MOMENTS}: {output:?}");
            // Until larder has said what it does about signals, the kernel ends it.
            let is_stopped = output.status.code() == Some(130) || output.status.signal() == Some(2);
            assert!(is_stopped || output.status.success(), "{case}");
            let found = names(&sandbox.store());
            assert!(found == before || found == after, "{case}: {found:?}");
            assert!(!output.status.success() || found == after, "{case}");
            assert_nothing_pending(&sandbox.store());
            assert_sound(&sandbox.store());
            if is_stopped {
                assert!(!sandbox.path("out.tar").exists(), "{case}: a part of an archive");
                sandbox.ok(command);
                assert_eq!(names(&sandbox.store()), after, "{case}");
            }
            assert_sound(&sandbox.store());
            assert!(!entries(&sandbox.store()).is_empty());
            usize::from(is_stopped)
        };
        stopped += std::thread::scope(|scope| {
            let moments: Vec<_> = (0..MOMENTS).map(|moment| scope.spawn(move || at(moment))).collect();
            moments.into_iter().map(|moment| moment.join().unwrap()).sum::<usize>()
        });
    }
    assert!(stopped > COMMANDS.len(), "only {stopped} were stopped: the moments came too late");
}
