//! A day of a CI host with a small disk: jobs, rebuilds, imports, cron, and somebody else who fills the disk.
//!
//! Two lengths of the same day. All images together are larger than the disk; the engine that builds and runs them is real, and
//! its data are elsewhere. The disk never fills, no job loses its image, and what an engine has is not sent again.
//! What is done in which round is the same each time; what meets what is not.

mod day;
mod disk;
mod evening;
mod images;
mod job;
mod record;
mod verbs;

use crate::support::{need, peer};
use images::Bases;

/// What is small or large.
struct Length {
    /// As truncate has it.
    disk: &'static str,
    bases: Bases,
    /// Bytes of what each version has for itself and what does not compress.
    own: usize,
    versions: usize,
    rounds: usize,
    /// What a container does, beside saying its version.
    work: &'static str,
    /// What the Dockerfile of a version says at its end.
    step: &'static str,
}

#[test]
fn a_day_on_a_small_disk() {
    let docker = need!(peer::docker28(), "Docker 28");
    let length = Length {
        disk: "128M",
        bases: Bases::Small,
        own: 7 << 20,
        versions: 4,
        rounds: 5,
        work: "/bin/hello works",
        step: "",
    };
    need!(day::live(&docker, &length), "root, busybox, mkfs.ext4 and nsenter");
}

/// Debian with a compiler, 926 MB, and its sibling, both of `benches/image`, which makes them where they are not there.
#[test]
#[ignore = "long: 2 GiB of real images, ten minutes, and 20 GB of another disk for a while"]
fn a_day_with_real_images() {
    let docker = need!(peer::docker28(), "Docker 28");
    let length = Length {
        disk: "2G",
        bases: Bases::Real,
        own: 60 << 20,
        versions: 8,
        rounds: 12,
        work: "echo 'int main(void) { return 0; }' | gcc-12 -x c -o /tmp/a - && /tmp/a && echo works",
        step: "RUN cp -a /usr/lib/gcc/x86_64-linux-gnu/12/cc1plus /opt/",
    };
    need!(day::live(&docker, &length), "root, mkfs.ext4, nsenter and benches/image");
}
