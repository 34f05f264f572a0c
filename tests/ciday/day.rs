//! The rounds of the day.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::Length;
use super::disk::{Disk, Watch};
use super::evening;
use super::images::{APPS, Archives, NIGHTLY, PINNED, TOOLS, build};
use super::job::{Ask, Job};
use super::record::Record;
use super::verbs::text;
use crate::handover::proxy::Proxy;
use crate::support::store::{blobs, document, entries, index_text, named};
use crate::support::{Docker, Sandbox};

/// The policy of docs/ci-host.md, in a hurry.
pub(super) const POLICY: &str = r#"min_free = "20%"
target_free = "30%"
min_age = "1s"
orphan_age = "2s"
protect = ["*:latest", "ci-tools"]
"#;

/// The host.
pub(super) struct Day<'a> {
    pub(super) docker: &'a Docker,
    pub(super) length: &'a Length,
    pub(super) sandbox: Sandbox,
    pub(super) disk: Disk,
    pub(super) proxy: Proxy,
    pub(super) archives: Archives,
    pub(super) record: Record,
    /// For each app what `latest` meant, one after the other.
    pub(super) published: Mutex<[Vec<String>; APPS.len()]>,
    /// For each version the digest that it came in with.
    pub(super) digests: Mutex<BTreeMap<String, String>>,
}

/// From the first import to the last look; `None` where something is missing that it needs.
pub(super) fn live(docker: &Docker, length: &Length) -> Option<()> {
    let mut sandbox = Sandbox::new();
    let disk = Disk::new(&sandbox, length.disk)?;
    let archives = build(&sandbox, docker, length)?;
    let proxy = Proxy::new(sandbox.path("proxy.sock"), docker);
    sandbox.set("DOCKER_HOST", proxy.host());
    sandbox.set("LARDER_STORE", disk.store_inside());
    let (published, digests) = Default::default();
    let day =
        Day { docker, length, sandbox, disk, proxy, archives, record: Record::default(), published, digests };
    day.morning();
    let watch = Watch::default();
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| watch.run(&day.disk));
        // Also when a round fails.
        let stop = Stop(&watch);
        let mut dice = Dice(7);
        for round in 0..length.rounds {
            day.round(round, &mut dice);
        }
        day.night();
        drop(stop);
        watching.join().unwrap();
    });
    evening::look(&day, &watch);
    Some(())
}

struct Stop<'a>(&'a Watch);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

/// The same numbers each day.
pub(super) struct Dice(u64);

impl Dice {
    /// Below `sides`.
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }
}

impl Day<'_> {
    fn morning(&self) {
        self.ok(&["init"]);
        std::fs::write(self.disk.store().join(".larder/larder.toml"), POLICY).unwrap();
        for (at, app) in APPS.iter().enumerate() {
            assert!(self.publish(at, 1), "{app}");
        }
        for name in [TOOLS, PINNED, NIGHTLY] {
            assert!(self.import(&format!("{name}:1"), &[]), "{name}");
        }
        self.ok(&["pin", &format!("{PINNED}:1")]);
    }

    fn round(&self, round: usize, dice: &mut Dice) {
        let versions = self.length.versions as u64;
        let app = dice.roll(APPS.len() as u64) as usize;
        let old = |dice: &mut Dice| 1 + dice.roll(versions);
        let ask = |job: usize, image: String, rmi, code| Ask {
            image,
            name: format!("job:{round}-{job}"),
            rmi,
            code,
        };
        let asks = [
            ask(0, format!("{}:latest", APPS[app]), false, 0),
            ask(1, format!("{}:{}", APPS[(app + 1) % APPS.len()], old(dice)), true, 3),
            ask(2, format!("{NIGHTLY}:{}", old(dice)), dice.roll(2) == 0, 0),
        ];
        // Somebody else is there, and mostly leaves what the policy wants.
        let (free, total) = self.disk.space();
        let least = total / 5;
        self.disk.leave(least * 3 / 4 + dice.roll(free.saturating_sub(least * 3 / 4).max(1)));
        // The jobs begin while a rebuild comes in and cron runs.
        let next = 1 + (round as u64 + 1) % versions;
        let jobs: Vec<Job> = std::thread::scope(|scope| {
            let beginning: Vec<_> = asks.iter().map(|ask| scope.spawn(|| self.start(ask))).collect();
            self.publish(app, next);
            self.prune(&[]);
            beginning.into_iter().map(|job| job.join().unwrap()).collect()
        });
        self.disturb(round, (app, 1 + next % versions), &asks);
        let ends: Vec<String> = std::thread::scope(|scope| {
            let ending: Vec<_> = jobs.into_iter().map(|job| scope.spawn(|| job.end(self))).collect();
            // They end while cron runs.
            self.prune(if round.is_multiple_of(2) { &["--docker"] } else { &[] });
            ending.into_iter().map(|job| job.join().unwrap()).collect()
        });
        // By itself, or by cron in the same moment.
        assert_eq!(self.docker.image_id(&asks[1].name), None, "{}", ends[1]);
        self.disk.give_back();
        self.again(&asks[0]);
        self.gc();
        self.prune(&["--docker"]);
        self.assert_there();
    }

    /// Nobody works: what comes in and grows old is prune's, since nothing else wants its room.
    fn night(&self) {
        for version in 1..=2 {
            assert!(self.import(&format!("{NIGHTLY}:{version}"), &[]));
        }
        sleep(Duration::from_millis(1200));
        let before = self.record.count("images that prune took");
        self.disk.leave(self.disk.space().1 / 10);
        self.prune(&[]);
        assert!(self.record.count("images that prune took") > before, "prune took nothing");
        self.disk.give_back();
    }

    /// All jobs hold what they hold: their names go elsewhere or away, the disk gets full, and cron runs.
    fn disturb(&self, round: usize, (app, next): (usize, u64), asks: &[Ask]) {
        self.publish(app, next);
        self.larder(&["rm", &asks[1].image], &[0, 3]);
        let least = self.disk.space().1 / 5;
        // Somebody else takes what prune frees.
        for _ in 0..2 {
            self.disk.leave(least / 2);
            self.prune(&["--docker"]);
        }
        let held = self.ok(&["holds"]);
        assert_eq!(held.lines().count(), 1 + asks.len(), "{held}");
        self.refused(least / 2);
        if round + 1 == self.length.rounds {
            let full = self.larder(&["prune"], &[4]);
            self.record.say(format!(
                "$ larder prune; echo $?\n{}{}4\n$ larder holds\n{held}",
                text(&full.stdout),
                text(&full.stderr)
            ));
        }
        if round % 3 != 2 {
            self.disk.give_back();
        }
    }

    /// While somebody else leaves so little, what is not there cannot come in, and nothing is changed.
    fn refused(&self, left: u64) {
        let nightly = (1..=self.length.versions).map(|version| format!("{NIGHTLY}:{version}"));
        let Some(missing) = nightly.into_iter().find(|name| named(&self.disk.store(), name).is_none()) else {
            return;
        };
        // What was too young a moment ago may go by now; it cannot be so for long.
        for _ in 0..10 {
            self.disk.leave(left);
            self.gc();
            let look = || (index_text(&self.disk.store()), blobs(&self.disk.store()));
            let before = look();
            if !self.import(&missing, &[]) {
                assert!(look() == before, "{missing} was refused, and something changed");
                return;
            }
            self.ok(&["rm", &missing]);
        }
        panic!("{missing} came in again and again beside {left} bytes");
    }

    /// A job as its line in docs/ci-host.md: what is not there is imported.
    fn start(&self, ask: &Ask) -> Job {
        for _ in 0..20 {
            let before = self.latest(&ask.image);
            let begun = Instant::now();
            match Job::begin(self, ask) {
                Ok(job) => {
                    self.record.took("hold, until its command begins", begun.elapsed());
                    match before {
                        // Whoever asks for the latest gets one that was it meanwhile.
                        Some((app, before)) => {
                            let published = &self.published.lock().unwrap()[app];
                            assert!(
                                published[before..].contains(&job.version),
                                "{}: {published:?}",
                                job.version
                            );
                        }
                        None => assert_eq!(job.version, ask.image),
                    }
                    return job;
                }
                Err(said) => {
                    assert!(said.contains("no such image") && before.is_none(), "{}: {said}", ask.image);
                    self.record.add("jobs whose image was not there", 1);
                    if !self.import(&ask.image, &[]) {
                        self.disk.give_back();
                    }
                }
            }
        }
        panic!("{} never stayed until the job began", ask.image)
    }

    /// The same job, with its copy still in the engine.
    fn again(&self, ask: &Ask) {
        let before = self.latest(&ask.image).unwrap();
        let is_there = self.published.lock().unwrap()[before.0].last().cloned();
        let ask = Ask { name: format!("{}-again", ask.name), ..ask.clone() };
        Job::begin(self, &ask).unwrap().end(self);
        self.count_sent();
        let again = Ask { name: format!("{}-more", ask.name), ..ask };
        let job = Job::begin(self, &again).unwrap();
        let traffic = self.proxy.take();
        assert_eq!(Some(&job.version), is_there.as_ref());
        assert_eq!((traffic.loads, traffic.pulls), (0, 0), "{}", again.image);
        assert!(job.end(self).contains("nothing sent"), "{}", again.image);
        self.record.add("repeated jobs", 1);
    }

    /// Counts what went to the engine since the last time; nothing that larder or a job does makes it pull.
    pub(super) fn count_sent(&self) {
        let traffic = self.proxy.take();
        assert_eq!(traffic.pulls, 0, "the engine was asked to pull");
        self.record.add("bytes sent to Docker", traffic.sent);
        self.record.add("loads of Docker", traffic.loads);
    }

    /// Which app's latest, and from where on in the list it may be: the last one may be just about to come.
    fn latest(&self, image: &str) -> Option<(usize, usize)> {
        let app = APPS.iter().position(|app| image.strip_suffix(":latest") == Some(app))?;
        Some((app, self.published.lock().unwrap()[app].len().saturating_sub(2)))
    }

    /// What no policy takes is there, whole.
    fn assert_there(&self) {
        let published: Vec<String> =
            self.published.lock().unwrap().iter().map(|versions| versions.last().unwrap().clone()).collect();
        for (app, version) in APPS.iter().zip(published) {
            let digest = named(&self.disk.store(), &format!("{app}:latest"))
                .unwrap_or_else(|| panic!("{app} is gone"));
            let config =
                document(&self.disk.store(), &digest)["config"]["digest"].as_str().unwrap().to_owned();
            assert_eq!(self.archives.versions[&config], version);
        }
        for name in [TOOLS, PINNED] {
            assert!(named(&self.disk.store(), &format!("{name}:1")).is_some(), "{name} is gone");
        }
        let nightly = |entry: &&Value| entry["annotations"].to_string().contains(NIGHTLY);
        assert!(entries(&self.disk.store()).iter().any(|entry| nightly(&entry)), "no nightly is left");
        self.ok(&["verify", "--quick"]);
    }
}
