//! A store that cannot be written can still be handed over: what would be noted down is lost, and nothing else.

use crate::roundtrip::{GCC, GREETING, imported};
use crate::support::{Docker, Sandbox, describe, need, peer, run};

/// Hands over inside of a mount namespace in which the store was made unwritable by this script.
fn hand_over(sandbox: &Sandbox, docker: &Docker, script: &str) -> Option<()> {
    let mut unshare = sandbox.enclose(peer::root().and_then(|()| peer::tool("unshare"))?);
    unshare.args(["--mount", "--propagation", "private", "sh", "-euc"]);
    unshare.arg(format!("{script}; \"$@\"; \"$@\""));
    unshare.arg("sh").arg(sandbox.command::<&str>([]).get_program()).args(["export", "--to-docker", GCC]);
    unshare.env("DOCKER_HOST", docker.host());
    let output = unshare.output().unwrap();
    assert!(output.status.success(), "{}", describe(&unshare, &output));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{GCC}\n{GCC}\n"));
    assert_eq!(docker.run(GCC, &[]), GREETING);
    Some(())
}

#[test]
fn a_read_only_store_is_handed_over() {
    let docker = need!(peer::docker28c(), "Docker 28 with containerd store");
    let sandbox = imported("docker20.tar");
    let script = "mount --bind store store; mount -o remount,ro,bind store";
    need!(hand_over(&sandbox, &docker, script), "unshare and root");
}

#[test]
fn a_store_on_a_full_disk_is_handed_over() {
    let docker = need!(peer::docker28(), "Docker 28");
    let sandbox = imported("docker20.tar");
    let script = "cp -a store whole; mount -t tmpfs -o size=8m tmpfs store; cp -a whole/. store
        cat /dev/zero >store/filler 2>/dev/null || true";
    need!(hand_over(&sandbox, &docker, script), "unshare and root");
    run(std::process::Command::new("rm").arg("-r").arg(sandbox.path("whole")));
}

#[test]
fn another_users_store_is_handed_over() {
    let docker = need!(peer::docker28(), "Docker 28");
    let desk = super::Desk::new(&docker);
    let fixture = crate::support::fixture("docker20.tar");
    desk.sandbox.ok(["import".as_ref(), fixture.as_os_str()]);
    let everybody = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(desk.sandbox.path("proxy.sock"), everybody).unwrap();
    let nobody = crate::support::sandbox::NOBODY;
    for _ in 0..2 {
        let args = ["export", "--to-docker", GCC];
        let mut command = need!(desk.sandbox.command_as(nobody, &[], args), "setpriv and root");
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", describe(&command, &output));
    }
    assert_eq!(docker.run(GCC, &[]), GREETING);
}
