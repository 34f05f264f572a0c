//! `prune --docker`: copies that larder gave an engine go out of it, and come again when they are needed.

use crate::handover::images::{app, base, store};
use crate::handover::{Desk, on_every_engine};
use crate::hold::rmi::age;
use crate::hold::{Running, WAITS};
use crate::support::Docker;
use crate::support::store::{blob_path, document, named};

on_every_engine!(
    what_nobody_uses_goes_and_what_somebody_uses_stays,
    what_the_store_could_not_give_again_stays,
    a_rule_has_its_own_min_age,
);

fn desk(docker: &Docker) -> Desk {
    let desk = Desk::new(docker);
    store(&desk.sandbox, "base:1", &base());
    store(&desk.sandbox, "app:1", &app());
    desk.sandbox.ok(["export", "--to-docker", "base:1", "app:1"]);
    desk
}

/// Names in the engine with what became of them, `drop` or the reason.
fn fates(desk: &Desk, args: &[&str]) -> Vec<(String, String)> {
    let pruned = desk.sandbox.json(["prune", "--docker"].iter().chain(args));
    let mut fates: Vec<_> = pruned["docker"]
        .as_array()
        .unwrap()
        .iter()
        .map(|copy| {
            let fate = if copy["verdict"] == "drop" { &copy["verdict"] } else { &copy["reason"] };
            (copy["names"][0].as_str().unwrap().to_owned(), fate.as_str().unwrap().to_owned())
        })
        .collect();
    fates.sort();
    fates
}

fn what_nobody_uses_goes_and_what_somebody_uses_stays(docker: &Docker) {
    let desk = desk(docker);
    let young = fates(&desk, &[]);
    assert!(young.len() == 2 && young.iter().all(|(_, why)| why.contains("s ago")), "{young:?}");
    age(&desk);
    docker.ok(["create", "--name", "keeper", "--network=host", "base:1", "/bin/hello", "x"]);
    let planned = fates(&desk, &["--dry-run"]);
    assert_eq!(planned[0], ("app:1".into(), "drop".into()), "{planned:?}");
    assert!(planned[1].1.contains("the container keeper uses it"), "{planned:?}");
    assert_eq!(docker.ok(["image", "ls", "--quiet"]).lines().count(), 2, "a dry run changes nothing");
    // While a hold lives, nothing goes, and each copy has its reason.
    let hold = Running::hold(&desk.sandbox, "app:1", WAITS);
    let held = fates(&desk, &[]);
    assert!(held[0].1.contains("another hold uses it") && held[1].1.contains("keeper"), "{held:?}");
    docker.ok(["rm", "keeper"]);
    assert_eq!(fates(&desk, &[])[1], ("base:1".into(), "a hold lives".into()));
    docker.ok(["create", "--name", "keeper", "--network=host", "base:1", "/bin/hello", "x"]);
    let held = fates(&desk, &["--when-busy", "evict"]);
    assert!(held[0].1.contains("another hold uses it"), "{held:?}");
    assert_eq!(hold.end(), Some(0));
    assert_eq!(fates(&desk, &[]), planned);
    docker.ok(["rm", "keeper"]);
    assert_eq!(fates(&desk, &[]), [("base:1".into(), "drop".into())]);
    assert_eq!(docker.ok(["image", "ls", "--all", "--quiet"]), "");
    assert_eq!(fates(&desk, &[]), []);
    desk.sandbox.ok(["export", "--to-docker", "app:1"]);
    assert_eq!(docker.run("app:1", &["/bin/hello", "again"]), "hello from larder again\n");
}

fn a_rule_has_its_own_min_age(docker: &Docker) {
    let desk = desk(docker);
    age(&desk);
    let rule = "[[rule]]\npattern = \"base\"\nmin_age = \"2h\"\n";
    std::fs::write(desk.sandbox.store().join(".larder/larder.toml"), rule).unwrap();
    let fates = fates(&desk, &["--dry-run"]);
    assert_eq!(fates[0], ("app:1".into(), "drop".into()), "{fates:?}");
    assert!(fates[1].1.contains("s ago"), "{fates:?}");
}

fn what_the_store_could_not_give_again_stays(docker: &Docker) {
    let desk = desk(docker);
    age(&desk);
    desk.sandbox.ok(["rm", "app:1"]);
    let store = desk.sandbox.store();
    let manifest = document(&store, &named(&store, "base:1").unwrap());
    let blob = blob_path(&store, manifest["layers"][0]["digest"].as_str().unwrap());
    std::fs::rename(&blob, desk.sandbox.path("blob")).unwrap();
    let kept = fates(&desk, &[]);
    assert!(
        kept.len() == 2 && kept.iter().all(|(_, why)| why == "the store could not give it again"),
        "{kept:?}"
    );
    std::fs::rename(desk.sandbox.path("blob"), &blob).unwrap();
    let fates = fates(&desk, &[]);
    assert_eq!(fates[1], ("base:1".into(), "drop".into()), "{fates:?}");
    assert_eq!(docker.run("app:1", &["/bin/hello", "still"]), "hello from larder still\n");
}
