//! `build --pull` and `ensure --pull`: what the store lacks comes from registries, and nothing else is asked for.

use super::{small, with};
use crate::build::ensure::debian_root;
use crate::support::image::Image;
use crate::support::store::{assert_nothing_pending, names};
use crate::support::web::Web;
use crate::support::{Sandbox, need, peer};

#[test]
fn images_that_a_dockerfile_names_are_fetched_where_that_is_asked_for() {
    need!(peer::root(), "root");
    let (sandbox, web, reference) = with(&small(1));
    let other = web.put("a/c:1", &small(2));
    std::fs::create_dir(sandbox.path("context")).unwrap();
    let text = format!("FROM {reference}\nCOPY --from={other} /own /from-other\n");
    std::fs::write(sandbox.path("context/Dockerfile"), text).unwrap();
    let build = ["build", "context", "-t", "made:1"];
    let said = sandbox.fail(build, 3);
    assert!(said.contains("--pull fetches what a Dockerfile names"), "{said}");
    assert_eq!(web.take(), [""; 0]);
    sandbox.ok(build.iter().chain(&["--pull"]));
    assert!(web.take().iter().any(|asked| asked.contains("/blobs/")));
    assert_eq!(names(&sandbox.store()), [reference, other, "made:1".to_owned()].into());
    // What is there is not asked for.
    sandbox.ok(build.iter().chain(&["--pull", "--no-cache"]));
    assert_eq!(web.take(), [""; 0]);
    sandbox.ok(["verify"]);
    let text = format!("FROM {}/a/nothing:1\n", web.address);
    std::fs::write(sandbox.path("context/Dockerfile"), text).unwrap();
    let said = sandbox.fail(build.iter().chain(&["--pull"]), 3);
    assert!(said.contains("a/nothing:1: no such image"), "{said}");
    assert_nothing_pending(&sandbox.store());
}

#[test]
fn a_job_without_a_base_gets_the_official_one() {
    need!(peer::root(), "root");
    need!(peer::tool("runc"), "runc");
    let root = need!(debian_root("official"), "busybox");
    let (mut sandbox, web) = (Sandbox::new(), Web::new());
    web.put("library/debian:12", &Image::of(&[root.bytes()]));
    let config = sandbox.path("config");
    std::fs::create_dir_all(config.join("larder")).unwrap();
    let mirror = format!("[mirrors]\n\"docker.io\" = [\"{}\"]\n", web.address);
    std::fs::write(config.join("larder/larder.toml"), mirror).unwrap();
    sandbox.set("XDG_CONFIG_HOME", &config);
    let job = ["ensure", "--project=p", "--os=debian:12", "--arch=amd64", "--package=cmake"];
    let said = sandbox.fail(job, 3);
    assert!(said.contains("larder pull debian:12 (or ask with --pull)"), "{said}");
    assert_eq!(web.take(), [""; 0]);
    assert_eq!(sandbox.ok(job.iter().chain(&["--pull"])), "p-debian-12:latest\n");
    assert!(names(&sandbox.store()).contains("debian:12"));
    web.take();
    assert_eq!(sandbox.ok(job.iter().chain(&["--pull"])), "p-debian-12:latest\n");
    assert_eq!(web.take(), [""; 0]);
}
