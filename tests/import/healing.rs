//! `import --verify`: what is damaged in the store is put right from the archive.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use super::{GCC, import, import_stdin};
use crate::support::sandbox::NOBODY;
use crate::support::store::{assert_nothing_pending, assert_sound, blob_path, blobs, document, named, names};
use crate::support::{Sandbox, describe, need, run};

#[test]
fn every_damaged_blob_is_put_right_from_a_file_and_from_a_pipe() {
    for file in ["docker20.tar", "docker28c.tar", "skopeo-oci.tar", "multiarch-oci.tar"] {
        let clean = Sandbox::new();
        import(&clean, file, &[]);
        for digest in blobs(&clean.store()).into_keys() {
            for is_piped in [false, true] {
                let sandbox = Sandbox::new();
                import(&sandbox, file, &[]);
                let path = blob_path(&sandbox.store(), &digest);
                let mut bytes = std::fs::read(&path).unwrap();
                let middle = bytes.len() / 2;
                bytes[middle] ^= 1;
                std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
                std::fs::write(&path, bytes).unwrap();
                let case = format!("{file}: {digest}, piped: {is_piped}");
                assert!(sandbox.fail(["verify"], 5).contains("1 problem"), "{case}");
                if is_piped {
                    import_stdin(&sandbox, file, &["--verify"]);
                } else {
                    import(&sandbox, file, &["--verify"]);
                }
                assert_sound(&sandbox.store());
                assert_nothing_pending(&sandbox.store());
                sandbox.ok(["verify"]);
                assert_eq!(names(&sandbox.store()), names(&clean.store()), "{case}");
                let mode = path.metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o444, "{case}");
            }
        }
    }
}

/// Manifest and config are read in any case, and their damage is seen.
fn documents_of(sandbox: &Sandbox) -> [String; 2] {
    let manifest = named(&sandbox.store(), GCC).unwrap();
    let config = document(&sandbox.store(), &manifest)["config"]["digest"].as_str().unwrap().to_owned();
    [manifest, config]
}

#[test]
fn damage_that_is_seen_is_put_right_without_being_asked() {
    for number in 0..2 {
        // Under another name nothing is found by its name, and the same documents are there all the same.
        for (is_piped, args) in
            [false, true].into_iter().flat_map(|piped| [(piped, &[][..]), (piped, &["--name", "other:1"])])
        {
            let sandbox = Sandbox::new();
            import(&sandbox, "docker20.tar", &[]);
            let path = blob_path(&sandbox.store(), &documents_of(&sandbox)[number]);
            let mut bytes = std::fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
            std::fs::write(&path, bytes).unwrap();
            sandbox.fail(["verify"], 5);
            match is_piped {
                true => import_stdin(&sandbox, "docker20.tar", args),
                false => import(&sandbox, "docker20.tar", args),
            };
            sandbox.ok(["verify"]);
            assert_sound(&sandbox.store());
        }
    }
}

#[test]
fn what_cannot_be_read_is_neither_unchanged_nor_damaged() {
    for number in 0..2 {
        let sandbox = Sandbox::new();
        import(&sandbox, "docker20.tar", &[]);
        let path = blob_path(&sandbox.store(), &documents_of(&sandbox)[number]);
        std::fs::copy(crate::support::fixture("docker20.tar"), sandbox.path("again.tar")).unwrap();
        let mut larder = need!(sandbox.command_as(NOBODY, &[], ["import", "again.tar"]), "root");
        for entry in std::fs::read_dir(path.parent().unwrap()).unwrap() {
            std::fs::set_permissions(entry.unwrap().path(), PermissionsExt::from_mode(0o444)).unwrap();
        }
        run(Command::new("chmod").args(["-R", "a+rwX"]).arg(sandbox.store()));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o000)).unwrap();
        let output = larder.output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", describe(&larder, &output));
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(said.contains("ermission denied"), "{said}");
    }
}

#[test]
fn what_is_whole_is_not_written_again() {
    let sandbox = Sandbox::new();
    import(&sandbox, "docker20.tar", &[]);
    let before = crate::support::store::tree(&sandbox.store().join("blobs"));
    let rows = import(&sandbox, "docker20.tar", &["--verify"]);
    assert_eq!((&rows[0]["new_bytes"], &rows[0]["reference"]), (&0.into(), &GCC.into()));
    assert_eq!(crate::support::store::tree(&sandbox.store().join("blobs")), before);
}
