//! docs/air-gap.md, with the real programs: from a registry outside to a job on a host that asks nobody.

use super::{Project, workflow};
use crate::support::{describe, need, peer, succeeded};

/// Runs a shell line beside the stores; its stderr.
fn line(project: &Project, line: &str) -> String {
    let (shell, output) = project.line(&workflow("", "true"), line);
    succeeded(&shell, &output);
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn images_cross_the_gap_and_jobs_run_there() {
    let docker = need!(peer::docker28(), "Docker 28");
    let registry = need!(peer::registry(), "docker-registry");
    let minisign = need!(peer::tool("minisign"), "minisign").get_program().to_string_lossy().into_owned();
    let project = need!(Project::new(&docker), "act and busybox");
    let path = |name: &str| project.desk.sandbox.path(name);
    let own = project.desk.sandbox.root().file_name().unwrap().to_string_lossy().to_lowercase();
    let name =
        format!("{}/{}/capy-job", registry.address, own.replace(|c: char| !c.is_ascii_alphanumeric(), "x"));
    let (host, repository) = name.split_once('/').unwrap();

    // The keys, and what the host inside is told once.
    line(&project, &format!("{minisign} -G -W -p ../ci.pub -s ../ci.key"));
    let public = std::fs::read_to_string(path("ci.pub")).unwrap();
    std::fs::create_dir_all(path("inside/larder")).unwrap();
    let settings = format!(
        "offline = true\nrequire_signature = true\ntrusted_keys = [{:?}]\n",
        public.lines().nth(1).unwrap()
    );
    std::fs::write(path("inside/larder/larder.toml"), settings).unwrap();
    let list = format!("- {{registry: '{host}', repository: '{repository}', tags: ['1']}}\n");
    std::fs::write(path("sync.yml"), list).unwrap();
    let inside = "export XDG_CONFIG_HOME=$PWD/../inside LARDER_STORE=$PWD/../in";

    line(&project, &format!("larder push capy-job:1 {name}:1"));
    line(
        &project,
        "export LARDER_STORE=$PWD/../out; larder sync ../sync.yml && larder bundle create --all --sign ../ci.key -o ../january",
    );
    let job = format!(
        "{inside}; larder bundle apply ../january && larder bundle have --keep 45d >../have.json \
        && img=$(larder export --to-docker {name}:1) && act -P ubuntu-latest=$img --pull=false"
    );
    let script = "echo \"works $(cat /etc/greeting)\"";
    project.succeed(&workflow("", script), &job, &["works from capy-job:1"]);

    // A month later the tag means another image.
    project.store("capy-job:2", "amd64", &["sh"]);
    line(&project, &format!("larder push capy-job:2 {name}:1"));
    line(
        &project,
        "export LARDER_STORE=$PWD/../out; larder sync ../sync.yml \
        && larder bundle create --all --have ../have.json --delta --sign ../ci.key --split 100MB -o ../february",
    );
    let size = |file: &str| path(file).metadata().unwrap().len();
    assert!(size("february") < size("january") / 5, "{} of {} bytes", size("february"), size("january"));
    let job = format!(
        "{inside}; larder bundle apply ../february && img=$(larder export --to-docker {name}:1) \
        && act -P ubuntu-latest=$img --pull=false"
    );
    project.succeed(&workflow("", script), &job, &["works from capy-job:2"]);

    // Nobody is asked there, and nothing comes in that nobody signed.
    let (shell, output) = project.line(&workflow("", "true"), &format!("{inside}; larder pull {name}:1"));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("offline"), "{}", describe(&shell, &output));
    line(&project, "LARDER_STORE=$PWD/../out larder bundle create --all -o ../unsigned");
    let (shell, output) =
        project.line(&workflow("", "true"), &format!("{inside}; larder bundle apply ../unsigned"));
    assert_eq!(output.status.code(), Some(5), "{}", describe(&shell, &output));
    project.desk.take();
}
