//! From a text to a [`TestFile`]: strictly, and with all that is wrong at once.

use super::fields::{Fields, Problems, list, text};
use super::{
    CommandTest, ContentTest, FileTest, LicenseTest, MetadataTest, RunOptions, TestFile, Value, Who,
};
use crate::catalog::yaml::{self, Node};
use crate::structure::pattern::Pattern;

/// The schema that is read.
const SCHEMA: &str = "2.0.0";
/// Tests of one file, and what is said of its mistakes.
const MAX_TESTS: usize = 100_000;
const MAX_PROBLEMS: usize = 20;

/// Reads a test file. The errors have line and column.
pub(crate) fn read(document: &str) -> Result<TestFile, Vec<String>> {
    let root = yaml::parse(document).map_err(|why| vec![why])?;
    let mut problems = Problems::default();
    let file = file(&root, &mut problems);
    if file.count() > MAX_TESTS {
        problems.add(&root, &format!("more than {MAX_TESTS} tests"));
    }
    if problems.0.is_empty() && file.count() == 0 {
        problems.add(&root, "there is no test in it");
    }
    problems.0.truncate(MAX_PROBLEMS);
    if problems.0.is_empty() { Ok(file) } else { Err(problems.0) }
}

fn file(root: &Node, problems: &mut Problems) -> TestFile {
    if root.is_null() {
        problems.0.push("line 1, column 1: the file is empty".to_owned());
        return TestFile::default();
    }
    let known = [
        "schemaVersion",
        "globalEnvVars",
        "commandTests",
        "fileExistenceTests",
        "fileContentTests",
        "metadataTest",
        "licenseTests",
        "containerRunOptions",
    ];
    let fields = Fields::of(root, &known, problems);
    let version = fields.needed("schemaVersion", problems);
    if !version.is_empty() && version != SCHEMA {
        let at = fields.get("schemaVersion").unwrap_or(root);
        problems.add(at, &format!("schemaVersion is {version:?}, and {SCHEMA:?} is read"));
    }
    let all = |key: &str, problems: &mut Problems| fields.list(key, problems);
    TestFile {
        env: variables(fields, "globalEnvVars", problems),
        commands: all("commandTests", problems).iter().map(|node| command(node, problems)).collect(),
        contents: all("fileContentTests", problems).iter().map(|node| content(node, problems)).collect(),
        files: all("fileExistenceTests", problems).iter().map(|node| existence(node, problems)).collect(),
        licenses: all("licenseTests", problems).iter().map(|node| license(node, problems)).collect(),
        metadata: fields.get("metadataTest").map(|node| metadata(node, problems)),
        options: fields.get("containerRunOptions").map(|node| options(node, problems)).unwrap_or_default(),
    }
}

/// Keys and values; `isRegex` means something in metadata alone, and is let pass.
fn variables(fields: Fields<'_>, key: &str, problems: &mut Problems) -> Vec<(String, String)> {
    let items = fields.list(key, problems).iter();
    items
        .map(|node| {
            let fields = Fields::of(node, &["key", "value", "isRegex"], problems);
            fields.truth("isRegex", problems);
            let name = fields.needed("key", problems);
            if name.contains('=') {
                problems.add(node, "a variable's name has no =");
            }
            (name, fields.text("value", problems))
        })
        .collect()
}

fn command(node: &Node, problems: &mut Problems) -> CommandTest {
    let known = [
        "name",
        "setup",
        "teardown",
        "envVars",
        "exitCode",
        "command",
        "args",
        "expectedOutput",
        "excludedOutput",
        "expectedError",
        "excludedError",
    ];
    let fields = Fields::of(node, &known, problems);
    let steps = |key: &str, problems: &mut Problems| -> Vec<Vec<String>> {
        let items = fields.list(key, problems).iter();
        items
            .map(|step| {
                let words: Vec<_> =
                    list(step, problems).iter().filter_map(|word| text(word, problems)).collect();
                if words.first().is_none_or(String::is_empty) {
                    problems.add(step, "a command without a program");
                }
                words
            })
            .collect()
    };
    let env = variables(fields, "envVars", problems);
    if env.iter().any(|(_, value)| value.is_empty()) {
        problems.add(node, "a variable of envVars has no value");
    }
    // What the machine has to clear up after a test is gone with the files that the test changed.
    steps("teardown", problems);
    let mut args = vec![fields.needed("command", problems)];
    args.extend(fields.texts("args", problems));
    let exit_code = fields.number("exitCode", problems).unwrap_or(0);
    let exit_code = i32::try_from(exit_code).unwrap_or_else(|_| {
        problems.add(node, "\"exitCode\" is none that a command can have");
        0
    });
    CommandTest {
        name: fields.needed("name", problems),
        setup: steps("setup", problems),
        env,
        exit_code,
        args,
        expected_output: patterns(fields, "expectedOutput", problems),
        excluded_output: patterns(fields, "excludedOutput", problems),
        expected_error: patterns(fields, "expectedError", problems),
        excluded_error: patterns(fields, "excludedError", problems),
    }
}

fn patterns(fields: Fields<'_>, key: &str, problems: &mut Problems) -> Vec<Pattern> {
    let items = fields.list(key, problems).iter();
    items.filter_map(|item| text(item, problems).and_then(|text| pattern(&text, item, problems))).collect()
}

fn pattern(text: &str, at: &Node, problems: &mut Problems) -> Option<Pattern> {
    let read = Pattern::parse(text);
    read.map_err(|why| problems.add(at, &format!("{text:?} is no regular expression: {why}"))).ok()
}

fn content(node: &Node, problems: &mut Problems) -> ContentTest {
    let fields = Fields::of(node, &["name", "path", "expectedContents", "excludedContents"], problems);
    ContentTest {
        name: fields.needed("name", problems),
        path: fields.needed("path", problems),
        expected: patterns(fields, "expectedContents", problems),
        excluded: patterns(fields, "excludedContents", problems),
    }
}

fn existence(node: &Node, problems: &mut Problems) -> FileTest {
    let known = ["name", "path", "shouldExist", "permissions", "uid", "gid", "isExecutableBy"];
    let fields = Fields::of(node, &known, problems);
    let id = |key: &str, problems: &mut Problems| match fields.number(key, problems) {
        // As in the schema: nobody asks.
        None | Some(-1) => None,
        Some(id) => u32::try_from(id).ok().or_else(|| {
            problems.add(node, &format!("{key:?} is no number that a file can have"));
            None
        }),
    };
    let who = fields.text("isExecutableBy", problems);
    let executable_by = match who.as_str() {
        "" => None,
        "owner" => Some(Who::Owner),
        "group" => Some(Who::Group),
        "other" => Some(Who::Other),
        "any" => Some(Who::Any),
        other => {
            let at = fields.get("isExecutableBy").unwrap_or(node);
            problems.add(at, &format!("isExecutableBy is owner, group, other or any, not {other:?}"));
            None
        }
    };
    FileTest {
        name: fields.needed("name", problems),
        path: fields.needed("path", problems),
        should_exist: fields.truth("shouldExist", problems).unwrap_or(true),
        permissions: Some(fields.text("permissions", problems)).filter(|text| !text.is_empty()),
        uid: id("uid", problems),
        gid: id("gid", problems),
        executable_by,
    }
}

fn license(node: &Node, problems: &mut Problems) -> LicenseTest {
    let fields = Fields::of(node, &["debian", "files"], problems);
    let is_debian = fields.truth("debian", problems).unwrap_or(false);
    let files = fields.texts("files", problems);
    if !is_debian && files.is_empty() {
        problems.add(node, "a license test of no files");
    }
    LicenseTest { is_debian, files }
}

fn metadata(node: &Node, problems: &mut Problems) -> MetadataTest {
    let known = [
        "envVars",
        "unboundEnvVars",
        "exposedPorts",
        "unexposedPorts",
        "entrypoint",
        "cmd",
        "workdir",
        "volumes",
        "unmountedVolumes",
        "labels",
        "user",
    ];
    let fields = Fields::of(node, &known, problems);
    let values = |key: &str, problems: &mut Problems| -> Vec<(String, Value)> {
        let items = fields.list(key, problems).iter();
        items
            .filter_map(|item| {
                let fields = Fields::of(item, &["key", "value", "isRegex"], problems);
                let (name, value) = (fields.needed("key", problems), fields.text("value", problems));
                let value = match fields.truth("isRegex", problems) {
                    Some(true) => {
                        Value::Pattern(pattern(&value, fields.get("value").unwrap_or(item), problems)?)
                    }
                    _ => Value::Text(value),
                };
                Some((name, value))
            })
            .collect()
    };
    let some =
        |key: &str, problems: &mut Problems| Some(fields.text(key, problems)).filter(|text| !text.is_empty());
    let words = |key: &str, problems: &mut Problems| fields.get(key).map(|_| fields.texts(key, problems));
    MetadataTest {
        env: values("envVars", problems),
        unbound_env: variables(fields, "unboundEnvVars", problems)
            .into_iter()
            .map(|(name, _)| name)
            .collect(),
        labels: values("labels", problems),
        entrypoint: words("entrypoint", problems),
        cmd: words("cmd", problems),
        exposed_ports: fields.texts("exposedPorts", problems),
        unexposed_ports: fields.texts("unexposedPorts", problems),
        volumes: fields.texts("volumes", problems),
        unmounted_volumes: fields.texts("unmountedVolumes", problems),
        workdir: some("workdir", problems),
        user: some("user", problems),
    }
}

fn options(node: &Node, problems: &mut Problems) -> RunOptions {
    let known = ["user", "privileged", "allocateTty", "envVars", "envFile", "capabilities", "bindMounts"];
    let fields = Fields::of(node, &known, problems);
    RunOptions {
        user: fields.text("user", problems),
        privileged: fields.truth("privileged", problems).unwrap_or(false),
        terminal: fields.truth("allocateTty", problems).unwrap_or(false),
        env: fields.texts("envVars", problems),
        env_file: fields.text("envFile", problems),
        capabilities: fields.texts("capabilities", problems),
        binds: fields.texts("bindMounts", problems),
    }
}
