//! `import --verify`: what is damaged in the store is put right from the archive.

use std::os::unix::fs::PermissionsExt;

use super::{GCC, import, import_stdin};
use crate::support::Sandbox;
use crate::support::store::{assert_nothing_pending, assert_sound, blob_path, blobs, names};

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

#[test]
fn what_is_whole_is_not_written_again() {
    let sandbox = Sandbox::new();
    import(&sandbox, "docker20.tar", &[]);
    let before = crate::support::store::tree(&sandbox.store().join("blobs"));
    let rows = import(&sandbox, "docker20.tar", &["--verify"]);
    assert_eq!((&rows[0]["new_bytes"], &rows[0]["reference"]), (&0.into(), &GCC.into()));
    assert_eq!(crate::support::store::tree(&sandbox.store().join("blobs")), before);
}
