//! A hand-over that is killed: the store is sound, and the same hand-over puts the engine right.

use std::os::unix::process::ExitStatusExt;
use std::process::Command;

use super::IMPORT_ONE;
use super::calls::{SENDS, changes};
use super::points::{Point, watch};
use super::scenario::Scenario;
use crate::import::GCC;
use crate::support::store::{assert_nothing_pending, assert_sound, index_text};
use crate::support::{Docker, describe, need, peer, run};

const HAND_OVER: Scenario = Scenario {
    prepare: &[IMPORT_ONE],
    command: &["export", "--to-docker", GCC, "--jobs", "1"],
    can_repeat: true,
};

/// Kills it at one of so many points: every change of the store is one, and every piece that the engine is sent.
fn is_killed(docker: &Docker, step: usize) -> Option<()> {
    let mut sandbox = Scenario::sandbox();
    sandbox.use_docker(docker);
    let (base, store) = (sandbox.path("base"), sandbox.store());
    HAND_OVER.prepare(&sandbox, &base);
    let begin_anew = || {
        let _ = std::fs::remove_dir_all(&store);
        run(Command::new("cp").arg("-a").arg(&base).arg(&store));
        docker.empty();
    };
    begin_anew();
    let command = HAND_OVER.command(&store);
    let mut points = changes(&watch(&sandbox, &command, &store)?);
    // Threads wake each other by writes, more or less often: where the record's write is, is not known beforehand.
    let last = points.iter().filter(|point| point.call == "write").map(|point| point.when).max();
    points.retain(|point| point.call != "write");
    points.extend((1..=last.map_or(0, |last| last + 3)).map(|when| Point { call: "write".into(), when }));
    let right = docker.image_id(GCC).unwrap();
    let index = index_text(&store);
    let mut killed = 0;
    for point in points.iter().step_by(step) {
        begin_anew();
        let mut strace = point.strace(&sandbox, &command, &store, "signal=KILL");
        let output = strace.output().unwrap();
        let is_killed = output.status.signal() == Some(9);
        killed += usize::from(is_killed);
        // How many pieces there are depends on who is faster.
        let varies = SENDS.contains(&point.call.as_str()) || point.call == "write";
        let may_be_missed = varies && output.status.success();
        assert!(is_killed || may_be_missed, "{point:?}: {}", describe(&strace, &output));
        assert_sound(&store);
        sandbox.ok(["verify"]);
        assert_eq!(index_text(&store), index, "{point:?}");
        let found = docker.image_id(GCC);
        assert!(found.is_none() || found.as_ref() == Some(&right), "{point:?}: the name means {found:?}");
        let said = sandbox.ok(["export", "--to-docker", GCC]);
        assert_eq!(said.trim(), GCC);
        assert_eq!(docker.image_id(GCC).as_ref(), Some(&right), "{point:?}");
        let mut hello = docker.command(["run", "--rm", "--pull=never", "--network=host", GCC]);
        let ran = hello.output().unwrap();
        assert!(ran.status.success() && !ran.stdout.is_empty(), "{point:?}: {}", describe(&hello, &ran));
        sandbox.ok(["gc", "--grace", "0s"]);
        assert_nothing_pending(&store);
    }
    assert!(killed * 10 >= points.len() / step * 7, "{killed} of {} were killed", points.len() / step);
    Some(())
}

macro_rules! on {
    ($($short:ident, $long:ident: $engine:expr, $name:literal;)+) => {
        $(
            #[test]
            fn $short() {
                need!(is_killed(&need!($engine, $name), 10), "strace");
            }

            #[test]
            #[ignore = "long: every call"]
            fn $long() {
                need!(is_killed(&need!($engine, $name), 1), "strace");
            }
        )+
    };
}

on! {
    docker20, docker20_at_every_call: peer::docker20(), "Docker 20.10";
    docker28, docker28_at_every_call: peer::docker28(), "Docker 28";
    docker28c, docker28c_at_every_call: peer::docker28c(), "Docker 28 with containerd store";
}
