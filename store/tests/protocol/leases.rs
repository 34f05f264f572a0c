//! Leases: they live as long as their process, whatever ends it.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};

use larder_store::lease::{self, About, HOLD, Lease, Seen};
use larder_store::{Digest, Store};

use crate::support::child::{self, Child};
use crate::support::{here, image, leftovers, open, quick_directory};

/// The live leases, as GC sees them: while nobody else can make one.
fn live(store: &Store) -> Vec<Seen> {
    let _alone = store.locks().exclusive().unwrap();
    lease::live(&store.layout().private().sub("leases").unwrap()).unwrap()
}

#[test]
fn a_lease_lives_as_long_as_its_process() {
    if let Some(part) = child::part() {
        let store = open(&part.dir);
        let mut tx = store.begin("a child's import").unwrap();
        tx.put(b"published").unwrap();
        tx.reuse(&[(Digest::of(b"absent"), 6)]).unwrap();
        child::say("leased");
        child::wait();
        drop(tx);
        child::say("dropped");
        return child::wait();
    }
    let dir = quick_directory();
    let store = open(dir.path());
    let expected = [Digest::of(b"published"), Digest::of(b"absent")];
    for end in ["kill", "drop"] {
        let mut process = Child::start(here!(), "importer", 0, dir.path());
        process.expect("leased");
        let [seen] = &live(&store)[..] else { panic!("one lease before {end}") };
        assert_eq!((seen.purpose.as_str(), &seen.digests[..]), ("a child's import", &expected[..]));
        assert!(!seen.is_hold());
        if end == "kill" {
            process.kill();
            assert_eq!(leftovers(dir.path()).len(), 2, "its files are there, and are nobody's");
            assert_eq!(live(&store), []);
            for left in leftovers(dir.path()) {
                std::fs::remove_file(&left).or_else(|_| std::fs::remove_dir(&left)).unwrap();
            }
        } else {
            process.go();
            process.expect("dropped");
            assert_eq!(live(&store), []);
            assert_eq!(leftovers(dir.path()), Vec::<String>::new());
            process.go();
            process.finish();
        }
    }
}

/// Between its publication and its name, the lease is all that keeps a blob.
#[test]
fn what_is_published_is_leased() {
    let dir = quick_directory();
    let store = open(dir.path());
    let mut tx = store.begin("publishing").unwrap();
    for content in [&b"first"[..], b"second", b"first"] {
        let mut writer = tx.writer().unwrap();
        writer.write_all(content).unwrap();
        tx.publish(writer.finish().unwrap()).unwrap();
    }
    assert_eq!(live(&store)[0].digests, [Digest::of(b"first"), Digest::of(b"second")]);
    tx.commit(|_| Ok(())).unwrap();
    assert_eq!(live(&store), []);
}

/// It is leased before anybody looks whether it is there, and whether or not it is.
#[test]
fn what_is_reused_is_leased_and_checked() {
    let dir = quick_directory();
    let store = open(dir.path());
    let present = store.begin("a test").unwrap().put(b"present").unwrap();
    let mut tx = store.begin("reusing").unwrap();
    let absent = Digest::of(b"absent");
    let found = tx.reuse(&[(present, 7), (absent, 6)]).unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [present]);
    assert!(
        tx.reuse(&[(present, 8)]).unwrap().is_empty(),
        "a blob of another size is not the one that is meant"
    );
    assert_eq!(live(&store)[0].digests, [present, absent]);
}

#[test]
fn protecting_leases_all_that_is_below_a_name() {
    let dir = quick_directory();
    let store = open(dir.path());
    let entry = image::add(&store, "image", 1, 1000).unwrap();
    image::add(&store, "other", 2, 1000).unwrap();
    let (protection, found) = store.protect(&["image".to_owned()], "reading\u{1b}[2J\nsha256:x").unwrap();
    assert_eq!(found.iter().map(|found| found.digest).collect::<Vec<_>>(), [entry.digest]);
    let [seen] = &live(&store)[..] else { panic!("one lease") };
    assert_eq!(seen.purpose, "reading[2Jsha256:x", "control characters are left out");
    assert_eq!(seen.digests.len(), 4, "manifest, config and two layers");
    assert_eq!(seen.digests[0], entry.digest);
    for digest in &seen.digests {
        assert!(store.blobs().contains(digest).unwrap().is_some());
    }
    drop(protection);
    assert_eq!(live(&store), []);
    assert!(store.protect(&["nobody".to_owned()], "reading").is_err());
    assert_eq!(leftovers(dir.path()), Vec::<String>::new());
}

#[test]
fn a_lease_grows_and_holds_each_digest_once() {
    let dir = quick_directory();
    let store = open(dir.path());
    let leases = store.layout().private().sub("leases").unwrap();
    let guard = store.locks().shared().unwrap();
    let mut lease = Lease::create(&leases, "growing", &guard).unwrap();
    let digests: Vec<_> = (0..500u32).map(|number| Digest::of(&number.to_le_bytes())).collect();
    for part in digests.chunks(7) {
        lease.add(part, &guard).unwrap();
        lease.add(part, &guard).unwrap();
    }
    lease.add(&[], &guard).unwrap();
    drop(guard);
    assert_eq!(live(&store)[0].digests, digests);
}

/// GC must not go on when it cannot tell what is protected.
#[test]
fn a_live_lease_that_cannot_be_read_is_an_error() {
    let dir = quick_directory();
    let store = open(dir.path());
    let leases = dir.path().join(".larder/leases");
    let tx = store.begin("a test").unwrap();
    let path = std::fs::read_dir(&leases).unwrap().next().unwrap().unwrap().path();
    std::fs::write(&path, "# a test\nsha256:not a digest\n").unwrap();
    let _alone = store.locks().exclusive().unwrap();
    let error = lease::live(&store.layout().private().sub("leases").unwrap()).unwrap_err();
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    drop(tx);
}

/// What a lease says of itself is for people: whatever stands there, its digests count.
#[test]
fn a_lease_protects_whatever_its_first_line_says() {
    let dir = quick_directory();
    let store = open(dir.path());
    let leases = store.layout().private().sub("leases").unwrap();
    let guard = store.locks().shared().unwrap();
    let about = About {
        purpose: HOLD.into(),
        since: Some(1_700_000_000),
        images: vec!["gcc15".into(), "x\ty".repeat(1000)],
        ..About::default()
    };
    let about = about.running(&["/opt/s\u{1b}[2Jh\n".to_owned() + &"w".repeat(500), "TOKEN=secret".into()]);
    let mut lease = Lease::create(&leases, about, &guard).unwrap();
    let held = Digest::of(b"held");
    lease.add(&[held], &guard).unwrap();
    drop(guard);
    let [seen] = &live(&store)[..] else { panic!("one lease") };
    assert!(seen.is_hold() && seen.id == lease.id() && seen.since == Some(1_700_000_000), "{seen:?}");
    assert!(seen.program.starts_with("s[2Jhw") && seen.program.len() == 60, "{seen:?}");
    assert_eq!((seen.words, seen.images[0].as_str(), seen.images[1].len()), (2, "gcc15", 200));
    let path = dir.path().join(".larder/leases").join(lease.id());
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(!text.contains("secret") && !text.contains("/opt"), "{text}");
    // Of an older larder.
    let older =
        r#"{"purpose":"hold","since":7,"command":["/bin/sh","-c","TOKEN=secret"],"images":["gcc15"]}"#;
    std::fs::write(&path, format!("# {older}\n{held}\n")).unwrap();
    let [seen] = &live(&store)[..] else { panic!("one lease") };
    assert_eq!((seen.program.as_str(), seen.words, seen.since), ("sh", 3, Some(7)));
    assert!(!format!("{seen:?}").contains("secret") && seen.is_hold() && seen.digests == [held], "{seen:?}");
    let user = seen.user(&leases);
    assert_eq!(user, format!("hold of sh (process {})", std::process::id()));
    for (first, purpose) in [
        ("# import\n", "import"),
        ("# {\"purpose\":\"hold\",\"later\":[1]}\n", "hold"),
        ("# {\"purpose\":7}\n", "{\"purpose\":7}"),
        ("#\n", ""),
        ("\u{fffd}\u{0}rubbish\n", "\u{fffd}\u{0}rubbish"),
        ("", ""),
    ] {
        std::fs::write(&path, format!("{first}{held}\n")).unwrap();
        let [seen] = &live(&store)[..] else { panic!("one lease") };
        assert_eq!((seen.purpose.as_str(), &seen.digests[..]), (purpose, &[held][..]), "{first:?}");
    }
    // Half a line is what a lister may see, and GC may not pass over.
    std::fs::write(&path, format!("# hold\n{held}\n{}", &held.to_string()[..30])).unwrap();
    assert_eq!(lease::glance(&leases).unwrap()[0].digests, [held]);
    assert!(lease::live(&leases).unwrap_err().to_string().contains("middle of a line"));
}

/// Who only looks (a list of the holds) is not in the way of who makes one.
#[test]
fn looking_at_leases_disturbs_nobody() {
    let dir = quick_directory();
    let store = open(dir.path());
    let leases = store.layout().private().sub("leases").unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    lease::live(&leases).unwrap();
                }
            });
        }
        let guard = store.locks().shared().unwrap();
        let made = (0..20_000).try_for_each(|_| Lease::create(&leases, "a test", &guard).map(drop));
        done.store(true, Ordering::Relaxed);
        made.unwrap();
    });
}
