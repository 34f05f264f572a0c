//! The package manager of a distribution, told by the programs that are there.

/// What installs packages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manager {
    /// Debian's and Ubuntu's `apt-get`.
    Apt,
    /// Alpine's `apk`.
    Apk,
    /// `dnf` or what takes its place: of Fedora, RHEL and those made of it.
    Dnf(&'static str),
    /// Arch's `pacman`.
    Pacman,
}

/// In the order in which they are looked for.
const PROGRAMS: [(&str, Manager); 6] = [
    ("apt-get", Manager::Apt),
    ("apk", Manager::Apk),
    ("dnf", Manager::Dnf("dnf")),
    ("microdnf", Manager::Dnf("microdnf")),
    ("yum", Manager::Dnf("yum")),
    ("pacman", Manager::Pacman),
];

/// Of which systems it is the own one: others may have it as a program among many.
const NATIVE: [(&str, &[&str]); 4] = [
    ("apt-get", &["debian", "ubuntu", "linuxmint", "kali"]),
    ("apk", &["alpine", "wolfi"]),
    ("dnf", &["almalinux", "amzn", "centos", "fedora", "ol", "rhel", "rocky"]),
    ("pacman", &["arch", "manjaro"]),
];

impl Manager {
    /// Those that are known, for messages.
    pub(crate) const KNOWN: &'static str = "apt-get, apk, dnf, microdnf, yum, pacman";

    /// The one of a system by its `ID`, with these programs.
    pub(crate) fn of(os: &str, has_program: &dyn Fn(&str) -> bool) -> Option<Manager> {
        let native = NATIVE.iter().find(|(_, systems)| systems.contains(&os)).map(|(program, _)| *program);
        let mut there = PROGRAMS.iter().filter(|(program, _)| has_program(program));
        let own = there.clone().find(|(program, _)| Some(*program) == native);
        own.or_else(|| there.next()).map(|(_, manager)| *manager)
    }

    /// Whether larder can read which packages it installed.
    pub(crate) fn can_be_read(self) -> bool {
        !matches!(self, Manager::Dnf(_))
    }
}
