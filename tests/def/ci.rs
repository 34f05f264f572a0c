//! `def ci`: pipelines of the fixture's folder, as text and as what YAML makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use super::{copy_fixture, put};
use crate::support::{Sandbox, describe, need, peer, run};

/// What each job of the fixture needs: `app` is `FROM base`, copies of `tool`, and `base` begins elsewhere.
const GRAPH: [(&str, &[&str]); 4] = [
    ("from-busybox-1", &[]),
    ("build-base", &["from-busybox-1"]),
    ("build-tool", &["build-base"]),
    ("build-app", &["build-base", "build-tool"]),
];

fn sandbox() -> Sandbox {
    let sandbox = Sandbox::new();
    copy_fixture(&sandbox);
    sandbox
}

fn pipeline(provider: &str, handover: &str) -> (String, Value) {
    let text = sandbox().ok(["def", "ci", provider, "--handover", handover]);
    let value = serde_saphyr::from_str(&text).unwrap();
    (text, value)
}

fn texts(value: &Value) -> Vec<String> {
    value.as_array().unwrap().iter().map(|text| text.as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_example_folder_comes_to_these_pipelines() {
    for provider in ["github", "gitlab"] {
        for handover in ["artifact", "dir"] {
            insta::assert_snapshot!(format!("{provider}-{handover}"), pipeline(provider, handover).0);
        }
    }
}

/// Nobody is asked, and nothing goes out.
#[test]
fn no_job_logs_in_or_pulls() {
    for provider in ["github", "gitlab"] {
        for handover in ["artifact", "dir"] {
            let (text, _) = pipeline(provider, handover);
            for word in
                ["login", "pull", "docker", "--push", "larder push", "sync", "curl", "http", "secrets"]
            {
                assert!(!text.contains(word), "{provider} {handover}: {word}");
            }
        }
    }
}

#[test]
fn jobs_of_github_take_what_others_made() {
    for handover in ["artifact", "dir"] {
        let (text, value) = pipeline("github", handover);
        let is_dir = handover == "dir";
        for (id, needs) in GRAPH {
            let job = &value["jobs"][id];
            let begin = if is_dir { vec!["begin"] } else { vec![] };
            let expected: Vec<_> = begin.into_iter().chain(needs.iter().copied()).collect();
            let said = if job["needs"].is_null() { vec![] } else { texts(&job["needs"]) };
            assert_eq!(said, expected, "{id}");
            let steps = job["steps"].as_array().unwrap();
            // Each archive is checked against what the job told that made it, before anything is built.
            let place = |found: &dyn Fn(&Value) -> bool| steps.iter().position(found).unwrap();
            for need in needs {
                let take = place(&|step| step["name"] == format!("take {need}"));
                let step = &steps[take];
                let expression = format!("${{{{ needs.{need}.outputs.images }}}}");
                assert_eq!(step["env"]["EXPECT"], expression);
                let script = step["run"].as_str().unwrap();
                assert!(script.contains(&format!("/{need}.tar\" --expect \"$EXPECT\"")), "{script}");
                assert!(take < place(&|step| step["name"] == "build"));
            }
            let told = place(&|step| step["id"] == "handover");
            assert_eq!(job["outputs"]["images"], "${{ steps.handover.outputs.images }}");
            assert!(steps[told]["run"].as_str().unwrap().contains(&format!("/{id}.tar\"")));
            if id.starts_with("build-") {
                let image = id.trim_start_matches("build-");
                let (build, test) =
                    (place(&|step| step["name"] == "build"), place(&|step| step["name"] == "test"));
                assert!(build < test && test < told, "{id}");
                let line = |at: usize| steps[at]["run"].as_str().unwrap().lines().last().unwrap().to_owned();
                assert_eq!(line(build), format!("larder def build --only {image}"));
                assert_eq!(line(test), format!("larder def test {image}"));
            }
            let with = |action: &str| -> BTreeSet<String> {
                let those = steps
                    .iter()
                    .filter(|step| step["uses"].as_str().is_some_and(|it| it.starts_with(action)));
                those.map(|step| step["with"]["name"].as_str().unwrap().to_owned()).collect()
            };
            let (up, down) = match is_dir {
                true => (BTreeSet::new(), BTreeSet::new()),
                false => {
                    (BTreeSet::from([id.to_owned()]), needs.iter().map(|need| (*need).to_owned()).collect())
                }
            };
            assert_eq!(
                (with("actions/upload-artifact@"), with("actions/download-artifact@")),
                (up, down),
                "{id}"
            );
        }
        let count = value["jobs"].as_object().unwrap().len();
        assert_eq!(count, if is_dir { 6 } else { 4 });
        assert_eq!(text.contains("uses:"), !is_dir);
        // What a calling workflow takes is told to it as well.
        let called = &value["on"]["workflow_call"]["outputs"];
        match is_dir {
            true => assert!(called.is_null(), "{called}"),
            false => assert_eq!(called["build-app"]["value"], "${{ jobs.build-app.outputs.images }}"),
        }
        if is_dir {
            let end = &value["jobs"]["end"];
            assert_eq!(end["if"], "${{ always() }}");
            assert_eq!(texts(&end["needs"]).len(), 5);
        }
    }
}

#[test]
fn jobs_of_gitlab_take_what_others_made() {
    for handover in ["artifact", "dir"] {
        let (_, value) = pipeline("gitlab", handover);
        let is_dir = handover == "dir";
        let stages = texts(&value["stages"]);
        let place = |job: &Value| stages.iter().position(|stage| job["stage"] == **stage).unwrap();
        // The variable of each report, which only its own job may write.
        let mut variables = BTreeMap::new();
        for (id, needs) in GRAPH {
            let job = &value[id];
            let begin = if is_dir { vec!["begin"] } else { vec![] };
            let expected: Vec<_> = begin.into_iter().chain(needs.iter().copied()).collect();
            assert_eq!(texts(&job["needs"]), expected, "{id}");
            assert!(needs.iter().all(|need| place(&value[*need]) < place(job)), "{id}");
            let script = job["script"][0].as_str().unwrap();
            for need in needs {
                let line = format!("/{need}.tar\" --expect \"${}\"\n", variables[need]);
                assert!(script.find(&line).unwrap() < script.find("larder def build").unwrap(), "{script}");
            }
            let report = job["artifacts"]["reports"]["dotenv"].as_str().unwrap();
            let tells = script.lines().last().unwrap();
            let (variable, _) = tells.trim_start_matches("echo \"").split_once('=').unwrap();
            assert_eq!(tells, format!("echo \"{variable}=$images\" >{report}"));
            assert!(variables.insert(id, variable.to_owned()).is_none());
            let paths =
                if job["artifacts"]["paths"].is_null() { vec![] } else { texts(&job["artifacts"]["paths"]) };
            let expected = if is_dir { vec![] } else { vec![format!("handover/{id}.tar")] };
            assert_eq!(paths, expected);
            assert!(expected.iter().all(|path| script.contains(&format!("-o \"{path}\""))), "{script}");
        }
        assert_eq!(variables.values().collect::<BTreeSet<_>>().len(), GRAPH.len());
    }
}

#[test]
fn a_file_has_the_same_and_says_how_it_is_made_anew() {
    let sandbox = sandbox();
    let args = ["def", "ci", "github", "--handover", "dir", "--runner", "big one", "--images", "./images"];
    let text = sandbox.ok(args);
    std::fs::create_dir_all(sandbox.path(".github/workflows")).unwrap();
    let file = ".github/workflows/images.yml";
    let output = sandbox.larder(args.iter().chain(&["-o", file]));
    assert!(output.status.success() && output.stdout.is_empty(), "{output:?}");
    assert_eq!(String::from_utf8(output.stderr).unwrap(), format!("{file}: 4 jobs\n"));
    assert_eq!(std::fs::read_to_string(sandbox.path(file)).unwrap(), text);
    let line = text.lines().find_map(|line| line.strip_prefix("#   ")).unwrap();
    assert_eq!(line, "larder def ci github --handover dir --runner 'big one' --images ./images");
    let mut shell = sandbox.enclose(Command::new("sh"));
    let larder = sandbox.command::<&str>([]).get_program().to_owned();
    let again = run(shell.args(["-c", &line.replacen("larder", "\"$0\"", 1)]).arg(larder));
    assert_eq!(again, text);
}

#[test]
fn what_can_be_no_pipeline_is_refused() {
    let sandbox = sandbox();
    assert!(sandbox.fail(["def", "ci", "github", "--images", "nowhere"], 1).contains("no such directory"));
    sandbox.fail(["def", "ci", "jenkins"], 2);
    sandbox.fail(["def", "ci", "github", "--handover", "registry"], 2);
    let said = sandbox.fail(["def", "ci", "gitlab", "--runner", "a\nb: c"], 2);
    assert!(said.contains("cannot stand in a pipeline") && said.lines().count() == 1, "{said}");
    put(&sandbox, &[("images/tool/2/Dockerfile.jinja2", "FROM app\n")]);
    let said = sandbox.fail(["def", "ci", "github"], 1);
    assert!(said.contains(" -> "), "{said}");
    put(&sandbox, &[("images/tool/2/Dockerfile.jinja2", "FROM `reboot`\n")]);
    let said = sandbox.fail(["def", "ci", "github"], 1);
    assert!(said.contains("tool:2.0.0: its Dockerfile names \"`reboot`\""), "{said}");
}

/// By the schema of workflows that act has.
#[test]
fn act_reads_both_workflows() {
    let act = need!(peer::act(), "act");
    for handover in ["artifact", "dir"] {
        let sandbox = sandbox();
        sandbox.ok(["def", "ci", "github", "--handover", handover, "-o", "images.yml"]);
        let mut command = sandbox.enclose(Command::new(act.get_program()));
        let output = command.args(["-W", "images.yml", "--list", "push"]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{}", describe(&command, &output));
        assert!(GRAPH.iter().all(|(id, _)| said.contains(id)), "{}", describe(&command, &output));
    }
}

/// Without actions, a step fetches the commit of the run: that one and no other.
#[test]
fn the_commit_of_the_run_is_what_is_built() {
    let git = need!(peer::tool("git"), "git");
    let mut sandbox = sandbox();
    let (_, value) = pipeline("github", "dir");
    let steps = value["jobs"]["build-base"]["steps"].as_array().unwrap();
    let step = steps.iter().find(|step| step["name"] == "the definitions of this commit").unwrap();
    let script = step["run"].as_str().unwrap();
    sandbox.set("GIT_CONFIG_GLOBAL", "/dev/null");
    let in_origin = |sandbox: &Sandbox, args: &[&str]| {
        let mut git = sandbox.enclose(Command::new(git.get_program()));
        git.args(["-C", "team/images", "-c", "user.name=t", "-c", "user.email=t@example.com"]).args(args);
        run(&mut git).trim().to_owned()
    };
    put(&sandbox, &[("team/images/images/a", "first")]);
    in_origin(&sandbox, &["init", "-q"]);
    in_origin(&sandbox, &["add", "."]);
    in_origin(&sandbox, &["commit", "-q", "-m", "first"]);
    let mut commits = vec![in_origin(&sandbox, &["rev-parse", "HEAD"])];
    put(&sandbox, &[("team/images/images/a", "second")]);
    in_origin(&sandbox, &["commit", "-q", "-am", "second"]);
    commits.push(in_origin(&sandbox, &["rev-parse", "HEAD"]));
    sandbox.set("GITHUB_SERVER_URL", format!("file://{}", sandbox.root().display()));
    sandbox.set("GITHUB_REPOSITORY", "team/images");
    for (at, (commit, text)) in [(1, "second"), (0, "first")].into_iter().enumerate() {
        sandbox.set("GITHUB_SHA", &commits[commit]);
        sandbox.set("RUNNER_TEMP", sandbox.path(format!("job-{at}")));
        let mut shell = sandbox.enclose(Command::new("sh"));
        run(shell.args(["-ec", script]));
        let source = sandbox.path(format!("job-{at}/source"));
        assert_eq!(std::fs::read_to_string(source.join("images/a")).unwrap(), text);
        let mut origin = sandbox.enclose(Command::new(git.get_program()));
        let url = run(origin.args(["remote", "get-url", "origin"]).current_dir(source));
        assert_eq!(url.trim(), format!("file://{}/team/images", sandbox.root().display()));
    }
}

/// A build of it has no such image either.
#[test]
fn what_is_no_instruction_is_no_job() {
    let sandbox = Sandbox::new();
    put(
        &sandbox,
        &[
            ("images/app/1/image.yml", "tags: [{name: '1'}]"),
            (
                "images/app/1/Dockerfile.jinja2",
                "ARG B=low\nFROM \\\n  ${B}:1\nRUN <<EOF\nfrom os import path\nfrom app:1\nEOF\n",
            ),
            ("images/low/1/image.yml", "tags: [{name: '1'}]"),
            ("images/low/1/Dockerfile.jinja2", "FROM scratch\n"),
        ],
    );
    let value: Value = serde_saphyr::from_str(&sandbox.ok(["def", "ci", "github"])).unwrap();
    let jobs: Vec<_> = value["jobs"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(
        jobs.iter().collect::<BTreeSet<_>>(),
        BTreeSet::from([&"build-app".into(), &"build-low".into()])
    );
    assert_eq!(texts(&value["jobs"]["build-app"]["needs"]), ["build-low"]);
}

#[test]
fn a_directory_that_is_missing_is_named() {
    let said = sandbox().fail(["def", "ci", "github", "-o", ".github/workflows/images.yml"], 1);
    assert!(said.contains(".github/workflows: there is no such directory"), "{said}");
    assert!(said.contains("mkdir -p .github/workflows makes it"), "{said}");
}
