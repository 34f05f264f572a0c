//! Jobs, quoting, and pipelines that YAML reads as they are meant.

use proptest::prelude::*;
use serde_json::Value;

use super::super::tests::folder;
use super::super::{Definitions, Locks};
use super::jobs::jobs;
use super::{Error, Handover, Pipeline, Provider, Wanted, pipeline, shell, yaml};

fn read(files: &[(&str, &str)]) -> Definitions {
    Definitions::read(folder(files).path(), Locks::Applied).expect("definitions")
}

fn wanted(provider: Provider, handover: Handover) -> Wanted {
    let word = |text: &str| text.to_owned();
    Wanted { provider, handover, runners: vec![], folder: vec![], command: vec![word("larder")] }
}

fn made(definitions: &Definitions, wanted: &Wanted) -> (String, Value) {
    let Pipeline { text, .. } = pipeline(definitions, wanted).expect("a pipeline");
    let value = serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    (text, value)
}

const BASE: &str = "is_base_image: true\ntags: [{name: '1'}]";
const ONE: &str = "tags: [{name: 1.0.0}]";

fn three() -> Definitions {
    read(&[
        ("app/1/image.yml", "tags: [{name: 1.0.0}]\nvariants: [{name: x, tag_suffix: -x}]"),
        ("app/1/Dockerfile.jinja2", "FROM {{ 'base' | resolve_base_image }}\nCOPY --from=tools:1.0 /a /b"),
        ("app/1/Dockerfile.x.jinja2", "FROM {{ base_image }}\nCOPY --from=ghcr.io/a/b-c:2 /a /b"),
        ("base/base/image.yml", BASE),
        ("base/base/Dockerfile.jinja2", "FROM debian:12\n"),
        ("tools/1/image.yml", ONE),
        ("tools/1/Dockerfile.jinja2", "FROM docker.io/library/debian:12\nRUN true\nFROM scratch\n"),
    ])
}

#[test]
fn a_job_is_an_image() {
    let read = read(&[
        ("app/1/image.yml", "tags: [{name: 1.0.0}]\nvariants: [{name: x, tag_suffix: -x}]"),
        ("app/1/Dockerfile.jinja2", "FROM {{ 'base' | resolve_base_image }}\nCOPY --from=tools:1.0 /a /b"),
        ("app/1/Dockerfile.x.jinja2", "FROM {{ base_image }}\nCOPY --from=ghcr.io/a/b-c:2 /a /b"),
        ("base/base/image.yml", BASE),
        ("base/base/Dockerfile.jinja2", "FROM debian:12\n"),
        // Another definition of the same name.
        ("app/2/image.yml", "tags: [{name: 2.0.0}]"),
        ("app/2/Dockerfile.jinja2", "FROM scratch\n"),
        ("tools/1/image.yml", ONE),
        ("tools/1/Dockerfile.jinja2", "FROM docker.io/library/debian:12\nRUN true\nFROM scratch\n"),
    ]);
    let jobs = jobs(&read).expect("jobs");
    let row = |job: &super::jobs::Job| {
        let needs: Vec<_> = job.needs.iter().map(|need| jobs[*need].id.as_str()).collect();
        format!("{} {} <- {} | {}", job.level, job.id, needs.join(" "), job.references.join(" "))
    };
    let rows: Vec<_> = jobs.iter().map(row).collect();
    let expected = [
        "0 from-debian-12 <-  | debian:12",
        "0 from-ghcr-io-a-b-c-2 <-  | ghcr.io/a/b-c:2",
        "1 build-base <- from-debian-12 | base:1",
        "1 build-tools <- from-debian-12 | tools:1.0.0 tools:1 tools:1.0",
        "2 build-app <- from-ghcr-io-a-b-c-2 build-base build-tools | app:1.0.0 app:1 app:1.0 app:1.0.0-x app:1-x \
         app:1.0-x app:2.0.0 app:2 app:2.0",
    ];
    assert_eq!(rows, expected);
}

#[test]
fn names_of_jobs_are_told_apart() {
    let long = "a".repeat(80);
    let file = |name: &str| format!("name: {name}\n{ONE}");
    let names = ["a.b", "a-b", "a/b", "a-b-2", "registry.example.com:5000/a_b", &long, &format!("{long}b")];
    let files: Vec<_> = names
        .iter()
        .enumerate()
        .flat_map(|(at, name)| {
            [
                (format!("i{at}/1/image.yml"), file(name)),
                (format!("i{at}/1/Dockerfile.jinja2"), "FROM scratch".into()),
            ]
        })
        .collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let jobs = jobs(&read(&files)).expect("jobs");
    let mut ids: Vec<_> = jobs.iter().map(|job| job.id.clone()).collect();
    ids.sort();
    let cut = format!("build-{}", "a".repeat(60));
    let expected = [
        "build-a-b",
        "build-a-b-2",
        "build-a-b-2-2",
        "build-a-b-3",
        &cut,
        &format!("{cut}-2"),
        "build-registry-example-com-5000-a-b",
    ];
    let mut expected = expected.map(str::to_owned);
    expected.sort();
    assert_eq!(ids, expected);
}

#[test]
fn what_can_be_no_job_is_refused() {
    // No tag needs itself by any way, but a job for each name would.
    let read = read(&[
        ("a/1/image.yml", "tags: [{name: 1.0.0}, {name: 2.0.0}]"),
        ("a/1/Dockerfile.jinja2", "FROM {{ 'scratch' if tag.name == '1.0.0' else 'b:1.0.0' }}"),
        ("b/1/image.yml", ONE),
        ("b/1/Dockerfile.jinja2", "FROM a:1.0.0"),
    ]);
    let cycle = |error| matches!(error, Error::Cycle(names) if names == ["a", "b", "a"]);
    assert!(cycle(jobs(&read).expect_err("a cycle")));
}

#[test]
fn whatever_a_dockerfile_names_is_a_name_or_refused() {
    for name in ["`reboot`", "x;reboot", "'\"x", "A", "-x", "a@sha256:1", "é", "x\u{1b}[2J"] {
        let read = read(&[("a/1/image.yml", ONE), ("a/1/Dockerfile.jinja2", &format!("FROM {name}\n"))]);
        for provider in [Provider::GitHub, Provider::GitLab] {
            let refused = pipeline(&read, &wanted(provider, Handover::Artifact)).expect_err("no name");
            assert!(matches!(&refused, Error::Foreign { tag, .. } if tag == "a:1.0.0"), "{name}: {refused}");
        }
    }
}

#[test]
fn names_that_mean_something_to_yaml_or_a_shell_are_only_names() {
    let names = ["null", "true", "on", "1e3", "0x10", "00", "begin", "end", "stages", "default", "image"];
    let files: Vec<_> = names
        .iter()
        .flat_map(|name| {
            [
                (
                    format!("{name}/1/image.yml"),
                    format!("name: '{name}'\ntags: [{{name: '0.0.0'}}, {{name: '_-._'}}]"),
                ),
                (format!("{name}/1/Dockerfile.jinja2"), "FROM scratch".to_owned()),
            ]
        })
        .collect();
    let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let read = read(&files);
    for handover in [Handover::Artifact, Handover::Dir] {
        let (text, value) = made(&read, &wanted(Provider::GitHub, handover));
        for name in names {
            assert_eq!(value["jobs"][format!("build-{name}")]["name"], Value::from(name), "{text}");
        }
        let (text, value) = made(&read, &wanted(Provider::GitLab, handover));
        for name in names {
            let script = value[format!("build-{name}")]["script"][0].as_str().expect("a script");
            assert!(script.contains(&format!("larder def build --only {name}\n")), "{text}");
        }
    }
}

#[test]
fn words_of_the_command_line_stay_words() {
    let read = three();
    for text in
        ["a b", "it's", "$(reboot)", "`x`", "a;b", "\"", "\\", "größe", "#x", "a: b", "- x", "%x", "*"]
    {
        for (provider, handover) in [
            (Provider::GitHub, Handover::Artifact),
            (Provider::GitHub, Handover::Dir),
            (Provider::GitLab, Handover::Artifact),
            (Provider::GitLab, Handover::Dir),
        ] {
            let folder = vec!["--images".to_owned(), text.to_owned()];
            let wanted = Wanted {
                runners: vec![text.to_owned()],
                command: vec!["larder".to_owned(), text.to_owned()],
                folder,
                ..wanted(provider, handover)
            };
            let (_, value) = made(&read, &wanted);
            let (runner, script) = match provider {
                Provider::GitHub => {
                    let job = &value["jobs"]["build-base"];
                    let steps = job["steps"].as_array().expect("steps");
                    let step = steps.iter().find(|step| step["name"] == "build").expect("a step");
                    (&job["runs-on"][0], &step["run"])
                }
                Provider::GitLab => (&value[".larder"]["tags"][0], &value["build-base"]["script"][0]),
            };
            assert_eq!(runner, &Value::from(text));
            let line = script.as_str().expect("a script").lines().find(|line| line.contains("def build"));
            let line = line.expect("a line").replace("larder", "printf '%s\\n'");
            let said = std::process::Command::new("sh").args(["-c", &line]).output().expect("sh").stdout;
            let expected = format!("def\nbuild\n--only\n--images\n{text}\nbase\n");
            assert_eq!(String::from_utf8_lossy(&said), expected);
        }
    }
}

#[test]
fn words_that_end_a_line_are_refused() {
    let read = three();
    for text in ["a\nb", "a\u{85}b", "a\u{2028}b", "\r", "\0", "\u{1b}[2J", "\u{202e}"] {
        for place in 0..3 {
            let mut wanted = wanted(Provider::GitLab, Handover::Dir);
            [&mut wanted.runners, &mut wanted.folder, &mut wanted.command][place].push(text.to_owned());
            assert_eq!(pipeline(&read, &wanted).expect_err("no word"), Error::Word(text.to_owned()));
        }
    }
    let mut wanted = wanted(Provider::GitHub, Handover::Artifact);
    wanted.folder.push("${{ github.token }}".to_owned());
    assert!(matches!(pipeline(&read, &wanted), Err(Error::Word(_))));
}

#[test]
fn what_gitlab_may_refuse_is_told() {
    let tags: Vec<_> = (0..30).map(|number| format!("{{name: {number}.0.0}}")).collect();
    let image = format!("tags: [{}]", tags.join(", "));
    let read = read(&[("a/1/image.yml", &image), ("a/1/Dockerfile.jinja2", "FROM scratch")]);
    let notes = |provider| pipeline(&read, &wanted(provider, Handover::Artifact)).expect("a pipeline").notes;
    assert_eq!(notes(Provider::GitHub), [""; 0]);
    let [note] = &notes(Provider::GitLab)[..] else { panic!("one note") };
    assert!(
        note.starts_with("build-a: tells 90 names and digests in 7") && note.contains("dotenv_size"),
        "{note}"
    );
}

proptest! {
    #[test]
    fn a_quoted_word_is_that_word(text in "[^\\x00]{0,12}") {
        let output = std::process::Command::new("sh")
            .args(["-c", &format!("printf %s {}", shell::word(&text))]).output().expect("sh");
        prop_assert_eq!(output.stdout, text.as_bytes());
    }

    #[test]
    fn a_quoted_text_is_that_text(text in "\\PC{0,12}|[ -~]{0,12}") {
        prop_assume!(yaml::fits(&text));
        let value: Value = serde_saphyr::from_str(&format!("a: {}\n", yaml::quoted(&text))).expect("YAML");
        prop_assert_eq!(&value["a"], &Value::from(text));
    }
}
