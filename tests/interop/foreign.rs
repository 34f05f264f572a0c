//! Other tools write to the store while larder works. They take no lock, so an update can be lost (docs/interop.md
//! says which); what must hold all the same is held here.

use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::scope;

use super::{Bench, GCC, attempt, tool};
use crate::support::store::{assert_sound, names};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{need, run, wait_for};

/// Rounds of each loop.
const ROUNDS: usize = 12;

/// Both versions of a tool, or `None`.
fn both(name: &str, bench: &Bench) -> Option<[bool; 2]> {
    tool(false, name, bench)?;
    tool(true, name, bench)?;
    Some([false, true])
}

#[test]
fn what_must_hold_while_skopeo_and_umoci_write_to_the_store() {
    let bench = Bench::new();
    let skopeos = need!(both("skopeo", &bench), "skopeo, and skopeo of forky");
    need!(both("umoci", &bench), "umoci, and umoci of forky");
    let running = AtomicBool::new(true);
    // Two skopeos that write index.json in place at once leave one that is neither's; that is not what is tried here.
    let turn = Mutex::new(());
    let failures = scope(|scope| {
        let foreign = skopeos.map(|newest| {
            let (bench, running, turn) = (&bench, &running, &turn);
            scope.spawn(move || {
                let which = if newest { "newest" } else { "distribution" };
                for round in (0..).take_while(|_| running.load(Ordering::Relaxed)) {
                    let target = format!("oci:store:{which}-{}", round % 4);
                    let copy = ["--insecure-policy", "copy", "-q", "docker-archive:image.tar", &target];
                    let image = format!("store:{GCC}");
                    let tagged = format!("store:{which}");
                    let commands: [(&str, &[&str]); 3] = [
                        ("skopeo", &copy),
                        ("umoci", &["tag", "--image", &image, which]),
                        ("umoci", &["rm", "--image", &tagged]),
                    ];
                    for (name, args) in commands {
                        let _turn = turn.lock().unwrap();
                        // Theirs may fail: a name of theirs is gone by an update of ours.
                        drop(attempt(tool(newest, name, bench).unwrap().args(args)));
                    }
                }
            })
        });
        let ours = scope.spawn(|| {
            let mut failures = Vec::new();
            for round in 0..ROUNDS {
                let (tag, import) = (format!("ours:{round}"), format!("imported:{round}"));
                let commands: [&[&str]; 5] = [
                    &["tag", GCC, &tag],
                    &["import", "two.tar", "--image", super::CLANG, "--name", &import],
                    &["images", "--format", "json"],
                    // A name can be gone by a lost update, which is exit code 3 and no failure.
                    &["rm", &tag],
                    &["rm", &import],
                ];
                for args in commands {
                    let output = bench.sandbox.larder(args);
                    let gone = args[0] == "rm" && output.status.code() == Some(3);
                    if !output.status.success() && !gone {
                        failures.push(format!("{args:?}: {output:?}"));
                    }
                }
            }
            failures
        });
        let failures = ours.join();
        running.store(false, Ordering::Relaxed);
        foreign.into_iter().for_each(|thread| thread.join().unwrap());
        failures.unwrap()
    });
    assert!(failures.is_empty(), "{}", failures.join("\n"));
    let store = bench.sandbox.store();
    assert_sound(&store);
    bench.sandbox.ok(["verify"]);
    let left = names(&store);
    assert!(left.contains(GCC), "what nobody removes stays: {left:?}");
    // And it goes on: the next update of either side is kept.
    bench.sandbox.ok(["tag", GCC, "afterwards:1"]);
    run(tool(true, "umoci", &bench).unwrap().args(["tag", "--image", &format!("store:{GCC}"), "afterwards"]));
    let after = names(&store);
    assert!(
        after.is_superset(&left) && after.contains("afterwards:1") && after.contains("afterwards"),
        "{after:?}"
    );
}

/// The limit, forced: skopeo reads the index when it begins and writes that one, with its own entry, when it ends.
/// If this ever fails because the name is kept, docs/interop.md says too much.
#[test]
fn skopeo_undoes_what_happened_to_the_index_since_it_began() {
    let bench = Bench::new();
    // Large enough to be found at work.
    let archive = docker_archive("large:1", &[layer("noise", &noise(1, 64 << 20))]);
    std::fs::write(bench.sandbox.path("large.tar"), archive).unwrap();
    let store = bench.sandbox.store();
    for newest in need!(both("skopeo", &bench), "skopeo, and skopeo of forky") {
        let target = format!("oci:store:theirs-{newest}");
        let mut skopeo = tool(newest, "skopeo", &bench).unwrap();
        skopeo.args(["--insecure-policy", "copy", "-q", "docker-archive:large.tar", &target]);
        let child = skopeo.spawn().unwrap();
        let writes_a_blob = || {
            let mut files = std::fs::read_dir(&store).unwrap().map(|file| file.unwrap().file_name());
            files.find(|name| name.to_string_lossy().starts_with("oci-put-blob"))
        };
        wait_for(writes_a_blob);
        let signal = |name: &str| run(Command::new("kill").args(["-s", name, &child.id().to_string()]));
        signal("STOP");
        bench.sandbox.ok(["tag", GCC, "lost:1"]);
        bench.sandbox.ok(["import", "two.tar", "--image", super::CLANG, "--name", "lost:2"]);
        assert!(names(&store).contains("lost:1"));
        signal("CONT");
        assert!(child.wait_with_output().unwrap().status.success());

        let left = names(&store);
        assert!(left.contains(&format!("theirs-{newest}")) && left.contains(GCC), "{left:?}");
        assert!(!left.contains("lost:1") && !left.contains("lost:2"), "{left:?}");
        // The names are lost, the content is not: the same import brings in no byte.
        bench.sandbox.ok(["verify"]);
        assert_sound(&store);
        let args = ["import", "two.tar", "--image", super::CLANG, "--name", "found:2"];
        assert_eq!(bench.sandbox.json(args)[0]["new_bytes"], 0);
        bench.sandbox.ok(["rm", "found:2"]);
    }
}

/// umoci's sweep takes no lock and knows no lease, but at rest it takes nothing that an entry of ours needs.
#[test]
fn umoci_gc_at_rest_takes_nothing_of_ours() {
    let bench = Bench::new();
    let store = bench.sandbox.store();
    bench.sandbox.ok(["import", "two.tar", "--image", super::CLANG, "--name", "moved:1"]);
    bench.sandbox.ok(["tag", GCC, "pinned:1"]);
    bench.sandbox.ok(["pin", "pinned:1"]);
    // What a name has lost stays as an entry without a name.
    bench.sandbox.ok(["import", "image.tar", "--name", "moved:1", "--replace"]);
    let before = crate::support::store::entries(&store);
    for newest in need!(both("umoci", &bench), "umoci, and umoci of forky") {
        run(tool(newest, "umoci", &bench).unwrap().args(["gc", "--layout", "store"]));
        assert_eq!(crate::support::store::entries(&store), before, "newest: {newest}");
        assert_sound(&store);
        bench.sandbox.ok(["verify"]);
    }
    // A document that no entry names is what it is there to take.
    assert!(bench.sandbox.json(["images"]).as_array().unwrap().len() == 3);
    let stray = store.join("blobs/sha256").join("0".repeat(64));
    std::fs::write(&stray, "of nobody").unwrap();
    run(tool(true, "umoci", &bench).unwrap().args(["gc", "--layout", "store"]));
    assert!(!stray.exists(), "it did sweep");
}
