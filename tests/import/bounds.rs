//! What an import and an export may take: memory for any image, and no other disk than the store's.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::store::assert_sound;
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, fixture};

const MIB: u64 = 1 << 20;
/// The bar of the design.
const MEMORY: u64 = 100 * MIB;

/// The largest resident set of a command that must succeed, looked at until it ends.
fn peak(command: &mut Command) -> u64 {
    let mut child = command.spawn().unwrap();
    let status = format!("/proc/{}/status", child.id());
    let mut peak = 0;
    loop {
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak =
            peak.max(line.and_then(|line| line.trim().strip_suffix(" kB")?.parse().ok()).unwrap_or(0) * 1024);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "{command:?}: {status}");
            assert!(peak > MIB, "{command:?}: it was never seen");
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn memory_does_not_grow_with_the_image_or_the_cores() {
    let sandbox = Sandbox::new();
    // What does not compress fills every buffer.
    let archive = docker_archive("large:1", &[layer("noise", &noise(1, 192 * MIB as usize))]);
    std::fs::write(sandbox.path("large.tar"), &archive).unwrap();
    drop(archive);
    // As many threads as larder takes by itself on a machine with many cores.
    let jobs = ["--jobs", "6"];
    let larder = |args: &[&str]| sandbox.command(args.iter().chain(&jobs));
    let mut peaks = Vec::new();
    for compression in ["zstd", "gzip:1"] {
        let more = ["--compression", compression, "--store", compression];
        peaks.push(("file", peak(larder(&["import", "large.tar"]).args(more))));
    }
    let stdin = std::fs::File::open(sandbox.path("large.tar")).unwrap();
    let (reader, mut writer) = std::io::pipe().unwrap();
    let feeding = std::thread::spawn(move || drop(std::io::copy(&mut &stdin, &mut writer)));
    peaks.push(("pipe", peak(larder(&["import", "-"]).stdin(reader))));
    feeding.join().unwrap();
    for layers in ["stored", "plain", "gzip"] {
        for output in ["out.tar", "-"] {
            let args = ["export", "large:1", "--layers", layers, "-o", output];
            peaks.push((layers, peak(larder(&args).stdout(Stdio::null()))));
        }
    }
    peaks.push(("verify", peak(&mut larder(&["verify"]))));
    let over: Vec<_> = peaks.iter().filter(|(_, peak)| *peak > MEMORY).collect();
    assert!(over.is_empty(), "over {MEMORY}: {over:?} of {peaks:?}");
    assert_sound(&sandbox.store());
}

#[test]
fn nothing_is_written_beside_the_store() {
    let mut sandbox = Sandbox::new();
    sandbox.set("TMPDIR", "/proc/no/such/directory");
    let file = fixture("docker20-two.tar");
    sandbox.ok(["import".as_ref(), file.as_os_str()]);
    let bytes = std::fs::read(fixture("multiarch-oci.tar")).unwrap();
    assert!(crate::support::feed(&mut sandbox.command(["import", "-"]), &bytes).status.success());
    for layers in ["stored", "plain", "gzip"] {
        sandbox.ok(["export", super::GCC, "-o", "out.tar", "--layers", layers]);
    }
}
