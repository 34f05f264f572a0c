//! How long a hold lives: as long as its command, or anything that it started.

use std::process::Stdio;

use rustix::process::Signal;

use super::{Running, WAITS, holds, swept};
use crate::roundtrip::{GCC, imported};
use crate::support::Sandbox;
use crate::support::store::{assert_nothing_pending, blobs};
use crate::support::{need, peer, wait_for};

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
    assert_kept_by(&sandbox, &["cat", "sh"]);
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
    assert_kept_by(&sandbox, &["cat"]);
    let planned = sandbox.ok(["prune", "--dry-run", "--explain"]);
    let keeper = &holds(&sandbox)[0]["keepers"][0]["process"];
    let owner = running.child.id();
    let said = format!("in use by hold of sh (process {owner} has ended; kept by process {keeper} (cat))");
    assert!(planned.contains(&said), "{said}: {planned}");
    sandbox.ok(["rm", GCC]);
    assert_eq!(swept(&sandbox), 0);
    drop(running.stdin.take());
    wait_for(|| holds(&sandbox).is_empty().then_some(()));
    assert!(swept(&sandbox) > 0);
    assert_nothing_pending(&sandbox.store());
}

/// Whether these programs, and no others, keep the one hold, whose larder has ended.
fn assert_kept_by(sandbox: &Sandbox, names: &[&str]) {
    let [hold] = &holds(sandbox)[..] else { panic!("one hold") };
    assert_eq!((&hold["process_ended"], &hold["command"]), (&true.into(), &serde_json::json!([])));
    let keepers = hold["keepers"].as_array().unwrap();
    let mut found: Vec<_> = keepers.iter().map(|keeper| keeper["name"].as_str().unwrap()).collect();
    found.sort_unstable();
    assert_eq!(found, names, "{hold}");
    let table = sandbox.ok(["holds"]);
    assert!(table.contains("(ended; kept by ") && table.contains("  sh …"), "{table}");
    for keeper in keepers {
        let pid = keeper["process"].as_u64().unwrap();
        assert!(std::fs::exists(format!("/proc/{pid}")).unwrap(), "{hold}");
        assert!(table.contains(&format!("{pid} {}", keeper["name"].as_str().unwrap())), "{table}");
    }
}

/// What a command is given may be a secret; the store is open to all, and a lease may outlive its process.
#[test]
fn arguments_are_stored_nowhere_and_no_job_shows_anothers() {
    let sandbox = imported("docker20.tar");
    let script = format!("TOKEN=hunter2; {WAITS}");
    let mut running = Running::hold(&sandbox, GCC, &script);
    let pid = running.child.id();
    let secret = b"hunter2";
    for (path, _) in crate::support::store::tree(&sandbox.store().join(".larder")) {
        let bytes = if path.is_file() { std::fs::read(&path).unwrap() } else { Vec::new() };
        assert!(!bytes.windows(secret.len()).any(|found| found == secret), "{}", path.display());
    }
    let planned = sandbox.ok(["prune", "--dry-run", "--explain"]);
    assert!(planned.contains(&format!("in use by hold of sh (process {pid})")), "{planned}");
    // A running process shows its own, to those who may see it.
    assert!(sandbox.ok(["holds"]).contains("TOKEN=hunter2"));
    running.signal(Signal::KILL);
    running.child.wait().unwrap();
    for answer in [sandbox.ok(["holds"]), sandbox.ok(["holds", "--format", "json"]), sandbox.ok(["doctor"])] {
        assert!(!answer.contains("hunter2"), "{answer}");
    }
}

/// Who holds a lock is named by process and program.
#[test]
fn a_lock_error_shows_no_arguments() {
    let sandbox = imported("docker20.tar");
    let mut flock = need!(peer::tool("flock"), "flock");
    flock.arg(sandbox.store().join(".larder/index.lock")).args(["sh", "-c", &format!(": hunter2; {WAITS}")]);
    let holder = Running::start(sandbox.enclose(flock));
    let said = sandbox.fail(["tag", GCC, "x:1", "--lock-timeout", "0"], 6);
    assert!(said.contains(&format!("held by process {} (", holder.child.id())), "{said}");
    assert!(said.contains("(flock)") && !said.contains("hunter2"), "{said}");
    assert_eq!(holder.end(), Some(0));
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
    assert_eq!(row(&two)["command"][3], "\u{1b}[2J", "escaped in JSON");
    assert_eq!((&row(&two)["program"], &row(&two)["words"]), (&"sh".into(), &4.into()));
    assert!(row(&two)["digests"].as_u64() > row(&one)["digests"].as_u64());
    let table = sandbox.ok(["holds"]);
    let pid = one.child.id().to_string();
    let line = table.lines().find(|line| line.split_whitespace().any(|word| word == pid)).unwrap();
    assert!(line.contains(GCC) && line.contains(" s ") && line.contains("sh -c"), "{table}");
    assert!(!table.contains("ended") && !table.contains('\u{1b}'), "{table}");
    assert!(!table.contains('…'), "nothing was cut: {table}");
    let long = Running::hold(&sandbox, GCC, &format!("{WAITS} # {}", "x".repeat(100)));
    let cut = sandbox.ok(["holds"]);
    assert!(cut.lines().any(|line| line.ends_with("xx…")), "{cut}");
    assert_eq!(long.end(), Some(0));
    assert_eq!((one.end(), two.end()), (Some(0), Some(0)));
    assert_eq!(holds(&sandbox).len(), 0);
}
