//! Killed while it puts right what an earlier kill left (G13): the next command finishes all the same.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::calls::changes;
use super::points::{Point, for_every, watch};
use super::scenario::{Meaning, Scenario, meaning};
use super::{CONSUME, FIRST, GC, INIT, REPLACE, RM, SIBLING};
use crate::support::{Sandbox, describe, need};

/// One of so many points of the first kill, and of the second.
#[derive(Debug, Clone, Copy)]
struct Steps {
    first: usize,
    second: usize,
}

const SHORT: Steps = Steps { first: 17, second: 7 };
const LONG: Steps = Steps { first: 9, second: 1 };

/// The command that comes after the first kill.
#[derive(Debug, Clone, Copy)]
enum Recovery {
    /// The same again.
    Again,
    /// A gc without grace, which takes what the dead has left.
    Collect,
}

impl Recovery {
    fn command(self, scenario: &Scenario, store: &Path) -> Vec<String> {
        match self {
            Self::Again => scenario.command(store),
            Self::Collect => ["gc", "--grace", "0s"].map(str::to_owned).to_vec(),
        }
    }
}

/// Two kills of one store.
struct Twice {
    first: Point,
    recovery: Recovery,
    second: Point,
}

impl Scenario {
    /// A store that was left by this kill.
    fn killed_at(&self, sandbox: &Sandbox, store: &Path, point: &Point) {
        self.prepare(sandbox, store);
        kill(sandbox, &self.command(store), store, point);
    }

    /// How many pairs of kills there were; `None` without strace.
    fn is_killed_twice(&self, recoveries: &[Recovery], steps: Steps) -> Option<usize> {
        let sandbox = Self::sandbox();
        let (before, after) = self.before_and_after(&sandbox);
        let counted = sandbox.path("counted");
        self.prepare(&sandbox, &counted);
        let firsts = changes(&watch(&sandbox, &self.command(&counted), &counted)?);
        let mut pairs = Vec::new();
        let recoveries = recoveries.iter().flat_map(|recovery| {
            let offset = steps.first / 2;
            firsts.iter().skip(offset).step_by(steps.first).map(move |first| (*recovery, first))
        });
        for (number, (recovery, first)) in recoveries.enumerate() {
            let store = sandbox.path(format!("recovered-{number}"));
            self.killed_at(&sandbox, &store, first);
            // A command that was done, and cannot be done again, has nothing to put right.
            let cannot_repeat = !self.can_repeat || self.is_eaten(&store);
            if matches!(recovery, Recovery::Again) && cannot_repeat && meaning(&store) == after {
                continue;
            }
            let seconds = changes(&watch(&sandbox, &recovery.command(self, &store), &store)?);
            Self::clean(&store);
            let seconds = seconds.into_iter().skip(number % steps.second).step_by(steps.second);
            pairs.extend(seconds.map(|second| Twice { first: first.clone(), recovery, second }));
        }
        for_every(&pairs, |number, pair| self.goes_on_after(&sandbox, number, pair, (&before, &after)));
        Some(pairs.len())
    }

    fn goes_on_after(
        &self,
        sandbox: &Sandbox,
        number: usize,
        pair: &Twice,
        (before, after): (&Meaning, &Meaning),
    ) {
        let store = sandbox.path(format!("twice-{number}"));
        let Twice { first, recovery, second } = pair;
        self.killed_at(sandbox, &store, first);
        let between = meaning(&store);
        kill(sandbox, &recovery.command(self, &store), &store, second);
        let found = meaning(&store);
        let case = format!("{first:?}, {recovery:?}, {second:?}");
        // A gc that makes a store first leaves an empty one.
        assert!([before, after, &between].contains(&&found) || found.is_empty(), "{case}: {found:?}");
        assert!(between != *after || found == *after, "{case}: what was done is undone");
        self.check(&store, second);
        self.goes_on(sandbox, &store, second, after);
        Self::clean(&store);
    }
}

fn kill(sandbox: &Sandbox, args: &[String], store: &Path, point: &Point) {
    let mut strace = point.strace(sandbox, args, store, "signal=KILL");
    let output = strace.output().unwrap();
    assert_eq!(output.status.signal(), Some(9), "{point:?}: {}", describe(&strace, &output));
}

macro_rules! twice {
    ($($short:ident, $long:ident: $scenario:expr, $recoveries:expr;)+) => {
        $(
            #[test]
            fn $short() {
                assert!(need!($scenario.is_killed_twice($recoveries, SHORT), "strace") > 0);
            }

            #[test]
            #[ignore = "long: every call of the second"]
            fn $long() {
                assert!(need!($scenario.is_killed_twice($recoveries, LONG), "strace") > 0);
            }
        )+
    };
}

const BOTH: &[Recovery] = &[Recovery::Again, Recovery::Collect];

twice! {
    the_making_of_a_store, the_making_of_a_store_everywhere: INIT, BOTH;
    the_first_import, the_first_import_everywhere: FIRST, BOTH;
    a_siblings_import, a_siblings_import_everywhere: SIBLING, BOTH;
    a_replacing_import, a_replacing_import_everywhere: REPLACE, BOTH;
    a_consuming_import, a_consuming_import_everywhere: CONSUME, BOTH;
    rm, rm_everywhere: RM, BOTH;
    gc, gc_everywhere: GC, &[Recovery::Again];
}
