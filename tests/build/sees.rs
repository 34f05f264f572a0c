//! What a command sees, and what of that stays in its layer.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::json;

use super::{Builder, copy, only};
use crate::support::{need, peer, run, succeeded};

const BASE: &str = "FROM busybox:1";
const NONE: [&str; 2] = ["--network", "none"];

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn a_command_has_the_environment_directory_and_user_that_it_names() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let script = "id -u; id -g; id -G; pwd; echo $HOME $A $PATH; hostname; cat /etc/hostname";
    let head = "FROM busybox:1\nUSER build\nWORKDIR /made/here\nENV A=1 A=\"two words\"";
    assert_eq!(
        builder.says(head, script, &[]),
        "1000\n1001\n1001 55\n/made/here\n/home/build two words \
         /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nlarder\nlarder\n"
    );
    assert_eq!(builder.layers("made:1")[1..], [set(&["made", "made/here"])], "that of WORKDIR, and no other");
    let head = "FROM busybox:1\nENV HOME=/elsewhere\nUSER 4242:extra";
    assert!(builder.says(head, script, &[]).starts_with("4242\n55\n55\n/\n/elsewhere"));
    for (user, says) in [("nobody", "no user \"nobody\""), ("build:wheel", "no group \"wheel\"")] {
        let told = builder.fail(&format!("{BASE}\nUSER {user}\nRUN id\n"), &[], 1);
        assert!(told.contains(&format!("context/Dockerfile:3: RUN id: there is {says}")), "{told}");
    }
    // The directory of a base that does not have it is made, as Docker does, and nothing else.
    let settings = json!({"WorkingDir": "/of/the/base"});
    builder.import_layers("directory:1", &[builder.layer("base")], settings);
    assert_eq!(builder.says("FROM directory:1", "pwd", &[]), "/of/the/base\n");
    assert_eq!(builder.layers("made:1")[1..], [set(&["of", "of/the", "of/the/base"])]);
    builder.assert_clean();
}

#[test]
fn what_is_bound_in_is_not_committed() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    let script = "cat /etc/hosts /etc/resolv.conf; echo evil > /etc/hosts; ls -A /dev /proc > /dev/null";
    assert_eq!(builder.says(BASE, script, &[]), format!("{hosts}{resolv}"));
    assert_eq!(std::fs::read_to_string("/etc/hosts").unwrap(), hosts, "the machine's own is not written");
    assert_eq!(builder.layers("made:1").len(), 1, "nothing has changed");
    // A change beside them is one, and its directory is as it was below.
    builder.says(BASE, "echo x > /etc/new", &[]);
    assert_eq!(builder.layers("made:1")[1..], [set(&["etc", "etc/new"])]);
    let stat = "FROM made:1\nRUN ls -ld /etc | grep -o '^drwx--x--x'";
    builder.ok("FROM busybox:1\nRUN chmod 711 /etc\nRUN echo x > /etc/new\n", &[]);
    builder.ok(stat, &[]);
}

#[test]
fn a_resolv_conf_that_is_a_link_to_nowhere_works_and_stays_one() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let etc = builder.sandbox.path("base/etc");
    symlink("../run/systemd/resolve/stub-resolv.conf", etc.join("resolv.conf")).unwrap();
    symlink("/../../../../hosts-of-nobody", etc.join("hosts")).unwrap();
    builder.import("links:1", &["base"]);
    let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    assert_eq!(builder.says("FROM links:1", "cat /etc/resolv.conf", &[]), resolv);
    assert_eq!(builder.layers("made:1").len(), 1);
    assert!(!std::path::Path::new("/hosts-of-nobody").exists());
}

#[test]
fn more_layers_than_docker_takes_are_stacked_in_order() {
    let mut sandbox = crate::support::Sandbox::new();
    // A colon and a comma mean something to overlayfs, and so long a name that all do not fit into a page of mount options.
    let store = sandbox.path("store:with,a long name of words and \\ nothing");
    sandbox.set("LARDER_STORE", &store);
    let builder = need!(Builder::within(sandbox), "root, runc and busybox");
    let mut layers = vec![builder.layer("base")];
    for n in 0..130 {
        let lower = builder.sandbox.path(format!("lower/{n}"));
        std::fs::create_dir_all(lower.join("marks")).unwrap();
        std::fs::write(lower.join("marks").join(n.to_string()), "").unwrap();
        std::fs::write(lower.join("which"), format!("{n}\n")).unwrap();
        layers.push(builder.layer(&format!("lower/{n}")));
    }
    builder.import_layers("many:1", &layers, json!({}));
    assert_eq!(builder.says("FROM many:1", "cat /which; ls /marks | grep -c .", &[]), "129\n130\n");
}

#[test]
fn the_network_is_none_or_the_machines() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    assert_eq!(builder.says(BASE, "ls /sys/class/net", &NONE), "lo\n");
    let own: BTreeSet<_> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    // Other tests make and remove interfaces meanwhile.
    let seen = builder.says(BASE, "ls /sys/class/net", &[]);
    assert!(
        seen.lines().any(|name| name == "lo")
            && seen.lines().all(|name| own.contains(name) || name.starts_with("veth")),
        "{seen}"
    );
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let namespace = "ls -l /proc/self/ns/net";
    assert!(!builder.says(BASE, namespace, &NONE).contains(own.to_str().unwrap()));
    assert!(builder.says(BASE, namespace, &["--network", "host"]).contains(own.to_str().unwrap()));
}

#[test]
fn the_machine_is_out_of_reach() {
    let builder = need!(Builder::new(), "root, runc and busybox");
    let script = "cat /proc/keys /proc/timer_list; echo x > /proc/sys/kernel/domainname && echo writable; \
        mkdir /sys/x && echo writable; mknod /disk b 254 0 && dd if=/disk of=/dev/null count=1 && echo readable; \
        mknod /dev/disk b 254 0 && dd if=/dev/disk of=/dev/null count=1 && echo readable; \
        kill -9 2 && echo killed; ls /proc | grep -c '^[0-9]'";
    let seen = builder.says(BASE, script, &NONE);
    assert!(!seen.contains("able\n") && !seen.contains("killed"), "{seen}");
    // The two streams come as they may.
    let processes: u32 = seen.lines().find_map(|line| line.parse().ok()).unwrap();
    assert!(processes < 5, "{seen}");
}

#[test]
fn a_command_sees_what_dockers_sees() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    let builder = need!(Builder::new(), "root, runc and busybox");
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(builder.sandbox.path("base"))
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut import = docker.command(["import", "-", "larder-step:1"]);
    let output = import.stdin(tar.stdout.take().unwrap()).output().unwrap();
    succeeded(&import, &output);
    tar.wait().unwrap();
    // All that Docker grants and shows; its seccomp filter is its own.
    let script = "exec 2>/dev/null; grep -E '^(Cap|NoNewPrivs|Groups|SigBlk)' /proc/self/status; ls -l /proc/self/fd | grep -c .; ls -l /dev | grep -v pts | grep -Eo '^.{10}|[^ ]+( -> .*)?$'; \
        grep -Eo ' (/dev[^ ]*|/proc[^ ]*|/sys[^ /]*|/sys/f[^ /]*) [a-z]+,?' /proc/self/mounts; grep -c . /proc/self/uid_map; \
        ulimit -n; ulimit -c; umask; cat /proc/self/oom_score_adj; \
        for f in /proc/keys /proc/kcore /proc/acpi; do ls -ld $f | grep -Eo '^.{10}'; done";
    let theirs = docker.ok([
        "run",
        "--rm",
        "--network",
        "none",
        "--hostname",
        "larder",
        "larder-step:1",
        "sh",
        "-c",
        script,
    ]);
    assert_eq!(builder.says(BASE, script, &NONE), theirs);
    let script = "grep -E '^(Cap|Groups|Uid|Gid)' /proc/self/status; echo $HOME";
    for user in ["build", "1000", "build:root", "build:77", "4242", "4242:extra", "0:55", ":55"] {
        let theirs = docker.ok(["run", "--rm", "--user", user, "larder-step:1", "sh", "-c", script]);
        assert_eq!(builder.says(&format!("{BASE}\nUSER {user}"), script, &[]), theirs, "{user}");
    }
}

#[test]
fn without_control_groups_a_command_runs_and_reaches_no_device() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    need!(peer::tool("crun"), "crun");
    // A device file of a layer below is none that can be opened.
    copy(&builder.sandbox.path("base"), &builder.sandbox.path("devices"));
    run(Command::new("mknod").arg(builder.sandbox.path("devices/zero")).args(["c", "1", "5"]));
    builder.import("devices:1", &["devices"]);
    let script = "FROM devices:1\nRUN mknod /disk b 254 0; dd if=/zero of=/dev/null count=1; ls /sys/fs/cgroup; grep CapBnd /proc/self/status\n";
    let freeze = "for at in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do mount -o remount,bind,ro $at; done; exec \"$@\"";
    let mut without = |runtime| {
        only(&mut builder, &[runtime, "unshare", "sh", "awk", "mount"]);
        let larder = builder.command(script, &["--no-cache"]);
        let mut command = builder.sandbox.enclose(Command::new("unshare"));
        command.args(["--mount", "--propagation", "private", "sh", "-c", freeze, "sh"]);
        let output = command.arg(larder.get_program()).args(larder.get_args()).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = without("runc");
    assert!(code == Some(0) && said.contains("\nCapBnd:\t00000000a00425fb\n"), "{said}");
    assert!(said.contains("mknod: /disk: Operation not permitted"), "{said}");
    assert!(said.contains("can't open '/zero': Permission denied"), "{said}");
    assert!(said.contains("note: steps run without limits: /sys/fs/cgroup"), "{said}");
    let (code, said) = without("crun");
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("crun runs no steps without control groups") && said.contains("hint: install runc"),
        "{said}"
    );
}

#[test]
fn crun_runs_it_too() {
    let mut builder = need!(Builder::new(), "root, runc and busybox");
    need!(peer::tool("crun"), "crun");
    only(&mut builder, &["crun"]);
    let script = "id; pwd; cat /etc/hostname; echo $HOME; grep Cap /proc/self/status; echo x > /tmp/x";
    let head = "FROM busybox:1\nWORKDIR /made/here\nRUN chmod 777 /tmp\nUSER build";
    let by_crun = builder.says(head, script, &[]);
    assert_eq!(builder.layers("made:1").last(), Some(&set(&["tmp", "tmp/x"])));
    let told = builder.fail("FROM busybox:1\nRUN [\"nothing-of-that-name\"]\n", &[], 1);
    assert!(told.contains("crun cannot run the step") && told.contains("not found"), "{told}");
    let told = builder.fail("FROM busybox:1\nRUN exit 4\n", &[], 1);
    assert!(told.contains("ended with exit code 4"), "{told}");
    builder.assert_gone(&[]);
    builder.assert_clean();
    only(&mut builder, &["runc"]);
    assert_eq!(builder.says(head, script, &[]), by_crun);
}
