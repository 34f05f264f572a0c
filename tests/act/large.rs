//! A compiler image of about 1 GB from the archive to the job, twice.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Project, act_on_every_engine, workflow};
use crate::support::{Docker, run};

act_on_every_engine!(
    #[ignore = "long: an image of about 1 GB"]
    a_large_image_is_sent_once
);

const NAME: &str = "capy-debian-12-gcc12";

/// `docker save`'s archive of this engine, made by benches/image where it is not there yet.
fn archive(docker: &Docker) -> PathBuf {
    let kind = match (docker.has_containerd_store(), docker.version().starts_with("20.")) {
        (true, _) => "d28c",
        (_, true) => "d20",
        _ => "d28",
    };
    let dir = run(Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/image"))
        .stdin(std::process::Stdio::null()));
    Path::new(dir.trim()).join(format!("gcc12.{kind}.tar"))
}

fn a_large_image_is_sent_once(docker: &Docker, project: &Project) {
    std::os::unix::fs::symlink(archive(docker), project.desk.sandbox.path("project/gcc12.tar")).unwrap();
    let line = format!(
        "larder import gcc12.tar && img=$(larder export --to-docker {NAME}) && act -P ubuntu-latest=$img --pull=false"
    );
    let script = "printf 'int main() { return 42; }' | g++-12 -x c++ -o /tmp/it - && /tmp/it || echo \"it returned $?\"";
    for round in 0..2 {
        let said = project.succeed(&workflow("", script), &line, &["it returned 42"]);
        let traffic = project.desk.take();
        assert_eq!(traffic.loads, u64::from(round == 0), "{said}");
        assert_eq!(said.contains("has it, nothing sent"), round > 0, "{said}");
    }
    // The third time for a script: in numbers.
    let rows = project.desk.sandbox.json(["export", "--to-docker", NAME]);
    assert_eq!((&rows[0]["sent_bytes"], &rows[0]["sent_layers"]), (&0.into(), &0.into()), "{rows}");
    assert_eq!(rows[0]["spared_layers"], 5, "{rows}");
}
