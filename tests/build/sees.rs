//! What a step sees, and what of that stays in its layer.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, symlink};
use std::process::{Command, Stdio};

use serde_json::json;

use super::Steps;
use crate::support::{need, peer, run, succeeded};

#[test]
fn a_step_has_the_environment_directory_and_user_that_it_names() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("id -u; id -g; id -G; pwd; echo $HOME $A $PATH; hostname; cat /etc/hostname");
    step["user"] = json!("build");
    step["cwd"] = json!("/made/here");
    step["env"] = json!(["A=1", "A=two words"]);
    assert_eq!(
        steps.ok(&step),
        "1000\n1001\n1001 55\n/made/here\n/home/build two words \
         /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nbuilder\nbuilder\n"
    );
    // The working directory is made, as Docker does, and nothing else.
    assert_eq!(steps.below("upper"), ["made", "made/here"].map(String::from).into());
    assert_eq!(steps.below("steps"), BTreeSet::new());
    step["user"] = json!("4242:extra");
    step["env"] = json!(["HOME=/elsewhere"]);
    assert!(steps.ok(&step).starts_with("4242\n55\n55\n/made/here\n/elsewhere"));
    for (user, says) in [("nobody", "no user \"nobody\""), ("build:wheel", "no group \"wheel\"")] {
        step["user"] = json!(user);
        let output = steps.run(&step);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && error.contains(says), "{output:?}");
    }
}

#[test]
fn what_is_bound_in_is_not_committed() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let hosts = std::fs::read_to_string("/etc/hosts").unwrap();
    let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    let before = std::fs::metadata(steps.base().join("etc")).unwrap();
    let seen = steps
        .ok(&steps
            .step("cat /etc/hosts /etc/resolv.conf; echo evil > /etc/hosts; ls -A /dev /proc > /dev/null"));
    assert_eq!(seen, format!("{hosts}{resolv}"));
    assert_eq!(std::fs::read_to_string("/etc/hosts").unwrap(), hosts, "the machine's own is not written");
    assert_eq!(steps.below("upper"), BTreeSet::new());
    // A change beside them is one, and the directory has its own owner, mode and times from below.
    std::fs::set_permissions(steps.base().join("etc"), std::os::unix::fs::PermissionsExt::from_mode(0o711))
        .unwrap();
    steps.ok(&steps.step("echo x > /etc/new"));
    assert_eq!(steps.below("upper"), ["etc", "etc/new"].map(String::from).into());
    assert_eq!(std::fs::metadata(steps.sandbox.path("upper/etc")).unwrap().mode() & 0o7777, 0o711);
    let after = std::fs::metadata(steps.base().join("etc")).unwrap();
    assert_eq!((before.mtime(), before.mtime_nsec()), (after.mtime(), after.mtime_nsec()));
}

#[test]
fn a_resolv_conf_that_is_a_link_to_nowhere_works_and_stays_one() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    symlink("../run/systemd/resolve/stub-resolv.conf", steps.base().join("etc/resolv.conf")).unwrap();
    symlink("/../../../../hosts-of-nobody", steps.base().join("etc/hosts")).unwrap();
    let resolv = std::fs::read_to_string("/etc/resolv.conf").unwrap();
    assert_eq!(steps.ok(&steps.step("cat /etc/resolv.conf")), resolv);
    assert_eq!(steps.below("upper"), BTreeSet::new());
    assert!(!std::path::Path::new("/hosts-of-nobody").exists());
}

#[test]
fn links_of_a_hostile_root_lead_nowhere_outside() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let outside = steps.sandbox.path("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("passwd"), "evil:x:7:7::/:/bin/sh\n").unwrap();
    std::fs::remove_dir_all(steps.base().join("etc")).unwrap();
    for name in ["dev", "proc", "sys", "etc"] {
        for target in [outside.clone(), "../../../../../..".into()] {
            symlink(&target, steps.base().join(name)).unwrap();
            let mut step =
                steps.step("echo x > /dev/made; echo x > /etc/made; echo x > /sys/made; mkdir /made; true");
            step["cwd"] = json!("/etc/cwd");
            let output = steps.run(&step);
            // What is mounted over must be a directory; in /etc links are followed inside the root.
            assert_eq!(output.status.code(), Some(if name == "etc" { 0 } else { 1 }), "{name}: {output:?}");
            step["user"] = json!("evil");
            assert_eq!(steps.run(&step).status.code(), Some(1), "{name}");
            std::fs::remove_file(steps.base().join(name)).unwrap();
            steps.renew(&format!("{name}-{}", target.is_absolute()));
        }
    }
    assert_eq!(steps.below("outside"), ["passwd".to_owned()].into());
    assert!(!std::path::Path::new("/made").exists() && !std::path::Path::new("/etc/made").exists());
    steps.assert_gone(&[]);
    assert_eq!(steps.ids(), [""; 0]);
}

#[test]
fn a_root_without_any_layer_below_runs_too() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    std::fs::create_dir(steps.sandbox.path("upper/bin")).unwrap();
    for name in ["busybox", "sh"] {
        std::fs::copy(steps.base().join("bin/busybox"), steps.sandbox.path("upper/bin").join(name)).unwrap();
    }
    let mut step = steps.step("echo runs");
    step["root"]["overlay"]["lowers"] = json!([]);
    assert_eq!(steps.ok(&step), "runs\n");
    assert_eq!(steps.below("upper"), ["bin", "bin/busybox", "bin/sh"].map(String::from).into());
    // Directories may be used again after a step that ended.
    assert_eq!(steps.ok(&step), "runs\n");
}

#[test]
fn a_root_without_overlayfs_is_changed_in_place_and_has_no_trace_of_mount_points() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("echo x > /made; cat /etc/hosts > /dev/null");
    step["root"] = json!({"directory": steps.base()});
    let mut expected = steps.below("base");
    let before = std::fs::metadata(steps.base().join("etc")).unwrap();
    steps.ok(&step);
    expected.insert("made".into());
    assert_eq!(steps.below("base"), expected);
    let after = std::fs::metadata(steps.base().join("etc")).unwrap();
    assert_eq!((before.mtime(), before.mtime_nsec()), (after.mtime(), after.mtime_nsec()));
    steps.assert_gone(&[]);
}

#[test]
fn two_hundred_lowers_are_stacked_in_order() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("cat /which; ls /marks | grep -c .");
    let mut lowers = vec![steps.base()];
    for n in 0..200 {
        // A colon and a comma mean something to overlayfs.
        let lower =
            steps.sandbox.path(format!("lower:with,a long name to fill the page of mount options {n}"));
        std::fs::create_dir_all(lower.join("marks")).unwrap();
        std::fs::write(lower.join("marks").join(n.to_string()), "").unwrap();
        std::fs::write(lower.join("which"), format!("{n}\n")).unwrap();
        lowers.insert(0, lower);
    }
    step["root"]["overlay"]["lowers"] = json!(lowers);
    assert_eq!(steps.ok(&step), "199\n200\n");
}

#[test]
fn the_network_is_none_or_the_machines() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut step = steps.step("ls /sys/class/net");
    assert_eq!(steps.ok(&step), "lo\n");
    step["network"] = json!("host");
    let own: BTreeSet<_> = std::fs::read_dir("/sys/class/net")
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .collect();
    // Other tests make and remove interfaces meanwhile.
    let seen = steps.ok(&step);
    assert!(
        seen.lines().any(|name| name == "lo")
            && seen.lines().all(|name| own.contains(name) || name.starts_with("veth")),
        "{seen}"
    );
    let namespace = "ls -l /proc/self/ns/net";
    let own = std::fs::read_link("/proc/self/ns/net").unwrap();
    let mut step = steps.step(namespace);
    assert!(!steps.ok(&step).contains(own.to_str().unwrap()));
    step["network"] = json!("host");
    assert!(steps.ok(&step).contains(own.to_str().unwrap()));
}

#[test]
fn the_machine_is_out_of_reach() {
    let steps = need!(Steps::new(), "root, runc and busybox");
    let script = "cat /proc/keys /proc/timer_list; echo x > /proc/sys/kernel/domainname && echo writable; \
        mkdir /sys/x && echo writable; mknod /disk b 254 0 && dd if=/disk of=/dev/null count=1 && echo readable; \
        mknod /dev/disk b 254 0 && dd if=/dev/disk of=/dev/null count=1 && echo readable; \
        kill -9 2 && echo killed; ls /proc | grep -c '^[0-9]'";
    let seen = steps.ok(&steps.step(script));
    assert!(!seen.contains("able") && !seen.contains("killed"), "{seen}");
    let processes: u32 = seen.lines().last().unwrap().parse().unwrap();
    assert!(processes < 5, "{seen}");
}

#[test]
fn a_step_is_what_docker_makes_of_it() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    let steps = need!(Steps::new(), "root, runc and busybox");
    let mut tar = Command::new("tar")
        .arg("-C")
        .arg(steps.base())
        .args(["-c", "."])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut import = docker.command(["import", "-", "larder-step:1"]);
    let output = import.stdin(tar.stdout.take().unwrap()).output().unwrap();
    succeeded(&import, &output);
    tar.wait().unwrap();
    // All that Docker grants and shows; its seccomp filter is its own.
    let script = "grep -E '^(Cap|NoNewPrivs|Groups|SigBlk)' /proc/self/status; ls -l /proc/self/fd | grep -c .; ls -l /dev | grep -v pts | grep -Eo '^.{10}|[^ ]+( -> .*)?$'; \
        grep -Eo ' (/dev[^ ]*|/proc[^ ]*|/sys[^ /]*|/sys/f[^ /]*) [a-z]+,?' /proc/self/mounts; grep -c . /proc/self/uid_map; \
        ulimit -n; ulimit -c; umask; cat /proc/self/oom_score_adj";
    let script = format!(
        "{script}; for f in /proc/keys /proc/kcore /proc/acpi; do ls -ld $f | grep -Eo '^.{{10}}'; done"
    );
    let theirs = docker.ok([
        "run",
        "--rm",
        "--network",
        "none",
        "--hostname",
        "builder",
        "larder-step:1",
        "sh",
        "-c",
        &script,
    ]);
    assert_eq!(steps.ok(&steps.step(&script)), theirs);
    let script = "grep -E '^(Cap|Groups|Uid|Gid)' /proc/self/status; echo $HOME";
    for user in ["build", "1000", "build:root", "build:77", "4242", "4242:extra", "0:55", ":55"] {
        let theirs = docker.ok(["run", "--rm", "--user", user, "larder-step:1", "sh", "-c", script]);
        let mut step = steps.step(script);
        step["user"] = json!(user);
        assert_eq!(steps.ok(&step), theirs, "{user}");
    }
}

#[test]
fn without_control_groups_a_step_runs_and_reaches_no_device() {
    let mut steps = need!(Steps::new(), "root, runc and busybox");
    need!(peer::tool("crun"), "crun");
    // A device file of a layer below is none that can be opened.
    run(Command::new("mknod").arg(steps.base().join("zero")).args(["c", "1", "5"]));
    let step = steps.step(
        "mknod /disk b 254 0; dd if=/zero of=/dev/null count=1; ls /sys/fs/cgroup; grep CapBnd /proc/self/status",
    );
    let freeze = "for at in $(awk '$3 ~ /^cgroup/ {print $2}' /proc/mounts); do mount -o remount,bind,ro $at; done; exec \"$@\"";
    let mut without = |runtime| {
        only(&mut steps, &[runtime, "unshare", "sh", "awk", "mount"]);
        let larder = steps.command(&step);
        let mut command = steps.sandbox.enclose(Command::new("unshare"));
        command.args(["--mount", "--propagation", "private", "sh", "-c", freeze, "sh"]);
        let output = command.arg(larder.get_program()).args(larder.get_args()).output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (output.status.code(), text(output.stdout), text(output.stderr))
    };
    let (code, seen, said) = without("runc");
    assert_eq!((code, &*seen), (Some(0), "CapBnd:\t00000000a00425fb\n"), "{said}");
    assert!(said.contains("mknod: /disk: Operation not permitted"), "{said}");
    assert!(said.contains("can't open '/zero': Permission denied"), "{said}");
    assert!(said.contains("note: steps run without limits: /sys/fs/cgroup"), "{said}");
    let (code, seen, said) = without("crun");
    assert_eq!((code, &*seen), (Some(1), ""), "{said}");
    assert!(
        said.contains("crun runs no steps without control groups") && said.contains("hint: install runc"),
        "{said}"
    );
}

#[test]
fn crun_runs_it_too() {
    let mut steps = need!(Steps::new(), "root, runc and busybox");
    need!(peer::tool("crun"), "crun");
    only(&mut steps, &["crun"]);
    let mut step = steps.step("id; pwd; cat /etc/hostname; echo $HOME; grep Cap /proc/self/status; exit 4");
    step["user"] = json!("build");
    step["cwd"] = json!("/made/here");
    let by_crun = steps.run(&step);
    assert_eq!(by_crun.status.code(), Some(4), "{by_crun:?}");
    assert_eq!(steps.below("upper"), ["made", "made/here"].map(String::from).into());
    let mut forking =
        steps.step("i=0; while [ $i -lt 300 ]; do sleep 600 & i=$((i+1)); done; echo all of them");
    forking["pids"] = json!(40);
    let output = steps.run(&forking);
    assert!(String::from_utf8_lossy(&output.stderr).contains("can't fork"), "{output:?}");
    let mut missing = steps.step("");
    missing["args"] = json!(["nothing-of-that-name"]);
    let output = steps.run(&missing);
    assert!(String::from_utf8_lossy(&output.stderr).contains("crun cannot run the step"), "{output:?}");
    steps.assert_gone(&[]);
    only(&mut steps, &["runc"]);
    assert_eq!(steps.run(&step), by_crun);
}

#[test]
fn no_runtime_is_an_error_with_a_remedy() {
    let mut steps = need!(Steps::new(), "root, runc and busybox");
    only(&mut steps, &[]);
    let error = String::from_utf8(steps.run(&steps.step("echo")).stderr).unwrap();
    assert!(
        error.contains("no container runtime") && error.contains("hint: install runc or crun"),
        "{error}"
    );
}

/// From now on the sandbox has these programs and no others.
fn only(steps: &mut Steps, programs: &[&str]) {
    let dir = steps.sandbox.path(format!("only-{}", programs.join("-")));
    std::fs::create_dir(&dir).unwrap();
    for program in programs {
        symlink(peer::tool(program).unwrap().get_program(), dir.join(program)).unwrap();
    }
    steps.sandbox.set("PATH", &dir);
}
