//! What Docker 20.10 made of the Dockerfiles in `fixtures/build`, as `tests/build/config.rs` sees it do, must come out here too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::*;
use crate::build::args::Given;
use crate::build::dockerfile::{self, trigger};
use crate::build::plan::{Base, plan};

/// A build without its files: the target's state, and for each entry of its history whether it is empty for sure.
fn built(text: &str, build_args: BTreeMap<String, String>) -> (State, Vec<(String, bool)>) {
    let dockerfile = dockerfile::parse(text).unwrap();
    let plan = plan(&dockerfile, None, Given::new(build_args, "linux/amd64")).unwrap();
    let mut done: BTreeMap<usize, (State, Vec<(String, bool)>)> = BTreeMap::new();
    for stage in &plan.stages {
        let ((mut state, triggers), mut history) = match &stage.base {
            Base::Scratch => ((State::scratch("linux/amd64"), Vec::new()), Vec::new()),
            Base::Stage(number) => (State::after(&done[number].0).unwrap(), done[number].1.clone()),
            Base::Image(name) => panic!("{name} is no stage"),
        };
        let triggers: Vec<_> = triggers.iter().map(|text| trigger(stage.line, text).unwrap()).collect();
        for step in triggers.iter().chain(&stage.steps) {
            plan.origin(stage.number, step).unwrap();
            let done = state.step(step, &plan.globals, plan.escape).unwrap();
            let keyword = done.instruction.keyword();
            history.push((done.created_by, !["RUN", "COPY", "ADD", "WORKDIR"].contains(&keyword)));
        }
        done.insert(stage.number, (state, history));
    }
    done.pop_last().unwrap().1
}

/// The config of a fixture, in the form in which Docker's is kept.
fn of_fixture(text: &str) -> (State, Vec<(String, bool)>) {
    let args = text.lines().filter_map(|line| line.strip_prefix("# --build-arg ")?.split_once('='));
    built(text, args.map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

#[test]
fn configs_are_those_of_docker() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/build");
    let mut compared = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "Dockerfile") {
            continue;
        }
        let docker: Value = serde_json::from_slice(&fs::read(path.with_extension("json")).unwrap()).unwrap();
        let (state, history) = of_fixture(&fs::read_to_string(&path).unwrap());
        assert_eq!(state.config(), &docker["config"], "{}", path.display());
        assert_eq!(state.document().get("author"), docker.get("author"), "{}", path.display());
        let layers = docker["empty_layers"].as_array().unwrap();
        assert_eq!(history.len(), layers.len(), "{}: {history:?}", path.display());
        for ((created_by, is_empty), by_docker) in history.iter().zip(layers) {
            assert!(!is_empty || *by_docker == true, "{}: {created_by}", path.display());
        }
        compared += 1;
    }
    assert!(compared >= 15, "{compared} fixtures");
}

/// As Docker 28 with BuildKit writes it; ports, health checks and ARG are written otherwise by Docker 20.10.
#[test]
fn the_history_is_in_the_words_of_buildkit() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/build");
    let text = fs::read_to_string(folder.join("everything.Dockerfile")).unwrap();
    let lines: Vec<_> = of_fixture(&text).1.into_iter().map(|(created_by, _)| created_by).collect();
    assert_eq!(
        lines,
        [
            "ARG FOO=bar",
            "ENV a=b q r=x y PATHX=bar:c",
            "ENV old=some value quoted  end",
            "LABEL a=b c d=e f",
            "MAINTAINER me <a@b>",
            "EXPOSE [443/tcp 80/tcp 9000/udp 9001/udp 9002/udp]",
            "VOLUME [/data /z]",
            "WORKDIR /w/../v/",
            "WORKDIR /v/rel",
            "USER 1:2",
            "STOPSIGNAL SIGTERM",
            r#"HEALTHCHECK &{["CMD-SHELL" "curl  -f \"x\""] "1m30s" "500ms" "0s" "0s" '\x03'}"#,
            "SHELL [/bin/bash -c]",
            r#"CMD ["/bin/bash" "-c" "echo   hi     there"]"#,
            r#"ENTRYPOINT ["/x" "y\"z"]"#,
            r#"ONBUILD RUN   echo  "a  b""#,
            "COPY f /q/ # buildkit",
        ]
    );
}

#[test]
fn a_command_is_written_with_the_arguments_that_it_sees() {
    let (state, history) = built(
        "FROM scratch\nARG B=2\nARG A=1 E\nENV E=e\nRUN x  y\nRUN [\"a\", \"b\"]\nCOPY --chown=1 --chmod=644 <<F <<G /d/\nF\nG\n",
        BTreeMap::from([("HTTP_PROXY", "p"), ("E", "given")].map(|(a, b)| (a.to_owned(), b.to_owned()))),
    );
    let lines: Vec<_> = history.iter().skip(3).map(|(created_by, _)| created_by.as_str()).collect();
    assert_eq!(
        lines,
        [
            "RUN |2 A=1 B=2 /bin/sh -c x  y # buildkit",
            "RUN |2 A=1 B=2 a b # buildkit",
            "COPY --chown=1 --chmod=644 <<F <<G /d/ # buildkit",
        ]
    );
    assert_eq!(state.environment().last().map(String::as_str), Some("E=e"));
}

#[test]
fn what_nobody_here_knows_survives_and_the_past_does_not() {
    let base = json!({
        "os": "linux", "architecture": "arm64", "variant": "v8", "x": {"y": [1]}, "author": "a", "container": "c",
        "config": {"Env": ["A=1"], "z": true, "OnBuild": ["RUN x"], "Volumes": null, "Cmd": null, "Hostname": "h"},
    });
    let (mut state, triggers) = State::from_base(&base).unwrap();
    assert_eq!(triggers, ["RUN x"]);
    for step in [trigger(1, "VOLUME /v").unwrap(), trigger(1, "USER \"\"").unwrap()] {
        state.step(&step, &Globals::default(), '\\').unwrap();
    }
    assert_eq!(
        state.document(),
        &json!({
            "os": "linux", "architecture": "arm64", "variant": "v8", "x": {"y": [1]},
            "config": {"Env": ["A=1", DEFAULT_PATH], "z": true, "Volumes": {"/v": {}}, "Cmd": null, "Hostname": "h"},
        })
    );
    for wrong in [json!(null), json!([]), json!({"config": 1})] {
        assert!(State::from_base(&wrong).is_err(), "{wrong}");
    }
    // A base without a config at all is one that says nothing.
    assert!(State::from_base(&json!({"config": null})).is_ok());
}

#[test]
fn what_is_wrong_once_variables_are_known_is_told_and_changes_nothing() {
    let mut state = State::scratch("linux/arm/v7");
    assert_eq!(state.document()["variant"], "v7");
    let before = state.clone();
    for (text, why) in [
        ("ENV $NONE=x", "ENV: a name is empty"),
        ("WORKDIR $NONE", "WORKDIR: the path is empty"),
        ("VOLUME /a $NONE", "VOLUME: a path is empty"),
        ("EXPOSE 80/icmp", "EXPOSE: \"80/icmp\": the protocol is none of tcp, udp, sctp"),
        ("EXPOSE 90-80", "EXPOSE: \"90-80\" is no port"),
        ("EXPOSE 65536", "EXPOSE: \"65536\" is no port"),
        ("STOPSIGNAL SIGNONE", "STOPSIGNAL: \"SIGNONE\" is no signal"),
        ("STOPSIGNAL 0", "STOPSIGNAL: \"0\" is no signal"),
        ("STOPSIGNAL RTMIN+16", "STOPSIGNAL: \"RTMIN+16\" is no signal"),
        ("COPY a b /d", "COPY: \"/d\" is to take more than one file, and does not end with /"),
        ("COPY --chmod=u+x a /d", "COPY: --chmod=u+x is no octal number up to 7777"),
        ("COPY --chmod=+7 a /d", "COPY: --chmod=+7 is no octal number up to 7777"),
        ("USER ${U:?who}", "USER: U: who"),
        ("ADD ${NONE:-https://x}/y /d", "ADD https://x/y: a URL is not supported"),
    ] {
        let problem = state.step(&trigger(3, text).unwrap(), &Globals::default(), '\\').unwrap_err();
        assert_eq!(problem.to_string(), why, "{text}");
        assert_eq!(problem.line(), Some(3));
        assert_eq!(state, before, "{text}");
    }
}
