//! A hold that cannot write its lease protects nothing, and so does not begin.

use crate::badinput::full::{DISKS, on_disk};
use crate::roundtrip::{GCC, imported};
use crate::support::sandbox::NOBODY;
use crate::support::store::assert_nothing_pending;
use crate::support::{Sandbox, describe, fixture, need};

#[test]
fn without_space_for_a_lease_it_fails() {
    let sandbox = Sandbox::new();
    std::fs::copy(fixture("docker20.tar"), sandbox.path("small.tar")).unwrap();
    for (name, disk) in DISKS {
        // What one large file leaves over is enough for a lease; small ones leave nothing.
        let script = format!(
            "larder import small.tar >/dev/null; sync; fill; mkdir store/small
            i=0; while head -c 500 /dev/zero >store/small/$i; do i=$((i + 1)); done 2>/dev/null
            try larder hold {GCC} -- touch ran; ls -A store/.larder/leases; if [ -e ran ]; then echo 'it ran'; fi
            unfill; rm -r store/small; try larder hold {GCC} -- echo runs"
        );
        let output = need!(on_disk(&sandbox, disk, &script), "a disk of its own");
        let said = String::from_utf8(output.stdout).unwrap();
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], "125", "{name}: {said}");
        assert!(lines[1].contains("No space left on device") && lines[2].contains("hint"), "{name}: {said}");
        assert_eq!(lines[3..], ["0", "runs"], "{name}: no lease is left, and nothing ran: {said}");
        assert_nothing_pending(&sandbox.path("after"));
    }
}

#[test]
fn in_a_store_that_cannot_be_written_it_fails() {
    let sandbox = imported("docker20.tar");
    let mut command = need!(sandbox.command_as(NOBODY, &[], ["hold", GCC, "--", "echo", "runs"]), "root");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(125), "{}", describe(&command, &output));
    assert!(output.stdout.is_empty() && String::from_utf8_lossy(&output.stderr).contains("leases"));
}
