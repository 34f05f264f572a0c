//! What the official image of an operating system is called, to begin with where nothing is there.

use super::super::os::Os;

/// Where it is called otherwise than its system: the repository, and whether versions are its tags.
const OTHERS: [(&str, &str); 8] = [
    ("amzn", "amazonlinux"),
    ("arch", "archlinux"),
    ("centos", "quay.io/centos/centos"),
    ("gentoo", "gentoo/stage3"),
    ("ol", "oraclelinux"),
    ("opensuse-leap", "opensuse/leap"),
    ("opensuse-tumbleweed", "opensuse/tumbleweed"),
    ("rocky", "rockylinux/rockylinux"),
];
/// Where it is called as its system is.
const SAME: [&str; 6] = ["almalinux", "alpine", "debian", "fedora", "photon", "ubuntu"];

/// Its name; none where no image is known.
pub(crate) fn official(os: &Os) -> Option<String> {
    let other = OTHERS.iter().find(|(name, _)| *name == os.name()).map(|(_, repository)| *repository);
    let repository = other.or_else(|| SAME.into_iter().find(|name| *name == os.name()))?;
    let tag = match (os.name(), os.version()) {
        // Tags of these are dates, or there is one version only.
        ("arch" | "gentoo" | "opensuse-tumbleweed", _) => "latest",
        ("centos", version) => return Some(format!("{repository}:stream{version}")),
        (_, version) => version,
    };
    Some(format!("{repository}:{tag}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn official_images_have_names_of_their_own() {
        for (os, name) in [
            ("ubuntu:25.04", Some("ubuntu:25.04")),
            ("debian:sid", Some("debian:sid")),
            ("arch:rolling", Some("archlinux:latest")),
            ("opensuse-leap:15.6", Some("opensuse/leap:15.6")),
            ("rocky:9", Some("rockylinux/rockylinux:9")),
            ("centos:9", Some("quay.io/centos/centos:stream9")),
            ("windows:11", None),
            ("sled:15.6", None),
        ] {
            assert_eq!(official(&os.parse().expect("an os")).as_deref(), name, "{os}");
        }
    }
}
