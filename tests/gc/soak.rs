//! Writers, readers and collectors at once, without any grace: nothing that has a name is lost.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::support::store::{assert_nothing_pending, assert_sound, names};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, describe};

const SECONDS: u64 = 12;

#[test]
fn nothing_is_lost_while_everything_happens_at_once() {
    let sandbox = Sandbox::new();
    // Two archives share a base, so that one's rm makes the other's layers nearly garbage.
    let base = layer("base", &noise(1, 1 << 20));
    for writer in 0..3 {
        let layers = [base.clone(), layer("own", &noise(10 + writer, 200_000))];
        std::fs::write(
            sandbox.path(format!("{writer}.tar")),
            docker_archive(&format!("w{writer}:1"), &layers),
        )
        .unwrap();
    }
    sandbox.ok(["init"]);
    let (stop, freeing) = (AtomicBool::new(false), AtomicUsize::new(0));
    let larder = |args: &[&str]| {
        let mut command = sandbox.command(args);
        let begun = Instant::now();
        let output = command.output().unwrap();
        (output.status.code(), describe(&command, &output), begun.elapsed(), output.stdout)
    };
    std::thread::scope(|scope| {
        for writer in 0..3 {
            let (larder, stop) = (&larder, &stop);
            scope.spawn(move || {
                let (archive, name) = (format!("{writer}.tar"), format!("w{writer}:1"));
                while !stop.load(Ordering::Relaxed) {
                    for args in [&["import", archive.as_str()][..], &["verify", &name], &["rm", &name]] {
                        let (code, said, _, _) = larder(args);
                        assert_eq!(code, Some(0), "{said}");
                    }
                }
                assert_eq!(larder(&["import", &archive]).0, Some(0));
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let (code, said, _, stdout) = larder(&["gc", "--grace", "0s", "--format", "json"]);
                    assert_eq!(code, Some(0), "{said}");
                    let collected: serde_json::Value = serde_json::from_slice(&stdout).unwrap();
                    freeing.fetch_add(
                        usize::from(collected["freed_bytes"].as_u64() > Some(0)),
                        Ordering::Relaxed,
                    );
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                // What has no name at the moment is no such image; what has one is whole.
                let (code, said, _, _) = larder(&["export", "w0:1", "-o", "/dev/null"]);
                assert!(matches!(code, Some(0 | 3)), "{said}");
            }
        });
        scope.spawn(|| {
            std::thread::sleep(Duration::from_secs(SECONDS));
            stop.store(true, Ordering::Relaxed);
        });
    });
    let freeing = freeing.into_inner();
    assert!(freeing >= 2, "only {freeing} collections freed something");
    assert_eq!(names(&sandbox.store()).len(), 3);
    sandbox.ok(["verify"]);
    sandbox.ok(["gc", "--grace", "0s"]);
    assert_sound(&sandbox.store());
    assert_nothing_pending(&sandbox.store());
}
