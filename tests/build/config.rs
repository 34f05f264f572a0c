//! What Docker makes of the Dockerfiles in `fixtures/build` is what stands beside them: the tests of `src/build` hold larder to that.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::skip::need;
use crate::support::tarball::members_of;
use crate::support::{Docker, Sandbox, peer};

/// What of Docker's config is the Dockerfile's: not what `docker run` says, nor the name of the step before.
pub(super) fn comparable(config: &Value) -> Value {
    let of_containers = [
        "Hostname",
        "Domainname",
        "AttachStdin",
        "AttachStdout",
        "AttachStderr",
        "Tty",
        "OpenStdin",
        "StdinOnce",
        "Image",
    ];
    let is_empty = |value: &Value| [json!(null), json!(""), json!([]), json!({})].contains(value);
    let fields = config["config"].as_object().unwrap().iter();
    let fields: Map<_, _> = fields
        .filter(|(name, value)| !of_containers.contains(&name.as_str()) && !is_empty(value))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    let history = config["history"].as_array().unwrap().iter();
    let empty: Vec<_> =
        history.map(|entry| entry.get("empty_layer").is_some_and(|empty| empty == true)).collect();
    let mut comparable = json!({"config": fields, "empty_layers": empty});
    if let Some(author) = config.get("author") {
        comparable["author"] = author.clone();
    }
    comparable
}

/// What Docker makes of a Dockerfile.
fn made(docker: &Docker, sandbox: &Sandbox, dockerfile: &Path) -> Value {
    let name = dockerfile.file_stem().unwrap().to_str().unwrap();
    let text = fs::read_to_string(dockerfile).unwrap();
    let args = text.lines().filter_map(|line| line.strip_prefix("# --build-arg "));
    let context = sandbox.path("context");
    let mut words = vec!["build", "--network=host", "--quiet", "--tag", name, "--file"];
    words.extend([dockerfile.to_str().unwrap(), context.to_str().unwrap()]);
    words.extend(args.flat_map(|arg| ["--build-arg", arg]));
    docker.ok(&words);
    let archive = sandbox.path(format!("{name}.tar"));
    docker.ok(["save", "--output", archive.to_str().unwrap(), name]);
    let members = members_of(&archive);
    let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
    comparable(&serde_json::from_slice(&members[manifest[0]["Config"].as_str().unwrap()]).unwrap())
}

#[test]
fn docker20_makes_what_the_fixtures_say() {
    let docker = need!(peer::docker20(), "docker20");
    let sandbox = Sandbox::new();
    fs::create_dir(sandbox.path("context")).unwrap();
    fs::write(sandbox.path("context/f"), "x\n").unwrap();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/build");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files: Vec<_> =
        files.filter(|path| path.extension().is_some_and(|end| end == "Dockerfile")).collect();
    assert!(files.len() >= 15, "{files:?}");
    // Most of a build is waiting for the engine.
    let (docker, sandbox) = (&docker, &sandbox);
    std::thread::scope(|scope| {
        for files in files.chunks(3) {
            scope.spawn(move || {
                for file in files {
                    let expected = fs::read(file.with_extension("json")).unwrap();
                    let expected: Value = serde_json::from_slice(&expected).unwrap();
                    assert_eq!(made(docker, sandbox, file), expected, "{}", file.display());
                }
            });
        }
    });
}
