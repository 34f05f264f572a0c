//! `[remote]`: what one host has made the others take, if it is what they ask for and in order.

use super::*;
use crate::push::taker::{Does, Taker};
use crate::support::store::{assert_nothing_pending, assert_sound, named};
use crate::support::web::answer;
use crate::support::{need, wait_for};

pub(super) const REPOSITORY: &str = "fleet/p-debian-12-gcc12";

/// Configures the remote of a host.
pub(super) fn join(sandbox: &Sandbox, address: &str, more: &str) {
    let dir = sandbox.path("home/.config/larder");
    std::fs::create_dir_all(&dir).unwrap();
    let text = format!("{more}\n[remote]\nrepository = \"{address}/fleet\"\npush = true\n");
    std::fs::write(dir.join("larder.toml"), text).unwrap();
}

/// A host that can build, and one with an empty store; both share by a registry.
pub(super) fn two() -> Option<(Sandbox, Sandbox, Taker)> {
    let (first, second, taker) = (desk()?, Sandbox::new(), Taker::new());
    join(&first, &taker.address, "");
    join(&second, &taker.address, "");
    Some((first, second, taker))
}

pub(super) fn asked(taker: &Taker) -> Vec<String> {
    taker.take().iter().map(|asked| format!("{} {}", asked.method, asked.path)).collect()
}

/// The entry of [`NAME`], without what is about this store alone.
fn described(sandbox: &Sandbox) -> Value {
    let is_it = |entry: &Value| entry["annotations"]["org.opencontainers.image.ref.name"] == NAME;
    let mut entry = entries(&sandbox.store()).into_iter().find(is_it).unwrap();
    let annotations = entry["annotations"].as_object_mut().unwrap();
    let of_the_store = ["imported", "origin", "last-used", "use-count"];
    annotations.retain(|key, _| of_the_store.iter().all(|own| *key != format!("dev.larder.{own}")));
    entry
}

#[test]
fn the_second_host_fetches_what_the_first_built_and_builds_nothing() {
    let (first, second) = (need!(desk(), "root, runc and busybox"), Sandbox::new());
    let registry = need!(peer::registry(), "docker-registry");
    join(&first, &registry.address, "");
    join(&second, &registry.address, "");
    let (_, said) = ensured(&first, &["--tool=ninja-build"]);
    let place = format!("{}/{REPOSITORY}:latest", registry.address);
    assert!(ran(&said) == 1 && said.contains(&format!("{NAME} is shared as {place}")), "{said}");
    let before = registry.log().len();
    let (out, said) = ensured(&second, &["--tool=ninja-build"]);
    assert_eq!(out, format!("{NAME}\n"));
    assert!(ran(&said) == 0 && said.contains(&format!("{NAME} is fetched from {place}")), "{said}");
    assert_eq!(
        described(&second),
        described(&first),
        "it is declared as it was there, byte for byte the same"
    );
    assert_sound(&second.store());
    assert_nothing_pending(&second.store());
    second.ok(["verify"]);
    assert_eq!(second.ok(["resolve", "--strict-packages"].iter().chain(&JOB[1..])), format!("{NAME}\n"));
    let of_ours = |log: &str| {
        log.lines().filter(|line| line.contains(REPOSITORY) && line.contains("HTTP/1.1\" ")).count()
    };
    wait_for(|| registry.log()[before..].contains("/blobs/").then_some(()));
    // It is there now: nobody is asked.
    let before = of_ours(&registry.log());
    assert_eq!(ensured(&second, &["--tool=ninja-build"]).1, "");
    assert_eq!(ensured(&first, &["--tool=ninja-build"]).1, "");
    assert_eq!(of_ours(&registry.log()), before);
}

#[test]
fn it_is_asked_for_by_one_name_and_fetched_without_asking_twice() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    // There is none: one request, and the base is not there either.
    let said = second.fail(JOB, 3);
    assert!(said.contains("bring in the official debian:12"), "{said}");
    assert_eq!(asked(&taker), [format!("GET /v2/{REPOSITORY}/manifests/latest")]);
    ensured(&first, &[]);
    taker.take();
    let fetched = second.json(JOB);
    assert_eq!((&fetched["built"], &fetched["name"]), (&Value::from(false), &Value::from(NAME)));
    assert_eq!(fetched["fetched"], format!("{}/{REPOSITORY}:latest", taker.address));
    assert_eq!(fetched["digest"].as_str().map(str::to_owned), named(&second.store(), NAME));
    let asked = asked(&taker);
    let blobs = taker.blobs(REPOSITORY).len();
    assert_eq!(asked.len(), 1 + blobs, "the manifest, and each blob once: {asked:?}");
    assert_eq!(entries(&second.store()).len(), 1);
}

#[test]
fn what_lacks_something_is_as_if_it_were_not_there_and_what_was_made_then_serves_both() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    ensured(&first, &[]);
    let (_, said) = ensured(&second, &["--package=zlib1g-dev"]);
    assert!(said.contains("do not say that it has zlib1g-dev; it is not taken") && ran(&said) == 1, "{said}");
    assert!(said.contains("is shared as"), "{said}");
    let (_, said) = ensured(&first, &["--package=zlib1g-dev"]);
    assert!(ran(&said) == 0 && said.contains("is fetched from"), "{said}");
    assert_eq!(named(&first.store(), NAME), named(&second.store(), NAME));
    assert_eq!(ensured(&first, &[]).1, "");
    assert!(taker.manifest(REPOSITORY, "latest").is_some());
    assert_sound(&first.store());
}

#[test]
fn what_is_stale_here_is_not_taken() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "second", &[]).unwrap();
    ensured(&first, &[]);
    taker.take();
    let (_, said) = ensured(&second, &[]);
    assert!(
        said.contains("is stale (its base debian:12 is another image by now); it is not taken"),
        "{said}"
    );
    assert_eq!(ran(&said), 1, "{said}");
    let third = Sandbox::new();
    join(&third, &taker.address, "");
    third.ok(["init"]);
    std::fs::write(third.store().join(".larder/larder.toml"), "rebuild_after = '0s'\n").unwrap();
    taker.take();
    let said = third.fail(JOB, 3);
    assert!(said.contains("is stale (made") && said.contains("bring in the official"), "{said}");
    assert!(!asked(&taker).iter().any(|asked| asked.contains("/blobs/uploads/")), "{said}");
    assert_eq!(entries(&third.store()).len(), 0);
}

#[test]
fn labels_are_not_believed_beyond_what_is_there() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    ensured(&first, &[]);
    let place = format!("{}/{REPOSITORY}:latest", taker.address);
    std::fs::create_dir(first.path("context")).unwrap();
    let lie = |text: &str| {
        std::fs::write(first.path("context/Dockerfile"), format!("FROM {NAME}\nLABEL {text}\n")).unwrap();
        first.ok(["build", "context", "-t", "lie:1"]);
        first.ok(["push", "lie:1", &place]);
    };
    lie("dev.larder.packages=cmake,nano,zlib1g-dev");
    let (_, said) = ensured(&second, &["--package=nano"]);
    assert!(said.contains("lacks the package nano") && said.contains("it is not taken"), "{said}");
    assert!(ran(&said) == 1 && said.contains("installs nano"), "{said}");
    assert_eq!(entries(&second.store()).len(), 2, "what came for nothing is let go");
    // What nobody asked for and is not there is not declared.
    lie("dev.larder.packages=cmake,zlib1g-dev dev.larder.tools=nowhere");
    second.ok(["rm", NAME]);
    let (_, said) = ensured(&second, &[]);
    assert!(said.contains("is fetched from"), "{said}");
    let entry = described(&second);
    assert_eq!(entry["annotations"]["dev.larder.packages"], "cmake", "{entry}");
    assert_eq!(entry["annotations"]["dev.larder.tools"], Value::Null, "{entry}");
    // What says that it is something else, or nothing, is not even fetched.
    for text in ["dev.larder.project=q", "dev.larder.variant=gcc12-asan", "dev.larder.os=debian:11"] {
        lie(text);
        second.ok(["rm", NAME]);
        taker.take();
        let (_, said) = ensured(&second, &[]);
        assert!(said.contains("its labels do not say that it is p-debian-12-gcc12"), "{text}: {said}");
        let layers = asked(&taker)
            .iter()
            .filter(|asked| asked.starts_with("GET") && asked.contains("/blobs/"))
            .count();
        assert_eq!(layers, 1, "the config alone");
    }
    first.ok(["push", "debian:12", &place]);
    second.ok(["rm", NAME]);
    let (_, said) = ensured(&second, &[]);
    assert!(said.contains("its labels do not say that it is p-debian-12-gcc12"), "{said}");
    second.ok(["verify"]);
}

#[test]
fn an_own_dockerfile_has_to_be_the_same() {
    let (first, second, _taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    let text = "FROM debian:12\nRUN apt-get install gcc-12 cmake\n";
    own(&first, text);
    own(&second, text);
    ensured(&first, &[]);
    let (_, said) = ensured(&second, &[]);
    assert!(ran(&said) == 0 && said.contains("is fetched from"), "{said}");
    assert_eq!(ensured(&second, &[]).1, "", "and it is not made anew");
    own(&second, &format!("{text}RUN echo more\n"));
    let (_, said) = ensured(&second, &[]);
    assert!(said.contains("was made by another Dockerfile; it is not taken") && ran(&said) == 2, "{said}");
}

#[test]
fn a_remote_that_fails_costs_no_job_and_is_said_once() {
    let sandbox = need!(desk(), "root, runc and busybox");
    // Nobody listens there.
    join(&sandbox, "127.0.0.1:1", "");
    let (out, said) = ensured(&sandbox, &[]);
    assert_eq!(out, format!("{NAME}\n"));
    assert_eq!(said.matches("127.0.0.1:1").count(), 1, "{said}");
    assert!(said.contains("is made here; the remote is not asked any more") && ran(&said) == 1, "{said}");
    // It answers, and refuses.
    let taker = Taker::new();
    join(&sandbox, &taker.address, "");
    for (method, words) in [("PUT", "is not shared"), ("GET", "is made here")] {
        sandbox.ok(["rm", NAME]);
        taker.rule(move |asked| match asked.method == method {
            true => Does::Answer(answer("403 Forbidden", &[], b"{}")),
            false => Does::Pass,
        });
        let (out, said) = ensured(&sandbox, &[]);
        assert!(
            out == format!("{NAME}\n") && said.contains(words) && said.contains("403"),
            "{method}: {said}"
        );
        assert!(taker.manifest(REPOSITORY, "latest").is_none());
    }
    assert_sound(&sandbox.store());
}

#[test]
fn nobody_is_asked_offline_or_for_a_plan_and_nothing_is_shared_unasked() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    join(&first, &taker.address, "offline = true");
    ensured(&first, &[]);
    first.ok(["rm", NAME]);
    join(&first, &taker.address, "");
    first.ok(JOB.iter().chain(&["--dry-run"]));
    second.fail(JOB.iter().chain(&["--dry-run"]), 3);
    assert_eq!(asked(&taker), [""; 0]);
    let settings = first.path("home/.config/larder/larder.toml");
    let text = std::fs::read_to_string(&settings).unwrap().replace("push = true", "");
    std::fs::write(&settings, text).unwrap();
    ensured(&first, &[]);
    assert_eq!(asked(&taker), [format!("GET /v2/{REPOSITORY}/manifests/latest")]);
}

#[test]
fn of_two_that_make_it_at_the_same_time_the_later_one_is_shared() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    let both = [begin(&first, &[]), begin(&second, &["--package=zlib1g-dev"])];
    for child in both {
        let (output, out, said) = end(child);
        assert!(output.status.success() && out == format!("{NAME}\n"), "{said}");
    }
    let shared = crate::support::image::digest(&taker.manifest(REPOSITORY, "latest").unwrap());
    let made = [&first, &second].map(|host| named(&host.store(), NAME).unwrap());
    assert!(made.contains(&shared), "{made:?} {shared}");
}

#[test]
fn where_the_image_will_not_do_its_steps_may() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    let cache = format!("cache = \"{}/steps\"\n", taker.address);
    for (host, place) in [(&first, "one"), (&second, "other")] {
        join(host, &format!("{}/{place}", taker.address), "");
        let settings = host.path("home/.config/larder/larder.toml");
        let text = std::fs::read_to_string(&settings).unwrap() + &cache;
        std::fs::write(&settings, text).unwrap();
    }
    let (_, said) = ensured(&first, &[]);
    assert!(said.contains("1 step shared by"), "{said}");
    let (_, said) = ensured(&second, &[]);
    assert!(ran(&said) == 0 && said.contains("(cached)") && said.contains("is shared as"), "{said}");
    second.ok(["verify"]);
}

#[test]
fn a_remote_that_breaks_in_the_middle_costs_no_job_and_a_signal_ends_all() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    debian(&second, "first", &[]).unwrap();
    ensured(&first, &[]);
    let is_blob = |asked: &crate::push::taker::Asked| asked.method == "GET" && asked.path.contains("/blobs/");
    // The config comes, and no layer.
    taker.rule(move |asked| match is_blob(asked) && asked.nth > 0 {
        true => Does::Answer(answer("500 Internal Server Error", &[], b"{}")),
        false => Does::Pass,
    });
    let (out, said) = ensured(&second, &[]);
    assert!(out == format!("{NAME}\n") && ran(&said) == 1, "{said}");
    assert!(
        said.contains("500") && said.contains("is made here; the remote is not asked any more"),
        "{said}"
    );
    assert_eq!(entries(&second.store()).len(), 2);
    second.ok(["rm", NAME]);
    taker.take();
    taker.rule(move |asked| if is_blob(asked) { Does::Hang } else { Does::Pass });
    let child = begin(&second, &[]);
    let seen = std::cell::RefCell::new(Vec::new());
    wait_for(|| {
        seen.borrow_mut().extend(taker.take());
        seen.borrow().iter().any(is_blob).then_some(())
    });
    crate::support::run(Command::new("kill").args(["-INT", &child.id().to_string()]));
    let (output, out, said) = end(child);
    assert_eq!((output.status.code(), out.as_str()), (Some(130), ""), "{said}");
    assert_eq!(ran(&said), 0, "{said}");
    assert_eq!(entries(&second.store()).len(), 1);
    assert_nothing_pending(&second.store());
    second.ok(["verify"]);
}

#[test]
fn a_workflow_whose_images_are_nowhere_says_so_by_its_exit_code() {
    let (first, second, _taker) = need!(two(), "root, runc and busybox");
    let job = "    runs-on: ubuntu-latest\n    steps: [{run: cmake --version}]\n";
    let text = format!("name: p\non: push\njobs:\n  one:\n{job}");
    let args =
        ["ensure", "--workflow=ci.yml", "--project=p", "--os=debian:12", "--arch=amd64", "--tool=cmake"];
    for host in [&first, &second] {
        std::fs::write(host.path("ci.yml"), &text).unwrap();
    }
    let said = second.fail(args, 3);
    assert!(said.contains("bring in the official debian:12"), "{said}");
    first.ok(args);
    let output = second.larder(args);
    assert!(output.status.success() && text_of(&output).contains("is fetched from"), "{}", text_of(&output));
}

#[test]
fn the_base_is_pulled_where_the_remote_has_no_image_and_not_before() {
    let (first, second, taker) = need!(two(), "root, runc and busybox");
    first.ok(["push", "debian:12", &format!("{}/library/debian:12", taker.address)]);
    let mirror = format!("mirrors = {{ \"docker.io\" = [\"{}\"] }}", taker.address);
    join(&second, &taker.address, &mirror);
    let (_, said) = ensured(&second, &["--pull"]);
    assert!(ran(&said) == 1 && said.contains("is shared as"), "{said}");
    assert_eq!(names(&second.store()), ["debian:12".to_owned(), NAME.to_owned()].into());
    let third = Sandbox::new();
    join(&third, &taker.address, &mirror);
    let (_, said) = ensured(&third, &["--pull"]);
    assert!(ran(&said) == 0 && said.contains("is fetched from"), "{said}");
    assert_eq!(names(&third.store()), [NAME.to_owned()].into());
}

fn text_of(output: &Output) -> String {
    text(&output.stderr)
}
