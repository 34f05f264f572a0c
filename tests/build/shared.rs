//! `--cache-to` and `--cache-from`: what one host has done another one does not do again.

use std::fs;

use serde_json::Value;

use super::{Builder, Made};
use crate::push::taker::{Does, Taker};
use crate::support::image::digest;
use crate::support::web::answer;
use crate::support::{need, peer, store};

const STEPS: &str = "FROM busybox:1\nENV WORD=one\nWORKDIR /here\nRUN cat /proc/sys/kernel/random/uuid > one\n\
    COPY file other/\nRUN cat /proc/sys/kernel/random/uuid > two\n";

fn host() -> Option<Builder> {
    let builder = Builder::new()?;
    fs::write(builder.context().join("file"), "content\n").unwrap();
    Some(builder)
}

/// The instructions that were done, but for those that make no files.
fn done(made: &Made) -> Vec<&str> {
    let headers = made.told.lines().filter(|line| line.starts_with('[') && !line.ends_with(" (cached)"));
    let words = headers.filter_map(|line| line.split_once("] ")?.1.split(' ').next());
    words.filter(|word| !["FROM", "ENV"].contains(word)).collect()
}

fn layers(builder: &Builder) -> Value {
    builder.sandbox.json(["inspect", "made:1"])[0]["layers"].clone()
}

/// The tags of records.
fn tags(taker: &Taker) -> Vec<String> {
    let tag = |path: &str| path.rsplit('/').next().filter(|tag| tag.starts_with("step-")).map(str::to_owned);
    let puts = taker.take().into_iter().filter(|asked| asked.method == "PUT");
    puts.filter_map(|asked| tag(&asked.path)).collect()
}

#[test]
fn the_second_host_runs_nothing() {
    let (first, second) = need!(host().zip(host()), "root, runc and busybox");
    let registry = need!(peer::registry(), "docker-registry");
    let place = format!("{}/steps/two", registry.address);
    let made = first.ok(STEPS, &["--cache-to", &place]);
    assert!(made.told.contains(&format!("4 steps shared by {place}")), "{}", made.told);
    let made = second.ok(STEPS, &["--cache-from", &place]);
    assert_eq!(done(&made), [""; 0], "{}", made.told);
    let same = |builder: &Builder| {
        layers(builder).as_array().unwrap().iter().map(|l| l["digest"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(same(&second), same(&first));
    second.assert_clean();
    second.sandbox.ok(["verify"]);
    // Where that place is named it is not fetched again.
    assert_eq!(
        done(&second.ok(&format!("{STEPS}RUN cat one two other/file\n"), &["--cache-from", &place])),
        ["RUN"]
    );
}

#[test]
fn a_step_costs_one_request_and_what_is_there_is_not_sent_again() {
    let (first, second) = need!(host().zip(host()), "root, runc and busybox");
    let taker = Taker::new();
    let place = format!("{}/steps", taker.address);
    first.ok(STEPS, &["--cache-from", &place, "--cache-to", &place]);
    assert_eq!(tags(&taker).len(), 4);
    first.ok(STEPS, &["--cache-from", &place, "--cache-to", &place]);
    assert_eq!(taker.kinds(), ["HEAD manifest"; 4]);
    let made = second.ok(STEPS, &["--cache-from", &place, "--cache-to", &place]);
    assert_eq!(done(&made), [""; 0], "{}", made.told);
    assert_eq!(taker.kinds(), [["GET blob"; 4], ["GET manifest"; 4]].concat());
    // A change is asked for, done, and sent, and so is what follows it.
    fs::write(second.context().join("file"), "changed\n").unwrap();
    let made = second.ok(STEPS, &["--cache-from", &place, "--cache-to", &place]);
    assert_eq!(done(&made), ["COPY", "RUN"]);
    let kinds = taker.kinds();
    assert_eq!(kinds.iter().filter(|kind| *kind == "GET manifest").count(), 2, "{kinds:?}");
    assert_eq!(kinds.iter().filter(|kind| *kind == "PUT manifest").count(), 2, "{kinds:?}");
    // What is done anew replaces what was known, and nothing is asked for it.
    let anew = first.ok(STEPS, &["--no-cache", "--cache-from", &place, "--cache-to", &place]);
    assert_eq!((done(&anew).len(), tags(&taker).len()), (4, 4));
}

#[test]
fn what_came_from_one_place_counts_where_that_is_named_and_goes_to_no_other() {
    let (first, second) = need!(host().zip(host()), "root, runc and busybox");
    let taker = Taker::new();
    let [one, other] = ["one", "other"].map(|name| format!("{}/{name}", taker.address));
    first.ok(STEPS, &["--cache-to", &one]);
    tags(&taker);
    let made = second.ok(STEPS, &["--cache-from", &one, "--cache-to", &other]);
    assert_eq!((done(&made), tags(&taker).len()), (vec![], 0), "{}", made.told);
    // From the store, and no more of their own for that.
    let made = second.ok(STEPS, &["--cache-from", &one, "--cache-to", &other]);
    assert_eq!((done(&made), tags(&taker).len()), (vec![], 0), "{}", made.told);
    let made = second.ok(STEPS, &["--cache-from", &other, "--cache-to", &other]);
    assert_eq!((done(&made).len(), tags(&taker).len()), (4, 4), "{}", made.told);
    // What was done here is this store's own.
    let made = second.ok(STEPS, &[]);
    assert_eq!(done(&made), [""; 0], "{}", made.told);
    assert_ne!(layers(&first)[1], layers(&second)[1]);
}

#[test]
fn a_host_that_wants_to_be_left_alone_is_asked_once_in_a_build() {
    let builder = need!(host(), "root, runc and busybox");
    let taker = Taker::new();
    taker.rule(|_| Does::Answer(answer("429 Too Many Requests", &[("Retry-After", "60")], b"{}")));
    let [from, to] = ["one", "other"].map(|name| format!("{}/{name}", taker.address));
    let made = builder.ok(STEPS, &["--cache-from", &from, "--cache-to", &to]);
    assert_eq!(done(&made).len(), 4);
    assert_eq!(taker.kinds(), ["GET manifest"], "{}", made.told);
}

/// What it is called, how it is told, and what is said of it.
type Lie<'a> = (&'a str, &'a dyn Fn(&mut Value), &'a str);

#[test]
fn what_is_not_what_it_says_is_done_here() {
    let (first, second) = need!(host().zip(host()), "root, runc and busybox");
    let taker = Taker::new();
    let place = format!("{}/steps", taker.address);
    let text = "FROM busybox:1\nRUN cat /proc/sys/kernel/random/uuid > one\n";
    first.ok(text, &["--cache-to", &place]);
    let tag = tags(&taker).pop().unwrap();
    let good = taker.manifest("steps", &tag).unwrap();
    let lies: [Lie<'_>; 6] = [
        (
            "another diff ID",
            &|v| v["annotations"]["dev.larder.step.diff-id"] = digest(b"x").into(),
            "unpacks to",
        ),
        ("another size", &|v| v["layers"][0]["size"] = 5.into(), "GET /v2/steps/blobs/"),
        (
            "more than there is room for",
            &|v| v["layers"][0]["size"] = (1u64 << 50).into(),
            "bytes are needed",
        ),
        ("a layer that is not there", &|v| v["layers"][0]["digest"] = digest(b"x").into(), "404"),
        ("of another step", &|v| v["annotations"]["dev.larder.step.key"] = digest(b"x").into(), ""),
        ("something else", &|v| v["artifactType"] = "application/x".into(), ""),
    ];
    for (what, lie, said) in lies {
        let mut value: Value = serde_json::from_slice(&good).unwrap();
        lie(&mut value);
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        taker.put_manifest("steps", &tag, media_type, value.to_string().as_bytes());
        fs::remove_dir_all(second.sandbox.store().join(".larder/steps")).ok();
        let made = second.ok(text, &["--cache-from", &place]);
        assert_eq!(done(&made), ["RUN"], "{what}: {}", made.told);
        assert!(made.told.contains(said), "{what}: {}", made.told);
        assert_eq!(made.told.contains("is done here"), !said.is_empty(), "{what}: {}", made.told);
        store::assert_blobs_match(&second.sandbox.store());
        store::assert_nothing_pending(&second.sandbox.store());
    }
}

#[test]
fn a_cache_that_fails_costs_no_build_and_is_said_once() {
    let builder = need!(host(), "root, runc and busybox");
    let place = "127.0.0.1:1/steps";
    let made = builder.ok(STEPS, &["--cache-from", place, "--cache-to", place]);
    assert_eq!(done(&made).len(), 4);
    assert_eq!(made.told.matches("what is not known here is done here").count(), 1, "{}", made.told);
    assert!(made.told.contains("steps are not shared by"), "{}", made.told);
    let taker = Taker::new();
    taker.rule(|_| Does::Answer(answer("403 Forbidden", &[], b"{}")));
    let place = format!("{}/steps", taker.address);
    let made = builder.ok(STEPS, &["--no-cache", "--cache-from", &place, "--cache-to", &place]);
    assert!(made.told.contains("403"), "{}", made.told);
    for wrong in ["steps", "localhost/steps:1", "https://localhost/steps"] {
        builder.fail(STEPS, &["--cache-from", wrong], 2);
    }
}
