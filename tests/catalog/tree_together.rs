//! Folders and registries while others work on them, and when larder is stopped or killed.

use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::archive;
use crate::support::store::{assert_nothing_pending, assert_sound, names};
use crate::support::tarball::{docker_archive, layer, noise};
use crate::support::{Sandbox, wait_for};

const COUNT: usize = 6;

/// A store of some images, each with a layer of its own.
fn stocked(bytes: usize) -> Sandbox {
    let sandbox = Sandbox::in_memory();
    for number in 0..COUNT {
        let image =
            docker_archive(&format!("image{number}"), &[layer("noise", &noise(number as u64, bytes))]);
        std::fs::write(sandbox.path("image.tar"), image).unwrap();
        sandbox.ok(["import", "image.tar"]);
    }
    sandbox
}

fn listed(sandbox: &Sandbox) -> usize {
    let text = std::fs::read_to_string(sandbox.path("tree/image-registry.yml")).unwrap_or_default();
    text.matches("  file: library/image").count()
}

#[test]
fn several_at_once_lose_no_entry() {
    let mut sandbox = stocked(1000);
    let exports: Vec<_> = (0..COUNT)
        .map(|number| {
            let name = format!("image{number}");
            let mut command = sandbox.command(["export", "--to-tree", "tree", &name, "image0"]);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    exports.into_iter().for_each(|export| assert!(export.wait_with_output().unwrap().status.success()));
    assert_eq!(listed(&sandbox), COUNT);
    sandbox.set("LARDER_STORE", sandbox.path("other"));
    let imports: Vec<_> = (0..3)
        .map(|_| {
            let mut command = sandbox.command(["catalog", "import", "tree/image-registry.yml"]);
            command.stdout(Stdio::null()).spawn().unwrap()
        })
        .collect();
    imports.into_iter().for_each(|import| assert!(import.wait_with_output().unwrap().status.success()));
    assert_eq!(names(&sandbox.path("other")).len(), COUNT);
    assert_sound(&sandbox.path("other"));
    assert_nothing_pending(&sandbox.path("other"));
}

#[test]
fn what_is_killed_or_stopped_leaves_whole_files_and_is_run_again() {
    let sandbox = stocked(2 << 20);
    for (signal, code) in [(Signal::KILL, None), (Signal::INT, Some(130)), (Signal::TERM, Some(143))] {
        let _ = std::fs::remove_dir_all(sandbox.path("tree"));
        let mut command = sandbox.command(["export", "--to-tree", "tree", "--layers", "gzip"]);
        let export = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_for(|| (listed(&sandbox) > 0).then_some(()));
        let _ = kill_process(Pid::from_child(&export), signal);
        let ended = export.wait_with_output().unwrap();
        assert!(ended.status.success() || ended.status.code() == code, "{ended:?}");
        // The registry is whole, and lists what is there.
        let mut fresh = Sandbox::in_memory();
        fresh.set("LARDER_STORE", fresh.path("fresh"));
        fresh.ok(["catalog", "import", sandbox.path("tree/image-registry.yml").to_str().unwrap()]);
        assert_eq!(names(&fresh.path("fresh")).len(), listed(&sandbox));
        if signal != Signal::KILL {
            let hidden = std::fs::read_dir(sandbox.path("tree/library")).unwrap();
            assert!(hidden.flatten().all(|file| !file.file_name().to_string_lossy().starts_with('.')));
        }
        sandbox.ok(["export", "--to-tree", "tree", "--layers", "gzip"]);
        assert_eq!(listed(&sandbox), COUNT);
    }
}

#[test]
fn an_import_that_is_stopped_goes_on_where_it_was() {
    let mut sandbox = stocked(4 << 20);
    sandbox.ok(["export", "--to-tree", "tree", "--archive", "docker", "--layers", "plain"]);
    sandbox.set("LARDER_STORE", sandbox.path("other"));
    let mut command = sandbox.command(["catalog", "import", "tree/image-registry.yml"]);
    let import = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let index = sandbox.path("other/index.json");
    wait_for(|| std::fs::read_to_string(&index).ok().filter(|index| index.contains("image0")));
    let _ = kill_process(Pid::from_child(&import), Signal::INT);
    let ended = import.wait_with_output().unwrap();
    assert!([Some(0), Some(130)].contains(&ended.status.code()), "{ended:?}");
    let came = names(&sandbox.path("other")).len();
    // Each that is there was told, and is there with its entry.
    assert_eq!(String::from_utf8(ended.stdout).unwrap().lines().count(), came);
    assert_nothing_pending(&sandbox.path("other"));
    let rows = sandbox.json(["catalog", "import", "tree/image-registry.yml"]);
    let there = rows.as_array().unwrap().iter().filter(|row| row["status"] == "unchanged").count();
    assert_eq!((rows.as_array().unwrap().len(), there), (COUNT, came));
}

#[test]
fn a_folder_that_somebody_else_has_is_waited_for_and_no_longer_than_allowed() {
    let sandbox = Sandbox::new();
    archive(&sandbox, "some.tar", &[&["tool"]]);
    sandbox.ok(["import", "some.tar"]);
    std::fs::create_dir(sandbox.path("tree")).unwrap();
    let folder = std::fs::File::open(sandbox.path("tree")).unwrap();
    folder.lock().unwrap();
    let said = sandbox.fail(["export", "--to-tree", "tree", "--lock-timeout", "1"], 6);
    assert!(said.contains("folder"), "{said}");
    let waiting = sandbox.command(["catalog", "export", "tree/image-registry.yml"]).spawn().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    assert!(!sandbox.path("tree/image-registry.yml").exists());
    drop(folder);
    assert!(waiting.wait_with_output().unwrap().status.success());
    assert!(sandbox.path("tree/image-registry.yml").exists());
}

#[test]
fn what_a_killed_run_left_goes_and_what_another_writes_stays() {
    let sandbox = stocked(1000);
    sandbox.ok(["export", "--to-tree", "tree", "image0"]);
    let make = |path: &str, age: u64| {
        let file = std::fs::File::create(sandbox.path(path)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(age)).unwrap();
        file
    };
    make("tree/library/.image1.tar.0123456789abcdef", 100);
    make("tree/.image-registry.yml.0123456789abcdef", 100);
    make("tree/library/.image2.tar.0123456789abcdef", 10);
    make("tree/library/.notes.tar.of-mine", 100);
    let written = make("tree/library/.image3.tar.0123456789abcdef", 100);
    written.lock().unwrap();
    sandbox.ok(["export", "--to-tree", "tree"]);
    let is_there = |path: &str| sandbox.path(path).exists();
    assert!(!is_there("tree/library/.image1.tar.0123456789abcdef"));
    assert!(!is_there("tree/.image-registry.yml.0123456789abcdef"));
    assert!(is_there("tree/library/.image2.tar.0123456789abcdef"));
    assert!(is_there("tree/library/.image3.tar.0123456789abcdef"));
    assert!(is_there("tree/library/.notes.tar.of-mine"));
}
