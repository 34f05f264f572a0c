//! What is kept of images may be lost, cut or changed at any time: nobody sees it but by the clock.

use std::path::PathBuf;
use std::process::Stdio;

use super::{import, stanza};
use crate::support::Sandbox;
use crate::support::tarball::Tarball;

/// A store with an image that was looked into, and the file with what was found.
fn looked_into() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let mut layer = Tarball::new();
    let status: String = (0..50).map(|number| stanza(&format!("package-{number:02}"), "1.0-1", "")).collect();
    layer.file("var/lib/dpkg/status", status.as_bytes());
    import(&sandbox, "app:1", &[layer.bytes()]);
    sandbox.ok(["sbom", "app:1"]);
    let id = sandbox.json(["inspect", "app:1"])[0]["image_id"].as_str().unwrap().to_owned();
    let kept = sandbox.store().join(".larder/cache/inventories").join(id.trim_start_matches("sha256:"));
    (sandbox, kept)
}

fn count(sandbox: &Sandbox) -> usize {
    sandbox.json(["images", "--with-package", "package-*"])[0]["with_packages"].as_array().map_or(0, Vec::len)
}

#[test]
fn what_is_damaged_is_read_anew_and_nobody_notices() {
    let (sandbox, kept) = looked_into();
    let (document, whole) = (sandbox.ok(["sbom", "app:1"]), std::fs::read(&kept).unwrap());
    let line = |number: usize| {
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').nth(number).unwrap().0 + 1
    };
    let mut flipped = whole.clone();
    flipped[line(20) + 40] ^= 1;
    let other_version =
        String::from_utf8_lossy(&whole).replacen("\"format\":", "\"format\":9", 1).into_bytes();
    for (what, bytes) in [
        ("empty", Vec::new()),
        ("cut between two packages", whole[..line(10)].to_vec()),
        ("cut in a package", whole[..line(10) + 7].to_vec()),
        ("zeros", vec![0; whole.len()]),
        ("another byte", flipped),
        ("another version", other_version),
        ("what means harm", b"{\"format\":2}\n\x1b[2J\t\t\t\n".to_vec()),
    ] {
        std::fs::write(&kept, &bytes).unwrap();
        assert_eq!(count(&sandbox), 50, "{what}");
        assert!(std::fs::read(&kept).unwrap() == whole, "{what}: it is put right");
        std::fs::write(&kept, &bytes).unwrap();
        assert!(sandbox.ok(["sbom", "app:1"]) == document, "{what}");
    }
    // What stands in its way is left alone, and the answer is the same.
    std::fs::remove_file(&kept).unwrap();
    std::fs::create_dir(&kept).unwrap();
    assert_eq!(count(&sandbox), 50);
    std::fs::remove_dir(&kept).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &kept).unwrap();
    assert_eq!(count(&sandbox), 50);
}

#[test]
fn what_is_kept_goes_with_its_image() {
    let (sandbox, kept) = looked_into();
    sandbox.ok(["gc", "--grace", "0s"]);
    assert!(kept.exists());
    // What a killed process left, what was read of an image while it went, and somebody's directory.
    let others = [format!(".{}.1", "0".repeat(64)), "0".repeat(64)];
    others.iter().for_each(|name| std::fs::write(kept.with_file_name(name), "x").unwrap());
    std::fs::create_dir(kept.with_file_name("directory")).unwrap();
    sandbox.ok(["rm", "app:1"]);
    sandbox.ok(["gc", "--grace", "0s"]);
    assert!(!kept.exists());
    std::fs::remove_dir(kept.with_file_name("directory")).unwrap();
    assert_eq!(std::fs::read_dir(kept.parent().unwrap()).unwrap().count(), 0);
}

#[test]
fn many_may_look_at_once() {
    let (sandbox, kept) = looked_into();
    let whole = std::fs::read(&kept).unwrap();
    std::fs::remove_file(&kept).unwrap();
    let ask = || {
        let mut command = sandbox.command(["images", "--format", "json", "--with-package", "package-07"]);
        command.stdout(Stdio::piped()).spawn().unwrap()
    };
    let running: Vec<_> = (0..8).map(|_| ask()).collect();
    for one in running {
        let output = one.wait_with_output().unwrap();
        assert!(output.status.success() && String::from_utf8_lossy(&output.stdout).contains("package-07"));
    }
    assert!(std::fs::read(&kept).unwrap() == whole);
    assert_eq!(std::fs::read_dir(kept.parent().unwrap()).unwrap().count(), 1, "nothing is left over");
}
