//! How long a hold lives: as long as its command, or anything that it started.

use std::process::Stdio;

use rustix::process::Signal;

use super::{Running, WAITS, holds, swept};
use crate::roundtrip::{GCC, imported};
use crate::support::store::{assert_nothing_pending, blobs};
use crate::support::wait_for;

#[test]
fn killing_larder_frees_nothing() {
    let sandbox = imported("docker20.tar");
    let before = blobs(&sandbox.store());
    // Nothing that a script does with its descriptors matters.
    let script = format!("for n in 3 4 5 6 7 8 9; do eval \"exec $n</dev/null\"; done; {WAITS}");
    let mut running = Running::hold(&sandbox, GCC, &script);
    sandbox.ok(["rm", GCC]);
    running.signal(Signal::KILL);
    assert_eq!(running.child.wait().unwrap().code(), None);
    let [hold] = &holds(&sandbox)[..] else { panic!("one hold") };
    assert_eq!((&hold["process"], &hold["process_ended"]), (&running.child.id().into(), &true.into()));
    assert!(sandbox.ok(["holds"]).contains("(ended; what it started runs)"));
    assert_eq!(swept(&sandbox), 0);
    assert_eq!(blobs(&sandbox.store()), before);
    // Its end is the end of the command.
    drop(running.stdin.take());
    wait_for(|| holds(&sandbox).is_empty().then_some(()));
    assert_eq!(swept(&sandbox), before.len());
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn what_the_command_left_in_the_background_keeps_it() {
    let sandbox = imported("docker20.tar");
    // A shell gives a background job no stdin but what it is told to.
    let script = "exec 3<&0; cat <&3 >/dev/null 2>&1 & echo ready";
    let mut running = Running::hold(&sandbox, GCC, script);
    assert!(running.child.wait().unwrap().success());
    sandbox.ok(["rm", GCC]);
    assert_eq!(holds(&sandbox)[0]["process_ended"], true);
    assert_eq!(swept(&sandbox), 0);
    drop(running.stdin.take());
    wait_for(|| holds(&sandbox).is_empty().then_some(()));
    assert!(swept(&sandbox) > 0);
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn holds_lists_who_has_what() {
    let sandbox = imported("docker20-two.tar");
    assert_eq!(holds(&sandbox), Vec::<serde_json::Value>::new());
    let clang = crate::roundtrip::CLANG;
    let one = Running::hold(&sandbox, GCC, WAITS);
    let mut command = sandbox.command(["hold", "capy-debian-12-clang16", GCC, "--", "sh", "-c", WAITS]);
    command.arg("\u{1b}[2J").stderr(Stdio::null());
    let two = Running::start(command);
    let rows = holds(&sandbox);
    assert_eq!(rows.len(), 2, "{rows:?}");
    let row =
        |running: &Running| rows.iter().find(|row| row["process"] == running.child.id()).unwrap().clone();
    assert_eq!(row(&one)["images"], serde_json::json!([GCC]));
    assert_eq!(row(&one)["command"], serde_json::json!(["sh", "-c", WAITS]));
    assert_eq!((&row(&one)["purpose"], &row(&one)["process_ended"]), (&"hold".into(), &false.into()));
    let since = row(&one)["since"].as_str().unwrap().to_owned();
    let imported = sandbox.json(["inspect", clang])[0]["imported"].as_str().unwrap().to_owned();
    assert!(since.len() == 20 && since >= imported, "{since} {imported}");
    assert_eq!(row(&two)["images"], serde_json::json!(["capy-debian-12-clang16", GCC]), "as asked for");
    assert_eq!(row(&two)["command"][3], "[2J", "control characters are left out");
    assert!(row(&two)["digests"].as_u64() > row(&one)["digests"].as_u64());
    let table = sandbox.ok(["holds"]);
    let pid = one.child.id().to_string();
    let line = table.lines().find(|line| line.split_whitespace().any(|word| word == pid)).unwrap();
    assert!(line.contains(GCC) && line.contains(" s ") && line.contains("sh -c"), "{table}");
    assert!(!table.contains("ended") && !table.contains('\u{1b}'), "{table}");
    assert_eq!((one.end(), two.end()), (Some(0), Some(0)));
    assert_eq!(holds(&sandbox).len(), 0);
}
