//! The runtime specification of a step: what `docker build` gives its containers, in values. Pure.
//!
//! <https://github.com/opencontainers/runtime-spec>; Docker's defaults are in moby's `oci/defaults.go` and `oci/caps`.

use std::path::{Path, PathBuf};

use oci_spec::OciSpecError;
use oci_spec::runtime::{
    Capability, LinuxBuilder, LinuxCapabilitiesBuilder, LinuxDeviceCgroupBuilder, LinuxNamespaceBuilder,
    LinuxNamespaceType, LinuxPidsBuilder, LinuxResourcesBuilder, Mount, MountBuilder, PosixRlimitBuilder,
    PosixRlimitType, ProcessBuilder, RootBuilder, Spec, SpecBuilder, UserBuilder,
};

use super::user::Identity;
use super::{Network, Step};

const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CAPABILITIES: [Capability; 14] = [
    Capability::Chown,
    Capability::DacOverride,
    Capability::Fsetid,
    Capability::Fowner,
    Capability::Mknod,
    Capability::NetRaw,
    Capability::Setgid,
    Capability::Setuid,
    Capability::Setfcap,
    Capability::Setpcap,
    Capability::NetBindService,
    Capability::SysChroot,
    Capability::Kill,
    Capability::AuditWrite,
];

const MASKED: [&str; 11] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];

const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Destination, type, source, options.
const MOUNTS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["ro", "nosuid", "noexec", "nodev"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
];

/// What the machine and the attendant have for a step.
#[derive(Debug)]
pub(super) struct Surroundings<'a> {
    pub(super) root: &'a Path,
    pub(super) identity: &'a Identity,
    /// Files and what they are bound over.
    pub(super) bound: Vec<(PathBuf, String)>,
    /// The step's control group, where it can have one.
    pub(super) cgroup: Option<PathBuf>,
    /// The soft limit of open files, and the hard one; `None`: those of the runtime.
    pub(super) open_files: Option<(u64, u64)>,
}

/// The specification of a step.
pub(super) fn of(step: &Step, around: &Surroundings<'_>) -> Result<Spec, OciSpecError> {
    let has_cgroup = around.cgroup.is_some();
    let identity = around.identity;
    let user = UserBuilder::default()
        .uid(identity.uid)
        .gid(identity.gid)
        .additional_gids(identity.groups.clone())
        .build()?;
    // Without a control group nothing keeps a device file that it makes from being opened.
    let given = CAPABILITIES.into_iter().filter(|one| has_cgroup || *one != Capability::Mknod);
    let given: oci_spec::runtime::Capabilities = given.collect();
    let capabilities = LinuxCapabilitiesBuilder::default()
        .bounding(given.clone())
        .permitted(given.clone())
        .effective(given)
        .inheritable(oci_spec::runtime::Capabilities::new())
        .ambient(oci_spec::runtime::Capabilities::new())
        .build()?;
    // runc raises its own, and hands on what it has then.
    let limit = |(soft, hard)| {
        PosixRlimitBuilder::default().typ(PosixRlimitType::RlimitNofile).soft(soft).hard(hard).build()
    };
    let limits = around.open_files.map(limit).transpose()?;
    let process = ProcessBuilder::default()
        .terminal(false)
        .user(user)
        .args(step.args.clone())
        .env(environment(step, &identity.home))
        .cwd(if step.cwd.is_empty() { "/" } else { &step.cwd })
        .capabilities(capabilities)
        .rlimits(limits.into_iter().collect::<Vec<_>>())
        .no_new_privileges(false)
        .build()?;
    let mut linux = LinuxBuilder::default()
        .namespaces(namespaces(step.network, has_cgroup)?)
        .masked_paths(MASKED.map(String::from).to_vec())
        .readonly_paths(READ_ONLY.map(String::from).to_vec());
    if let Some(cgroup) = &around.cgroup {
        // To this the runtime adds the devices that it makes.
        let none = LinuxDeviceCgroupBuilder::default().allow(false).access("rwm").build()?;
        let pids = LinuxPidsBuilder::default().limit(step.pids).build()?;
        let resources = LinuxResourcesBuilder::default().devices(vec![none]).pids(pids).build()?;
        linux = linux.resources(resources).cgroups_path(cgroup);
    }
    SpecBuilder::default()
        .version("1.0.2")
        .root(RootBuilder::default().path(around.root).readonly(false).build()?)
        .hostname(&*step.hostname)
        .mounts(mounts(around)?)
        .process(process)
        .linux(linux.build()?)
        .build()
}

/// What Docker gives a container that says nothing else, then what the step says.
fn environment(step: &Step, home: &str) -> Vec<String> {
    let mut all = vec![PATH.to_owned(), format!("HOSTNAME={}", step.hostname)];
    for entry in &step.env {
        let name = |entry: &str| entry.split('=').next().unwrap_or_default().to_owned();
        match all.iter_mut().find(|known| name(known) == name(entry)) {
            Some(known) => known.clone_from(entry),
            None => all.push(entry.clone()),
        }
    }
    // Empty counts as missing, as for the runtimes.
    if !all.iter().any(|entry| entry.starts_with("HOME=") && entry.len() > "HOME=".len()) {
        all.retain(|entry| entry != "HOME=");
        all.push(format!("HOME={home}"));
    }
    all
}

fn namespaces(
    network: Network,
    has_cgroup: bool,
) -> Result<Vec<oci_spec::runtime::LinuxNamespace>, OciSpecError> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network as Net, Pid, Uts};
    let mut kinds = vec![Pid, Mount, Ipc, Uts];
    kinds.extend((network == Network::None).then_some(Net));
    kinds.extend(has_cgroup.then_some(Cgroup));
    kinds.into_iter().map(|kind| LinuxNamespaceBuilder::default().typ(kind).build()).collect()
}

fn mounts(around: &Surroundings<'_>) -> Result<Vec<Mount>, OciSpecError> {
    let words = |options: &[&str]| options.iter().map(|option| (*option).to_owned()).collect::<Vec<_>>();
    let wanted = MOUNTS.iter().filter(|mount| mount.1 != "cgroup" || around.cgroup.is_some());
    let own = wanted.map(|(destination, kind, source, options)| {
        MountBuilder::default()
            .destination(*destination)
            .typ(*kind)
            .source(*source)
            .options(words(options))
            .build()
    });
    let bound = around.bound.iter().map(|(source, destination)| {
        let options = words(&["rbind", "rprivate"]);
        MountBuilder::default().destination(destination).typ("bind").source(source).options(options).build()
    });
    own.chain(bound).collect()
}
