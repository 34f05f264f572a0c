//! A job in the image that `larder resolve --workflow` found for it.

use super::{Project, rootfs};
use crate::handover::images::store_config;
use crate::support::tarball::config;
use crate::support::{need, peer};

fn workflow(container: &str) -> String {
    format!(
        "on: push\njobs:\n  build:\n    strategy:\n      matrix:\n        include:\n          \
         - {{ container: 'ubuntu:25.04', compiler: gcc, version: 15 }}\n          \
         - {{ container: 'ubuntu:25.04', compiler: clang, version: 20 }}\n    \
         runs-on: ubuntu-24.04\n{container}    steps:\n      - shell: sh\n        run: echo \"works $(cat /etc/greeting)\"\n"
    )
}

const RESOLVE: &str = "p=$(larder resolve --arch amd64 --workflow .github/workflows/ci.yml --job build --matrix compiler=gcc) && img=${p#*=}";

#[test]
fn a_job_runs_in_the_image_that_its_matrix_asks_for() {
    let docker = need!(peer::docker20(), "Docker 20.10");
    let project = need!(Project::new(&docker), "act and busybox");
    for name in ["capy-ubuntu-25.04-gcc15", "capy-ubuntu-25.04-clang20"] {
        let mut files = rootfs().unwrap();
        files.file("etc/greeting", format!("in {name}\n").as_bytes());
        files.file("etc/os-release", b"ID=ubuntu\nVERSION_ID=25.04\n");
        let layers = [files.bytes()];
        let config = config("linux", "amd64", &layers);
        store_config(&project.desk.sandbox, name, &config, &layers, &["--project", "capy"]);
    }
    let line =
        format!("{RESOLVE} && larder export --to-docker $img && act $p --pull=false --matrix compiler:gcc");
    let words = ["works in capy-ubuntu-25.04-gcc15"];
    project.succeed(&workflow(""), &line, &words);
    // act does not look at what -P says for a job with a container; without any -P it would ask for one.
    let line = format!(
        "{RESOLVE} && larder export --to-docker $img --as ubuntu:25.04 && act ${{p%%=*}}=none --pull=false --matrix compiler:gcc"
    );
    let said = project.succeed(&workflow("    container: ${{ matrix.container }}\n"), &line, &words);
    assert!(
        said.contains("larder export --to-docker capy-ubuntu-25.04-gcc15:latest --as ubuntu:25.04"),
        "{said}"
    );
    project.desk.take();
}
