//! Everything at once, as long as one likes: writers, collectors without any grace, readers, exports, builds, hand-overs. Nothing
//! that has a name is lost (G3, G4), collecting goes on, and nobody waits long for a lock.
//!
//! Every writer knows what its names mean, and looks at it through an export: the layers must be what went in.
//! `LARDER_SOAK_SECONDS` is the length, 20 s otherwise; the long form takes ten minutes.

mod others;
mod waits;
mod writers;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::store::{assert_nothing_pending, assert_sound, names};
use crate::support::{Docker, Sandbox, describe, peer, say};
use waits::Waits;
use writers::Writer;

const WRITERS: u64 = 4;

/// What frees space, each by a process of its own, again and again. Another command that does is a line here; it
/// prints JSON with `freed_bytes`.
const COLLECTORS: &[&[&str]] = &[
    &["gc", "--grace", "0s"],
    &["gc", "--grace", "0s"],
    // What was displaced goes, and nothing that has a name.
    &["prune", "--max-age", "0s", "--min-age", "0s", "--protect", "*"],
];
/// Completed collections a minute that free something, all together, at least.
const COLLECTIONS: u64 = 20;
/// How long 99 of 100 waits for a lock may be.
const PATIENCE: Duration = Duration::from_secs(2);

/// What all have in common.
struct Soak {
    sandbox: Sandbox,
    is_over: AtomicBool,
    freeing: AtomicUsize,
    commands: AtomicUsize,
}

impl Soak {
    /// Runs a command that must end with one of these codes; its code and its stdout.
    fn runs(&self, args: &[&str], codes: &[i32]) -> (i32, Vec<u8>) {
        let mut command = self.sandbox.command(args);
        let output = command.output().unwrap();
        self.commands.fetch_add(1, Ordering::Relaxed);
        let code = output.status.code().unwrap_or(-1);
        assert!(codes.contains(&code), "{}", describe(&command, &output));
        (code, output.stdout)
    }

    /// Does this again and again until the time is over. Where one fails, all stop.
    fn repeats(&self, mut work: impl FnMut(u64)) {
        let _stop = Stop(&self.is_over);
        for turn in 0.. {
            if self.is_over.load(Ordering::Relaxed) {
                return;
            }
            work(turn);
        }
    }
}

/// Ends the soak when the thread panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.store(true, Ordering::Relaxed);
        }
    }
}

fn soak(length: Duration, docker: Option<&Docker>) {
    let mut sandbox = Sandbox::new();
    if let Some(docker) = docker {
        sandbox.use_docker(docker);
    }
    let writers: Vec<_> = (0..WRITERS).map(|number| Writer::new(&sandbox, number)).collect();
    others::keep_one(&sandbox);
    let soak = Soak { sandbox, is_over: false.into(), freeing: 0.into(), commands: 0.into() };
    let (waits, begun) = (Waits::default(), Instant::now());
    std::thread::scope(|scope| {
        let soak = &soak;
        for writer in &writers {
            scope.spawn(move || soak.repeats(|turn| writer.turn(soak, turn)));
        }
        for collector in COLLECTORS {
            scope.spawn(move || soak.repeats(|_| others::collect(soak, collector)));
        }
        for reader in [others::look, others::check] {
            scope.spawn(move || soak.repeats(|turn| reader(soak, turn)));
        }
        for worker in [others::export, others::build] {
            scope.spawn(move || soak.repeats(|turn| worker(soak, turn)));
        }
        if let Some(docker) = docker {
            scope.spawn(move || soak.repeats(|_| others::hand_over(soak, docker)));
        }
        let waits = &waits;
        scope.spawn(move || waits.measure(soak));
        while begun.elapsed() < length && !soak.is_over.load(Ordering::Relaxed) {
            std::thread::sleep(Duration::from_millis(50));
        }
        soak.is_over.store(true, Ordering::Relaxed);
    });
    let seconds = begun.elapsed().as_secs().max(1);
    let store = soak.sandbox.store();
    for writer in &writers {
        writer.assert_all_there(&soak);
    }
    soak.sandbox.ok(["verify"]);
    soak.sandbox.ok(["gc", "--grace", "0s"]);
    assert_sound(&store);
    assert_nothing_pending(&store);
    assert_eq!(names(&store).len(), WRITERS as usize + 1);
    let a_minute = soak.freeing.load(Ordering::Relaxed) as u64 * 60 / seconds;
    let (p99, figures) = waits.figures();
    let commands = soak.commands.load(Ordering::Relaxed);
    say(format_args!(
        "soak: {seconds} s, {commands} commands, 0 losses; {a_minute} collections a minute freed something; \
         waits for locks: {figures}"
    ));
    assert!(a_minute >= COLLECTIONS, "only {a_minute} collections a minute freed something");
    assert!(p99 <= PATIENCE, "waits for locks: {figures}");
}

fn length(least: u64) -> Duration {
    let asked = std::env::var("LARDER_SOAK_SECONDS").ok().map(|seconds| seconds.parse().expect("seconds"));
    Duration::from_secs(asked.unwrap_or(least))
}

/// Hand-overs are part of it where an engine is there; the rest needs none.
#[test]
fn nothing_is_lost_while_everything_happens_at_once() {
    soak(length(20), peer::docker28c().as_ref());
}

#[test]
#[ignore = "long: ten minutes"]
fn nothing_is_lost_for_ten_minutes() {
    soak(length(600), peer::docker28c().as_ref());
}
