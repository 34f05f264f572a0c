//! `larder export REF -o - | TOOL`, which nobody wants to wait for a file for.

use std::process::{Command, Stdio};

use super::containerd::Ctr;
use super::{Bench, FULL, GCC, GREETING, attempt, tool};
use crate::support::{describe, need, peer, run};

/// Runs `larder export` into the stdin of a command; both must succeed, and the command's stdout is returned.
fn pipe(bench: &Bench, form: &[&str], mut into: Command) -> String {
    let mut export = bench.sandbox.command(["export", GCC, "-o", "-"].iter().chain(form));
    let mut export = export.stdout(Stdio::piped()).spawn().unwrap();
    let output = into.stdin(export.stdout.take().unwrap()).output().unwrap();
    assert!(export.wait().unwrap().success(), "{form:?}");
    assert!(output.status.success(), "{form:?}: {}", describe(&into, &output));
    String::from_utf8(output.stdout).unwrap()
}

/// For the engines that read zstd, and for those that do not.
const FORMS: [&[&str]; 4] = [&[], &["--archive", "docker"], &["--layers", "plain"], &["--layers", "gzip"]];

#[test]
fn into_docker_load() {
    let bench = Bench::new();
    let engines = [
        need!(peer::docker20(), "Docker 20.10"),
        need!(peer::docker28(), "Docker 28"),
        need!(peer::docker28c(), "Docker 28 with containerd store"),
    ];
    for docker in engines {
        let forms = if docker.version().starts_with("20.") { &FORMS[2..] } else { &FORMS[..] };
        for form in forms {
            docker.empty();
            let said = pipe(&bench, form, docker.command(["load"]));
            assert_eq!(said.trim(), format!("Loaded image: {GCC}"), "{form:?}");
            assert_eq!(docker.run(GCC, &[]), GREETING, "{form:?}");
        }
        docker.empty();
    }
}

#[test]
fn into_podman_load() {
    let bench = Bench::new();
    for (newest, name) in [(false, "podman"), (true, "podman of forky")] {
        for form in FORMS.into_iter().chain([&["--archive", "oci"][..]]) {
            let podman = || {
                let mut podman = tool(newest, "podman", &bench)?;
                if !newest {
                    podman.arg("--root").arg(bench.sandbox.path("root")).args(["--storage-driver", "vfs"]);
                    podman.arg("--runroot").arg(bench.sandbox.path("runroot"));
                    podman.arg("--tmpdir").arg(bench.sandbox.path("podman-tmp"));
                }
                Some(podman)
            };
            let mut load = need!(podman(), name);
            load.args(["load", "-q"]);
            let said = pipe(&bench, form, load);
            let expected = if form == ["--archive", "docker"] {
                FULL.replace("docker.io/library", "localhost")
            } else {
                FULL.into()
            };
            assert_eq!(said.trim(), format!("Loaded image: {expected}"), "{name} {form:?}");
            let id =
                run(podman().unwrap().args(["image", "inspect", "--format", "sha256:{{.Id}}", &expected]));
            assert_eq!(id.trim(), bench.image_id, "{name} {form:?}");
            run(podman().unwrap().args(["rmi", "-fa"]));
        }
    }
}

#[test]
fn into_ctr_images_import_under_the_full_name() {
    let bench = Bench::new();
    for (containerd, name) in
        [(peer::containerd(), "containerd"), (peer::containerd2(), "containerd of forky")]
    {
        let ctr = Ctr::new(need!(containerd, name), "pipe");
        for form in FORMS.into_iter().chain([&["--archive", "oci"][..]]) {
            let mut import = ctr.command(&bench);
            import.args(["images", "import", "-"]);
            pipe(&bench, form, import);
            ctr.prove(&bench).unwrap_or_else(|said| panic!("{name} {form:?}: {said}"));
        }
        // Another name is completed as Docker does it.
        let mut import = ctr.command(&bench);
        import.args(["images", "import", "-"]);
        pipe(&bench, &["--as", "registry.example:5000/ci/gcc:7"], import);
        let listed = ctr.ok(&bench, &["images", "ls", "-q"]).unwrap();
        assert_eq!(listed.trim(), "registry.example:5000/ci/gcc:7");
        attempt(ctr.command(&bench).args(["images", "rm", "--sync", listed.trim()])).unwrap();
    }
}
