//! The power fails at a random moment, while images come, move, go and are swept.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Desk;
use crate::support::disks::{here, own_namespace};
use crate::support::store::{assert_sound, named};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, describe, say};

const WRITERS: u64 = 3;
const EATEN: &str = "eaten:1";
/// How long a round may take before it is cut all the same.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a name means: by the last command that ended with 0, and by one that has not ended.
#[derive(Debug, Clone, Default)]
struct State {
    sure: Option<String>,
    maybe: Option<Option<String>>,
}

/// The archives, and the digest that each one's manifest has.
struct Images {
    digests: BTreeMap<String, String>,
}

impl Images {
    /// Two versions for each writer, on a common base, and one that is large enough to be eaten.
    fn make(sandbox: &Sandbox) -> Self {
        let base = layer("base", &noise(1, 300_000));
        let mut digests = BTreeMap::new();
        let mut make = |file: &str, name: &str, layers: &[Vec<u8>]| {
            std::fs::write(sandbox.path(file), docker_archive(name, layers)).unwrap();
            let elsewhere = sandbox.path("elsewhere");
            let mut import = sandbox.command(["import", file, "--replace"]);
            crate::support::run(import.env("LARDER_STORE", &elsewhere));
            digests.insert(file.to_owned(), named(&elsewhere, name).unwrap());
        };
        for writer in 0..WRITERS {
            for (version, seed) in [("a", 10 + writer), ("b", 20 + writer)] {
                let layers = [base.clone(), layer("own", &noise(seed, 100_000))];
                make(&format!("{writer}{version}.tar"), &format!("w{writer}:1"), &layers);
            }
        }
        make("eaten.tar", EATEN, &[layer("noise", &noise(30, 5 << 20))]);
        Self { digests }
    }
}

/// What happens until the power is cut.
struct Round<'a> {
    desk: &'a Desk,
    images: &'a Images,
    states: &'a Mutex<BTreeMap<String, State>>,
    is_cut: AtomicBool,
    /// Commands on names that ended with 0.
    done: AtomicU64,
}

impl Round<'_> {
    /// Runs a command after which `name` means `digest`; whether it ended with 0. Only a cut may make it fail.
    fn does(&self, args: &[&str], name: &str, digest: Option<&String>) -> bool {
        let state = |change: &dyn Fn(&mut State)| {
            change(self.states.lock().unwrap().entry(name.to_owned()).or_default());
        };
        state(&|state| state.maybe = Some(digest.cloned()));
        let is_done = self.runs(args);
        self.done.fetch_add(u64::from(is_done), Ordering::SeqCst);
        if is_done {
            state(&|state| *state = State { sure: digest.cloned(), maybe: None });
        }
        is_done
    }

    fn runs(&self, args: &[&str]) -> bool {
        let mut command = self.desk.sandbox.command(args);
        let output = command.output().unwrap();
        let was_cut = self.is_cut.load(Ordering::SeqCst);
        assert!(output.status.success() || was_cut, "{}", describe(&command, &output));
        output.status.success() && !was_cut
    }

    fn write(&self, writer: u64) {
        let (one, two) = (format!("w{writer}:1"), format!("w{writer}:2"));
        loop {
            for version in ["a", "b"] {
                let file = format!("{writer}{version}.tar");
                let digest = self.images.digests.get(&file);
                let goes_on = self.does(&["import", &file, "--replace"], &one, digest)
                    && self.does(&["tag", &one, &two], &two, digest)
                    && self.does(&["rm", &one], &one, None);
                if !goes_on {
                    return;
                }
            }
        }
    }

    fn eat(&self, archive: &Path) {
        let archive = archive.to_str().unwrap();
        let digest = self.images.digests.get("eaten.tar");
        self.does(&["import", archive, "--consume"], EATEN, digest);
    }

    fn collect(&self) {
        while self.runs(&["gc", "--grace", "0s"]) {}
    }
}

/// Cuts the power so many times; nothing that ended with 0 may be lost.
fn nothing_is_lost(rounds: u64) {
    let desk = Desk::new();
    let images = Images::make(&desk.sandbox);
    let bytes = std::fs::read(desk.sandbox.path("eaten.tar")).unwrap();
    let states = Mutex::new(BTreeMap::new());
    desk.sandbox.ok(["init"]);
    let mut uncertain = 0;
    for number in 0..rounds {
        let archive = desk.put("eaten.tar", &bytes);
        let round =
            Round { desk: &desk, images: &images, states: &states, is_cut: false.into(), done: 0.into() };
        std::thread::scope(|scope| {
            let round = &round;
            let mut threads: Vec<_> =
                (0..WRITERS).map(|writer| scope.spawn(move || round.write(writer))).collect();
            threads.push(scope.spawn(|| round.eat(&archive)));
            threads.push(scope.spawn(|| round.collect()));
            // Not by the clock alone: a busy machine would have done nothing yet.
            let begun = Instant::now();
            while round.done.load(Ordering::SeqCst) < 3 + number % 13 && begun.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(1));
            }
            std::thread::sleep(Duration::from_millis(number * 37 % 100));
            round.is_cut.store(true, Ordering::SeqCst);
            desk.cut(|| {
                for thread in threads {
                    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                }
            });
        });
        desk.sandbox.ok(["verify"]);
        assert_sound(&desk.store());
        for (name, state) in states.lock().unwrap().iter_mut() {
            let found = named(&desk.store(), name);
            uncertain += usize::from(state.maybe.is_some());
            let is_expected = found == state.sure || state.maybe.as_ref() == Some(&found);
            assert!(is_expected, "round {number}: {name} is {found:?} and was {state:?}");
            *state = State { sure: found, maybe: None };
        }
        finish_eating(&desk, &images, &archive, number);
        states.lock().unwrap().remove(EATEN);
    }
    assert!(uncertain > 0, "no command was ever cut off: the moments are badly chosen");
    say(format_args!(
        "{rounds} power cuts, {uncertain} times in the middle of a command on a name, 0 losses"
    ));
}

/// What was eaten is in the store, or comes there from what is left; then it goes again.
fn finish_eating(desk: &Desk, images: &Images, archive: &Path, number: u64) {
    if archive.exists() {
        desk.sandbox.ok(["import".as_ref(), archive.as_os_str(), "--consume".as_ref()]);
    }
    let found = named(&desk.store(), EATEN);
    assert_eq!(found.as_ref(), images.digests.get("eaten.tar"), "round {number}: the archive is lost");
    desk.sandbox.ok(["verify", EATEN]);
    desk.sandbox.ok(["rm", EATEN]);
    desk.sandbox.ok(["gc", "--grace", "0s"]);
}

#[test]
fn at_a_few_random_moments_nothing_is_lost() {
    if own_namespace(here!()) {
        nothing_is_lost(6);
    }
}

#[test]
#[ignore = "long: 200 cuts"]
fn at_200_random_moments_nothing_is_lost() {
    if own_namespace(here!()) {
        nothing_is_lost(200);
    }
}
