//! Test files against one image: one search for all that they ask of its layers, then test after test.

use std::collections::BTreeMap;

use larder_store::cancel::Cancel;
use larder_store::error::{Error, Result};
use larder_store::members::{Answer, Kind, Layer, Search, Unreadable};

use super::command::{self, Calls, Ran, calls, environment};
use super::config::{CommandTest, LicenseTest, TestFile};
use super::expand::expand;
use super::licenses::{COPYRIGHT, DEBIAN};
use super::metadata::{Settings, settings};
use super::tested::{Outcome, Tested};
use super::{content, file, licenses, metadata};

/// An image to be tested.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Image<'a> {
    /// For messages.
    pub(crate) name: &'a str,
    /// Its config's bytes.
    pub(crate) config: &'a [u8],
    /// Lowest first.
    pub(crate) layers: &'a [Layer],
}

/// Runs the commands of tests, each test on an image that no other test has changed.
pub(crate) trait Commands {
    /// Why no command of this file can be run, if so.
    fn obstacle(&mut self, file: &TestFile) -> Option<String>;
    /// Variables that the run options of a file bring.
    fn added(&mut self, file: &TestFile) -> Result<Vec<(String, String)>>;
    /// What the last command came to; or why it did not come to its end.
    fn run(&mut self, file: &TestFile, settings: &Settings, calls: &Calls) -> Result<Result<Ran, String>>;
}

/// Does all tests of some files, in the order in which container-structure-test does them; the results file by file.
pub(crate) fn run(
    image: Image<'_>,
    files: &[TestFile],
    commands: &mut dyn Commands,
    cancel: &Cancel,
) -> Result<Vec<Vec<Tested>>> {
    let settings =
        settings(image.config).map_err(|why| Error::damaged(format!("config of {}", image.name), why))?;
    let envs: Vec<_> = files.iter().map(|file| environment(&settings.env(), &file.env)).collect();
    let answer = search(files, &envs).look(image.layers, cancel)?;
    // Which packages there are is known by now.
    let papers: Vec<Vec<Vec<u8>>> = files
        .iter()
        .map(|file| file.licenses.iter().map(|test| papers(test, &answer)).collect::<Vec<_>>().concat())
        .collect();
    let mut second = Search::new();
    papers.iter().flatten().for_each(|path| second.content(path));
    let licenses = match papers.iter().all(Vec::is_empty) {
        true => None,
        false => Some(second.look(image.layers, cancel)?),
    };
    let mut all = Vec::new();
    for (test_file, env) in files.iter().zip(&envs) {
        let mut done = Vec::new();
        let obstacle = if test_file.commands.is_empty() { None } else { commands.obstacle(test_file) };
        for test in &test_file.commands {
            cancel.check()?;
            done.push(match &obstacle {
                Some(why) => Tested::skipped(command_name(test), why.clone()),
                None => command_test(test, test_file, env, &settings, commands)?,
            });
        }
        done.extend(content_tests(test_file, &answer, cancel)?);
        for test in &test_file.files {
            let node = answer.node(&file_path(&test.path, env));
            done.push(Tested::of(format!("File Existence Test: {}", test.name), file::judge(test, node)));
        }
        for test in &test_file.licenses {
            let wrong = license_test(test, &answer, licenses.as_ref(), cancel)?;
            done.push(Tested::of("License Test".to_owned(), wrong));
        }
        let metadata = test_file.metadata.as_ref().map(|test| metadata::judge(test, &settings));
        done.extend(metadata.map(|wrong| Tested::of("Metadata Test".to_owned(), wrong)));
        all.push(done);
    }
    Ok(all)
}

fn search<'s>(files: &[TestFile], envs: &[BTreeMap<String, String>]) -> Search<'s> {
    let mut search = Search::new();
    for (file, env) in files.iter().zip(envs) {
        file.files.iter().for_each(|test| search.node(&file_path(&test.path, env)));
        file.contents.iter().for_each(|test| search.content(&clean(&test.path)));
        if file.licenses.iter().any(|test| test.is_debian) {
            search.directory(DEBIAN.as_bytes());
        }
    }
    search
}

fn file_path(path: &str, env: &BTreeMap<String, String>) -> Vec<u8> {
    clean(&expand(path, &|name| env.get(name).cloned()))
}

/// From the root, without `..`: of the text alone, as Go's `path.Join` does it, whatever links there are.
fn clean(path: &str) -> Vec<u8> {
    let mut names: Vec<&str> = Vec::new();
    for name in path.split('/').filter(|name| !matches!(*name, "" | ".")) {
        match name {
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    format!("/{}", names.join("/")).into_bytes()
}

fn command_name(test: &CommandTest) -> String {
    format!("Command Test: {}", test.name)
}

fn command_test(
    test: &CommandTest,
    file: &TestFile,
    env: &BTreeMap<String, String>,
    settings: &Settings,
    commands: &mut dyn Commands,
) -> Result<Tested> {
    let calls = calls(test, env, &commands.added(file)?);
    Ok(match commands.run(file, settings, &calls)? {
        Err(why) => Tested::of(command_name(test), vec![why]),
        Ok(ran) => Tested {
            duration: ran.duration,
            stdout: ran.stdout.text(),
            stderr: ran.stderr.text(),
            ..Tested::of(command_name(test), command::judge(test, &ran))
        },
    })
}

fn content_tests(file: &TestFile, answer: &Answer<'_>, cancel: &Cancel) -> Result<Vec<Tested>> {
    let paths: Vec<_> = file.contents.iter().map(|test| clean(&test.path)).collect();
    let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let mut done: Vec<_> = file
        .contents
        .iter()
        .map(|test| Tested::of(format!("File Content Test: {}", test.name), Vec::new()))
        .collect();
    answer.read(&paths, cancel, &mut |number, bytes| {
        let test = &file.contents[number];
        let wrong = match bytes {
            Ok(bytes) => content::judge(test, bytes),
            Err(why) => vec![unreadable(&test.path, why)],
        };
        if !wrong.is_empty() {
            done[number].outcome = Outcome::Failed(wrong);
        }
    })?;
    Ok(done)
}

fn unreadable(path: &str, why: Unreadable) -> String {
    format!("{path} cannot be read: it {why}")
}

/// The paths of all files that a license test looks at.
fn papers(test: &LicenseTest, answer: &Answer<'_>) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = test.files.iter().map(|path| clean(path)).collect();
    if test.is_debian {
        let names = answer.names(DEBIAN.as_bytes()).unwrap_or_default().into_iter();
        let packages =
            names.filter(|(name, node)| node.kind == Kind::Directory && licenses::is_checked(name));
        paths.extend(packages.map(|(name, _)| [DEBIAN.as_bytes(), name, COPYRIGHT.as_bytes()].join(&b'/')));
    }
    paths
}

fn license_test(
    test: &LicenseTest,
    first: &Answer<'_>,
    answer: Option<&Answer<'_>>,
    cancel: &Cancel,
) -> Result<Vec<String>> {
    let mut wrong = Vec::new();
    if test.is_debian && first.names(DEBIAN.as_bytes()).is_none() {
        wrong.push(format!("{DEBIAN} is no directory"));
    }
    let paths = papers(test, first);
    let paths: Vec<_> = paths.iter().map(Vec::as_slice).collect();
    let Some(answer) = answer else { return Ok(wrong) };
    let mut said: Vec<Option<String>> = vec![None; paths.len()];
    answer.read(&paths, cancel, &mut |number, bytes| {
        let path = String::from_utf8_lossy(paths[number]);
        said[number] = match bytes {
            Ok(bytes) => licenses::judge(&path, bytes),
            Err(why) => Some(unreadable(&path, why)),
        };
    })?;
    wrong.extend(said.into_iter().flatten());
    Ok(wrong)
}
