//! What is held stays.

use super::*;
use crate::support::wait_for;

fn open(sandbox: &Sandbox) -> larder_store::Store {
    larder_store::Store::open(&sandbox.store(), Duration::from_secs(5)).unwrap()
}

#[test]
fn the_file_of_a_held_image_stays_and_by_default_all_others_too() {
    let sandbox = world(&["1", "2", "3"]);
    let (protection, _) = open(&sandbox).protect(&["app:1".to_owned()], "hold").unwrap();
    let pruned = prune_tree(&sandbox, &["--unused-for", "1d"]);
    assert_eq!(
        (code_of(&pruned, "app/1.tar"), code_of(&pruned, "app/2.tar")),
        ("in-use".into(), "busy".into())
    );
    assert!(said(&pruned, "app/1.tar").1.contains("in use by hold"), "{pruned}");
    assert_eq!(files(&sandbox).len(), 3);
    // A limit of size waits for the end of the hold: that is no failure.
    let waiting = prune_tree(&sandbox, &["--max-size", "1kB"]);
    assert!(waiting["over_size"].as_u64().unwrap() > 0 && waiting["waiting_for_holds"] == true, "{waiting}");
    sandbox.fail(["prune", "--tree", "tree", "--min-free", "100%", "--reserve", "1GB"], 4);
    prune_tree(&sandbox, &["--unused-for", "1d", "--when-busy", "evict"]);
    assert_eq!(files(&sandbox), set(&["app/1.tar", "app/3.tar"]));
    drop(protection);
    prune_tree(&sandbox, &["--unused-for", "1d"]);
    assert_eq!(files(&sandbox), set(&["app/3.tar"]));
}

/// Images share layers; holding one of them does not hold the others.
#[test]
fn a_lease_on_shared_layers_holds_no_file() {
    let sandbox = world(&["1", "2", "3"]);
    let (_protection, _) = open(&sandbox).protect(&["app:3".to_owned()], "export").unwrap();
    let pruned = prune_tree(&sandbox, &["--unused-for", "1d"]);
    assert_eq!(code_of(&pruned, "app/3.tar"), "in-use");
    assert_eq!(files(&sandbox), set(&["app/3.tar"]));
}

/// No hold begins between the decision and the deed: whoever wants to hold waits, and so does the prune.
#[test]
fn nothing_goes_while_the_store_lock_is_taken() {
    let sandbox = world(&["1", "2", "3"]);
    let store = open(&sandbox);
    let guard = store.locks().shared().unwrap();
    let said = sandbox.fail(["--lock-timeout", "1", "prune", "--tree", "tree", "--unused-for", "1d"], 6);
    assert!(said.contains("store lock"), "{said}");
    assert_eq!(files(&sandbox).len(), 3);
    let mut prune = sandbox.command(["prune", "--tree", "tree", "--unused-for", "1d"]);
    let mut child = prune.stdout(std::process::Stdio::null()).spawn().unwrap();
    // It has found the folder's files, and waits at the gate.
    wait_for(|| {
        let gate = std::fs::File::open(sandbox.store().join(".larder/gate")).unwrap();
        matches!(gate.try_lock(), Err(std::fs::TryLockError::WouldBlock)).then_some(())
    });
    // Somebody who took no lock changed a file meanwhile.
    std::fs::write(sandbox.path("tree/app/2.tar"), "another file").unwrap();
    drop(guard);
    assert!(child.wait().unwrap().success());
    assert_eq!(files(&sandbox), set(&["app/2.tar", "app/3.tar"]), "it was looked at once more");
}
