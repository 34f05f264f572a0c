//! Repairs beside each other, and beside everything else that works on the store.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use larder_store::Store;

use super::{Harm, column, quarantine, repair, state};
use crate::import::{CLANG, GCC};
use crate::roundtrip::imported;
use crate::support::sandbox::NOBODY;
use crate::support::store::{assert_nothing_pending, assert_sound, blob_path, document, named};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, describe, fixture, holder, need, peer, run, wait_for};

fn layers(sandbox: &Sandbox, name: &str) -> Vec<String> {
    let manifest = document(&sandbox.store(), &named(&sandbox.store(), name).unwrap());
    let layers = manifest["layers"].as_array().unwrap();
    layers.iter().map(|layer| layer["digest"].as_str().unwrap().to_owned()).collect()
}

fn repairing(sandbox: &Sandbox, file: &str) -> Command {
    let path = fixture(file);
    sandbox.command(["verify", "--repair", "--from", path.to_str().unwrap()])
}

fn finish(child: Child) -> (Option<i32>, String) {
    let output = child.wait_with_output().unwrap();
    (output.status.code(), format!("{output:?}"))
}

#[test]
fn two_repairs_at_once_put_one_blob_aside() {
    let sandbox = imported("docker20-two.tar");
    let before = state(&sandbox.store());
    for round in 1..=10 {
        let digest = layers(&sandbox, GCC)[0].clone();
        Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
        let children = [(), (), ()].map(|()| {
            let mut larder = repairing(&sandbox, "docker20-two.tar");
            larder.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        for child in children {
            let (code, described) = finish(child);
            assert_eq!(code, Some(0), "{described}");
        }
        assert!(state(&sandbox.store()) == before);
        assert_eq!(quarantine(&sandbox.store()).len(), round);
    }
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn what_somebody_healed_meanwhile_is_not_put_aside() {
    let sandbox = imported("docker20.tar");
    let before = state(&sandbox.store());
    let path = blob_path(&sandbox.store(), &layers(&sandbox, GCC)[0]);
    std::fs::copy(&path, sandbox.path("good")).unwrap();
    let good = sandbox.store().join("blobs/good");
    std::fs::copy(&path, &good).unwrap();
    Harm::Flip.befall(&path);
    for has_source in [true, false] {
        let store = Store::open(&sandbox.store(), Duration::from_secs(10)).unwrap();
        let guard = store.locks().shared().unwrap();
        let mut larder = if has_source {
            repairing(&sandbox, "docker20.tar")
        } else {
            sandbox.command(["verify", "--repair"])
        };
        let child = larder.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        // It has looked, has a good copy, and waits for the lock: only who wants it alone keeps the gate.
        let gate = std::fs::File::open(sandbox.store().join(".larder/gate")).unwrap();
        wait_for(|| match gate.try_lock_shared() {
            Ok(()) => {
                gate.unlock().unwrap();
                None
            }
            Err(_) => Some(()),
        });
        std::thread::sleep(Duration::from_millis(20));
        assert!(gate.try_lock_shared().is_err(), "it still waits");
        std::fs::rename(&good, &path).unwrap();
        drop(guard);
        let (code, described) = finish(child);
        assert_eq!(code, Some(0), "{described}");
        assert!(quarantine(&sandbox.store()).is_empty(), "{described}");
        assert!(state(&sandbox.store()) == before);
        std::fs::copy(sandbox.path("good"), &good).unwrap();
        Harm::Flip.befall(&path);
    }
}

#[test]
fn an_export_that_has_begun_reads_what_was_repaired() {
    let sandbox = Sandbox::new();
    let archive = sandbox.path("image.tar");
    let parts = [1, 2].map(|seed| layer("noise", &noise(seed, 4 << 20)));
    std::fs::write(&archive, docker_archive("image:1", &parts)).unwrap();
    sandbox.ok(["import".as_ref(), archive.as_os_str()]);
    let before = state(&sandbox.store());
    // Nobody reads: it stands in the middle of its first layer.
    let mut export = sandbox.command(["export", "image:1", "-o", "-"]);
    let mut child = export.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    let first = {
        let mut head = vec![0; 1024];
        std::io::Read::read_exact(&mut stdout, &mut head).unwrap();
        wait_for(|| {
            layers(&sandbox, "image:1")
                .into_iter()
                .find(|layer| holder(&blob_path(&sandbox.store(), layer)).is_some())
                .map(|first| (first, head.clone()))
        })
    };
    let other = layers(&sandbox, "image:1").into_iter().find(|layer| *layer != first.0).unwrap();
    Harm::Flip.befall(&blob_path(&sandbox.store(), &other));
    let output =
        sandbox.larder(["verify".as_ref(), "--repair".as_ref(), "--from".as_ref(), archive.as_os_str()]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let mut bytes = first.1;
    std::io::Read::read_to_end(&mut stdout, &mut bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", describe(&export, &output));
    std::fs::write(sandbox.path("out.tar"), bytes).unwrap();
    let other = Sandbox::new();
    other.ok(["import".as_ref(), sandbox.path("out.tar").as_os_str()]);
    other.ok(["verify"]);
    assert!(state(&sandbox.store()) == before);
}

#[test]
fn a_member_of_the_group_repairs_what_root_imported() {
    const GROUP: u32 = 54_321;
    need!(peer::root(), "root");
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20.tar"), sandbox.path("image.tar")).unwrap();
    sandbox.ok(["init", "--shared", &GROUP.to_string()]);
    sandbox.ok(["import", "image.tar"]);
    let before = state(&sandbox.store());
    for digest in [named(&sandbox.store(), GCC).unwrap(), layers(&sandbox, GCC)[0].clone()] {
        Harm::Flip.befall(&blob_path(&sandbox.store(), &digest));
        let args = ["verify", "--repair", "--from", "image.tar"];
        let mut larder = need!(sandbox.command_as(NOBODY, &[GROUP], args), "setpriv");
        run(&mut larder);
        assert!(state(&sandbox.store()) == before);
    }
    assert_eq!(quarantine(&sandbox.store()).len(), 2);
    sandbox.ok(["verify"]);
}

#[test]
fn gc_imports_and_repairs_at_once_lose_nothing() {
    let sandbox = imported("docker20-two.tar");
    for round in 0..15 {
        let names = [GCC, CLANG];
        let digest = layers(&sandbox, names[round % 2])[0].clone();
        Harm::Cut.befall(&blob_path(&sandbox.store(), &digest));
        let archive = fixture("docker20-two.tar");
        let mut commands = [
            repairing(&sandbox, "docker20-two.tar"),
            sandbox.command(["gc", "--grace", "0s"]),
            sandbox.command(["import", archive.to_str().unwrap(), "--verify"]),
            sandbox.command(["tag", names[round % 2], "another:1"]),
            repairing(&sandbox, "docker20.tar"),
            sandbox.command(["rm", "another:1"]),
        ];
        let children: Vec<_> = commands
            .iter_mut()
            .map(|command| command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
            .collect();
        for (at, child) in children.into_iter().enumerate() {
            let (code, described) = finish(child);
            // Only one repair has an archive with both images; the name may be gone before it is there.
            let may = match at {
                4 => vec![Some(0), Some(5)],
                5 => vec![Some(0), Some(3)],
                _ => vec![Some(0)],
            };
            assert!(may.contains(&code), "{at}: {described}");
        }
        let (code, done) = repair(&sandbox, std::slice::from_ref(&archive), &[]);
        assert_eq!(code, 0, "{done}");
        assert_eq!(column(&done, "findings", "what").len(), 0, "{done}");
        assert_sound(&sandbox.store());
    }
}
