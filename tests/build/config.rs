//! What Docker makes of the Dockerfiles in `fixtures/build` is what stands beside them: the tests of `src/build` hold larder to that.

use std::fs;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::support::Sandbox;
use crate::support::peer;
use crate::support::skip::need;
use crate::support::tarball::members_of;

/// What of Docker's config is the Dockerfile's: not what `docker run` says, nor the name of the step before.
fn comparable(config: &Value) -> Value {
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
    let empty: Vec<_> = history.map(|entry| entry.get("empty_layer").is_some()).collect();
    let mut comparable = json!({"config": fields, "empty_layers": empty});
    if let Some(author) = config.get("author") {
        comparable["author"] = author.clone();
    }
    comparable
}

#[test]
fn docker20_makes_what_the_fixtures_say() {
    let docker = need!(peer::docker20(), "docker20");
    let sandbox = Sandbox::new();
    let context = sandbox.path("context");
    fs::create_dir(&context).unwrap();
    fs::write(context.join("f"), "x\n").unwrap();
    let mut compared = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/build")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "Dockerfile") {
            continue;
        }
        let text = fs::read_to_string(&path).unwrap();
        let args = text.lines().filter_map(|line| line.strip_prefix("# --build-arg "));
        let mut words = vec!["build", "--network=host", "--quiet", "--tag=made", "--file"];
        words.extend([path.to_str().unwrap(), context.to_str().unwrap()]);
        words.extend(args.flat_map(|arg| ["--build-arg", arg]));
        docker.ok(&words);
        let archive = sandbox.path("made.tar");
        docker.ok(["save", "--output", archive.to_str().unwrap(), "made"]);
        let members = members_of(&archive);
        let manifest: Value = serde_json::from_slice(&members["manifest.json"]).unwrap();
        let config = &members[manifest[0]["Config"].as_str().unwrap()];
        let expected: Value =
            serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        assert_eq!(comparable(&serde_json::from_slice(config).unwrap()), expected, "{}", path.display());
        compared += 1;
    }
    assert!(compared >= 15, "{compared} fixtures");
}
