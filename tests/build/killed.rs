//! Ctrl-C, and kill -9 of larder or of the process that attends its command, at any moment of a build.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal};

use super::Builder;
use crate::support::store::assert_sound;
use crate::support::tarball::noise;
use crate::support::{need, wait_for};

/// Each of these is to be done anew.
const STEPS: &str = "RUN echo one > /one; seq 20000 > /numbers; setsid sleep 600 &\n\
    COPY file /copied/file\n\
    RUN rm /numbers /bin/wget; mkdir /two; ln /one /two/one; setsid sleep 600 & sleep 0.05\n\
    WORKDIR /three\n\
    RUN echo three > three\n";

#[test]
fn a_build_that_is_killed_at_any_of_50_moments_leaves_nothing() {
    const MOMENTS: usize = 50;
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    builder.sandbox.set("SOURCE_DATE_EPOCH", "1700000000");
    std::fs::write(builder.context().join("file"), noise(1, 200_000)).unwrap();
    let dockerfile = format!("{}{STEPS}", builder.marked());
    let begun = Instant::now();
    let expected = builder.ok(&dockerfile, &["--no-cache"]).digest;
    let mut took = begun.elapsed();
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    let random = noise(seed.into(), 2 * MOMENTS);
    let (mut ids, mut killed) = (Vec::new(), 0);
    for pair in random.chunks(2) {
        let after = took.mul_f64(f64::from(pair[0]) / 256.0);
        let is_attendant = pair[1] % 3 == 0;
        match kill_after(&builder, &dockerfile, after, is_attendant, &mut ids) {
            true => killed += 1,
            // The machine has become faster.
            false => took = took.mul_f64(0.9),
        }
        // Whoever is left of a command has seen it and ends; what the kernel ends takes its time.
        wait_for(|| builder.processes().is_empty().then_some(()));
        wait_for(|| mounted(&builder).is_empty().then_some(()));
        assert_sound(&builder.sandbox.store());
    }
    assert!(killed > MOMENTS / 3, "seed {seed}: {killed} of {MOMENTS} were killed");
    builder.sandbox.ok(["verify"]);
    let made = builder.ok(&dockerfile, &["--no-cache"]);
    assert_eq!(made.digest, expected, "seed {seed}");
    assert_eq!(builder.ok(&dockerfile, &[]).digest, expected, "seed {seed}");
    builder.sandbox.ok(["gc"]);
    builder.assert_gone(&ids);
    builder.assert_clean();
}

/// Nothing is left for others to clear up.
#[test]
fn a_build_that_is_interrupted_at_any_of_10_moments_clears_up_itself() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    std::fs::write(builder.context().join("file"), noise(1, 200_000)).unwrap();
    let dockerfile = format!("{}{STEPS}", builder.marked());
    let begun = Instant::now();
    builder.ok(&dockerfile, &["--no-cache"]);
    let took = begun.elapsed();
    let seed = SystemTime::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
    for random in noise(seed.into(), 10) {
        let after = took.mul_f64(f64::from(random) / 256.0);
        let larder = builder.command(&dockerfile, &["--no-cache"]);
        // A test that was started in the background hands on that a signal is ignored.
        let mut command = builder.sandbox.enclose(Command::new("env"));
        command.arg("--default-signal").arg(larder.get_program()).args(larder.get_args());
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // Before it listens a signal just ends it.
        wait_for(|| listens(child.id()).then_some(()));
        std::thread::sleep(after);
        let _ = rustix::process::kill_process(Pid::from_child(&child), Signal::INT);
        let code = child.wait().unwrap().code();
        assert!(matches!(code, Some(0 | 130)), "seed {seed}, after {after:?}: {code:?}");
        builder.assert_gone(&[]);
        builder.assert_clean();
    }
}

#[test]
fn gc_clears_up_after_an_attendant_that_was_killed_and_not_after_one_that_lives() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let start = |text: &str| {
        let dockerfile = format!("{}RUN echo {text}; sleep 600\n", builder.marked());
        let mut command = builder.command(&dockerfile, &["--no-cache"]);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut told = BufReader::new(child.stderr.take().unwrap()).lines();
        assert!(told.any(|line| line.unwrap() == text));
        (child, told)
    };
    let (mut living, _told) = start("lives");
    let ids = builder.ids();
    let (mut killed, _told) = start("is killed");
    rustix::process::kill_process(attendant(Pid::from_child(&killed)), Signal::KILL).unwrap();
    assert_eq!(killed.wait().unwrap().code(), Some(1));
    assert_eq!(builder.ids().len(), 2);
    assert_eq!(builder.sandbox.json(["gc", "--dry-run"])["leftovers"], 1);
    assert_eq!(builder.ids().len(), 2);
    assert_eq!(builder.sandbox.json(["gc"])["leftovers"], 1);
    assert_eq!(builder.ids(), ids);
    assert!(living.try_wait().unwrap().is_none());
    rustix::process::kill_process(Pid::from_child(&living), Signal::TERM).unwrap();
    living.wait().unwrap();
    assert_eq!(builder.sandbox.json(["gc"])["leftovers"], 0);
    builder.assert_gone(&ids);
    builder.assert_clean();
}

/// Whether a process has a handler for SIGINT, or has ended.
fn listens(pid: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let caught = caught.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok());
    caught.is_none_or(|caught| caught & (1 << 1) != 0) || status.contains("State:\tZ")
}

/// Starts a build and kills a process of it after a while; whether that was there to be killed.
fn kill_after(
    builder: &Builder,
    dockerfile: &str,
    after: Duration,
    is_attendant: bool,
    ids: &mut Vec<String>,
) -> bool {
    let mut command = builder.command(dockerfile, &["--no-cache"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    std::thread::sleep(after);
    ids.extend(builder.ids());
    let larder = Pid::from_child(&child);
    let whom = if is_attendant { attendant(larder) } else { larder };
    // One that has just ended is a zombie until it is waited for, and may be killed; an attendant is gone.
    let was_there = rustix::process::kill_process(whom, Signal::KILL).is_ok();
    let status = child.wait().unwrap();
    was_there && !status.success()
}

/// The first child of larder, or larder itself where there is none yet.
fn attendant(larder: Pid) -> Pid {
    let pid = larder.as_raw_nonzero();
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    children.split_whitespace().next().and_then(|pid| Pid::from_raw(pid.parse().unwrap())).unwrap_or(larder)
}

/// What is mounted of the sandbox in the namespace of any process.
fn mounted(builder: &Builder) -> Vec<String> {
    let mark = builder.sandbox.root().to_str().unwrap();
    let mut found = Vec::new();
    for process in std::fs::read_dir("/proc").unwrap().flatten() {
        let mounts = std::fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
        found.extend(mounts.lines().filter(|line| line.contains(mark)).map(str::to_owned));
    }
    found
}
