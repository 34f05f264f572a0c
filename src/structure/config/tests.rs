use super::{Who, read};

fn refused(text: &str) -> String {
    read(text).map(|file| format!("{file:?}")).expect_err("it is refused").join("\n")
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let mut wrong = Vec::new();
    for (text, said) in [
        ("", "line 1, column 1: the file is empty"),
        ("schemaVersion: 2.0.0\nfileExistenceTests: [\n", "line 2, column 21"),
        ("schemaVersion: 2.0.0\n", "there is no test in it"),
        (
            "schemaVersion: 1.0.0\nlicenseTests: [{debian: true}]",
            "line 1, column 16: schemaVersion is \"1.0.0\", and \"2.0.0\" is read",
        ),
        ("licenseTests: [{debian: true}]", "\"schemaVersion\" is missing or empty"),
        (
            "schemaVersion: 2.0.0\nfileExistanceTests: []",
            "line 2, column 1: there is no key \"fileExistanceTests\"; \"fileExistenceTests\" is meant?",
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, pth: /a}",
            "line 3, column 13: there is no key \"pth\"; \"path\" is meant?",
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, whatever: 1, path: /a}",
            "known are name, path",
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /a, shouldExist: maybe}",
            "line 3, column 36: \"shouldExist\" is true or false",
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /a, uid: many}",
            "\"uid\" is a whole number",
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /a, uid: -2}",
            "no number that a file can have",
        ),
        (
            "schemaVersion: 2.0.0\nfileExistenceTests:\n- {name: a, path: /a, isExecutableBy: me}",
            "owner, group, other or any",
        ),
        ("schemaVersion: 2.0.0\nfileExistenceTests: {name: a}", "line 2, column 21: a list is expected here"),
        ("schemaVersion: 2.0.0\nfileExistenceTests: [a]", "a mapping is expected here"),
        ("schemaVersion: 2.0.0\nfileExistenceTests: [{path: /a}]", "\"name\" is missing or empty"),
        (
            "schemaVersion: 2.0.0\nfileContentTests:\n- {name: a, path: /a, expectedContents: ['(']}",
            "line 3, column 42: \"(\" is no regular expression",
        ),
        (
            "schemaVersion: 2.0.0\nfileContentTests:\n- {name: a, path: /a, expectedContents: ['a**']}",
            "repeats what is repeated already",
        ),
        (
            "schemaVersion: 2.0.0\nfileContentTests:\n- {name: a, path: /a, excludedContents: ab}",
            "a list is expected here",
        ),
        ("schemaVersion: 2.0.0\ncommandTests:\n- {name: a}", "\"command\" is missing or empty"),
        (
            "schemaVersion: 2.0.0\ncommandTests:\n- {name: a, command: b, setup: [[]]}",
            "a command without a program",
        ),
        (
            "schemaVersion: 2.0.0\ncommandTests:\n- {name: a, command: b, teardown: [x]}",
            "a list is expected here",
        ),
        ("schemaVersion: 2.0.0\ncommandTests:\n- {name: a, command: b, envVars: [{key: K}]}", "has no value"),
        ("schemaVersion: 2.0.0\ncommandTests:\n- {name: a, name: b, command: b}", "is there twice"),
        (
            "schemaVersion: 2.0.0\nmetadataTest:\n  labels: [{key: a, value: '[', isRegex: true}]",
            "line 3, column 28: \"[\" is no regular expression",
        ),
        ("schemaVersion: 2.0.0\nmetadataTest:\n  envVars: [{value: a}]", "\"key\" is missing"),
        ("schemaVersion: 2.0.0\nlicenseTests: [{debian: false}]", "a license test of no files"),
        ("schemaVersion: 2.0.0\nlicenseTests: [{debian: true}]\n---\na: 1\n", "second document"),
        ("schemaVersion: 2.0.0\nx: &a [*a]\n", "line 2"),
    ] {
        let found = refused(text);
        if !found.contains(said) {
            wrong.push(format!("{text}\n{found}\nshould have {said}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

#[test]
fn all_of_the_schema_is_read() {
    let file = read(include_str!("all.yaml")).expect("a test file");
    assert_eq!(file.count(), 6);
    assert_eq!(file.env, [("VIRTUAL_ENV".to_owned(), "/env".to_owned())]);
    let command = &file.commands[0];
    assert_eq!((command.args.join(" ").as_str(), command.exit_code), ("sh -c echo 1.10", 3));
    assert_eq!(command.setup, [["mkdir", "/made"]]);
    let [first, second] = &file.files[..] else { panic!("two") };
    assert_eq!((first.should_exist, first.uid, first.executable_by), (true, None, Some(Who::Group)));
    assert_eq!((second.should_exist, second.uid, second.gid), (false, Some(0), Some(8)));
    let metadata = file.metadata.expect("metadata");
    assert_eq!((metadata.entrypoint, metadata.cmd), (Some(Vec::new()), Some(vec!["/bin/bash".to_owned()])));
    assert_eq!(metadata.exposed_ports, ["8080", "2345"]);
    assert!(file.options.privileged && file.options.binds == ["/etc/example/dir:/etc/dir"]);
}

#[test]
fn json_is_read_as_well() {
    let json = r#"{"schemaVersion": "2.0.0", "licenseTests": [{"debian": true, "files": ["/foo/bar"]}]}"#;
    assert_eq!(read(json).expect("a test file").licenses[0].files, ["/foo/bar"]);
}

proptest::proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "(schemaVersion: 2.0.0\n)?[a-zA-Z:\\-\\[\\]{}\n \"'&*<!,0-9]{0,80}") {
        let _ = read(&text);
    }
}
