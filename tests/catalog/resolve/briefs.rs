//! What is kept of images in short: believed where it is ours and whole, made anew where it is not.

use std::path::PathBuf;

use super::{best, import, three, ubuntu};
use crate::support::Sandbox;

const WORDS: [&str; 6] = ["--compiler", "gcc-15", "--package", "libssl-dev", "--tool", "cmake"];

fn briefs(sandbox: &Sandbox) -> PathBuf {
    let user = rustix::process::geteuid().as_raw();
    sandbox.store().join(".larder/cache/briefs").join(user.to_string())
}

fn size(sandbox: &Sandbox) -> u64 {
    std::fs::metadata(briefs(sandbox)).map_or(0, |meta| meta.len())
}

#[test]
fn whatever_becomes_of_them_the_answer_is_the_same() {
    let sandbox = three();
    let kept = briefs(&sandbox);
    let whole = std::fs::read(&kept).unwrap();
    let expect_healed = |how: &str| {
        assert_eq!(best(&sandbox, &WORDS), "full:latest", "{how}");
        let healed = size(&sandbox);
        assert_eq!(best(&sandbox, &WORDS), "full:latest", "{how}");
        assert_eq!(size(&sandbox), healed, "{how}: what was made good is known the next time");
        healed
    };
    assert_eq!(expect_healed("as import left it"), whole.len() as u64);
    std::fs::remove_file(&kept).unwrap();
    assert_eq!(expect_healed("gone"), whole.len() as u64);
    for cut in [0, 1, whole.len() / 3, whole.len() - 1] {
        std::fs::write(&kept, &whole[..cut]).unwrap();
        expect_healed(&format!("cut at {cut}"));
    }
    for at in (0..whole.len()).step_by(37) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x40;
        std::fs::write(&kept, damaged).unwrap();
        expect_healed(&format!("damaged at {at}"));
    }
    std::fs::write(&kept, vec![0; 100_000]).unwrap();
    expect_healed("zeroes");
    std::fs::remove_file(&kept).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &kept, rustix::fs::Mode::RUSR).unwrap();
    assert_eq!(expect_healed("a pipe"), whole.len() as u64);
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache")).unwrap();
    expect_healed("no cache at all");
}

/// What cannot be kept is known all the same: no image is the worse for it.
#[test]
fn a_cache_that_cannot_be_written_costs_time_alone() {
    let sandbox = Sandbox::in_memory();
    import(&sandbox, &["base"], "amd64", ubuntu(&["libssl-dev"], &["cmake"]), &[]);
    let image = sandbox.json(["inspect", "base"])[0].clone();
    let hex = |digest: &serde_json::Value| digest.as_str().unwrap().trim_start_matches("sha256:").to_owned();
    let (id, layer) = (hex(&image["image_id"]), &image["layers"][0]);
    let cache = sandbox.store().join(".larder/cache");
    std::fs::remove_dir_all(&cache).unwrap();
    let listing = format!("listings/{}", hex(&layer["diff_id"]));
    let places = [
        format!("briefs/{}", briefs(&sandbox).file_name().unwrap().to_str().unwrap()),
        format!("facts/{id}"),
        listing,
        format!("blobs/{}", hex(&layer["digest"])),
        format!("diffs/{}", hex(&layer["diff_id"])),
    ];
    best(&sandbox, &[]);
    for place in places {
        let place = cache.join(place);
        let _ = std::fs::remove_file(&place);
        std::fs::create_dir(&place).unwrap();
    }
    for _ in 0..2 {
        let output = sandbox.larder(super::JOB.iter().chain(&["--tool", "cmake"]));
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((&*output.stdout, &*said), (&b"base:latest\n"[..], ""));
    }
    let output = sandbox.larder(["import", "image.tar", "--name", "again"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    sandbox.ok(["gc"]);
}

/// What is kept is what counts, so that the test above says something; of another owner it does not.
#[test]
fn they_are_believed_of_their_owner_alone() {
    let sandbox = three();
    let kept = briefs(&sandbox);
    let whole = std::fs::read(&kept).unwrap();
    // The briefs of another store, of the same images: there all have the same ID.
    let empty = Sandbox::in_memory();
    import(&empty, &["base"], "amd64", ubuntu(&["libssl-dev"], &["cmake"]), &[]);
    let of_one = std::fs::read(briefs(&empty)).unwrap();
    assert!(whole.starts_with(&of_one), "the same image has the same brief");
    std::fs::remove_dir_all(sandbox.store().join(".larder/cache/facts")).unwrap();
    assert_eq!(best(&sandbox, &WORDS), "full:latest");
    assert!(
        !sandbox.store().join(".larder/cache/facts").read_dir().is_ok_and(|mut all| all.next().is_some())
    );
    if std::os::unix::fs::chown(&kept, Some(12345), None).is_ok() {
        // Then the facts are read again, which can be seen.
        assert_eq!(best(&sandbox, &WORDS), "full:latest");
        assert_eq!(sandbox.store().join(".larder/cache/facts").read_dir().unwrap().count(), 3);
        // And kept in a file of this user's, once.
        let healed = size(&sandbox);
        assert_eq!((best(&sandbox, &WORDS), size(&sandbox)), ("full:latest".to_owned(), healed));
        assert_eq!(healed, whole.len() as u64);
    }
}

#[test]
fn gc_drops_what_is_said_of_images_that_are_gone() {
    let sandbox = three();
    let before = size(&sandbox);
    sandbox.ok(["rm", "base"]);
    sandbox.ok(["gc"]);
    assert_eq!(size(&sandbox), before, "little is gone");
    sandbox.ok(["rm", "gcc"]);
    sandbox.ok(["gc"]);
    assert!(size(&sandbox) < before / 2, "{} of {before}", size(&sandbox));
    assert_eq!(best(&sandbox, &WORDS), "full:latest");
}
