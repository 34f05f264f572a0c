//! larder's verbs as the host calls them, and what they may answer on that day.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::day::Day;
use super::images::{APPS, NIGHTLY};
use crate::support::describe;

impl Day<'_> {
    /// A new version takes the name `latest`; false where there is no room for it.
    pub(super) fn publish(&self, app: usize, version: u64) -> bool {
        let (name, latest) = (format!("{}:{version}", APPS[app]), format!("{}:latest", APPS[app]));
        // Whoever reads the list meanwhile may find a version that is just about to come.
        self.published.lock().unwrap()[app].push(name.clone());
        let came = self.import(&name, &["--name", &latest, "--replace"]);
        if !came {
            let published = &mut self.published.lock().unwrap()[app];
            published.pop();
        }
        came
    }

    /// Imports; false where there is no room because of somebody else.
    pub(super) fn import(&self, image: &str, more: &[&str]) -> bool {
        // What is too young to go may be in the way; it cannot be so for long.
        let mut said = String::new();
        for _ in 0..30 {
            match self.import_now(image, more) {
                Ok(came) => return came,
                Err(refused) => said = refused,
            }
            sleep(Duration::from_millis(200));
        }
        panic!("{image} is refused, and nobody else takes any space: {said}")
    }

    /// Imports; what larder says where it is refused and nobody else has any space.
    fn import_now(&self, image: &str, more: &[&str]) -> Result<bool, String> {
        let archive = self.archives.of(image);
        let before = self.disk.taken();
        let args = [&["import", archive.to_str().unwrap(), "--image", image][..], more].concat();
        let output = self.larder(&args, &[0, 1]);
        let said = text(&output.stderr);
        if output.status.success() {
            self.record.add("imports", 1);
            self.record.add("imports that made room", said.matches("made room: ").count() as u64);
            if said.contains("made room: ") && self.record.count("imports that made room") == 1 {
                self.record.say(format!("$ larder import … --image {image}\n{said}{}", text(&output.stdout)));
            }
            // What went and came back is the same: an engine that still has it is sent nothing.
            let digest = text(&output.stdout).split(' ').nth(1).unwrap().to_owned();
            let first =
                self.digests.lock().unwrap().entry(image.to_owned()).or_insert(digest.clone()).clone();
            assert_eq!(digest, first, "{image}");
        } else {
            assert!(said.contains("bytes are needed beside what min_free keeps free"), "{image}: {said}");
            if before == 0 {
                return Err(said);
            }
            if self.record.count("imports refused") == 0 {
                self.record.say(format!("$ larder import … --image {image}\n{said}"));
            }
            self.record.add("imports refused", 1);
        }
        Ok(output.status.success())
    }

    /// Runs cron's line; 4 only while somebody else has space.
    pub(super) fn prune(&self, more: &[&str]) -> Value {
        let before = self.disk.taken();
        let output = self.larder(&[&["prune", "--format", "json"], more].concat(), &[0, 4]);
        assert!(output.status.success() || before > 0, "{}", describe(&self.command(&["prune"]), &output));
        self.record.add("prunes out of reach", u64::from(!output.status.success()));
        let pruned: Value = serde_json::from_slice(&output.stdout).unwrap();
        let images = pruned["images"].as_array().unwrap();
        let dropped = images.iter().filter(|image| image["verdict"] == "drop");
        self.record.add("images that prune took", dropped.count() as u64);
        let copies = pruned["docker"].as_array().into_iter().flatten();
        self.record.add(
            "copies that prune took out of Docker",
            copies.filter(|copy| copy["verdict"] == "drop").count() as u64,
        );
        // The newest of a group stays, by the times that the answer itself has.
        let nightly = images.iter().filter(|image| image["references"].to_string().contains(NIGHTLY));
        let newest = nightly.clone().map(|image| image["imported"].as_str()).max().flatten();
        let newest = nightly.filter(|image| image["imported"].as_str() == newest);
        assert!(
            newest.clone().count() == 0 || newest.clone().any(|image| image["verdict"] == "keep"),
            "{pruned}"
        );
        pruned
    }

    /// Collects without any grace.
    pub(super) fn gc(&self) {
        self.ok(&["gc", "--grace", "0s"]);
    }

    /// The blobs that the lease names whose larder was called with this word.
    pub(super) fn leased(&self, word: &str) -> Vec<PathBuf> {
        let leases = self.disk.store().join(".larder/leases");
        let lease = std::fs::read_dir(&leases).unwrap().find_map(|lease| {
            let path = lease.unwrap().path();
            is_open_with(&path, word).then(|| std::fs::read_to_string(path).unwrap())
        });
        let lease = lease.unwrap_or_else(|| panic!("{word} has no lease"));
        let digests = lease.lines().filter_map(|line| line.strip_prefix("sha256:"));
        let blobs = digests.map(|hex| self.disk.store().join("blobs/sha256").join(hex));
        blobs.filter(|blob| blob.exists()).collect()
    }

    /// A larder command where the disk is.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        self.disk.within(&self.sandbox.command(args))
    }

    /// Runs larder, which must end with one of these codes.
    pub(super) fn larder(&self, args: &[&str], codes: &[i32]) -> Output {
        let mut command = self.command(args);
        let begun = Instant::now();
        let output = command.output().unwrap();
        let docker = if args.contains(&"--docker") { " --docker" } else { "" };
        self.record.took(&format!("{}{docker}", args[0]), begun.elapsed());
        self.look_at(&text(&output.stderr));
        assert!(
            output.status.code().is_some_and(|code| codes.contains(&code)),
            "{}",
            describe(&command, &output)
        );
        output
    }

    /// Runs larder, which must succeed, and returns its stdout.
    pub(super) fn ok(&self, args: &[&str]) -> String {
        text(&self.larder(args, &[0]).stdout)
    }

    /// What no larder may say on this day.
    pub(super) fn look_at(&self, stderr: &str) {
        assert!(!stderr.contains("No space left"), "{stderr}");
        self.record.add("hand-overs without a byte", stderr.matches("nothing sent").count() as u64);
    }
}

pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether a process that has this file open was called with this word. The file is on another process's disk, so it
/// is known by its inode.
fn is_open_with(path: &Path, word: &str) -> bool {
    let Ok(wanted) = path.metadata() else { return false };
    let is_it = |file: std::fs::DirEntry| {
        file.path().metadata().is_ok_and(|meta| (meta.dev(), meta.ino()) == (wanted.dev(), wanted.ino()))
    };
    std::fs::read_dir("/proc").unwrap().flatten().any(|process| {
        let words = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        words.split(|byte| *byte == 0).any(|one| one == word.as_bytes())
            && std::fs::read_dir(process.path().join("fd")).is_ok_and(|files| files.flatten().any(is_it))
    })
}
